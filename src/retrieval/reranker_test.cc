#include "retrieval/reranker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace tenfold::retrieval {
namespace {

using Vectors = std::vector<std::vector<float>>;

std::vector<float> Rank(const std::vector<float>& scores, const Vectors& vectors, const NeighbourRanking& options = {}) {
  std::vector<std::span<const float>> spans(vectors.begin(), vectors.end());
  return RankByNeighbours(scores, spans, options);
}

TEST(Reranker, LiftsWhatResemblesTheBestOverWhatResemblesTheWorst) {
  // The third is alone with what is bad, the fourth beside what is good.
  const Vectors vectors{{1, 0, 0.1f}, {1, 0, 0}, {0, 1, 0}, {1, 0, -0.1f}, {0, 1, 0.1f}, {0, 1, -0.1f}};
  const auto out = Rank({1, 0.9f, 0.5f, 0.45f, 0.1f, 0}, vectors, {.window = 50, .neighbours = 2, .weight = 0.4f});
  EXPECT_GT(out[3], out[2]);
  EXPECT_GT(out[0], out[3]);
}

TEST(Reranker, GivesWhatTheFormulaSaysByHand) {
  // Cosines: 0-1 is 0.8, 0-2 is 0.6, 1-2 is 0. One neighbour each: 1 of 0, 0 of 1, 0 of 2.
  const Vectors vectors{{1, 0}, {0.8f, 0.6f}, {0.6f, -0.8f}};
  const auto out = Rank({3, 2, 1}, vectors, {.window = 3, .neighbours = 1, .weight = 0.5f});
  EXPECT_FLOAT_EQ(out[0], 2.5f);
  EXPECT_FLOAT_EQ(out[1], 2.5f);
  EXPECT_FLOAT_EQ(out[2], 2.0f);
  const auto both = Rank({3, 2, 1}, vectors, {.window = 3, .neighbours = 2, .weight = 1});
  EXPECT_FLOAT_EQ(both[0], (0.8f * 2 + 0.6f * 1) / 1.4f);
  EXPECT_FLOAT_EQ(both[1], 3.0f);
  EXPECT_FLOAT_EQ(both[2], 3.0f);
}

TEST(Reranker, GivesWhatTheFormulaSaysForManyAlsoIfSomeAreEqual) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (const std::size_t copies : {0, 30}) {
    constexpr std::size_t kRows = 45, kDim = 19;
    Vectors vectors(kRows, std::vector<float>(kDim));
    std::vector<float> scores(kRows);
    for (std::size_t i = 0; i < kRows; ++i) {
      scores[i] = 1 - static_cast<float>(i) / 50;
      for (auto& x : vectors[i]) x = normal(random);
      if (i < copies) vectors[i] = vectors[i % 4];
    }
    const NeighbourRanking options{.window = 50, .neighbours = 6, .weight = 0.7f};
    const auto out = Rank(scores, vectors, options);
    for (std::size_t i = 0; i < kRows; ++i) {
      const auto dot = [&](std::size_t a, std::size_t b) { return std::inner_product(vectors[a].begin(), vectors[a].end(), vectors[b].begin(), 0.0); };
      std::vector<std::pair<double, double>> near;
      // Of equals the higher scores: what differs by rounding alone is equal.
      for (std::size_t j = 0; j < kRows; ++j)
        if (j != i && dot(i, j) > 0) near.emplace_back(std::round(dot(i, j) / std::sqrt(dot(i, i) * dot(j, j)) * 1e5) / 1e5, scores[j]);
      std::sort(near.rbegin(), near.rend());
      near.resize(std::min(near.size(), options.neighbours));
      double sum = 0, weights = 0;
      for (const auto& [likeness, score] : near) sum += likeness * score, weights += likeness;
      EXPECT_NEAR(out[i], weights > 0 ? 0.3 * scores[i] + 0.7 * sum / weights : scores[i], 1e-3) << i << " of " << copies;
    }
  }
}

TEST(Reranker, KeepsWhatStandsBehindTheWindowBehindIt) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> scores(200);
  for (auto& one : scores) one = std::abs(normal(random));
  std::sort(scores.rbegin(), scores.rend());
  Vectors vectors(200, std::vector<float>(19));
  for (auto& vector : vectors)
    for (auto& x : vector) x = normal(random);
  const auto out = Rank(scores, vectors);
  for (std::size_t i = 50; i < 200; ++i) EXPECT_EQ(out[i], scores[i]);
  for (std::size_t i = 0; i < 50; ++i) {
    EXPECT_GE(out[i], scores[49] * 0.9999f);
    EXPECT_LE(out[i], scores[0] * 1.0001f);
  }
  EXPECT_NE(std::vector<float>(out.begin(), out.begin() + 50), std::vector<float>(scores.begin(), scores.begin() + 50));
}

TEST(Reranker, LeavesAListAloneOfWhichItKnowsNothing) {
  const std::vector<float> falling{3, 2, 1, 0.5f}, equal{1, 1, 1, 1};
  EXPECT_EQ(Rank(falling, Vectors(4)), falling);
  EXPECT_EQ(Rank(equal, Vectors(4, {1, 0})), equal);
  EXPECT_EQ(Rank({2, 1}, Vectors(2, {1, 0})), (std::vector<float>{2, 1}));
  EXPECT_TRUE(Rank({}, {}).empty());
  EXPECT_EQ(Rank(falling, {{1, 0}, {1, 0.1f}, {}, {0, 1}})[2], 1);
}

}  // namespace
}  // namespace tenfold::retrieval
