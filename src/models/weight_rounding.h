#pragma once
/// \file Weights as bytes, for the products of bert_kernels.h.
#include <cstdint>
#include <span>

namespace tenfold::models {

/// One output's weights as bytes; returns what a step is worth. Their number is a multiple of internal::kByteRun, and bytes are what that kernel's sums of 16 bits can hold
/// (internal::kByteLaneMost). Cost: some thirty passes over the weights where there is such a limit, two elsewhere; once a model is opened. Threads: any.
float RoundWeights(std::span<const float> weights, std::span<std::int8_t> bytes);

}  // namespace tenfold::models
