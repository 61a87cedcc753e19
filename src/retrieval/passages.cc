#include "retrieval/passages.h"

#include "retrieval/embedding_owners.h"
#include "retrieval/retriever.h"

namespace tenfold::retrieval {

std::vector<Chunk> MakeChunks(const Document& document, const GenerationTools& tools) {
  std::vector<Chunk> out;
  for (auto& span : ChunkDocument({document.text, document.title, document.media_type, document.uri, tools.embedder ? tools.embedder->max_tokens() : 0}, tools.chunks, tools.count_tokens)) {
    auto& chunk = out.emplace_back();
    chunk.id = document.id + "/" + tools.id + "/" + std::to_string(document.version) + "/" + std::to_string(out.size() - 1);
    chunk.document = document.id;
    chunk.begin_byte = static_cast<std::int64_t>(span.begin);
    chunk.end_byte = static_cast<std::int64_t>(span.end);
    chunk.heading = std::move(span.heading);
    chunk.text = document.text.substr(span.begin, span.end - span.begin);
    chunk.context = std::move(span.context);
    chunk.generation = tools.id;
    chunk.parent_begin = static_cast<std::int64_t>(span.parent_begin);
    chunk.parent_end = static_cast<std::int64_t>(span.parent_end);
  }
  return out;
}

void EmbedAll(const Context& ctx, const GenerationTools& tools, std::span<const ToEmbed> documents) {
  if (!tools.embedder) return;
  std::vector<std::string> texts;
  std::vector<models::TextOwner> owners;
  std::vector<std::size_t> counts;
  for (const auto& [document, chunks] : documents) {
    for (const auto& chunk : chunks) {
      texts.push_back(TextToEmbed(document->title, chunk.heading, chunk.context.empty() ? chunk.text : chunk.context + "\n" + chunk.text));
      const auto sentences = ReadSentences(document->text, static_cast<std::size_t>(chunk.begin_byte), static_cast<std::size_t>(chunk.end_byte));
      for (const auto& sentence : sentences) texts.push_back(TextToEmbed(document->title, chunk.heading, sentence.text));
      counts.push_back(sentences.size());
    }
    owners.resize(texts.size(), OwnerOf(document->id, document->version));
  }
  if (texts.empty()) return;
  auto vectors = tools.cache ? tools.cache->Embed(ctx, *tools.embedder, texts, models::EmbedKind::kPassage, owners) : tools.embedder->Embed(ctx, texts, models::EmbedKind::kPassage);
  std::size_t next = 0, at = 0;
  for (const auto& [document, chunks] : documents)
    for (auto& chunk : chunks) {
      chunk.embedding = std::move(vectors[next++]);
      chunk.sentences.clear();
      for (std::size_t left = counts[at++]; left > 0; --left) AppendQuantised(vectors[next++], chunk.sentences);
    }
}

void EmbedChunks(const Context& ctx, const GenerationTools& tools, const Document& document, std::span<Chunk> chunks) {
  const ToEmbed one{&document, chunks};
  EmbedAll(ctx, tools, {&one, 1});
}

}  // namespace tenfold::retrieval
