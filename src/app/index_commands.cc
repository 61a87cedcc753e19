#include "app/index_commands.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>

#include "app/backends.h"
#include "app/command_line.h"
#include "app/home_collections.h"
#include "app/migrate_index.h"
#include "base/files.h"
#include "retrieval/faiss_file.h"

namespace tenfold::app {
namespace {

using retrieval::IndexChange;
using retrieval::IndexRecord;
using retrieval::SearchIndex;

constexpr std::size_t kPage = 200;

struct IndexOptions {
  std::string home, a, b, file, name_space, queries, switch_to, access, metric, kind = "flat";
  bool json = false, one_namespace = false;
  std::optional<std::size_t> dim;
  double threshold = 0.95;
};

struct Work {
  const Context& ctx;
  const std::filesystem::path& home;
  const IndexOptions& options;
  const CommandSink& say;
  mutable std::shared_ptr<HomeCollections> collections = nullptr;  ///< from the first embedded: on
  void Print(const Json& json, const std::string& text) const { say(CommandOutput::kResult, options.json ? ToPrettyText(json) + "\n" : text); }
};

/// `like`: dimensions and metric of an index made anew, where the command does not say.
std::unique_ptr<SearchIndex> Open(const Work& work, const std::string& url, const SearchIndex* like = nullptr) {
  const auto& said = work.options.metric;
  if (!said.empty() && said != "cosine" && said != "dot" && said != "euclidean") throw Error(Code::kInvalidArgument, "--metric: is cosine, dot or euclidean, not '" + said + "'");
  auto dim = work.options.dim;
  std::optional<retrieval::Metric> metric;
  if (!said.empty()) metric = said == "cosine" ? retrieval::Metric::kCosine : said == "dot" ? retrieval::Metric::kDot : retrieval::Metric::kEuclidean;
  if (like && !dim) dim = like->dim();
  if (like && !metric) metric = like->metric();
  return OpenSearchIndex(work.ctx.WithTimeout(std::chrono::seconds(60)), ResolveIndexUrl(work.home, url), dim, metric, [&](const Context& ctx, std::string_view name, auto asked_dim, auto asked_metric) {
    if (!work.collections) work.collections = HomeCollections::Open(work.home);
    return work.collections->OpenIndex(ctx, name, asked_dim, asked_metric);
  });
}

std::string Padded(std::string text, std::size_t width) { return text + std::string(text.size() < width ? width - text.size() : 1, ' '); }
std::string Share(double value) {
  char text[16];
  std::snprintf(text, sizeof text, "%.3f", value);
  return text;
}

void Migrate(const Work& work) {
  const auto& options = work.options;
  MigrationPlan plan{.from = ResolveIndexUrl(work.home, options.a), .to = ResolveIndexUrl(work.home, options.b), .name_space = options.name_space, .folder = work.home / "migrations", .queries = {}};
  if (plan.from == plan.to) throw Error(Code::kInvalidArgument, "both are the same index");
  if (!options.queries.empty()) plan.queries = ReadRecordedQueries(options.queries);
  const auto from = Open(work, options.a), to = Open(work, options.b, from.get());
  std::vector<std::string> names{options.name_space};
  if (!options.one_namespace) {
    names.clear();
    for (const auto& one : from->Namespaces(work.ctx.WithTimeout(std::chrono::seconds(60)))) names.push_back(one.name);
  }
  std::string text = Padded("namespace", 24) + Padded("records", 10) + Padded("corrected", 11) + Padded("removed", 9) + Padded("queries", 9) + Padded("overlap@10", 12) + Padded("worst", 8) + "p50 ms\n";
  JsonArray rows;
  std::string refusal;
  std::int64_t records = 0, asked = 0;
  for (const auto& name : names) {
    plan.name_space = name;
    const auto report = MigrateIndex(work.ctx, *from, *to, plan, [&](std::string_view line) { work.say(CommandOutput::kProgress, line); });
    if (report.resumed_at) work.say(CommandOutput::kProgress, "'" + name + "' was gone on with after " + std::to_string(report.resumed_at) + " records\n");
    text += Padded(name.empty() ? "(empty)" : name, 24) + Padded(std::to_string(report.records), 10) + Padded(std::to_string(report.corrected), 11) + Padded(std::to_string(report.removed), 9) + Padded(std::to_string(report.queries), 9) +
            Padded(Share(report.overlap), 12) + Padded(Share(report.worst), 8) + Share(static_cast<double>(report.p50_us_from) / 1000) + " -> " + Share(static_cast<double>(report.p50_us_to) / 1000) + "\n";
    records += report.records;
    asked += report.queries;
    if (report.foreign) refusal = "'" + name + "' of the target holds " + std::to_string(report.foreign) + " records that are not the source's";
    else if (report.queries && report.overlap < options.threshold) refusal = "the overlap of '" + name + "' is " + Share(report.overlap) + ", " + Share(options.threshold) + " is needed (--threshold)";
    rows.push_back(ToJson(report));
  }
  if (!asked && records) refusal = "no query compared the two; give --queries";
  work.Print(JsonObject{{"namespaces", std::move(rows)}, {"may_switch", refusal.empty()}}, text);
  if (options.switch_to.empty()) return;
  if (!refusal.empty()) throw Error(Code::kFailedPrecondition, "not switched: " + refusal);
  SwitchIndexName(work.home, options.switch_to, plan.from, plan.to);
  work.say(CommandOutput::kProgress, "alias:" + options.switch_to + " is now " + plan.to + "\n");
}

/// A line a record, written page by page.
class RecordLines {
 public:
  explicit RecordLines(const std::filesystem::path& file) : in_(file) {
    if (!in_) throw Error(Code::kNotFound, "'" + file.string() + "' cannot be read");
  }
  /// Nothing at the end. Errors: kInvalidArgument with the line.
  std::optional<IndexRecord> Next() {
    for (std::string line; std::getline(in_, line);) {
      ++number_;
      if (line.size() > (4u << 20)) throw Error(Code::kInvalidArgument, "line " + std::to_string(number_) + " has more than 4 MB");
      if (line.find_first_not_of(" \t\r") != std::string::npos) return Within("line " + std::to_string(number_), [&] { return FromJson<IndexRecord>(ParseJson(line)); });
    }
    return std::nullopt;
  }

