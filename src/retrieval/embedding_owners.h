#pragma once
/// \file What leaves the store leaves the embedding cache: with a document's removal all its vectors, with its edit those of the text before.
#include <span>
#include <string>

#include "data/store.h"
#include "models/embedding_cache.h"
#include "retrieval/document.h"

namespace tenfold::retrieval {

/// The owner of a document's texts.
models::TextOwner OwnerOf(const std::string& document, std::int64_t version);

/// Forgets what belongs to no document of the snapshot. Called where something may have been embedded for a document that was never committed or went meanwhile; what another run has
/// embedded and not committed yet goes too, and is embedded again if it is needed. Cost: reads id and version of every document.
void ForgetUnowned(data::ReadTx& tx, models::EmbeddingCache& cache);

/// Threads: called by the store. The cache must outlive it.
class EmbeddingOwners : public data::Follower {
 public:
  explicit EmbeddingOwners(models::EmbeddingCache& cache) : cache_(cache) {}
  std::string name() const override { return "embedding cache"; }
  /// What a crash left between a commit and the cache goes here.
  void Load(data::ReadTx& tx) override;
  void Apply(std::span<const data::Change> changes, data::ReadTx& tx) override;

 private:
  models::EmbeddingCache& cache_;
};

}  // namespace tenfold::retrieval
