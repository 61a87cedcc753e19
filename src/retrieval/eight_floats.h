#pragma once
/// \file Eight floats at once; compilers turn them into AVX or NEON instructions.
#include <cstdint>
#include <cstring>

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace tenfold::retrieval {

using Eight = float __attribute__((vector_size(32)));
using EightBits = std::int32_t __attribute__((vector_size(32)));
using EightBytes = std::uint8_t __attribute__((vector_size(8)));

inline Eight Load(const float* from) {
  Eight v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
inline void Store(float* to, Eight v) { std::memcpy(to, &v, sizeof v); }
inline float Sum(Eight v) { return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])); }
inline EightBytes ToBytes(Eight v) { return __builtin_convertvector(__builtin_convertvector(v, EightBits), EightBytes); }
inline Eight FromBytes(EightBytes v) { return __builtin_convertvector(v, Eight); }
/// Bit i: is_set[i] is all ones.
inline std::uint32_t SignsOf(EightBits is_set) {
#ifdef __AVX2__
  return static_cast<std::uint32_t>(_mm256_movemask_ps(reinterpret_cast<__m256>(is_set)));
#else
  std::uint32_t bits = 0;
  for (unsigned j = 0; j < 8; ++j) bits |= static_cast<std::uint32_t>(is_set[j] & 1) << j;
  return bits;
#endif
}

}  // namespace tenfold::retrieval
