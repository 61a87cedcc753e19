#include "retrieval/chunk_index.h"

#include <thread>
#include <unordered_map>

namespace tenfold::retrieval {
namespace {

// Of a snapshot; below it a thread costs more than it saves.
constexpr std::uint64_t kBesideFromBytes = 8 << 20;

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

ChunkIndex::ChunkIndex(std::size_t dim, std::string generation, Language language, std::shared_ptr<IndexSnapshot> snapshot)
    : generation_(std::move(generation)), dim_(dim), language_(language), snapshot_(std::move(snapshot)), shard_(NewShard()) {
  if (!snapshot_) return;
  const auto settings = "chunks " + generation_ + " " + std::to_string(dim_) + " " + std::string(AsView(ToJson(language_).get_string()));
  snapshot_->Attach(settings, [this](SnapshotWriter& to) { return Save(to); });
}

ChunkIndex::~ChunkIndex() {
  if (snapshot_) snapshot_->Detach();
}

IndexShard ChunkIndex::NewShard() const {
  IndexShard out(dim_, Metric::kCosine, language_);
  out.SetSnapshot(snapshot_);
  return out;
}

std::optional<data::Commit> ChunkIndex::Save(SnapshotWriter& to) const {
  const std::shared_lock lock(mutex_);
  if (shard_.records() == 0) return std::nullopt;
  for (const auto part : IndexShard::kParts) {
    to.Begin();
    shard_.Save(part, to);
  }
  return commit_;
}

void ChunkIndex::Restore(const SnapshotFile& file) {
  auto fresh = NewShard();
  // The parts take about as long as each other.
  std::exception_ptr errors[std::size(IndexShard::kParts)];
  const auto load = [&](std::size_t i) {
    try {
      auto section = file.Section(i);
      fresh.Restore(IndexShard::kParts[i], section);
      section.Finish();
    } catch (...) {
      errors[i] = std::current_exception();
    }
  };
  if (file.bytes() < kBesideFromBytes) {
    for (std::size_t i = 0; i < std::size(errors); ++i) load(i);
  } else {
    std::vector<std::thread> beside;
    for (std::size_t i = 1; i < std::size(errors); ++i) beside.emplace_back(load, i);
    load(0);
    for (auto& one : beside) one.join();
  }
  for (const auto& error : errors)
    if (error) std::rethrow_exception(error);
  fresh.CheckRestored();
  const std::unique_lock lock(mutex_);
  shard_ = std::move(fresh);
  commit_ = file.header().commit;
}

std::optional<data::Commit> ChunkIndex::Restore(data::History& history, data::ReadTx&) {
  if (!snapshot_) return std::nullopt;
  return snapshot_->Restore(history, [this](const SnapshotFile& file) { Restore(file); });
}

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
  if (snapshot_) snapshot_->Changed(shard_.records(), 0);
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
  std::size_t own = 0;
  for (const auto& change : changes) {
    own += change.table == "chunks" || change.table == "documents";
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
  if (snapshot_) snapshot_->Changed(own, changes.size());
}

}  // namespace tenfold::retrieval