 private:
  std::ifstream in_;
  std::size_t number_ = 0;
};

bool IsFaiss(const std::string& file) { return file.ends_with(".faiss"); }

/// The vectors of a FAISS file; their ids are the lines of FILE.ids, each a JSON text, if that is there, else FAISS's numbers.
class FaissRecords {
 public:
  FaissRecords(const std::string& file, std::string access) : access_(std::move(access)), index_(Within("'" + file + "'", [&] { return retrieval::ReadFaissFile(ReadFile(file, std::uint64_t{64} << 30)); })) {
    std::ifstream in(file + ".ids");
    for (std::string line; in && std::getline(in, line);) names_.push_back(Within(file + ".ids:" + std::to_string(names_.size() + 1), [&] { return FromJson<std::string>(ParseJson(line)); }));
  }
  std::optional<IndexRecord> Next() {
    if (at_ == index_.ids.size()) return std::nullopt;
    const auto id = index_.ids[at_];
    if (!names_.empty() && (id < 0 || static_cast<std::size_t>(id) >= names_.size())) throw Error(Code::kInvalidArgument, "the file of ids has " + std::to_string(names_.size()) + " lines, none for " + std::to_string(id));
    const auto* vector = index_.vectors.data() + at_++ * index_.dim;
    return IndexRecord{.id = names_.empty() ? std::to_string(id) : names_[static_cast<std::size_t>(id)], .access = access_, .vector = {vector, vector + index_.dim}};
  }

