#pragma once
/// \file Collections: search indexes by name that live in the store, for whoever brings records of their own (the clients of Pinecone, OpenAI's vector stores).
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "data/store.h"
#include "retrieval/index_snapshot.h"
#include "retrieval/search_index.h"

namespace tenfold::retrieval {

struct Collection {
  std::string name = {};           ///< 1..64 of a-z, 0-9, '-' and '_'; begins and ends with a letter or digit
  std::int64_t dim = 0;            ///< 0..4,096; 0: words alone, until Configure sets it
  Metric metric = Metric::kCosine;
  std::string owner = {};          ///< who created it
  std::string readers = {};        ///< labels that may search it, as in Principal::MayRead; its owner and administrators may anyway
  std::string embedder = {};       ///< the model that makes its vectors of texts, empty if its users bring theirs
  JsonObject attributes = {};      ///< what the protocol that made it keeps with it; at most 64 KB
  bool deletion_protected = false;
  std::int64_t created_us = 0;
};
TENFOLD_DESCRIBE(Collection, (name), (dim), (metric), (owner), (readers), (embedder), (attributes), (deletion_protected), (created_us))
TENFOLD_TABLE(Collection, "collections", name)

/// In a record's access: whoever may read its collection, whatever its readers become.
inline constexpr std::string_view kCollectionReaders = "collection:readers";

/// A record as the store keeps it.
struct CollectionRecord {
  std::string key;         ///< collection, namespace and id with line feeds between: in order of namespace and id
  std::string collection;
  std::string group;
  std::string access;
  std::string title, heading, text;
  std::vector<float> vector;
  JsonObject metadata;
};
TENFOLD_DESCRIBE(CollectionRecord, (key), (collection), (group), (access), (title), (heading), (text), (vector), (metadata))
TENFOLD_TABLE(CollectionRecord, "collection_records", key, {"collection"}, {{"collections", "collection"}})

/// Threads: all methods are safe. One per store, which it follows: what was written is found when the write returns, and after a crash it is what the store says.
/// Rights: what a caller may not read does not exist for them (nothing, or kNotFound). Creating one needs the role agent; changing one or its records its owner or an
/// administrator (kPermissionDenied for a mere reader).
/// Cost: a namespace is a few hundred bytes beside its records, so that ten thousand small tenants cost little more than what they hold.
class Collections : public data::Follower {
 public:
  static constexpr std::size_t kMaxCollections = 10'000;
  static std::vector<data::Table> Tables() { return {data::TableOf<Collection>(), data::TableOf<CollectionRecord>()}; }

  /// Call store.Follow with it before anything else. With `snapshots` all records' indexes are written there together now and then, and restored from there.
  explicit Collections(data::Store& store, SnapshotKeeper* snapshots = nullptr);
  ~Collections() override;
  /// Fills in owner and created_us. Errors: kAlreadyExists, kInvalidArgument, kPermissionDenied, kResourceExhausted (kMaxCollections).
  Collection Create(const Context& ctx, Collection collection);
  std::optional<Collection> Find(const Context& ctx, std::string_view name) const;
  std::vector<Collection> List(const Context& ctx) const;  ///< by name
  /// `change` alters readers, attributes and deletion_protected of the row as it is, and once a dim of 0, so that a collection's first vector may decide it. Errors: kNotFound, kPermissionDenied, kInvalidArgument.
  Collection Configure(const Context& ctx, std::string_view name, const std::function<void(Collection&)>& change);
  /// With all its records, in one commit. Errors: kNotFound, kPermissionDenied, kFailedPrecondition (deletion_protected).
  void Delete(const Context& ctx, std::string_view name);
  /// Its records. A Write is one commit. Once the collection is deleted every call throws kNotFound. Errors: kNotFound if the caller may not read the collection; the
  /// index given out asks only what a SearchIndex asks, record by record.
  std::shared_ptr<SearchIndex> Open(const Context& ctx, std::string_view name);

  /// Inside a write of the caller's, so that it is one commit with what goes with it: removes the records whose ids begin with `prefix`; nothing if there is no such collection.
  /// Errors: kPermissionDenied.
  static void RemoveRecords(const Context& ctx, data::WriteTx& tx, std::string_view name, std::string_view name_space, std::string_view prefix);

  std::string name() const override { return "collections"; }
  std::optional<data::Commit> Restore(data::History& history, data::ReadTx& tx) override;
  void Load(data::ReadTx& tx) override;
  void Apply(std::span<const data::Change> changes, data::ReadTx& tx) override;

 private:
  struct Entry;
  class Index;
  std::shared_ptr<Entry> FindEntry(std::string_view name) const;
  void Fill(Entry& entry, data::ReadTx& tx) const;  // with the entry's lock held
  /// With the entry's lock held: all its records are taken away.
  void Clear(Entry& entry) const;
  std::shared_ptr<Entry> NewEntry(Collection row) const;
  std::optional<data::Commit> Save(SnapshotWriter& to) const;
  static std::map<std::string, std::shared_ptr<Entry>, std::less<>> Read(SnapshotReader& from, const std::shared_ptr<IndexSnapshot>& snapshot);

  data::Store& store_;
  const std::shared_ptr<IndexSnapshot> snapshot_;  // may be null
  mutable std::shared_mutex applying_;             // held while changes are applied, and shared while all is saved
  data::Commit commit_ = 0;                        // guarded by applying_
  mutable std::shared_mutex mutex_;
  std::map<std::string, std::shared_ptr<Entry>, std::less<>> entries_;  // guarded by mutex_
};

}  // namespace tenfold::retrieval
