#pragma once
/// \file What the search indexes behind a network share: JSON calls with polite retries, and one list made of two.
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/context.h"
#include "base/json.h"
#include "retrieval/search_index.h"

namespace tenfold::retrieval {

/// A service that speaks JSON over HTTP. Threads: safe.
class JsonService {
 public:
  /// `name` is how errors call it; `base` ends without '/'; `headers` (keys among them) go with every call.
  JsonService(std::string name, std::string base, std::vector<std::pair<std::string, std::string>> headers) : name_(std::move(name)), base_(std::move(base)), headers_(std::move(headers)) {}
  /// The answer's JSON, null if it has no body; nothing for a 404. 408, 429 and 5xx are tried again, three times in all, after Retry-After or a doubling pause.
  /// Errors: kUnauthenticated (401), kPermissionDenied (403), kInvalidArgument (other 4xx), kResourceExhausted (429), kUnavailable.
  std::optional<Json> Call(const Context& ctx, std::string_view method, std::string_view path, const Json* body = nullptr) const;
  const std::string& name() const { return name_; }

 private:
  const std::string name_, base_;
  const std::vector<std::pair<std::string, std::string>> headers_;
};

/// The labels one of which a record must list to be found by `reader`; nothing if they read everything.
std::optional<std::vector<std::string>> LabelsToMatch(const Principal& reader);
/// The labels of an access string, each once.
std::vector<std::string> LabelsOf(std::string_view access);

/// One of a list of an index that ranks for itself: best first.
struct RemoteHit {
  std::string id;
  std::string group;
  float score = 0;
  std::vector<float> vector = {};  ///< only for IndexQuery::diversity
};
/// How deep each list must be for `query` to be answered from it.
std::size_t DepthOf(const IndexQuery& query);
/// Fused, diversified, limited per group, paged and explained as `query` asks. A list that was not asked for is empty.
IndexResult Combine(const IndexQuery& query, std::vector<RemoteHit> words, std::vector<RemoteHit> vectors);

/// Throws as SearchIndex::Write and Search promise.
void CheckChanges(std::span<const IndexChange> changes, std::size_t dim, Metric metric);
void CheckQuery(const IndexQuery& query, std::size_t dim);

}  // namespace tenfold::retrieval
