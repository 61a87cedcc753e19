#include "workflows/cron.h"

#include <gtest/gtest.h>

#include "base/testing.h"

namespace tenfold::workflows {
namespace {

using namespace std::chrono_literals;

std::string NextOf(std::string_view expression, std::chrono::sys_seconds at) { return FormatTime(Cron(expression).Next(std::chrono::time_point_cast<std::chrono::microseconds>(at))).substr(0, 16); }

// Expected times are those of croniter 6.0 (day_or=True) for the same expressions.
TEST(Cron, FindsTheNextTime) {
  using std::chrono::sys_days;
  const auto at = sys_days(std::chrono::year(2026) / 11 / 25) + 17h + 30min + 20s;  // a Wednesday
  EXPECT_EQ(NextOf("* * * * *", at), "2026-11-25T17:31");
  EXPECT_EQ(NextOf("*/15 * * * *", at), "2026-11-25T17:45");
  EXPECT_EQ(NextOf("30 17 * * *", at), "2026-11-26T17:30");
  EXPECT_EQ(NextOf("0 3 * * *", at), "2026-11-26T03:00");
  EXPECT_EQ(NextOf("0 9-17/4 * * mon-fri", at), "2026-11-26T09:00");
  EXPECT_EQ(NextOf("5,10 0 1 * *", at), "2026-12-01T00:05");
  EXPECT_EQ(NextOf("0 0 29 2 *", at), "2028-02-29T00:00");
  EXPECT_EQ(NextOf("0 0 13 * FRI", at), "2026-11-27T00:00");  // the 13th, or a Friday
  EXPECT_EQ(NextOf("0 0 * * 7", at), "2026-11-29T00:00");
  EXPECT_EQ(NextOf("0 0 */2 * 1", at), "2026-11-27T00:00");
  EXPECT_EQ(NextOf("59 23 31 12 *", at), "2026-12-31T23:59");
  EXPECT_EQ(NextOf("@hourly", at), "2026-11-25T18:00");
  EXPECT_EQ(NextOf("@yearly", at), "2027-01-01T00:00");
}

TEST(Cron, SaysWhichPartIsWrong) {
  for (const char* expression : {"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "a * * * *", "5-1 * * * *", "*/0 * * * *", "1, * * * *", ",1 * * * *", "@never", "-1 * * * *", "1--2 * * * *"})
    EXPECT_EQ(CodeOf([&] { Cron{expression}; }), Code::kInvalidArgument) << expression;
  EXPECT_EQ(CodeOf([&] { Cron("0 0 30 2 *").Next(TimePoint(1s)); }), Code::kInvalidArgument);
}

}  // namespace
}  // namespace tenfold::workflows