 private:
  const std::string access_;
  const retrieval::FaissIndex index_;
  std::vector<std::string> names_;
  std::size_t at_ = 0;
};

void Import(const Work& work) {
  const auto index = Open(work, work.options.b);
  std::optional<RecordLines> lines;
  std::optional<FaissRecords> rows;
  if (IsFaiss(work.options.a)) rows.emplace(work.options.a, work.options.access);
  else lines.emplace(work.options.a);
  std::vector<IndexChange> changes;
  std::int64_t written = 0;
  const auto write = [&] {
    if (!changes.empty()) index->Write(work.ctx.WithTimeout(std::chrono::seconds(60)), work.options.name_space, changes);
    written += static_cast<std::int64_t>(changes.size());
    changes.clear();
  };
  while (auto record = rows ? rows->Next() : lines->Next()) {
    changes.push_back({IndexChange::Kind::kPut, std::move(*record)});
    if (changes.size() == kPage) write();
  }
  write();
  work.Print(JsonObject{{"records", written}}, "wrote " + std::to_string(written) + " records\n");
}

retrieval::FaissKind KindOf(const std::string& name) {
  for (const auto& [known, kind] : {std::pair("flat", retrieval::FaissKind::kFlat), std::pair("ivf_flat", retrieval::FaissKind::kIvfFlat), std::pair("pq", retrieval::FaissKind::kPq), std::pair("ivf_pq", retrieval::FaissKind::kIvfPq), std::pair("hnsw", retrieval::FaissKind::kHnswFlat)})
    if (name == known) return kind;
  throw Error(Code::kInvalidArgument, "--kind: is flat, ivf_flat, pq, ivf_pq or hnsw, not '" + name + "'");
}

/// Every record of the namespace, a page at a time.
void ForEachRecord(const Work& work, SearchIndex& index, const std::function<void(IndexRecord)>& visit) {
  for (std::string after;;) {
    const auto ctx = work.ctx.WithTimeout(std::chrono::seconds(60));
    const auto ids = index.List(ctx, work.options.name_space, "", after, kPage);
    for (auto& record : index.Fetch(ctx, work.options.name_space, ids)) visit(std::move(record));
    if (ids.size() < kPage) return;
    after = ids.back();
  }
}

void ExportFaiss(const Work& work, SearchIndex& index) {
  const auto kind = KindOf(work.options.kind);
  const auto& file = work.options.b;
  std::vector<float> vectors;
  std::int64_t written = 0, left_out = 0;
  NewFile ids(file + ".ids.new");
  ForEachRecord(work, index, [&](const IndexRecord& record) {
    if (record.vector.empty()) {
      ++left_out;
      return;
    }
    vectors.insert(vectors.end(), record.vector.begin(), record.vector.end());
    ids.Append(ToText(Json(boost::json::string(record.id))) + "\n");
    ++written;
  });
  if (!written) throw Error(Code::kFailedPrecondition, "no record of '" + work.options.name_space + "' has a vector");
  const auto bytes = retrieval::WriteFaissFile(std::move(vectors), index.dim(), {.kind = kind, .metric = index.metric()});
  NewFile out(file + ".new");
  out.Append(bytes);
  ids.CommitAs(file + ".ids");
  out.CommitAs(file);
  work.Print(JsonObject{{"records", written}, {"left_out", left_out}}, "wrote " + std::to_string(written) + " vectors, their ids line by line in " + file + ".ids" + (left_out ? "; left out " + std::to_string(left_out) + " records without one" : "") + "\n");
}

void Export(const Work& work) {
  const auto index = Open(work, work.options.a);
  if (IsFaiss(work.options.b)) return ExportFaiss(work, *index);
  NewFile file(work.options.b + ".new");
  std::int64_t read = 0;
  ForEachRecord(work, *index, [&](const IndexRecord& record) {
    file.Append(ToText(ToJson(record)) + "\n");
    ++read;
  });
  file.CommitAs(work.options.b);
  work.Print(JsonObject{{"records", read}}, "read " + std::to_string(read) + " records\n");
}

/// What `embedded:` can name.
void ListCollections(const Work& work) {
  std::string text;
  JsonArray rows;
  for (const auto& one : HomeCollections::Open(work.home)->List(work.ctx)) {
    const auto metric = ToJson(one.metric);
    text += Padded(one.name, 24) + std::to_string(one.dim) + " dimensions, " + std::string(AsView(metric.get_string())) + "\n";
    rows.push_back(JsonObject{{"name", one.name}, {"dim", one.dim}, {"metric", metric}});
  }
  work.Print(JsonObject{{"collections", std::move(rows)}}, text.empty() ? "no collections\n" : text);
}

void ListNamespaces(const Work& work) {
  if (work.options.a == "embedded:") return ListCollections(work);
  std::string text;
  JsonArray rows;
  for (const auto& one : Open(work, work.options.a)->Namespaces(work.ctx.WithTimeout(std::chrono::seconds(60)))) {
    text += Padded(one.name.empty() ? "(empty)" : one.name, 24) + std::to_string(one.records) + "\n";
    rows.push_back(ToJson(one));
  }
  work.Print(JsonObject{{"namespaces", std::move(rows)}}, text.empty() ? "no records\n" : text);
}

using WorkFunction = void (*)(const Work&);

void Define(CLI::App& app, IndexOptions& options, WorkFunction& chosen) {
  app.require_subcommand(1);
  const auto add = [&](CLI::App& to, const std::string& name, const std::string& what, WorkFunction function) {
    auto* command = to.add_subcommand(name, what);
    command->add_option("--home", options.home, "the data folder of embedded:, and where the state of migrations and the names of indexes are");
    command->add_option("--dim", options.dim, "dimensions of the vectors; 0: words alone. A collection that is there knows its own, and a target takes the source's");
    command->add_option("--metric", options.metric, "cosine (default), dot or euclidean");
    command->add_flag("--json", options.json, "print JSON");
    command->callback([&chosen, function] { chosen = function; });
    return command;
  };
  auto* migrate = app.add_subcommand("migrate", "from one back end to another")->require_subcommand(1);
  auto* index = add(*migrate, "index", "copy a search index, go on where a run was stopped, compare what both find", Migrate);
  index->add_option("from", options.a, "embedded:NAME, postgresql:, weaviate:, pinecone: or alias:NAME")->required();
  index->add_option("to", options.b, "the same")->required();
  index->add_option("--namespace", options.name_space, "this one alone; else all")->each([&options](const std::string&) { options.one_namespace = true; });
  index->add_option("--queries", options.queries, "a file of recorded queries, a JSON object a line; else a hundred of the source's own vectors are asked");
  index->add_option("--threshold", options.threshold, "the mean overlap of the first ten hits below which nothing is switched")->capture_default_str()->check(CLI::Range(0.0, 1.0));
  index->add_option("--switch", options.switch_to, "make alias:NAME the new index, if they find the same");
  auto* indexes = app.add_subcommand("index", "records in and out of a search index")->require_subcommand(1);
  auto* in = add(*indexes, "import", "write the records of a file: a JSON object a line, or an index file of FAISS", Import);
  in->add_option("file", options.a, "FILE.jsonl or FILE.faiss")->required();
  in->add_option("--access", options.access, "labels that may find the vectors of FILE.faiss; without them only those who read everything do");
  in->add_option("to", options.b, "embedded:NAME, postgresql:, weaviate:, pinecone: or alias:NAME")->required();
  in->add_option("--namespace", options.name_space, "where to");
  auto* out = add(*indexes, "export", "write the records of an index to a file", Export);
  out->add_option("from", options.a, "embedded:NAME, postgresql:, weaviate:, pinecone: or alias:NAME")->required();
  out->add_option("file", options.b, "FILE.jsonl or FILE.faiss")->required();
  out->add_option("--kind", options.kind, "of FILE.faiss: flat, ivf_flat, pq, ivf_pq or hnsw")->capture_default_str();
  out->add_option("--namespace", options.name_space, "of which");
  add(*indexes, "list", "its namespaces and how many records each has", ListNamespaces)->add_option("of", options.a, "embedded:NAME, postgresql:, weaviate:, pinecone: or alias:NAME")->required();
}

}  // namespace

bool IsIndexCommand(const std::vector<std::string>& arguments) { return !arguments.empty() && (arguments[0] == "migrate" || arguments[0] == "index"); }

int RunIndexCommand(const Context& ctx, const std::filesystem::path& home, const std::vector<std::string>& arguments, const CommandSink& say) {
  CLI::App app("Tenfold", "tenfold");
  IndexOptions options;
  WorkFunction chosen = nullptr;
  Define(app, options, chosen);
  return ParseAndRun(app, arguments, say, [&] { chosen({.ctx = ctx, .home = home, .options = options, .say = say}); });
}

}  // namespace tenfold::app
