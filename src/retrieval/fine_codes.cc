#include "retrieval/fine_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "retrieval/eight_floats.h"

namespace tenfold::retrieval {
namespace {

constexpr std::size_t kGroup = 64;        // dimensions
constexpr float kMiddleOfSteps = 7.5f;    // a code's value is its step less this
constexpr float kStepOfDeviation = 0.335f;  // of 16 equal steps over a normal distribution: Max, "Quantizing for minimum distortion", 1960

}  // namespace

void FineQuery::Build(std::span<const float> rotated) {
  steps.resize(rotated.size());
  Eight most = Eight{} + 1e-30f, sums{};
  for (std::size_t i = 0; i < rotated.size(); i += 8) {
    const Eight x = Load(&rotated[i]), length = x > 0 ? x : -x;
    most = length > most ? length : most;
  }
  float widest = most[0];
  for (std::size_t j = 1; j < 8; ++j) widest = std::max(widest, most[j]);
  step = widest / 127;
  const float inverse = 1 / step;
  for (std::size_t i = 0; i < rotated.size(); i += 8) {
    // 0.5 to 255.5 before it is cut, so that what is cut is rounded.
    const EightBits rounded = __builtin_convertvector(Load(&rotated[i]) * inverse + 128.5f, EightBits) - 128;
    const auto bytes = __builtin_convertvector(rounded, EightBytes);
    std::memcpy(&steps[i], &bytes, 8);
    sums += __builtin_convertvector(rounded, Eight);
  }
  base = -kMiddleOfSteps * step * Sum(sums);
}

void FineCodes::Put(std::uint32_t row, std::span<const float> rotated) {
  records_.Reach(row);
  Eight squares{}, with_code{};
  for (std::size_t i = 0; i < padded_; i += 8) squares += Load(&rotated[i]) * Load(&rotated[i]);
  const float square = Sum(squares), deviation = std::sqrt(square / static_cast<float>(padded_)), inverse = deviation > 0 ? 1 / (kStepOfDeviation * deviation) : 0;
  auto* to = records_.at(row);
  for (std::size_t from = 0; from < padded_; from += kGroup, to += kGroup / 2)
    for (std::size_t i = 0; i < kGroup / 2; i += 8) {
      EightBytes halves[2];
      for (std::size_t half = 0; half < 2; ++half) {
        const Eight x = Load(&rotated[from + half * kGroup / 2 + i]), at = x * inverse + 8.0f;
        halves[half] = ToBytes(at < 0.0f ? Eight{} : at > 15.0f ? Eight{} + 15.0f : at);
        with_code += x * (FromBytes(halves[half]) - kMiddleOfSteps);
      }
      const EightBytes both = halves[0] | halves[1] << 4;
      std::memcpy(to + i, &both, 8);
    }
  const float sum = Sum(with_code), ratio = sum > 0 ? square / sum : 0, factor = std::isfinite(ratio) ? ratio : 0;
  std::memcpy(to, &factor, sizeof factor);
}

void FineCodes::Clear(std::uint32_t row) { std::fill_n(records_.at(row), records_.stride(), std::uint8_t{0}); }

float FineCodes::Estimate(std::uint32_t row, const FineQuery& query) const {
  const auto* codes = records_.at(row);
  float factor;
  std::memcpy(&factor, codes + padded_ / 2, sizeof factor);
#ifdef __AVX2__
  const auto* steps = query.steps.data();
  const __m256i low_half = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
  __m256i sums = _mm256_setzero_si256();
  for (std::size_t group = 0; group < padded_ / kGroup;) {
    // Products of two are at most 2 * 15 * 127: 8 of them fit 16 bits.
    __m256i few = _mm256_setzero_si256();
    for (const auto end = std::min(group + 4, padded_ / kGroup); group < end; ++group) {
      const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + group * 32));
      const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(steps + group * 64)), high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(steps + group * 64 + 32));
      few = _mm256_add_epi16(few, _mm256_maddubs_epi16(_mm256_and_si256(bits, low_half), low));
      few = _mm256_add_epi16(few, _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(bits, 4), low_half), high));
    }
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(few, ones));
  }
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  const auto sum = _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1)));
#else
  std::int32_t sum = 0;
  for (std::size_t group = 0; group < padded_ / kGroup; ++group)
    for (std::size_t i = 0; i < kGroup / 2; ++i) {
      const int bits = codes[group * 32 + i];
      sum += (bits & 15) * query.steps[group * kGroup + i] + (bits >> 4) * query.steps[group * kGroup + 32 + i];
    }
#endif
  return factor * (query.step * static_cast<float>(sum) + query.base);
}

void FineCodes::Decode(std::uint32_t row, std::span<float> out) const {
  const auto* codes = records_.at(row);
  float factor;
  std::memcpy(&factor, codes + padded_ / 2, sizeof factor);
  for (std::size_t from = 0; from < padded_; from += kGroup, codes += kGroup / 2)
    for (std::size_t i = 0; i < kGroup / 2; i += 8) {
      EightBytes both;
      std::memcpy(&both, codes + i, 8);
      Store(&out[from + i], factor * (FromBytes(both & 15) - kMiddleOfSteps));
      Store(&out[from + kGroup / 2 + i], factor * (FromBytes(both >> 4) - kMiddleOfSteps));
    }
}

}  // namespace tenfold::retrieval
