#include "base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/error.h"

namespace tenfold {
namespace {
Code CodeOfErrno(int error) {
  switch (error) {
    case ENOENT: return Code::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS: return Code::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EMFILE: return Code::kResourceExhausted;
    default: return Code::kUnavailable;
  }
}

[[noreturn]] void ThrowErrno(const std::string& what) {
  const int error = errno;
  throw Error(CodeOfErrno(error), what + ": " + std::strerror(error));
}

struct FileDescriptor {
  int fd;
  ~FileDescriptor() {
    if (fd >= 0) ::close(fd);
  }
};
}  // namespace

std::string ReadFile(const std::filesystem::path& path, std::uint64_t limit_bytes) {
  const FileDescriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) ThrowErrno("read '" + path.string() + "'");
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) ThrowErrno("read '" + path.string() + "'");
  if (S_ISDIR(info.st_mode)) throw Error(Code::kInvalidArgument, "read '" + path.string() + "': is a folder");
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > limit_bytes)
    throw Error(Code::kResourceExhausted, "read '" + path.string() + "': " + std::to_string(size) + " bytes, limit " + std::to_string(limit_bytes));
  std::string bytes;
  char buffer[65536];
  for (;;) {
    const auto n = ::read(file.fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) ThrowErrno("read '" + path.string() + "'");
    if (n == 0) return bytes;
    bytes.append(buffer, static_cast<std::size_t>(n));
    if (bytes.size() > limit_bytes) throw Error(Code::kResourceExhausted, "read '" + path.string() + "': grew past its limit");
  }
}

std::string ReadFileRange(const std::filesystem::path& path, std::uint64_t offset, std::size_t length) {
  const FileDescriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) ThrowErrno("read '" + path.string() + "'");
  std::string bytes(length, '\0');
  std::size_t done = 0;
  while (done < length) {
    const auto n = ::pread(file.fd, bytes.data() + done, length - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) ThrowErrno("read '" + path.string() + "'");
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

void SyncFolder(const std::filesystem::path& folder) {
  const FileDescriptor opened{::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (opened.fd >= 0) TENFOLD_CHECK(::fsync(opened.fd) == 0);
}

void SyncFileSystem(const std::filesystem::path& folder) {
  const FileDescriptor opened{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (opened.fd < 0) ThrowErrno("sync '" + folder.string() + "'");
  TENFOLD_CHECK(::syncfs(opened.fd) == 0);
}

NewFile::NewFile(std::filesystem::path beside) : beside_(std::move(beside)), fd_(::open(beside_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) {
  if (fd_ < 0) ThrowErrno("write '" + beside_.string() + "'");
}

NewFile::~NewFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!beside_.empty()) ::unlink(beside_.c_str());
}

void NewFile::Append(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) ThrowErrno("write '" + beside_.string() + "'");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void NewFile::Close() {
  if (::close(std::exchange(fd_, -1)) != 0) ThrowErrno("write '" + beside_.string() + "'");
}

void NewFile::CommitAs(const std::filesystem::path& path) {
  TENFOLD_CHECK(::fsync(fd_) == 0);
  if (::rename(beside_.c_str(), path.c_str()) != 0) ThrowErrno("write '" + path.string() + "'");
  beside_.clear();
  SyncFolder(path.parent_path());
}

void NewFile::MoveTo(const std::filesystem::path& path) {
  if (::rename(beside_.c_str(), path.c_str()) != 0) ThrowErrno("write '" + path.string() + "'");
  beside_.clear();
}

void WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes) {
  NewFile file(path.parent_path() / NewId(".writing"));
  file.Append(bytes);
  file.CommitAs(path);
}

TemporaryFolder::TemporaryFolder() {
  path_ = std::filesystem::temp_directory_path() / NewId("tenfold");
  std::filesystem::create_directories(path_);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace tenfold
