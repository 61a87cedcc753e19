#include "models/weight_rounding.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "models/bert_kernels.h"

namespace tenfold::models {
namespace {

constexpr float kWeightSteps = internal::kByteWeightSteps;
/// Whether sums of products are kept in 16 bits, so that the weights which meet in one are limited together.
constexpr bool kHasLanes = internal::kByteLaneMost > 0;

/// Calls work(indices of weights) for each set that meets in one sum of 16 bits: inputs 0, 1, 4, 5, 8, … of a run in one, the others in the other.
template <class Work>
void ForLanes(std::size_t inputs, Work&& work) {
  for (std::size_t run = 0; run < inputs; run += internal::kByteRun)
    for (std::size_t half = 0; half < 4; half += 2) {
      std::array<std::size_t, internal::kByteRun / 2> lane;
      for (std::size_t i = 0; i < lane.size(); ++i) lane[i] = run + i / 2 * 4 + half + i % 2;
      work(lane);
    }
}

/// A step so large that no lane passes kByteLaneMost would be set by the output's one heaviest lane, and round all others too coarsely. So the step with the least squared error is taken: a
/// twelfth of its square for each weight rounded, and what a lane has too much, spread over half of its weights.
float ChooseStep(std::span<const float> weights, float largest) {
  std::vector<float> lanes;  // sums of one sign
  float most = 0;
  ForLanes(weights.size(), [&](const auto& lane) {
    float above = 0, below = 0;
    for (const auto i : lane) (weights[i] > 0 ? above : below) += std::abs(weights[i]);
    lanes.insert(lanes.end(), {above, below});
    most = std::max({most, above, below});
  });
  const float safe = std::max(largest / kWeightSteps, most / internal::kByteLaneMost);
  float best = safe, least = std::numeric_limits<float>::max();
  for (float step = safe; step > safe / 4; step *= 0.95f) {
    float error = static_cast<float>(weights.size()) * step * step / 12;
    for (const float sum : lanes)
      if (const float excess = sum - step * internal::kByteLaneMost; excess > 0) error += excess * excess / (internal::kByteRun / 4);
    if (error < least) least = error, best = step;
  }
  return best;
}

/// Takes from the weights of each sign, the one that was rounded up most first, until their sum is within kByteLaneMost.
void KeepLanesWithin(std::span<const float> weights, float step, std::span<std::int8_t> bytes) {
  ForLanes(weights.size(), [&](const auto& lane) {
    for (const int sign : {1, -1}) {
      int sum = 0;
      for (const auto i : lane) sum += std::max(0, sign * bytes[i]);
      for (; sum > internal::kByteLaneMost; --sum) {
        auto worst = lane[0];
        float highest = -1e30f;
        for (const auto i : lane)
          if (const float up = static_cast<float>(sign) * (static_cast<float>(bytes[i]) - weights[i] / step); sign * bytes[i] > 0 && up > highest) highest = up, worst = i;
        bytes[worst] = static_cast<std::int8_t>(bytes[worst] - sign);
      }
    }
  });
}

}  // namespace

float RoundWeights(std::span<const float> weights, std::span<std::int8_t> bytes) {
  float largest = 0;
  for (const float w : weights) largest = std::max(largest, std::abs(w));
  if (!(largest > 0)) return std::fill(bytes.begin(), bytes.end(), std::int8_t{0}), 1.0f;
  const float step = kHasLanes ? ChooseStep(weights, largest) : largest / kWeightSteps;
  for (std::size_t i = 0; i < weights.size(); ++i) bytes[i] = static_cast<std::int8_t>(std::clamp(std::lround(weights[i] / step), -std::lround(kWeightSteps), std::lround(kWeightSteps)));
  if (kHasLanes) KeepLanesWithin(weights, step, bytes);
  return step;
}

}  // namespace tenfold::models
