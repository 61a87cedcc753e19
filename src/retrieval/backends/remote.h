#pragma once
/// \file What the search indexes behind a network share: JSON calls with polite retries, and labels as a condition.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/context.h"
#include "base/json.h"
#include "retrieval/rank_fusion.h"
#include "retrieval/search_index.h"

namespace tenfold::retrieval {

/// A service that speaks JSON over HTTP. Threads: safe.
class JsonService {
 public:
  /// `name` is how errors call it; `base` ends without '/'; `headers` (keys among them) go with every call.
  JsonService(std::string name, std::string base, std::vector<std::pair<std::string, std::string>> headers) : name_(std::move(name)), base_(std::move(base)), headers_(std::move(headers)) {}
  /// The answer's JSON, null if it has no body; nothing for a 404. What is busy or away is asked three times, as FetchPatiently() does it.
  /// Errors: kUnauthenticated (401), kPermissionDenied (403), kInvalidArgument (other 4xx), kResourceExhausted (429), kUnavailable (also for what is no JSON).
  std::optional<Json> Call(const Context& ctx, std::string_view method, std::string_view path, const Json* body = nullptr) const;
  const std::string& name() const { return name_; }

 private:
  const std::string name_, base_;
  const std::vector<std::pair<std::string, std::string>> headers_;
};

/// The labels one of which a record must list to be found by `reader`; nothing if they read everything.
std::optional<std::vector<std::string>> LabelsToMatch(const Principal& reader);
/// Combines what `list` gives, both lists at most `depth` deep, and asks again for deeper ones while a limit per group leaves fewer hits than there are.
struct BothLists {
  std::vector<ListedHit> words, vectors;
};
IndexResult CombineDeepEnough(const IndexQuery& query, const std::function<BothLists(std::size_t depth)>& list);
/// The index that `open` gives, opened and asked so that an answer which is not as the protocol says is kUnavailable, whatever reading it throws.
std::unique_ptr<SearchIndex> ExpectAnswers(std::string name, const std::function<std::unique_ptr<SearchIndex>()>& open);
/// The labels of an access string, each once.
std::vector<std::string> LabelsOf(std::string_view access);

}  // namespace tenfold::retrieval
