#pragma once
/// \file Whole-file reads and atomic, durable writes.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace tenfold {

/// Errors: kNotFound, kPermissionDenied, kResourceExhausted if larger than `limit_bytes`.
std::string ReadFile(const std::filesystem::path& path, std::uint64_t limit_bytes = 64u << 20);
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
