#pragma once
/// \file The endpoint table of the server: one row per path.
#include <vector>

#include "app/services.h"
#include "base/http.h"

namespace tenfold::app {

/// `services` must outlive the rows.
std::vector<Endpoint> MakeEndpoints(Services& services);

}  // namespace tenfold::app
