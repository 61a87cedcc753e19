#include "retrieval/vector_codes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>

#include "retrieval/eight_floats.h"

namespace tenfold::retrieval {
namespace {

constexpr int kRounds = 4;
constexpr float kSteps = 31;
constexpr float kNone = -std::numeric_limits<float>::infinity();

/// Multiplied by `signs`, then mixed, in place; `n` is a power of two from 64 on. Lengths stay if the signs are 1/sqrt(n).
void Hadamard(float* data, const float* signs, std::size_t n) {
  constexpr Eight kOne = {1, -1, 1, -1, 1, -1, 1, -1}, kTwo = {1, 1, -1, -1, 1, 1, -1, -1}, kFour = {1, 1, 1, 1, -1, -1, -1, -1};
  for (std::size_t i = 0; i < n; i += 8) {
    Eight v = Load(data + i) * Load(signs + i);
    v = __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6) + v * kOne;
    v = __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5) + v * kTwo;
    v = __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3) + v * kFour;
    Store(data + i, v);
  }
  // Two steps at a time: half the loads and stores.
  std::size_t half = 8;
  for (; half * 2 < n; half *= 4)
    for (std::size_t i = 0; i < n; i += 4 * half)
      for (std::size_t j = i; j < i + half; j += 8) {
        const Eight a = Load(data + j), b = Load(data + j + half), c = Load(data + j + 2 * half), d = Load(data + j + 3 * half);
        const Eight sum = a + b, off = a - b, sum2 = c + d, off2 = c - d;
        Store(data + j, sum + sum2);
        Store(data + j + half, off + off2);
        Store(data + j + 2 * half, sum - sum2);
        Store(data + j + 3 * half, off - off2);
      }
  for (; half < n; half *= 2)
    for (std::size_t j = 0; j < half; j += 8) {
      const Eight a = Load(data + j), b = Load(data + j + half);
      Store(data + j, a + b);
      Store(data + j + half, a - b);
    }
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

std::uint32_t AtLeast(const float* values, float threshold) {
  std::uint32_t out = 0;
  for (unsigned i = 0; i < CodeList::kBlock; i += 8) out |= SignsOf(Load(values + i) >= threshold) << i;
  return out;
}

float Threshold(std::span<const float> values, std::size_t count) {
  const auto reached = [&](float threshold) {
    EightBits counts{};
    std::size_t i = 0;
    for (; i + 8 <= values.size(); i += 8) counts -= Load(&values[i]) >= threshold;
    std::size_t out = 0;
    for (std::size_t j = 0; j < 8; ++j) out += static_cast<std::size_t>(counts[j]);
    for (; i < values.size(); ++i) out += values[i] >= threshold;
    return out;
  };
  float high = kNone, sum = 0, least = std::numeric_limits<float>::max();
  std::size_t sampled = 0;
  Eight most = Eight{} + kNone;
  std::size_t at = 0;
  for (; at + 8 <= values.size(); at += 8) {
    const Eight x = Load(&values[at]);
    most = x > most ? x : most;
  }
  for (std::size_t j = 0; j < 8; ++j) high = std::max(high, most[j]);
  for (; at < values.size(); ++at) high = values[at] > high ? values[at] : high;
  if (!std::isfinite(high)) return kNone;
  for (std::size_t i = 0; i < values.size(); i += std::max<std::size_t>(1, values.size() / 64))
    if (values[i] > kNone) sum += values[i], ++sampled, least = std::min(least, values[i]);
  // The best are at the end of something like a normal distribution: a step is part of the way from the best down to the middle.
  float step = sampled ? (high - sum / static_cast<float>(sampled)) / 2 : 0;
  step = std::max(step, std::abs(high) * 1e-6f + 1e-30f);
  float low = high - step;
  for (int i = 0; reached(low) < count; ++i) {
    if (i == 64) return kNone;
    high = low;
    step *= i < 8 ? 1.3f : 4.0f;
    low -= step;
    if (!std::isfinite(low)) return kNone;
  }
  for (int i = 0; i < 16; ++i) {
    const float middle = low + (high - low) / 2;
    const auto now = reached(middle);
    (now < count ? high : low) = middle;
    if (now >= count && now <= count + count / 8) break;
  }
  return low;
}

