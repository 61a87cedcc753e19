#include "retrieval/collections.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "retrieval/index_shard.h"
#include "retrieval/vector_index.h"

namespace tenfold::retrieval {
namespace {

constexpr std::int64_t kMaxDim = VectorIndex::kMaxDim;
constexpr std::size_t kMaxNameBytes = 64, kMaxNamespaceBytes = 512, kMaxAttributeBytes = 64 << 10, kMaxAccessBytes = 4096;
constexpr std::size_t kPage = 4096;

bool IsAdmin(const Principal& who) { return who.role == Role::kAdmin; }
bool MayRead(const Principal& who, const Collection& collection) { return IsAdmin(who) || (!who.user.empty() && who.user == collection.owner) || who.MayRead(collection.readers); }
bool MayWrite(const Principal& who, const Collection& collection) { return IsAdmin(who) || (!who.user.empty() && who.user == collection.owner) || who.user.starts_with("system:"); }

void CheckMayWrite(const Context& ctx, const Collection& collection) {
  if (!MayWrite(ctx.principal(), collection)) throw Error(Code::kPermissionDenied, "collection '" + collection.name + "' is changed by its owner and by administrators only");
}

[[noreturn]] void ThrowNotFound(std::string_view name) { throw Error(Code::kNotFound, "there is no collection '" + std::string(name) + "'"); }

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

void CheckAccess(std::string_view access, const char* field) {
  if (access.size() > kMaxAccessBytes) throw Error(Code::kInvalidArgument, std::string(field) + ": has more than " + std::to_string(kMaxAccessBytes) + " bytes", field);
  if (HasControl(access)) throw Error(Code::kInvalidArgument, std::string(field) + ": holds a control character", field);
}

void CheckNamespace(std::string_view name) {
  if (name.size() > kMaxNamespaceBytes) throw Error(Code::kInvalidArgument, "namespace: has more than " + std::to_string(kMaxNamespaceBytes) + " bytes", "namespace");
  if (HasControl(name)) throw Error(Code::kInvalidArgument, "namespace: holds a control character", "namespace");
}

void CheckCollection(const Collection& collection) {
  const auto& name = collection.name;
  const auto is_end = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (name.empty() || name.size() > kMaxNameBytes || !is_end(name.front()) || !is_end(name.back()) || !std::all_of(name.begin(), name.end(), [&](char c) { return is_end(c) || c == '-' || c == '_'; }))
    throw Error(Code::kInvalidArgument, "name: is 1 to 64 of a-z, 0-9, '-' and '_', and begins and ends with a letter or digit", "name");
  if (collection.dim < 0 || collection.dim > kMaxDim) throw Error(Code::kInvalidArgument, "dimension: is 0 to " + std::to_string(kMaxDim), "dimension");
  CheckAccess(collection.readers, "readers");
  if (ToText(collection.attributes).size() > kMaxAttributeBytes) throw Error(Code::kInvalidArgument, "attributes: have more than 64 KB", "attributes");
}

std::string PrefixOf(std::string_view collection, std::string_view name_space) { return std::string(collection) + "\n" + std::string(name_space) + "\n"; }

struct KeyParts {
  std::string_view collection, name_space, id;
};
KeyParts PartsOf(std::string_view key) {
  const auto first = key.find('\n'), second = key.find('\n', first + 1);
  return {key.substr(0, first), key.substr(first + 1, second - first - 1), key.substr(second + 1)};
}

IndexRecord RecordOf(CollectionRecord&& row) {
  return {std::string(PartsOf(row.key).id), std::move(row.group), std::move(row.access), std::move(row.title), std::move(row.heading), std::move(row.text), std::move(row.vector), std::move(row.metadata)};
}

/// The reader as the collection's records know them.
Principal Reading(const Principal& reader, const Collection& collection) {
  auto out = reader;
  if (MayRead(reader, collection)) out.labels.emplace_back(kCollectionReaders);
  return out;
}

/// Rows whose keys begin with `prefix`, after `after`, page by page while `visit` is true.
template <class F>
void ForEachRow(data::ReadTx& tx, std::string prefix, std::string after, F&& visit) {
  const auto at_least = std::max(prefix, after);
  data::Query query{{{"key", at_least == after && !after.empty() ? data::Compare::kGreater : data::Compare::kGreaterOrEqual, data::Value(at_least)}}, "", false, kPage};
  for (;;) {
    auto rows = tx.Find<CollectionRecord>(query);
    const bool is_last = rows.size() < kPage;
    if (!is_last) query.where[0] = {"key", data::Compare::kGreater, data::Value(rows.back().key)};
    for (auto& row : rows)
      if (!row.key.starts_with(prefix) || !visit(std::move(row))) return;
    if (is_last) return;
  }
}

}  // namespace

struct Collections::Entry {
  explicit Entry(std::shared_ptr<IndexSnapshot> kept) : snapshot(std::move(kept)) {}
  const std::shared_ptr<IndexSnapshot> snapshot;         // may be null
  mutable std::shared_mutex mutex;
  Collection row;                                        // guarded by mutex
  std::map<std::string, IndexShard, std::less<>> spaces;  // guarded by mutex
  bool is_deleted = false;                               // guarded by mutex

