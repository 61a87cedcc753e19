#include "base/clock.h"

#include <gtest/gtest.h>

namespace tenfold {
namespace {

using namespace std::chrono_literals;

TEST(Random, OfASeedGivesTheNumbersOfSplitMix64) {
  const SeededRandom random(1234567);
  EXPECT_EQ(random.Next(), 6457827717110365317u);
  EXPECT_EQ(random.Next(), 3203168211198807973u);
  EXPECT_EQ(random.Next(), 9817491932198370423u);
}

TEST(NewId, IsTheSameForTheSameTimeAndChanceAndSortsByTime) {
  ManualClock clock;
  const auto make = [&](std::uint64_t seed) { return NewId("run", clock, SeededRandom(seed)); };
  const auto first = make(1);
  EXPECT_EQ(first, make(1));
  EXPECT_NE(first, make(2));
  EXPECT_EQ(first.size(), 4u + 26u);
  clock.Advance(1ms);
  EXPECT_LT(first, make(0));
}

TEST(FormatTime, IsRfc3339InUtc) { EXPECT_EQ(FormatTime(TimePoint(std::chrono::microseconds(1'795'627'208'727'964))), "2026-11-25T17:20:08.727Z"); }

}  // namespace
}  // namespace tenfold
