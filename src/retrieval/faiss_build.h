#pragma once
/// \file What an index file holds besides its vectors: centroids, codes and graphs. For faiss_file.cc.
#include <cstdint>
#include <span>
#include <vector>

#include "retrieval/metric.h"

namespace tenfold::retrieval {

/// `k` centroids [k, dim] of `vectors` [n, dim] by Lloyd's algorithm, Euclidean, from a fixed seed. With fewer vectors than centroids some are there twice.
std::vector<float> FindCentroids(std::span<const float> vectors, std::size_t dim, std::size_t k);
/// The nearest (Euclidean) centroid's row; the lower of equals. Cost: O(k · dim).
std::size_t NearestCentroid(std::span<const float> centroids, const float* vector, std::size_t dim);

/// A graph as FAISS lays it out. Shapes: levels [n], how many layers a row is on; offsets [n + 1] into neighbours, where row i has 2 · links places of layer 0 and `links` of
/// each above, -1 where there is none.
struct HnswGraph {
  std::vector<std::int32_t> levels;
  std::vector<std::uint64_t> offsets;
  std::vector<std::int32_t> neighbours;
  std::int32_t entry = -1, top = -1;
};
/// `metric` kDot or kEuclidean. Deterministic.
HnswGraph BuildHnsw(std::span<const float> vectors, std::size_t dim, Metric metric, std::size_t links);

}  // namespace tenfold::retrieval
