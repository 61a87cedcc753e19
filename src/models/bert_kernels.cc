#include "models/bert_kernels.h"

#include <algorithm>
#include <cmath>

#include "models/bert_blocks.h"
#include "models/weight_rounding.h"

namespace tenfold::models {
namespace {

constexpr float kInputSteps = 255;
#ifdef TENFOLD_BYTE_RUNS
constexpr std::size_t kByteRows = 2;      // 2 rows x 4 registers of sums and 4 of the run: 12 of 16, and the weights of a run are read once for each
constexpr std::size_t kByteInputs = 512;  // 16 KB of a panel: half the first-level cache, in which it stays while the rows pass
constexpr std::size_t kByteTile = 48;     // rows whose sums are kept at a time: 6 KB
#endif

inline Floats GeluOf(Floats x) {
  const Floats z = x * 0.70710678f;
  const Floats a = z < 0.0f ? -z : z;
  const Floats t = 1.0f / (a * 0.3275911f + 1.0f);
  const Floats poly = ((((t * 1.061405429f - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
  const Floats tail = poly * Exp(-(a * a));  // 1 - erf(a)
  const Floats erf = z < 0.0f ? tail - 1.0f : 1.0f - tail;
  return x * 0.5f * (erf + 1.0f);
}

/// x * (1/2 + x * p(x^2)), p fitted to the normal distribution function for |x| <= 4.4 by iterated least squares; beyond, its value there. No division, no exponential.
inline Floats QuickGeluOf(Floats x) {
  const Floats c = Min(Max(x, Splat(-4.4f)), Splat(4.4f));
  const Floats u = c * c;
  Floats p = Splat(3.5729566e-11f);
  p = p * u - 3.75689615e-09f;
  p = p * u + 1.74179778e-07f;
  p = p * u - 4.72656341e-06f;
  p = p * u + 8.43104245e-05f;
  p = p * u - 1.05509575e-03f;
  p = p * u + 9.64336305e-03f;
  p = p * u - 6.60769486e-02f;
  p = p * u + 3.98761879e-01f;
  return x * (c * p + 0.5f);
}

/// What turns the sums of bytes back into floats: of rows, and of the panel's columns.
struct ByteScales {
  const float* row_scale;
  const float* row_low;
  const float* column_scale;
  const float* column_sum;
};

/// With input = low + scale * byte and weight = step * byte: sum(w * x) = scale * step * sum(bytes) + low * (step * sum(weight bytes)).
/// Shapes: sums [rows, kPanelColumns], out [rows, columns].
void WriteBytes(const Ints* sums, std::size_t rows, const ByteScales& scales, const float* bias, float* out, std::size_t out_stride, std::size_t columns) {
  alignas(64) float start[kPanelColumns] = {};
  if (bias) std::memcpy(start, bias, columns * sizeof(float));
  for (std::size_t r = 0; r < rows; ++r, out += out_stride, sums += kPanelRegisters) {
    Floats result[kPanelRegisters];
    for (std::size_t j = 0; j < kPanelRegisters; ++j) {
      const Floats offset = Load(scales.column_sum + j * kLanes) * scales.row_low[r] + Load(start + j * kLanes);
      result[j] = __builtin_convertvector(sums[j], Floats) * (Load(scales.column_scale + j * kLanes) * scales.row_scale[r]) + offset;
    }
    if (columns == kPanelColumns) {
      std::memcpy(out, result, sizeof result);
    } else {
      std::memcpy(out, result, columns * sizeof(float));
    }
  }
}

#ifndef TENFOLD_BYTE_RUNS
template <std::size_t kRows>
void MultiplyBlockBytes(const std::uint8_t* in, std::size_t in_stride, const std::int8_t* panel, std::size_t inputs, const ByteScales& scales,
                        const float* bias, float* out, std::size_t out_stride, std::size_t columns) {
  Ints sums[kRows][kPanelRegisters];
#ifdef __AVX512VNNI__
  static_assert(kPanelRegisters == 2);
  __m512i v[kRows][2];
#pragma unroll
  for (std::size_t r = 0; r < kRows; ++r) v[r][0] = v[r][1] = _mm512_setzero_si512();
#pragma clang loop unroll(disable)
  for (std::size_t i = 0; i < inputs; i += 4, panel += 4 * kPanelColumns) {
    const auto w0 = _mm512_load_si512(panel), w1 = _mm512_load_si512(panel + 2 * kPanelColumns);
#pragma unroll
    for (std::size_t r = 0; r < kRows; ++r) {
      std::int32_t four = 0;
      std::memcpy(&four, in + r * in_stride + i, sizeof four);
      const auto x = _mm512_set1_epi32(four);
      v[r][0] = _mm512_dpbusd_epi32(v[r][0], x, w0);
      v[r][1] = _mm512_dpbusd_epi32(v[r][1], x, w1);
      KeepOrder();
    }
  }
#pragma unroll
  for (std::size_t r = 0; r < kRows; ++r)
    for (std::size_t j = 0; j < 2; ++j) sums[r][j] = std::bit_cast<Ints>(v[r][j]);
#else
  alignas(64) std::int32_t plain[kRows * kPanelColumns];
  internal::SumBytes(in, in_stride, kRows, panel, inputs, plain);
  std::memcpy(sums, plain, sizeof plain);
#endif
  WriteBytes(sums[0], kRows, scales, bias, out, out_stride, columns);
}
#endif

#ifdef TENFOLD_BYTE_RUNS
/// sums += the products of `inputs` bytes, a multiple of kByteRun. Bytes are multiplied in pairs into 16 bits; there a run of 8 inputs is added up, which cannot overflow (see kByteLaneMost), and
/// only then widened to 32: 3 products of registers instead of 4. Runs of 16 need 5 of 8 and were no faster, as additions then hold the multipliers up, and their weights are coarser.
template <std::size_t kRows>
void AddRuns(const std::uint8_t* in, std::size_t in_stride, const std::int8_t* panel, std::size_t inputs, Ints* sums, bool first) {
  static_assert(kPanelRegisters == 4);
  constexpr std::size_t kFours = internal::kByteRun / 4;
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i v[kRows][4];
#pragma unroll
  for (std::size_t r = 0; r < kRows; ++r)
    for (std::size_t j = 0; j < 4; ++j) v[r][j] = first ? _mm256_setzero_si256() : std::bit_cast<__m256i>(sums[r * 4 + j]);
#pragma clang loop unroll(disable)
  for (std::size_t i = 0; i < inputs; i += internal::kByteRun, panel += internal::kByteRun * kPanelColumns) {
#pragma unroll
    for (std::size_t r = 0; r < kRows; ++r) {
      __m256i run[4];
#pragma unroll
      for (std::size_t f = 0; f < kFours; ++f) {
        std::int32_t four = 0;
        std::memcpy(&four, in + r * in_stride + i + 4 * f, sizeof four);
        const auto x = _mm256_set1_epi32(four);
#pragma unroll
        for (std::size_t j = 0; j < 4; ++j) {
          const auto pairs = _mm256_maddubs_epi16(x, _mm256_load_si256(reinterpret_cast<const __m256i*>(panel) + 4 * f + j));
          run[j] = f ? _mm256_add_epi16(run[j], pairs) : pairs;
        }
        KeepOrder();
      }
#pragma unroll
      for (std::size_t j = 0; j < 4; ++j) v[r][j] = _mm256_add_epi32(v[r][j], _mm256_madd_epi16(run[j], ones));
    }
  }
#pragma unroll
  for (std::size_t r = 0; r < kRows; ++r)
    for (std::size_t j = 0; j < 4; ++j) sums[r * 4 + j] = std::bit_cast<Ints>(v[r][j]);
}
#endif

Precision Supported(Precision precision) {
#ifndef __AVX512BF16__
  if (precision == Precision::kBfloat16) return Precision::kFloat32;
#endif
  return precision;
}

}  // namespace

namespace internal {
void SumBytes(const std::uint8_t* in, std::size_t in_stride, std::size_t rows, const std::int8_t* panel, std::size_t inputs, std::int32_t* sums) {
  std::fill_n(sums, rows * kPanelColumns, 0);
  for (std::size_t i = 0; i < inputs; i += 4, panel += 4 * kPanelColumns)
    for (std::size_t r = 0; r < rows; ++r) {
      const std::uint8_t* x = in + r * in_stride + i;
      for (std::size_t c = 0; c < kPanelColumns; ++c)
        sums[r * kPanelColumns + c] += x[0] * panel[4 * c] + x[1] * panel[4 * c + 1] + x[2] * panel[4 * c + 2] + x[3] * panel[4 * c + 3];
    }
}
}  // namespace internal

Precision FastestPrecision() {
#if defined(__AVX512VNNI__)
  return Precision::kInt8;
#elif defined(__AVX512BF16__)
  return Precision::kBfloat16;
#else
  return Precision::kFloat32;
#endif
}

std::string_view NameOf(Precision precision) {
  switch (precision) {
    case Precision::kFloat32: return "fp32";
    case Precision::kBfloat16: return "bf16";
    case Precision::kInt8: return internal::kByteLaneMost ? "int8 runs" : "int8";
  }
  return "";
}

PackedMatrix::PackedMatrix(const float* weights, std::size_t outputs, std::size_t inputs, std::size_t output_stride, std::size_t input_stride,
                           Precision precision)
    : outputs_(outputs), inputs_(inputs), precision_(Supported(precision)) {
  const std::size_t columns = RoundUp(outputs, kPanelColumns);
  const std::size_t group = precision_ == Precision::kInt8 ? 4 : precision_ == Precision::kBfloat16 ? 2 : 1;  // inputs side by side
  const std::size_t padded = RoundUp(inputs, precision_ == Precision::kInt8 ? internal::kByteRun : group);
  if (precision_ == Precision::kFloat32) floats_ = AlignedBuffer<float>(columns * padded);
  if (precision_ == Precision::kBfloat16) halves_ = AlignedBuffer<std::uint16_t>(columns * padded);
  if (precision_ == Precision::kInt8) {
    bytes_ = AlignedBuffer<std::int8_t>(columns * padded);
    scales_.assign(columns, 0);
    sums_.assign(columns, 0);
  }
  std::vector<float> row(padded);
  std::vector<std::int8_t> bytes(padded);
  for (std::size_t o = 0; o < columns; ++o) {
    for (std::size_t i = 0; i < inputs; ++i) row[i] = o < outputs ? weights[o * output_stride + i * input_stride] : 0.0f;
    const float step = precision_ == Precision::kInt8 ? RoundWeights(row, bytes) : 0;
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < padded; ++i) {
      const std::size_t at = (o / kPanelColumns * padded + i / group * group) * kPanelColumns + o % kPanelColumns * group + i % group;
      if (precision_ == Precision::kFloat32) floats_.data()[at] = row[i];
      if (precision_ == Precision::kBfloat16) halves_.data()[at] = ToBfloat16(row[i]);
      if (precision_ != Precision::kInt8) continue;
      sum += bytes[i];
      bytes_.data()[at] = bytes[i];
    }
    if (precision_ != Precision::kInt8) continue;
    scales_[o] = step;
    sums_[o] = step * static_cast<float>(sum);
  }
}

void Inputs::Prepare(std::size_t rows, std::size_t width, Precision precision) {
  rows_ = rows;
  width_ = width;
  precision_ = Supported(precision);
  stride_ = RoundUp(width, 64);
  if (precision_ == Precision::kBfloat16) halves_.Need(rows * stride_);
  if (precision_ == Precision::kInt8) {
    bytes_.Need(rows * stride_);
    scales_.resize(rows);
    lows_.resize(rows);
  }
}

void Inputs::QuantiseRow(const float* in, std::size_t row, float low, float high) {
  const float range = high - low, inverse = range > 1e-30f ? kInputSteps / range : 0;
  scales_[row] = range / kInputSteps;
  lows_[row] = low;
  std::uint8_t* out = bytes_.data() + row * stride_;
  using Bytes = std::uint8_t __attribute__((vector_size(kLanes)));
  std::size_t i = 0;
  for (; i + kLanes <= width_; i += kLanes) {
    const auto bytes = __builtin_convertvector(__builtin_convertvector((Load(in + i) - low) * inverse + 0.5f, Ints), Bytes);
    std::memcpy(out + i, &bytes, sizeof bytes);
  }
  for (; i < width_; ++i) out[i] = static_cast<std::uint8_t>((in[i] - low) * inverse + 0.5f);
  for (; i < RoundUp(width_, internal::kByteRun); ++i) out[i] = 0;
}

void Inputs::Assign(const float* in, std::size_t rows, std::size_t width, std::size_t stride, Precision precision) {
  Prepare(rows, width, precision);
  if (precision_ == Precision::kFloat32) {
    floats_ = in;
    stride_ = stride;
    return;
  }
  for (std::size_t r = 0; r < rows; ++r, in += stride) {
    if (precision_ == Precision::kBfloat16) {
      ToHalves(in, width, halves_.data() + r * stride_);
      if (width % 2) halves_.data()[r * stride_ + width] = 0;
      continue;
    }
    Floats lows = Splat(in[0]), highs = lows;
    std::size_t i = 0;
    for (; i + kLanes <= width; i += kLanes) {
      const Floats v = Load(in + i);
      lows = Min(lows, v);
      highs = Max(highs, v);
    }
    float low = Lowest(lows), high = Highest(highs);
    for (; i < width; ++i) low = std::min(low, in[i]), high = std::max(high, in[i]);
    QuantiseRow(in, r, low, high);
  }
}

void Inputs::AssignGelu(float* in, std::size_t rows, std::size_t width, Precision precision) {
  if (Supported(precision) == Precision::kFloat32) {
    Gelu({in, rows * width});
    return Assign(in, rows, width, width, precision);
  }
  Prepare(rows, width, precision);
  for (std::size_t r = 0; r < rows; ++r, in += width) {
    Floats lows = Splat(0), highs = Splat(0);
    std::size_t i = 0;
    for (; i + kLanes <= width; i += kLanes) {
      const Floats v = QuickGeluOf(Load(in + i));
      Store(in + i, v);
      lows = Min(lows, v);
      highs = Max(highs, v);
    }
    float low = Lowest(lows), high = Highest(highs);
    for (; i < width; ++i) {
      in[i] = QuickGeluOf(Splat(in[i]))[0];
      low = std::min(low, in[i]), high = std::max(high, in[i]);
    }
    if (precision_ == Precision::kInt8) {
      QuantiseRow(in, r, low, high);
    } else {
      ToHalves(in, width, halves_.data() + r * stride_);
      if (width % 2) halves_.data()[r * stride_ + width] = 0;
    }
  }
}

#ifdef TENFOLD_BYTE_RUNS
void MultiplyBytes(const Inputs& in, const PackedMatrix& weights, const float* bias, float* out, std::size_t out_stride) {
  const std::size_t inputs = RoundUp(weights.inputs_, internal::kByteRun), panel_bytes = inputs * kPanelColumns, panels = RoundUp(weights.outputs_, kPanelColumns) / kPanelColumns;
  Ints sums[kByteTile * kPanelRegisters];
  for (std::size_t p = 0; p < panels; ++p) {
    const std::int8_t* const panel = weights.bytes_.data() + p * panel_bytes;
    const std::size_t first = p * kPanelColumns;
    for (std::size_t tile = 0; tile < in.rows_; tile += kByteTile) {
      const std::size_t rows = std::min(kByteTile, in.rows_ - tile);
      for (std::size_t i = 0; i < inputs; i += kByteInputs)
        ForBlocks<kByteRows>(rows, [&](std::size_t row, auto count) {
          AddRuns<decltype(count)::value>(in.bytes_.data() + (tile + row) * in.stride_ + i, in.stride_, panel + i * kPanelColumns, std::min(kByteInputs, inputs - i), sums + row * kPanelRegisters, i == 0);
        });
      WriteBytes(sums, rows, {in.scales_.data() + tile, in.lows_.data() + tile, weights.scales_.data() + first, weights.sums_.data() + first}, bias ? bias + first : nullptr,
                 out + tile * out_stride + first, out_stride, std::min(kPanelColumns, weights.outputs_ - first));
    }
  }
}
#endif

void Multiply(const Inputs& in, const PackedMatrix& weights, const float* bias, float* out, std::size_t out_stride) {
#ifdef TENFOLD_BYTE_RUNS
  if (weights.precision_ == Precision::kInt8) return MultiplyBytes(in, weights, bias, out, out_stride);
#endif
  // Panel outside, rows inside: a panel (12 to 192 KB) stays in the second-level cache while all rows pass it.
  for (std::size_t first = 0; first < weights.outputs_; first += kPanelColumns) {
    const std::size_t columns = std::min(kPanelColumns, weights.outputs_ - first);
    const float* panel_bias = bias ? bias + first : nullptr;
    ForBlocks(in.rows_, [&](std::size_t row, auto count) {
      constexpr std::size_t kRows = decltype(count)::value;
      float* to = out + row * out_stride + first;
#ifndef TENFOLD_BYTE_RUNS
      if (weights.precision_ == Precision::kInt8) {
        const std::size_t inputs = RoundUp(weights.inputs_, 4);
        const ByteScales scales{in.scales_.data() + row, in.lows_.data() + row, weights.scales_.data() + first, weights.sums_.data() + first};
        return MultiplyBlockBytes<kRows>(in.bytes_.data() + row * in.stride_, in.stride_, weights.bytes_.data() + first * inputs, inputs, scales, panel_bias,
                                         to, out_stride, columns);
      }
#endif
#ifdef __AVX512BF16__
      if (weights.precision_ == Precision::kBfloat16) {
        const std::size_t inputs = RoundUp(weights.inputs_, 2);
        return MultiplyBlockHalf<kRows>(in.halves_.data() + row * in.stride_, in.stride_, weights.halves_.data() + first * inputs, inputs, panel_bias, to,
                                        out_stride, columns);
      }
#endif
      MultiplyBlock<kRows>(in.floats_ + row * in.stride_, in.stride_, weights.floats_.data() + first * weights.inputs_, weights.inputs_, panel_bias, to,
                           out_stride, columns);
    });
  }
}

void AddAndNormalise(float* x, const float* residual, std::size_t rows, std::size_t width, const float* scale, const float* shift) {
  constexpr float kEpsilon = 1e-12f;
  for (std::size_t r = 0; r < rows; ++r, x += width) {
    float sum = 0, squares = 0;
    std::size_t i = 0;
    Floats sums{};
    for (; i + kLanes <= width; i += kLanes) {
      const Floats v = residual ? Load(x + i) + Load(residual + r * width + i) : Load(x + i);
      Store(x + i, v);
      sums += v;
    }
    for (; i < width; ++i) sum += x[i] += residual ? residual[r * width + i] : 0.0f;
    const float mean = (sum + Sum(sums)) / static_cast<float>(width);
    Floats deviations{};
    for (i = 0; i + kLanes <= width; i += kLanes) {
      const Floats d = Load(x + i) - mean;
      deviations += d * d;
    }
    for (; i < width; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const float inverse = 1.0f / std::sqrt((squares + Sum(deviations)) / static_cast<float>(width) + kEpsilon);
    for (i = 0; i + kLanes <= width; i += kLanes) Store(x + i, (Load(x + i) - mean) * inverse * Load(scale + i) + Load(shift + i));
    for (; i < width; ++i) x[i] = (x[i] - mean) * inverse * scale[i] + shift[i];
  }
}

void Gelu(std::span<float> x) {
  std::size_t i = 0;
  for (; i + kLanes <= x.size(); i += kLanes) Store(x.data() + i, GeluOf(Load(x.data() + i)));
  for (; i < x.size(); ++i) x[i] = GeluOf(Splat(x[i]))[0];
}

}  // namespace tenfold::models
