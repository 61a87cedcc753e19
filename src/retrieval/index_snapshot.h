#pragma once
/// \file Snapshots of indexes beside the store: an index that was written down is read back in a fraction of a second instead of being built from its rows.
///
/// A snapshot is of one commit; what changed since comes from the store's feed, so additions and other readers leave it as it is. The first time that something in it is taken away or replaced,
/// its file is removed, before that is done in memory: what is removed is nowhere in the folder once the write is acknowledged. A thread writes it anew when it has been quiet for a while.
/// Files: NAME.index; NAME.N.vectors, exact vectors that are searched where they lie (exact_vectors.h); NAME.writing. Nothing else in the folder is touched.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "data/store.h"
#include "retrieval/snapshot_file.h"

namespace tenfold::retrieval {

class SnapshotKeeper;

/// The snapshot of one index. Threads: all methods are safe.
class IndexSnapshot {
 public:
  /// Writes all sections and returns the commit they are of, holding changes off meanwhile. Nothing if there is nothing worth writing.
  using Save = std::function<std::optional<data::Commit>(SnapshotWriter&)>;

  IndexSnapshot(std::filesystem::path folder, std::string name, SnapshotKeeper& keeper) : folder_(std::move(folder)), name_(std::move(name)), keeper_(keeper) {}
  IndexSnapshot(const IndexSnapshot&) = delete;
  IndexSnapshot& operator=(const IndexSnapshot&) = delete;

  /// From now on it is of an index with these `settings`, and the keeper writes it by calling `save` on its thread.
  void Attach(std::string_view settings, Save save);
  /// After it `save` is not called any more: waits until a writing that has begun is done.
  void Detach();
  /// Reads it, if it is of this store's history and the index's settings. After Attach. `load` fills an index and throws what SnapshotReader throws. What cannot be used is told in one line of
  /// the log and removed. Returns the commit, or nothing: the index is to be loaded from the store.
  std::optional<data::Commit> Restore(data::History& history, const std::function<void(const SnapshotFile&)>& load);
  /// Before anything that may be in it is taken away or replaced, with the index's readers held off as for the change itself. Cheap if there is none.
  void Forget();
  /// `own` changes were made to the index, out of `all` that the store brought.
  void Changed(std::size_t own, std::size_t all);
  /// Its index is gone: its files are removed, and none is written any more.
  void Close();
  /// Whether there is a file to go on from.
  bool is_written() const { return is_written_.load(); }
  /// A place for a new file of vectors.
  std::filesystem::path NewVectorFile();
  /// While `load` runs: the place of a file that the snapshot is of as well. Errors: kDataLoss if that is no name of one.
  std::filesystem::path UseVectorFile(const std::string& name);

 private:
  friend class SnapshotKeeper;
  using Clock = std::chrono::steady_clock;
  std::filesystem::path File() const { return folder_ / (name_ + ".index"); }
  std::filesystem::path Writing() const { return folder_ / (name_ + ".writing"); }
  /// Whether the next start would have much to catch up on.
  bool IsBehind(std::size_t own, std::size_t all) const;
  bool IsWaiting();
  bool IsDue(Clock::time_point now, std::chrono::milliseconds quiet, std::chrono::milliseconds latest);
  bool IsWorthWritingAtTheEnd();
  /// What fails is logged and tried again later.
  void Write();
  void WriteWith(const Save& save);
  void RemoveVectorFiles(const std::set<std::string>& but);

  const std::filesystem::path folder_;
  const std::string name_;
  SnapshotKeeper& keeper_;

  std::mutex saving_;  // of the next two, held while it is written
  Save save_;
  std::uint64_t what_ = 0;

  std::mutex mutex_;   // of what follows
  std::atomic<bool> is_written_{false}, has_any_{false};  // has_any_: written or in the making
  bool is_in_the_making_ = false, is_closed_ = false;
  std::size_t own_ = 0, all_ = 0;  // changes that are not in the one that is written
  Clock::time_point first_change_{}, last_change_{};
  std::set<std::string> used_;
  std::uint64_t next_file_ = 0;
};

/// Keeps the snapshots of a folder. Threads: all methods are safe. Outlives the indexes that got a snapshot from it.
class SnapshotKeeper {
 public:
  struct Options {
    std::chrono::milliseconds quiet{30'000};    ///< without changes, before a snapshot is written
    std::chrono::milliseconds latest{300'000};  ///< so long after the first change it is written in any case
  };
  /// Makes the folder, with mode 0700. Errors: kPermissionDenied.
  explicit SnapshotKeeper(std::filesystem::path folder) : SnapshotKeeper(std::move(folder), Options()) {}
  SnapshotKeeper(std::filesystem::path folder, Options options);
  /// Ends the thread. Writes nothing.
  ~SnapshotKeeper();
  /// The snapshot of the index `name`, of a-z, 0-9 and '_'.
  std::shared_ptr<IndexSnapshot> Open(const std::string& name);
  /// Its index is gone for good. Nothing if it was not opened.
  void Remove(const std::string& name);
  /// Removes the files of indexes whose names begin with `prefix` and are not in `names`: of a program that ended before it did so.
  void KeepOnly(std::string_view prefix, const std::set<std::string>& names);
  /// Writes what is not written or not up to date, on the calling thread.
  void WriteNow();
  /// The same, and ends the thread: for a program that ends, when nothing changes any more.
  void Finish();
  /// A snapshot has become worth writing.
  void Notice();
  /// Of the store that the folder belongs to; 0: no index was restored or loaded yet, and nothing is written.
  std::uint64_t epoch() const { return epoch_.load(); }
  void set_epoch(std::uint64_t epoch) { epoch_.store(epoch); }

 private:
  void Work();
  std::vector<std::shared_ptr<IndexSnapshot>> Snapshots();

  const std::filesystem::path folder_;
  const Options options_;
  std::atomic<std::uint64_t> epoch_{0};
  std::mutex mutex_;
  std::condition_variable noticed_;
  std::map<std::string, std::weak_ptr<IndexSnapshot>> snapshots_;
  bool has_news_ = false, is_ending_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace tenfold::retrieval
