#pragma once
/// \file One list made of two: fusion, diversity, limits per group, pages and explanations, the same for every search index.
#include <string>
#include <vector>

#include "retrieval/search_index.h"

namespace tenfold::retrieval {

/// One of a list that an index ranked: best first.
struct ListedHit {
  std::string id;
  std::string group = {};
  float score = 0;
  std::vector<float> vector = {};  ///< only for IndexQuery::diversity
};
/// How deep each list must be for `query` to be answered from it. Where something is taken away later (per_group) and too few are left, ask for more.
std::size_t DepthOf(const IndexQuery& query);
/// Fused, diversified, limited per group, paged and explained as `query` asks. A list that was not asked for is empty.
IndexResult Combine(const IndexQuery& query, std::vector<ListedHit> words, std::vector<ListedHit> vectors);

}  // namespace tenfold::retrieval
