#include "retrieval/snapshot_file.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"

namespace tenfold::retrieval {
namespace {

constexpr std::uint64_t kMagic = 0x584449444c464e54;  // "TNFLDIDX"
constexpr std::uint64_t kVersion = 1;
constexpr std::uint64_t kMostSections = 64;
// Large arrays are hashed piece by piece while they are in the processor's cache.
constexpr std::size_t kPiece = 256 << 10, kBuffer = 256 << 10;

struct FileHeader {
  std::uint64_t magic = kMagic, version = kVersion, build = 0, what = 0, commit = 0, epoch = 0;
};
struct Footer {
  std::uint64_t table = 0, sections = 0, checksum = 0, magic = kMagic;
};

[[noreturn]] void ThrowErrno(const std::string& doing) {
  const int error = errno;
  const auto code = error == ENOENT ? Code::kNotFound : error == ENOSPC || error == EDQUOT ? Code::kResourceExhausted : error == EACCES || error == EPERM ? Code::kPermissionDenied : Code::kUnavailable;
  throw Error(code, doing + ": " + std::strerror(error));
}

/// The linker's digest of the program, or of its file's size and time where it has none.
std::uint64_t FindBuild() {
  std::uint64_t out = 0;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* to) {
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& part = info->dlpi_phdr[i];
          if (part.p_type != PT_NOTE) continue;
          const auto* at = reinterpret_cast<const char*>(info->dlpi_addr + part.p_vaddr);
          for (const char* end = at + part.p_memsz; at + sizeof(ElfW(Nhdr)) <= end;) {
            const auto* note = reinterpret_cast<const ElfW(Nhdr)*>(at);
            const auto name = (note->n_namesz + 3) / 4 * 4, bytes = (note->n_descsz + 3) / 4 * 4;
            if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && std::memcmp(note + 1, "GNU", 4) == 0) {
              *static_cast<std::uint64_t*>(to) = XXH3_64bits(at + sizeof *note + name, note->n_descsz);
              return 1;
            }
            at += sizeof *note + name + bytes;
          }
        }
        return 1;  // the first is the program
      },
      &out);
  struct stat info {};
  if (out == 0 && ::stat("/proc/self/exe", &info) == 0) {
    const std::int64_t of_file[] = {info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
    out = XXH3_64bits(of_file, sizeof of_file);
  }
  return out;
}

std::uint64_t ThisBuild() {
  static const std::uint64_t build = FindBuild();
  return build;
}

/// Of header, table and footer.
std::uint64_t FrameChecksum(const FileHeader& header, const void* table, std::size_t table_bytes, Footer footer) {
  footer.checksum = 0;
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, &header, sizeof header);
  XXH3_64bits_update(&state, table, table_bytes);
  XXH3_64bits_update(&state, &footer, sizeof footer);
  return XXH3_64bits_digest(&state);
}

bool ReadAt(int file, void* to, std::size_t size, std::uint64_t at) {
  auto* bytes = static_cast<std::uint8_t*>(to);
  while (size > 0) {
    const auto n = ::pread(file, bytes, size, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes += n;
    at += static_cast<std::uint64_t>(n);
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

struct Stream {
  Stream() { XXH3_64bits_reset(&state); }
  void Update(const void* bytes, std::size_t size) { XXH3_64bits_update(&state, bytes, size); }
  std::uint64_t Take() {
    const auto out = XXH3_64bits_digest(&state);
    XXH3_64bits_reset(&state);
    return out;
  }
  XXH3_state_t state;
};

}  // namespace

std::uint64_t WhatOf(std::string_view settings) { return XXH3_64bits(settings.data(), settings.size()); }

class SnapshotWriter::Checksum : public Stream {};
class SnapshotReader::Checksum : public Stream {};

// Writing.

SnapshotWriter::SnapshotWriter(std::filesystem::path path)
    : path_(std::move(path)), file_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)), buffer_(new std::uint8_t[kBuffer]), checksum_(std::make_unique<Checksum>()) {
  if (file_ < 0) ThrowErrno("write '" + path_.string() + "'");
  WriteZeros(sizeof(FileHeader));
}

