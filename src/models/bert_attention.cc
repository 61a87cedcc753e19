#include "models/bert_attention.h"

#include <algorithm>
#include <cmath>

#include "models/bert_blocks.h"

namespace tenfold::models {
namespace {

/// Lane c of row r becomes lane r of row c, by as many perfect shuffles of all rows as a lane's number has bits.
inline void Transpose(Floats (&rows)[kLanes]) {
  constexpr std::size_t kHalf = kLanes / 2;
#pragma unroll
  for (std::size_t pass = 1; pass < kLanes; pass *= 2) {
    Floats next[kLanes];
#pragma unroll
    for (std::size_t i = 0; i < kHalf; ++i) {
#ifdef __AVX512F__
      next[2 * i] = __builtin_shufflevector(rows[i], rows[i + kHalf], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      next[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + kHalf], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#else
      next[2 * i] = __builtin_shufflevector(rows[i], rows[i + kHalf], 0, 8, 1, 9, 2, 10, 3, 11);
      next[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + kHalf], 4, 12, 5, 13, 6, 14, 7, 15);
#endif
    }
#pragma unroll
    for (std::size_t i = 0; i < kLanes; ++i) rows[i] = next[i];
  }
}

/// In place: exp(scale * x) / sum, scale > 0. Shapes: x [rows, width], rows `stride` floats apart, of which what follows the width up to whole registers is finite, and lost.
void ScaledSoftmax(float* x, std::size_t rows, std::size_t width, std::size_t stride, float scale) {
  const std::size_t whole = RoundUp(width, kLanes);
  alignas(64) float ones[kLanes] = {};  // of the last register's lanes, those within the width
  std::fill_n(ones, kLanes - (whole - width), 1.0f);
  const Floats within = Load(ones), beyond = (within - 1.0f) * 1e30f;
  for (std::size_t r = 0; r < rows; ++r, x += stride) {
    Store(x + whole - kLanes, Load(x + whole - kLanes) + beyond);
    Floats tops = Load(x), sums{};
    for (std::size_t i = kLanes; i < whole; i += kLanes) tops = Max(tops, Load(x + i));
    const float top = Highest(tops) * scale;
    for (std::size_t i = 0; i < whole; i += kLanes) {
      Floats e = Exp(Load(x + i) * scale - top);
      if (i + kLanes == whole) e *= within;  // not left at 1e-38: divided, it would be a denormal number, and those are slow
      Store(x + i, e);
      sums += e;
    }
    const float inverse = 1.0f / Sum(sums);
    for (std::size_t i = 0; i < whole; i += kLanes) Store(x + i, Load(x + i) * inverse);
  }
}

/// As `out` of a product reads them: [padded / kPanelColumns, head width, kPanelColumns]. Shape: keys [length, head width], `stride` floats apart.
void PackKeys(const float* keys, std::size_t stride, std::size_t length, std::size_t padded, std::size_t head_width, float* out) {
  for (std::size_t t = 0; t < padded; t += kLanes) {
    float* to = out + t / kPanelColumns * kPanelColumns * head_width + t % kPanelColumns;
    std::size_t i = 0;
    for (; i + kLanes <= head_width; i += kLanes, to += kLanes * kPanelColumns) {
      Floats tile[kLanes];
      for (std::size_t r = 0; r < kLanes; ++r) tile[r] = t + r < length ? Load(keys + (t + r) * stride + i) : Floats{};
      Transpose(tile);
      for (std::size_t r = 0; r < kLanes; ++r) Store(to + r * kPanelColumns, tile[r]);
    }
    for (; i < head_width; ++i, to += kPanelColumns)
      for (std::size_t r = 0; r < kLanes; ++r) to[r] = t + r < length ? keys[(t + r) * stride + i] : 0.0f;
  }
}

/// A block of queries at a time, so that their scores stay in the first-level cache.
void AttendFloats(const float* in, std::size_t length, std::size_t width, std::size_t heads, float* out, AttentionScratch& scratch) {
  const std::size_t head_width = width / heads, stride = 3 * width, padded = RoundUp(length, kPanelColumns), value_columns = RoundUp(head_width, kPanelColumns);
  scratch.float_keys.Need(padded * head_width);
  scratch.float_values.Need(length * value_columns);
  scratch.scores.Need(kBlockRows * padded);
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_width));
  float *const keys = scratch.float_keys.data(), *const values = scratch.float_values.data();
  if (value_columns > head_width) std::fill_n(values + (value_columns - kPanelColumns) * length, kPanelColumns * length, 0.0f);
  for (std::size_t h = 0; h < heads; ++h) {
    const float* queries = in + h * head_width;
    PackKeys(queries + width, stride, length, padded, head_width, keys);
    for (std::size_t i = 0; i < head_width; i += kPanelColumns) {
      const std::size_t columns = std::min(kPanelColumns, head_width - i);
      for (std::size_t t = 0; t < length; ++t) std::copy_n(queries + t * stride + 2 * width + i, columns, values + i * length + t * kPanelColumns);
    }
    ForBlocks(length, [&](std::size_t first, auto count) {
      constexpr std::size_t kRows = decltype(count)::value;
      for (std::size_t key = 0; key < padded; key += kPanelColumns)
        MultiplyBlock<kRows>(queries + first * stride, stride, keys + key * head_width, head_width, nullptr, scratch.scores.data() + key, padded, kPanelColumns);
      ScaledSoftmax(scratch.scores.data(), kRows, length, padded, scale);
      for (std::size_t column = 0; column < head_width; column += kPanelColumns)
        MultiplyBlock<kRows>(scratch.scores.data(), padded, values + column * length, length, nullptr, out + first * width + h * head_width + column, width,
                             std::min(kPanelColumns, head_width - column));
    });
  }
}

