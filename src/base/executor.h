#pragma once
/// \file Named, bounded thread pools. The one door for work that is long or blocks.
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tenfold {

/// `threads` workers over a queue of at most `capacity` jobs. Threads: safe from any thread.
class ThreadPool {
 public:
  ThreadPool(std::string name, std::size_t threads, std::size_t capacity);
  /// Runs what is queued, then joins.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  /// Never waits. Errors: kResourceExhausted when the queue is full or the pool stops. An exception that leaves `job` is counted and logged.
  void Submit(std::function<void()> job);
  std::size_t queued() const;

 private:
  void Work();
  const std::string name_;
  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tenfold
