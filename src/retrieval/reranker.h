#pragma once
/// \file Re-ranks the head of a fused list without a model: passages that answer the same question resemble each other, so one among good ones is likelier to be good.
#include <cstddef>
#include <span>
#include <vector>

namespace tenfold::retrieval {

/// Chosen on Cranfield's 113 given queries and the sample shop's 94 together (docs/evaluation.md): weights of 0.5..0.7, 8..15 neighbours and windows of 40..70 stay within
/// 0.01 of nDCG@10 on both, so these stand in the middle of a plain and not on a peak.
struct NeighbourRanking {
  std::size_t window = 50;      ///< so many of the list are re-ranked; those after them stay where they are
  std::size_t neighbours = 10;  ///< of the window, the most alike ones
  float weight = 0.6f;          ///< 0..1, of the neighbours' mean score; the rest is the passage's own
};

/// New scores for a list that was ordered by `scores`, highest first: of the first `window`, each its own mixed with the mean of its neighbours', which count by their cosine.
/// The new scores lie in the window's range, so nothing after the window passes anything inside.
/// Shapes: scores [n], vectors [n], each [dim] or empty; one without a vector keeps its own score and is nobody's neighbour. Order: as given; the caller sorts.
/// Cost: window^2 / 2 dot products on the calling thread: 50 x 384 in about 20 microseconds. Threads: safe.
/// Source: Diaz, "Regularizing ad hoc retrieval scores", CIKM 2005, one step of it; van Rijsbergen's cluster hypothesis, 1979.
std::vector<float> RankByNeighbours(std::span<const float> scores, std::span<const std::span<const float>> vectors, const NeighbourRanking& options = {});

}  // namespace tenfold::retrieval
