#pragma once
/// \file The bytes documents were made of, in an object store: opened by readers, parsed again without their source, gone when no document needs them.
#include <functional>
#include <shared_mutex>
#include <span>
#include <string>

#include "data/object_store.h"
#include "data/store.h"
#include "workflows/run.h"

namespace tenfold::retrieval {

/// Threads: safe from any thread. The store and the objects must outlive it.
class Originals {
 public:
  Originals(data::Store& store, data::ObjectStore& objects) : store_(store), objects_(objects) {}
  /// Keeps `bytes`, then lets `write` commit the document that names them; nothing is forgotten in between. Returns their id.
  std::string Keep(const Context& ctx, std::string_view bytes, const std::function<void(const std::string& id)>& write);
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
  std::shared_mutex mutex_;  // shared: an object is kept and not yet named
};

/// The run function of kind "collect". Output {"removed"}.
workflows::RunFunction MakeCollect(Originals& originals);

}  // namespace tenfold::retrieval
