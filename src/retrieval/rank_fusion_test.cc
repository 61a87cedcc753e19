#include "retrieval/rank_fusion.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tenfold::retrieval {
namespace {

IndexQuery Both(std::size_t k) { return {.text = "words", .vector = {1, 0}, .k = k}; }

std::vector<std::string> Ids(const IndexResult& result) {
  std::vector<std::string> out;
  for (const auto& hit : result.hits) out.push_back(hit.id);
  return out;
}

const HitExplanation& Why(const IndexResult& result, const std::string& id) {
  return std::find_if(result.explanations.begin(), result.explanations.end(), [&](const auto& one) { return one.first == id; })->second;
}

TEST(Fusion, AddsRanksOrScaledScoresOrTheMeanOfTheTwo) {
  const std::vector<ListedHit> words{{"a", "", 8}, {"b", "", 6}, {"c", "", 4}}, vectors{{"c", "", 0.9f}, {"b", "", 0.3f}};
  auto query = Both(10);
  query.explain = true;
  query.vector_weight = 0.25f;
  const auto by_rank = Combine(query, words, vectors);
  EXPECT_FLOAT_EQ(by_rank.hits[0].score, 61.0f / 62);
  EXPECT_EQ(Ids(by_rank), (std::vector<std::string>{"b", "c", "a"}));
  query.fusion = Fusion::kWeightedSum;
  const auto by_score = Combine(query, words, vectors);
  EXPECT_EQ(Ids(by_score), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_FLOAT_EQ(by_score.hits[1].score, 0.75f * 0.5f);
  query.fusion = Fusion::kRanksAndScores;
  const auto both = Combine(query, words, vectors);
  for (const auto* id : {"a", "b", "c"}) EXPECT_NEAR(Why(both, id).fused, 0.5 * (Why(by_rank, id).fused + Why(by_score, id).fused), 1e-6) << id;
}

TEST(Fusion, ExplainsEveryCandidateInTheOrderOfTheListAndWhatWasCut) {
  auto query = Both(2);
  query.offset = 1;
  query.per_group = 1;
  query.explain = true;
  const auto result = Combine(query, {{"a", "x", 9}, {"b", "x", 8}, {"c", "y", 7}, {"d", "z", 6}}, {{"a", "x", 0.9f}, {"c", "y", 0.8f}, {"e", "w", 0.1f}});
  EXPECT_EQ(Ids(result), (std::vector<std::string>{"c", "e"}));
  ASSERT_EQ(result.explanations.size(), 5u);
  EXPECT_EQ(result.explanations[0].first, "a");
  EXPECT_EQ(Why(result, "a").cut, "offset");
  EXPECT_EQ(Why(result, "b").cut, "per_group");
  EXPECT_EQ(Why(result, "c").cut, "");
  EXPECT_EQ(Why(result, "d").cut, "k");
  EXPECT_EQ(Why(result, "e").cut, "");
  EXPECT_EQ(Why(result, "c").word_rank, 3);
  EXPECT_EQ(Why(result, "c").vector_rank, 2);
  EXPECT_FLOAT_EQ(Why(result, "c").vector_score, 0.8f);
  EXPECT_EQ(Why(result, "e").word_rank, 0);
  EXPECT_EQ(Why(result, "e").reranked, Why(result, "e").fused);
  for (std::size_t i = 1; i < result.explanations.size(); ++i) EXPECT_LE(result.explanations[i].second.reranked, result.explanations[i - 1].second.reranked);
}

TEST(Fusion, ReranksByNeighboursOnlyWhatBothScansFoundWithVectors) {
  // "d" is alone with the worst, "e" beside the best.
  const std::vector<ListedHit> words{{"a", "", 9}, {"b", "", 8}, {"d", "", 6}, {"e", "", 5.9f}, {"f", "", 1}, {"g", "", 0.5f}};
  std::vector<ListedHit> vectors;
  for (const auto& [id, vector] : std::vector<std::pair<std::string, std::vector<float>>>{{"a", {1, 0, 0}}, {"b", {1, 0.1f, 0}}, {"d", {0, 0, 1}}, {"e", {1, -0.1f, 0}}, {"f", {0, 0.1f, 1}}, {"g", {0, -0.1f, 1}}})
    vectors.push_back({id, "", 1.0f - static_cast<float>(vectors.size()) / 10, vector});
  auto query = Both(6);
  EXPECT_EQ(VectorDepthOf(query), 0u);
  EXPECT_EQ(Ids(Combine(query, words, vectors)), (std::vector<std::string>{"a", "b", "d", "e", "f", "g"}));
  query.rerank = Rerank::kNeighbours;
  query.explain = true;
  EXPECT_GE(VectorDepthOf(query), 50u);
  const auto reranked = Combine(query, words, vectors);
  const auto ids = Ids(reranked);
  EXPECT_LT(std::find(ids.begin(), ids.end(), "e"), std::find(ids.begin(), ids.end(), "d"));
  EXPECT_NE(Why(reranked, "e").reranked, Why(reranked, "e").fused);
  query.vector.clear();  // words alone: their order is BM25's
  EXPECT_EQ(VectorDepthOf(query), 0u);
  EXPECT_EQ(Ids(Combine(query, words, {})), (std::vector<std::string>{"a", "b", "d", "e", "f", "g"}));
}

}  // namespace
}  // namespace tenfold::retrieval
