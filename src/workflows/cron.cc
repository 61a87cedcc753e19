#include "workflows/cron.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <vector>

#include "base/error.h"

namespace tenfold::workflows {
namespace {

constexpr std::array<std::string_view, 12> kMonths{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kWeekdays{"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

struct Part {
  std::string_view name;
  unsigned low, high;
  std::string_view const* names;
  std::size_t name_count;
};
constexpr Part kParts[] = {{"minute", 0, 59, nullptr, 0}, {"hour", 0, 23, nullptr, 0}, {"day of month", 1, 31, nullptr, 0}, {"month", 1, 12, kMonths.data(), 12}, {"day of week", 0, 7, kWeekdays.data(), 7}};

[[noreturn]] void Refuse(const Part& part, std::string_view text) {
  throw Error(Code::kInvalidArgument, "cron: '" + std::string(text) + "' is no " + std::string(part.name) + " (" + std::to_string(part.low) + " to " + std::to_string(part.high) + ")", "cron");
}

unsigned ParseNumber(const Part& part, std::string_view text) {
  for (std::size_t i = 0; i < part.name_count; ++i)
    if (std::equal(text.begin(), text.end(), part.names[i].begin(), part.names[i].end(), [](char a, char b) { return (a | 32) == b; })) return part.low + static_cast<unsigned>(i);
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < part.low || value > part.high) Refuse(part, text);
  return value;
}

/// Cuts the text before `separator` off `rest`.
std::string_view CutAt(std::string_view& rest, char separator) {
  const auto end = std::min(rest.find(separator), rest.size());
  const auto piece = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return piece;
}

std::uint64_t ParsePart(const Part& part, std::string_view text) {
  std::uint64_t bits = 0;
  for (auto rest = text; !rest.empty();) {
    const auto item = CutAt(rest, ',');
    auto range = item;
    const auto slash = range.find('/');
    unsigned step = 1;
    if (slash != std::string_view::npos) {
      const auto number = range.substr(slash + 1);
      const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), step);
      if (error != std::errc() || end != number.data() + number.size() || step == 0) Refuse(part, item);
      range = range.substr(0, slash);
    }
    unsigned low = part.low, high = part.high;
    if (range != "*") {
      const auto dash = range.find('-');
      low = ParseNumber(part, range.substr(0, dash));
      if (dash != std::string_view::npos) high = ParseNumber(part, range.substr(dash + 1));
      else if (slash == std::string_view::npos) high = low;
      if (low > high) Refuse(part, item);
    }
    for (auto value = low; value <= high; value += step) bits |= std::uint64_t{1} << value;
  }
  if (bits == 0 || text.ends_with(',')) Refuse(part, text);
  return bits;
}

}  // namespace

Cron::Cron(std::string_view expression) {
  static constexpr std::pair<std::string_view, std::string_view> kNicknames[] = {{"@hourly", "0 * * * *"}, {"@daily", "0 0 * * *"}, {"@weekly", "0 0 * * 0"}, {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}};
  for (const auto& [nickname, meaning] : kNicknames)
    if (expression == nickname) expression = meaning;
  std::vector<std::string_view> parts;
  for (auto rest = expression; !rest.empty();)
    if (const auto part = CutAt(rest, ' '); !part.empty()) parts.push_back(part);
  if (parts.size() != std::size(kParts))
    throw Error(Code::kInvalidArgument, "cron: '" + std::string(expression) + "' has " + std::to_string(parts.size()) + " parts; it is 'minute hour day-of-month month day-of-week', e.g. '0 3 * * *'", "cron");
  std::uint64_t bits[std::size(kParts)];
  for (std::size_t i = 0; i < parts.size(); ++i) bits[i] = ParsePart(kParts[i], parts[i]);
  minutes_ = bits[0];
  hours_ = static_cast<std::uint32_t>(bits[1]);
  days_ = static_cast<std::uint32_t>(bits[2]);
  months_ = static_cast<std::uint16_t>(bits[3]);
  weekdays_ = static_cast<std::uint8_t>((bits[4] | bits[4] >> 7) & 0x7F);  // 7 is Sunday too
  any_day_ = parts[2] == "*";
  any_weekday_ = parts[4] == "*";
}

TimePoint Cron::Next(TimePoint at) const {
  using namespace std::chrono;
  const auto from = floor<minutes>(at) + minutes(1);
  const auto first = floor<days>(from);
  for (auto day = first; day < first + years(8) + days(3); day += days(1)) {
    const year_month_day date(day);
    if (!(months_ >> static_cast<unsigned>(date.month()) & 1)) continue;
    const bool day_fits = days_ >> static_cast<unsigned>(date.day()) & 1, weekday_fits = weekdays_ >> weekday(day).c_encoding() & 1;
    if (!(any_day_ || any_weekday_ ? day_fits && weekday_fits : day_fits || weekday_fits)) continue;
    for (unsigned hour = 0; hour < 24; ++hour) {
      if (!(hours_ >> hour & 1)) continue;
      for (auto left = minutes_; left != 0; left &= left - 1) {
        const auto time = day + hours(hour) + minutes(std::countr_zero(left));
        if (time >= from) return time_point_cast<microseconds>(time);
      }
    }
  }
  throw Error(Code::kInvalidArgument, "cron: there is no such day", "cron");
}

}  // namespace tenfold::workflows
