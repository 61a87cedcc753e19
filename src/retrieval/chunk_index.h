#pragma once
/// \file Hybrid, permission-aware search over the chunks of a store: a follower that can be thrown away.
#include <memory>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>

#include "base/context.h"
#include "data/store.h"
#include "models/embedder.h"
#include "retrieval/document.h"
#include "retrieval/index_shard.h"
#include "retrieval/index_snapshot.h"
#include "retrieval/passage_index.h"
#include "retrieval/passages.h"

namespace tenfold::retrieval {

/// What filters and facets know of a chunk: its document's metadata, and of Document `source`, `uri`, `media_type` and `updated` (microseconds since 1970) unless the
/// metadata has keys of these names.
JsonObject SearchedMetadata(const Document& document);

/// A passage as it is searched; `label`, `title` and `metadata` are its document's.
IndexRecord RecordOf(const Chunk& chunk, const std::string& label, const std::string& title, const JsonObject& metadata);

/// Threads: all methods are safe; searches run side by side.
class ChunkIndex : public PassageIndex {
 public:
  /// `dim` of the embedder; 0 searches words alone. Passages of other generations than `generation` are not its own; those that name none are of "g1".
  /// With a `snapshot` it is written there now and then, and restored from it.
  explicit ChunkIndex(std::size_t dim, std::string generation = kFirstGeneration, Language language = Language::kEnglish, std::shared_ptr<IndexSnapshot> snapshot = nullptr);
  ~ChunkIndex() override;
  /// Only chunks whose document carries one of the reader's labels take part, in both scans. A hit's id is the chunk's, its group the document's.
  IndexResult Search(const Principal& reader, const IndexQuery& query) const;
  IndexResult Search(const Context& ctx, const IndexQuery& query) const override { return Search(ctx.principal(), query); }
  data::Commit commit() const override;
  std::size_t chunks() const override;
  std::size_t chunks_without_vector() const override;
  double WordWeight(const std::string& word) const override;
  Language language() const override { return language_; }

  std::string name() const override { return "search"; }
  std::optional<data::Commit> Restore(data::History& history, data::ReadTx& tx) override;
  void Load(data::ReadTx& tx) override;
  void Apply(std::span<const data::Change> changes, data::ReadTx& tx) override;

 private:
  struct Shared;
  IndexShard NewShard() const;
  std::optional<data::Commit> Save(SnapshotWriter& to) const;
  void Restore(const SnapshotFile& file);
  bool IsOwn(const std::string& generation) const { return (generation.empty() ? kFirstGeneration : generation) == generation_; }

  const std::string generation_;
  const std::size_t dim_;
  const Language language_;
  const std::shared_ptr<IndexSnapshot> snapshot_;  // may be null
  mutable std::shared_mutex mutex_;
  IndexShard shard_;         // guarded by mutex_
  data::Commit commit_ = 0;  // guarded by mutex_
};

}  // namespace tenfold::retrieval