void Shortlist::Begin(std::size_t size) {
  size_ = size;
  held_ = added_ = 0;
  trim_at_ = std::max<std::size_t>(2 * size, 256);
  threshold_ = -std::numeric_limits<float>::infinity();
  if (estimates_.size() < trim_at_ + CodeList::kBlock) {
    estimates_.resize(trim_at_ + CodeList::kBlock);
    rows_.resize(trim_at_ + CodeList::kBlock);
  }
}

void Shortlist::Add(const float* estimates, const CodeList::AnyRow* rows, std::uint32_t good) {
  added_ += static_cast<std::size_t>(std::popcount(good));
  for (; good; good &= good - 1) {
    const auto i = static_cast<std::size_t>(std::countr_zero(good));
    estimates_[held_] = estimates[i];
    rows_[held_++] = rows[i];
  }
  if (held_ >= trim_at_) Trim();
}

void Shortlist::Add(float estimate, std::uint32_t row) {
  estimates_[held_] = estimate;
  rows_[held_] = row;
  const bool is_good = estimate >= threshold_;
  held_ += is_good;
  added_ += is_good;
  if (held_ >= trim_at_) Trim();
}

void Shortlist::Trim() {
  threshold_ = std::max(threshold_, Threshold(std::span(estimates_).first(held_), size_));
  std::size_t kept = 0;
  for (std::size_t i = 0; i < held_; ++i) {
    estimates_[kept] = estimates_[i];
    rows_[kept] = rows_[i];
    kept += estimates_[i] >= threshold_;
  }
  held_ = kept;
  if (held_ * 2 <= trim_at_ + size_) return;
  // Nearly equal ones: any of them.
  std::vector<std::size_t> order(held_);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(size_), order.end(), [&](std::size_t a, std::size_t b) { return estimates_[a] != estimates_[b] ? estimates_[a] > estimates_[b] : a < b; });
  order.resize(size_);
  std::sort(order.begin(), order.end());
  for (std::size_t i = 0; i < size_; ++i) {
    estimates_[i] = estimates_[order[i]];
    rows_[i] = rows_[order[i]];
  }
  held_ = size_;
}

std::span<const std::uint32_t> Shortlist::Take() {
  if (held_ > size_) Trim();
  return std::span(rows_).first(held_);
}

Rotation::Rotation(std::size_t dim) : padded_((dim + 63) / 64 * 64), power_(std::bit_floor(padded_)) {
  std::mt19937 random(20240601);  // fixed: codes of one program fit those of another
  signs_.resize(kRounds * power_);
  const float scale = 1 / std::sqrt(static_cast<float>(power_));
  for (auto& sign : signs_) sign = random() & 1 ? scale : -scale;
}

void Rotation::Apply(std::span<const float> in, std::span<float> out) const {
  std::copy(in.begin(), in.end(), out.begin());
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(in.size()), out.end(), 0.0f);
  // Of 384 dimensions the first 256 are mixed, then the last 256, and so on: no padding to 512.
  for (std::size_t round = 0; round < kRounds; ++round) Hadamard(out.data() + (round % 2 ? padded_ - power_ : 0), &signs_[round * power_], power_);
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
    const auto low_bytes = ToBytes(low), high_bytes = ToBytes(high);
    std::memcpy(&sums[g * 16], &low_bytes, 8);
    std::memcpy(&sums[g * 16 + 8], &high_bytes, 8);
  }
  step = 2 * unit;
  base = 2 * low_sum - total;
#ifdef __AVX512BW__
  pairs.resize(2 * sums.size());
  for (std::size_t g = 0; g < groups; ++g) {
    // Group 4p + 2b + h: byte b of pair p, half h.
    auto* to = &pairs[g / 4 * 128 + g % 2 * 64 + g / 2 % 2 * 32];
    std::memcpy(to, &sums[g * 16], 16);
    std::memcpy(to + 16, &sums[g * 16], 16);
  }
#endif
}

std::uint8_t* CodeBlocks::Take() {
  if (!free_.empty()) {
    auto* block = free_.back();
    free_.pop_back();
    return block;
  }
  const auto number = records_.size();
  records_.Reach(number);
  auto* block = records_.at(number);
  Empty(block);
  return block;
}

void CodeBlocks::Give(std::uint8_t* block) {
  Empty(block);
  free_.push_back(block);
}