  IndexShard& Space(std::string_view name) {
    const auto found = spaces.find(name);
    if (found != spaces.end()) return found->second;
    IndexShard made(static_cast<std::size_t>(row.dim), row.metric);
    made.SetSnapshot(snapshot);
    return spaces.emplace(std::string(name), std::move(made)).first->second;
  }
  void Remove(std::string_view name, std::string_view id) {
    const auto found = spaces.find(name);
    if (found != spaces.end() && found->second.Remove(id) && found->second.records() == 0) spaces.erase(found);
  }
};

/// The view of one collection that Open gives out.
class Collections::Index : public SearchIndex {
 public:
  Index(data::Store& store, std::shared_ptr<Entry> entry, const Collection& row) : store_(store), entry_(std::move(entry)), name_(row.name), dim_(static_cast<std::size_t>(row.dim)), metric_(row.metric) {}
  std::size_t dim() const override { return dim_; }
  Metric metric() const override { return metric_; }

  void Write(const Context& ctx, std::string_view name_space, std::span<const IndexChange> changes) override {
    CheckNamespace(name_space);
    CheckChanges(changes, dim_, metric_);
    for (std::size_t i = 0; i < changes.size(); ++i) CheckAccess(changes[i].record.access, "access");
    const auto prefix = PrefixOf(name_, name_space);
    store_.Write(ctx, [&](data::WriteTx& tx) {
      CheckMayWrite(ctx, Row(tx));
      for (const auto& change : changes) Put(tx, prefix, change);
    });
  }

  IndexResult Search(const Context& ctx, std::string_view name_space, const IndexQuery& query) override {
    ctx.Check();
    CheckQuery(query, dim_);
    const std::shared_lock lock(entry_->mutex);
    CheckIsThere();
    const auto found = entry_->spaces.find(name_space);
    if (found == entry_->spaces.end()) return {};
    return found->second.Search(Reading(ctx.principal(), entry_->row), query);
  }

  std::vector<IndexRecord> Fetch(const Context& ctx, std::string_view name_space, std::span<const std::string> ids) override {
    const auto prefix = PrefixOf(name_, name_space);
    return store_.Read(ctx, [&](data::ReadTx& tx) {
      const auto reader = Reading(ctx.principal(), Row(tx));
      std::vector<IndexRecord> out;
      for (const auto& id : ids)
        if (auto row = tx.Get<CollectionRecord>(prefix + id); row && reader.MayRead(row->access)) out.push_back(RecordOf(std::move(*row)));
      return out;
    });
  }

  std::vector<std::string> List(const Context& ctx, std::string_view name_space, std::string_view prefix, std::string_view after, std::size_t limit) override {
    const auto space = PrefixOf(name_, name_space);
    return store_.Read(ctx, [&](data::ReadTx& tx) {
      const auto reader = Reading(ctx.principal(), Row(tx));
      std::vector<std::string> out;
      if (limit == 0) return out;
      ForEachRow(tx, space + std::string(prefix), after.empty() ? "" : space + std::string(after), [&](CollectionRecord&& row) {
        if (reader.MayRead(row.access)) out.emplace_back(PartsOf(row.key).id);
        return out.size() < limit;
      });
      return out;
    });
  }

