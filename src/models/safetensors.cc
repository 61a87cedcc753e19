#include "models/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/json.h"

namespace tenfold::models {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian and so is every machine we build for");

// A header of a 70-billion-parameter model is under 1 MB; the format itself allows 100 MB.
constexpr std::uint64_t kMaxHeaderBytes = 16u << 20;
constexpr std::uint64_t kPrefixBytes = 8;

[[noreturn]] void Refuse(const std::string& problem) { throw Error(Code::kDataLoss, "safetensors: " + problem); }

std::uint64_t ElementBytes(std::string_view dtype) {
  if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 8;
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 4;
  if (dtype == "F16" || dtype == "BF16" || dtype == "I16" || dtype == "U16") return 2;
  if (dtype == "I8" || dtype == "U8" || dtype == "BOOL" || dtype == "F8_E4M3" || dtype == "F8_E5M2") return 1;
  return 0;
}

std::optional<std::uint64_t> AsCount(const Json& value) {
  if (value.is_uint64()) return value.get_uint64();
  if (value.is_int64() && value.get_int64() >= 0) return static_cast<std::uint64_t>(value.get_int64());
  return std::nullopt;
}

TensorEntry ReadEntry(const std::string& name, const Json& value, std::uint64_t data_begin, std::uint64_t data_bytes) {
  const auto refuse = [&](const std::string& problem) { Refuse("tensor '" + name.substr(0, 80) + "' " + problem); };
  if (!value.is_object()) refuse("is not an object");
  const auto& object = value.get_object();
  const auto* dtype = object.if_contains("dtype");
  const auto* shape = object.if_contains("shape");
  const auto* offsets = object.if_contains("data_offsets");
  if (!dtype || !dtype->is_string() || !shape || !shape->is_array() || !offsets || !offsets->is_array() ||
      offsets->get_array().size() != 2)
    refuse("lacks dtype, shape or data_offsets");
  TensorEntry entry;
  entry.dtype = std::string(AsView(dtype->get_string()));
  std::uint64_t bytes = ElementBytes(entry.dtype);
  if (bytes == 0) refuse("has unknown type " + entry.dtype.substr(0, 20));
  for (const auto& item : shape->get_array()) {
    const auto count = AsCount(item);
    if (!count) refuse("has a shape that is not whole numbers");
    if (__builtin_mul_overflow(bytes, *count, &bytes)) refuse("is larger than any memory");
    entry.shape.push_back(*count);
  }
  const auto begin = AsCount(offsets->get_array()[0]);
  const auto end = AsCount(offsets->get_array()[1]);
  if (!begin || !end || *begin > *end || *end > data_bytes) refuse("lies outside the file's " + std::to_string(data_bytes) + " data bytes");
  if (*end - *begin != bytes) refuse("declares " + std::to_string(bytes) + " bytes and holds " + std::to_string(*end - *begin));
  entry.begin = data_begin + *begin;
  entry.end = data_begin + *end;
  return entry;
}

float FromHalf(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1Fu, mantissa = half & 0x3FFu;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  const std::uint32_t wide = exponent == 31 ? 255u : exponent + 112u;
  return std::bit_cast<float>(sign | wide << 23 | mantissa << 13);
}

}  // namespace

std::map<std::string, TensorEntry> ParseSafetensorsHeader(std::string_view bytes, std::uint64_t file_bytes) {
  if (bytes.size() < kPrefixBytes || file_bytes < kPrefixBytes) Refuse("file is shorter than 8 bytes");
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), kPrefixBytes);
  if (header_bytes > kMaxHeaderBytes)
    Refuse("header is " + std::to_string(header_bytes) + " bytes, limit " + std::to_string(kMaxHeaderBytes));
  if (header_bytes > file_bytes - kPrefixBytes || header_bytes > bytes.size() - kPrefixBytes) Refuse("header is cut off");
  Json header;
  try {
    header = ParseJson(bytes.substr(kPrefixBytes, header_bytes));
  } catch (const Error& e) {
    Refuse("header: " + e.message());
  }
  if (!header.is_object()) Refuse("header is not an object");
  const std::uint64_t data_begin = kPrefixBytes + header_bytes;
  std::map<std::string, TensorEntry> tensors;
  for (const auto& [key, value] : header.get_object()) {
    const std::string name(key);
    if (name == "__metadata__") continue;
    tensors.emplace(name, ReadEntry(name, value, data_begin, file_bytes - data_begin));
  }
  std::vector<std::pair<std::uint64_t, const std::pair<const std::string, TensorEntry>*>> by_begin;
  for (const auto& item : tensors)
    if (item.second.begin != item.second.end) by_begin.emplace_back(item.second.begin, &item);
  std::sort(by_begin.begin(), by_begin.end());
  for (std::size_t i = 1; i < by_begin.size(); ++i)
    if (by_begin[i].first < by_begin[i - 1].second->second.end)
      Refuse("tensors '" + by_begin[i - 1].second->first + "' and '" + by_begin[i].second->first + "' overlap");
  return tensors;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw Error(Code::kNotFound, "open " + path.string() + ": " + std::strerror(errno));
  struct stat info {};
  if (::fstat(file, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size < static_cast<off_t>(kPrefixBytes)) {
    ::close(file);
    throw Error(Code::kDataLoss, "open " + path.string() + ": not a safetensors file");
  }
  size_ = static_cast<std::uint64_t>(info.st_size);
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
  ::close(file);
  if (mapped == MAP_FAILED) throw Error(Code::kResourceExhausted, "map " + path.string() + ": " + std::strerror(errno));
  data_ = static_cast<const char*>(mapped);
  try {
    tensors_ = Within("open " + path.string(), [&] { return ParseSafetensorsHeader({data_, size_}, size_); });
  } catch (...) {
    ::munmap(const_cast<char*>(data_), size_);
    throw;
  }
}

SafetensorsFile::~SafetensorsFile() { ::munmap(const_cast<char*>(data_), size_); }

std::vector<float> SafetensorsFile::ReadFloats(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw Error(Code::kNotFound, path_.string() + ": no tensor '" + name + "'");
  const auto& entry = found->second;
  const char* from = data_ + entry.begin;
  const std::uint64_t bytes = entry.end - entry.begin;
  if (entry.dtype == "F32") {
    std::vector<float> out(bytes / 4);
    if (bytes) std::memcpy(out.data(), from, bytes);
    return out;
  }
  if (entry.dtype != "F16" && entry.dtype != "BF16")
    throw Error(Code::kInvalidArgument, path_.string() + ": tensor '" + name + "' is " + entry.dtype + ", need F32, F16 or BF16");
  std::vector<float> out(bytes / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t raw = 0;
    std::memcpy(&raw, from + 2 * i, 2);
    out[i] = entry.dtype == "F16" ? FromHalf(raw) : std::bit_cast<float>(static_cast<std::uint32_t>(raw) << 16);
  }
  return out;
}

}  // namespace tenfold::models
