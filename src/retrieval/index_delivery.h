#pragma once
/// \file Brings what was committed to the engines of generations that are searched outside this program: at least once, in the order of commits, also after a crash.
///
/// The outbox is the store's own feed of changes, written in the commit it speaks of. How far an engine has got is a row of its own, written after the engine has acknowledged. A change names a
/// row, and what is sent is that row as it is now, so sending it twice does no harm and a row that changed again meanwhile is never set back.
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/context.h"
#include "data/store.h"
#include "retrieval/engine_index.h"

namespace tenfold::retrieval {

/// How far the engine of a generation has got. Stays when the generation is removed, until its records are removed from the engine too.
struct IndexCursor {
  std::string generation;
  std::string url;
  std::string name_space;
  std::int64_t dim = 0;
  std::int64_t commit = 0;   ///< it has everything up to here, but for what a whole pass has not reached
  bool whole = true;         ///< a pass over all passages is under way: the first, or one after the feed was trimmed
  std::string after = {};    ///< the last passage of it that was sent
  std::int64_t refused = 0;  ///< records that the engine does not take, such as ones with too much metadata: they are not found
  std::string refusal = {};  ///< why, of the last one
};
TENFOLD_DESCRIBE(IndexCursor, (generation), (url), (name_space), (dim), (commit), (whole), (after), (refused), (refusal))
TENFOLD_TABLE(IndexCursor, "index_cursors", generation)

/// Follows the store only to hear of commits; the work is done on a thread of its own. Threads: all methods are safe.
/// Cost: a passage that was written is read once more from the store. An engine that fails is tried again after 0.25 s, then twice as long, up to 30 s; meanwhile changes wait in the store.
class IndexDelivery : public data::Follower {
 public:
  struct Parts {
    /// Those that are to be kept up to date now.
    std::function<std::vector<std::shared_ptr<EngineIndex>>()> engines;
    /// Opens an engine whose generation is gone, to take its records away.
    std::function<std::shared_ptr<SearchIndex>(const Context& ctx, const std::string& url, std::size_t dim)> open;
  };
  /// Call store.Follow with it, then Start.
  IndexDelivery(data::Store& store, Parts parts);
  ~IndexDelivery() override;
  void Start();
  /// Waits at most `drain` for engines that answer to have everything, then ends the thread. To be called while the store is there.
  void Stop(std::chrono::milliseconds drain = std::chrono::milliseconds(0));

  std::string name() const override { return "index delivery"; }
  void Load(data::ReadTx&) override {}
  void Apply(std::span<const data::Change> changes, data::ReadTx& tx) override;

 private:
  struct Retry {
    std::chrono::steady_clock::time_point at{};
    std::chrono::milliseconds pause{0};
  };
  void Work();
  /// False if it failed.
  bool Deliver(EngineIndex& engine);
  /// A part of what the engine lacks; false if that is nothing.
  bool SendPart(EngineIndex& engine, SearchIndex& index, IndexCursor& cursor);
  bool SendChanges(EngineIndex& engine, SearchIndex& index, IndexCursor& cursor);
  void SendPage(EngineIndex& engine, SearchIndex& index, IndexCursor& cursor);
  /// The passages as they are now; those that are gone are deleted.
  void Send(SearchIndex& index, IndexCursor& cursor, const std::vector<std::string>& chunks);
  void Write(SearchIndex& index, IndexCursor& cursor, std::span<const IndexChange> changes);
  IndexCursor& CursorOf(const EngineIndex& engine);
  void Save(const IndexCursor& cursor);
  /// Takes the records of generations that are gone out of their engines. False if that failed.
  bool TakeAwayRemoved();
  Context OneCall() const;

  data::Store& store_;
  const Parts parts_;
  const std::shared_ptr<Cancellation> cancellation_ = std::make_shared<Cancellation>();
  std::mutex mutex_;
  std::condition_variable woken_;
  bool has_news_ = true;     // guarded by mutex_, as the next two
  bool is_idle_ = false;     // all that can be delivered is
  bool stopping_ = false;
  std::map<std::string, IndexCursor> cursors_;  // of the thread, as the next two
  std::map<std::string, data::Commit> saved_;
  std::map<std::string, Retry> retries_;
  std::thread thread_;
};

}  // namespace tenfold::retrieval
