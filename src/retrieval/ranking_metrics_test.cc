#include "retrieval/ranking_metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace tenfold::retrieval {
namespace {

TEST(RankingMetrics, AreWhatTheirFormulasSayByHand) {
  const Judgements judged{{"a", 3}, {"b", 1}, {"c", 0}, {"d", 2}, {"e", -1}};
  const std::vector<std::string> ranking{"c", "b", "x", "a", "e"};
  const double gained = 1 / std::log2(3.0) + 3 / std::log2(5.0), ideal = 3 + 2 / std::log2(3.0) + 1 / std::log2(4.0);
  EXPECT_NEAR(NdcgAt(ranking, judged, 10), gained / ideal, 1e-12);
  EXPECT_NEAR(NdcgAt(ranking, judged, 2), (1 / std::log2(3.0)) / (3 + 2 / std::log2(3.0)), 1e-12);
  EXPECT_DOUBLE_EQ(ReciprocalRankAt(ranking, judged, 10), 0.5);
  EXPECT_DOUBLE_EQ(ReciprocalRankAt(ranking, judged, 1), 0);
  EXPECT_NEAR(RecallAt(ranking, judged, 10), 2.0 / 3, 1e-12);
  EXPECT_NEAR(RecallAt(ranking, judged, 3), 1.0 / 3, 1e-12);
}

TEST(RankingMetrics, AreOneForAnIdealRankingAndZeroWithoutRelevantDocuments) {
  const Judgements judged{{"a", 2}, {"b", 1}}, none{{"a", 0}};
  const std::vector<std::string> ideal{"a", "b"};
  EXPECT_DOUBLE_EQ(NdcgAt(ideal, judged, 10), 1);
  EXPECT_DOUBLE_EQ(RecallAt(ideal, judged, 10), 1);
  EXPECT_DOUBLE_EQ(NdcgAt(ideal, none, 10), 0);
  EXPECT_DOUBLE_EQ(RecallAt(ideal, none, 10), 0);
  EXPECT_DOUBLE_EQ(NdcgAt({}, judged, 10), 0);
  EXPECT_TRUE(HasRelevant(judged));
  EXPECT_FALSE(HasRelevant(none));
}

TEST(Bootstrap, GivesTheSameIntervalForTheSameSeedAndHoldsTheMean) {
  std::vector<double> values;
  std::mt19937 random(3);
  for (int i = 0; i < 200; ++i) values.push_back(static_cast<double>(random()) / 4294967296.0);
  const auto one = BootstrapMean(values, 7), same = BootstrapMean(values, 7), other = BootstrapMean(values, 8);
  EXPECT_DOUBLE_EQ(one.low, same.low);
  EXPECT_DOUBLE_EQ(one.high, same.high);
  EXPECT_TRUE(one.low != other.low || one.high != other.high);
  EXPECT_LT(one.low, one.mean);
  EXPECT_GT(one.high, one.mean);
  // Of a uniform variable's mean over 200: standard error 0.2887 / sqrt(200), times 3.92 for the interval's width.
  EXPECT_NEAR(one.high - one.low, 3.92 * 0.2887 / std::sqrt(200.0), 0.01);
}

TEST(Bootstrap, HoldsTheTruthInAboutNineteenOfTwentySamples) {
  std::mt19937_64 random(11);
  int held = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<double> values;
    for (int i = 0; i < 60; ++i) values.push_back(static_cast<double>(random() >> 11) * 0x1p-53);
    const auto interval = BootstrapMean(values, static_cast<std::uint64_t>(round), 1000);
    held += interval.low <= 0.5 && 0.5 <= interval.high;
  }
  EXPECT_GE(held, 180);
  EXPECT_LE(held, 198);
}

TEST(Bootstrap, OfAPairedDifferenceIsNarrowWhereTheQueriesVaryTogether) {
  std::vector<double> before, after;
  std::mt19937_64 random(5);
  for (int i = 0; i < 100; ++i) {
    before.push_back(static_cast<double>(random() >> 11) * 0x1p-53);
    after.push_back(before.back() + 0.01);
  }
  const auto interval = BootstrapDifference(before, after, 1);
  EXPECT_NEAR(interval.mean, 0.01, 1e-9);
  EXPECT_NEAR(interval.low, 0.01, 1e-9);
  EXPECT_NEAR(interval.high, 0.01, 1e-9);
  EXPECT_EQ(BootstrapMean({}, 1).mean, 0);
  const double one[] = {0.25};
  EXPECT_EQ(BootstrapMean(one, 1).low, 0.25);
}

}  // namespace
}  // namespace tenfold::retrieval
