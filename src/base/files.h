#pragma once
/// \file Whole-file reads and atomic, durable writes.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace tenfold {

/// Errors: kNotFound, kPermissionDenied, kResourceExhausted if larger than `limit_bytes`.
std::string ReadFile(const std::filesystem::path& path, std::uint64_t limit_bytes = 64u << 20);
/// At most `length` bytes from `offset`, fewer at the end. Errors: as ReadFile.
std::string ReadFileRange(const std::filesystem::path& path, std::uint64_t offset, std::size_t length);

/// Makes what was created, renamed or removed in it durable. A failed fsync aborts the program.
void SyncFolder(const std::filesystem::path& folder);
/// Makes everything written so far on the file system of `folder` durable, other programs' files included: one wait of the disk for many files.
/// A failure aborts the program.
void SyncFileSystem(const std::filesystem::path& folder);

/// A file that is not there until it is whole. Destroyed before CommitAs() it leaves nothing behind.
class NewFile {
 public:
  /// `beside`: where it lies meanwhile; on the same file system as its place. Errors: kPermissionDenied, kResourceExhausted (disk full).
  explicit NewFile(std::filesystem::path beside);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  void Append(std::string_view bytes);
  /// Gives the descriptor back; nothing is appended after it. Errors: as Append (what the disk says only now).
  void Close();
  /// Fsyncs, renames into place, fsyncs the folder. A failed fsync aborts the program.
  void CommitAs(const std::filesystem::path& path);
  /// Renames into place and leaves durability to the caller: SyncFileSystem() before, so that a name never stands for half a file, and after.
  void MoveTo(const std::filesystem::path& path);

 private:
  std::filesystem::path beside_;
  int fd_;
};

/// Writes beside, fsyncs, renames into place, fsyncs the folder: readers see the old or the new file, never a part.
/// Errors: kResourceExhausted (disk full), kPermissionDenied. A failed fsync aborts the program.
void WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes);

/// Removed with all it holds when the object goes.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace tenfold
