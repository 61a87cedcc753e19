#pragma once
/// \file The built web app, served from memory.
#include <filesystem>
#include <vector>

#include "base/http.h"

namespace tenfold::interface {

/// Rows for "/" and all paths no other row takes. Reads the folder once. A folder that is not there gives a page that says how to build it.
/// Paths without a dot give index.html, so that a reload inside the app works.
std::vector<Endpoint> MakeWebAppEndpoints(const std::filesystem::path& dist);

}  // namespace tenfold::interface
