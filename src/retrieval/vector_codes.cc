#include "retrieval/vector_codes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "base/error.h"

namespace tenfold::retrieval {
namespace {

constexpr int kRounds = 4;
constexpr float kSteps = 31;

// Eight floats; compilers turn them into AVX or NEON instructions.
using Eight = float __attribute__((vector_size(32)));
using EightBits = std::int32_t __attribute__((vector_size(32)));
using EightBytes = std::uint8_t __attribute__((vector_size(8)));
Eight Load(const float* from) {
  Eight v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
void Store(float* to, Eight v) { std::memcpy(to, &v, sizeof v); }
float Sum(Eight v) { return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])); }

/// In place; `n` is a power of two from 64 on. Lengths stay.
void Hadamard(float* data, std::size_t n) {
  const float scale = 1 / std::sqrt(static_cast<float>(n));
  constexpr Eight kOne = {1, -1, 1, -1, 1, -1, 1, -1}, kTwo = {1, 1, -1, -1, 1, 1, -1, -1}, kFour = {1, 1, 1, 1, -1, -1, -1, -1};
  for (std::size_t i = 0; i < n; i += 8) {
    Eight v = Load(data + i) * scale;
    v = __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6) + v * kOne;
    v = __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5) + v * kTwo;
    v = __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3) + v * kFour;
    Store(data + i, v);
  }
  for (std::size_t half = 8; half < n; half *= 2)
    for (std::size_t i = 0; i < n; i += 2 * half)
      for (std::size_t j = i; j < i + half; j += 8) {
        const Eight a = Load(data + j), b = Load(data + j + half);
        Store(data + j, a + b);
        Store(data + j + half, a - b);
      }
}

std::uint32_t SignsOf(EightBits is_set) {
#ifdef __AVX2__
  return static_cast<std::uint32_t>(_mm256_movemask_ps(reinterpret_cast<__m256>(is_set)));
#else
  std::uint32_t bits = 0;
  for (unsigned j = 0; j < 8; ++j) bits |= static_cast<std::uint32_t>(is_set[j] & 1) << j;
  return bits;
#endif
}

}  // namespace

float Dot(const float* a, const float* b, std::size_t dim) {
  Eight sums[4] = {};
  std::size_t d = 0;
  for (; d + 32 <= dim; d += 32)
    for (std::size_t j = 0; j < 4; ++j) sums[j] += Load(a + d + 8 * j) * Load(b + d + 8 * j);
  for (; d + 8 <= dim; d += 8) sums[0] += Load(a + d) * Load(b + d);
  float rest = 0;
  for (; d < dim; ++d) rest += a[d] * b[d];
  return Sum((sums[0] + sums[1]) + (sums[2] + sums[3])) + rest;
}

float SquaredDistance(const float* a, const float* b, std::size_t dim) {
  Eight sums[2] = {};
  std::size_t d = 0;
  for (; d + 16 <= dim; d += 16)
    for (std::size_t j = 0; j < 2; ++j) {
      const Eight off = Load(a + d + 8 * j) - Load(b + d + 8 * j);
      sums[j] += off * off;
    }
  float rest = 0;
  for (; d < dim; ++d) rest += (a[d] - b[d]) * (a[d] - b[d]);
  return Sum(sums[0] + sums[1]) + rest;
}

std::uint32_t Above(const float* estimates, float threshold) {
  std::uint32_t out = 0;
  for (unsigned i = 0; i < CodeList::kBlock; i += 8) out |= SignsOf(Load(estimates + i) > threshold) << i;
  return out;
}

Rotation::Rotation(std::size_t dim) : padded_((dim + 63) / 64 * 64), power_(std::bit_floor(padded_)) {
  std::mt19937 random(20240601);  // fixed: codes of one program fit those of another
  signs_.resize(kRounds * padded_);
  for (auto& sign : signs_) sign = random() & 1 ? 1.0f : -1.0f;
}

void Rotation::Apply(std::span<const float> in, std::span<float> out) const {
  std::copy(in.begin(), in.end(), out.begin());
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(in.size()), out.end(), 0.0f);
  // Of 384 dimensions the first 256 are mixed, then the last 256, and so on: no padding to 512.
  for (std::size_t round = 0; round < kRounds; ++round) {
    const float* signs = &signs_[round * padded_];
    for (std::size_t i = 0; i < padded_; ++i) out[i] *= signs[i];
    Hadamard(out.data() + (round % 2 ? padded_ - power_ : 0), power_);
  }
}

void CodeTables::Build(std::span<const float> rotated) {
  const std::size_t groups = rotated.size() / 4;
  sums.resize(groups * 16);
  thread_local std::vector<float> lows;
  lows.resize(groups);
  float widest = 1e-12f, total = 0, low_sum = 0;
  for (std::size_t g = 0; g < groups; ++g) {
    float low = 0, wide = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      const float x = rotated[g * 4 + j];
      low += std::min(x, 0.0f);
      wide += std::abs(x);
      total += x;
    }
    lows[g] = low;
    low_sum += low;
    widest = std::max(widest, wide);
  }
  constexpr Eight kOfFirst = {0, 1, 0, 1, 0, 1, 0, 1}, kOfSecond = {0, 0, 1, 1, 0, 0, 1, 1}, kOfThird = {0, 0, 0, 0, 1, 1, 1, 1};
  const float unit = widest / kSteps, inverse = 1 / unit;
  for (std::size_t g = 0; g < groups; ++g) {
    const float* q = &rotated[g * 4];
    const Eight low = (kOfFirst * q[0] + kOfSecond * q[1] + kOfThird * q[2] - lows[g]) * inverse + 0.5f, high = low + q[3] * inverse;
    const auto low_bytes = __builtin_convertvector(__builtin_convertvector(low, EightBits), EightBytes), high_bytes = __builtin_convertvector(__builtin_convertvector(high, EightBits), EightBytes);
    std::memcpy(&sums[g * 16], &low_bytes, 8);
    std::memcpy(&sums[g * 16 + 8], &high_bytes, 8);
  }
  step = 2 * unit;
  base = 2 * low_sum - total;
}

