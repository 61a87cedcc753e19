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

workflows::RunFunction MakeEmbedMissing(data::Store& store, std::function<GenerationTools()> live) {
  return [&store, live = std::move(live)](workflows::RunContext& run) -> Json {
    const auto tools = live();
    if (!tools.embedder) return JsonObject{{"chunks", 0}};
    const auto system = Context::System("embed");
    std::int64_t done = 0;
    const auto documents = store.Read(system, [](data::ReadTx& tx) { return tx.Find<Document>(); });
    for (const auto& document : documents) {
      run.ctx().Check();
      auto chunks = store.Read(system, [&](data::ReadTx& tx) { return tx.Find<Chunk>(data::Where("document", document.id)); });
      std::erase_if(chunks, [&](const Chunk& chunk) { return chunk.embedding.size() == tools.embedder->dim() || (chunk.generation.empty() ? kFirstGeneration : chunk.generation) != tools.id; });
      if (chunks.empty()) continue;
      EmbedChunks(run.ctx(), tools, document, chunks);
      bool went = false;
      store.Write(system, [&](data::WriteTx& tx) {
        for (const auto& chunk : chunks)
          if (tx.Get<Chunk>(chunk.id)) tx.Put(chunk);
          else went = true;  // meanwhile
      });
      if (went && tools.cache) store.Read(system, [&](data::ReadTx& tx) { ForgetUnowned(tx, *tools.cache); });
      done += static_cast<std::int64_t>(chunks.size());
    }
    return JsonObject{{"chunks", done}};
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
