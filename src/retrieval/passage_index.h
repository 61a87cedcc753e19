#pragma once
/// \file What the passages of one generation are searched in: this program's memory (chunk_index.h) or an engine beside it (engine_index.h).
#include <memory>
#include <string>

#include "base/context.h"
#include "data/store.h"
#include "models/embedder.h"
#include "retrieval/search_index.h"
#include "retrieval/tokenize.h"

namespace tenfold::retrieval {

/// A follower of the store that can be thrown away. Threads: all methods are safe; searches run side by side.
class PassageIndex : public data::Follower {
 public:
  /// Only what carries one of the reader's labels takes part. A hit's id is the chunk's, its group the document's. Whoever answers from hits reads them in the store: what is not there, or not the reader's
  /// any more, is none. Errors: as SearchIndex::Search.
  virtual IndexResult Search(const Context& ctx, const IndexQuery& query) const = 0;
  /// How rare a word (as Tokenize gives it) is: its inverse document frequency as BM25 uses it; 1 for each where nobody counts them.
  virtual double WordWeight(const std::string& word) const = 0;
  virtual Language language() const = 0;
  virtual data::Commit commit() const = 0;
  virtual std::size_t chunks() const = 0;
  virtual std::size_t chunks_without_vector() const = 0;
  /// Empty, or what keeps it from being whole just now: "behind", or the engine's error.
  virtual std::string problem() const { return {}; }
};

/// What questions are searched in, and with what they are embedded.
struct OpenIndex {
  std::string generation;
  std::shared_ptr<const PassageIndex> index;
  std::shared_ptr<models::Embedder> embedder;  ///< null: words alone
};

}  // namespace tenfold::retrieval
