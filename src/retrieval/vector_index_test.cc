#include "retrieval/vector_index.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

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

TEST(VectorIndex, LooksAtNoMoreWithAFilterThanWithout) {
  Vectors vectors(64, 300);
  VectorIndex index(64);
  constexpr std::uint32_t kRows = 20'000;
  Bitmap all;
  for (std::uint32_t i = 0; i < kRows; ++i) {
    index.Put(i, vectors.Next());
    all.Set(i);
  }
  // In the time of a four-bit code three one-bit codes are scanned.
  const auto cost = [](const VectorWork& work) { return work.scanned + 3 * work.reranked; };
  const auto query = vectors.Next();
  VectorWork whole, part;
  index.Search(query, all, 10, {}, &whole);
  EXPECT_GT(whole.scanned, 0u);
  EXPECT_GE(whole.reranked, 100u);
  EXPECT_GE(whole.exact, 16u);
  for (const std::uint32_t step : {2u, 3u, 5u, 10u, 12u, 20u, 30u, 50u, 100u, 1000u}) {
    Bitmap filter;
    for (std::uint32_t i = 0; i < kRows; i += step) filter.Set(i);
    EXPECT_EQ(index.Search(query, filter, 10, {}, &part).size(), 10u);
    EXPECT_LE(cost(part), cost(whole)) << "one of " << step << ": " << part.scanned << " scanned, " << part.reranked << " re-ranked";
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

/// What is found of the true ten best by a metric of vectors of many lengths, in partitions; and that scores are exact.
double RecallBy(Metric metric) {
  constexpr std::size_t kDim = 96;
  constexpr std::uint32_t kRows = 11'000;
  Vectors vectors(kDim, 150);
  VectorIndex index(kDim, metric);
  std::mt19937 random(4);
  std::vector<std::vector<float>> held;
  Bitmap all;
  for (std::uint32_t i = 0; i < kRows; ++i) {
    held.push_back(vectors.Next());
    for (auto& x : held.back()) x *= 0.7f + 0.6f * static_cast<float>(random() % 1000) / 1000;
    index.Put(i, held.back());
    all.Set(i);
  }
  EXPECT_GT(index.partitions(), kRows / VectorIndex::kSplitFrom);
  const auto score = [&](const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (std::size_t d = 0; d < kDim; ++d) sum += metric == Metric::kDot ? static_cast<double>(a[d]) * static_cast<double>(b[d]) : -std::pow(static_cast<double>(a[d]) - static_cast<double>(b[d]), 2);
    return sum;
  };
  std::size_t right = 0;
  constexpr std::size_t kQueries = 40;
  for (std::size_t q = 0; q < kQueries; ++q) {
    const auto query = vectors.Next();
    std::vector<std::pair<double, std::uint32_t>> exact;
    for (std::uint32_t i = 0; i < kRows; ++i) exact.emplace_back(-score(held[i], query), i);
    std::partial_sort(exact.begin(), exact.begin() + 10, exact.end());
    const auto hits = index.Search(query, all, 10);
    EXPECT_EQ(hits.size(), 10u);
    for (const auto& hit : hits) {
      EXPECT_NEAR(static_cast<double>(hit.score), score(held[hit.row], query), 1e-4);
      right += std::any_of(exact.begin(), exact.begin() + 10, [&](const auto& one) { return one.second == hit.row; });
    }
  }
  return static_cast<double>(right) / (10.0 * kQueries);
}

TEST(VectorIndex, FindsByInnerProductInPartitions) { EXPECT_GE(RecallBy(Metric::kDot), 0.95); }
TEST(VectorIndex, FindsByDistanceInPartitions) { EXPECT_GE(RecallBy(Metric::kEuclidean), 0.95); }

TEST(VectorIndex, ReturnsAsManyAsAreAllowedOfVectorsTooLongForEstimates) {
  for (const auto metric : {Metric::kDot, Metric::kEuclidean}) {
    Vectors vectors(64, 5);
    VectorIndex index(64, metric);
    Bitmap all;
    for (std::uint32_t i = 0; i < 9'000; ++i) {
      auto vector = vectors.Next();
      for (auto& x : vector) x *= i % 2 ? 1e30f : 1.0f;
      index.Put(i, vector);
      all.Set(i);
    }
    EXPECT_EQ(index.Search(vectors.Next(), all, 10).size(), 10u);
    for (std::uint32_t i = 0; i < 9'000; ++i) index.Remove(i);
    EXPECT_TRUE(index.Search(vectors.Next(), all, 10).empty());
  }
}

TEST(ExactVectors, GoIntoAFileWhenTheyAreManyAndAreTheSameThere) {
  constexpr std::size_t kDim = 40;
  ExactVectors vectors(kDim, 64 << 10);
  const auto value = [](std::uint32_t row, std::size_t d) { return static_cast<float>(row) + static_cast<float>(d) / 64; };
  const auto put = [&](std::uint32_t row) {
    std::vector<float> vector(kDim);
    for (std::size_t d = 0; d < kDim; ++d) vector[d] = value(row, d);
    vectors.Put(row, vector);
  };
  const auto check = [&](std::uint32_t rows) {
    for (std::uint32_t row = 0; row < rows; ++row)
      for (std::size_t d = 0; d < kDim; ++d) ASSERT_EQ(vectors.at(row)[d], value(row, d)) << row;
  };
  for (std::uint32_t row = 0; row < 400; ++row) put(row);
  EXPECT_EQ(vectors.file_bytes(), 0u);
  EXPECT_GT(vectors.heap_bytes(), 0u);
  for (std::uint32_t row = 400; row < 120'000; ++row) put(row);  // 19 MB: the file grows twice
  EXPECT_GE(vectors.file_bytes(), 120'000 * kDim * sizeof(float));
  EXPECT_EQ(vectors.heap_bytes(), 0u);
  check(120'000);
  vectors.Clear(7);
  for (std::size_t d = 0; d < kDim; ++d) EXPECT_EQ(vectors.at(7)[d], 0.0f);
}

TEST(ExactVectors, StayOnTheHeapWhereNoFileCanBeHad) {
  ExactVectors vectors(8, 1024);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  for (std::uint32_t row = 0; row < 1000; ++row) vectors.Put(row, std::vector<float>(8, static_cast<float>(row)));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(vectors.file_bytes(), 0u);
  for (std::uint32_t row = 0; row < 1000; ++row) EXPECT_EQ(vectors.at(row)[7], static_cast<float>(row));
}

TEST(FineCodes, EstimateInnerProductsAndGiveBackAboutWhatWasPut) {
  constexpr std::size_t kDim = 384;
  constexpr std::uint32_t kRows = 200;
  Vectors vectors(kDim, 1);
  const Rotation rotation(kDim);
  FineCodes codes(rotation.padded());
  std::vector<std::vector<float>> held(kRows, std::vector<float>(rotation.padded()));
  for (std::uint32_t i = 0; i < kRows; ++i) {
    rotation.Apply(vectors.Next(), held[i]);
    codes.Put(i, held[i]);
  }
  std::vector<float> query(rotation.padded()), decoded(rotation.padded());
  rotation.Apply(vectors.Next(), query);
  FineQuery fine;
  fine.Build(query);
  double error = 0, squares = 0;
  for (std::uint32_t i = 0; i < kRows; ++i) {
    const double off = codes.Estimate(i, fine) - Cosine(held[i], query);
    error += off / kRows;
    squares += off * off / kRows;
    codes.Decode(i, decoded);
    EXPECT_LT(SquaredDistance(decoded.data(), held[i].data(), kDim), 0.15f * 0.15f);
  }
  EXPECT_NEAR(error, 0, 0.003);
  EXPECT_LT(std::sqrt(squares), 0.009);  // about 0.11 / sqrt(384) = 0.0056
  codes.Clear(3);
  EXPECT_EQ(codes.Estimate(3, fine), 0);
}

TEST(Shortlist, KeepsTheBestAndFewMore) {
  std::mt19937 random(8);
  for (const std::size_t count : {1u, 20u, 300u}) {
    std::vector<std::pair<float, std::uint32_t>> all;
    Shortlist list;
    list.Begin(count);
    for (std::uint32_t i = 0; i < 4000; ++i) {
      all.emplace_back(std::normal_distribution<float>()(random), i);
      list.Add(all.back().first, i);
    }
    std::sort(all.rbegin(), all.rend());
    const auto taken = list.Take();
    EXPECT_GE(taken.size(), count);
    EXPECT_LE(taken.size(), count + count / 4 + 2);
    for (std::size_t i = 0; i < count; ++i) EXPECT_NE(std::find(taken.begin(), taken.end(), all[i].second), taken.end()) << count << " " << i;
  }
  Shortlist equal;
  equal.Begin(20);
  for (std::uint32_t i = 0; i < 5000; ++i) equal.Add(1.5f, i);
  EXPECT_GE(equal.Take().size(), 20u);
  EXPECT_LE(equal.Take().size(), 600u);
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
    CodeList::Estimate(codes.block(i / CodeList::kBlock, 0), tables, 0, estimates);
    const double off = estimates[i % CodeList::kBlock] + Cosine(centre, query) - Cosine(held[codes.row(i)], query);
    error += off / static_cast<double>(codes.size());
    squares += off * off / static_cast<double>(codes.size());
  }
  EXPECT_NEAR(error, 0, 0.01);             // without bias
  EXPECT_LT(std::sqrt(squares), 0.05);     // about 0.75 |r| |q - c| / sqrt(384) = 0.028
}

}  // namespace
}  // namespace tenfold::retrieval
