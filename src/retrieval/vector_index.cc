#include "retrieval/vector_index.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

#ifdef __AVX512VPOPCNTDQ__
#include <immintrin.h>
#endif

#include "base/error.h"

namespace tenfold::retrieval {
namespace {

constexpr int kRounds = 3;
// How many times k is re-ranked. Measured by bench/search_100k on 384-dimensional text embeddings: 8 gives the recall@10 in docs/performance.md; the floor
// holds it for small k.
constexpr std::size_t kRerankFactor = 8;
constexpr std::size_t kMinRerank = 96;
constexpr int kQueryBits = 2;

void Hadamard(float* data, std::size_t n) {
  for (std::size_t half = 1; half < n; half *= 2)
    for (std::size_t i = 0; i < n; i += 2 * half)
      for (std::size_t j = i; j < i + half; ++j) {
        const float a = data[j], b = data[j + half];
        data[j] = a + b;
        data[j + half] = a - b;
      }
}

/// Sum over the planes of 2^plane * bits that code and plane share. Shapes: code [words], planes [kQueryBits, words].
std::uint32_t WeightedOnes(const std::uint64_t* code, const std::uint64_t* planes, std::size_t words) {
#if defined(__AVX512VPOPCNTDQ__) && defined(__AVX512F__)
  // Eight words at a time; the codes of 384 dimensions are exactly one step.
  __m512i sum = _mm512_setzero_si512();
  std::size_t w = 0;
  for (; w + 8 <= words; w += 8) {
    const __m512i bits = _mm512_loadu_si512(code + w);
    for (int plane = 0; plane < kQueryBits; ++plane) {
      const __m512i shared = _mm512_and_si512(bits, _mm512_loadu_si512(planes + static_cast<std::size_t>(plane) * words + w));
      sum = _mm512_add_epi64(sum, _mm512_slli_epi64(_mm512_popcnt_epi64(shared), static_cast<unsigned>(plane)));
    }
  }
  auto weighted = static_cast<std::uint32_t>(_mm512_reduce_add_epi64(sum));
#else
  std::uint32_t weighted = 0;
  std::size_t w = 0;
#endif
  for (; w < words; ++w)
    for (int plane = 0; plane < kQueryBits; ++plane) weighted += static_cast<std::uint32_t>(std::popcount(code[w] & planes[static_cast<std::size_t>(plane) * words + w])) << plane;
  return weighted;
}

#if defined(__AVX512VPOPCNTDQ__) && defined(__AVX512F__) && defined(__AVX512VL__)
#define TENFOLD_EIGHT_ROWS 1
/// WeightedOnes of eight rows that lie side by side, 16 bits each. A 64-bit lane counts at most 192 per eight words, so four rows share one lane while
/// lanes are summed: one horizontal sum for four rows instead of one each. `words` is a multiple of 8 and at most 64.
__m128i WeightedOnesOfEight(const std::uint64_t* codes, const std::uint64_t* planes, std::size_t words) {
  std::uint64_t four[2];
  for (std::size_t half = 0; half < 2; ++half) {
    __m512i packed = _mm512_setzero_si512();
    for (std::size_t w = 0; w < words; w += 8) {
      const __m512i low = _mm512_loadu_si512(planes + w), high = _mm512_loadu_si512(planes + words + w);
      for (unsigned r = 0; r < 4; ++r) {
        const __m512i bits = _mm512_loadu_si512(codes + (half * 4 + r) * words + w);
        const __m512i twice = _mm512_popcnt_epi64(_mm512_and_si512(bits, high));
        const __m512i sum = _mm512_add_epi64(_mm512_popcnt_epi64(_mm512_and_si512(bits, low)), _mm512_add_epi64(twice, twice));
        packed = _mm512_add_epi64(packed, _mm512_slli_epi64(sum, 16 * r));
      }
    }
    four[half] = static_cast<std::uint64_t>(_mm512_reduce_add_epi64(packed));
  }
  return _mm_set_epi64x(static_cast<long long>(four[1]), static_cast<long long>(four[0]));
}
static_assert(kQueryBits == 2);
#endif

/// The `size` best of what is added. What is worse than the worst of an earlier full set is not even kept.
class Shortlist {
 public:
  struct Candidate {
    float estimate;
    std::uint32_t row;
  };
  explicit Shortlist(std::size_t size) : size_(size) { kept_.reserve(4 * size); }
  void Add(float estimate, std::uint32_t row) {
    if (estimate <= threshold_) return;
    kept_.push_back({estimate, row});
    if (kept_.size() == 4 * size_) Trim();
  }
  /// What is not above it is not taken.
  float threshold() const { return threshold_; }
  std::vector<Candidate> Take() {
    if (kept_.size() > size_) Trim();
    return std::move(kept_);
  }