void CodeList::Replace(std::size_t place, std::span<const float> rotated, std::span<const float> centre) {
  // With r = vector - centre and s its signs, <r, q> = <r, centre> + <r, q - centre>, and the latter is about |r|^2 / sum|r| * <s, q - centre>.
  auto* block = &codes_[place / kBlock * kBlock * padded_ / 8];
  Eight squares{}, absolutes{}, with_centre{}, signs_with_centre{};
  for (std::size_t byte = 0; byte < padded_ / 8; ++byte) {
    const Eight c = Load(&centre[byte * 8]), r = Load(&rotated[byte * 8]) - c;
    const EightBits is_set = r > 0;
    squares += r * r;
    absolutes += is_set ? r : -r;
    with_centre += r * c;
    signs_with_centre += is_set ? c : -c;
    block[byte * kBlock + place % kBlock] = static_cast<std::uint8_t>(SignsOf(is_set));
  }
  const float absolute = Sum(absolutes), scale = absolute > 0 ? Sum(squares) / absolute : 0;
  scales_[place] = scale;
  offsets_[place] = Sum(with_centre) - scale * Sum(signs_with_centre);
}

void CodeList::Add(std::uint32_t row, std::span<const float> rotated, std::span<const float> centre) {
  const auto place = rows_.size();
  if (place % kBlock == 0) {
    codes_.resize((place / kBlock + 1) * kBlock * padded_ / 8);
    scales_.resize(place + kBlock);
    offsets_.resize(place + kBlock);
  }
  rows_.push_back(row);
  Replace(place, rotated, centre);
}

std::uint32_t CodeList::Remove(std::size_t place) {
  const auto last = rows_.size() - 1;
  const auto moved = rows_[last];
  auto* to = &codes_[place / kBlock * kBlock * padded_ / 8 + place % kBlock];
  auto* from = &codes_[last / kBlock * kBlock * padded_ / 8 + last % kBlock];
  for (std::size_t byte = 0; byte < padded_ / 8; ++byte) {
    to[byte * kBlock] = from[byte * kBlock];
    from[byte * kBlock] = 0;
  }
  scales_[place] = scales_[last];
  offsets_[place] = offsets_[last];
  scales_[last] = offsets_[last] = 0;
  rows_[place] = moved;
  rows_.pop_back();
  return moved;
}

void CodeList::Clear() {
  std::fill(codes_.begin(), codes_.end(), std::uint8_t{0});
  rows_ = {};
  codes_ = {};
  scales_ = {};
  offsets_ = {};
}

void CodeList::Estimate(std::size_t block, const CodeTables& query, float* out) const {
  const auto* codes = &codes_[block * kBlock * padded_ / 8];
  const float* scales = &scales_[block * kBlock];
  const float* offsets = &offsets_[block * kBlock];
  std::array<std::uint16_t, kBlock> sums;
#ifdef __AVX2__
  const __m256i low_half = _mm256_set1_epi8(15), even = _mm256_set1_epi16(0xFF);
  __m256i even_sums = _mm256_setzero_si256(), odd_sums = _mm256_setzero_si256();
  const auto* tables = query.sums.data();
  const auto table = [&](std::size_t group) { return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(tables + group * 16))); };
  // Four bytes of a code are eight tables of at most 31: their sum fits a byte. padded_ is a multiple of 64, so bytes of four.
  for (std::size_t byte = 0; byte < padded_ / 8; byte += 4) {
    __m256i eight = _mm256_setzero_si256();
    for (std::size_t j = 0; j < 4; ++j) {
      const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + (byte + j) * kBlock));
      eight = _mm256_add_epi8(eight, _mm256_shuffle_epi8(table(2 * (byte + j)), _mm256_and_si256(bits, low_half)));
      eight = _mm256_add_epi8(eight, _mm256_shuffle_epi8(table(2 * (byte + j) + 1), _mm256_and_si256(_mm256_srli_epi16(bits, 4), low_half)));
    }
    even_sums = _mm256_add_epi16(even_sums, _mm256_and_si256(eight, even));
    odd_sums = _mm256_add_epi16(odd_sums, _mm256_srli_epi16(eight, 8));
  }
  const __m256i low = _mm256_unpacklo_epi16(even_sums, odd_sums), high = _mm256_unpackhi_epi16(even_sums, odd_sums);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums.data()), _mm256_permute2x128_si256(low, high, 0x20));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums.data() + 16), _mm256_permute2x128_si256(low, high, 0x31));
#else
  sums.fill(0);
  for (std::size_t byte = 0; byte < padded_ / 8; ++byte)
    for (std::size_t i = 0; i < kBlock; ++i) {
      const unsigned bits = codes[byte * kBlock + i];
      sums[i] = static_cast<std::uint16_t>(sums[i] + query.sums[byte * 32 + (bits & 15)] + query.sums[byte * 32 + 16 + (bits >> 4)]);
    }
#endif
  for (std::size_t i = 0; i < kBlock; ++i) out[i] = offsets[i] + scales[i] * (query.base + query.step * static_cast<float>(sums[i]));
}

}  // namespace tenfold::retrieval
