#include "models/bert_attention.h"

#include <algorithm>
#include <cmath>

#include "models/bert_blocks.h"

namespace tenfold::models {
namespace {

/// In place: exp(scale * x) / sum. Shapes: x [rows, width], rows `stride` floats apart.
void ScaledSoftmax(float* x, std::size_t rows, std::size_t width, std::size_t stride, float scale) {
  for (std::size_t r = 0; r < rows; ++r, x += stride) {
    const float top = *std::max_element(x, x + width) * scale;
    float sum = 0;
    Floats sums{};
    std::size_t i = 0;
    for (; i + kLanes <= width; i += kLanes) {
      const Floats e = Exp(Load(x + i) * scale - top);
      Store(x + i, e);
      sums += e;
    }
    for (; i < width; ++i) sum += x[i] = Exp(Splat(x[i] * scale - top))[0];
    const float inverse = 1.0f / (sum + Sum(sums));
    for (i = 0; i < width; ++i) x[i] *= inverse;
  }
}

/// A block of queries at a time, so that their scores stay in the first-level cache.
void AttendFloats(const float* in, std::size_t length, std::size_t width, std::size_t heads, float* out, AttentionScratch& scratch) {
  const std::size_t head_width = width / heads, stride = 3 * width, padded = RoundUp(length, kPanelColumns), value_columns = RoundUp(head_width, kPanelColumns);
  scratch.float_keys.Need(padded * head_width);
  scratch.float_values.Need(length * value_columns);
  scratch.scores.Need(kBlockRows * padded);
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_width));
  for (std::size_t h = 0; h < heads; ++h) {
    const float* queries = in + h * head_width;
    float* keys = scratch.float_keys.data();
    float* values = scratch.float_values.data();
    std::fill_n(keys + (padded - kPanelColumns) * head_width, kPanelColumns * head_width, 0.0f);
    std::fill_n(values + (value_columns - kPanelColumns) * length, kPanelColumns * length, 0.0f);
    for (std::size_t t = 0; t < length; ++t) {
      const float* key = queries + t * stride + width;
      for (std::size_t i = 0; i < head_width; ++i) keys[(t / kPanelColumns * head_width + i) * kPanelColumns + t % kPanelColumns] = key[i];
      for (std::size_t i = 0; i < head_width; ++i) values[(i / kPanelColumns * length + t) * kPanelColumns + i % kPanelColumns] = key[width + i];
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

/// 2^(x - largest) as bfloat16, up to `padded` (zeros past `length`). Returns the sum.
float ExponentiateRow(const float* x, std::size_t length, std::size_t padded, std::uint16_t* out) {
  const auto mask_at = [&](std::size_t i) { return i + 16 <= length ? __mmask16(0xFFFF) : i >= length ? __mmask16(0) : static_cast<__mmask16>((1u << (length - i)) - 1); };
  const __m512 lowest = _mm512_set1_ps(-3e38f);
  __m512 top = lowest;
  for (std::size_t i = 0; i < length; i += 16) top = _mm512_max_ps(top, _mm512_mask_loadu_ps(lowest, mask_at(i), x + i));
  const __m512 largest = _mm512_set1_ps(_mm512_reduce_max_ps(top));
  __m512 sums = _mm512_setzero_ps();
  for (std::size_t i = 0; i < padded; i += 16) {
    const __m512 e = _mm512_maskz_mov_ps(mask_at(i), QuickExp2(_mm512_sub_ps(_mm512_loadu_ps(x + i), largest)));
    sums = _mm512_add_ps(sums, e);
    _mm256_store_si256(reinterpret_cast<__m256i*>(out + i), std::bit_cast<__m256i>(_mm512_cvtneps_pbh(e)));
  }
  return _mm512_reduce_add_ps(sums);
}

/// A block of 12 queries at a time, so that their scores stay in the first-level cache.
void AttendHalves(const float* in, std::size_t length, std::size_t width, std::size_t heads, float* out, AttentionScratch& scratch) {
  const std::size_t head_width = width / heads, stride = 3 * width, padded = RoundUp(length, kPanelColumns);
  const std::size_t dims = RoundUp(head_width, 2), value_columns = RoundUp(head_width, kPanelColumns);
  scratch.queries.Need(length * dims);
  scratch.keys.Need(padded * dims);
  scratch.values.Need(padded * value_columns);
  scratch.scores.Need(kBlockRows * padded);
  scratch.weights.Need(kBlockRows * padded);
  const float to_log2 = 1.44269504f / std::sqrt(static_cast<float>(head_width));
  std::uint16_t row[1024];  // OpenBertEmbedder's limit of a head
  float scaled[1024];
  for (std::size_t h = 0; h < heads; ++h) {
    // Keys: a panel row holds, for 32 keys, one pair of their numbers. Values: for 32 numbers, those of a pair of positions.
    std::memset(scratch.values.data(), 0, padded * value_columns * sizeof(std::uint16_t));
    std::memset(scratch.keys.data() + (padded - kPanelColumns) * dims, 0, kPanelColumns * dims * sizeof(std::uint16_t));
    row[dims - 1] = 0;
    for (std::size_t t = 0; t < length; ++t) {
      const float* query = in + t * stride + h * head_width;
      for (std::size_t i = 0; i < head_width; ++i) scaled[i] = query[i] * to_log2;
      ToHalves(scaled, head_width, row);
      std::memcpy(scratch.queries.data() + t * dims, row, dims * sizeof(std::uint16_t));
      ToHalves(query + width, head_width, row);
      std::uint16_t* key = scratch.keys.data() + t / kPanelColumns * kPanelColumns * dims + t % kPanelColumns * 2;
      for (std::size_t i = 0; i < dims; i += 2) std::memcpy(key + i * kPanelColumns, row + i, 2 * sizeof(std::uint16_t));
      ToHalves(query + 2 * width, head_width, row);
      for (std::size_t i = 0; i < head_width; ++i)
        scratch.values.data()[i / kPanelColumns * kPanelColumns * padded + t / 2 * 2 * kPanelColumns + i % kPanelColumns * 2 + t % 2] = row[i];
    }
    ForBlocks(length, [&](std::size_t first, auto count) {
      constexpr std::size_t kRows = decltype(count)::value;
      for (std::size_t key = 0; key < padded; key += kPanelColumns)
        MultiplyBlockHalf<kRows>(scratch.queries.data() + first * dims, dims, scratch.keys.data() + key * dims, dims, nullptr, scratch.scores.data() + key,
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
