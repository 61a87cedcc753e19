#include "retrieval/ingest.h"

#include "base/crypto.h"
#include "retrieval/retriever.h"
#include "retrieval/sync.h"

namespace tenfold::retrieval {

std::string SourceIdOf(std::string_view url) { return Sha256Hex(url).substr(0, 24); }
std::string DocumentIdOf(std::string_view source, std::string_view path) { return Sha256Hex(std::string(source) + "/" + std::string(path)).substr(0, 24); }

std::vector<Chunk> MakeChunks(const Document& document, const ChunkOptions& options, const CountTokens& count, models::Embedder* embedder) {
  std::vector<Chunk> out;
  for (auto& span : ChunkDocument({document.text, document.title, document.media_type, document.uri, embedder ? embedder->max_tokens() : 0}, options, count)) {
    auto& chunk = out.emplace_back();
    chunk.id = document.id + "/" + std::to_string(document.version) + "/" + std::to_string(out.size() - 1);
    chunk.document = document.id;
    chunk.begin_byte = static_cast<std::int64_t>(span.begin);
    chunk.end_byte = static_cast<std::int64_t>(span.end);
    chunk.heading = std::move(span.heading);
    chunk.text = document.text.substr(span.begin, span.end - span.begin);
    chunk.context = std::move(span.context);
    chunk.parent_begin = static_cast<std::int64_t>(span.parent_begin);
    chunk.parent_end = static_cast<std::int64_t>(span.parent_end);
  }
  return out;
}

void EmbedAll(const Context& ctx, models::Embedder& embedder, std::span<const ToEmbed> documents) {
  std::vector<std::string> texts;
  std::vector<std::size_t> counts;
  for (const auto& [document, chunks] : documents)
    for (const auto& chunk : chunks) {
      texts.push_back(TextToEmbed(document->title, chunk.heading, chunk.context.empty() ? chunk.text : chunk.context + "\n" + chunk.text));
      const auto sentences = ReadSentences(document->text, static_cast<std::size_t>(chunk.begin_byte), static_cast<std::size_t>(chunk.end_byte));
      for (const auto& sentence : sentences) texts.push_back(TextToEmbed(document->title, chunk.heading, sentence.text));
      counts.push_back(sentences.size());
    }
  if (texts.empty()) return;
  auto vectors = embedder.Embed(ctx, texts, models::EmbedKind::kPassage);
  std::size_t next = 0, at = 0;
  for (const auto& [document, chunks] : documents)
    for (auto& chunk : chunks) {
      chunk.embedding = std::move(vectors[next++]);
      chunk.sentences.clear();
      for (std::size_t left = counts[at++]; left > 0; --left) AppendQuantised(vectors[next++], chunk.sentences);
    }
}

void EmbedChunks(const Context& ctx, models::Embedder& embedder, const Document& document, std::span<Chunk> chunks) {
  const ToEmbed one{&document, chunks};
  EmbedAll(ctx, embedder, {&one, 1});
}

workflows::RunFunction MakeEmbedMissing(data::Store& store, models::Embedder& embedder) {
  return [&store, &embedder](workflows::RunContext& run) -> Json {
    const auto system = Context::System("embed");
    std::int64_t done = 0;
    const auto documents = store.Read(system, [](data::ReadTx& tx) { return tx.Find<Document>(); });
    for (const auto& document : documents) {
      run.ctx().Check();
      auto chunks = store.Read(system, [&](data::ReadTx& tx) { return tx.Find<Chunk>(data::Where("document", document.id)); });
      std::erase_if(chunks, [&](const Chunk& chunk) { return chunk.embedding.size() == embedder.dim(); });
      if (chunks.empty()) continue;
      EmbedChunks(run.ctx(), embedder, document, chunks);
      store.Write(system, [&](data::WriteTx& tx) {
        for (const auto& chunk : chunks)
          if (tx.Get<Chunk>(chunk.id)) tx.Put(chunk);  // unless it went meanwhile
      });
      done += static_cast<std::int64_t>(chunks.size());
    }
    return JsonObject{{"chunks", done}};
  };
}

std::vector<data::Table> IngestTables() {
  return {data::TableOf<Source>(),         data::TableOf<SyncState>(), data::TableOf<SyncSeen>(),    data::TableOf<SourceProblem>(), data::TableOf<Document>(),
          data::TableOf<DocumentLayout>(), data::TableOf<Chunk>(),     data::TableOf<LineageEdge>(), data::TableOf<SmallOriginal>()};
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
