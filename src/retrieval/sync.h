#pragma once
/// \file One reading of one source: what was listed against what is stored, in stretches; what changed, in batches. The work of ingest.h.
#include <deque>
#include <future>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/executor.h"
#include "retrieval/generations.h"
#include "retrieval/ingest.h"

namespace tenfold::retrieval {

/// A document without its text: the same rows, fewer columns. Only read.
struct DocumentHead {
  std::string id;
  std::string uri;
  std::string title;
  std::string label;
  std::string content_hash;
  std::int64_t version = 0;
  std::string fingerprint;
};
TENFOLD_DESCRIBE(DocumentHead, (id), (uri), (title), (label), (content_hash), (version), (fingerprint))
TENFOLD_TABLE(DocumentHead, "documents", id)

/// Threads: one, that of the run; it has a pool for parsing.
class Sync {
 public:
  Sync(data::Store& store, const IngestOptions& options, workflows::RunContext& run);
  ~Sync();
  IngestReport Run();

 private:
  /// A listed item that is new or differs.
  struct Pending {
    data::SourceItem item;
    std::string id;
    std::optional<DocumentHead> head;
  };
  struct Work;
  struct Batch;

  IngestReport RunUnguarded();
  /// What was embedded for a batch that no commit holds: the cache must not know texts that the store does not.
  void ForgetUncommitted() noexcept;
  /// Makes this run the one that reads the source; decides what is listed and from where.
  void Begin();
  void StartListing(data::WriteTx& tx, std::string from);
  /// Refuses if the source was removed or taken over. Returns what is stored of it.
  SyncState CheckMine(data::WriteTx& tx) const;
  /// Lists until the listing ends or there is enough to do.
  void ListStretch();
  enum class Named : std::uint8_t { kNow, kBefore };
  void Decide(std::vector<data::SourceItem> items, Named named);
  void DecideOne(data::ReadTx& tx, data::SourceItem item, Named named);
  /// Documents of the source that a whole listing did not name.
  void FindAbsent();
  void CommitListed();
  /// After what was listed is done: the page before is not asked for again.
  void PutProgress(data::WriteTx& tx, const std::vector<std::int8_t>& seen) const;
  /// What seen_ holds beyond what is stored.
  std::vector<std::int8_t> TakeSeen();
  void WorkOff();
  /// Reads an item and has it parsed. Nothing if it is gone or the source is in trouble, which is noted.
  void Start(Pending pending);
  void Build(Work& work) const;
  std::shared_ptr<const GenerationTools> ToolsNow() const;
  std::unique_ptr<Batch> MakeBatch() const;
  /// Waits for the batch's parsing, embeds it and begins its commit.
  void Commit(std::unique_ptr<Batch> batch, bool last);
  void WriteBatch(data::WriteTx& tx, const Batch& batch) const;
  /// Waits for the oldest commit under way, for all.
  void SettleOne();
  void SettleAll();
  /// Its passages with other tools.
  void MakeAgain(Batch& batch, std::shared_ptr<const GenerationTools> tools);
  void RestIfLate();
  void Finish();
  void AddProblem(const data::SourceItem& item, const std::string& problem);
  void Plan(const std::string& path, const char* change);
  void Tell(const std::string& path);
  SyncState StateNow() const;

  data::Store& store_;
  const IngestOptions& options_;
  workflows::RunContext& run_;
  const Context& ctx_;
  const Context system_;
  IngestRequest request_;
  std::unique_ptr<data::Source> source_;
  std::string source_id_;
  std::string access_;  // of items whose source does not say
  std::optional<ChunkOptions> chunk_options_;  // if the source asks for its own
  std::string chunk_mark_;  // added to fingerprints, so that another chunking makes every document differ
  bool made_source_ = false;
  bool has_documents_ = false;  // false: what is listed is new, nobody need look
  bool resumed_ = false;  // after a kill or a rest
  SyncState state_;
  IngestReport report_;
  TimePoint rest_at_;

  std::string next_page_, new_cursor_;
  bool listed_all_ = false;
  std::int64_t listed_ = 0, done_ = 0;
  std::vector<std::uint64_t> seen_;  // of a whole listing
  bool must_look_ = false;           // counting does not say whether documents are absent
  std::size_t seen_kept_ = 0;        // how many of them are in the store
  std::int64_t seen_rows_ = 0;
  std::unordered_set<std::string> problem_ids_;
  std::vector<Pending> pending_;
  std::unordered_map<std::string, std::size_t> pending_at_;
  std::vector<std::pair<std::string, std::string>> relabel_;  // document, label
  std::vector<std::pair<std::string, std::string>> remove_;   // document, content hash
  std::vector<SourceProblem> unread_;                         // items that the listing itself says are left out
  std::vector<std::string> healed_;                           // problems that are none any more

  int troubles_ = 0;  // in a row
  std::size_t batch_limit_ = 8;
  TimePoint batch_begun_;
  std::unique_ptr<Batch> filling_, parsing_;
  std::deque<std::unique_ptr<Batch>> committing_;  // oldest first
  bool redo_ = false;  // one of them was written anew, and those after it may have to be
  std::unique_ptr<ThreadPool> pool_;  // last: joined before what its jobs use goes
};

}  // namespace tenfold::retrieval
