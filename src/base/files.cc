#include "base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

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

void WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes) {
  const auto beside = path.parent_path() / (NewId(".writing"));
  try {
    const FileDescriptor file{::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    if (file.fd < 0) ThrowErrno("write '" + path.string() + "'");
    for (std::size_t done = 0; done < bytes.size();) {
      const auto n = ::write(file.fd, bytes.data() + done, bytes.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) ThrowErrno("write '" + path.string() + "'");
      done += static_cast<std::size_t>(n);
    }
    TENFOLD_CHECK(::fsync(file.fd) == 0);
    if (::rename(beside.c_str(), path.c_str()) != 0) ThrowErrno("write '" + path.string() + "'");
  } catch (...) {
    ::unlink(beside.c_str());
    throw;
  }
  const FileDescriptor folder{::open(path.parent_path().empty() ? "." : path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (folder.fd >= 0) TENFOLD_CHECK(::fsync(folder.fd) == 0);
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