SnapshotWriter::~SnapshotWriter() {
  if (file_ >= 0) ::close(file_);
  for (const int file : others_) ::close(file);
  if (!path_.empty()) ::unlink(path_.c_str());
}

void SnapshotWriter::Begin() {
  EndSection();
  sections_.push_back({bytes(), 0, 0});
}

void SnapshotWriter::EndSection() {
  Flush();
  if (sections_.empty()) {
    checksum_->Take();
    return;
  }
  sections_.back().length = written_ - sections_.back().offset;
  sections_.back().checksum = checksum_->Take();
}

void SnapshotWriter::Flush() {
  if (held_ == 0) return;
  WriteAll(buffer_.get(), held_);
  held_ = 0;
}

void SnapshotWriter::WriteAll(const void* bytes, std::size_t size) {
  const auto* from = static_cast<const std::uint8_t*>(bytes);
  while (size > 0) {
    const auto n = ::write(file_, from, std::min(size, kPiece));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) ThrowErrno("write '" + path_.string() + "'");
    checksum_->Update(from, static_cast<std::size_t>(n));
    from += n;
    size -= static_cast<std::size_t>(n);
    written_ += static_cast<std::uint64_t>(n);
  }
}

void SnapshotWriter::Write(const void* bytes, std::size_t size) {
  const bool is_large = size > kBuffer / 2;
  if (is_large || size > kBuffer - held_) Flush();
  if (is_large) return WriteAll(bytes, size);
  if (size > 0) std::memcpy(buffer_.get() + held_, bytes, size);
  held_ += size;
}

void SnapshotWriter::WriteZeros(std::size_t size) {
  static constexpr std::uint8_t kZeros[4096] = {};
  for (; size > 0; size -= std::min(size, sizeof kZeros)) Write(kZeros, std::min(size, sizeof kZeros));
}

void SnapshotWriter::SyncToo(int file) {
  const int copy = ::fcntl(file, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) ThrowErrno("keep a file of vectors open");
  others_.push_back(copy);
}

void SnapshotWriter::Finish(const SnapshotHeader& header) {
  EndSection();
  const FileHeader first{kMagic, kVersion, ThisBuild(), header.what, header.commit, header.epoch};
  Footer footer{written_, sections_.size(), 0, kMagic};
  footer.checksum = FrameChecksum(first, sections_.data(), sections_.size() * sizeof(Section), footer);
  WriteAll(sections_.data(), sections_.size() * sizeof(Section));
  WriteAll(&footer, sizeof footer);
  if (::pwrite(file_, &first, sizeof first, 0) != static_cast<ssize_t>(sizeof first)) ThrowErrno("write '" + path_.string() + "'");
}

void SnapshotWriter::Sync() {
  for (const int file : others_) TENFOLD_CHECK(::fsync(file) == 0);
  TENFOLD_CHECK(::fsync(file_) == 0);
}

void SnapshotWriter::MoveTo(const std::filesystem::path& path) {
  if (::rename(path_.c_str(), path.c_str()) != 0) ThrowErrno("write '" + path.string() + "'");
  path_.clear();
}

// Reading.

SnapshotReader::SnapshotReader(int file, std::uint64_t offset, std::uint64_t length, std::uint64_t checksum)
    : file_(file), at_(offset), left_(length), unread_(length), expected_(checksum), buffer_(new std::uint8_t[kBuffer]), checksum_(std::make_unique<Checksum>()) {}
SnapshotReader::~SnapshotReader() = default;
SnapshotReader::SnapshotReader(SnapshotReader&&) noexcept = default;

void SnapshotReader::ThrowDamaged(std::string_view what) { throw Error(Code::kDataLoss, "it is damaged: " + std::string(what)); }

