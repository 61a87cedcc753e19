#pragma once
/// \file Attention of a BERT layer on one CPU thread.
#include <cstddef>
#include <cstdint>

#include "models/bert_kernels.h"

namespace tenfold::models {

/// In place: exp(scale * x) / sum. Shapes: x [rows, width], rows `stride` floats apart.
void ScaledSoftmax(float* x, std::size_t rows, std::size_t width, std::size_t stride, float scale);

/// Memory of Attend, used again and again.
struct AttentionScratch {
  AlignedBuffer<float> scores, float_keys, float_values;
  AlignedBuffer<std::uint16_t> queries, keys, values, weights;
};
/// soft-max(Q K^T / sqrt(head width)) V, head by head. Shapes: in [length, 3 * width] as Q K V side by side; out [length, width].
/// In kFloat32 all is float32. The others compute in bfloat16 with float32 sums where the CPU can, and normalise at the end.
void Attend(const float* in, std::size_t length, std::size_t width, std::size_t heads, Precision precision, float* out, AttentionScratch& scratch);

}  // namespace tenfold::models
