#include "app/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

namespace tenfold::app {

int ParseAndRun(CLI::App& app, const std::vector<std::string>& arguments, const CommandSink& say, const std::function<void()>& work) {
  try {
    if (!arguments.empty() && !arguments[0].starts_with('-')) {
      std::vector<std::string> known;
      for (const auto* command : app.get_subcommands([](CLI::App*) { return true; })) known.push_back(command->get_name());
      if (std::find(known.begin(), known.end(), arguments[0]) == known.end()) {
        const auto nearest = FindNearest(arguments[0], known);
        throw Error(Code::kInvalidArgument, "unknown command '" + arguments[0] + "'" + (nearest ? ", did you mean '" + *nearest + "'" : "; see 'tenfold --help'"));
      }
    }
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    work();
    return 0;
  } catch (const CLI::ParseError& e) {
    std::ostringstream out, err;
    const int status = app.exit(e, out, err);
    if (!out.str().empty()) say(CommandOutput::kResult, out.str());
    if (!err.str().empty()) say(CommandOutput::kProgress, err.str());
    return status == 0 ? 0 : 2;
  } catch (const Error& e) {
    say(CommandOutput::kProgress, "tenfold: " + e.message() + "\n");
    return ExitStatusOf(e.code());
  }
}

}  // namespace tenfold::app
