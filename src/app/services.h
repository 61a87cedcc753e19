#pragma once
/// \file All parts of one data folder, joined. The only place that knows every floor.
#include <filesystem>
#include <memory>
#include <string>

#include "agents/assistant.h"
#include "app/settings.h"
#include "base/telemetry.h"
#include "data/object_store.h"
#include "data/store.h"
#include "models/embedder.h"
#include "models/generator.h"
#include "registry/versions.h"
#include "retrieval/collections.h"
#include "retrieval/embedding_owners.h"
#include "retrieval/ingest.h"
#include "retrieval/originals.h"
#include "retrieval/retriever.h"
#include "retrieval/generations.h"
#include "retrieval/index_delivery.h"
#include "retrieval/index_snapshot.h"
#include "retrieval/vector_stores.h"
#include "security/accounts.h"
#include "security/jwt.h"
#include "security/turn_guards.h"
#include "serving/weaviate_objects.h"
#include "workflows/run.h"

namespace tenfold::app {

/// Every table that the store of a data folder has.
std::vector<data::Table> AllTables();

/// Of a data folder: snapshots of its indexes (retrieval/index_snapshot.h). Whoever changes the store without it leaves what was removed in there until the next start.
inline constexpr const char* kSnapshotFolder = "index";

/// Holds the data folder against a second process while it lives.
class HomeLock {
 public:
  /// Errors: kUnavailable if another process holds it.
  explicit HomeLock(const std::filesystem::path& home);
  ~HomeLock();
  HomeLock(const HomeLock&) = delete;
  HomeLock& operator=(const HomeLock&) = delete;

 private:
  int fd_;
};

struct SearchFilter {
  std::optional<std::vector<std::string>> documents;
  Json metadata;
};
TENFOLD_DESCRIBE(SearchFilter, (documents, Length{1, 1000}, Doc{"only these documents, by id"}),
                 (metadata, Doc{"conditions on what the documents' sources say of them, and on source, uri, media_type and updated: {\"year\": {\"$gte\": 2020}, \"$or\": [...]}; $eq $ne $gt $gte $lt $lte $in $nin $exists $within $and $or $not"}))

struct SearchRequest {
  std::string query;
  std::uint32_t k = 10;
  std::uint32_t offset = 0;
  std::optional<SearchFilter> filter = {};
  std::vector<std::string> facets = {};
  std::uint32_t per_document = 0;
  double diversity = 0;
  bool explain = false;
};
TENFOLD_DESCRIBE(SearchRequest, (query, Required{}, Length{1, 8192}, Doc{"what to look for"}), (k, Range{1, 100}, Doc{"how many passages"}),
                 (offset, Range{0, 9900}, Doc{"how many to pass over: the next page of k begins at offset + k"}), (filter, Doc{"narrows what takes part"}),
                 (facets, Length{0, 16}, Doc{"metadata keys whose values are counted over all that the filter and the caller's rights let through"}),
                 (per_document, Range{0, 100}, Doc{"at most so many passages of one document; 0: no limit"}),
                 (diversity, Range{0, 1}, Doc{"0: the best passages; towards 1: passages less like each other"}),
                 (explain, Doc{"say of every candidate how it came to its place: both ranks and scores, fused, re-ranked, and why it was cut"}))

struct HitDocument {
  std::string id, uri, title;
};
TENFOLD_DESCRIBE(HitDocument, (id), (uri), (title))

struct Passage {
  std::string text;
  double score = 0;
  HitDocument document;
  std::vector<std::int64_t> span;  ///< [begin, end) bytes of the document's text
};
TENFOLD_DESCRIBE(Passage, (text), (score), (document), (span))

struct SearchExplanation {
  std::int64_t readable = 0;  ///< passages that the caller may read
  std::int64_t allowed = 0;   ///< of them those that the filter lets through: nothing else is a candidate
  std::vector<retrieval::ExplainedCandidate> candidates;  ///< in the order of the list
  std::string reranker = {};  ///< the model that re-ranked its head; empty: none
};
TENFOLD_DESCRIBE(SearchExplanation, (readable), (allowed), (candidates), (reranker))

struct SearchResponse {
  std::vector<Passage> hits;
  std::map<std::string, std::vector<retrieval::FacetCount>> facets;
  std::uint64_t commit = 0;
  std::optional<SearchExplanation> explanation = {};  ///< with SearchRequest::explain
  std::optional<std::string> notice = {};  ///< why this was found otherwise than the settings say, such as a re-ranking model that did not answer
};
TENFOLD_DESCRIBE(SearchResponse, (hits), (facets), (commit), (explanation), (notice))

enum class WithModels : std::uint8_t { kNo, kYes };

/// Threads: methods are safe from any thread. Members are ordered so that what is used outlives its users.
class Services {
 public:
  /// Errors: kUnavailable if a process has the folder; kInvalidArgument for wrong settings; kNotFound for a model that has not been pulled.
  Services(std::filesystem::path home, const Settings& settings, WithModels with_models);
  ~Services();

