#pragma once
/// \file Structured log: one JSON object per line on standard error. Never a secret or a prompt.
#include <string_view>

#include "base/json.h"

namespace tenfold {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError };
/// Lines below `level` are dropped. Default kInfo. Threads: safe.
void SetLogLevel(LogLevel level);
/// Errors: kInvalidArgument naming the levels there are.
LogLevel ParseLogLevel(std::string_view name);
/// Threads: safe; one write per line.
void Log(LogLevel level, std::string_view message, JsonObject fields = {});

}  // namespace tenfold
