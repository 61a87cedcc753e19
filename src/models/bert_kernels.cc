#include "models/bert_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

namespace tenfold::models {
namespace {

// One register of the widest kind this build has. Compilers turn these into AVX-512, AVX2 or NEON instructions.
#ifdef __AVX512F__
constexpr std::size_t kLanes = 16;
constexpr std::size_t kBlockRows = 12;  // 12 rows x 2 registers of sums + 2 of weights: 26 of 32 registers
#else
constexpr std::size_t kLanes = 8;
constexpr std::size_t kBlockRows = 3;   // 3 rows x 4 registers: 12 of 16
#endif
using Floats = float __attribute__((vector_size(kLanes * sizeof(float))));
using Ints = std::int32_t __attribute__((vector_size(kLanes * sizeof(std::int32_t))));
constexpr std::size_t kPanelRegisters = kPanelColumns / kLanes;

inline Floats Load(const float* from) {
  Floats v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
inline void Store(float* to, Floats v) { std::memcpy(to, &v, sizeof v); }
inline Floats Splat(float x) { return Floats{} + x; }
inline float Sum(Floats v) {
  float sum = 0;
  for (std::size_t i = 0; i < kLanes; ++i) sum += v[i];
  return sum;
}

/// e^x, relative error below 2e-7 for -87 < x < 88; smaller x gives about 1e-38.
inline Floats Exp(Floats x) {
  constexpr float kRound = 12582912.0f;  // adding 1.5 * 2^23 rounds to a whole number
  x = x < -87.0f ? Splat(-87.0f) : x;
  x = x > 88.0f ? Splat(88.0f) : x;
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

inline Floats GeluOf(Floats x) {
  const Floats z = x * 0.70710678f;
  const Floats a = z < 0.0f ? -z : z;
  const Floats t = 1.0f / (a * 0.3275911f + 1.0f);
  const Floats poly = ((((t * 1.061405429f - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t;
  const Floats tail = poly * Exp(-(a * a));  // 1 - erf(a)
  const Floats erf = z < 0.0f ? tail - 1.0f : 1.0f - tail;
  return x * 0.5f * (erf + 1.0f);
}

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
void MultiplyBlock(const float* in, std::size_t in_stride, const float* panel, std::size_t inputs, const float* bias, float* out,
                   std::size_t out_stride, std::size_t columns) {
  Sums<kRows> sums(bias, columns);
  for (std::size_t i = 0; i < inputs; ++i, panel += kPanelColumns) {
    Floats w[kPanelRegisters];
    for (std::size_t j = 0; j < kPanelRegisters; ++j) w[j] = Load(panel + j * kLanes);
#pragma unroll
    for (std::size_t r = 0; r < kRows; ++r) {
      const Floats x = Splat(in[r * in_stride + i]);
#pragma unroll
      for (std::size_t j = 0; j < kPanelRegisters; ++j) sums.v[r][j] += x * w[j];
    }
  }
  sums.Write(out, out_stride, columns);
}

#ifdef __AVX512BF16__
/// Two inputs at a time: a panel row holds, for each output, the pair of weights that belongs to the pair of inputs.
template <std::size_t kRows>
void MultiplyBlockHalf(const std::uint16_t* in, std::size_t in_stride, const std::uint16_t* panel, std::size_t inputs, const float* bias,
                       float* out, std::size_t out_stride, std::size_t columns) {
  static_assert(kPanelRegisters == 2);
  Sums<kRows> sums(bias, columns);
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
    }
  }
  sums.Write(out, out_stride, columns);
}
#endif

/// Calls work(integral_constant<rows>) for 1..kBlockRows, so that every row count has its own unrolled loop.
template <class Work, std::size_t... kIndex>
void WithRows(std::size_t rows, Work&& work, std::index_sequence<kIndex...>) {
  ((rows == kIndex + 1 ? work(std::integral_constant<std::size_t, kIndex + 1>{}) : void()), ...);
}

std::uint16_t ToBfloat16(float x) {  // to nearest, ties to even; weights are finite
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

}  // namespace

Precision FastestPrecision() {
#ifdef __AVX512BF16__
  return Precision::kBfloat16;
#else
  return Precision::kFloat32;
#endif
}

PackedMatrix::PackedMatrix(const float* weights, std::size_t outputs, std::size_t inputs, std::size_t output_stride,
                           std::size_t input_stride, Precision precision)
    : outputs_(outputs), inputs_(inputs), precision_(std::min(precision, FastestPrecision())) {
  if (inputs % 2) precision_ = Precision::kFloat32;
  const std::size_t panels = (outputs + kPanelColumns - 1) / kPanelColumns;
  const std::size_t size = panels * kPanelColumns * inputs;
  if (precision_ == Precision::kFloat32) floats_ = AlignedBuffer<float>(size);
  else halves_ = AlignedBuffer<std::uint16_t>(size);
  for (std::size_t p = 0; p < panels; ++p)
    for (std::size_t i = 0; i < inputs; ++i)
      for (std::size_t c = 0; c < kPanelColumns; ++c) {
        const std::size_t o = p * kPanelColumns + c;
        const float value = o < outputs ? weights[o * output_stride + i * input_stride] : 0.0f;
        if (precision_ == Precision::kFloat32) floats_.data()[(p * inputs + i) * kPanelColumns + c] = value;
        else halves_.data()[p * inputs * kPanelColumns + (i / 2) * 2 * kPanelColumns + 2 * c + i % 2] = ToBfloat16(value);
      }
}

void Multiply(const float* in, std::size_t rows, std::size_t in_stride, const PackedMatrix& weights, const float* bias, float* out,
              std::size_t out_stride) {
  const std::size_t inputs = weights.inputs_;
#ifdef __AVX512BF16__
  AlignedBuffer<std::uint16_t> halves;
  if (weights.precision_ == Precision::kBfloat16) {
    halves = AlignedBuffer<std::uint16_t>(rows * inputs);
    for (std::size_t r = 0; r < rows; ++r) {
      std::size_t i = 0;
      for (; i + 16 <= inputs; i += 16)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(halves.data() + r * inputs + i),
                            std::bit_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_loadu_ps(in + r * in_stride + i))));
      for (; i < inputs; ++i) halves.data()[r * inputs + i] = ToBfloat16(in[r * in_stride + i]);
    }
  }
#endif
  // Panel outside, rows inside: a panel (24 to 192 KB) stays in the second-level cache while all rows pass it.
  for (std::size_t first = 0; first < weights.outputs_; first += kPanelColumns) {
    const std::size_t columns = std::min(kPanelColumns, weights.outputs_ - first);
    const float* panel_bias = bias ? bias + first : nullptr;
    for (std::size_t row = 0; row < rows; row += kBlockRows) {
      WithRows(std::min(kBlockRows, rows - row), [&](auto count) {
        constexpr std::size_t kRows = decltype(count)::value;
        float* to = out + row * out_stride + first;
#ifdef __AVX512BF16__
        if (weights.precision_ == Precision::kBfloat16)
          return MultiplyBlockHalf<kRows>(halves.data() + row * inputs, inputs, weights.halves_.data() + first * inputs, inputs, panel_bias, to,
                                          out_stride, columns);
#endif
        MultiplyBlock<kRows>(in + row * in_stride, in_stride, weights.floats_.data() + first * inputs, inputs, panel_bias, to, out_stride,
                             columns);
      }, std::make_index_sequence<kBlockRows>{});
    }
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

}  // namespace tenfold::models
