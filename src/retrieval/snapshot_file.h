#pragma once
/// \file The form of a file that holds an index as it lies in memory: sections of arrays, each with its length and a checksum, read at the speed of a copy.
///
/// Layout, little-endian: a header (SnapshotHeader); the sections one after the other; a table of them (offset, length, XXH3 of 64 bits); a footer that says where the table is and has the checksum of
/// header, table and footer. A reader looks at the footer and the table first; a section's checksum is computed while it is read. A file by another program is none: what lies in memory
/// is no format, so the header has the build's mark, and there is no older version to read.
/// Source of the checksum: Collet, XXH3 (xxhash.h 0.8).
#include <bit>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "data/store.h"

namespace tenfold::retrieval {

static_assert(std::endian::native == std::endian::little, "snapshots hold arrays as they lie in memory");

/// What a snapshot is of, and of when.
struct SnapshotHeader {
  std::uint64_t what = 0;  ///< WhatOf() the index's settings
  data::Commit commit = 0;
  std::uint64_t epoch = 0;  ///< of data::History
};

/// A number for everything an index is made with, such as "chunks g1 384 english".
std::uint64_t WhatOf(std::string_view settings);

/// Writes one file. Threads: one. Errors: as NewFile (base/files.h).
class SnapshotWriter {
 public:
  /// `path`: where it lies meanwhile. Replaces what is there; removed when this object goes, unless MoveTo was called.
  explicit SnapshotWriter(std::filesystem::path path);
  ~SnapshotWriter();
  SnapshotWriter(const SnapshotWriter&) = delete;
  SnapshotWriter& operator=(const SnapshotWriter&) = delete;

  /// What follows belongs to the next section. To be called before anything is put.
  void Begin();
  void Write(const void* bytes, std::size_t size);
  void WriteZeros(std::size_t size);
  template <class T>
  void Put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    Write(&value, sizeof value);
  }
  /// Its size, and its elements as they lie.
  template <class T>
  void PutArray(std::span<const T> array) {
    static_assert(std::is_trivially_copyable_v<T>);
    Put(std::uint64_t{array.size()});
    Write(array.data(), array.size_bytes());
  }
  template <class T, class Allocator>
  void PutArray(const std::vector<T, Allocator>& array) {
    PutArray(std::span<const T>(array));
  }
  void PutText(std::string_view text) { PutArray(std::span<const char>(text)); }
  /// A file that must be on the disk before this one is.
  void SyncToo(int file);

  /// The table and the footer. Nothing is put after it.
  void Finish(const SnapshotHeader& header);
  /// Waits for the disk. A failed fsync aborts the program.
  void Sync();
  /// The folder is not synced.
  void MoveTo(const std::filesystem::path& path);
  std::uint64_t bytes() const { return written_ + held_; }

 private:
  struct Section {
    std::uint64_t offset = 0, length = 0, checksum = 0;
  };
  void EndSection();
  void Flush();
  void WriteAll(const void* bytes, std::size_t size);

  std::filesystem::path path_;
  int file_;
  std::vector<int> others_;
  std::vector<Section> sections_;
  std::unique_ptr<std::uint8_t[]> buffer_;
  std::size_t held_ = 0;
  std::uint64_t written_ = 0;
  class Checksum;
  std::unique_ptr<Checksum> checksum_;
};

/// A cursor in one section. Threads: one. Errors: kDataLoss for what cannot be right, so that no length is believed that the section has not, kUnavailable for what cannot be read.
class SnapshotReader {
 public:
  ~SnapshotReader();
  SnapshotReader(SnapshotReader&&) noexcept;
  void Read(void* to, std::size_t size);
  template <class T>
  T Get() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    Read(&value, sizeof value);
    return value;
  }
  /// How many elements of at least `bytes_each` follow: no more than there is room for.
  std::size_t GetCount(std::size_t bytes_each);
  template <class T, class Allocator>
  void GetArray(std::vector<T, Allocator>& to) {
    static_assert(std::is_trivially_copyable_v<T>);
    to.resize(GetCount(sizeof(T)));
    Read(to.data(), to.size() * sizeof(T));
  }
  std::string GetText();
  std::uint64_t left() const { return left_; }
  /// Errors: kDataLoss if something is left, or it was not what was written. Nothing that was read is to be trusted before.
  void Finish();
  [[noreturn]] static void ThrowDamaged(std::string_view what);
  static void Check(bool is_right, std::string_view what) {
    if (!is_right) ThrowDamaged(what);
  }

 private:
  friend class SnapshotFile;
  SnapshotReader(int file, std::uint64_t offset, std::uint64_t length, std::uint64_t checksum);
  void ReadFile(void* to, std::size_t size);

  int file_;
  std::uint64_t at_, left_, unread_, expected_;  // left_: of the section; unread_: of the file, what is in the buffer excepted
  std::unique_ptr<std::uint8_t[]> buffer_;
  std::size_t buffered_ = 0, taken_ = 0;
  class Checksum;
  std::unique_ptr<Checksum> checksum_;
};

/// A file that is whole as far as its header and table go. Threads: sections may be read by several.
class SnapshotFile {
 public:
  /// Errors: kNotFound, kDataLoss (damaged, or not a snapshot), kFailedPrecondition (of another build of this program, or of an index with other settings).
  SnapshotFile(const std::filesystem::path& path, std::uint64_t what);
  ~SnapshotFile();
  SnapshotFile(const SnapshotFile&) = delete;
  SnapshotFile& operator=(const SnapshotFile&) = delete;
  const SnapshotHeader& header() const { return header_; }
  std::size_t sections() const { return sections_.size(); }
  /// Errors: kDataLoss if there are not so many.
  SnapshotReader Section(std::size_t number) const;
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct Place {
    std::uint64_t offset, length, checksum;
  };
  int file_;
  std::uint64_t bytes_ = 0;
  SnapshotHeader header_;
  std::vector<Place> sections_;
};

}  // namespace tenfold::retrieval
