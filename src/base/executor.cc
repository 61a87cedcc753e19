#include "base/executor.h"

#include <pthread.h>

#include "base/error.h"
#include "base/log.h"

namespace tenfold {

ThreadPool::ThreadPool(std::string name, std::size_t threads, std::size_t capacity) : name_(std::move(name)), capacity_(capacity) {
  for (std::size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Work(); });
    pthread_setname_np(threads_.back().native_handle(), name_.substr(0, 15).c_str());
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void ThreadPool::Submit(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || queue_.size() >= capacity_)
      throw Error(Code::kResourceExhausted, "pool '" + name_ + "' has " + std::to_string(queue_.size()) + " jobs waiting, limit " + std::to_string(capacity_));
    queue_.push_back(std::move(job));
  }
  ready_.notify_one();
}

std::size_t ThreadPool::queued() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

void ThreadPool::Work() {
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    try {
      job();
    } catch (const std::exception& e) {
      Log(LogLevel::kError, "job failed", {{"pool", name_}, {"error", e.what()}});
    }
  }
}

}  // namespace tenfold
