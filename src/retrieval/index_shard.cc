#include "retrieval/index_shard.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/utf8.h"
#include "retrieval/bitmap.h"
#include "retrieval/bm25_index.h"
#include "retrieval/index_snapshot.h"
#include "retrieval/metadata_columns.h"
#include "retrieval/rank_fusion.h"
#include "retrieval/vector_index.h"

namespace tenfold::retrieval {
namespace {

// Rows of equal score are put in order of id; of more than so many the index's own order decides which are looked at.
constexpr std::size_t kMostEquals = 1024;
// Bytes, about, of a notice that names fields.
constexpr std::size_t kMostNotice = 500;
// Short texts of the same words are often equal, vectors hardly ever: one more shows it.
constexpr std::size_t kMoreWords = 8, kMoreVectors = 1;

std::string WordsOf(const IndexRecord& record) {
  std::string out = record.title;
  for (const auto* part : {&record.heading, &record.text})
    if (!part->empty()) out += (out.empty() ? "" : "\n") + *part;
  return out;
}

}  // namespace

struct IndexShard::Parts {
  using Named = std::map<std::string, RowSet, std::less<>>;
  /// Addresses of map nodes, which do not move: a name is kept once.
  struct Row {
    const std::string* id = nullptr;
    Named::value_type* access = nullptr;
    Named::value_type* group = nullptr;  ///< null: in none
  };

  Parts(std::size_t dimensions, Metric by, Language language) : dim(dimensions), metric(by), words(language) {}

  const std::size_t dim;
  const Metric metric;
  std::vector<Row> rows;
  std::vector<std::uint32_t> free_rows;
  std::map<std::string, std::uint32_t, std::less<>> row_of_id;
  Named rows_of_access;
  Named groups;
  Bitmap present;
  Bitmap with_vector;
  std::size_t vectors_held = 0;
  MetadataColumns metadata;
  Bm25Index words;
  std::optional<VectorIndex> vectors;  // from the first vector on
  std::shared_ptr<IndexSnapshot> snapshot;

  void SaveNames(SnapshotWriter& to) const;
  void RestoreNames(SnapshotReader& from);

  std::optional<std::uint32_t> FindRow(std::string_view id) const {
    const auto found = row_of_id.find(id);
    return found == row_of_id.end() ? std::nullopt : std::optional(found->second);
  }

  void PutAccess(std::uint32_t row, std::string_view access) {
    auto& held = rows[row].access;
    if (held && held->first == access) return;
    DropAccess(row);
    auto at = rows_of_access.find(access);
    if (at == rows_of_access.end()) at = rows_of_access.try_emplace(std::string(access)).first;
    at->second.Add(row);
    held = &*at;
  }
  void DropAccess(std::uint32_t row) {
    auto& held = rows[row].access;
    if (!held) return;
    held->second.Remove(row);
    if (held->second.empty()) rows_of_access.erase(held->first);
    held = nullptr;
  }

  void StartVectors() {
    vectors.emplace(dim, metric);
    vectors->SetSnapshot(snapshot);
  }

  void PutMetadata(std::uint32_t row, const JsonObject& values) {
    if (metadata.Holds(row, values)) return;
    if (snapshot) snapshot->Forget();
    metadata.Put(row, values);
  }

  void Drop(std::uint32_t row) {
    if (snapshot) snapshot->Forget();
    auto& one = rows[row];
    words.Remove(row);
    if (with_vector.Test(row)) {
      vectors->Remove(row);
      with_vector.Clear(row);
      --vectors_held;
    }
    metadata.Remove(row);
    DropAccess(row);
    if (one.group) {
      one.group->second.Remove(row);
      if (one.group->second.empty()) groups.erase(one.group->first);
    }
    present.Clear(row);
    row_of_id.erase(*one.id);
    one = {};
    free_rows.push_back(row);
  }

  Bitmap Readable(const Principal& reader) const {
    std::size_t unread = 0;
    for (const auto& [access, held] : rows_of_access) unread += reader.MayRead(access) ? 0 : held.size();
    if (unread == 0) return present;
    Bitmap readable;
    for (const auto& [access, held] : rows_of_access)
      if (reader.MayRead(access)) held.AddTo(readable);
    return readable;
  }