#ifdef __AVX512BF16__
/// 2^x for x <= 0, relative error below 2e-4: the result becomes a bfloat16, whose rounding is twenty times that.
inline __m512 QuickExp2(__m512 x) {
  const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 f = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(0.0558011f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.2402265f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.6931472f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
}

/// Those of the 16 numbers from `first` that are below `end`.
inline __mmask16 LanesBefore(std::size_t first, std::size_t end) { return first + 16 <= end ? __mmask16(0xFFFF) : first >= end ? __mmask16(0) : static_cast<__mmask16>((1u << (end - first)) - 1); }

/// 2^(x - largest) as bfloat16, up to `padded` (zeros past `length`). Returns the sum.
float ExponentiateRow(const float* x, std::size_t length, std::size_t padded, std::uint16_t* out) {
  const __m512 lowest = _mm512_set1_ps(-3e38f);
  __m512 top = lowest;
  for (std::size_t i = 0; i < length; i += 16) top = _mm512_max_ps(top, _mm512_mask_loadu_ps(lowest, LanesBefore(i, length), x + i));
  const __m512 largest = _mm512_set1_ps(_mm512_reduce_max_ps(top));
  __m512 sums = _mm512_setzero_ps();
  for (std::size_t i = 0; i < padded; i += 16) {
    const __m512 e = _mm512_maskz_mov_ps(LanesBefore(i, length), QuickExp2(_mm512_sub_ps(_mm512_loadu_ps(x + i), largest)));
    sums = _mm512_add_ps(sums, e);
    _mm256_store_si256(reinterpret_cast<__m256i*>(out + i), std::bit_cast<__m256i>(_mm512_cvtneps_pbh(e)));
  }
  return _mm512_reduce_add_ps(sums);
}

/// One head in bfloat16, zeros where there is nothing. Shapes: in [length, head width] thrice, `width` floats apart; queries [length, value_columns], times `scale`;
/// keys: for 32 at a time, a row holds one pair of their numbers; values: for 32 numbers at a time, a row holds those of a pair of positions.
void PackHead(const float* in, std::size_t width, std::size_t length, std::size_t padded, std::size_t head_width, float scale, AttentionScratch& scratch) {
  const std::size_t stride = 3 * width, dims = RoundUp(head_width, 2), value_columns = RoundUp(head_width, kPanelColumns);
  const auto load = [&](const float* from, std::size_t t, std::size_t i) { return _mm512_maskz_loadu_ps(t < length ? LanesBefore(i, head_width) : __mmask16(0), from + t * stride + i); };
  const auto two = [](__m512 first, __m512 second) { return std::bit_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first)); };
  const __m512i zip = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512 factor = _mm512_set1_ps(scale);
  for (std::size_t i = 0; i < head_width; i += kPanelColumns) {
    for (std::size_t t = 0; t < length; ++t)
      _mm512_store_si512(scratch.queries.data() + t * value_columns + i, two(_mm512_mul_ps(load(in, t, i), factor), _mm512_mul_ps(load(in, t, i + 16), factor)));
    for (std::size_t t = 0; t < padded; t += 16) {
      Floats tile[16];
      for (std::size_t r = 0; r < 16; ++r) tile[r] = std::bit_cast<Floats>(two(load(in + width, t + r, i), load(in + width, t + r, i + 16)));
      Transpose(tile);
      std::uint16_t* to = scratch.keys.data() + t / kPanelColumns * kPanelColumns * dims + i * kPanelColumns + t % kPanelColumns * 2;
      for (std::size_t pair = 0; pair < std::min<std::size_t>(16, (dims - i) / 2); ++pair) _mm512_store_ps(to + pair * 2 * kPanelColumns, std::bit_cast<__m512>(tile[pair]));
    }
    for (std::size_t t = 0; t < length; t += 2)
      for (std::size_t half = 0; half < kPanelColumns; half += 16)
        _mm512_store_si512(scratch.values.data() + i * padded + t * kPanelColumns + half * 2,
                           _mm512_permutexvar_epi16(zip, two(load(in + 2 * width, t, i + half), load(in + 2 * width, t + 1, i + half))));
  }
}