 private:
  void Trim() {
    std::nth_element(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(size_ - 1), kept_.end(), [](const Candidate& a, const Candidate& b) { return a.estimate > b.estimate; });
    threshold_ = kept_[size_ - 1].estimate;
    kept_.resize(size_);
  }
  const std::size_t size_;
  float threshold_ = -std::numeric_limits<float>::infinity();
  std::vector<Candidate> kept_;
};

std::vector<float> ToLengthOne(std::span<const float> vector) {
  double squares = 0;
  for (const float x : vector) squares += static_cast<double>(x) * static_cast<double>(x);
  const auto scale = squares > 0 ? static_cast<float>(1 / std::sqrt(squares)) : 0.0f;
  std::vector<float> out(vector.begin(), vector.end());
  for (auto& x : out) x *= scale;
  return out;
}

std::size_t PaddedOf(std::size_t dim) { return std::max<std::size_t>(64, std::bit_ceil(dim)); }

}  // namespace

VectorIndex::VectorIndex(std::size_t dim, Metric metric) : dim_(dim), metric_(metric), words_(PaddedOf(dim) / 64) {
  TENFOLD_CHECK(dim >= 1 && dim <= 4096);
  std::mt19937 random(20240601);  // fixed: codes of one program fit those of another
  signs_.resize(kRounds * PaddedOf(dim));
  for (auto& sign : signs_) sign = random() & 1 ? 1.0f : -1.0f;
}

void VectorIndex::Rotate(std::span<const float> in, std::span<float> out) const {
  std::fill(out.begin(), out.end(), 0.0f);
  std::copy(in.begin(), in.end(), out.begin());
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] *= signs_[static_cast<std::size_t>(round) * out.size() + i];
    Hadamard(out.data(), out.size());
  }
}

void VectorIndex::Put(std::uint32_t row, std::span<const float> vector) {
  if (vector.size() != dim_) throw Error(Code::kInvalidArgument, "the vector has " + std::to_string(vector.size()) + " dimensions, the index " + std::to_string(dim_));
  std::vector<float> scaled;
  if (metric_ == Metric::kCosine) vector = scaled = ToLengthOne(vector);
  if ((row + 1) * words_ > codes_.size()) {
    codes_.resize((row + 1) * words_);
    vectors_.resize((row + 1) * dim_);
    ones_.resize(row + 1);
  }
  std::vector<float> rotated(words_ * 64);
  Rotate(vector, rotated);
  auto* code = &codes_[row * words_];
  for (std::size_t w = 0; w < words_; ++w) {
    std::uint64_t bits = 0;
    for (std::size_t b = 0; b < 64; ++b) bits |= static_cast<std::uint64_t>(rotated[w * 64 + b] > 0) << b;
    code[w] = bits;
  }
  std::uint32_t ones = 0;
  for (std::size_t w = 0; w < words_; ++w) ones += static_cast<std::uint32_t>(std::popcount(code[w]));
  ones_[row] = static_cast<std::uint16_t>(ones);
  std::copy(vector.begin(), vector.end(), vectors_.begin() + static_cast<std::ptrdiff_t>(row * dim_));
  present_.Set(row);
}

void VectorIndex::Remove(std::uint32_t row) {
  present_.Clear(row);
  // Nothing of it stays in memory.
  std::fill_n(vectors_.begin() + static_cast<std::ptrdiff_t>(row * dim_), dim_, 0.0f);
  std::fill_n(codes_.begin() + static_cast<std::ptrdiff_t>(row * words_), words_, 0u);
}