  std::vector<NamespaceInfo> Namespaces(const Context& ctx) override {
    ctx.Check();
    const std::shared_lock lock(entry_->mutex);
    CheckIsThere();
    const auto reader = Reading(ctx.principal(), entry_->row);
    std::vector<NamespaceInfo> out;
    for (const auto& [name, shard] : entry_->spaces)
      if (const auto records = shard.Count(reader, {}); records > 0) out.push_back({name, static_cast<std::int64_t>(records)});
    return out;
  }

  void DeleteNamespace(const Context& ctx, std::string_view name_space) override {
    CheckNamespace(name_space);
    store_.Write(ctx, [&](data::WriteTx& tx) {
      Row(tx);
      RemoveRecords(ctx, tx, name_, name_space, "");
    });
  }

 private:
  /// Errors: kNotFound.
  Collection Row(data::ReadTx& tx) const {
    auto row = tx.Get<Collection>(name_);
    if (!row) ThrowNotFound(name_);
    return std::move(*row);
  }
  void CheckIsThere() const {  // with the entry's lock held
    if (entry_->is_deleted) ThrowNotFound(name_);
  }

  void Put(data::WriteTx& tx, const std::string& prefix, const IndexChange& change) const {
    using Kind = IndexChange::Kind;
    const auto key = prefix + change.record.id;
    const auto& record = change.record;
    if (change.kind == Kind::kDelete) {
      tx.Delete<CollectionRecord>(key);
    } else if (change.kind == Kind::kPut) {
      tx.Put(RowOf(key, record));
    } else if (auto row = tx.Get<CollectionRecord>(key)) {
      IndexChange whole{Kind::kPut, RecordOf(std::move(*row))};
      ApplyPart(change, whole.record);
      CheckChanges({&whole, 1}, dim_, metric_);  // the sum of two may be too large
      tx.Put(RowOf(key, whole.record));
    }
  }
  CollectionRecord RowOf(const std::string& key, const IndexRecord& record) const {
    return {key, name_, record.group, record.access, record.title, record.heading, record.text, record.vector, record.metadata};
  }

