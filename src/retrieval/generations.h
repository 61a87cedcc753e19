#pragma once
/// \file Builds of the search index side by side: another embedding model or chunker is built beside the live one, compared, switched to and back.
///
/// Every passage belongs to one generation. Ingestion writes those of the live one in the commit of their document; the others are brought up to date by the run
/// "build-generation". What leaves the store leaves all of them in its commit, because passages are children of their document.
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "data/store.h"
#include "models/embedder.h"
#include "retrieval/chunk_index.h"
#include "retrieval/chunker.h"
#include "retrieval/document.h"
#include "retrieval/engine_index.h"
#include "retrieval/index_snapshot.h"
#include "retrieval/passages.h"
#include "workflows/run.h"

namespace tenfold::retrieval {

enum class GenerationState : std::uint8_t { kBuilding, kReady, kLive, kRetired };
BOOST_DESCRIBE_ENUM(GenerationState, kBuilding, kReady, kLive, kRetired)

struct Generation {
  std::string id;        ///< "g1", "g2", …
  std::string embedder;  ///< as models.embedder of the settings; "none": words alone
  Json chunks;           ///< ChunkOptions; null: as the settings say
  GenerationState state = GenerationState::kBuilding;
  std::int64_t created_us = 0;
  std::int64_t live_us = 0;  ///< when it last became live; 0: never
  std::string run;           ///< that builds it, or did
  Language language = Language::kEnglish;  ///< of the word index
  std::string index = {};       ///< URL of the engine that searches it; empty: this program's memory
  std::string name_space = {};  ///< of an engine: there are this generation's records, and nobody else's
  std::int64_t dim = 0;         ///< of an engine: dimensions of its vectors
};
TENFOLD_DESCRIBE(Generation, (id), (embedder), (chunks), (state), (created_us), (live_us), (run), (language), (index), (name_space), (dim))
TENFOLD_TABLE(Generation, "generations", id)

/// A document whose passages a generation has.
struct GenerationDocument {
  std::string id;  ///< generation + "/" + document
  std::string generation;
  std::string document;
};
TENFOLD_DESCRIBE(GenerationDocument, (id), (generation), (document))
TENFOLD_TABLE(GenerationDocument, "generation_documents", id, {"generation"}, {{"documents", "document"}, {"generations", "generation"}})

struct GenerationStatus {
  Generation generation;
  std::int64_t documents = 0;  ///< whose passages it has
  std::int64_t missing = 0;    ///< that it lacks
  std::int64_t chunks = 0;
  std::string problem = {};    ///< of its engine: "behind", or why it does not answer
  std::int64_t refused = 0;    ///< passages that its engine does not take
};
TENFOLD_DESCRIBE(GenerationStatus, (generation), (documents), (missing), (chunks), (problem), (refused))

/// What a new generation may have otherwise than the live one, beside embedder and chunks.
struct GenerationShape {
  std::optional<Language> language = {};
  std::optional<std::string> index = {};  ///< "embedded:" for this program's memory
};

/// One question asked of both.
struct ComparedQuery {
  std::string query;
  double overlap = 0;  ///< share of the first ten documents that both found
  std::optional<double> ndcg_a, ndcg_b;
};
TENFOLD_DESCRIBE(ComparedQuery, (query), (overlap), (ndcg_a), (ndcg_b))

struct GenerationComparison {
  std::string a, b;
  std::int64_t queries = 0;
  std::int64_t labelled = 0;
  double overlap = 0;  ///< mean over the queries
  double ndcg_a = 0, ndcg_b = 0;  ///< mean nDCG@10 over the labelled ones
  std::vector<ComparedQuery> differing;  ///< the twenty with the least overlap
};
TENFOLD_DESCRIBE(GenerationComparison, (a), (b), (queries), (labelled), (overlap), (ndcg_a), (ndcg_b), (differing))

struct LabelledQuery {
  std::string query;
  std::vector<std::string> relevant;  ///< Document::uri; empty: not labelled
  std::string id = {};    ///< of a file of questions
  std::string user = {};  ///< who asks it there
};

/// All generations of one store, each with its index in memory. Threads: all methods are safe.
class Generations : public data::Follower {
 public:
  struct Parts {
    /// Opens an embedder by its name; null for "none". Errors: those of app::OpenEmbedder.
    std::function<std::shared_ptr<models::Embedder>(const std::string& name)> open_embedder;
    std::string embedder;  ///< of the first generation
    ChunkOptions chunks;   ///< where a generation says nothing
    /// Written in the commit of a switch: who did it.
    std::function<void(data::WriteTx&, const Context&, std::string_view action, std::string_view target)> audit;
    Language language = Language::kEnglish;  ///< of the first generation
    std::string index = {};                  ///< of the first generation: an engine's URL; empty or "embedded:": this program's memory
    bool falls_back_to_words = false;        ///< EngineOptions of each
    /// Opens an engine. Errors: those of app::OpenSearchIndex.
    std::function<std::shared_ptr<SearchIndex>(const Context& ctx, const std::string& url, std::size_t dim)> open_engine = {};
    models::EmbeddingCache* cache = nullptr;  ///< of what all of them embed; may be null, must outlive them
    SnapshotKeeper* snapshots = nullptr;      ///< of the indexes in this program's memory, by their generations' ids; the same
  };
  explicit Generations(Parts parts);
  std::string name() const override { return "generations"; }
  std::optional<data::Commit> Restore(data::History& history, data::ReadTx& tx) override { return LoadFrom(&history, tx); }
  void Load(data::ReadTx& tx) override { LoadFrom(nullptr, tx); }
  void Apply(std::span<const data::Change> changes, data::ReadTx& tx) override;

