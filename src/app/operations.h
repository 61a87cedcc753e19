#pragma once
/// \file Documents, sources, runs, schedules and versions over HTTP, and the JSON the command line prints of them.
#include <string_view>
#include <vector>

#include "app/services.h"
#include "base/http.h"

namespace tenfold::app {

/// One line of a list.
JsonObject RunJson(const workflows::Run& run);
/// All of it. Errors: kNotFound, also for another user's.
JsonObject RunWithStepsJson(Services& on, const Context& ctx, std::string_view id);
JsonObject ScheduleJson(const workflows::Schedule& schedule);
/// Every source: how it stands, what a reading under way has come to so far ("so_far", else null), and what the last run came to.
JsonArray SourcesJson(Services& on, const Context& ctx);
/// One, by id or URL, with the first hundred items it left out. Errors: kNotFound.
JsonObject SourceJson(Services& on, const Context& ctx, std::string_view id);
/// Removes a source, its documents and the schedules that read it in one commit. Errors: kNotFound.
Json RemoveSourceWithSchedules(Services& on, const Context& ctx, std::string_view id);

std::vector<Endpoint> MakeOperationsEndpoints(Services& on);

}  // namespace tenfold::app
