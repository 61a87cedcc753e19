#include "retrieval/chunk_index.h"

#include <unordered_map>

namespace tenfold::retrieval {

JsonObject SearchedMetadata(const Document& document) {
  auto out = document.metadata;
  out.emplace("source", document.source);
  out.emplace("uri", document.uri);
  out.emplace("media_type", document.media_type);
  out.emplace("updated", document.updated_us);
  return out;
}

IndexRecord RecordOf(const Chunk& chunk, const std::string& label, const std::string& title, const JsonObject& metadata) {
  return {chunk.id, chunk.document, label, title, chunk.heading, chunk.context.empty() ? chunk.text : chunk.context + "\n" + chunk.text, chunk.embedding, metadata};
}

ChunkIndex::ChunkIndex(std::size_t dim, std::string generation, Language language) : generation_(std::move(generation)), language_(language), shard_(dim, Metric::kCosine, language) {}

data::Commit ChunkIndex::commit() const {
  const std::shared_lock lock(mutex_);
  return commit_;
}

std::size_t ChunkIndex::chunks() const {
  const std::shared_lock lock(mutex_);
  return shard_.records();
}

std::size_t ChunkIndex::chunks_without_vector() const {
  const std::shared_lock lock(mutex_);
  return shard_.records_without_vector();
}

double ChunkIndex::WordWeight(const std::string& word) const {
  const std::shared_lock lock(mutex_);
  return shard_.WordWeight(word);
}

IndexResult ChunkIndex::Search(const Principal& reader, const IndexQuery& query) const {
  const std::shared_lock lock(mutex_);
  return shard_.Search(reader, query);
}

void ChunkIndex::Load(data::ReadTx& tx) {
  const std::unique_lock lock(mutex_);
  std::unordered_map<std::string, Shared> documents;
  for (const auto& document : tx.Find<Document>()) documents[document.id] = {document.label, document.title, SearchedMetadata(document)};
  for (const auto& chunk : tx.Find<Chunk>())
    if (IsOwn(chunk)) Put(chunk, documents[chunk.document]);
  commit_ = tx.commit();
}

void ChunkIndex::Apply(std::span<const data::Change> changes, data::ReadTx& tx) {
  const std::unique_lock lock(mutex_);
  // The chunks of a document change one after the other, and its row holds its whole text: it is read once for all of them.
  std::string read_id;
  std::optional<Shared> read;
  const auto shared_of = [&](const std::string& id) -> const std::optional<Shared>& {
    if (id != read_id) {
      const auto document = tx.Get<Document>(id);
      read = document ? std::optional(Shared{document->label, document->title, SearchedMetadata(*document)}) : std::nullopt;
      read_id = id;
    }
    return read;
  };
  for (const auto& change : changes) {
    if (change.table == "chunks") {
      const auto chunk = change.kind == data::ChangeKind::kPut ? tx.Get<Chunk>(change.key) : std::nullopt;
      const auto* shared = chunk && IsOwn(*chunk) && shared_of(chunk->document) ? &*read : nullptr;
      if (shared) Put(*chunk, *shared);
      else shard_.Remove(change.key);
    } else if (change.table == "documents" && change.kind == data::ChangeKind::kPut) {
      if (const auto& shared = shared_of(change.key)) {
        shard_.SetGroupAccess(change.key, shared->label);
        shard_.SetGroupMetadata(change.key, shared->metadata);
      }
    }
  }
  commit_ = tx.commit();
}

void ChunkIndex::Put(const Chunk& chunk, const Shared& shared) { shard_.Put(RecordOf(chunk, shared.label, shared.title, shared.metadata)); }

}  // namespace tenfold::retrieval
