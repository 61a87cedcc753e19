#pragma once
/// \file What 128 documents can have at most, added up from four bits each; compilers turn it into AVX-512, AVX2 or SSE instructions.
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tenfold::retrieval {

/// Bit i of `Out`: is_set[i] is all ones. There are as many as it has bits.
template <class Out, class IsSet>
Out BitsOf(const IsSet& is_set) {
  using Bits = bool __attribute__((ext_vector_type(8 * sizeof(Out))));
  const auto bits = __builtin_convertvector(is_set, Bits);
  Out out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}

/// A word's levels of 128 documents, 0 to 15. The 32 documents from 32 * k on have bits 4 * k and on of 32 numbers of 16 bits, so that all are taken apart without being moved.
struct LevelGroup {
  static constexpr std::uint32_t kSize = 128;
  std::array<std::uint16_t, kSize / 4> words;
  std::uint32_t at(std::uint32_t document) const { return words[document % 32] >> document / 32 * 4 & 15; }
  void Set(std::uint32_t document, std::uint32_t level) {
    const auto shift = document / 32 * 4;
    auto& word = words[document % 32];
    word = static_cast<std::uint16_t>((word & ~(15u << shift)) | level << shift);
  }
};

/// Sums of 128 documents in registers. Shape: sums [128].
class GroupSums {
 public:
  explicit GroupSums(const std::uint16_t* sums) { std::memcpy(parts_, sums, sizeof parts_); }
  /// Each level so many times. No sum goes over 16 bits.
  void Add(const LevelGroup& levels, std::uint16_t times) {
    Words all;
    std::memcpy(&all, levels.words.data(), sizeof all);
    parts_[0] += (all & 15) * times;
    parts_[1] += (all >> 4 & 15) * times;
    parts_[2] += (all >> 8 & 15) * times;
    parts_[3] += (all >> 12) * times;
  }
  void Store(std::uint16_t* sums) const { std::memcpy(sums, parts_, sizeof parts_); }
  bool AnyAtLeast(std::uint16_t least) const {
    const Words a = parts_[0] > parts_[1] ? parts_[0] : parts_[1], b = parts_[2] > parts_[3] ? parts_[2] : parts_[3], most = a > b ? a : b;
    return BitsOf<std::uint32_t>(most >= least) != 0;
  }
  /// Calls `visit(document)` for those that are at least `least`, in order.
  template <class F>
  void ForEachAtLeast(std::uint16_t least, F&& visit) const {
    for (std::uint32_t part = 0; part < 4; ++part)
      for (auto bits = BitsOf<std::uint32_t>(parts_[part] >= least); bits != 0; bits &= bits - 1) visit(32 * part + static_cast<std::uint32_t>(std::countr_zero(bits)));
  }

 private:
  using Words = std::uint16_t __attribute__((vector_size(64)));
  Words parts_[4];
};

/// The greatest of 16. Shape: sums [16].
inline std::uint16_t MostOf(const std::uint16_t* sums) {
  using Block = std::uint16_t __attribute__((vector_size(32)));
  Block block;
  std::memcpy(&block, sums, sizeof block);
  return __builtin_reduce_max(block);
}

}  // namespace tenfold::retrieval
