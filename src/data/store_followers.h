#pragma once
/// \file Brings a store's followers up to date with each batch of writes, beside the writer.
//
//   writer     | batch 1: SQL, commit | batch 2: SQL, commit | batch 3 …
//   followers                         | batch 1: Apply, ack  | batch 2: Apply, ack | …
//
// A follower reads through a snapshot that was opened between the commit of its batch and the next, so that it sees that commit and no other. Batches are followed, and
// their writers told, in the order of their commits. A small batch that finds nothing before it is followed on the writer's thread: the way to another costs more.
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "data/sqlite_connection.h"
#include "data/sqlite_database.h"
#include "data/store.h"

namespace tenfold::data {

/// What the writer leaves of a batch once it is durable, or has failed.
struct WrittenBatch {
  Commit commit = 0;
  std::vector<Change> changes;  ///< none: there is nothing to follow, only to acknowledge
  WrittenRows rows;
  std::vector<Follower*> followers;  ///< as they were when it was written
  std::function<void()> acknowledge;
};

/// Threads: Take and WaitUntilIdle are called by the writer alone. A follower that throws ends the program: it must not serve what may be forbidden by now.
class StoreFollowing {
 public:
  StoreFollowing(const std::string& path, const std::vector<Table>& tables, Database& writer);
  /// Follows and acknowledges what it has taken.
  ~StoreFollowing();
  StoreFollowing(const StoreFollowing&) = delete;
  StoreFollowing& operator=(const StoreFollowing&) = delete;

  /// Right after its commit, before the next write begins. Waits while kMostWaiting batches are not followed yet.
  void Take(WrittenBatch batch);
  /// Until everything taken is followed: the followers may be touched, and no snapshot of theirs holds the log.
  void WaitUntilIdle();

 private:
  /// A handle of the followers' own, and how rows are read through it.
  struct Snapshot {
    Snapshot(const std::string& path, const std::vector<Table>& tables) : db(path, false), connection(db, tables) {}
    Database db;
    SqliteConnection connection;
  };
  struct Taken {
    WrittenBatch batch;
    std::unique_ptr<Snapshot> snapshot;
  };
  static constexpr std::size_t kMostWaiting = 2;  // one at work, one ready: more would only hold more rows
  static constexpr std::size_t kFewChanges = 32;

  void Loop();
  static void Follow(WrittenBatch& batch, Database& db, SqliteConnection& connection);
  std::unique_ptr<Snapshot> OpenSnapshot();

  const std::string path_;
  const std::vector<Table>& tables_;
  Database& writer_;
  SqliteConnection on_writer_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Taken> taken_;  // the first is at work
  std::vector<std::unique_ptr<Snapshot>> free_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tenfold::data