void CodeBlocks::Empty(std::uint8_t* block) {
  std::fill_n(block, records_.stride(), std::uint8_t{0});
  std::fill_n(reinterpret_cast<CodeList::AnyFloat*>(block + records_.stride()) - 2 * kBlock, kBlock, kNone);
}

void CodeList::Replace(std::size_t place, std::span<const float> rotated, std::span<const float> centre, float less) {
  // With r = vector - centre and s its signs, <r, q> = <r, centre> + <r, q - centre>, and the latter is about |r|^2 / sum|r| * <s, q - centre>.
  auto* block = blocks_[place / kBlock];
  const auto at = place % kBlock;
  Eight squares{}, absolutes{}, with_centre{}, signs_with_centre{};
  for (std::size_t byte = 0; byte < padded_ / 8; ++byte) {
    const Eight c = Load(&centre[byte * 8]), r = Load(&rotated[byte * 8]) - c;
    const EightBits is_set = r > 0;
    squares += r * r;
    absolutes += is_set ? r : -r;
    with_centre += r * c;
    signs_with_centre += is_set ? c : -c;
    block[byte * kBlock + at] = static_cast<std::uint8_t>(SignsOf(is_set));
  }
  const float absolute = Sum(absolutes), ratio = absolute > 0 ? Sum(squares) / absolute : 0, scale = std::isfinite(ratio) ? ratio : 0;
  Scales(block)[at] = scale;
  Scales(block)[kBlock + at] = Sum(with_centre) - scale * Sum(signs_with_centre) - less;
}

void CodeList::Add(CodeBlocks& from, std::uint32_t row, std::span<const float> rotated, std::span<const float> centre, float less) {
  if (size_ % kBlock == 0) blocks_.push_back(from.Take());
  Rows(blocks_.back())[size_ % kBlock] = row;
  Replace(size_++, rotated, centre, less);
}

std::uint32_t CodeList::Remove(CodeBlocks& list, std::size_t place) {
  const auto last = --size_, to_at = place % kBlock, from_at = last % kBlock;
  auto *to = blocks_[place / kBlock], *from = blocks_[last / kBlock];
  const auto moved = Rows(from)[from_at];
  for (std::size_t byte = 0; byte < padded_ / 8; ++byte) {
    to[byte * kBlock + to_at] = from[byte * kBlock + from_at];
    from[byte * kBlock + from_at] = 0;
  }
  for (std::size_t part = 0; part < 2; ++part) {
    Scales(to)[part * kBlock + to_at] = Scales(from)[part * kBlock + from_at];
    Scales(from)[part * kBlock + from_at] = part == 0 ? 0 : kNone;
  }
  Rows(to)[to_at] = moved;
  Rows(from)[from_at] = 0;
  if (from_at == 0) {
    list.Give(from);
    blocks_.pop_back();
  }
  return moved;
}

void CodeList::Clear(CodeBlocks& to) {
  for (auto* block : blocks_) to.Give(block);
  blocks_ = {};
  size_ = 0;
}

