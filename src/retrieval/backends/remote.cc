#include "retrieval/backends/remote.h"

#include <algorithm>
#include <set>

#include "base/http_retry.h"

namespace tenfold::retrieval {
namespace {

/// What a service says of its own error, at most 300 bytes.
std::string MessageIn(std::string_view body) {
  std::string said(body.substr(0, 300));
  try {
    const auto json = ParseJson(body);
    const std::function<void(const Json&)> find = [&](const Json& value) {
      if (const auto* list = value.if_array(); list && !list->empty()) return find((*list)[0]);
      const auto* object = value.if_object();
      if (!object) return;
      for (const char* name : {"message", "error", "detail"})
        if (const auto* found = object->if_contains(name)) {
          if (found->is_string()) said = std::string(AsView(found->get_string()).substr(0, 300));
          else find(*found);
          return;
        }
    };
    find(json);
  } catch (const Error&) {
    // Not JSON: its first bytes will do.
  }
  return said;
}

template <class F>
auto Expect(const std::string& name, F&& ask) {
  try {
    return ask();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception&) {  // of Boost.JSON: a field is missing, or of another type
    throw Error(Code::kUnavailable, name + ": an answer is not as its protocol says");
  }
}

class ExpectingIndex final : public SearchIndex {
 public:
  ExpectingIndex(std::string name, std::unique_ptr<SearchIndex> index) : name_(std::move(name)), index_(std::move(index)) {}
  std::size_t dim() const override { return index_->dim(); }
  Metric metric() const override { return index_->metric(); }
  bool has_words() const override { return index_->has_words(); }
  void Write(const Context& ctx, std::string_view name_space, std::span<const IndexChange> changes) override {
    Expect(name_, [&] { index_->Write(ctx, name_space, changes); });
  }
  IndexResult Search(const Context& ctx, std::string_view name_space, const IndexQuery& query) override {
    return Expect(name_, [&] { return index_->Search(ctx, name_space, query); });
  }
  std::vector<IndexRecord> Fetch(const Context& ctx, std::string_view name_space, std::span<const std::string> ids) override {
    return Expect(name_, [&] { return index_->Fetch(ctx, name_space, ids); });
  }
  std::vector<std::string> List(const Context& ctx, std::string_view name_space, std::string_view prefix, std::string_view after, std::size_t limit) override {
    return Expect(name_, [&] { return index_->List(ctx, name_space, prefix, after, limit); });
  }
  std::vector<NamespaceInfo> Namespaces(const Context& ctx) override {
    return Expect(name_, [&] { return index_->Namespaces(ctx); });
  }
  void DeleteNamespace(const Context& ctx, std::string_view name_space) override {
    Expect(name_, [&] { index_->DeleteNamespace(ctx, name_space); });
  }

 private:
  const std::string name_;
  const std::unique_ptr<SearchIndex> index_;
};

}  // namespace

std::unique_ptr<SearchIndex> ExpectAnswers(std::string name, const std::function<std::unique_ptr<SearchIndex>()>& open) {
  auto index = Expect(name, open);
  return std::make_unique<ExpectingIndex>(std::move(name), std::move(index));
}

std::optional<Json> JsonService::Call(const Context& ctx, std::string_view method, std::string_view path, const Json* body) const {
  HttpClientRequest request;
  request.method = method;
  request.url = base_ + std::string(path);
  request.headers = headers_;
  request.headers.emplace_back("accept", "application/json");
  if (body) {
    request.headers.emplace_back("content-type", "application/json");
    request.body = ToText(*body);
  }
  request.max_redirects = 0;  // a data service does not move between two calls
  const auto response = Within(name_, [&] { return FetchPatiently(ctx, RetryPolicy{}, [&] { return request; }); });
  if (response.status >= 200 && response.status < 300) {
    if (response.body.empty()) return Json(nullptr);
    try {
      return ParseJson(response.body);
    } catch (const Error& e) {
      throw Error(Code::kUnavailable, name_ + " answered something that is no JSON: " + e.message());  // not our caller's fault, as ParseJson would have it
    }
  }
  if (response.status == 404) return std::nullopt;
  const auto code = response.status == 401   ? Code::kUnauthenticated
                    : response.status == 403 ? Code::kPermissionDenied
                    : response.status == 429 ? Code::kResourceExhausted
                    : IsBusy(response)       ? Code::kUnavailable
                                             : Code::kInvalidArgument;
  throw Error(code, name_ + ": " + std::string(method) + " " + std::string(path.substr(0, path.find('?'))) + " was answered with " + std::to_string(response.status) + ": " + MessageIn(response.body));
}

std::optional<std::vector<std::string>> LabelsToMatch(const Principal& reader) {
  if (std::find(reader.labels.begin(), reader.labels.end(), "*") != reader.labels.end()) return std::nullopt;
  auto labels = reader.labels;
  if (!reader.user.empty()) labels.push_back(LabelOfUser(reader.user));
  return labels;
}

IndexResult CombineDeepEnough(const IndexQuery& query, const std::function<BothLists(std::size_t depth)>& list) {
  constexpr std::size_t kDeepest = 10'000;
  for (auto depth = DepthOf(query);; depth = std::min(kDeepest, depth * 8)) {
    auto lists = list(depth);
    const bool more = lists.words.size() >= depth || lists.vectors.size() >= depth;
    auto out = Combine(query, std::move(lists.words), std::move(lists.vectors));
    if (out.hits.size() >= query.k || !more || depth >= kDeepest || !query.per_group) return out;
  }
}

std::vector<std::string> LabelsOf(std::string_view access) {
  std::set<std::string> labels;
  while (!access.empty()) {
    const auto end = std::min(access.find(','), access.size());
    if (end) labels.emplace(access.substr(0, end));
    access.remove_prefix(std::min(end + 1, access.size()));
  }
  return {labels.begin(), labels.end()};
}

}  // namespace tenfold::retrieval