  /// Writes the first generation into a store that has none; passages of a store older than generations belong to it. After Load. Errors: kInvalidArgument (an engine with another language than
  /// English), kFailedPrecondition (an engine, and an embedder that is not open, so that nobody knows how many dimensions it needs).
  void Begin(data::Store& store);

  /// What answers questions now. A switch is seen by the next call.
  OpenIndex live() const;
  /// Errors: kNotFound.
  OpenIndex Find(std::string_view id) const;
  /// By name, as the generation was made with. Errors: kNotFound.
  std::string EmbedderOf(std::string_view id) const { return FindEntry(id)->row.embedder; }
  /// Of the live one, for ingestion.
  GenerationTools LiveTools() const;
  /// Throws kAborted if `id` is not live any more: what was made for it is made again. Inside the write of a document.
  static void CheckLive(data::ReadTx& tx, std::string_view id);
  /// The row that says that a generation has a document. Inside the write of the document.
  static void MarkDone(data::WriteTx& tx, std::string_view id, std::string_view document) { tx.Put(GenerationDocument{std::string(id) + "/" + std::string(document), std::string(id), std::string(document)}); }

  /// The engines that are to be kept up to date, for IndexDelivery.
  std::vector<std::shared_ptr<EngineIndex>> Engines() const;
  /// The row, as it is. Errors: kNotFound.
  Generation Describe(std::string_view id) const { return FindEntry(id)->row; }

  /// A new one, from the live one's settings with what is given changed. Errors: kInvalidArgument (the embedder or the engine cannot be opened, an engine with another language than English),
  /// kUnavailable (the engine), kResourceExhausted (three there are).
  Generation Create(const Context& ctx, data::Store& store, const std::string& embedder, const Json& chunks, const GenerationShape& shape = {});
  std::vector<GenerationStatus> List(const Context& ctx, data::Store& store) const;
  /// One transaction: `id` is live, the one before is retired and can be gone back to. Errors: kNotFound, kFailedPrecondition (documents are missing: build it; its engine lacks some).
  void Switch(const Context& ctx, data::Store& store, std::string_view id);
  /// To the one that was live before. Errors: as Switch; kFailedPrecondition if there is none.
  std::string Rollback(const Context& ctx, data::Store& store);
  /// With its passages, those in its engine a little later. Errors: kFailedPrecondition if it is live.
  void Remove(const Context& ctx, data::Store& store, std::string_view id);
  /// Asks both every query, as who sees everything.
  GenerationComparison Compare(const Context& ctx, data::Store& store, std::string_view a, std::string_view b, const std::vector<LabelledQuery>& queries) const;

  /// The run function of kind "build-generation"; input {"generation"}: gives it every document that it lacks, until there is none, and waits until its engine has them. Killed, it goes on.
  /// Events: stage {done,total}.
  workflows::RunFunction MakeBuild(data::Store& store);

 private:
  struct Entry {
    Generation row;
    std::shared_ptr<models::Embedder> embedder;
    std::shared_ptr<PassageIndex> index;
    std::shared_ptr<EngineIndex> engine;  ///< the same, or null: this program's memory
  };
  void SetIndex(Entry& entry) const;
  /// Each from its snapshot if there is a `history` and that can be, else from its rows. Returns the oldest commit that one of them is of.
  data::Commit LoadFrom(data::History* history, data::ReadTx& tx);
  GenerationTools ToolsOf(const Entry& entry) const;
  std::shared_ptr<Entry> FindEntry(std::string_view id) const;

  const Parts parts_;
  Generation first_;  // that Begin writes into a store that has none
  mutable std::mutex mutex_;  // of the map and of live_, not of what they hold
  std::map<std::string, std::shared_ptr<Entry>, std::less<>> entries_;
  std::map<std::string, std::shared_ptr<models::Embedder>, std::less<>> embedders_;  // by name, opened before the commit that needs them
  std::string live_;
};

}  // namespace tenfold::retrieval
