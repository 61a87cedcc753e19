#include "app/operations.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/percent.h"
#include "security/audit.h"

namespace tenfold::app {
namespace {

using namespace std::chrono_literals;

/// ?limit=, 1 to 200, 50 unless told.
std::size_t LimitOf(const HttpRequest& request) {
  const auto given = request.query.find("limit");
  if (given == request.query.end()) return 50;
  std::size_t limit = 0;
  const auto& text = given->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (error != std::errc() || end != text.data() + text.size() || limit < 1 || limit > 200) throw Error(Code::kInvalidArgument, "limit: is a number from 1 to 200", "limit");
  return limit;
}

/// The newest rows whose fields equal what the query string names.
template <class T>
data::Query Newest(const HttpRequest& request, std::string order, std::initializer_list<const char*> fields) {
  data::Query query{{}, std::move(order), true, LimitOf(request)};
  for (const auto* field : fields)
    if (const auto given = request.query.find(field); given != request.query.end()) query.where.push_back({field, data::Compare::kEqual, data::Value(given->second)});
  return query;
}

struct PutScheduleRequest {
  std::string cron;
  std::string source;
};
TENFOLD_DESCRIBE(PutScheduleRequest, (cron, Required{}, Length{1, 128}, Doc{"UTC, e.g. '0 3 * * *' or @hourly"}), (source, Required{}, Length{1, 128}, Doc{"the source to read again, by id"}))

struct PauseRequest {
  bool paused = false;
};
TENFOLD_DESCRIBE(PauseRequest, (paused, Required{}))

struct PromoteRequest {
  std::string alias = std::string(registry::kLive);
  std::string version;
  std::string reason;
};
TENFOLD_DESCRIBE(PromoteRequest, (alias, Length{1, 64}), (version, Required{}, Length{6, 64}, Doc{"its id, or the first characters of it"}), (reason, Length{0, 1000}))

struct RollbackRequest {
  std::string alias = std::string(registry::kLive);
};
TENFOLD_DESCRIBE(RollbackRequest, (alias, Length{1, 64}))

struct AddSourceRequest {
  std::string url;
  std::string label;
  bool dry_run = false;
  std::optional<retrieval::ChunkOptions> chunks;
};
TENFOLD_DESCRIBE(AddSourceRequest, (url, Required{}, Length{1, 4096}, Doc{"e.g. web:https://example.com/help"}), (label, Length{0, 1024}, Doc{"who may read what the source says nothing of; empty: the caller and admins"}),
                 (dry_run, Doc{"say what would be done, and do nothing"}), (chunks, Doc{"how its documents are cut; none: as the settings say"}))

retrieval::Source FindSource(Services& on, const Context& ctx, std::string_view id) {
  auto source = on.store->Read(ctx, [&](data::ReadTx& tx) {
    auto found = tx.Get<retrieval::Source>(id);
    return found ? found : tx.Get<retrieval::Source>(retrieval::SourceIdOf(id));
  });
  if (!source) throw Error(Code::kNotFound, "there is no such source; see GET /v1/sources", "source");
  return *source;
}

Json IngestOf(const retrieval::Source& source) { return ToJson(retrieval::IngestRequest{.url = source.url, .label = source.label}); }

JsonObject SourceRow(data::ReadTx& tx, const retrieval::Source& one) {
  const auto of_source = data::Where("source", one.id);
  const auto state = tx.Get<retrieval::SyncState>(one.id);
  const bool is_reading = state && state->listing;
  Json so_far;
  if (is_reading && state->report.is_object()) {
    so_far = state->report;
    for (const auto* list : {"problems", "plan"}) so_far.get_object().erase(list);
  }
  return {{"id", one.id},
          {"url", one.url},
          {"label", one.label},
          {"owner", one.owner},
          {"scanned", one.scanned_us == 0 ? Json(nullptr) : Json(boost::json::string(FormatTime(FromMicros(one.scanned_us))))},
          {"documents", tx.Count<retrieval::Document>(of_source)},
          {"left_out", tx.Count<retrieval::SourceProblem>(of_source)},
          {"last_run", one.last_run.empty() ? Json(nullptr) : Json(boost::json::string(one.last_run))},
          {"reading", is_reading},
          {"so_far", std::move(so_far)},
          {"chunks", one.chunks},
          {"report", one.report},
          {"error", one.error}};
}

}  // namespace

JsonArray SourcesJson(Services& on, const Context& ctx) {
  JsonArray found;
  on.store->Read(ctx, [&](data::ReadTx& tx) {
    for (const auto& one : tx.Find<retrieval::Source>()) {
      auto& row = found.emplace_back(SourceRow(tx, one)).get_object();
      if (auto* report = row.at("report").if_object()) report->erase("problems");  // SourceJson has them
    }
  });
  return found;
}

JsonObject SourceJson(Services& on, const Context& ctx, std::string_view id) {
  const auto source = FindSource(on, ctx, id);
  return on.store->Read(ctx, [&](data::ReadTx& tx) {
    auto row = SourceRow(tx, source);
    JsonArray problems;
    auto query = data::Where("source", source.id);
    query.order = "path";
    query.limit = 100;
    for (const auto& one : tx.Find<retrieval::SourceProblem>(query)) problems.push_back(JsonObject{{"path", one.path}, {"problem", one.problem}, {"attempts", one.attempts}, {"at", FormatTime(FromMicros(one.at_us))}});
    row["problems"] = std::move(problems);
    return row;
  });
}

Json RemoveSourceWithSchedules(Services& on, const Context& ctx, std::string_view id) {
  const auto source = FindSource(on, ctx, id);
  const auto documents = retrieval::RemoveSource(ctx, *on.store, *on.originals, source.id, [&](data::WriteTx& tx) {
    for (const auto& schedule : tx.Find<workflows::Schedule>()) {
      const auto* input = schedule.input.if_object();
      const auto* url = input && schedule.kind == "ingest" ? input->if_contains("url") : nullptr;
      if (url && url->is_string() && AsView(url->get_string()) == source.url) tx.Delete<workflows::Schedule>(schedule.id);
    }
    security::AppendAudit(tx, ctx, "sources.remove", source.url);
  });
  return JsonObject{{"id", source.id}, {"removed", true}, {"documents", documents}};
}

JsonObject RunJson(const workflows::Run& run) {
  return {{"id", run.id}, {"kind", run.kind}, {"state", ToJson(run.state)}, {"owner", run.owner}, {"created", FormatTime(FromMicros(run.created_us))}, {"error", run.error}};
}

JsonObject RunWithStepsJson(Services& on, const Context& ctx, std::string_view id) {
  const auto run = on.runs->Get(ctx, id);
  if (!run) throw Error(Code::kNotFound, "there is no run '" + std::string(id) + "'; see 'tenfold runs list'");
  auto json = ToJson(*run).get_object();
  JsonArray steps;
  for (const auto& step : on.runs->Steps(ctx, run->id)) steps.push_back(ToJson(step));
  json["steps"] = std::move(steps);
  return json;
}

JsonObject ScheduleJson(const workflows::Schedule& one) {
  JsonObject json{{"id", one.id}, {"kind", one.kind}, {"input", one.input}, {"cron", one.cron}, {"paused", one.paused}};
  json["next"] = one.paused ? Json(nullptr) : Json(boost::json::string(FormatTime(FromMicros(one.next_us))));
  json["last_run"] = one.last_run.empty() ? Json(nullptr) : Json(boost::json::string(one.last_run));
  return json;
}

std::vector<Endpoint> MakeOperationsEndpoints(Services& on) {
  std::vector<Endpoint> rows;
  rows.push_back({"GET", "/v1/documents", Access::kUser, 5s, "Documents the caller may read, newest first. Query: limit, source.", [&on](const Context& ctx, const HttpRequest& request) {
                    const auto limit = LimitOf(request);
                    const auto query = Newest<retrieval::Document>(request, "updated_us", {"source"});
                    std::vector<retrieval::Document> documents;
                    on.store->Read(ctx, [&](data::ReadTx& tx) {
                      const auto& labels = ctx.principal().labels;
                      if (std::find(labels.begin(), labels.end(), "*") != labels.end()) documents = tx.Find<retrieval::Document>(query);
                      else
                        for (const auto& label : labels) {
                          auto readable = query;
                          readable.where.push_back({"label", data::Compare::kEqual, data::Value(label)});
                          for (auto& one : tx.Find<retrieval::Document>(readable)) documents.push_back(std::move(one));
                        }
                    });
                    std::sort(documents.begin(), documents.end(), [](const auto& a, const auto& b) { return std::tie(a.updated_us, a.id) > std::tie(b.updated_us, b.id); });
                    JsonArray found;
                    for (std::size_t i = 0; i < std::min(limit, documents.size()); ++i) {
                      const auto& one = documents[i];
                      found.push_back(JsonObject{{"id", one.id}, {"source", one.source}, {"uri", one.uri}, {"title", one.title}, {"label", one.label}, {"media_type", one.media_type}, {"content_hash", one.content_hash}, {"version", one.version}, {"updated", FormatTime(FromMicros(one.updated_us))}});
                    }
                    return JsonResponse(JsonObject{{"documents", std::move(found)}});
                  }});
  rows.push_back({"GET", "/v1/documents/{id}/content", Access::kUser, 30s, "The bytes a document was made of.", [&on](const Context& ctx, const HttpRequest& request) {
                    const auto document = on.store->Read(ctx, [&](data::ReadTx& tx) { return tx.Get<retrieval::Document>(request.path_params.at("id")); });
                    if (!document || !ctx.principal().MayRead(document->label)) throw Error(Code::kNotFound, "there is no such document");
                    HttpResponse response;
                    response.content_type = document->media_type;
                    response.body = on.originals->Get(ctx, *document);
                    // Somebody else wrote it: it is never shown as a page of this site.
                    response.headers = {{"content-disposition", "attachment; filename*=UTF-8''" + PercentEncode(std::filesystem::path(document->uri).filename().string())}, {"x-content-type-options", "nosniff"}, {"content-security-policy", "sandbox"}};
                    return response;
                  }});
  rows.push_back({"GET", "/v1/sources", Access::kAdmin, 5s, "Where documents come from.", [&on](const Context& ctx, const HttpRequest&) {
                    return JsonResponse(JsonObject{{"sources", SourcesJson(on, ctx)}});
                  }});
  Endpoint add{"POST", "/v1/sources", Access::kAdmin, 30s, "Adds a source and reads it. The reply names the run; follow it at /v1/runs/{id}. Folders of the server are added with 'tenfold ingest' on it.", [&on](const Context& ctx, const HttpRequest& http) {
                 const auto request = FromJson<AddSourceRequest>(ParseJson(http.body));
                 // What lies on the server's disk is for those who can log on there to give away.
                 if (request.url.starts_with("folder:")) throw Error(Code::kPermissionDenied, "url: a folder of the server is added on its command line, 'tenfold ingest " + request.url + "'", "url");
                 const auto url = on.OpenSource(request.url)->url();
                 if (url.starts_with("folder:")) throw Error(Code::kPermissionDenied, "url: names a folder of the server", "url");
                 const auto run = on.runs->Start(ctx, {"ingest", ToJson(retrieval::IngestRequest{.url = request.url, .label = request.label, .dry_run = request.dry_run, .chunks = request.chunks}), ""});
                 return JsonResponse(JsonObject{{"id", retrieval::SourceIdOf(url)}, {"run", run}}, 202);
               }};
  add.request_schema = SchemaOf<AddSourceRequest>();
  rows.push_back(std::move(add));
  rows.push_back({"GET", "/v1/sources/{id}", Access::kAdmin, 5s, "A source with what it left out.", [&on](const Context& ctx, const HttpRequest& request) { return JsonResponse(SourceJson(on, ctx, request.path_params.at("id"))); }});
  rows.push_back({"DELETE", "/v1/sources/{id}", Access::kAdmin, 60s, "Removes a source, its documents and the schedules that read it.", [&on](const Context& ctx, const HttpRequest& request) {
                    return JsonResponse(RemoveSourceWithSchedules(on, ctx, request.path_params.at("id")));
                  }});
  rows.push_back({"POST", "/v1/sources/{id}/ingest", Access::kAdmin, 5s, "Reads a source again. The reply names the run; follow it at /v1/runs/{id}.", [&on](const Context& ctx, const HttpRequest& request) {
                    const auto source = FindSource(on, ctx, request.path_params.at("id"));
                    return JsonResponse(JsonObject{{"run", on.runs->Start(ctx, {"ingest", IngestOf(source), ""})}}, 202);
                  }});
  rows.push_back({"GET", "/v1/runs", Access::kAdmin, 5s, "The newest runs. Query: limit, kind, state, owner.", [&on](const Context& ctx, const HttpRequest& request) {
                    JsonArray found;
                    const auto query = Newest<workflows::Run>(request, "created_us", {"kind", "state", "owner"});
                    for (const auto& run : on.store->Read(ctx, [&](data::ReadTx& tx) { return tx.Find<workflows::Run>(query); })) found.push_back(RunJson(run));
                    return JsonResponse(JsonObject{{"runs", std::move(found)}});
                  }});
  rows.push_back({"GET", "/v1/runs/{id}", Access::kUser, 5s, "A run with its steps: the caller's own, or any for an admin.", [&on](const Context& ctx, const HttpRequest& request) { return JsonResponse(RunWithStepsJson(on, ctx, request.path_params.at("id"))); }});
  rows.push_back({"POST", "/v1/runs/{id}/cancel", Access::kUser, 5s, "Cancels a run: the caller's own, or any for an admin.", [&on](const Context& ctx, const HttpRequest& request) {
                    on.runs->Cancel(ctx, request.path_params.at("id"));
                    return JsonResponse(JsonObject{{"id", request.path_params.at("id")}, {"cancelled", true}});
                  }});
  rows.push_back({"GET", "/v1/schedules", Access::kAdmin, 5s, "Runs that are started again and again.", [&on](const Context& ctx, const HttpRequest&) {
                    JsonArray found;
                    for (const auto& one : on.runs->ListSchedules(ctx)) found.push_back(ScheduleJson(one));
                    return JsonResponse(JsonObject{{"schedules", std::move(found)}});
                  }});
  Endpoint put{"PUT", "/v1/schedules/{name}", Access::kAdmin, 5s, "Reads a source again at the times of a cron expression.", [&on](const Context& ctx, const HttpRequest& http) {
                 const auto request = FromJson<PutScheduleRequest>(ParseJson(http.body));
                 const auto source = FindSource(on, ctx, request.source);
                 return JsonResponse(ScheduleJson(on.runs->PutSchedule(ctx, http.path_params.at("name"), request.cron, {"ingest", IngestOf(source), ""})));
               }};
  put.request_schema = SchemaOf<PutScheduleRequest>();
  rows.push_back(std::move(put));
  Endpoint pause{"PATCH", "/v1/schedules/{name}", Access::kAdmin, 5s, "Pauses a schedule, or lets it go on.", [&on](const Context& ctx, const HttpRequest& http) {
                   const auto request = FromJson<PauseRequest>(ParseJson(http.body));
                   on.runs->PauseSchedule(ctx, http.path_params.at("name"), request.paused);
                   return JsonResponse(JsonObject{{"id", http.path_params.at("name")}, {"paused", request.paused}});
                 }};
  pause.request_schema = SchemaOf<PauseRequest>();
  rows.push_back(std::move(pause));
  rows.push_back({"DELETE", "/v1/schedules/{name}", Access::kAdmin, 5s, "Removes a schedule; its runs stay.", [&on](const Context& ctx, const HttpRequest& request) {
                    on.runs->RemoveSchedule(ctx, request.path_params.at("name"));
                    return JsonResponse(JsonObject{{"id", request.path_params.at("name")}, {"removed", true}});
                  }});
  rows.push_back({"GET", "/v1/versions", Access::kAdmin, 5s, "Versions of what shapes an answer, and the history of the alias 'live' (query: alias).", [&on](const Context& ctx, const HttpRequest& request) {
                    const auto given = request.query.find("alias");
                    JsonArray versions, history;
                    for (const auto& one : on.registry->List(ctx)) versions.push_back(ToJson(one));
                    for (const auto& move : on.registry->History(ctx, given == request.query.end() ? registry::kLive : std::string_view(given->second))) history.push_back(ToJson(move));
                    return JsonResponse(JsonObject{{"versions", std::move(versions)}, {"history", std::move(history)}});
                  }});
  rows.push_back(MakeJsonEndpoint<PromoteRequest, registry::AliasMove>("POST", "/v1/versions/promote", Access::kAdmin, 5s, "Makes a version live.", [&on](const Context& ctx, const PromoteRequest& request) {
    return on.registry->Promote(ctx, request.alias, request.version, request.reason);
  }));
  rows.push_back(MakeJsonEndpoint<RollbackRequest, registry::AliasMove>("POST", "/v1/versions/rollback", Access::kAdmin, 5s, "Goes back to the version before.", [&on](const Context& ctx, const RollbackRequest& request) {
    return on.registry->Rollback(ctx, request.alias);
  }));
  return rows;
}

}  // namespace tenfold::app
