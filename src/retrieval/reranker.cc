#include "retrieval/reranker.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace tenfold::retrieval {
namespace {

/// Sixteen sums side by side, which the compiler may keep in vector registers: one sum it may not reorder.
float Dot(std::span<const float> a, std::span<const float> b) {
  constexpr std::size_t kLanes = 16;
  float sums[kLanes] = {};
  const auto size = std::min(a.size(), b.size());
  std::size_t i = 0;
  for (; i + kLanes <= size; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  float sum = 0;
  for (; i < size; ++i) sum += a[i] * b[i];
  for (const float one : sums) sum += one;
  return sum;
}

/// [n, n] cosines; 0 for opposites and for what has no vector.
std::vector<float> LikenessOf(std::span<const std::span<const float>> vectors) {
  const auto n = vectors.size();
  std::vector<float> norms(n), out(n * n, 0.0f);
  for (std::size_t i = 0; i < n; ++i) norms[i] = std::sqrt(Dot(vectors[i], vectors[i]));
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = i + 1; j < n; ++j) {
      if (norms[i] <= 0 || norms[j] <= 0) continue;
      out[i * n + j] = out[j * n + i] = std::max(0.0f, Dot(vectors[i], vectors[j]) / (norms[i] * norms[j]));
    }
  return out;
}

}  // namespace

std::vector<float> RankByNeighbours(std::span<const float> scores, std::span<const std::span<const float>> vectors, const NeighbourRanking& options) {
  TENFOLD_CHECK(scores.size() == vectors.size());
  std::vector<float> out(scores.begin(), scores.end());
  const auto n = std::min(scores.size(), options.window);
  if (n < 3) return out;  // of two, each is the other's only neighbour: nothing to learn
  const auto likeness = LikenessOf(vectors.first(n));
  std::vector<std::pair<float, float>> near;  // likeness, score
  for (std::size_t i = 0; i < n; ++i) {
    near.clear();
    for (std::size_t j = 0; j < n; ++j)
      if (likeness[i * n + j] > 0) near.emplace_back(likeness[i * n + j], scores[j]);
    const auto count = std::min(near.size(), options.neighbours);
    std::partial_sort(near.begin(), near.begin() + static_cast<std::ptrdiff_t>(count), near.end(), std::greater<>());
    float sum = 0, weights = 0;
    for (std::size_t j = 0; j < count; ++j) {
      sum += near[j].first * near[j].second;
      weights += near[j].first;
    }
    if (weights > 0) out[i] = (1 - options.weight) * scores[i] + options.weight * sum / weights;
  }
  return out;
}

}  // namespace tenfold::retrieval
