#pragma once
/// \file `tenfold migrate index` and `tenfold index import|export|list`: what is done to search indexes behind URLs, without a data folder being opened.
#include <filesystem>
#include <string>
#include <vector>

#include "app/commands.h"

namespace tenfold::app {

/// Whether `arguments` (without the program's name) are for RunIndexCommand.
bool IsIndexCommand(const std::vector<std::string>& arguments);
/// As RunCommand. `home` keeps the state of migrations and the names of indexes.
int RunIndexCommand(const Context& ctx, const std::filesystem::path& home, const std::vector<std::string>& arguments, const CommandSink& say);

}  // namespace tenfold::app