  /// Passages the caller may read that answer a query.
  SearchResponse Search(const Context& ctx, const SearchRequest& request);
  /// The generator of that name, loaded on first use; null for "none" and without models. Errors: kNotFound with the fix.
  std::shared_ptr<models::Generator> FindGenerator(std::string_view name);
  /// A file's bytes as text, parsed in a confined process. Errors: as data::ParserPool::Parse.
  data::ParsedDocument Parse(const Context& ctx, std::string_view bytes, std::string_view media_type) const;
  /// With the secrets of the environment. Errors: kInvalidArgument.
  std::unique_ptr<data::Source> OpenSource(std::string_view url) const;
  bool has_models() const { return with_models_ == WithModels::kYes; }
  /// Names of generators that can be asked now.
  std::vector<std::string> GeneratorNames() const;

  const std::filesystem::path home;
  const Settings settings;
  const Clock& clock;

 private:
  HomeLock lock_;

 public:
  Metrics metrics;
  const std::shared_ptr<models::Embedder> embedder;  ///< of the settings: routes questions and serves /v1/embeddings; null without models
  models::EmbeddingCache embeddings;  ///< in the folder "embeddings"
  retrieval::EmbeddingOwners embedding_owners;
  retrieval::SnapshotKeeper snapshots;  ///< of what follows, so it outlives them
  retrieval::Generations generations;
  std::unique_ptr<retrieval::Collections> collections;  ///< follows the store, so it outlives it
  std::unique_ptr<retrieval::IndexDelivery> index_delivery;  ///< the same
  std::unique_ptr<data::Store> store;
  std::unique_ptr<data::ObjectStore> objects;
  std::unique_ptr<retrieval::Originals> originals;
  std::unique_ptr<data::ParserPool> parsers;
  std::unique_ptr<security::Accounts> accounts;
  std::unique_ptr<registry::Registry> registry;
  std::unique_ptr<retrieval::Retriever> retriever;
  std::vector<agents::Tool> tools;
  std::unique_ptr<agents::Router> router;
  security::StandardGuards guards;
  std::unique_ptr<workflows::Runs> runs;
  std::shared_ptr<retrieval::VectorStores> vector_stores;
  std::shared_ptr<serving::WeaviateObjects> weaviate;
  std::unique_ptr<agents::Assistant> assistant;
  /// A home that was empty when opened.
  bool is_new = false;

 private:
  const WithModels with_models_;
  mutable std::mutex generators_mutex_;
  std::map<std::string, std::shared_ptr<models::Generator>, std::less<>> generators_;
};

/// $TENFOLD_CACHE, else ~/.cache/tenfold: downloads shared by all data folders.
std::filesystem::path CacheFolder();
/// Where the program lies: its web app and examples are found from there.
std::filesystem::path ProgramFolder();

}  // namespace tenfold::app
