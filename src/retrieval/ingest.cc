#include "retrieval/ingest.h"

#include "base/crypto.h"
#include "retrieval/embedding_owners.h"
#include "retrieval/index_delivery.h"
#include "retrieval/retriever.h"
#include "retrieval/stored_file.h"
#include "retrieval/sync.h"

namespace tenfold::retrieval {

std::string SourceIdOf(std::string_view url) { return Sha256Hex(url).substr(0, 24); }
std::string DocumentIdOf(std::string_view source, std::string_view path) { return Sha256Hex(std::string(source) + "/" + std::string(path)).substr(0, 24); }

namespace {

/// As `documents`, without the text.
struct DocumentId {
  std::string id;
};
TENFOLD_DESCRIBE(DocumentId, (id))
TENFOLD_TABLE(DocumentId, "documents", id)

constexpr std::size_t kIdsAtOnce = 10'000;

/// Embeds what the document's passages of this generation lack. Returns how many did.
std::int64_t EmbedMissingOf(const Context& ctx, data::Store& store, const GenerationTools& tools, const std::string& id) {
  const auto system = Context::System("embed");
  std::optional<Document> document;
  std::vector<Chunk> chunks;
  store.Read(system, [&](data::ReadTx& tx) {
    tx.ForEach<Chunk>(data::Where("document", id), [&](Chunk& chunk) {
      if (chunk.embedding.size() != tools.embedder->dim() && (chunk.generation.empty() ? kFirstGeneration : chunk.generation) == tools.id) chunks.push_back(std::move(chunk));
    });
    if (!chunks.empty()) document = tx.Get<Document>(id);
  });
  if (!document) return 0;
  EmbedChunks(ctx, tools, *document, chunks);
  bool went = false;
  store.Write(system, [&](data::WriteTx& tx) {
    for (const auto& chunk : chunks)
      if (tx.Get<Chunk>(chunk.id)) tx.Put(chunk);
      else went = true;  // meanwhile
  });
  if (went && tools.cache) store.Read(system, [&](data::ReadTx& tx) { ForgetUnowned(tx, *tools.cache); });
  return static_cast<std::int64_t>(chunks.size());
}

}  // namespace

workflows::RunFunction MakeEmbedMissing(data::Store& store, std::function<GenerationTools()> live) {
  return [&store, live = std::move(live)](workflows::RunContext& run) -> Json {
    const auto tools = live();
    if (!tools.embedder) return JsonObject{{"chunks", 0}};
    std::int64_t done = 0;
    // Pages of names, so that no snapshot stays open while a model is at work.
    data::Query page{{{"id", data::Compare::kGreater, data::Value(std::string())}}, "id", false, kIdsAtOnce};
    for (;;) {
      const auto documents = store.Read(Context::System("embed"), [&](data::ReadTx& tx) { return tx.Find<DocumentId>(page); });
      for (const auto& document : documents) {
        run.ctx().Check();
        done += EmbedMissingOf(run.ctx(), store, tools, document.id);
      }
      if (documents.size() < kIdsAtOnce) return JsonObject{{"chunks", done}};
      page.where.front().value = data::Value(documents.back().id);
    }
  };
}

std::vector<data::Table> IngestTables() {
  return {data::TableOf<Source>(),   data::TableOf<SyncState>(),      data::TableOf<SyncSeen>(), data::TableOf<SourceProblem>(),
          data::TableOf<Document>(), data::TableOf<DocumentLayout>(), data::TableOf<Chunk>(),    data::TableOf<LineageEdge>(), data::TableOf<SmallOriginal>(), data::TableOf<StoredFile>(),
          data::TableOf<Generation>(), data::TableOf<GenerationDocument>(), data::TableOf<IndexCursor>()};
}

std::int64_t RemoveSource(const Context& ctx, data::Store& store, Originals& originals, std::string_view id, const std::function<void(data::WriteTx&)>& also) {
  std::vector<std::string> forgotten;
  store.Write(ctx, [&](data::WriteTx& tx) {
    forgotten.clear();
    if (!tx.Delete<Source>(id)) throw Error(Code::kNotFound, "there is no source '" + std::string(id) + "'; see 'tenfold sources list'", "source");
    for (const auto& document : tx.Find<DocumentHead>(data::Where("source", std::string(id)))) {
      tx.Delete<Document>(document.id);
      forgotten.push_back(document.content_hash);
    }
    if (also) also(tx);
  });
  originals.Forget(ctx, forgotten);
  return static_cast<std::int64_t>(forgotten.size());
}

workflows::RunFunction MakeIngest(data::Store& store, IngestOptions options) {
  return [&store, options = std::move(options)](workflows::RunContext& run) -> Json { return ToJson(Sync(store, options, run).Run()); };
}

}  // namespace tenfold::retrieval
