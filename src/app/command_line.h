#pragma once
/// \file What all commands do alike: parse, run, and say what went wrong.
#include <functional>
#include <string>
#include <vector>

#include "app/commands.h"

namespace CLI {
class App;
}

namespace tenfold::app {

/// Parses `arguments` (without the program's name) with `app` and calls `work`. Returns the exit status: 0, 2 for what cannot be parsed, else that of the Error.
int ParseAndRun(CLI::App& app, const std::vector<std::string>& arguments, const CommandSink& say, const std::function<void()>& work);

}  // namespace tenfold::app