/// A block of 12 queries at a time, so that their scores stay in the first-level cache.
void AttendHalves(const float* in, std::size_t length, std::size_t width, std::size_t heads, float* out, AttentionScratch& scratch) {
  const std::size_t head_width = width / heads, padded = RoundUp(length, kPanelColumns), dims = RoundUp(head_width, 2), value_columns = RoundUp(head_width, kPanelColumns);
  scratch.queries.Need(length * value_columns);
  scratch.keys.Need(padded * dims);
  scratch.values.Need(padded * value_columns);
  scratch.scores.Need(kBlockRows * padded);
  scratch.weights.Need(kBlockRows * padded);
  const float to_log2 = 1.44269504f / std::sqrt(static_cast<float>(head_width));
  for (std::size_t h = 0; h < heads; ++h) {
    PackHead(in + h * head_width, width, length, padded, head_width, to_log2, scratch);
    ForBlocks(length, [&](std::size_t first, auto count) {
      constexpr std::size_t kRows = decltype(count)::value;
      for (std::size_t key = 0; key < padded; key += kPanelColumns)
        MultiplyBlockHalf<kRows>(scratch.queries.data() + first * value_columns, value_columns, scratch.keys.data() + key * dims, dims, nullptr, scratch.scores.data() + key,
                                 padded, kPanelColumns);
      float inverse[kRows];
      for (std::size_t r = 0; r < kRows; ++r)
        inverse[r] = 1.0f / ExponentiateRow(scratch.scores.data() + r * padded, length, padded, scratch.weights.data() + r * padded);
      for (std::size_t column = 0; column < head_width; column += kPanelColumns) {
        const std::size_t columns = std::min(kPanelColumns, head_width - column);
        float* to = out + first * width + h * head_width + column;
        MultiplyBlockHalf<kRows>(scratch.weights.data(), padded, scratch.values.data() + column * padded, RoundUp(length, 2), nullptr, to, width, columns);
        for (std::size_t r = 0; r < kRows; ++r)
          for (std::size_t i = 0; i < columns; ++i) to[r * width + i] *= inverse[r];
      }
    });
  }
}
#endif

}  // namespace

void Attend(const float* in, std::size_t length, std::size_t width, std::size_t heads, [[maybe_unused]] Precision precision, float* out,
            AttentionScratch& scratch) {
#ifdef __AVX512BF16__
  if (precision != Precision::kFloat32) return AttendHalves(in, length, width, heads, out, scratch);
#endif
  AttendFloats(in, length, width, heads, out, scratch);
}

}  // namespace tenfold::models
