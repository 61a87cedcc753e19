#include "retrieval/vector_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "base/error.h"

namespace tenfold::retrieval {
namespace {

/// Directions around `centres` centres, as texts lie: some near each other, most far.
class Vectors {
 public:
  Vectors(std::size_t dim, std::size_t centres) : dim_(dim) {
    for (std::size_t i = 0; i < centres; ++i) centres_.push_back(Random(nullptr));
  }
  std::vector<float> Next() { return Random(&centres_[random_() % centres_.size()]); }

 private:
  std::vector<float> Random(const std::vector<float>* near) {
    std::vector<float> out(dim_);
    float squares = 0;
    for (std::size_t d = 0; d < dim_; ++d) {
      out[d] = normal_(random_) + (near ? (*near)[d] * std::sqrt(static_cast<float>(dim_)) : 0);
      squares += out[d] * out[d];
    }
    for (auto& x : out) x /= std::sqrt(squares);
    return out;
  }
  const std::size_t dim_;
  std::mt19937 random_{5};
  std::normal_distribution<float> normal_;
  std::vector<std::vector<float>> centres_;
};

float Cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t d = 0; d < a.size(); ++d) sum += static_cast<double>(a[d]) * static_cast<double>(b[d]);
  return static_cast<float>(sum);
}

/// How many of the true ten best are found, of ten; and that what is found is allowed, in order and scored right.
double Recall(const VectorIndex& index, const std::map<std::uint32_t, std::vector<float>>& model, const Bitmap& filter, const std::vector<float>& query) {
  std::vector<std::pair<float, std::uint32_t>> exact;
  for (const auto& [row, vector] : model)
    if (filter.Test(row)) exact.emplace_back(-Cosine(vector, query), row);
  const auto k = std::min<std::size_t>(10, exact.size());
  std::partial_sort(exact.begin(), exact.begin() + static_cast<std::ptrdiff_t>(k), exact.end());
  const auto hits = index.Search(query, filter, 10);
  EXPECT_EQ(hits.size(), k);
  std::size_t right = 0;
  for (std::size_t i = 0; i < hits.size(); ++i) {
    const auto held = model.find(hits[i].row);
    EXPECT_TRUE(held != model.end() && filter.Test(hits[i].row));
    if (held == model.end()) continue;
    EXPECT_NEAR(hits[i].score, Cosine(held->second, query), 1e-5);
    if (i > 0) EXPECT_GE(hits[i - 1].score, hits[i].score);
    for (std::size_t j = 0; j < k; ++j) right += exact[j].second == hits[i].row;
  }
  return k ? static_cast<double>(right) / static_cast<double>(k) : 1;
}

TEST(VectorIndex, KeepsItsRecallThroughAddsAndRemovalsInPartitions) {
  constexpr std::size_t kDim = 96;
  constexpr std::uint32_t kRows = 14'000;
  Vectors vectors(kDim, 200);
  VectorIndex index(kDim);
  std::map<std::uint32_t, std::vector<float>> model;
  std::mt19937 random(9);
  Bitmap all, tenth, few;
  for (std::uint32_t i = 0; i < kRows; ++i) {
    all.Set(i);
    if (i % 10 == 0) tenth.Set(i);
    if (i % 100 == 0) few.Set(i);
  }
  const auto put = [&](std::uint32_t row) { index.Put(row, model[row] = vectors.Next()); };
  const auto check = [&](double least) {
    EXPECT_EQ(index.size(), model.size());
    double sum = 0;
    constexpr int kQueries = 40;
    for (int q = 0; q < kQueries; ++q) {
      const auto query = vectors.Next();
      for (const auto* filter : {&all, &tenth, &few}) sum += Recall(index, model, *filter, query) / 3;
    }
    EXPECT_GE(sum / kQueries, least) << index.partitions() << " partitions, " << index.size() << " rows";
  };
  for (std::uint32_t i = 0; i < VectorIndex::kScanAll; ++i) put(i);
  EXPECT_EQ(index.partitions(), 1u);
  check(0.95);
  for (auto i = static_cast<std::uint32_t>(VectorIndex::kScanAll); i < kRows; ++i) put(i);
  EXPECT_GT(index.partitions(), kRows / VectorIndex::kSplitFrom);
  check(0.95);
  for (int i = 0; i < 6000; ++i) put(static_cast<std::uint32_t>(random() % kRows));  // others in their place
  check(0.95);
  const auto full = index.partitions();
  for (std::uint32_t i = 0; i < kRows; ++i)
    if (i % 16) {
      index.Remove(i);
      model.erase(i);
    }
  EXPECT_LT(index.partitions(), full / 2);
  check(0.95);
  for (std::uint32_t i = 0; i < kRows; ++i) index.Remove(i);
  model.clear();
  EXPECT_EQ(index.partitions(), 1u);
  EXPECT_TRUE(index.Search(vectors.Next(), all, 10).empty());
  for (std::uint32_t i = 0; i < 100; ++i) put(i);
  check(1);
}