  /// Of what the reader may find, what the query's filter and groups let through.
  Bitmap Allowed(const Bitmap& readable, const IndexQuery& query) const {
    auto allowed = readable;
    if (query.groups) {
      Bitmap narrowed;
      for (const auto& name : *query.groups)
        if (const auto found = groups.find(name); found != groups.end()) found->second.AddTo(narrowed);
      allowed.And(narrowed);
    }
    return query.filter.is_all() ? allowed : metadata.Select(query.filter, allowed);
  }

  /// Empty, or which fields of the filter and the facets nothing that the reader may find has: a name written wrong is not to look like an empty answer.
  std::string UnknownFields(const Bitmap& readable, const IndexQuery& query) const {
    std::string out;
    const auto add = [&](const std::string& field, const char* place) {
      if (out.size() < kMostNotice && !metadata.HasIn(field, readable)) out += (out.empty() ? "" : "; ") + std::string("nothing that may be read here has a field '") + std::string(CutUtf8(field, 64)) + "' (" + place + ")";
    };
    for (const auto& field : FieldsOf(query.filter)) add(field, "filter");
    for (const auto& field : query.facets) add(field, "facet");
    return out;
  }

  /// With their vectors, as far as they have one, the first `with_vectors`. Valid until the next change.
  std::vector<ListedHit> Listed(std::span<const Hit> hits, std::size_t with_vectors) const {
    std::vector<ListedHit> out;
    out.reserve(hits.size());
    // A hit's row, name and the name's bytes lie in three places of memory: all are asked for before the first is needed.
    for (const auto& hit : hits) __builtin_prefetch(&rows[hit.row]);
    for (const auto& hit : hits) {
      __builtin_prefetch(rows[hit.row].id);
      __builtin_prefetch(rows[hit.row].group);
    }
    for (const auto& hit : hits) __builtin_prefetch(rows[hit.row].id->data());
    for (const auto& hit : hits) {
      const auto& row = rows[hit.row];
      auto& listed = out.emplace_back(ListedHit{*row.id, row.group ? row.group->first : std::string(), hit.score});
      if (out.size() > with_vectors || !with_vector.Test(hit.row)) continue;
      listed.held = vectors->Get(hit.row);
    }
    return out;
  }

  /// The first `depth` of what `search(depth)` gives, equal scores in order of id, also where the cut goes through them. Asked for `more` at first, to see whether it does.
  template <class F>
  std::vector<ListedHit> InOrder(std::size_t depth, std::size_t more, std::size_t with_vectors, F&& search) const {
    auto asked = depth + more;
    auto hits = search(asked);
    while (hits.size() == asked && hits[depth - 1].score == hits.back().score && asked < depth + kMostEquals) hits = search(asked = depth + 2 * std::max(kMoreWords, asked - depth));
    std::sort(hits.begin(), hits.end(), [&](const Hit& a, const Hit& b) { return a.score != b.score ? a.score > b.score : *rows[a.row].id < *rows[b.row].id; });
    if (hits.size() > depth) hits.resize(depth);
    return Listed(hits, with_vectors);
  }

