#pragma once
/// \file A generation that is searched in an engine beside this program (postgresql:, weaviate:, pinecone:), whatever SearchIndex that is. The store stays the truth: the engine is brought up to date by
/// IndexDelivery, asked inside the reader's labels, and what it names is read in the store before anything is answered.
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "retrieval/chunk_index.h"
#include "retrieval/passage_index.h"

namespace tenfold::retrieval {

struct EngineOptions {
  std::string generation;
  std::string url;         ///< of the engine; named in errors
  std::string name_space;  ///< of this generation alone, in every data folder
  std::size_t dim = 0;
  bool falls_back_to_words = false;  ///< keeps the words in memory and answers from them while the engine is away; false: such a search is an error
  /// Errors: kUnavailable and others, as app::OpenSearchIndex.
  std::function<std::shared_ptr<SearchIndex>(const Context& ctx)> open;
};

/// Threads: all methods are safe. The engine is opened when it is first needed, so that a program starts without it.
class EngineIndex final : public PassageIndex {
 public:
  explicit EngineIndex(EngineOptions options);

  /// Waits up to 0.3 s until the engine has what was committed before the call; then answers from what it has, with a notice that says so. An engine that does not answer within ten seconds is
  /// kUnavailable, or with falls_back_to_words an answer by words alone with a notice; never silently less. Errors: also kInvalidArgument and kUnimplemented of what the engine cannot do.
  IndexResult Search(const Context& ctx, const IndexQuery& query) const override;
  /// Without words in memory each counts alike.
  double WordWeight(const std::string& word) const override { return words_ ? words_->WordWeight(word) : 1.0; }
  Language language() const override { return Language::kEnglish; }  // the engines' own stems
  data::Commit commit() const override;
  /// As the engine said when it last had everything.
  std::size_t chunks() const override;
  std::size_t chunks_without_vector() const override { return 0; }
  std::string problem() const override;

  std::string name() const override { return "engine"; }
  void Load(data::ReadTx& tx) override;
  void Apply(std::span<const data::Change> changes, data::ReadTx& tx) override;

  // For IndexDelivery.
  const EngineOptions& options() const { return options_; }
  /// Opens the engine if nobody has. Errors: those of EngineOptions::open.
  std::shared_ptr<SearchIndex> Engine(const Context& ctx) const;
  /// The engine has every change up to `commit`.
  void SetDelivered(data::Commit commit);
  /// Empty: it took what it was given.
  void SetProblem(const std::string& problem);
  void SetRefused(std::int64_t refused) { refused_ = refused; }
  std::int64_t refused() const { return refused_; }  ///< records that it does not take
  void SetChunks(std::size_t chunks) { chunks_ = chunks; }

 private:
  /// False if the engine lacks something.
  bool AwaitDelivery(const Context& ctx) const;
  IndexResult SearchWords(const Context& ctx, IndexQuery query, const std::string& why) const;

  const EngineOptions options_;
  const std::unique_ptr<ChunkIndex> words_;  ///< null without the fallback
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable std::shared_ptr<SearchIndex> engine_;  // guarded by mutex_
  data::Commit seen_ = 0;       // guarded by mutex_, as the next three: of the store
  data::Commit needed_ = 0;     // of the newest change that concerns it
  data::Commit delivered_ = 0;
  std::string problem_;
  std::atomic<std::int64_t> refused_ = 0;
  std::atomic<std::size_t> chunks_ = 0;
};

/// Whether changes concern what is searched.
bool ConcernsPassages(std::span<const data::Change> changes);

}  // namespace tenfold::retrieval
