#pragma once
/// \file Times that repeat, as cron writes them.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace tenfold::workflows {

/// "minute hour day-of-month month day-of-week" with *, lists, ranges, steps and English names; or @hourly, @daily, @weekly, @monthly, @yearly.
/// Where both days are given either will do, as POSIX crontab has it. Times are UTC. Threads: immutable.
class Cron {
 public:
  /// Errors: kInvalidArgument naming the part that is wrong.
  explicit Cron(std::string_view expression);
  /// The first such time after `at`. Errors: kInvalidArgument if there is none within the next eight years (30 February).
  TimePoint Next(TimePoint at) const;

 private:
  std::uint64_t minutes_ = 0;
  std::uint32_t hours_ = 0, days_ = 0;
  std::uint16_t months_ = 0;
  std::uint8_t weekdays_ = 0;
  bool any_day_ = false, any_weekday_ = false;
};

}  // namespace tenfold::workflows
