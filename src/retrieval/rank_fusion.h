#pragma once
/// \file One list made of two: fusion, re-ranking, diversity, limits per group, pages and explanations, the same for every search index.
#include <span>
#include <string>
#include <vector>

#include "retrieval/search_index.h"

namespace tenfold::retrieval {

/// One of a list that an index ranked: best first.
struct ListedHit {
  std::string id;
  std::string group = {};
  float score = 0;
  std::vector<float> vector = {};  ///< only of the first VectorDepthOf of a list
  std::span<const float> held = {};  ///< in the place of `vector`: one that the index holds, until Combine is done
};
/// Of how many hits of each list Combine makes use of the vectors. Re-ranking reads the fused list's first 50 (reranker.h), and what comes there stands among the first 200 of a
/// list: by reciprocal rank, the 50 best of one list have at least 61/110 of a half each, which a hit below place 160 in both cannot reach.
std::size_t VectorDepthOf(const IndexQuery& query);
/// How deep each list must be for `query` to be answered from it. Where something is taken away later (per_group) and too few are left, ask for more.
std::size_t DepthOf(const IndexQuery& query);
/// Fused, re-ranked, diversified, limited per group, paged and explained as `query` asks. A list that was not asked for is empty.
IndexResult Combine(const IndexQuery& query, std::vector<ListedHit> words, std::vector<ListedHit> vectors);

}  // namespace tenfold::retrieval
