#pragma once
/// \file The bytes documents were made of: opened by readers, gone with the last document that needs them. Small ones are rows of the store, written and removed
/// with their document; large ones lie in an object store.
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/object_store.h"
#include "data/store.h"
#include "retrieval/document.h"
#include "workflows/run.h"

namespace tenfold::retrieval {

// A file costs the disk some 0.5 ms to make and to make durable, a row of this size nothing beside its document's passages (ingest_bench).
inline constexpr std::size_t kMaxSmallOriginal = 64u << 10;

struct SmallOriginal {
  std::string document;
  std::vector<std::int8_t> bytes;
};
TENFOLD_DESCRIBE(SmallOriginal, (document), (bytes))
TENFOLD_TABLE(SmallOriginal, "small_originals", document, {}, {{"documents", "document"}})

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
  /// Keeps the large ones of `bytes` under their SHA-256; durable when it returns. Commit the documents that name them before `Held` goes.
  std::unique_ptr<Held> Keep(const Context& ctx, std::span<const std::string_view> bytes);
  /// Puts a small one beside its document; nothing for a large one, which is kept before.
  static void PutSmall(data::WriteTx& tx, const std::string& document, std::string_view bytes);
  bool Has(data::ReadTx& tx, const std::string& document, std::string_view content_hash);
  /// Errors: kNotFound, kDataLoss.
  std::string Get(const Context& ctx, const Document& document);
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

/// Compares every small original with its document's hash. Errors: kDataLoss with the first that differs.
void CheckSmallOriginals(const Context& ctx, data::Store& store);

/// The run function of kind "collect". Output {"removed"}.
workflows::RunFunction MakeCollect(Originals& originals);

}  // namespace tenfold::retrieval
