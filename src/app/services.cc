#include "app/services.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "app/backends.h"

namespace tenfold::app {
namespace {

std::vector<data::Table> AllTables() {
  std::vector<data::Table> tables;
  for (auto part : {security::Accounts::Tables(), workflows::Runs::Tables(), retrieval::IngestTables()})
    for (auto& table : part) tables.push_back(std::move(table));
  return tables;
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

Services::Services(std::filesystem::path home_folder, const Settings& chosen)
    : home(PrepareHome(std::move(home_folder))), settings(chosen), clock(SystemClock()), lock_(home), index(0) {
  store = OpenStore(settings.data.store, home, AllTables());
  is_new = store->commit() == 0;
  store->Follow(index);
  accounts = std::make_unique<security::Accounts>(*store, clock);
  runs = std::make_unique<workflows::Runs>(*store, clock, workflows::Runs::Options{.threads = settings.workflows.threads});
  retrieval::IngestOptions ingest;
  const bool strict = settings.data.sandbox != "without_landlock";
  if (strict && settings.data.sandbox != "strict") throw Error(Code::kInvalidArgument, "data.sandbox: must be 'strict' or 'without_landlock'", "data.sandbox");
  ingest.parse_command = {std::filesystem::read_symlink("/proc/self/exe").string(), "parse-document", strict ? "strict" : "without_landlock"};
  ingest.chunks.max_tokens = settings.retrieval.chunk_tokens;
  runs->Register("ingest", retrieval::MakeIngest(*store, std::move(ingest)));
  runs->Resume();
  metrics.SetGauge("tenfold_store_commit", "Newest durable commit.", [this] { return static_cast<double>(store->commit()); });
  metrics.SetGauge("tenfold_index_chunks", "Chunks in the search index.", [this] { return static_cast<double>(index.chunks()); });
}

Services::~Services() {
  runs.reset();
  // The store's writer calls its followers; it ends before they do.
  store.reset();
}

SearchResponse Services::Search(const Context& ctx, const SearchRequest& request) {
  std::optional<std::set<std::string>> documents;
  if (!request.documents.empty()) documents.emplace(request.documents.begin(), request.documents.end());
  const auto found = index.Search(ctx.principal(), request.query, {}, request.k, documents);
  SearchResponse response;
  store->Read(ctx, [&](data::ReadTx& tx) {
    response.commit = tx.commit();
    for (const auto& hit : found) {
      const auto chunk = tx.Get<retrieval::Chunk>(hit.chunk);
      const auto document = chunk ? tx.Get<retrieval::Document>(chunk->document) : std::nullopt;
      // Deleted or relabelled between the scan and this snapshot: the snapshot is the truth.
      if (!document || !ctx.principal().MayRead(document->label)) continue;
      response.hits.push_back({chunk->text, hit.score, {document->id, document->uri, document->title}, {chunk->begin_byte, chunk->end_byte}});
    }
  });
  return response;
}

}  // namespace tenfold::app
