#pragma once
/// \file The bytes documents were made of, in an object store: opened by readers, parsed again without their source, gone when no document needs them.
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/object_store.h"
#include "data/store.h"
#include "workflows/run.h"

namespace tenfold::retrieval {

/// Threads: safe from any thread. The store and the objects must outlive it.
class Originals {
 public:
  Originals(data::Store& store, data::ObjectStore& objects) : store_(store), objects_(objects) {}
  /// Objects that no document names yet. While it lives, Forget() and Collect() leave them; the Originals must outlive it.
  class Held {
   public:
    Held(Originals& originals, std::vector<std::string> ids);
    ~Held();
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

   private:
    Originals& originals_;
    const std::vector<std::string> ids_;
  };
  /// Keeps each of `bytes` under its SHA-256; durable when it returns. Commit the documents that name them before `Held` goes.
  std::unique_ptr<Held> Keep(const Context& ctx, std::span<const std::string_view> bytes);
  bool Has(const Context& ctx, std::string_view id) { return objects_.SizeOf(ctx, id).has_value(); }
  /// Errors: kNotFound, kDataLoss.
  std::string Get(const Context& ctx, std::string_view id);
  /// Removes those of `ids` that no document names any more.
  void Forget(const Context& ctx, std::span<const std::string> ids);
  /// Removes every object that no document names: what a crash between a commit and Forget() left. Returns how many.
  std::int64_t Collect(const Context& ctx);

 private:
  data::Store& store_;
  data::ObjectStore& objects_;
  /// Whether it went.
  bool ForgetOne(const Context& ctx, const std::string& id);
  std::mutex mutex_;  // held while one object is looked up and removed
  std::map<std::string, int> held_;
};

/// The run function of kind "collect". Output {"removed"}.
workflows::RunFunction MakeCollect(Originals& originals);

}  // namespace tenfold::retrieval
