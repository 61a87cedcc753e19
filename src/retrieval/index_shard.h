#pragma once
/// \file The searchable rows of one namespace, in memory: words, vectors, metadata and readers side by side, so that a filter is a bitmap inside both scans.
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/context.h"
#include "retrieval/search_index.h"
#include "retrieval/tokenize.h"

namespace tenfold::retrieval {

class IndexSnapshot;
class SnapshotWriter;
class SnapshotReader;

/// Threads: any number of readers; writers exclude each other and readers (the caller locks). Keeps no text and no metadata beyond what is searched.
/// Cost: an empty one is a few hundred bytes, so that 10,000 tenants cost little more than their rows.
class IndexShard {
 public:
  /// `dim` 0: words alone. Errors: kInvalidArgument if it is more than VectorIndex::kMaxDim.
  IndexShard(std::size_t dim, Metric metric, Language language = Language::kEnglish);
  ~IndexShard();
  IndexShard(IndexShard&&) noexcept;
  IndexShard& operator=(IndexShard&&) noexcept;
  /// Before anything is put: what is removed or replaced is forgotten there first, and large vectors lie in its files.
  void SetSnapshot(std::shared_ptr<IndexSnapshot> snapshot);
  /// Replaces what has its id. The record is as CheckChanges allows.
  void Put(const IndexRecord& record);
  /// False if it is not there, as the next two.
  bool Remove(std::string_view id);
  bool SetAccess(std::string_view id, std::string_view access);
  bool SetMetadata(std::string_view id, const JsonObject& metadata);
  /// For every record of a group, those put later excepted.
  void SetGroupAccess(std::string_view group, std::string_view access);
  void SetGroupMetadata(std::string_view group, const JsonObject& metadata);

  /// As SearchIndex::Search. Order: equal scores by id.
  IndexResult Search(const Principal& reader, const IndexQuery& query) const;
  std::size_t records() const;
  /// Records that the reader may find and `filter` lets through.
  std::size_t Count(const Principal& reader, const Filter& filter) const;
  std::size_t records_without_vector() const;
  /// How rare a word (as Tokenize gives it) is: its inverse document frequency as BM25 uses it.
  double WordWeight(const std::string& word) const;

  /// What is saved and loaded by itself, so that it can be done side by side.
  enum class Part : std::uint8_t { kNames, kWords, kVectors };
  static constexpr Part kParts[] = {Part::kNames, Part::kWords, Part::kVectors};
  void Save(Part part, SnapshotWriter& to) const;
  /// Into one that is empty; different parts may be loaded by different threads. Errors: as SnapshotReader, also from CheckRestored, if the parts do not belong together; then it is not to be used.
  void Restore(Part part, SnapshotReader& from);
  void CheckRestored() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace tenfold::retrieval
