#pragma once
/// \file Embeddings are made once: after a restart, for another source, another generation of the index or an evaluation, the same text has its vector from a file.
///
/// What is kept of a text is its SHA-256 and its vector, and both leave with the document whose text it first was: retrieval/embedding_owners.h says when. Another document with
/// the same text is embedded again then, if ever it is needed: too much may be forgotten, never too little.
#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "models/embedder.h"
#include "models/embedding_file.h"

namespace tenfold::models {

struct EmbeddingCacheStatus {
  struct Model {
    std::string model;  ///< Embedder::identity
    std::uint32_t dim = 0;
    std::uint64_t texts = 0;
    std::uint64_t bytes = 0;  ///< on the disk
  };
  std::vector<Model> models;
  std::uint64_t found = 0;  ///< since the program began
  std::uint64_t made = 0;
};

/// Threads: safe; texts are embedded side by side. Durability: what is kept survives a kill of the program; after a loss of power, what the disk had not yet written is made again.
class EmbeddingCache {
 public:
  struct Options {
    std::uint64_t bytes_per_model = std::uint64_t{1} << 30;  ///< 0: nothing is kept, and what was kept before is removed
    const Clock* clock = nullptr;                            ///< null: the system's
  };
  /// Files of more models than this there are never: the one that was not used for longest goes.
  static constexpr std::size_t kMaxModels = 4;
  /// The folder is made if it is not there. Errors: kPermissionDenied, kResourceExhausted.
  EmbeddingCache(std::filesystem::path folder, Options options);

  /// The owner of that name.
  static std::uint64_t OwnerOf(std::string_view name);

  /// As Embedder::Embed; only texts that are not kept reach the embedder, in calls of at most 256, equal ones once. `owners`: one a text, or none: nobody's, kept until they were not
  /// used for 30 days. `progress(made, to make)` after each call of the embedder, with both 0 if there was none.
  /// A full disk is told to the log, not to the caller. Errors: the embedder's.
  std::vector<std::vector<float>> Embed(const Context& ctx, Embedder& embedder, std::span<const std::string> texts, EmbedKind kind, std::span<const TextOwner> owners,
                                        const std::function<void(std::size_t made, std::size_t all)>& progress = {});

  /// Overwrites what belongs to each owner in other versions than the one given; version 0: all. When it returns the files do not hold it any more. Errors: kResourceExhausted.
  void Forget(std::span<const TextOwner> owners);
  /// Forgets whatever has an owner, but not the version that `version_of` gives; 0: none.
  void KeepOnly(const std::function<std::uint32_t(std::uint64_t owner)>& version_of);
  /// Whether Forget can find anything at all.
  bool empty() const;
  EmbeddingCacheStatus status() const;

 private:
  struct Shelf {
    std::mutex mutex;
    std::unique_ptr<EmbeddingFile> file;  // guarded by mutex
    bool checked = false;                 // guarded by mutex: the model still gives the vectors that are kept
    bool full = false;                    // guarded by mutex: the disk is, nothing more is written
  };
  std::shared_ptr<Shelf> ShelfOf(const Context& ctx, Embedder& embedder);
  /// Empties the shelf if the model behind this name is not the one that made its vectors.
  void CheckModel(const Context& ctx, Embedder& embedder, Shelf& shelf);
  void Keep(Shelf& shelf, const TextKey& key, TextOwner owner, std::span<const float> vector);
  void RemoveOldest();
  std::vector<std::shared_ptr<Shelf>> Shelves() const;
  std::uint32_t Today() const;

  const std::filesystem::path folder_;
  const Options options_;
  mutable std::mutex mutex_;                                // of shelves_; never held together with a shelf's
  std::map<std::string, std::shared_ptr<Shelf>> shelves_;  // by the stem's file name
  std::atomic<std::uint64_t> found_{0}, made_{0};
};

}  // namespace tenfold::models
