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

retrieval::ChunkOptions ChunkOptionsOf(const Settings& settings) {
  retrieval::ChunkOptions options;
  options.max_tokens = settings.retrieval.chunk_tokens;
  return options;
}

std::shared_ptr<retrieval::SearchIndex> OpenEngine(const Context& ctx, const std::string& url, std::size_t dim) { return OpenSearchIndex(ctx, url, dim, retrieval::Metric::kCosine); }

/// What the index was made with is not changed by a setting: another is built beside it.
void WarnOfOtherSettings(const retrieval::Generation& live, const Settings& settings, WithModels with_models) {
  const auto warn = [&](std::string_view setting, const std::string& has, const std::string& says, std::string_view option) {
    if (has != says) Log(LogLevel::kWarning, "the index is made with another " + std::string(setting) + "; build one with 'tenfold generations create " + std::string(option) + " …', then switch", {{"generation", live.id}, {"index", has}, {"setting", says}});
  };
  if (with_models == WithModels::kYes) warn("embedder than models.embedder", live.embedder, settings.models.embedder, "--embedder");
  warn("language than retrieval.language", std::string(AsView(ToJson(live.language).get_string())), std::string(AsView(ToJson(settings.retrieval.language).get_string())), "--language");
  warn("engine than retrieval.index", live.index.empty() ? "embedded:" : live.index, settings.retrieval.index.empty() ? "embedded:" : settings.retrieval.index, "--index");
}

std::filesystem::path PrepareHome(std::filesystem::path home) {
  std::error_code error;
  std::filesystem::create_directories(home, error);
  if (error) throw Error(Code::kPermissionDenied, "create data folder '" + home.string() + "': " + error.message());
  std::filesystem::permissions(home, std::filesystem::perms::owner_all, error);
  return std::filesystem::canonical(home);
}

}  // namespace

std::vector<data::Table> AllTables() {
  std::vector<data::Table> tables;
  for (auto part : {security::Accounts::Tables(), workflows::Runs::Tables(), retrieval::IngestTables(), retrieval::Collections::Tables(), retrieval::VectorStores::Tables(), monitoring::AnswerTables(), agents::Assistant::Tables(), registry::Registry::Tables(),
                    std::vector{data::TableOf<data::Record>()}})
    for (auto& table : part) tables.push_back(std::move(table));
  return tables;
}

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
      embedder(with_models == WithModels::kYes ? OpenEmbedder(settings.models.embedder, CacheFolder() / "models", settings.models) : nullptr),
      embeddings(home / "embeddings", {.bytes_per_model = std::uint64_t{settings.models.embedding_cache_mb} << 20}), embedding_owners(embeddings), snapshots(home / kSnapshotFolder),
      generations({[this](const std::string& name) -> std::shared_ptr<models::Embedder> {
                     if (with_models_ == WithModels::kNo || name == "none") return nullptr;
                     return name == settings.models.embedder ? embedder : OpenEmbedder(name, CacheFolder() / "models", settings.models);
                   },
                   settings.models.embedder, ChunkOptionsOf(settings),
                   [](data::WriteTx& tx, const Context& ctx, std::string_view action, std::string_view target) { security::AppendAudit(tx, ctx, action, target); },
                   settings.retrieval.language, settings.retrieval.index, settings.retrieval.index_fallback == "words", OpenEngine, &embeddings, &snapshots}),
      with_models_(with_models) {
  store = OpenStore(settings.data.store, home, AllTables());
  objects = OpenObjectStore(settings.data.objects, home);
  originals = std::make_unique<retrieval::Originals>(*store, *objects);
  is_new = store->commit() == 0;
  store->Follow(generations);
  store->Follow(embedding_owners);
  collections = std::make_unique<retrieval::Collections>(*store, &snapshots);
  store->Follow(*collections);
  if (const auto& fallback = settings.retrieval.index_fallback; fallback != "none" && fallback != "words") throw Error(Code::kInvalidArgument, "retrieval.index_fallback: must be 'none' or 'words', not '" + fallback + "'", "retrieval.index_fallback");
  generations.Begin(*store);
  index_delivery = std::make_unique<retrieval::IndexDelivery>(*store, retrieval::IndexDelivery::Parts{[this] { return generations.Engines(); }, OpenEngine});
  store->Follow(*index_delivery);
  index_delivery->Start();
  WarnOfOtherSettings(generations.Describe(generations.live().generation), settings, with_models);
  accounts = std::make_unique<security::Accounts>(*store, clock);
  const auto audit = [](data::WriteTx& tx, const Context& ctx, std::string_view action, std::string_view target) { security::AppendAudit(tx, ctx, action, target); };
  registry = std::make_unique<registry::Registry>(*store, audit);
  retrieval::HeadReranking reranking{.model = nullptr, .passages = settings.retrieval.rerank_passages, .limit = std::chrono::milliseconds(settings.retrieval.rerank_ms)};
  if (with_models == WithModels::kYes) reranking.model = OpenReranker(settings.retrieval.reranker, CacheFolder() / "models", settings.models);
  retriever = std::make_unique<retrieval::Retriever>(*store, [this] { return generations.live(); }, std::move(reranking));
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
  metrics.SetGauge("tenfold_embeddings_found", "Texts whose embedding was kept from before, since the start.", [this] { return static_cast<double>(embeddings.status().found); });
  metrics.SetGauge("tenfold_embeddings_made", "Texts that a model embedded for the index, since the start.", [this] { return static_cast<double>(embeddings.status().made); });
  metrics.SetGauge("tenfold_embeddings_kept_bytes", "Bytes of kept embeddings on the disk.", [this] {
    double bytes = 0;
    for (const auto& model : embeddings.status().models) bytes += static_cast<double>(model.bytes);
    return bytes;
  });
  metrics.SetGauge("tenfold_index_chunks", "Chunks in the search index.", [this] { return static_cast<double>(generations.live().index->chunks()); });
}

Services::~Services() {
  runs.reset();
  // Whoever waits for a command that wrote finds it in the engine as well, if that answers.
  if (index_delivery) index_delivery->Stop(std::chrono::seconds(5));
  // The store's writer calls its followers; it ends before they do.
  store.reset();
  snapshots.Finish();
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
  if (request.explain) response.explanation = SearchExplanation{found.readable, found.allowed, std::move(found.candidates), std::move(found.reranker)};
  if (!found.notice.empty()) response.notice = std::move(found.notice);
  for (auto& passage : found.passages) response.hits.push_back({std::move(passage.text), passage.score, {passage.document, passage.uri, passage.title}, {passage.begin, passage.end}});
  return response;
}

}  // namespace tenfold::app
