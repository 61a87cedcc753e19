#include "retrieval/exact_vectors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "retrieval/index_snapshot.h"

namespace tenfold::retrieval {
namespace {

// Steps of the file: a quarter of what is there, so that at most a fifth of it is not used yet.
constexpr std::size_t kLeastStepFloats = (8 << 20) / sizeof(float);

int OpenNameless() {
  for (const char* folder : {std::getenv("TMPDIR"), const_cast<char*>("/var/tmp"), const_cast<char*>("/tmp")})
    if (folder && *folder)
      if (const int file = ::open(folder, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600); file >= 0) return file;
  return -1;
}

}  // namespace

ExactVectors::~ExactVectors() { CloseFile(); }

void ExactVectors::CloseFile() {
  if (file_ < 0) return;
  ::munmap(data_, capacity_ * sizeof(float));
  ::close(file_);
  file_ = -1;
  if (!path_.empty() && !snapshot_->is_written()) ::unlink(path_.c_str());
  path_.clear();
}

int ExactVectors::OpenFile() {
  if (!snapshot_) return OpenNameless();
  auto path = snapshot_->NewVectorFile();
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file >= 0) path_ = std::move(path);
  return file;
}

bool ExactVectors::GrowFile(std::size_t floats) {
  const bool is_new = file_ < 0;
  const int file = is_new ? OpenFile() : file_;
  if (file < 0) return false;
  const auto wanted = std::max(floats, capacity_ + std::max(capacity_ / 4, kLeastStepFloats)), bytes = wanted * sizeof(float);
  void* mapped = MAP_FAILED;
  if (::posix_fallocate(file, 0, static_cast<off_t>(bytes)) == 0)
    mapped = is_new ? ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : ::mremap(data_, capacity_ * sizeof(float), bytes, MREMAP_MAYMOVE);
  if (mapped == MAP_FAILED) {
    if (is_new) {
      ::close(file);
      if (!path_.empty()) ::unlink(path_.c_str());
      path_.clear();
    }
    return false;
  }
  ::madvise(mapped, bytes, MADV_RANDOM);
  auto* data = static_cast<float*>(mapped);
  if (is_new) {
    if (!heap_.empty()) std::memcpy(data, heap_.data(), heap_.size() * sizeof(float));
    heap_ = std::vector<float>();  // gives the memory back, which {} would not
  }
  file_ = file;
  data_ = data;
  capacity_ = wanted;
  return true;
}

void ExactVectors::Grow(std::size_t floats) {
  if (floats * sizeof(float) > most_heap_bytes_ && !is_file_refused_) {
    if (GrowFile(floats)) return;
    is_file_refused_ = true;
    if (file_ >= 0) {
      heap_.assign(data_, data_ + capacity_);
      CloseFile();
    }
  }
  heap_.resize(floats);
  data_ = heap_.data();
  capacity_ = heap_.size();
}

void ExactVectors::Put(std::uint32_t row, std::span<const float> vector) {
  if ((row + std::size_t{1}) * dim_ > capacity_) Grow((row + std::size_t{1}) * dim_);
  std::memcpy(data_ + row * dim_, vector.data(), dim_ * sizeof(float));
}

void ExactVectors::Save(SnapshotWriter& to) const {
  to.PutText(path_.filename().string());
  if (path_.empty()) return to.PutArray(std::span<const float>(data_, capacity_));
  to.Put(std::uint64_t{capacity_});
  to.SyncToo(file_);
}

void ExactVectors::Restore(SnapshotReader& from) {
  const auto name = from.GetText();
  if (name.empty()) {
    from.GetArray(heap_);
    data_ = heap_.data();
    capacity_ = heap_.size();
    return;
  }
  const auto floats = from.Get<std::uint64_t>();
  SnapshotReader::Check(snapshot_ != nullptr, "a file of vectors is none of this index");
  const auto path = snapshot_->UseVectorFile(name);
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  struct stat info {};
  const bool is_whole = file >= 0 && ::fstat(file, &info) == 0 && S_ISREG(info.st_mode) && floats > 0 && static_cast<std::uint64_t>(info.st_size) / sizeof(float) >= floats;
  void* mapped = is_whole ? ::mmap(nullptr, static_cast<std::size_t>(info.st_size), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
  if (mapped == MAP_FAILED) {
    if (file >= 0) ::close(file);
    SnapshotReader::ThrowDamaged("its file of vectors is not there, or too short");
  }
  ::madvise(mapped, static_cast<std::size_t>(info.st_size), MADV_RANDOM);
  file_ = file;
  path_ = path;
  data_ = static_cast<float*>(mapped);
  capacity_ = static_cast<std::size_t>(info.st_size) / sizeof(float);
}

void ExactVectors::Clear(std::uint32_t row) { std::fill_n(data_ + row * dim_, dim_, 0.0f); }

}  // namespace tenfold::retrieval
