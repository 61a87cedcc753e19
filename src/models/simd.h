#pragma once
/// \file Vectors of floats as wide as this build's registers; compilers turn them into AVX-512, AVX2 or NEON instructions.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tenfold::models {

#ifdef __AVX512F__
inline constexpr std::size_t kLanes = 16;
#else
inline constexpr std::size_t kLanes = 8;
#endif
using Floats = float __attribute__((vector_size(kLanes * sizeof(float))));
using Ints = std::int32_t __attribute__((vector_size(kLanes * sizeof(std::int32_t))));

inline Floats Load(const float* from) {
  Floats v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
inline void Store(float* to, Floats v) { std::memcpy(to, &v, sizeof v); }
inline Floats Splat(float x) { return Floats{} + x; }
inline Floats Min(Floats a, Floats b) { return a < b ? a : b; }
inline Floats Max(Floats a, Floats b) { return a > b ? a : b; }
inline float Sum(Floats v) {
  float sum = 0;
  for (std::size_t i = 0; i < kLanes; ++i) sum += v[i];
  return sum;
}
inline float Lowest(Floats v) {
  float low = v[0];
  for (std::size_t i = 1; i < kLanes; ++i) low = v[i] < low ? v[i] : low;
  return low;
}
inline float Highest(Floats v) {
  float high = v[0];
  for (std::size_t i = 1; i < kLanes; ++i) high = v[i] > high ? v[i] : high;
  return high;
}

/// e^x, relative error below 2e-7 for -87 < x < 88; smaller x gives about 1e-38.
inline Floats Exp(Floats x) {
  constexpr float kRound = 12582912.0f;  // adding 1.5 * 2^23 rounds to a whole number
  x = Min(Max(x, Splat(-87.0f)), Splat(88.0f));
  const Floats n = (x * 1.44269504f + kRound) - kRound;
  const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Floats p = Splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const Ints exponent = (__builtin_convertvector(n, Ints) + 127) << 23;
  Floats power;
  std::memcpy(&power, &exponent, sizeof power);
  return p * power;
}

/// To nearest, ties to even; x is finite.
inline std::uint16_t ToBfloat16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

}  // namespace tenfold::models
