#pragma once
/// \file The commands that act on a data folder. The same function runs them in their own process or, beside a running server, inside it.
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "app/services.h"

namespace tenfold::app {

enum class CommandOutput : std::uint8_t { kResult, kProgress };
/// Takes a piece of standard output or of standard error.
using CommandSink = std::function<void(CommandOutput, std::string_view)>;

/// `arguments` without the program's name. Returns the exit status; errors are said on the sink.
int RunCommand(const Context& ctx, Services& services, const std::vector<std::string>& arguments, const CommandSink& say);
/// Exit status of an error: 2 for a wrong request, 3 not found, 4 refused, 1 otherwise.
int ExitStatusOf(Code code);
/// "tenfold --help".
std::string HelpText();

}  // namespace tenfold::app
