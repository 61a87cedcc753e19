#include "retrieval/backends/remote.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <set>
#include <thread>

#include "base/http_client.h"

namespace tenfold::retrieval {
namespace {

using namespace std::chrono_literals;

constexpr int kAttempts = 3;
constexpr auto kFirstPause = 200ms;
constexpr auto kLongestPause = 10s;
constexpr std::size_t kMaxMetadataBytes = 40 << 10;
constexpr std::size_t kMaxWindow = 10'000;

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

void Pause(const Context& ctx, std::chrono::milliseconds pause) {
  for (const auto until = std::chrono::steady_clock::now() + pause; std::chrono::steady_clock::now() < until;) {
    ctx.Check();
    std::this_thread::sleep_for(10ms);
  }
}

bool IsFlat(const Json& value) {
  if (value.is_string() || value.is_number() || value.is_bool()) return true;
  if (const auto* list = value.if_array()) return std::all_of(list->begin(), list->end(), [](const Json& one) { return one.is_string(); });
  const auto* point = value.if_object();
  return point && point->size() == 2 && point->contains("lat") && point->contains("lon") && point->at("lat").is_number() && point->at("lon").is_number();
}

float Dot(std::span<const float> a, std::span<const float> b) {
  float sum = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

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
  for (int attempt = 1;; ++attempt) {
    ctx.Check();
    const bool last = attempt == kAttempts;
    auto pause = std::chrono::milliseconds(kFirstPause * (1 << (attempt - 1)));
    HttpClientResponse response;
    try {
      response = Fetch(ctx, request);
    } catch (const Error& e) {
      if (e.code() != Code::kUnavailable || last) throw Error(e.code(), name_ + ": " + e.message());
      Pause(ctx, pause);
      continue;
    }
    if (response.status >= 200 && response.status < 300) {
      if (response.body.empty()) return Json(nullptr);
      return Within(name_, [&] { return ParseJson(response.body); });
    }
    if (response.status == 404) return std::nullopt;
    const bool busy = response.status == 408 || response.status == 429 || response.status >= 500;
    if (busy && !last) {
      int seconds = 0;
      const auto after = response.header("retry-after");
      if (std::from_chars(after.data(), after.data() + after.size(), seconds).ec == std::errc() && seconds >= 0) pause = std::min<std::chrono::milliseconds>(std::chrono::seconds(seconds), kLongestPause);
      Pause(ctx, pause);
      continue;
    }
    const auto code = response.status == 401   ? Code::kUnauthenticated
                      : response.status == 403 ? Code::kPermissionDenied
                      : response.status == 429 ? Code::kResourceExhausted
                      : busy                   ? Code::kUnavailable
                                               : Code::kInvalidArgument;
    throw Error(code, name_ + ": " + std::string(method) + " " + std::string(path.substr(0, path.find('?'))) + " was answered with " + std::to_string(response.status) + ": " + MessageIn(response.body));
  }
}

std::optional<std::vector<std::string>> LabelsToMatch(const Principal& reader) {
  if (std::find(reader.labels.begin(), reader.labels.end(), "*") != reader.labels.end()) return std::nullopt;
  auto labels = reader.labels;
  if (!reader.user.empty()) labels.push_back(LabelOfUser(reader.user));
  return labels;
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

std::size_t DepthOf(const IndexQuery& query) {
  // As the embedded index: deep enough that what is second-rate in one list and first-rate in the other is seen, and more where something is taken away later.
  const auto wanted = query.offset + query.k;
  const bool both = !query.text.empty() && !query.vector.empty();
  return std::min(kMaxWindow, (both || query.per_group || query.diversity > 0) ? std::max<std::size_t>(50, 4 * wanted) : wanted);
}

IndexResult Combine(const IndexQuery& query, std::vector<RemoteHit> words, std::vector<RemoteHit> vectors) {
  struct Candidate {
    IndexHit hit;
    std::vector<float> vector;
    HitExplanation why;
  };
  std::map<std::string, Candidate> found;
  const bool both = !query.text.empty() && !query.vector.empty();
  const float vector_weight = both ? query.vector_weight : query.vector.empty() ? 0.0f : 1.0f;
  const auto take = [&](std::vector<RemoteHit>& list, float weight, bool is_vector) {
    const float best = list.empty() ? 0 : list.front().score, worst = list.empty() ? 0 : list.back().score;
    for (std::size_t i = 0; i < list.size(); ++i) {
      auto& one = found[list[i].id];
      one.hit.id = list[i].id;
      if (one.hit.group.empty()) one.hit.group = list[i].group;
      if (one.vector.empty()) one.vector = std::move(list[i].vector);
      (is_vector ? one.hit.vector_score : one.hit.bm25) = list[i].score;
      (is_vector ? one.why.vector_rank : one.why.word_rank) = static_cast<std::int64_t>(i) + 1;
      (is_vector ? one.why.vector_score : one.why.word_score) = list[i].score;
      if (!both) one.hit.score = list[i].score;
      else if (query.fusion == Fusion::kReciprocalRank) one.hit.score += weight * 61.0f / static_cast<float>(61 + i);
      else one.hit.score += weight * (best > worst ? (list[i].score - worst) / (best - worst) : 1.0f);
    }
  };
  take(words, 1 - vector_weight, false);
  take(vectors, vector_weight, true);
  std::vector<Candidate> ordered;
  for (auto& [id, one] : found) {
    one.why.fused = one.hit.score;
    ordered.push_back(std::move(one));
  }
  std::sort(ordered.begin(), ordered.end(), [](const Candidate& a, const Candidate& b) { return a.hit.score != b.hit.score ? a.hit.score > b.hit.score : a.hit.id < b.hit.id; });
  const auto wanted = query.offset + query.k;
  if (query.diversity > 0) {
    // Greedy maximal marginal relevance; relevance scaled to 0..1, likeness by cosine.
    const float best = ordered.empty() ? 1 : ordered.front().hit.score, worst = ordered.empty() ? 0 : ordered.back().hit.score;
    const auto relevance = [&](const Candidate& one) { return best > worst ? (one.hit.score - worst) / (best - worst) : 1.0f; };
    for (std::size_t i = 1; i < std::min(wanted, ordered.size()); ++i) {
      auto chosen = i;
      float chosen_value = -1e9f;
      for (std::size_t j = i; j < ordered.size(); ++j) {
        float likeness = 0;
        for (std::size_t p = 0; p < i; ++p) {
          const float norm = std::sqrt(Dot(ordered[j].vector, ordered[j].vector) * Dot(ordered[p].vector, ordered[p].vector));
          if (norm > 0) likeness = std::max(likeness, Dot(ordered[j].vector, ordered[p].vector) / norm);
        }
        const float value = (1 - query.diversity) * relevance(ordered[j]) - query.diversity * likeness;
        if (value > chosen_value) {
          chosen_value = value;
          chosen = j;
        }
      }
      std::rotate(ordered.begin() + static_cast<std::ptrdiff_t>(i), ordered.begin() + static_cast<std::ptrdiff_t>(chosen), ordered.begin() + static_cast<std::ptrdiff_t>(chosen) + 1);
    }
  }
  IndexResult out;
  std::map<std::string, std::size_t> of_group;
  std::size_t kept = 0;
  for (auto& one : ordered) {
    if (query.per_group && !one.hit.group.empty() && ++of_group[one.hit.group] > query.per_group) one.why.cut = "per_group";
    else if (kept >= wanted) one.why.cut = "k";
    else if (kept++ >= query.offset) out.hits.push_back(one.hit);
    if (query.explain) out.explanations.emplace_back(one.hit.id, one.why);
  }
  return out;
}

void CheckChanges(std::span<const IndexChange> changes, std::size_t dim, Metric metric) {
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const auto& record = changes[i].record;
    const auto fail = [&](const std::string& problem, const char* field) { throw Error(Code::kInvalidArgument, "record " + std::to_string(i) + ": " + problem, "records[" + std::to_string(i) + "]." + field); };
    if (record.id.empty() || record.id.size() > 512) fail("id: has 1 to 512 bytes", "id");
    if (changes[i].kind == IndexChange::Kind::kPut && !record.vector.empty()) {
      if (record.vector.size() != dim) fail("the vector has " + std::to_string(record.vector.size()) + " dimensions, the index " + std::to_string(dim), "vector");
      double squares = 0;
      for (const float x : record.vector) squares += std::isfinite(x) ? static_cast<double>(x) * x : std::numeric_limits<double>::quiet_NaN();
      if (!std::isfinite(squares)) fail("the vector holds a value that is not a number", "vector");
      if (metric == Metric::kCosine && squares == 0) fail("a vector of zeros has no direction, and this index compares directions", "vector");
    }
    if (changes[i].kind == IndexChange::Kind::kPut || changes[i].kind == IndexChange::Kind::kSetMetadata) {
      if (ToText(record.metadata).size() > kMaxMetadataBytes) fail("metadata has more than 40 KB", "metadata");
      for (const auto& [key, value] : record.metadata)
        if (!IsFlat(value)) fail("metadata '" + std::string(key) + "': must be a text, a number, true or false, a list of texts or a point {lat, lon}", "metadata");
    }
  }
}

void CheckQuery(const IndexQuery& query, std::size_t dim) {
  if (query.k < 1 || query.k > kMaxWindow) throw Error(Code::kInvalidArgument, "k: is 1 to 10000", "k");
  if (query.offset + query.k > kMaxWindow) throw Error(Code::kInvalidArgument, "offset: offset and k together are at most 10000", "offset");
  if (query.vector.empty()) return;
  if (query.vector.size() != dim) throw Error(Code::kInvalidArgument, "the query has " + std::to_string(query.vector.size()) + " dimensions, the index " + std::to_string(dim), "vector");
  for (const float x : query.vector)
    if (!std::isfinite(x)) throw Error(Code::kInvalidArgument, "the query's vector holds a value that is not a number", "vector");
}

}  // namespace tenfold::retrieval
