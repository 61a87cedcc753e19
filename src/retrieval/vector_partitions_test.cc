#include "retrieval/vector_partitions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "retrieval/snapshot_file.h"

namespace tenfold::retrieval {
namespace {

constexpr std::size_t kDim = 64;
// So few that the centres lie in partitions of their own.
constexpr VectorPartitions::Limits kLimits{256, 16};
constexpr VectorPartitions::Effort kSome{1500, 100, 10, 10};

class Partitions : public testing::Test {
 protected:
  void Put(std::uint32_t row) {
    if (row >= vectors_.size()) vectors_.resize(row + 1);
    auto& vector = vectors_[row];
    vector.resize(kDim);
    const auto group = random_() % 200;
    std::mt19937 of_group(static_cast<unsigned>(group));
    std::normal_distribution<float> normal;
    for (auto& x : vector) x = normal(of_group) + 0.7f * normal(random_);
    partitions_.Put(row, vector, [&](std::uint32_t one, std::span<float> out) { std::ranges::copy(vectors_[one], out.begin()); });
  }
  void Remove(std::uint32_t row) {
    partitions_.Remove(row);
    vectors_[row].clear();
  }
  /// How many of the ten best by inner product are found, for 50 rows.
  double Recall(const VectorPartitions& in) const {
    std::size_t right = 0, asked = 0;
    for (std::size_t i = 0; i < vectors_.size() && asked < 50; i += 97) {
      if (vectors_[i].empty()) continue;
      ++asked;
      std::vector<std::pair<float, std::uint32_t>> exact;
      for (std::uint32_t row = 0; row < vectors_.size(); ++row)
        if (!vectors_[row].empty()) exact.emplace_back(-Dot(vectors_[row].data(), vectors_[i].data(), kDim), row);
      std::partial_sort(exact.begin(), exact.begin() + 10, exact.end());
      const auto found = Search(in, vectors_[i]);
      for (std::size_t k = 0; k < 10; ++k) right += std::ranges::count(found, exact[k].second) > 0;
    }
    return static_cast<double>(right) / static_cast<double>(10 * asked);
  }
  static std::vector<std::uint32_t> Search(const VectorPartitions& in, std::span<const float> vector) {
    VectorPartitions::Query query;
    query.Build(vector);
    std::size_t scanned = 0, reranked = 0;
    auto found = in.Search(query, {}, {kSome.scan, kSome.rerank, 20, kSome.enough}, scanned, reranked);
    std::ranges::sort(found);
    return found;
  }
  std::mt19937 random_{3};
  std::vector<std::vector<float>> vectors_;
  VectorPartitions partitions_{kDim, Metric::kCosine, kLimits};
};

TEST_F(Partitions, StayGoodWhenTheirCentresLieInPartitions) {
  for (std::uint32_t row = 0; row < 20'000; ++row) Put(row);
  ASSERT_GT(partitions_.partitions(), 10 * kLimits.flat_centres);
  EXPECT_GE(Recall(partitions_), 0.9);
  for (std::uint32_t row = 0; row < 20'000; row += 3) Remove(row);
  for (std::uint32_t row = 1; row < 20'000; row += 3) Remove(row), Put(row);
  EXPECT_EQ(partitions_.size(), 13'333u);
  EXPECT_GE(Recall(partitions_), 0.9);
  for (std::uint32_t row = 0; row < 20'000; ++row)
    if (!vectors_[row].empty()) Remove(row);
  EXPECT_EQ(partitions_.size(), 0u);
  EXPECT_EQ(partitions_.partitions(), 1u);
  for (std::uint32_t row = 0; row < 5'000; ++row) Put(row);
  EXPECT_GE(Recall(partitions_), 0.9);
}

TEST_F(Partitions, AreTheSameFromASnapshotAndGoOn) {
  for (std::uint32_t row = 0; row < 10'000; ++row) Put(row);
  const auto folder = std::filesystem::path(testing::TempDir()) / "partitions_test";
  std::filesystem::create_directories(folder);
  Bitmap present;
  for (std::uint32_t row = 0; row < 10'000; ++row) present.Set(row);
  {
    SnapshotWriter to(folder / "meanwhile");
    to.Begin();
    partitions_.Save(to, present);
    to.Finish({WhatOf("a test"), 1, 1});
    to.MoveTo(folder / "snapshot");
  }
  VectorPartitions restored(kDim, Metric::kCosine, kLimits);
  const SnapshotFile file(folder / "snapshot", WhatOf("a test"));
  auto section = file.Section(0);
  restored.Restore(section);
  section.Finish();
  for (std::uint32_t row = 0; row < 10'000; row += 501) EXPECT_EQ(Search(restored, vectors_[row]), Search(partitions_, vectors_[row]));
  // Both take the same from here on only if the centres' partitions are the same.
  for (std::uint32_t row = 10'000; row < 12'000; ++row) {
    Put(row);
    restored.Put(row, vectors_[row], [&](std::uint32_t one, std::span<float> out) { std::ranges::copy(vectors_[one], out.begin()); });
  }
  EXPECT_EQ(restored.partitions(), partitions_.partitions());
  for (std::uint32_t row = 0; row < 12'000; row += 501) EXPECT_EQ(Search(restored, vectors_[row]), Search(partitions_, vectors_[row]));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace tenfold::retrieval
