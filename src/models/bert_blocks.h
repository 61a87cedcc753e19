#pragma once
/// \file Of bert_kernels.cc and bert_attention.cc alone: blocks of a matrix product whose sums stay in registers.
#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include "models/bert_kernels.h"
#include "models/simd.h"

#if defined(__AVX512BF16__) || defined(__AVX512VNNI__) || defined(__AVX2__)
#include <immintrin.h>
#endif
namespace tenfold::models {

#ifdef __AVX512F__
inline constexpr std::size_t kBlockRows = 12;  // 12 rows x 2 registers of sums + 2 of weights: 26 of 32 registers
#else
inline constexpr std::size_t kBlockRows = 3;  // 3 rows x 4 registers: 12 of 16; weights are read from memory where they are multiplied
#endif
inline constexpr std::size_t kPanelRegisters = kPanelColumns / kLanes;

constexpr std::size_t RoundUp(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

/// Loads stay where they are written. Left alone, the compiler loads the inputs of all rows ahead of the products, runs out of registers and spends more time
/// on the stack than on products: 276 instead of 400 billion byte products a second.
inline void KeepOrder() { asm volatile("" ::: "memory"); }

/// Sums start at the bias, so that one pass writes the result.
template <std::size_t kRows>
struct Sums {
  Floats v[kRows][kPanelRegisters];
  explicit Sums(const float* bias, std::size_t columns) {
    alignas(64) float start[kPanelColumns] = {};
    if (bias) std::memcpy(start, bias, columns * sizeof(float));
    for (std::size_t r = 0; r < kRows; ++r)
      for (std::size_t j = 0; j < kPanelRegisters; ++j) v[r][j] = Load(start + j * kLanes);
  }
  void Write(float* out, std::size_t stride, std::size_t columns) const {
    for (std::size_t r = 0; r < kRows; ++r, out += stride) {
      if (columns == kPanelColumns) {
        for (std::size_t j = 0; j < kPanelRegisters; ++j) Store(out + j * kLanes, v[r][j]);
      } else {
        std::memcpy(out, v[r], columns * sizeof(float));
      }
    }
  }
};

template <std::size_t kRows>
void MultiplyBlock(const float* in, std::size_t in_stride, const float* panel, std::size_t inputs, const float* bias, float* out, std::size_t out_stride,
                   std::size_t columns) {
  Sums<kRows> sums(bias, columns);
#pragma clang loop unroll(disable)
  for (std::size_t i = 0; i < inputs; ++i, panel += kPanelColumns) {
#ifdef __AVX512F__
    Floats w[kPanelRegisters];
    for (std::size_t j = 0; j < kPanelRegisters; ++j) w[j] = Load(panel + j * kLanes);
#endif
#pragma unroll
    for (std::size_t r = 0; r < kRows; ++r) {
      const Floats x = Splat(in[r * in_stride + i]);
#pragma unroll
      for (std::size_t j = 0; j < kPanelRegisters; ++j) {
#ifdef __AVX512F__
        sums.v[r][j] += x * w[j];
#else
        sums.v[r][j] += x * Load(panel + j * kLanes);  // 12 sums, 4 weights and the input are one register more than there are: weights stay in the first-level cache
#endif
      }
      KeepOrder();
    }
  }
  sums.Write(out, out_stride, columns);
}

#ifdef __AVX512BF16__
/// Two inputs at a time: a panel row holds, for each output, the pair of weights that belongs to the pair of inputs.
template <std::size_t kRows>
void MultiplyBlockHalf(const std::uint16_t* in, std::size_t in_stride, const std::uint16_t* panel, std::size_t inputs, const float* bias, float* out,
                       std::size_t out_stride, std::size_t columns) {
  static_assert(kPanelRegisters == 2);
  Sums<kRows> sums(bias, columns);
#pragma clang loop unroll(disable)
  for (std::size_t i = 0; i < inputs; i += 2, panel += 2 * kPanelColumns) {
    const auto w0 = std::bit_cast<__m512bh>(_mm512_load_si512(panel));
    const auto w1 = std::bit_cast<__m512bh>(_mm512_load_si512(panel + kPanelColumns));
#pragma unroll
    for (std::size_t r = 0; r < kRows; ++r) {
      std::int32_t pair = 0;
      std::memcpy(&pair, in + r * in_stride + i, sizeof pair);
      const auto x = std::bit_cast<__m512bh>(_mm512_set1_epi32(pair));
      sums.v[r][0] = _mm512_dpbf16_ps(sums.v[r][0], x, w0);
      sums.v[r][1] = _mm512_dpbf16_ps(sums.v[r][1], x, w1);
      KeepOrder();
    }
  }
  sums.Write(out, out_stride, columns);
}
#endif

/// Calls work(integral_constant<rows>) for 1..kMost, so that every row count has its own unrolled loop.
template <class Work, std::size_t... kIndex>
void WithRows(std::size_t rows, Work&& work, std::index_sequence<kIndex...>) {
  ((rows == kIndex + 1 ? work(std::integral_constant<std::size_t, kIndex + 1>{}) : void()), ...);
}

/// Calls work(first row, integral_constant<rows>) for blocks of nearly equal size: 16 rows are 8 and 8, which keeps the multipliers busier than 12 and 4.
template <std::size_t kMost = kBlockRows, class Work>
void ForBlocks(std::size_t rows, Work&& work) {
  const std::size_t blocks = (rows + kMost - 1) / kMost;
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::size_t first = rows * b / blocks, count = rows * (b + 1) / blocks - first;
    WithRows(count, [&](auto constant) { work(first, constant); }, std::make_index_sequence<kMost>{});
  }
}

inline void ToHalves(const float* in, std::size_t count, std::uint16_t* out) {
  std::size_t i = 0;
#ifdef __AVX512BF16__
  for (; i + 16 <= count; i += 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), std::bit_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_loadu_ps(in + i))));
#endif
  for (; i < count; ++i) out[i] = ToBfloat16(in[i]);
}

}  // namespace tenfold::models