TEST(VectorIndex, ReturnsAsManyAsAreAllowed) {
  Vectors vectors(64, 20);
  VectorIndex index(64);
  for (std::uint32_t i = 0; i < 10'000; ++i) index.Put(i, vectors.Next());
  for (const std::uint32_t step : {1u, 2u, 7u, 23u, 300u, 9'999u}) {
    Bitmap filter;
    std::size_t allowed = 0;
    for (std::uint32_t i = 0; i < 10'000; i += step, ++allowed) filter.Set(i);
    for (const std::size_t k : {1u, 10u, 700u, 20'000u}) {
      const auto hits = index.Search(vectors.Next(), filter, k);
      EXPECT_EQ(hits.size(), std::min(k, allowed)) << step << " " << k;
      for (const auto& hit : hits) EXPECT_EQ(hit.row % step, 0u);
    }
  }
}

TEST(VectorIndex, HoldsEqualVectorsInPartitions) {
  Vectors vectors(64, 3);
  const auto one = vectors.Next();
  VectorIndex index(64);
  Bitmap all;
  for (std::uint32_t i = 0; i < 9'000; ++i) {
    index.Put(i, one);
    all.Set(i);
  }
  const auto hits = index.Search(one, all, 20);
  ASSERT_EQ(hits.size(), 20u);
  for (const auto& hit : hits) EXPECT_NEAR(hit.score, 1, 1e-5);
}

TEST(CodeList, EstimatesInnerProducts) {
  constexpr std::size_t kDim = 384, kRows = 70;
  Vectors vectors(kDim, 1);
  const Rotation rotation(kDim);
  const auto rotated = [&](const std::vector<float>& vector) {
    std::vector<float> out(rotation.padded());
    rotation.Apply(vector, out);
    return out;
  };
  const auto centre = vectors.Next(), turned_centre = rotated(centre);
  EXPECT_NEAR(Cosine(turned_centre, turned_centre), 1, 1e-4);  // lengths stay
  CodeBlocks blocks(rotation.padded());
  CodeList codes(rotation.padded());
  std::vector<std::vector<float>> held;
  for (std::uint32_t i = 0; i < kRows; ++i) {
    held.push_back(vectors.Next());
    codes.Add(blocks, i, rotated(held.back()), turned_centre);
  }
  EXPECT_EQ(codes.Remove(blocks, 3), kRows - 1);  // the last one took its place
  const auto query = vectors.Next();
  CodeTables tables;
  tables.Build(rotated(query));
  float estimates[CodeList::kBlock];
  double error = 0, squares = 0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    codes.Estimate(i / CodeList::kBlock, tables, 0, estimates);
    const double off = estimates[i % CodeList::kBlock] + Cosine(centre, query) - Cosine(held[codes.row(i)], query);
    error += off / static_cast<double>(codes.size());
    squares += off * off / static_cast<double>(codes.size());
  }
  EXPECT_NEAR(error, 0, 0.01);             // without bias
  EXPECT_LT(std::sqrt(squares), 0.05);     // about 0.75 |r| |q - c| / sqrt(384) = 0.028
}

}  // namespace
}  // namespace tenfold::retrieval
