#pragma once
/// \file The exact vectors of an index: on the heap while they are few, else in pages of a file, which the kernel takes back when it needs the memory.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tenfold::retrieval {

class IndexSnapshot;
class SnapshotWriter;
class SnapshotReader;

/// Vectors by row. The file can be read by nobody else. It has no name (it goes with the process, however that ends) and lies in $TMPDIR or else /var/tmp: /tmp is often memory. That of an
/// index with snapshots lies beside them and has a name: a snapshot is of the file as it is, which is searched where it lies when the index is opened again. Rows that a snapshot is of are only
/// written again after it was forgotten; rows that were put since are put again by whoever opens it. Without a snapshot that is written the file is removed with this object.
/// Its blocks are reserved as it grows, so that a full disk is met there and not in a write. Where no file can be had, or no more of it, all vectors lie on the heap.
/// Threads: any number of readers; writers exclude each other and readers. Addresses hold until the next Put.
class ExactVectors {
 public:
  static constexpr std::size_t kHeapBytes = 4 << 20;  ///< beyond, a file: so that ten thousand small indexes have none
  explicit ExactVectors(std::size_t dim, std::size_t most_heap_bytes = kHeapBytes) : dim_(dim), most_heap_bytes_(most_heap_bytes) {}
  ~ExactVectors();
  ExactVectors(const ExactVectors&) = delete;
  ExactVectors& operator=(const ExactVectors&) = delete;
  /// Before the first Put.
  void SetSnapshot(std::shared_ptr<IndexSnapshot> snapshot) { snapshot_ = std::move(snapshot); }
  void Save(SnapshotWriter& to) const;
  /// Into one that is empty.
  void Restore(SnapshotReader& from);

  /// Shape: vector [dim].
  void Put(std::uint32_t row, std::span<const float> vector);
  /// Zeros are written over it. `row` was put.
  void Clear(std::uint32_t row);
  const float* at(std::uint32_t row) const { return data_ + row * dim_; }
  std::span<const float> Get(std::uint32_t row) const { return {at(row), dim_}; }
  std::size_t heap_bytes() const { return heap_.capacity() * sizeof(float); }
  /// Of the file, reserved: as much of it is in memory as the kernel likes.
  std::size_t file_bytes() const { return file_ < 0 ? 0 : capacity_ * sizeof(float); }

 private:
  void Grow(std::size_t floats);
  bool GrowFile(std::size_t floats);
  int OpenFile();
  void CloseFile();

  const std::size_t dim_, most_heap_bytes_;
  float* data_ = nullptr;      // of heap_ or of the file
  std::size_t capacity_ = 0;   // floats
  std::vector<float> heap_;
  int file_ = -1;
  bool is_file_refused_ = false;
  std::shared_ptr<IndexSnapshot> snapshot_;
  std::filesystem::path path_;  // of the file; empty: it has no name
};

}  // namespace tenfold::retrieval
