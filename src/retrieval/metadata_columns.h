#pragma once
/// \file The metadata of a shard's rows, by key and value, so that a filter becomes a bitmap without reading a record.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "retrieval/bitmap.h"
#include "retrieval/filter.h"
#include "retrieval/search_index.h"

namespace tenfold::retrieval {

class SnapshotWriter;
class SnapshotReader;

/// Threads: any number of readers; writers exclude each other and readers (the caller locks).
/// Cost: some ten bytes a row and value beside the distinct values themselves; a filter costs the values it names and, for a range, those inside it; a
/// pattern costs the distinct texts that begin as it does before its first '*' or '?', one of words all of them.
class MetadataColumns {
 public:
  /// Replaces what `row` had. Values that are neither texts, numbers, true, false, lists of texts nor points are passed over, as null is.
  void Put(std::uint32_t row, const JsonObject& metadata);
  void Remove(std::uint32_t row);
  /// Whether `row` has exactly what Put of `metadata` would give it.
  bool Holds(std::uint32_t row, const JsonObject& metadata) const;
  void Save(SnapshotWriter& to) const;
  /// Into one that is empty. `rows`: no row is greater or equal. Errors: as SnapshotReader; then it is not to be used.
  void Restore(SnapshotReader& from, std::size_t rows);
  /// The rows of `present` for which `filter` holds: as Filter::Matches of what was put. Rows that have no metadata are matched too.
  Bitmap Select(const Filter& filter, const Bitmap& present) const;
  /// Whether one of `rows` has the field.
  bool HasIn(std::string_view key, const Bitmap& rows) const;
  /// How many rows of `allowed` have each value of `key`: most frequent first, equal counts by value, at most `limit`. Points are not counted.
  std::vector<FacetCount> Count(std::string_view key, const Bitmap& allowed, std::size_t limit) const;

 private:
  struct Point {
    double latitude, longitude;
  };
  struct Column {
    std::map<std::string, RowSet, std::less<>> texts;
    std::map<double, RowSet> numbers;
    RowSet booleans[2];
    std::map<std::uint32_t, Point> points;
    RowSet present;
  };
  /// A value of a row, to find it again at Remove: addresses of map nodes do not move.
  struct Entry {
    Column* column;
    enum class Kind : std::uint8_t { kText, kNumber, kBoolean, kPoint, kList } kind;
    const void* value;  ///< the node's key; of a boolean not null for true; null otherwise
    auto operator<=>(const Entry&) const = default;
  };
  /// Whether `value` is among those of `row`; its entry is added.
  static bool FindValue(const Column& column, std::uint32_t row, const Json& value, std::vector<Entry>& entries);
  /// Calls `visit(entry)` for each of a row's.
  template <class F>
  void ForEachEntry(std::uint32_t row, F&& visit) const {
    if (restored_.rows.Test(row))
      for (auto at = restored_.begins[row]; at < restored_.begins[row + 1]; ++at) visit(restored_.values[restored_.numbers[at]]);
    else if (row < entries_of_row_.size())
      for (const auto& one : entries_of_row_[row]) visit(one);
  }
  void AddValue(Column& column, std::uint32_t row, const Json& value, std::vector<Entry>& entries);
  static void AddEqual(const Column& column, const Json& value, Bitmap& out);
  static void AddRange(const Column& column, Filter::Op op, const Json& value, Bitmap& out);
  static void AddWithin(const Column& column, const JsonArray& values, Bitmap& out);
  static void AddLike(const Column& column, Filter::Op op, const Json& pattern, Bitmap& out);

  std::map<std::string, Column, std::less<>> columns_;
  std::vector<std::vector<Entry>> entries_of_row_;  // rows past the end have none
  /// The same of rows as a snapshot had them, until they are changed: a million of them are three arrays instead of a million lists.
  struct Restored {
    std::vector<Entry> values;
    std::vector<std::uint32_t> begins, numbers;  // of a row's entries: values[numbers[begins[row]]] and on, to begins[row + 1]
    Bitmap rows;
  };
  Restored restored_;
};

/// Metres between two points of a sphere of the Earth's mean radius, by the haversine.
double MetresBetween(double latitude_a, double longitude_a, double latitude_b, double longitude_b);

}  // namespace tenfold::retrieval
