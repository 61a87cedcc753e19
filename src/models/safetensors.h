#pragma once
/// \file Reads tensors from .safetensors files. Every number in the header is checked before it is used.
/// Source: https://github.com/huggingface/safetensors, "Format": 8 bytes little-endian header size, JSON header, data.
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tenfold::models {

/// Where one tensor lies. Offsets count from the first byte of the file.
struct TensorEntry {
  std::string dtype;  ///< as in the file: F32, F16, BF16, I64, ...
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// The tensors a file declares, by name. `bytes` is the file, or at least its first 8 + header-size bytes; `file_bytes` its whole size.
/// Guarantees: every begin..end lies within the file's data, matches shape and type, and no two overlap.
/// Errors: kDataLoss for whatever is not so, naming the tensor.
std::map<std::string, TensorEntry> ParseSafetensorsHeader(std::string_view bytes, std::uint64_t file_bytes);

/// A mapped file. The file must not shrink while it is open: map, copy out, close.
class SafetensorsFile {
 public:
  /// Errors: kNotFound, kDataLoss.
  explicit SafetensorsFile(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::map<std::string, TensorEntry>& tensors() const { return tensors_; }
  /// The values as floats, row-major. Reads F32, F16 and BF16. Errors: kNotFound; kInvalidArgument for another type.
  std::vector<float> ReadFloats(const std::string& name) const;

 private:
  std::filesystem::path path_;
  const char* data_ = nullptr;
  std::uint64_t size_ = 0;
  std::map<std::string, TensorEntry> tensors_;
};

}  // namespace tenfold::models
