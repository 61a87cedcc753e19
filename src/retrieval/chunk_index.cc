#include "retrieval/chunk_index.h"

#include <unordered_map>

namespace tenfold::retrieval {
namespace {

/// A document without its text, a passage without its sentences: the same rows, fewer columns. Only read.
struct SearchedDocument {
  std::string id;
  std::string source;
  std::string uri;
  std::string title;
  std::string label;
  std::string media_type;
  std::int64_t updated_us = 0;
  JsonObject metadata;
};
TENFOLD_DESCRIBE(SearchedDocument, (id), (source), (uri), (title), (label), (media_type), (updated_us), (metadata))
TENFOLD_TABLE(SearchedDocument, "documents", id)

struct SearchedChunk {
  std::string id;
  std::string document;
  std::string heading;
  std::string text;
  std::vector<float> embedding;
  std::string generation;
  std::string context;
};
TENFOLD_DESCRIBE(SearchedChunk, (id), (document), (heading), (text), (embedding), (generation), (context))
TENFOLD_TABLE(SearchedChunk, "chunks", id)

template <class D>
JsonObject MetadataOf(const D& document) {
  auto out = document.metadata;
  out.emplace("source", document.source);
  out.emplace("uri", document.uri);
  out.emplace("media_type", document.media_type);
  out.emplace("updated", document.updated_us);
  return out;
}

template <class C>
IndexRecord MakeRecord(C&& chunk, const std::string& label, const std::string& title, const JsonObject& metadata) {
  return {chunk.id, chunk.document, label, title, chunk.heading, chunk.context.empty() ? chunk.text : chunk.context + "\n" + chunk.text, std::forward<C>(chunk).embedding, metadata};
}

}  // namespace

/// What the chunks of a document share.
struct ChunkIndex::Shared {
  std::string label, title;
  JsonObject metadata;
};

JsonObject SearchedMetadata(const Document& document) { return MetadataOf(document); }

IndexRecord RecordOf(const Chunk& chunk, const std::string& label, const std::string& title, const JsonObject& metadata) { return MakeRecord(chunk, label, title, metadata); }

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
  tx.ForEach<SearchedDocument>({}, [&](const SearchedDocument& document) { documents[document.id] = {document.label, document.title, MetadataOf(document)}; });
  tx.ForEach<SearchedChunk>({}, [&](SearchedChunk& chunk) {
    if (!IsOwn(chunk.generation)) return;
    const auto& shared = documents[chunk.document];
    shard_.Put(MakeRecord(std::move(chunk), shared.label, shared.title, shared.metadata));
  });
  commit_ = tx.commit();
}

void ChunkIndex::Apply(std::span<const data::Change> changes, data::ReadTx& tx) {
  const std::unique_lock lock(mutex_);
  // The chunks of a document change one after the other, and its row holds its whole text: it is read once for all of them.
  std::string read_id;
  std::optional<Shared> read;
  const auto shared_of = [&](const std::string& id) -> const std::optional<Shared>& {
    if (id != read_id) {
      const auto document = tx.Get<SearchedDocument>(id);
      read = document ? std::optional(Shared{document->label, document->title, MetadataOf(*document)}) : std::nullopt;
      read_id = id;
    }
    return read;
  };
  for (const auto& change : changes) {
    if (change.table == "chunks") {
      const auto chunk = change.kind == data::ChangeKind::kPut ? tx.Get<SearchedChunk>(change.key) : std::nullopt;
      const auto* shared = chunk && IsOwn(chunk->generation) && shared_of(chunk->document) ? &*read : nullptr;
      if (shared) shard_.Put(MakeRecord(*chunk, shared->label, shared->title, shared->metadata));
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

}  // namespace tenfold::retrieval
