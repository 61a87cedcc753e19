#include "base/log.h"

#include <unistd.h>

#include <atomic>

#include "base/clock.h"
#include "base/error.h"

namespace tenfold {
namespace {
constexpr std::string_view kNames[] = {"debug", "info", "warning", "error"};
std::atomic<LogLevel> minimum_level{LogLevel::kInfo};
}  // namespace

void SetLogLevel(LogLevel level) { minimum_level = level; }

LogLevel ParseLogLevel(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kNames); ++i)
    if (kNames[i] == name) return static_cast<LogLevel>(i);
  throw Error(Code::kInvalidArgument, "log level '" + std::string(name) + "' is unknown; there are: debug, info, warning, error");
}

void Log(LogLevel level, std::string_view message, JsonObject fields) {
  if (level < minimum_level.load(std::memory_order_relaxed)) return;
  JsonObject line;
  line["time"] = FormatTime(SystemClock().Now());
  line["level"] = boost::json::string(kNames[static_cast<std::size_t>(level)]);
  line["message"] = boost::json::string(message);
  for (auto& [key, value] : fields) line[key] = std::move(value);
  const auto text = ToText(line) + "\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace tenfold
