#pragma once
/// \file Hybrid, permission-aware search over the chunks of a store: a follower that can be thrown away.
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <vector>

#include "base/context.h"
#include "data/store.h"
#include "retrieval/document.h"
#include "retrieval/passages.h"
#include "models/embedder.h"
#include "retrieval/vector_index.h"

namespace tenfold::retrieval {

struct SearchHit {
  std::string chunk;
  std::string document;
  float score = 0;   ///< fused: reciprocal ranks, scaled so that first in both lists is 1
  float cosine = 0;  ///< -1..1; 0 if the query had no embedding
  float bm25 = 0;
};

/// Threads: all methods are safe; searches run side by side.
class ChunkIndex : public data::Follower {
 public:
  /// `dim` of the embedder; 0 searches words alone. Passages of other generations than `generation` are not its own; those that name none are of "g1".
  explicit ChunkIndex(std::size_t dim, std::string generation = kFirstGeneration);
  /// Only chunks whose document carries one of the principal's labels take part, in both scans. `documents`, if given, narrows further.
  /// Fused as in Cormack, Clarke & Büttcher, SIGIR 2009 (k = 60).
  std::vector<SearchHit> Search(const Principal& reader, std::string_view query, std::span<const float> embedding, std::size_t k,
                                const std::optional<std::set<std::string>>& documents = std::nullopt) const;
  data::Commit commit() const;
  std::size_t chunks() const;
  std::size_t chunks_without_vector() const;
  /// How rare a word (as Tokenize gives it) is: its inverse document frequency as BM25 uses it.
  double WordWeight(const std::string& word) const;

  std::string name() const override { return "search"; }
  void Load(data::ReadTx& tx) override;
  void Apply(std::span<const data::Change> changes, data::ReadTx& tx) override;

 private:
  struct Row {
    std::string chunk, document;
  };
  void PutChunk(const Chunk& chunk, const std::string& label, const std::string& title);
  void RemoveChunk(const std::string& id);
  void Relabel(const std::string& document, const std::string& label);

  bool IsOwn(const Chunk& chunk) const { return (chunk.generation.empty() ? kFirstGeneration : chunk.generation) == generation_; }

  const std::size_t dim_;
  const std::string generation_;
  mutable std::shared_mutex mutex_;
  Bm25Index words_;
  VectorIndex vectors_;
  std::vector<Row> rows_;
  std::vector<std::uint32_t> free_rows_;
  std::map<std::string, std::uint32_t, std::less<>> row_of_chunk_;
  std::map<std::string, std::set<std::uint32_t>, std::less<>> rows_of_document_;
  std::map<std::string, std::string, std::less<>> label_of_document_;
  std::map<std::string, Bitmap, std::less<>> rows_of_label_;
  std::set<std::uint32_t> rows_without_vector_;
  data::Commit commit_ = 0;
};

/// What questions are searched in, and with what they are embedded.
struct OpenIndex {
  std::string generation;
  std::shared_ptr<const ChunkIndex> index;
  std::shared_ptr<models::Embedder> embedder;  ///< null: words alone
};

}  // namespace tenfold::retrieval
