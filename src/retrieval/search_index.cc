#include "retrieval/search_index.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace tenfold::retrieval {
namespace {

constexpr std::size_t kMaxMetadataBytes = 40 << 10;
constexpr std::size_t kMaxWindow = 10'000;

bool IsFlat(const Json& value) {
  if (value.is_string() || value.is_number() || value.is_bool()) return true;
  if (const auto* list = value.if_array()) return std::all_of(list->begin(), list->end(), [](const Json& one) { return one.is_string(); });
  const auto* point = value.if_object();
  return point && point->size() == 2 && point->contains("lat") && point->contains("lon") && point->at("lat").is_number() && point->at("lon").is_number();
}

}  // namespace

void ApplyPart(const IndexChange& change, IndexRecord& record) {
  using Kind = IndexChange::Kind;
  if (change.kind == Kind::kSetAccess) record.access = change.record.access;
  if (change.kind == Kind::kSetMetadata) record.metadata = change.record.metadata;
  if (change.kind != Kind::kMerge) return;
  if (!change.record.vector.empty()) record.vector = change.record.vector;
  for (const auto& [key, value] : change.record.metadata) record.metadata[key] = value;
}

void CheckChanges(std::span<const IndexChange> changes, std::size_t dim, Metric metric) {
  using Kind = IndexChange::Kind;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const auto& record = changes[i].record;
    const auto kind = changes[i].kind;
    const auto fail = [&](const std::string& problem, const char* field) { throw Error(Code::kInvalidArgument, "record " + std::to_string(i) + ": " + problem, "records[" + std::to_string(i) + "]." + field); };
    if (record.id.empty() || record.id.size() > 512) fail("id: has 1 to 512 bytes", "id");
    if ((kind == Kind::kPut || kind == Kind::kMerge) && !record.vector.empty()) {
      if (record.vector.size() != dim) fail("the vector has " + std::to_string(record.vector.size()) + " dimensions, the index " + std::to_string(dim), "vector");
      double squares = 0;
      for (const float x : record.vector) squares += std::isfinite(x) ? static_cast<double>(x) * x : std::numeric_limits<double>::quiet_NaN();
      if (!std::isfinite(squares)) fail("the vector holds a value that is not a number", "vector");
      if (metric == Metric::kCosine && squares == 0) fail("a vector of zeros has no direction, and this index compares directions", "vector");
    }
    if (kind == Kind::kPut || kind == Kind::kSetMetadata || kind == Kind::kMerge) {
      if (ToText(record.metadata).size() > kMaxMetadataBytes) fail("metadata has more than 40 KB", "metadata");
      for (const auto& [key, value] : record.metadata)
        if (!IsFlat(value)) fail("metadata '" + std::string(key) + "': must be a text, a number, true or false, a list of texts or a point {lat, lon}", "metadata");
    }
  }
}

void CheckQuery(const IndexQuery& query, std::size_t dim) {
  if (query.k < 1 || query.k > kMaxWindow) throw Error(Code::kInvalidArgument, "k: is 1 to 10000", "k");
  if (query.facet_values < 1 || query.facet_values > 1'000'000) throw Error(Code::kInvalidArgument, "facet_values: is 1 to 1000000", "facet_values");
  if (query.offset + query.k > kMaxWindow) throw Error(Code::kInvalidArgument, "offset: offset and k together are at most 10000", "offset");
  if (query.vector.empty()) return;
  if (query.vector.size() != dim) throw Error(Code::kInvalidArgument, "the query has " + std::to_string(query.vector.size()) + " dimensions, the index " + std::to_string(dim), "vector");
  for (const float x : query.vector)
    if (!std::isfinite(x)) throw Error(Code::kInvalidArgument, "the query's vector holds a value that is not a number", "vector");
}

}  // namespace tenfold::retrieval
