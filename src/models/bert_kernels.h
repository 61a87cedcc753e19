#pragma once
/// \file The arithmetic of a BERT forward pass on one CPU thread: blocked matrix product, layer norm, GELU, soft-max.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace tenfold::models {

/// How weights are kept. Sums are always float32.
enum class Precision : std::uint8_t {
  kFloat32,
  kBfloat16,  ///< weights and inputs rounded to bfloat16: half the bytes, twice the products per cycle where the CPU has AVX512-BF16
};
/// What this build multiplies fastest in.
Precision FastestPrecision();

/// Columns computed together; the packed width.
inline constexpr std::size_t kPanelColumns = 32;

/// 64-byte aligned, uninitialised.
template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size) : data_(static_cast<T*>(::operator new[](size * sizeof(T) + 64, std::align_val_t(64)))) {}
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }

 private:
  struct Delete {
    void operator()(T* p) const { ::operator delete[](p, std::align_val_t(64)); }
  };
  std::unique_ptr<T, Delete> data_;
};

/// A weight matrix [outputs, inputs] rearranged in panels of kPanelColumns outputs, so that the inner loop reads it front to back.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  /// Element (o, i) is weights[o * output_stride + i * input_stride]. kBfloat16 falls back to kFloat32 where the CPU lacks it.
  PackedMatrix(const float* weights, std::size_t outputs, std::size_t inputs, std::size_t output_stride, std::size_t input_stride,
               Precision precision);
  std::size_t outputs() const { return outputs_; }
  std::size_t inputs() const { return inputs_; }

 private:
  friend void Multiply(const float* in, std::size_t rows, std::size_t in_stride, const PackedMatrix& weights, const float* bias,
                       float* out, std::size_t out_stride);
  std::size_t outputs_ = 0, inputs_ = 0;
  Precision precision_ = Precision::kFloat32;
  AlignedBuffer<float> floats_;
  AlignedBuffer<std::uint16_t> halves_;
};

/// out[r] = weights * in[r] + bias. Shapes: in [rows, inputs], out [rows, outputs], bias [outputs] or null; strides in floats.
/// A row's result depends only on that row: the order of its sum is the same whatever the number of rows.
void Multiply(const float* in, std::size_t rows, std::size_t in_stride, const PackedMatrix& weights, const float* bias, float* out,
              std::size_t out_stride);

/// In place, row by row: (x + residual - mean) / deviation * scale + shift. Shapes: x, residual [rows, width]; residual may be null.
void AddAndNormalise(float* x, const float* residual, std::size_t rows, std::size_t width, const float* scale, const float* shift);
/// In place: x/2 * (1 + erf(x/sqrt 2)). Error of erf below 2e-7. Source: Abramowitz & Stegun 7.1.26.
void Gelu(std::span<float> x);
/// In place: exp(scale * x) / sum. Shapes: x [rows, width], rows `stride` floats apart.
void ScaledSoftmax(float* x, std::size_t rows, std::size_t width, std::size_t stride, float scale);

}  // namespace tenfold::models