void SnapshotReader::ReadFile(void* to, std::size_t size) {
  if (!ReadAt(file_, to, size, at_)) throw Error(Code::kUnavailable, "it cannot be read at byte " + std::to_string(at_));
  checksum_->Update(to, size);
  at_ += size;
  unread_ -= size;
}

void SnapshotReader::Read(void* to, std::size_t size) {
  Check(size <= left_, "a section ends early");
  left_ -= size;
  auto* bytes = static_cast<std::uint8_t*>(to);
  while (size > 0) {
    if (taken_ < buffered_) {
      const auto some = std::min(size, buffered_ - taken_);
      std::memcpy(bytes, buffer_.get() + taken_, some);
      taken_ += some;
      bytes += some;
      size -= some;
    } else if (size >= kBuffer / 2) {
      const auto some = std::min(size, kPiece);
      ReadFile(bytes, some);
      bytes += some;
      size -= some;
    } else {
      buffered_ = static_cast<std::size_t>(std::min<std::uint64_t>(kBuffer, unread_));
      taken_ = 0;
      ReadFile(buffer_.get(), buffered_);
    }
  }
}

std::size_t SnapshotReader::GetCount(std::size_t bytes_each) {
  const auto count = Get<std::uint64_t>();
  Check(count <= left_ / bytes_each, "an array is longer than its section");
  return static_cast<std::size_t>(count);
}

std::string SnapshotReader::GetText() {
  std::string out(GetCount(1), '\0');
  Read(out.data(), out.size());
  return out;
}

void SnapshotReader::Finish() {
  Check(left_ == 0, "a section is longer than what is in it");
  Check(checksum_->Take() == expected_, "a section is not what was written");
}

SnapshotFile::SnapshotFile(const std::filesystem::path& path, std::uint64_t what) : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) {
  if (file_ < 0) ThrowErrno("read '" + path.string() + "'");
  try {
    struct stat info {};
    if (::fstat(file_, &info) != 0) ThrowErrno("read '" + path.string() + "'");
    bytes_ = static_cast<std::uint64_t>(info.st_size);
    FileHeader first;
    Footer footer;
    const auto check = SnapshotReader::Check;
    check(S_ISREG(info.st_mode) && bytes_ >= sizeof first + sizeof footer, "it is too short");
    check(ReadAt(file_, &first, sizeof first, 0) && ReadAt(file_, &footer, sizeof footer, bytes_ - sizeof footer), "its ends cannot be read");
    check(first.magic == kMagic && footer.magic == kMagic, "it is no snapshot");
    if (first.version != kVersion || first.build != ThisBuild()) throw Error(Code::kFailedPrecondition, "it was written by another version of this program");
    const auto table_end = bytes_ - sizeof footer;
    check(footer.sections <= kMostSections && footer.table >= sizeof first && footer.table <= table_end && table_end - footer.table == footer.sections * sizeof(Place), "its table is not where it is said to be");
    sections_.resize(footer.sections);
    check(ReadAt(file_, sections_.data(), sections_.size() * sizeof(Place), footer.table), "its table cannot be read");
    check(FrameChecksum(first, sections_.data(), sections_.size() * sizeof(Place), footer) == footer.checksum, "its header or table is not what was written");
    // A section ends where the next begins, so that no byte of the file is without a checksum.
    auto end = std::uint64_t{sizeof first};
    for (const auto& section : sections_) {
      check(section.offset == end && section.length <= footer.table - end, "its sections do not lie one after the other");
      end += section.length;
    }
    check(end == footer.table, "there is something between its sections and its table");
    if (first.what != what) throw Error(Code::kFailedPrecondition, "it is of an index with other settings");
    header_ = {first.what, first.commit, first.epoch};
  } catch (...) {
    ::close(file_);
    throw;
  }
}

SnapshotFile::~SnapshotFile() { ::close(file_); }

SnapshotReader SnapshotFile::Section(std::size_t number) const {
  SnapshotReader::Check(number < sections_.size(), "it has too few sections");
  const auto& one = sections_[number];
  return {file_, one.offset, one.length, one.checksum};
}

}  // namespace tenfold::retrieval
