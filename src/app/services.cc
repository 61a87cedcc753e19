#include "app/services.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "app/backends.h"
#include "base/log.h"
#include "data/records.h"
#include "security/audit.h"

namespace tenfold::app {
namespace {

std::vector<data::Table> AllTables() {
  std::vector<data::Table> tables;
  for (auto part : {security::Accounts::Tables(), workflows::Runs::Tables(), retrieval::IngestTables(), retrieval::Collections::Tables(), retrieval::VectorStores::Tables(), monitoring::AnswerTables(), agents::Assistant::Tables(), registry::Registry::Tables(),
                    std::vector{data::TableOf<data::Record>()}})
    for (auto& table : part) tables.push_back(std::move(table));
  return tables;
}

retrieval::ChunkOptions ChunkOptionsOf(const Settings& settings) {
  retrieval::ChunkOptions options;
  options.max_tokens = settings.retrieval.chunk_tokens;
  return options;
}

std::filesystem::path PrepareHome(std::filesystem::path home) {
  std::error_code error;
  std::filesystem::create_directories(home, error);
  if (error) throw Error(Code::kPermissionDenied, "create data folder '" + home.string() + "': " + error.message());
  std::filesystem::permissions(home, std::filesystem::perms::owner_all, error);
  return std::filesystem::canonical(home);
}

}  // namespace

HomeLock::HomeLock(const std::filesystem::path& home) : fd_(::open((home / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
  if (fd_ < 0) throw Error(Code::kPermissionDenied, "lock data folder '" + home.string() + "': cannot write there");
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd_);
    throw Error(Code::kUnavailable, "data folder '" + home.string() + "' is in use by another process; stop it, or choose another with --home");
  }
}

HomeLock::~HomeLock() { ::close(fd_); }

std::filesystem::path CacheFolder() {
  if (const char* cache = std::getenv("TENFOLD_CACHE"); cache && *cache) return cache;
  const char* user_home = std::getenv("HOME");
  return std::filesystem::path(user_home ? user_home : ".") / ".cache" / "tenfold";
}

std::filesystem::path ProgramFolder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path(); }

Services::Services(std::filesystem::path home_folder, const Settings& chosen, WithModels with_models)
    : home(PrepareHome(std::move(home_folder))), settings(chosen), clock(SystemClock()), lock_(home),
      embedder(with_models == WithModels::kYes ? OpenEmbedder(settings.models.embedder, CacheFolder() / "models", settings.models) : nullptr), generations({[this](const std::string& name) -> std::shared_ptr<models::Embedder> {
                     if (with_models_ == WithModels::kNo || name == "none") return nullptr;
                     return name == settings.models.embedder ? embedder : OpenEmbedder(name, CacheFolder() / "models", settings.models);
                   },
                   settings.models.embedder, ChunkOptionsOf(settings),
                   [](data::WriteTx& tx, const Context& ctx, std::string_view action, std::string_view target) { security::AppendAudit(tx, ctx, action, target); }}),
      with_models_(with_models) {
  store = OpenStore(settings.data.store, home, AllTables());
  objects = OpenObjectStore(settings.data.objects, home);
  originals = std::make_unique<retrieval::Originals>(*store, *objects);
  is_new = store->commit() == 0;
  store->Follow(generations);
  collections = std::make_unique<retrieval::Collections>(*store);
  store->Follow(*collections);
  generations.Begin(*store);
  if (const auto live = generations.live().generation; with_models == WithModels::kYes && generations.EmbedderOf(live) != settings.models.embedder)
    Log(LogLevel::kWarning, "the index is made with another embedder than models.embedder; build one with 'tenfold generations create --embedder NAME', then switch", {{"generation", live}, {"index", generations.EmbedderOf(live)}, {"setting", settings.models.embedder}});
  accounts = std::make_unique<security::Accounts>(*store, clock);
  const auto audit = [](data::WriteTx& tx, const Context& ctx, std::string_view action, std::string_view target) { security::AppendAudit(tx, ctx, action, target); };
  registry = std::make_unique<registry::Registry>(*store, audit);
  retriever = std::make_unique<retrieval::Retriever>(*store, [this] { return generations.live(); });
  tools.push_back(agents::MakeGetOrder(*store));
  tools.push_back(agents::MakeOpenTicket(audit));
  router = std::make_unique<agents::Router>(tools, embedder.get());
  runs = std::make_unique<workflows::Runs>(*store, clock, workflows::Runs::Options{.threads = settings.workflows.threads});
  retrieval::IngestOptions ingest;
  const bool strict = settings.data.sandbox != "without_landlock";
  if (strict && settings.data.sandbox != "strict") throw Error(Code::kInvalidArgument, "data.sandbox: must be 'strict' or 'without_landlock'", "data.sandbox");
  parsers = std::make_unique<data::ParserPool>(data::ParserPool::Options{.command = {std::filesystem::read_symlink("/proc/self/exe").string(), "parse-document", strict ? "strict" : "without_landlock"}});
  const auto parse = [this](const Context& ctx, std::string_view bytes, std::string_view media_type) { return Parse(ctx, bytes, media_type); };
  ingest.parse = parse;
  ingest.live = [this] { return generations.LiveTools(); };
  ingest.originals = originals.get();
  ingest.open_source = [this](std::string_view url) { return OpenSource(url); };
  runs->Register("ingest", retrieval::MakeIngest(*store, std::move(ingest)));
  runs->Register("build-generation", generations.MakeBuild(*store));
  if (embedder) runs->Register("embed", retrieval::MakeEmbedMissing(*store, [this] { return generations.LiveTools(); }));
  vector_stores = std::make_shared<retrieval::VectorStores>(retrieval::VectorStores::Parts{*store, *objects, *originals, *collections, *runs, embedder, settings.models.embedder, ChunkOptionsOf(settings), parse});
  weaviate = std::make_shared<serving::WeaviateObjects>(*collections, embedder.get(), settings.models.embedder);
  assistant = std::make_unique<agents::Assistant>(agents::AssistantParts{
      *store, *runs, *retriever, *router, tools, guards, metrics,
      [this](std::string_view name) {
        const auto found = registry->Resolve(name);
        return agents::AssistantVersion{found->version, found->config};
      },
      [this](std::string_view name) { return FindGenerator(name); }});
  const auto system = Context::System("services");
  if (registry->List(system).empty()) {
    agents::AssistantConfig first;
    first.model.generator = settings.models.generator;
    first.model.embedder = settings.models.embedder;
    registry->Promote(system, registry::kLive, registry->Put(system, first, "the first version"), "first start");
  }
  runs->Register("collect", retrieval::MakeCollect(*originals));
  if (is_new) runs->PutSchedule(system, "collect-originals", "@daily", {"collect", JsonObject{}, ""});
  runs->Resume();
  if (embedder && generations.live().index->chunks_without_vector() > 0) runs->Start(system, {"embed", JsonObject{}, ""});
  metrics.SetGauge("tenfold_store_commit", "Newest durable commit.", [this] { return static_cast<double>(store->commit()); });
  metrics.SetGauge("tenfold_index_chunks", "Chunks in the search index.", [this] { return static_cast<double>(generations.live().index->chunks()); });
}