std::vector<std::uint32_t> VectorIndex::Candidates(std::span<const float> query, const Bitmap& filter, std::size_t count) const {
  // The query keeps two bits a dimension, as bit planes: the inner product with a row's signs is then a few popcounts.
  const std::size_t padded = words_ * 64;
  std::vector<float> rotated(padded);
  Rotate(query, rotated);
  const auto [low, high] = std::minmax_element(rotated.begin(), rotated.end());
  const float step = std::max(1e-12f, (*high - *low) / ((1 << kQueryBits) - 1));
  std::vector<std::uint64_t> planes(kQueryBits * words_);
  for (std::size_t i = 0; i < padded; ++i) {
    const auto level = static_cast<unsigned>(std::lround((rotated[i] - *low) / step));
    for (int bit = 0; bit < kQueryBits; ++bit) planes[static_cast<std::size_t>(bit) * words_ + i / 64] |= static_cast<std::uint64_t>(level >> bit & 1) << i % 64;
  }
  const float base = *low;
  Shortlist shortlist(count);
  for (std::size_t block = 0; block < present_.words(); ++block) {
    std::uint64_t rows = present_.word(block) & filter.word(block);
#ifdef TENFOLD_EIGHT_ROWS
    if (words_ % 8 == 0 && std::popcount(rows) >= 16)
      for (unsigned eighth = 0; eighth < 8; ++eighth) {
        if ((rows >> 8 * eighth & 0xFF) != 0xFF) continue;  // a few of eight are quicker one by one
        rows &= ~(std::uint64_t{0xFF} << 8 * eighth);
        const auto first = static_cast<std::uint32_t>(block * 64 + 8 * eighth);
        const auto weighted = _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(WeightedOnesOfEight(&codes_[first * words_], planes.data(), words_)));
        const auto ones = _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(&ones_[first]))));
        const auto estimates = _mm256_add_ps(_mm256_mul_ps(_mm256_set1_ps(base), ones), _mm256_mul_ps(_mm256_set1_ps(step), weighted));
        unsigned good = _mm256_cmp_ps_mask(estimates, _mm256_set1_ps(shortlist.threshold()), _CMP_GT_OQ);
        alignas(32) float values[8];
        if (good) _mm256_store_ps(values, estimates);
        for (; good; good &= good - 1) shortlist.Add(values[std::countr_zero(good)], first + static_cast<std::uint32_t>(std::countr_zero(good)));
      }
#endif
    while (rows) {
      const auto row = static_cast<std::uint32_t>(block * 64 + static_cast<std::size_t>(std::countr_zero(rows)));
      rows &= rows - 1;
      // Sum of the query over the row's positive dimensions; twice that minus the whole sum is the estimate, and the whole sum is the same for all rows.
      const auto weighted = WeightedOnes(&codes_[row * words_], planes.data(), words_);
      shortlist.Add(base * static_cast<float>(ones_[row]) + step * static_cast<float>(weighted), row);
    }
  }
  std::vector<std::uint32_t> rows;
  for (const auto& one : shortlist.Take()) rows.push_back(one.row);
  return rows;
}

float VectorIndex::Score(std::uint32_t row, std::span<const float> query) const {
  const float* vector = &vectors_[row * dim_];
  float sums[16] = {};
  std::size_t d = 0;
  float score = 0;
  if (metric_ == Metric::kEuclidean) {
    for (; d + 16 <= dim_; d += 16)
      for (std::size_t j = 0; j < 16; ++j) sums[j] -= (vector[d + j] - query[d + j]) * (vector[d + j] - query[d + j]);
    for (; d < dim_; ++d) score -= (vector[d] - query[d]) * (vector[d] - query[d]);
  } else {
    for (; d + 16 <= dim_; d += 16)
      for (std::size_t j = 0; j < 16; ++j) sums[j] += vector[d + j] * query[d + j];
    for (; d < dim_; ++d) score += vector[d] * query[d];
  }
  for (const float sum : sums) score += sum;
  return score;
}

std::vector<Hit> VectorIndex::Search(std::span<const float> query, const Bitmap& filter, std::size_t k) const {
  if (query.size() != dim_) throw Error(Code::kInvalidArgument, "the query has " + std::to_string(query.size()) + " dimensions, the index " + std::to_string(dim_));
  if (k == 0) return {};
  std::vector<float> scaled;
  if (metric_ == Metric::kCosine) query = scaled = ToLengthOne(query);
  std::vector<std::uint32_t> candidates;
  if (metric_ == Metric::kCosine) candidates = Candidates(query, filter, std::max(kMinRerank, k * kRerankFactor));
  else
    for (std::size_t block = 0; block < present_.words(); ++block)
      for (auto rows = present_.word(block) & filter.word(block); rows; rows &= rows - 1) candidates.push_back(static_cast<std::uint32_t>(block * 64 + static_cast<std::size_t>(std::countr_zero(rows))));
  std::vector<Hit> hits;
  hits.reserve(candidates.size());
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    // The rows lie anywhere in memory: the one after next is fetched while this one is computed.
    if (i + 2 < candidates.size())
      for (std::size_t at = 0; at < dim_; at += 16) __builtin_prefetch(&vectors_[candidates[i + 2] * dim_ + at]);
    hits.push_back({candidates[i], Score(candidates[i], query)});
  }
  const auto keep = std::min(k, hits.size());
  std::partial_sort(hits.begin(), hits.begin() + static_cast<std::ptrdiff_t>(keep), hits.end(),
                    [](const Hit& a, const Hit& b) { return a.score != b.score ? a.score > b.score : a.row < b.row; });
  hits.resize(keep);
  return hits;
}

}  // namespace tenfold::retrieval
