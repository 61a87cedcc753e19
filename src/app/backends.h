#pragma once
/// \file Every replaceable part by the scheme of its URL, in one list to be read top to bottom.
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "data/store.h"

namespace tenfold::app {

/// "sqlite:<path>"; a relative path lies in `home`. Errors: kInvalidArgument naming the schemes this build has.
std::unique_ptr<data::Store> OpenStore(std::string_view url, const std::filesystem::path& home, std::vector<data::Table> tables);

}  // namespace tenfold::app