  data::Store& store_;
  const std::shared_ptr<Entry> entry_;
  const std::string name_;
  const std::size_t dim_;
  const Metric metric_;
};

Collections::Collections(data::Store& store, SnapshotKeeper* snapshots) : store_(store), snapshot_(snapshots ? snapshots->Open("collections") : nullptr) {
  if (snapshot_) snapshot_->Attach("collections", [this](SnapshotWriter& to) { return Save(to); });
}

Collections::~Collections() {
  if (snapshot_) snapshot_->Detach();
}

std::shared_ptr<Collections::Entry> Collections::FindEntry(std::string_view name) const {
  const std::shared_lock lock(mutex_);
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : found->second;
}

Collection Collections::Create(const Context& ctx, Collection collection) {
  if (ctx.principal().role < Role::kAgent && !ctx.is_system()) throw Error(Code::kPermissionDenied, "creating a collection needs the role agent");
  CheckCollection(collection);
  collection.owner = ctx.principal().user;
  collection.created_us = ToMicros(ctx.clock().Now());
  store_.Write(ctx, [&](data::WriteTx& tx) {
    if (tx.Get<Collection>(collection.name)) throw Error(Code::kAlreadyExists, "there is a collection '" + collection.name + "' already", "name");
    if (tx.Count<Collection>() >= static_cast<std::int64_t>(kMaxCollections)) throw Error(Code::kResourceExhausted, "there are " + std::to_string(kMaxCollections) + " collections, the limit; use namespaces for tenants");
    tx.Put(collection);
  });
  return collection;
}

std::optional<Collection> Collections::Find(const Context& ctx, std::string_view name) const {
  const auto entry = FindEntry(name);
  if (!entry) return std::nullopt;
  const std::shared_lock lock(entry->mutex);
  return MayRead(ctx.principal(), entry->row) ? std::optional(entry->row) : std::nullopt;
}

std::vector<Collection> Collections::List(const Context& ctx) const {
  // Nobody waits for an entry with mutex_ held: Apply takes mutex_ with entries held.
  std::vector<std::shared_ptr<Entry>> entries;
  {
    const std::shared_lock lock(mutex_);
    for (const auto& [name, entry] : entries_) entries.push_back(entry);
  }
  std::vector<Collection> out;
  for (const auto& entry : entries) {
    const std::shared_lock lock(entry->mutex);
    if (!entry->is_deleted && MayRead(ctx.principal(), entry->row)) out.push_back(entry->row);
  }
  return out;
}

Collection Collections::Configure(const Context& ctx, std::string_view name, const std::function<void(Collection&)>& change) {
  Collection out;
  store_.Write(ctx, [&](data::WriteTx& tx) {
    const auto row = tx.Get<Collection>(name);
    if (!row || !MayRead(ctx.principal(), *row)) ThrowNotFound(name);
    CheckMayWrite(ctx, *row);
    auto changed = *row;
    change(changed);
    out = *row;
    out.readers = changed.readers;
    out.attributes = changed.attributes;
    out.deletion_protected = changed.deletion_protected;
    if (row->dim == 0) out.dim = changed.dim;
    CheckCollection(out);
    tx.Put(out);
  });
  return out;
}

void Collections::Delete(const Context& ctx, std::string_view name) {
  store_.Write(ctx, [&](data::WriteTx& tx) {
    const auto row = tx.Get<Collection>(name);
    if (!row || !MayRead(ctx.principal(), *row)) ThrowNotFound(name);
    CheckMayWrite(ctx, *row);
    if (row->deletion_protected) throw Error(Code::kFailedPrecondition, "collection '" + row->name + "' is protected from deletion; switch that off first");
    tx.Delete<Collection>(name);
  });
}

void Collections::RemoveRecords(const Context& ctx, data::WriteTx& tx, std::string_view name, std::string_view name_space, std::string_view prefix) {
  const auto row = tx.Get<Collection>(name);
  if (!row) return;
  CheckMayWrite(ctx, *row);
  ForEachRow(tx, PrefixOf(name, name_space) + std::string(prefix), "", [&](CollectionRecord&& record) { return tx.Delete<CollectionRecord>(record.key), true; });
}

std::shared_ptr<SearchIndex> Collections::Open(const Context& ctx, std::string_view name) {
  auto entry = FindEntry(name);
  if (!entry) ThrowNotFound(name);
  const std::shared_lock lock(entry->mutex);
  if (!MayRead(ctx.principal(), entry->row)) ThrowNotFound(name);
  return std::make_shared<Index>(store_, entry, entry->row);
}

std::shared_ptr<Collections::Entry> Collections::NewEntry(Collection row) const {
  auto out = std::make_shared<Entry>(snapshot_);
  out->row = std::move(row);
  return out;
}

void Collections::Clear(Entry& entry) const {
  if (snapshot_ && !entry.spaces.empty()) snapshot_->Forget();
  entry.spaces.clear();
}

void Collections::Fill(Entry& entry, data::ReadTx& tx) const {
  Clear(entry);
  ForEachRow(tx, entry.row.name + "\n", "", [&entry](CollectionRecord&& row) {
    const auto space = std::string(PartsOf(row.key).name_space);
    entry.Space(space).Put(RecordOf(std::move(row)));
    return true;
  });
}

void Collections::Load(data::ReadTx& tx) {
  const std::unique_lock applying(applying_);
  const std::unique_lock lock(mutex_);
  for (auto& row : tx.Find<Collection>()) entries_.emplace(row.name, NewEntry(row));
  std::size_t records = 0;
  for (auto& [name, entry] : entries_) {
    const std::unique_lock entry_lock(entry->mutex);
    Fill(*entry, tx);
    for (const auto& [space, shard] : entry->spaces) records += shard.records();
  }
  commit_ = tx.commit();
  if (snapshot_) snapshot_->Changed(records, 0);
}

// Snapshots: for each collection its row and its namespaces, all parts one after the other, so that a small one costs no more than its bytes.

std::optional<data::Commit> Collections::Save(SnapshotWriter& to) const {
  const std::shared_lock applying(applying_);  // nobody else changes an entry
  const std::shared_lock lock(mutex_);
  std::size_t spaces = 0;
  for (const auto& [name, entry] : entries_) spaces += entry->spaces.size();
  if (spaces == 0) return std::nullopt;
  to.Begin();
  to.Put(std::uint64_t{entries_.size()});
  for (const auto& [name, entry] : entries_) {
    to.PutText(ToText(ToJson(entry->row)));
    to.Put(std::uint64_t{entry->spaces.size()});
    for (const auto& [space, shard] : entry->spaces) {
      to.PutText(space);
      for (const auto part : IndexShard::kParts) shard.Save(part, to);
    }
  }
  return commit_;
}

std::map<std::string, std::shared_ptr<Collections::Entry>, std::less<>> Collections::Read(SnapshotReader& from, const std::shared_ptr<IndexSnapshot>& snapshot) {
  std::map<std::string, std::shared_ptr<Entry>, std::less<>> out;
  for (auto entries = from.GetCount(1); entries > 0; --entries) {
    auto entry = std::make_shared<Entry>(snapshot);
    entry->row = FromJson<Collection>(ParseJson(from.GetText()), Unknown::kIgnore);
    SnapshotReader::Check(entry->row.dim >= 0 && entry->row.dim <= kMaxDim, "a collection has no such dimension");
    for (auto spaces = from.GetCount(1); spaces > 0; --spaces) {
      auto& shard = entry->Space(from.GetText());
      SnapshotReader::Check(shard.records() == 0, "a namespace comes twice");
      for (const auto part : IndexShard::kParts) shard.Restore(part, from);
      shard.CheckRestored();
    }
    const auto name = entry->row.name;
    out.emplace(name, std::move(entry));
  }
  return out;
}

std::optional<data::Commit> Collections::Restore(data::History& history, data::ReadTx&) {
  if (!snapshot_) return std::nullopt;
  return snapshot_->Restore(history, [this](const SnapshotFile& file) {
    auto section = file.Section(0);
    auto entries = Read(section, snapshot_);
    section.Finish();
    const std::unique_lock applying(applying_);
    const std::unique_lock lock(mutex_);
    entries_ = std::move(entries);
    commit_ = file.header().commit;
  });
}

void Collections::Apply(std::span<const data::Change> changes, data::ReadTx& tx) {
  const std::unique_lock applying(applying_);
  std::size_t own = 0;
  // Entries are locked from their first change to the end, in one go: no search sees half a batch.
  std::map<std::string, std::pair<std::shared_ptr<Entry>, std::unique_lock<std::shared_mutex>>, std::less<>> open;
  const auto entry_of = [&](std::string_view name) -> Entry* {
    if (const auto found = open.find(name); found != open.end()) return found->second.first.get();
    auto entry = FindEntry(name);
    if (!entry) return nullptr;
    std::unique_lock lock(entry->mutex);
    return open.emplace(std::string(name), std::pair(std::move(entry), std::move(lock))).first->second.first.get();
  };
  for (const auto& change : changes) {
    own += change.table == "collections" || change.table == "collection_records";
    if (change.table == "collections") {
      const auto row = tx.Get<Collection>(change.key);
      if (auto* entry = entry_of(change.key)) {
        if (row && row->created_us == entry->row.created_us) {
          const bool has_dim = row->dim != entry->row.dim;
          entry->row = *row;
          if (has_dim) Fill(*entry, tx);
          continue;
        }
        entry->is_deleted = true;
        Clear(*entry);
        open.erase(open.find(change.key));
        const std::unique_lock lock(mutex_);
        entries_.erase(change.key);
      }
      if (!row) continue;
      auto made = NewEntry(*row);
      const std::unique_lock lock(mutex_);
      entries_[row->name] = std::move(made);
    } else if (change.table == "collection_records") {
      const auto parts = PartsOf(change.key);
      auto* entry = entry_of(parts.collection);
      if (!entry) continue;
      auto row = tx.Get<CollectionRecord>(change.key);
      if (row) entry->Space(parts.name_space).Put(RecordOf(std::move(*row)));
      else entry->Remove(parts.name_space, parts.id);
    }
  }
  commit_ = tx.commit();
  if (snapshot_) snapshot_->Changed(own, changes.size());
}

}  // namespace tenfold::retrieval