namespace {

/// The sums of the tables' entries of a block's codes. Shape: sums [kBlock].
void SumTables(const std::uint8_t* codes, const CodeTables& query, std::uint16_t* sums) {
  constexpr std::size_t kBlock = CodeList::kBlock;
  const std::size_t bytes = query.sums.size() / 32;
#ifdef __AVX2__
  __m256i all_sums, odd_sums;
#ifdef __AVX512BW__
  const auto high_half_of = [](__m512i bits) {
#ifdef __GFNI__
    return _mm512_gf2p8affine_epi64_epi8(bits, _mm512_set1_epi64(0x1020408000000000), 0);  // each byte's bits 4 to 7 as 0 to 3, in one step
#else
    return _mm512_and_si512(_mm512_srli_epi16(bits, 4), _mm512_set1_epi8(15));
#endif
  };
  __m512i all = _mm512_setzero_si512(), odd = all;
  const auto* tables = query.pairs.data();
  // Two bytes of the codes are side by side. Four of them are eight tables of at most 31 each: their sum fits a byte. Dimensions are a multiple of 64, so bytes of eight.
  for (std::size_t byte = 0; byte < bytes; byte += 8) {
    __m512i eight = _mm512_setzero_si512();
    for (std::size_t j = 0; j < 4; ++j, tables += 128) {
      const __m512i bits = _mm512_loadu_si512(codes + (byte + 2 * j) * kBlock);
      eight = _mm512_add_epi8(eight, _mm512_shuffle_epi8(_mm512_loadu_si512(tables), _mm512_and_si512(bits, _mm512_set1_epi8(15))));
      eight = _mm512_add_epi8(eight, _mm512_shuffle_epi8(_mm512_loadu_si512(tables + 64), high_half_of(bits)));
    }
    all = _mm512_add_epi16(all, eight);
    odd = _mm512_add_epi16(odd, _mm512_srli_epi16(eight, 8));
  }
  all_sums = _mm256_add_epi16(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
  odd_sums = _mm256_add_epi16(_mm512_castsi512_si256(odd), _mm512_extracti64x4_epi64(odd, 1));
#else
  const __m256i low_half = _mm256_set1_epi8(15);
  all_sums = odd_sums = _mm256_setzero_si256();
  const auto* tables = query.sums.data();
  const auto table = [&](std::size_t group) { return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(tables + group * 16))); };
  // Four bytes of a code are eight tables of at most 31: their sum fits a byte. Dimensions are a multiple of 64, so bytes of four.
  for (std::size_t byte = 0; byte < bytes; byte += 4) {
    __m256i eight = _mm256_setzero_si256();
    for (std::size_t j = 0; j < 4; ++j) {
      const __m256i bits = _mm256_load_si256(reinterpret_cast<const __m256i*>(codes + (byte + j) * kBlock));
      eight = _mm256_add_epi8(eight, _mm256_shuffle_epi8(table(2 * (byte + j)), _mm256_and_si256(bits, low_half)));
      eight = _mm256_add_epi8(eight, _mm256_shuffle_epi8(table(2 * (byte + j) + 1), _mm256_and_si256(_mm256_srli_epi16(bits, 4), low_half)));
    }
    all_sums = _mm256_add_epi16(all_sums, eight);
    odd_sums = _mm256_add_epi16(odd_sums, _mm256_srli_epi16(eight, 8));
  }
#endif
  // What the odd bytes added to the even ones' sums goes again: 16 bits wrap round.
  const __m256i even_sums = _mm256_sub_epi16(all_sums, _mm256_slli_epi16(odd_sums, 8));
  const __m256i low = _mm256_unpacklo_epi16(even_sums, odd_sums), high = _mm256_unpackhi_epi16(even_sums, odd_sums);
  _mm256_store_si256(reinterpret_cast<__m256i*>(sums), _mm256_permute2x128_si256(low, high, 0x20));
  _mm256_store_si256(reinterpret_cast<__m256i*>(sums + 16), _mm256_permute2x128_si256(low, high, 0x31));
#else
  std::fill_n(sums, kBlock, std::uint16_t{0});
  for (std::size_t byte = 0; byte < bytes; ++byte)
    for (std::size_t i = 0; i < kBlock; ++i) {
      const unsigned bits = codes[byte * kBlock + i];
      sums[i] = static_cast<std::uint16_t>(sums[i] + query.sums[byte * 32 + (bits & 15)] + query.sums[byte * 32 + 16 + (bits >> 4)]);
    }
#endif
}

}  // namespace

std::uint32_t CodeList::Estimate(const Block& block, const CodeTables& query, float threshold, float* out) {
  using EightSums = std::uint16_t __attribute__((vector_size(16)));
  alignas(32) std::array<std::uint16_t, kBlock> sums;
  SumTables(block.codes, query, sums.data());
  const auto* scales = reinterpret_cast<const AnyFloat*>(block.codes + query.sums.size());
  std::uint32_t good = 0;
  for (unsigned i = 0; i < kBlock; i += 8) {
    EightSums eight;
    Eight scale, offset;
    std::memcpy(&eight, &sums[i], sizeof eight);
    std::memcpy(&scale, scales + i, sizeof scale);
    std::memcpy(&offset, scales + kBlock + i, sizeof offset);
    const Eight estimates = (offset + block.more) + scale * (query.base + query.step * __builtin_convertvector(__builtin_convertvector(eight, EightBits), Eight));
    Store(out + i, estimates);
    good |= SignsOf(estimates >= threshold) << i;
  }
  return good;
}

}  // namespace tenfold::retrieval
