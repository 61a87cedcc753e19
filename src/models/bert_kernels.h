#pragma once
/// \file The arithmetic of a BERT forward pass on one CPU thread, but for attention: blocked matrix product in three precisions, layer norm, GELU.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace tenfold::models {

/// How weights and the inputs they meet are kept. Sums of floats are always float32, sums of bytes exact.
enum class Precision : std::uint8_t {
  kFloat32,
  kBfloat16,  ///< rounded to bfloat16: half the bytes, twice the products per cycle where the CPU has AVX512-BF16; elsewhere kFloat32
  kInt8,      ///< bytes: weights with a scale per output, inputs with a scale and an offset per row; four times the products where it has AVX512-VNNI, two and a half times with AVX2
};
/// What this build multiplies fastest in, at a loss too small to matter: kInt8 loses below 0.5 % of nDCG@10 (embed_bench, Cranfield).
Precision FastestPrecision();
/// "fp32", "bf16" or "int8"; "int8 runs" where weights are rounded for TENFOLD_BYTE_RUNS: other bytes, so other vectors (cosine above 0.99 with those of fp32 all the same).
std::string_view NameOf(Precision precision);

/// Columns computed together; the packed width.
inline constexpr std::size_t kPanelColumns = 32;

/// 64-byte aligned, uninitialised.
template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size) : data_(static_cast<T*>(::operator new[](size * sizeof(T) + 64, std::align_val_t(64)))), size_(size) {}
  /// At least `size`; what it held is lost when it grows.
  void Need(std::size_t size) {
    if (size > size_) *this = AlignedBuffer(size);
  }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }

 private:
  struct Delete {
    void operator()(T* p) const { ::operator delete[](p, std::align_val_t(64)); }
  };
  std::unique_ptr<T, Delete> data_;
  std::size_t size_ = 0;
};

/// AVX2 without AVX-512 multiplies bytes in runs, see internal::kByteRun.
#if defined(__AVX2__) && !defined(__AVX512F__)
#define TENFOLD_BYTE_RUNS 1
#endif

namespace internal {
inline constexpr int kByteWeightSteps = 127;  ///< a weight is -127..127
/// AVX2 has no product of bytes with sums of 32 bits; it adds two products in 16. A run of inputs is added up there before the sums are widened. Four weights meet in one such sum; those
/// of one sign add up to kByteLaneMost at most, so that no inputs overflow it: 255 x 128 = 32,640. Elsewhere there is no such limit (0).
#ifdef TENFOLD_BYTE_RUNS
inline constexpr std::size_t kByteRun = 8;
inline constexpr int kByteLaneMost = 128;
#else
inline constexpr std::size_t kByteRun = 4;
inline constexpr int kByteLaneMost = 0;
#endif
}  // namespace internal

class Inputs;

/// A weight matrix [outputs, inputs] rearranged in panels of kPanelColumns outputs, so that the inner loop reads it front to back.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  /// Element (o, i) is weights[o * output_stride + i * input_stride]; all finite.
  PackedMatrix(const float* weights, std::size_t outputs, std::size_t inputs, std::size_t output_stride, std::size_t input_stride, Precision precision);
  std::size_t outputs() const { return outputs_; }
  std::size_t inputs() const { return inputs_; }
  Precision precision() const { return precision_; }

 private:
  friend void Multiply(const Inputs& in, const PackedMatrix& weights, const float* bias, float* out, std::size_t out_stride);
  friend void MultiplyBytes(const Inputs& in, const PackedMatrix& weights, const float* bias, float* out, std::size_t out_stride);
  std::size_t outputs_ = 0, inputs_ = 0;
  Precision precision_ = Precision::kFloat32;
  AlignedBuffer<float> floats_;
  AlignedBuffer<std::uint16_t> halves_;
  AlignedBuffer<std::int8_t> bytes_;
  std::vector<float> scales_, sums_;  ///< of bytes_, by output: what one step is worth, and the sum of the row in that worth
};

/// Rows of inputs in the form in which a product reads them. Used again and again, so that its memory is.
class Inputs {
 public:
  /// Shapes: in [rows, width], `stride` floats apart. kFloat32 refers to `in`; the others copy.
  void Assign(const float* in, std::size_t rows, std::size_t width, std::size_t stride, Precision precision);
  /// The same of Gelu(in), computed in place. The narrow precisions use a polynomial with an error below 3e-5, far below their own rounding.
  void AssignGelu(float* in, std::size_t rows, std::size_t width, Precision precision);
  std::size_t rows() const { return rows_; }

 private:
  friend void Multiply(const Inputs& in, const PackedMatrix& weights, const float* bias, float* out, std::size_t out_stride);
  friend void MultiplyBytes(const Inputs& in, const PackedMatrix& weights, const float* bias, float* out, std::size_t out_stride);
  void Prepare(std::size_t rows, std::size_t width, Precision precision);
  void QuantiseRow(const float* in, std::size_t row, float low, float high);
  std::size_t rows_ = 0, width_ = 0, stride_ = 0;
  Precision precision_ = Precision::kFloat32;
  const float* floats_ = nullptr;
  AlignedBuffer<std::uint16_t> halves_;
  AlignedBuffer<std::uint8_t> bytes_;
  std::vector<float> scales_, lows_;  ///< of bytes_: input = low + scale * byte
};

/// out[r] = weights * in[r] + bias. Shapes: out [rows, outputs], bias [outputs] or null; strides in floats. Both have one precision and width.
/// A row's result depends only on that row: the order of its sum is the same whatever the number of rows.
void Multiply(const Inputs& in, const PackedMatrix& weights, const float* bias, float* out, std::size_t out_stride);

/// In place, row by row: (x + residual - mean) / deviation * scale + shift. Shapes: x, residual [rows, width]; residual may be null.
void AddAndNormalise(float* x, const float* residual, std::size_t rows, std::size_t width, const float* scale, const float* shift);
/// In place: x/2 * (1 + erf(x/sqrt 2)). Error of erf below 2e-7. Source: Abramowitz & Stegun 7.1.26.
void Gelu(std::span<float> x);

namespace internal {
/// A block of a byte product, exact: sums[r * kPanelColumns + c] = sum over i of in[r * in_stride + i] * panel[(i/4 * kPanelColumns + c) * 4 + i%4].
/// `inputs` is a multiple of 4. The plain form, for every CPU; Multiply's own must equal it.
void SumBytes(const std::uint8_t* in, std::size_t in_stride, std::size_t rows, const std::int8_t* panel, std::size_t inputs, std::int32_t* sums);
}  // namespace internal

}  // namespace tenfold::models