Services::~Services() {
  runs.reset();
  // The store's writer calls its followers; it ends before they do.
  store.reset();
}

data::ParsedDocument Services::Parse(const Context& ctx, std::string_view bytes, std::string_view media_type) const {
  return parsers->Parse(ctx, bytes, media_type);
}

std::unique_ptr<data::Source> Services::OpenSource(std::string_view url) const {
  data::SourceSetup setup;
  setup.allow_private_addresses = settings.data.private_addresses;
  setup.secret = [](std::string_view name) {
    const char* value = std::getenv(std::string(name).c_str());
    return std::string(value ? value : "");
  };
  return app::OpenSource(url, setup);
}

std::shared_ptr<models::Generator> Services::FindGenerator(std::string_view name) {
  if (with_models_ == WithModels::kNo || name == "none" || name.empty()) return nullptr;
  const std::lock_guard lock(generators_mutex_);
  if (const auto found = generators_.find(name); found != generators_.end()) return found->second;
  const std::string id(name);
  auto opened = std::shared_ptr<models::Generator>(OpenGenerator(id, CacheFolder() / "models", settings.models));
  return generators_[id] = std::move(opened);
}

std::vector<std::string> Services::GeneratorNames() const {
  const std::lock_guard lock(generators_mutex_);
  std::vector<std::string> names;
  for (const auto& [name, generator] : generators_) names.push_back(name);
  return names;
}

SearchResponse Services::Search(const Context& ctx, const SearchRequest& request) {
  retrieval::RetrieveOptions options{.k = request.k, .documents = {}, .with_evidence = false};
  options.offset = request.offset;
  options.facets = request.facets;
  options.per_document = request.per_document;
  options.diversity = static_cast<float>(request.diversity);
  options.explain = request.explain;
  if (request.filter) {
    options.documents = request.filter->documents;
    if (!request.filter->metadata.is_null()) options.filter = retrieval::ParseFilter(request.filter->metadata, "filter.metadata");
  }
  auto found = retriever->Retrieve(ctx, request.query, options);
  SearchResponse response;
  response.facets = std::move(found.facets);
  response.commit = static_cast<std::uint64_t>(found.commit);
  if (request.explain) response.explanation = SearchExplanation{found.readable, found.allowed, std::move(found.candidates)};
  for (auto& passage : found.passages) response.hits.push_back({std::move(passage.text), passage.score, {passage.document, passage.uri, passage.title}, {passage.begin, passage.end}});
  return response;
}

}  // namespace tenfold::app
