#pragma once
/// \file For tests of the BERT kernels: inputs.
#include <random>
#include <vector>

namespace tenfold::models {

/// Of the normal distribution, the same for the same seed.
inline std::vector<float> RandomFloats(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(count);
  for (auto& x : out) x = normal(random);
  return out;
}

}  // namespace tenfold::models