  IndexResult InOrderOfId(const Bitmap& allowed, const IndexQuery& query) const {
    IndexResult out;
    std::size_t skip = query.offset;
    std::map<const void*, std::size_t> of_group;
    for (const auto& [id, row] : row_of_id) {
      if (out.hits.size() == query.k) break;
      if (!allowed.Test(row)) continue;
      const auto* group = rows[row].group;
      if (query.per_group && group && ++of_group[group] > query.per_group) continue;
      if (skip > 0) --skip;
      else out.hits.push_back({id, group ? group->first : std::string()});
    }
    return out;
  }
};

IndexShard::IndexShard(std::size_t dim, Metric metric, Language language) : parts_(std::make_unique<Parts>(dim, metric, language)) {
  if (dim > VectorIndex::kMaxDim) throw Error(Code::kInvalidArgument, "vectors have " + std::to_string(dim) + " dimensions, more than the " + std::to_string(VectorIndex::kMaxDim) + " that the embedded index takes; cut them, as embedders do with dim=", "dim");
}
IndexShard::~IndexShard() = default;
IndexShard::IndexShard(IndexShard&&) noexcept = default;
IndexShard& IndexShard::operator=(IndexShard&&) noexcept = default;
void IndexShard::SetSnapshot(std::shared_ptr<IndexSnapshot> snapshot) { parts_->snapshot = std::move(snapshot); }

void IndexShard::Put(const IndexRecord& record) {
  auto& p = *parts_;
  if (const auto row = p.FindRow(record.id)) p.Drop(*row);
  auto row = static_cast<std::uint32_t>(p.rows.size());
  if (p.free_rows.empty()) {
    p.rows.emplace_back();
  } else {
    row = p.free_rows.back();
    p.free_rows.pop_back();
  }
  p.rows[row].id = &p.row_of_id.emplace(record.id, row).first->first;
  p.PutAccess(row, record.access);
  if (!record.group.empty()) {
    auto& node = *p.groups.try_emplace(record.group).first;
    node.second.Add(row);
    p.rows[row].group = &node;
  }
  if (!record.metadata.empty()) p.metadata.Put(row, record.metadata);
  if (const auto words = WordsOf(record); !words.empty()) p.words.Add(row, words);
  if (p.dim && record.vector.size() == p.dim) {
    if (!p.vectors) p.StartVectors();
    p.vectors->Put(row, record.vector);
    p.with_vector.Set(row);
    ++p.vectors_held;
  }
  p.present.Set(row);
}

bool IndexShard::Remove(std::string_view id) {
  const auto row = parts_->FindRow(id);
  if (row) parts_->Drop(*row);
  return row.has_value();
}

bool IndexShard::SetAccess(std::string_view id, std::string_view access) {
  const auto row = parts_->FindRow(id);
  if (row) parts_->PutAccess(*row, access);
  return row.has_value();
}

bool IndexShard::SetMetadata(std::string_view id, const JsonObject& metadata) {
  const auto row = parts_->FindRow(id);
  if (row) parts_->PutMetadata(*row, metadata);
  return row.has_value();
}

void IndexShard::SetGroupAccess(std::string_view group, std::string_view access) {
  if (const auto found = parts_->groups.find(group); found != parts_->groups.end())
    found->second.ForEach([&](std::uint32_t row) { parts_->PutAccess(row, access); });
}

void IndexShard::SetGroupMetadata(std::string_view group, const JsonObject& metadata) {
  if (const auto found = parts_->groups.find(group); found != parts_->groups.end())
    found->second.ForEach([&](std::uint32_t row) { parts_->PutMetadata(row, metadata); });
}

IndexResult IndexShard::Search(const Principal& reader, const IndexQuery& query) const {
  const auto& p = *parts_;
  CheckQuery(query, p.dim);
  const auto readable = p.Readable(reader);
  const auto allowed = p.Allowed(readable, query);
  IndexResult out;
  if (query.text.empty() && query.vector.empty()) {
    out = p.InOrderOfId(allowed, query);
  } else {
    Bitmap allowed_vectors = allowed;
    allowed_vectors.And(p.with_vector);
    const auto wanted = query.offset + query.k;
    for (auto depth = DepthOf(query);; depth *= 4) {
      const auto with_vectors = VectorDepthOf(query);
      std::vector<ListedHit> by_words, by_vector;
      if (!query.text.empty()) by_words = p.InOrder(depth, kMoreWords, with_vectors, [&](std::size_t k) { return p.words.Search(query.text, allowed, k); });
      if (!query.vector.empty() && p.vectors) by_vector = p.InOrder(depth, kMoreVectors, with_vectors, [&](std::size_t k) { return p.vectors->Search(query.vector, allowed_vectors, k); });
      const bool has_more = by_words.size() == depth || by_vector.size() == depth;
      out = Combine(query, std::move(by_words), std::move(by_vector));
      // What was taken away from the lists may have left too few.
      if (out.hits.size() >= std::min(query.k, wanted) || !has_more || !query.per_group) break;
    }
  }
  out.notice = p.UnknownFields(readable, query);
  if (query.explain) {
    out.allowed = static_cast<std::int64_t>(allowed.count());
    out.readable = static_cast<std::int64_t>(readable.count());
  }
  for (const auto& key : query.facets) out.facets.emplace(key, p.metadata.Count(key, allowed, query.facet_values));
  return out;
}

std::size_t IndexShard::Count(const Principal& reader, const Filter& filter) const {
  IndexQuery query;
  query.filter = filter;
  return parts_->Allowed(parts_->Readable(reader), query).count();
}

std::size_t IndexShard::records() const { return parts_->row_of_id.size(); }
std::size_t IndexShard::records_without_vector() const { return records() - parts_->vectors_held; }
double IndexShard::WordWeight(const std::string& word) const { return parts_->words.Weight(word); }

void IndexShard::Parts::SaveNames(SnapshotWriter& to) const {
  to.Put(std::uint64_t{rows.size()});
  to.PutArray(free_rows);
  to.PutArray(with_vector.all_words());
  to.Put(std::uint64_t{row_of_id.size()});
  for (const auto& [id, row] : row_of_id) {
    to.PutText(id);
    to.Put(row);
  }
  for (const auto* named : {&rows_of_access, &groups}) {
    to.Put(std::uint64_t{named->size()});
    for (const auto& [name, held] : *named) {
      to.PutText(name);
      held.Save(to);
    }
  }
  metadata.Save(to);
}

void IndexShard::Parts::RestoreNames(SnapshotReader& from) {
  // Free rows and ids are four bytes at least.
  rows.resize(from.GetCount(4));
  from.GetArray(free_rows);
  std::vector<std::uint64_t> bits;
  from.GetArray(bits);
  with_vector = Bitmap(std::move(bits));
  vectors_held = with_vector.count();
  for (auto ids = from.GetCount(1); ids > 0; --ids) {
    auto id = from.GetText();
    const auto row = from.Get<std::uint32_t>();
    SnapshotReader::Check(row < rows.size(), "a record has a row that is not there");
    present.Set(row);
    rows[row].id = &row_of_id.emplace_hint(row_of_id.end(), std::move(id), row)->first;
  }
  for (auto& [named, of_row] : {std::pair(&rows_of_access, &Row::access), std::pair(&groups, &Row::group)})
    for (auto names = from.GetCount(1); names > 0; --names) {
      auto name = from.GetText();
      auto& node = *named->emplace_hint(named->end(), std::move(name), RowSet::Load(from));
      node.second.ForEach([&](std::uint32_t row) {
        SnapshotReader::Check(row < rows.size(), "a name has a row that is not there");
        rows[row].*of_row = &node;
      });
    }
  metadata.Restore(from, rows.size());
}

void IndexShard::Save(Part part, SnapshotWriter& to) const {
  switch (part) {
    case Part::kNames: return parts_->SaveNames(to);
    case Part::kWords: return parts_->words.Save(to);
    case Part::kVectors:
      to.Put(std::uint64_t{parts_->vectors.has_value()});
      if (parts_->vectors) parts_->vectors->Save(to);
      return;
  }
}

void IndexShard::Restore(Part part, SnapshotReader& from) {
  switch (part) {
    case Part::kNames: return parts_->RestoreNames(from);
    case Part::kWords: return parts_->words.Restore(from);
    case Part::kVectors:
      if (from.Get<std::uint64_t>() == 0) return;
      SnapshotReader::Check(parts_->dim > 0 && parts_->dim <= VectorIndex::kMaxDim, "there are vectors in an index of words");
      parts_->StartVectors();
      return parts_->vectors->Restore(from);
  }
}

void IndexShard::CheckRestored() const {
  SnapshotReader::Check(parts_->vectors_held == (parts_->vectors ? parts_->vectors->size() : 0) && parts_->words.rows() <= records() && parts_->row_of_id.size() + parts_->free_rows.size() == parts_->rows.size(),
                        "its parts do not belong together");
}

}  // namespace tenfold::retrieval
