#include "data/store_followers.h"

#include <pthread.h>

#include "base/log.h"

namespace tenfold::data {

StoreFollowing::StoreFollowing(const std::string& path, const std::vector<Table>& tables, Database& writer)
    : path_(path), tables_(tables), writer_(writer), on_writer_(writer, tables), thread_([this] { Loop(); }) {
  pthread_setname_np(thread_.native_handle(), "store followers");
}

StoreFollowing::~StoreFollowing() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void StoreFollowing::Take(WrittenBatch batch) {
  const bool nothing = batch.changes.empty() || batch.followers.empty();
  {
    std::unique_lock lock(mutex_);
    if (taken_.empty() && (nothing || batch.changes.size() <= kFewChanges)) {
      lock.unlock();
      if (!nothing) Follow(batch, writer_, on_writer_);
      return batch.acknowledge();
    }
    changed_.wait(lock, [&] { return taken_.size() < kMostWaiting; });
  }
  auto snapshot = nothing ? nullptr : OpenSnapshot();
  if (!nothing && !snapshot) {
    WaitUntilIdle();
    Follow(batch, writer_, on_writer_);
    return batch.acknowledge();
  }
  const std::lock_guard lock(mutex_);
  taken_.push_back({std::move(batch), std::move(snapshot)});
  changed_.notify_all();
}

void StoreFollowing::WaitUntilIdle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return taken_.empty(); });
}

std::unique_ptr<StoreFollowing::Snapshot> StoreFollowing::OpenSnapshot() {
  std::unique_ptr<Snapshot> out;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      out = std::move(free_.back());
      free_.pop_back();
    }
  }
  try {
    if (!out) out = std::make_unique<Snapshot>(path_, tables_);
    out->db.Execute("BEGIN");
    out->db.QueryNumber("SELECT value FROM tenfold_meta WHERE name='commit'");  // the snapshot begins with the first read
    return out;
  } catch (const Error& e) {  // no file handle left, say: the writer's own sees the same commit as long as it waits
    Log(LogLevel::kWarning, "followers have no snapshot of their own, the writer waits for them", {{"error", e.message()}});
    return nullptr;
  }
}

void StoreFollowing::Follow(WrittenBatch& batch, Database& db, SqliteConnection& connection) {
  const bool inside = sqlite3_get_autocommit(db.handle()) == 0;
  if (!inside) db.Execute("BEGIN");  // one transaction for all it reads
  connection.set_written(&batch.rows);
  ReadTx tx(connection, batch.commit);
  for (auto* follower : batch.followers) {
    try {
      follower->Apply(batch.changes, tx);
    } catch (const std::exception& e) {
      // The commit stands; a follower that cannot follow must not serve what may be forbidden by now.
      Log(LogLevel::kError, "follower failed", {{"follower", follower->name()}, {"error", e.what()}});
      TENFOLD_CHECK(!"a follower lost its place");
    }
  }
  connection.set_written(nullptr);
  db.Execute("COMMIT");
}

void StoreFollowing::Loop() {
  for (;;) {
    Taken* now = nullptr;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !taken_.empty(); });
      if (taken_.empty()) return;
      now = &taken_.front();  // a deque's elements stay where they are
    }
    if (now->snapshot) Follow(now->batch, now->snapshot->db, now->snapshot->connection);
    now->batch.acknowledge();
    const std::lock_guard lock(mutex_);
    if (now->snapshot) free_.push_back(std::move(now->snapshot));
    taken_.pop_front();
    changed_.notify_all();
  }
}

}  // namespace tenfold::data
