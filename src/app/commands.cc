#include "app/commands.h"

#include <CLI/CLI.hpp>
#include <filesystem>

#include "app/backup.h"
#include "app/command_line.h"
#include "app/eval_retrieval.h"
#include "app/evaluate.h"
#include "app/example.h"
#include "app/operations.h"
#include "app/search_report.h"
#include "app/yaml.h"
#include "base/files.h"
#include "interface/pedigree.h"
#include "models/catalog.h"
#include "security/audit.h"
#include "workflows/cron.h"

namespace tenfold::app {
namespace {

struct Options {
  bool json = false;
  std::string home;  // read by main; accepted here so that help shows it
  std::string url, label, chunker, text, language, index, user, name, id, path, role = "customer", alias = "live", reason, cron;
  bool decline = false, dry_run = false, full = false;
  std::uint32_t k = 5;
  std::uint32_t chunk_tokens = 0;
  EvalRetrievalRequest eval;
  std::string filter;
  std::vector<std::string> facets;
  std::uint32_t offset = 0, per_document = 0;
  double diversity = 0;
  bool explain = false;
};

struct Call {
  const Context& ctx;
  Services& on;
  const Options& options;
  const CommandSink& say;

  /// JSON when asked for, else the text for people.
  void Print(const Json& json, const std::string& text) const { say(CommandOutput::kResult, options.json ? ToPrettyText(json) + "\n" : text); }
};

void CreateKey(const Call& call) {
  const auto key = call.on.accounts->CreateKey(call.ctx, call.options.user, call.options.name);
  call.Print(JsonObject{{"key", key}, {"user", call.options.user}}, key + "\n");
}

void ListUsers(const Call& call) {
  JsonArray rows;
  std::string text;
  for (const auto& user : call.on.accounts->ListUsers(call.ctx)) {
    rows.push_back(JsonObject{{"email", user.id}, {"name", user.name}, {"role", user.role}, {"customer", user.customer}});
    text += user.id + std::string(user.id.size() < 36 ? 36 - user.id.size() : 1, ' ') + user.role + "\n";
  }
  call.Print(JsonObject{{"users", std::move(rows)}}, text.empty() ? "no users yet; add one with 'tenfold users add'\n" : text);
}

void AddUser(const Call& call) {
  call.on.accounts->AddUser(call.ctx, {call.options.user, call.options.name, call.options.role, "", "", 0});
  call.Print(JsonObject{{"email", call.options.user}, {"role", call.options.role}}, "added " + call.options.user + "; let them in with 'tenfold users link --user " + call.options.user + "'\n");
}

void LinkUser(const Call& call) {
  const auto token = call.on.accounts->CreateSignInLink(call.ctx, call.options.user);
  const auto link = (call.on.settings.server.tls_certificate.empty() ? "http://" : "https://") + call.on.settings.server.listen + "/signin#token=" + token;
  call.Print(JsonObject{{"link", link}}, link + "\n");
}

std::optional<retrieval::ChunkOptions> ChunksOf(const Call& call) {
  if (call.options.chunker.empty()) return std::nullopt;
  retrieval::ChunkOptions defaults;
  defaults.max_tokens = call.on.settings.retrieval.chunk_tokens;
  return retrieval::ParseChunker(call.options.chunker, defaults);
}

/// How a file would be cut, without storing anything.
void ShowChunks(const Call& call) {
  const std::filesystem::path path = call.options.path;
  auto type = std::string(data::MediaTypeOf(path));
  if (type.empty() && !retrieval::LanguageOf(path.string()).empty()) type = "text/plain";
  const auto parsed = call.on.Parse(call.ctx.WithTimeout(std::chrono::seconds(25)), ReadFile(path, data::kMaxDocumentBytes), type);
  retrieval::Document document;
  document.title = parsed.title.empty() ? path.stem().string() : parsed.title;
  document.uri = path.filename().string();
  document.media_type = parsed.media_type;
  document.text = parsed.text;
  auto tools = call.on.generations.LiveTools();
  if (const auto chosen = ChunksOf(call)) tools.chunks = *chosen;
  JsonArray rows;
  std::string text;
  for (const auto& chunk : retrieval::MakeChunks(document, tools)) {
    const auto tokens = tools.count_tokens(chunk.text);
    const auto span = [](std::int64_t begin, std::int64_t end) { return std::to_string(begin) + "-" + std::to_string(end); };
    JsonObject row{{"span", JsonArray{chunk.begin_byte, chunk.end_byte}}, {"tokens", tokens}, {"heading", chunk.heading}, {"context", chunk.context}, {"text", chunk.text}};
    row["parent"] = chunk.parent_end ? Json(JsonArray{chunk.parent_begin, chunk.parent_end}) : Json(nullptr);
    rows.push_back(std::move(row));
    text += "--- " + std::to_string(rows.size()) + "  bytes " + span(chunk.begin_byte, chunk.end_byte) + "  " + std::to_string(tokens) + " tokens" + (chunk.heading.empty() ? "" : "  " + chunk.heading) +
            (chunk.parent_end ? "  given as bytes " + span(chunk.parent_begin, chunk.parent_end) : "") + "\n" + (chunk.context.empty() ? "" : "[" + chunk.context + "]\n") + chunk.text + "\n";
  }
  call.Print(JsonObject{{"title", document.title}, {"options", ToJson(tools.chunks)}, {"chunks", std::move(rows)}}, text.empty() ? "no text\n" : text);
}

std::string ReportLine(const retrieval::IngestReport& report) {
  return std::to_string(report.added) + (report.dry_run ? " to add, " : " added, ") + std::to_string(report.changed) + " changed, " + std::to_string(report.unchanged) + " unchanged, " + std::to_string(report.relabelled) +
         " relabelled, " + std::to_string(report.removed) + " removed, " + std::to_string(report.chunks) + " new chunks" + (report.problem_count ? ", " + std::to_string(report.problem_count) + " left out" : "") + "\n";
}

void Ingest(const Call& call) {
  auto url = call.options.url;
  if (url.starts_with("folder:")) url = "folder:" + std::filesystem::absolute(url.substr(7)).lexically_normal().string();
  if (!call.options.cron.empty()) workflows::Cron{call.options.cron};  // refused before anything is read
  const auto report = RunIngest(call.on, call.ctx, {url, call.options.label, call.options.dry_run, call.options.full, ChunksOf(call)}, [&](std::string_view line) { call.say(CommandOutput::kProgress, line); });
  auto text = ReportLine(report);
  for (const auto& one : report.plan) text += "would " + one.change + " " + one.path + "\n";
  for (const auto& problem : report.problems) text += (report.dry_run ? "would leave out " : "left out ") + problem.path + ": " + problem.problem + "\n";
  auto json = ToJson(report).get_object();
  if (!call.options.cron.empty() && !call.options.dry_run) {
    const auto folder = std::filesystem::path(url.substr(url.find(':') + 1));
    const auto name = !call.options.name.empty() ? call.options.name : (folder.has_filename() ? folder : folder.parent_path()).filename().string();
    const auto schedule = call.on.runs->PutSchedule(call.ctx, name, call.options.cron, {"ingest", ToJson(retrieval::IngestRequest{.url = url, .label = call.options.label}), ""});
    json["schedule"] = ScheduleJson(schedule);
    text += "again at " + FormatTime(FromMicros(schedule.next_us)) + ", schedule '" + name + "'\n";
  }
  call.Print(json, text);
}

void ListSources(const Call& call) {
  const auto sources = SourcesJson(call.on, call.ctx);
  std::string text;
  for (const auto& one : sources) {
    const auto& row = one.get_object();
    const auto say = [&](const char* field) { return std::string(AsView(row.at(field).get_string())); };
    text += say("id") + "  " + say("url") + "  " + (row.at("label").get_string().empty() ? "private to " + say("owner") : say("label")) + "  " + ToText(row.at("documents")) + " documents  " +
            (row.at("scanned").is_null() ? "never read to its end" : "read " + say("scanned")) + (row.at("error").get_string().empty() ? "" : "  last try failed: " + say("error")) + "\n";
  }
  call.Print(JsonObject{{"sources", sources}}, text.empty() ? "no sources yet; add one with 'tenfold ingest URL'\n" : text);
}

void ShowSource(const Call& call) {
  const auto source = SourceJson(call.on, call.ctx, call.options.id);
  call.say(CommandOutput::kResult, ToPrettyText(source) + "\n");
}

void RemoveSource(const Call& call) {
  const auto removed = RemoveSourceWithSchedules(call.on, call.ctx, call.options.id);
  call.Print(removed, "removed with its " + ToText(removed.get_object().at("documents")) + " documents\n");
}

void ListSchedules(const Call& call) {
  JsonArray rows;
  std::string text;
  for (const auto& one : call.on.runs->ListSchedules(call.ctx)) {
    rows.push_back(ScheduleJson(one));
    text += one.id + "  " + one.kind + "  '" + one.cron + "'  " + (one.paused ? "paused" : "next " + FormatTime(FromMicros(one.next_us))) + (one.last_run.empty() ? "" : "  last " + one.last_run) + "\n";
  }
  call.Print(JsonObject{{"schedules", std::move(rows)}}, text.empty() ? "no schedules yet; make one with 'tenfold ingest URL --cron \"0 3 * * *\"'\n" : text);
}

void PauseSchedule(const Call& call) {
  call.on.runs->PauseSchedule(call.ctx, call.options.id, true);
  call.Print(JsonObject{{"id", call.options.id}, {"paused", true}}, "paused; go on with 'tenfold schedules resume " + call.options.id + "'\n");
}

void ResumeSchedule(const Call& call) {
  call.on.runs->PauseSchedule(call.ctx, call.options.id, false);
  call.Print(JsonObject{{"id", call.options.id}, {"paused", false}}, "goes on\n");
}

void RemoveSchedule(const Call& call) {
  call.on.runs->RemoveSchedule(call.ctx, call.options.id);
  call.Print(JsonObject{{"id", call.options.id}, {"removed", true}}, "removed; its runs stay in 'tenfold runs list'\n");
}

Context AsUser(const Call& call) { return call.options.user.empty() ? call.ctx : call.ctx.As(*call.on.accounts->PrincipalOf(call.options.user)); }

void Ask(const Call& call) {
  const auto ctx = AsUser(call);
  const auto run = call.on.assistant->Ask(ctx, {call.options.text, "", {}, std::string(registry::kLive)});
  JsonArray sources;
  JsonObject finished;
  std::string text, asked;
  workflows::RunState state;
  for (std::int64_t seen = 0;;) {
    const auto batch = call.on.runs->Events(ctx, run, seen, std::chrono::milliseconds(500));
    for (const auto& event : batch.events) {
      seen = event.number;
      const auto& data = event.data.get_object();
      if (event.type == "token") {
        const std::string piece(AsView(data.at("text").get_string()));
        text += piece;
        if (!call.options.json) call.say(CommandOutput::kResult, piece);
      } else if (event.type == "source") {
        const auto& document = data.at("document").get_object();
        sources.push_back(JsonObject{{"number", data.at("number")}, {"document", document}, {"span", data.at("span")}, {"quote", data.at("quote")}});
      } else if (event.type == "approval_asked") {
        asked = ToText(data.at("input"));
      } else if (event.type == "finished") {
        finished = data;
      }
    }
    if (!batch.events.empty()) continue;
    state = batch.state;
    if (state != workflows::RunState::kQueued && state != workflows::RunState::kRunning) break;
  }
  if (state == workflows::RunState::kFailed) throw Error(Code::kInternal, "the assistant failed: " + call.on.runs->Get(ctx, run)->error);
  const auto waits = state == workflows::RunState::kWaiting;
  if (call.options.json) {
    call.say(CommandOutput::kResult, ToPrettyText(JsonObject{{"answer", text}, {"id", run}, {"citations", sources}, {"waits_for_approval", waits}, {"asks", waits ? ParseJson(asked) : Json(nullptr)}, {"result", finished}}) + "\n");
    return;
  }
  std::string rest = text.empty() ? "" : "\n";
  for (const auto& source : sources) {
    const auto& document = source.get_object().at("document").get_object();
    rest += "[" + ToText(source.get_object().at("number")) + "] " + std::string(AsView(document.at("title").get_string())) + " (" + std::string(AsView(document.at("uri").get_string())) + ")\n";
  }
  if (waits) rest += "this would be done: " + asked + "\nconfirm with 'tenfold runs approve " + run + "', decline with 'tenfold runs approve " + run + " --decline'\n";
  call.say(CommandOutput::kResult, rest);
  call.say(CommandOutput::kProgress, "how it came about: tenfold explain " + run + "\n");
}

void Approve(const Call& call) {
  const auto run = call.on.runs->Get(call.ctx, call.options.id);
  if (!run) throw Error(Code::kNotFound, "there is no run '" + call.options.id + "'");
  call.on.assistant->Approve(call.ctx, call.options.id, !call.options.decline);
  const auto done = call.on.runs->Await(call.ctx, call.options.id);
  call.Print(done.output, done.output.is_object() && done.output.get_object().contains("text") ? std::string(AsView(done.output.get_object().at("text").get_string())) + "\n" : "done\n");
}

void Explain(const Call& call) {
  const auto pedigree = interface::PedigreeOf({*call.on.store, *call.on.runs, *call.on.registry}, call.ctx, call.options.id);
  call.Print(pedigree, interface::PedigreeInWords(pedigree));
}

void EvalRetrieval(const Call& call) {
  auto request = call.options.eval;
  request.user = call.options.user;
  const auto report = EvaluateRetrieval(call.on, call.ctx, request, [&](std::string_view line) { call.say(CommandOutput::kProgress, line); });
  call.Print(ToJson(report), ReportInWords(report));
}

void Eval(const Call& call) {
  if (call.options.path.empty()) throw Error(Code::kInvalidArgument, "eval needs a file of questions, such as examples/shop/questions.yaml; see 'tenfold eval --help'");
  const auto report = Evaluate(call.on, call.ctx, call.options.path, [&](const EvalResult& result) {
    call.say(CommandOutput::kProgress, (result.passed ? "ok    " : "WRONG ") + result.id + "  " + result.question.substr(0, 70) + (result.passed ? "" : "  -- " + result.failure) + "\n");
  });
  call.Print(ToJson(report), ReportInWords(report));
}

void ListVersions(const Call& call) {
  JsonArray rows;
  std::string text;
  const auto moves = call.on.registry->History(call.ctx, registry::kLive);
  const auto live = moves.empty() ? std::string() : moves.front().version;
  for (const auto& version : call.on.registry->List(call.ctx)) {
    auto row = ToJson(version).get_object();
    row["live"] = version.id == live;
    rows.push_back(std::move(row));
    text += version.id.substr(0, 12) + (version.id == live ? "  live  " : "        ") + FormatTime(FromMicros(version.created_us)) + "  " + version.note + "\n";
  }
  JsonArray history;
  for (const auto& move : moves) history.push_back(ToJson(move));
  call.Print(JsonObject{{"versions", std::move(rows)}, {"history", std::move(history)}}, text);
}

void ShowVersion(const Call& call) { call.say(CommandOutput::kResult, ToPrettyText(ToJson(call.on.registry->Resolve(call.options.id.empty() ? std::string(registry::kLive) : call.options.id)->config)) + "\n"); }

void CreateVersion(const Call& call) {
  const auto id = call.on.registry->Put(call.ctx, LoadYaml<agents::AssistantConfig>(call.options.path), call.options.name);
  call.Print(JsonObject{{"version", id}}, id + "\nmake it live with 'tenfold promote " + id.substr(0, 12) + "'\n");
}

void ListModels(const Call& call) {
  const models::Catalog catalog(CacheFolder());
  JsonArray rows;
  std::string text;
  for (const auto& model : catalog.models()) {
    std::uint64_t bytes = 0;
    for (const auto& file : model.files) bytes += file.bytes;
    const bool here = catalog.IsPresent(model);
    auto row = ToJson(model).get_object();
    row["present"] = here;
    row["bytes"] = bytes;
    rows.push_back(std::move(row));
    char line[256];
    std::snprintf(line, sizeof line, "%-30s %-9s %-10s %5llu MB  %5u MB of memory  %s\n", model.id.c_str(), model.kind.c_str(), here ? "here" : "not here", static_cast<unsigned long long>(bytes >> 20), model.memory_mb, model.licence.c_str());
    text += line;
  }
  call.Print(JsonObject{{"models", std::move(rows)}}, text);
}

void PullModel(const Call& call) {
  models::Catalog catalog(CacheFolder());
  auto shown = std::chrono::steady_clock::time_point();
  catalog.Pull(call.ctx, call.options.id, [&](std::uint64_t done, std::uint64_t total) {
    const auto now = std::chrono::steady_clock::now();
    if (now - shown < std::chrono::milliseconds(500) && done < total) return;
    shown = now;
    const auto percent = total ? 100 * done / total : 100;
    call.say(CommandOutput::kProgress, "\r" + call.options.id + " [" + std::string(percent / 4, '#') + std::string(25 - percent / 4, '.') + "] " + std::to_string(percent) + " % of " + std::to_string(total >> 20) + " MB" + (done == total ? "\n" : ""));
  });
  call.Print(JsonObject{{"model", call.options.id}, {"present", true}}, call.options.id + " is here\n");
}

void RemoveModel(const Call& call) {
  models::Catalog(CacheFolder()).Remove(call.options.id);
  call.Print(JsonObject{{"model", call.options.id}, {"present", false}}, "removed " + call.options.id + "\n");
}

void PrintMove(const Call& call, const registry::AliasMove& move) {
  call.Print(ToJson(move), move.alias + " -> " + move.version.substr(0, 12) + (move.previous.empty() ? "" : " (was " + move.previous.substr(0, 12) + ")") + "\n");
}
void Promote(const Call& call) { PrintMove(call, call.on.registry->Promote(call.ctx, call.options.alias, call.options.id, call.options.reason)); }
void Rollback(const Call& call) { PrintMove(call, call.on.registry->Rollback(call.ctx, call.options.alias)); }

void Search(const Call& call) {
  const auto& options = call.options;
  // The same checks as of POST /v1/search, whose body this is.
  JsonObject body{{"query", options.text}, {"k", options.k}, {"offset", options.offset}, {"per_document", options.per_document}, {"diversity", options.diversity}, {"explain", options.explain}};
  if (!options.facets.empty()) body["facets"] = ToJson(options.facets);
  if (!options.filter.empty()) {
    try {
      body["filter"] = JsonObject{{"metadata", ParseJson(options.filter)}};
    } catch (const Error& e) {
      throw Error(Code::kInvalidArgument, "--filter: " + e.message() + "; a filter is JSON such as '{\"media_type\": \"text/markdown\"}'");
    }
  }
  const auto response = call.on.Search(AsUser(call), FromJson<SearchRequest>(body));
  call.Print(ToJson(response), ReportInWords(response));
}

void ListGenerations(const Call& call) {
  JsonArray rows;
  std::string text;
  for (const auto& one : call.on.generations.List(call.ctx, *call.on.store)) {
    rows.push_back(ToJson(one));
    text += one.generation.id + "  " + std::string(AsView(ToJson(one.generation.state).get_string())) + "  " + one.generation.embedder + (one.generation.language == retrieval::Language::kEnglish ? "" : "  " + std::string(AsView(ToJson(one.generation.language).get_string()))) + (one.generation.index.empty() ? "" : "  " + one.generation.index) +
            (one.generation.chunks.is_null() ? "" : "  " + ToText(one.generation.chunks)) + "  " + std::to_string(one.documents) +
            " documents" + (one.missing ? ", lacks " + std::to_string(one.missing) : "") + ", " + std::to_string(one.chunks) + " passages" + (one.refused ? ", " + std::to_string(one.refused) + " refused by its index" : "") + (one.problem.empty() ? "" : "; its index: " + one.problem) + "\n";
  }
  call.Print(JsonObject{{"generations", std::move(rows)}}, text);
}

/// Follows a run until it ends, saying each stage.
workflows::Run Follow(const Call& call, const std::string& run) {
  for (std::int64_t seen = 0;;) {
    const auto batch = call.on.runs->Events(call.ctx, run, seen, std::chrono::milliseconds(500));
    for (const auto& event : batch.events) {
      seen = event.number;
      if (event.type == "stage") call.say(CommandOutput::kProgress, "[" + ToText(event.data.at("done")) + "/" + ToText(event.data.at("total")) + "] " + std::string(AsView(event.data.at("path").as_string())) + "\n");
    }
    if (!batch.events.empty()) continue;
    auto state = call.on.runs->Get(call.ctx, run);
    if (!state || state->state == workflows::RunState::kQueued || state->state == workflows::RunState::kRunning) continue;
    if (state->state != workflows::RunState::kFinished) throw Error(Code::kFailedPrecondition, state->error.empty() ? "the run was cancelled" : state->error);
    return std::move(*state);
  }
}

void BuildGeneration(const Call& call) {
  call.on.generations.Find(call.options.id);
  const auto run = Follow(call, call.on.runs->Start(call.ctx, {"build-generation", JsonObject{{"generation", call.options.id}}, ""}));
  call.Print(run.output, call.options.id + " has every document; compare it with 'tenfold generations compare " + call.options.id + "', then 'tenfold generations switch " + call.options.id + "'\n");
}

void CreateGeneration(const Call& call) {
  Json chunks = nullptr;
  if (call.options.chunk_tokens) chunks = JsonObject{{"max_tokens", call.options.chunk_tokens}};
  retrieval::GenerationShape shape;
  if (!call.options.language.empty()) shape.language = FromJson<retrieval::Language>(Json(boost::json::string(call.options.language)));
  if (!call.options.index.empty()) shape.index = call.options.index;
  const auto made = call.on.generations.Create(call.ctx, *call.on.store, call.options.text, chunks, shape);
  call.say(CommandOutput::kProgress, "building " + made.id + " beside " + call.on.generations.live().generation + "\n");
  auto built = call.options;
  built.id = made.id;
  BuildGeneration({call.ctx, call.on, built, call.say});
}

/// Questions that were asked, newest first, each once; those of a questions file are labelled.
std::vector<retrieval::LabelledQuery> QueriesToCompare(const Call& call) {
  if (!call.options.path.empty()) return LabelledQuestions(call.options.path);
  std::vector<retrieval::LabelledQuery> out;
  for (auto& answer : call.on.store->Read(call.ctx, [](data::ReadTx& tx) { return tx.Find<monitoring::Answer>({{}, "asked_us", true, 2000}); }))
    if (out.size() < 500 && std::none_of(out.begin(), out.end(), [&](const auto& one) { return one.query == answer.question; })) out.push_back({std::move(answer.question), {}});
  if (out.empty()) throw Error(Code::kFailedPrecondition, "no questions were asked yet; give a file of them with --questions, such as examples/shop/questions.yaml");
  return out;
}

void CompareGenerations(const Call& call) {
  const auto compared = call.on.generations.Compare(call.ctx, *call.on.store, call.on.generations.live().generation, call.options.id, QueriesToCompare(call));
  char line[256];
  std::snprintf(line, sizeof line, "%lld questions: %s and %s share %.1f %% of the first ten documents\n", static_cast<long long>(compared.queries), compared.a.c_str(), compared.b.c_str(), 100 * compared.overlap);
  std::string text = line;
  if (compared.labelled) {
    std::snprintf(line, sizeof line, "%lld labelled: nDCG@10 %.3f with %s, %.3f with %s\n", static_cast<long long>(compared.labelled), compared.ndcg_a, compared.a.c_str(), compared.ndcg_b, compared.b.c_str());
    text += line;
  }
  for (const auto& query : compared.differing)
    if (query.overlap < 0.5) text += std::to_string(static_cast<int>(100 * query.overlap)) + " %  " + query.query.substr(0, 90) + "\n";
  call.Print(ToJson(compared), text);
}

void SwitchGeneration(const Call& call) {
  call.on.generations.Switch(call.ctx, *call.on.store, call.options.id);
  call.Print(JsonObject{{"live", call.options.id}}, call.options.id + " is live; go back with 'tenfold generations rollback'\n");
}

void RollbackGeneration(const Call& call) {
  const auto id = call.on.generations.Rollback(call.ctx, *call.on.store);
  call.Print(JsonObject{{"live", id}}, id + " is live again\n");
}

void RemoveGeneration(const Call& call) {
  call.on.generations.Remove(call.ctx, *call.on.store, call.options.id);
  call.Print(JsonObject{{"removed", call.options.id}}, "removed " + call.options.id + "\n");
}

void ListRuns(const Call& call) {
  JsonArray rows;
  std::string text;
  for (const auto& run : call.on.store->Read(call.ctx, [](data::ReadTx& tx) { return tx.Find<workflows::Run>({{}, "created_us", true, 50}); })) {
    const auto& row = rows.emplace_back(RunJson(run)).get_object();
    text += run.id + "  " + run.kind + "  " + std::string(AsView(row.at("state").get_string())) + "  " + FormatTime(FromMicros(run.created_us)) + (run.error.empty() ? "" : "  " + run.error) + "\n";
  }
  call.Print(JsonObject{{"runs", std::move(rows)}}, text.empty() ? "no runs yet\n" : text);
}

void ShowRun(const Call& call) { call.say(CommandOutput::kResult, ToPrettyText(RunWithStepsJson(call.on, call.ctx, call.options.id)) + "\n"); }

void VerifyAudit(const Call& call) {
  const auto finding = call.on.store->Read(call.ctx, [](data::ReadTx& tx) { return security::VerifyAudit(tx); });
  if (finding) throw Error(Code::kDataLoss, "audit entry " + std::to_string(finding->number) + " " + finding->problem);
  const auto entries = call.on.store->Read(call.ctx, [](data::ReadTx& tx) { return tx.Count<security::AuditEntry>(); });
  call.Print(JsonObject{{"whole", true}, {"entries", entries}}, "the audit log is whole: " + std::to_string(entries) + " entries\n");
}

void Backup(const Call& call) {
  const auto target = std::filesystem::absolute(call.options.path);
  const auto commit = MakeBackup(call.on, call.ctx, target);
  call.Print(JsonObject{{"path", target.string()}, {"commit", commit}}, "backed up commit " + std::to_string(commit) + " to " + target.string() + "\n");
}

void Check(const Call& call) {
  call.on.store->CheckIntegrity(call.ctx);
  call.Print(JsonObject{{"ok", true}, {"commit", call.on.store->commit()}}, "settings are right, the store is whole at commit " + std::to_string(call.on.store->commit()) + "\n");
}

using CommandFunction = void (*)(const Call&);

constexpr const char* kChunkerHelp =
    "how documents are cut: auto, structure, sentences, table, code or parents, and what differs from the settings, e.g. 'sentences,max_tokens=120,overlap_tokens=30' or 'auto,prefix={first}'";

/// Adds every command to `app`; the one that was parsed is left in `chosen`.
void Define(CLI::App& app, Options& options, CommandFunction& chosen) {
  app.require_subcommand(1);
  const auto add = [&](CLI::App& parent, const char* name, const char* what, CommandFunction function) {
    auto* command = parent.add_subcommand(name, what);
    command->add_flag("--json", options.json, "print JSON");
    command->add_option("--home", options.home, "data folder (default $TENFOLD_HOME, else ~/.tenfold)");
    command->callback([&chosen, function] { chosen = function; });
    return command;
  };
  const auto group = [&](const char* name, const char* what) {
    auto* parent = app.add_subcommand(name, what);
    parent->require_subcommand(1);
    return parent;
  };
  add(app, "check", "check settings and the store's integrity", Check);
  auto* ingest = add(app, "ingest", "read documents from a source, e.g. folder:help", Ingest);
  ingest->add_option("url", options.url, "folder:PATH")->required();
  ingest->add_option("--label", options.label, "who may read what the source says nothing of, e.g. public or group:hr,user:ana@example.com (default: as before; the first time, only you and admins)");
  ingest->add_option("--chunker", options.chunker, kChunkerHelp);
  ingest->add_flag("--dry-run", options.dry_run, "say what would be done, and do nothing");
  ingest->add_flag("--full", options.full, "list everything, though the source could say what changed");
  ingest->add_option("--cron", options.cron, "read it again at these times (UTC), e.g. '0 3 * * *' or @hourly");
  ingest->add_option("--name", options.name, "name of that schedule (default: the folder's)");
  auto* chunks = add(app, "chunks", "how a file would be cut into passages; nothing is stored", ShowChunks);
  chunks->add_option("file", options.path, "the file")->required();
  chunks->add_option("--chunker", options.chunker, kChunkerHelp);
  auto* sources = group("sources", "where documents come from");
  add(*sources, "list", "all sources, and when they were read", ListSources);
  add(*sources, "show", "one source with what it left out", ShowSource)->add_option("id", options.id, "the source, by id or URL")->required();
  add(*sources, "rm", "remove a source with its documents and schedules", RemoveSource)->add_option("id", options.id, "the source, by id or URL")->required();
  auto* search = add(app, "search", "passages that answer a query", Search);
  search->add_option("text", options.text, "what to look for")->required();
  search->add_option("-k", options.k, "how many (default 5)");
  search->add_option("--offset", options.offset, "how many to pass over");
  search->add_option("--filter", options.filter, "conditions on metadata, source, uri, media_type and updated, as JSON: {\"year\": {\"$gte\": 2020}}");
  search->add_option("--facet", options.facets, "count the values of this metadata key; may be said more than once")->take_all();
  search->add_option("--per-document", options.per_document, "at most so many passages of one document");
  search->add_option("--diversity", options.diversity, "0: the best passages; towards 1: passages less like each other");
  search->add_flag("--explain", options.explain, "every candidate: both ranks and scores, fused, re-ranked, and why it was cut");
  search->add_option("--user", options.user, "as this user sees it");
  auto* ask = add(app, "ask", "ask the assistant", Ask);
  ask->add_option("text", options.text, "the question")->required();
  ask->add_option("--user", options.user, "as this user; default: the system, which sees everything");
  add(app, "explain", "how an answer came about", Explain)->add_option("id", options.id, "the answer")->required();
  auto* eval = add(app, "eval", "ask every question of a file and score the answers; 'eval retrieval' scores search alone", Eval);
  eval->add_option("file", options.path, "e.g. examples/shop/questions.yaml");
  eval->callback([&chosen, eval] {
    if (eval->get_subcommands().empty()) chosen = Eval;
  });
  auto* judged = add(*eval, "retrieval", "how good search is on judged topics, stage by stage: nDCG@10, MRR@10, recall, with 95 % intervals", EvalRetrieval);
  judged->add_option("--topics", options.eval.topics, "topics: TREC's <top>, a JSON object a line (BEIR), or id TAB text");
  judged->add_option("--qrels", options.eval.qrels, "judgements: topic, iteration, document, grade (TREC) or topic, document, grade (BEIR); grades above 0 are relevant");
  judged->add_option("--documents", options.eval.documents, "a collection to search: TREC's <DOC>, or a JSON object a line (BEIR). It is indexed in memory, its vectors are kept in the data folder. Without it: the data folder's own documents, judged by URI or id");
  judged->add_option("--questions", options.eval.questions, "instead of topics and qrels: questions whose cited documents are the relevant ones, as examples/shop/questions.yaml");
  judged->add_option("--user", options.user, "ask as this user (default: who --questions names, else who sees everything)");
  auto* versions = group("versions", "versions of what shapes an answer");
  add(*versions, "list", "all versions, and which is live", ListVersions);
  add(*versions, "show", "what a version holds", ShowVersion)->add_option("id", options.id, "the version's full id, or an alias (default live)");
  auto* version = add(*versions, "create", "add a version from a file; 'versions show' prints the form", CreateVersion);
  version->add_option("file", options.path, "YAML or JSON")->required();
  version->add_option("--note", options.name, "what changed");
  auto* promote = add(app, "promote", "make a version live", Promote);
  promote->add_option("version", options.id, "its id, or the first characters of it")->required();
  promote->add_option("--alias", options.alias, "another alias than live");
  promote->add_option("--reason", options.reason, "why");
  add(app, "rollback", "go back to the version before", Rollback)->add_option("--alias", options.alias, "another alias than live");
  auto* generations = group("generations", "builds of the search index side by side");
  add(*generations, "list", "all generations, and which is live", ListGenerations);
  auto* generation = add(*generations, "create", "build another one beside the live one, with what is given changed", CreateGeneration);
  generation->add_option("--embedder", options.text, "an embedding model of 'tenfold models list', a URL such as openai:https://host/v1#model, or none");
  generation->add_option("--language", options.language, "of the word index: english, german, … or none, as retrieval.language");
  generation->add_option("--index", options.index, "what it is searched in: embedded:, or an engine as retrieval.index");
  generation->add_option("--chunk-tokens", options.chunk_tokens, "largest passage")->check(CLI::Range(8, 8192));
  add(*generations, "build", "give one every document that it lacks", BuildGeneration)->add_option("id", options.id, "the generation")->required();
  auto* compare = add(*generations, "compare", "ask the live one and another the same questions", CompareGenerations);
  compare->add_option("id", options.id, "the other generation")->required();
  compare->add_option("--questions", options.path, "questions with their documents, as in examples/shop/questions.yaml (default: what was asked)");
  add(*generations, "switch", "make one live, in one transaction", SwitchGeneration)->add_option("id", options.id, "the generation")->required();
  add(*generations, "rollback", "make the one before live again", RollbackGeneration);
  add(*generations, "rm", "remove one with its passages", RemoveGeneration)->add_option("id", options.id, "the generation")->required();
  auto* runs = group("runs", "what was done, and how it went");
  add(*runs, "list", "the newest fifty", ListRuns);
  add(*runs, "show", "one run with its steps", ShowRun)->add_option("id", options.id, "the run")->required();
  auto* approve = add(*runs, "approve", "say yes to what a run asks for", Approve);
  approve->add_option("id", options.id, "the run")->required();
  approve->add_flag("--decline", options.decline, "say no");
  auto* schedules = group("schedules", "runs that are started again and again");
  add(*schedules, "list", "all schedules, and when they are next", ListSchedules);
  add(*schedules, "pause", "leave out its times from now on", PauseSchedule)->add_option("name", options.id, "the schedule")->required();
  add(*schedules, "resume", "go on with its next time", ResumeSchedule)->add_option("name", options.id, "the schedule")->required();
  add(*schedules, "rm", "remove a schedule", RemoveSchedule)->add_option("name", options.id, "the schedule")->required();
  auto* models = group("models", "models and where they come from");
  add(*models, "list", "the catalogue, and what is here", ListModels);
  add(*models, "pull", "fetch a model into the cache", PullModel)->add_option("id", options.id, "a model of the catalogue")->required();
  add(*models, "rm", "remove a model from the cache", RemoveModel)->add_option("id", options.id, "a model of the catalogue")->required();
  auto* keys = group("keys", "API keys");
  auto* create = add(*keys, "create", "make a key; it is shown once", CreateKey);
  create->add_option("--user", options.user, "whose key")->required();
  create->add_option("--name", options.name, "what it is for");
  auto* users = group("users", "who may sign in");
  add(*users, "list", "all users and their roles", ListUsers);
  auto* add_user = add(*users, "add", "add a user", AddUser);
  add_user->add_option("--user", options.user, "e-mail address")->required();
  add_user->add_option("--name", options.name, "name");
  add_user->add_option("--role", options.role, "customer, agent or admin");
  add(*users, "link", "make a one-time sign-in link", LinkUser)->add_option("--user", options.user, "e-mail address")->required();
  auto* audit = group("audit", "who did what");
  add(*audit, "verify", "check that no entry was altered or removed", VerifyAudit);
  add(app, "backup", "copy the store of a live server to a file", Backup)->add_option("path", options.path, "a new file")->required();
}

}  // namespace

int ExitStatusOf(Code code) {
  switch (code) {
    case Code::kInvalidArgument: return 2;
    case Code::kNotFound: return 3;
    case Code::kPermissionDenied:
    case Code::kUnauthenticated: return 4;
    case Code::kCancelled:
    case Code::kDeadlineExceeded:
    case Code::kAlreadyExists:
    case Code::kResourceExhausted:
    case Code::kFailedPrecondition:
    case Code::kAborted:
    case Code::kUnavailable:
    case Code::kDataLoss:
    case Code::kUnimplemented:
    case Code::kInternal: return 1;
  }
  return 1;
}

int RunCommand(const Context& ctx, Services& services, const std::vector<std::string>& arguments, const CommandSink& say) {
  CLI::App app("Tenfold", "tenfold");
  Options options;
  CommandFunction chosen = nullptr;
  Define(app, options, chosen);
  return ParseAndRun(app, arguments, say, [&] { chosen({ctx, services, options, say}); });
}

std::string HelpText() {
  CLI::App app("Tenfold: the whole stack of an AI application in one program", "tenfold");
  Options options;
  CommandFunction chosen = nullptr;
  app.add_subcommand("up", "serve: tenfold up [--home DIR] [--listen HOST:PORT] [--example shop] [--no-models]");
  app.add_subcommand("restore", "put a backup in place of a stopped server's store: tenfold restore FILE [--home DIR]");
  app.add_subcommand("migrate", "a search index to another back end: tenfold migrate index A B --dim N [--queries FILE] [--switch NAME]");
  app.add_subcommand("index", "import, export and list search indexes behind URLs");
  app.add_subcommand("init", "write tenfold.yaml with every setting and what it means");
  Define(app, options, chosen);
  return app.help();
}

}  // namespace tenfold::app
