#pragma once
/// \file Re-ranks the head of a fused list without a model: passages that answer the same question resemble each other, so one among good ones is likelier to be good.
#include <cstddef>
#include <span>
#include <vector>

namespace tenfold::retrieval {

/// Chosen on Cranfield's 113 given queries (docs/evaluation.md): nDCG@10 stays between 0.458 and 0.478 for weights 0.3..0.5, 10 or 20 neighbours and windows of 30..100,
/// so these are in the middle of a plain and not on a peak.
struct NeighbourRanking {
  std::size_t window = 50;      ///< so many of the list are re-ranked; those after them stay where they are
  std::size_t neighbours = 10;  ///< of the window, the most alike ones
  float weight = 0.4f;          ///< 0..1, of the neighbours' scores; the rest is the passage's own
};

/// New scores for a list that was ordered by `scores`, highest first: of the first `window`, each its own mixed with the mean of its neighbours', which count by the fourth
/// power of their cosine. Both are scaled to the window's range first, so that the new scores lie in it and nothing after the window passes anything inside.
/// Shapes: scores [n], vectors [n], each [dim] or empty; one without a vector keeps its own score and is nobody's neighbour. Order: as given; the caller sorts.
/// Cost: window^2 / 2 dot products on the calling thread: 50 x 384 in about 50 microseconds. Threads: safe.
/// Source: Diaz, "Regularizing ad hoc retrieval scores", CIKM 2005, one step of it; van Rijsbergen's cluster hypothesis, 1979.
std::vector<float> RankByNeighbours(std::span<const float> scores, std::span<const std::span<const float>> vectors, const NeighbourRanking& options = {});

}  // namespace tenfold::retrieval
