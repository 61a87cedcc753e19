#include "retrieval/backends/pinecone.h"

#include <algorithm>
#include <set>

#include "base/crypto.h"
#include "retrieval/backends/remote.h"

namespace tenfold::retrieval {
namespace {

constexpr const char* kApiVersion = "2025-10";
constexpr const char* kControlPlane = "https://api.pinecone.io";
constexpr std::size_t kBatch = 100;       // the service takes 1,000 records or 2 MB
constexpr std::size_t kMaxIds = 100'000;  // that List() reads to put them in order

std::string StringOf(const JsonObject& from, std::string_view name) {
  const auto* value = from.if_contains(name);
  return value && value->is_string() ? std::string(AsView(value->get_string())) : std::string();
}

std::string Percent(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.' || c == '~') out += c;
    else (out += '%') += ToHex({&c, 1});
  }
  return out;
}

/// In Pinecone's language, which has no $not: a negation is pushed down to the comparisons. There a comparison says nothing of records without the field; here
/// $ne and $nin hold for them, so that is asked as well.
Json Translate(const Filter& filter, bool negated) {
  using Op = Filter::Op;
  const auto field = [&](const char* op, Json value) { return Json(JsonObject{{filter.field, JsonObject{{op, std::move(value)}}}}); };
  const auto or_absent = [&](Json condition) { return Json(JsonObject{{"$or", JsonArray{std::move(condition), field("$exists", false)}}}); };
  const auto range = [&](const char* op) {
    if (!filter.values.at(0).is_number()) throw Error(Code::kUnimplemented, "filter: pinecone orders numbers alone ('" + filter.field + "')");
    // What is not at least 5 may be a text, and no condition of Pinecone's says so.
    if (negated) throw Error(Code::kUnimplemented, "filter: pinecone cannot negate the comparison of '" + filter.field + "'; write the opposite one");
    return field(op, filter.values.at(0));
  };
  switch (filter.op) {
    case Op::kAnd:
    case Op::kOr: {
      JsonArray parts;
      for (const auto& part : filter.parts) parts.push_back(Translate(part, negated));
      return JsonObject{{(filter.op == Op::kAnd) != negated ? "$and" : "$or", std::move(parts)}};
    }
    case Op::kNot: return Translate(filter.parts.at(0), !negated);
    case Op::kEqual: return negated ? or_absent(field("$ne", filter.values.at(0))) : field("$eq", filter.values.at(0));
    case Op::kNotEqual: return negated ? field("$eq", filter.values.at(0)) : or_absent(field("$ne", filter.values.at(0)));
    case Op::kIn: return negated ? or_absent(field("$nin", filter.values)) : field("$in", filter.values);
    case Op::kNotIn: return negated ? field("$in", filter.values) : or_absent(field("$nin", filter.values));
    case Op::kExists: return field("$exists", filter.values.at(0).as_bool() != negated);
    case Op::kLess: return range("$lt");
    case Op::kLessOrEqual: return range("$lte");
    case Op::kGreater: return range("$gt");
    case Op::kGreaterOrEqual: return range("$gte");
    case Op::kLike:
    case Op::kLikeWord: throw Error(Code::kUnimplemented, "filter: pinecone knows no patterns ('" + filter.field + "')");
    case Op::kWithin: throw Error(Code::kUnimplemented, "filter: pinecone knows no places ('" + filter.field + "')");
  }
  return nullptr;
}

class PineconeIndex : public SearchIndex {
 public:
  PineconeIndex(const Context& ctx, std::string base, const RemoteIndexOptions& options)
      : options_(options), service_("pinecone", std::move(base), {{"api-key", options.api_key}, {"x-pinecone-api-version", kApiVersion}}) {
    const auto stats = Post(ctx, "/describe_index_stats", JsonObject{});
    if (const auto* dim = stats.if_contains("dimension"); dim && dim->is_number() && dim->to_number<std::size_t>() != options_.dim)
      throw Error(Code::kInvalidArgument, "pinecone: the index has " + std::to_string(dim->to_number<std::size_t>()) + " dimensions, " + std::to_string(options_.dim) + " are needed");
    if (const auto metric = StringOf(stats, "metric"); !metric.empty() && metric != MetricName()) throw Error(Code::kInvalidArgument, "pinecone: the index measures '" + metric + "', '" + MetricName() + "' is needed");
  }

  std::size_t dim() const override { return options_.dim; }
  Metric metric() const override { return options_.metric; }
  bool has_words() const override { return false; }

  void Write(const Context& ctx, std::string_view name_space, std::span<const IndexChange> changes) override {
    CheckChanges(changes, options_.dim, options_.metric);
    for (std::size_t at = 0; at < changes.size();) {
      auto end = at;
      const bool deletes = changes[at].kind == IndexChange::Kind::kDelete;
      // A change of a part reads the record first, so what was put before it must have been sent.
      std::set<std::string_view> sent;
      while (end < changes.size() && end < at + kBatch && (changes[end].kind == IndexChange::Kind::kDelete) == deletes) {
        const bool is_new = sent.insert(changes[end].record.id).second;
        if (!is_new && !deletes && changes[end].kind != IndexChange::Kind::kPut) break;
        ++end;
      }
      JsonArray items;
      for (const auto& change : changes.subspan(at, end - at)) {
        if (deletes) items.emplace_back(boost::json::string(change.record.id));
        else if (auto vector = VectorOf(ctx, name_space, change)) items.push_back(std::move(*vector));
      }
      if (deletes) Post(ctx, "/vectors/delete", {{"ids", std::move(items)}, {"namespace", name_space}});
      else if (!items.empty()) Post(ctx, "/vectors/upsert", {{"vectors", std::move(items)}, {"namespace", name_space}});
      at = end;
    }
  }

  IndexResult Search(const Context& ctx, std::string_view name_space, const IndexQuery& query) override {
    CheckQuery(query, options_.dim);
    if (!query.facets.empty()) throw Error(Code::kUnimplemented, "facets: pinecone counts no values; use the embedded index, postgresql: or weaviate:", "facets");
    IndexResult out;
    if (query.vector.empty()) {
      if (!query.text.empty()) throw Error(Code::kUnimplemented, "pinecone finds nothing by words alone; give a vector, or use the embedded index, postgresql: or weaviate:", "text");
      const auto ids = List(ctx, name_space, "", "", query.offset + query.k);
      for (std::size_t i = query.offset; i < ids.size(); ++i) out.hits.push_back({ids[i], "", 0, 0, 0});
      return out;
    }
    JsonArray vector, conditions;
    for (const float x : query.vector) vector.emplace_back(x);
    if (const auto labels = LabelsToMatch(ctx.principal())) {
      if (labels->empty()) return out;
      conditions.push_back(JsonObject{{"tf_access", JsonObject{{"$in", Texts(*labels)}}}});
    }
    if (query.groups) {
      if (query.groups->empty()) return out;
      conditions.push_back(JsonObject{{"tf_group", JsonObject{{"$in", Texts(*query.groups)}}}});
    }
    if (!query.filter.is_all()) conditions.push_back(Translate(query.filter, false));
    JsonObject asked{{"vector", std::move(vector)}, {"namespace", name_space}, {"includeMetadata", true}, {"includeValues", query.diversity > 0}};
    if (!conditions.empty()) asked["filter"] = JsonObject{{"$and", std::move(conditions)}};
    auto by_vector = query;
    by_vector.text.clear();
    return CombineDeepEnough(by_vector, [&](std::size_t depth) {
      asked["topK"] = depth;
      return BothLists{{}, HitsOf(Post(ctx, "/query", asked))};
    });
  }

  std::vector<IndexRecord> Fetch(const Context& ctx, std::string_view name_space, std::span<const std::string> ids) override {
    std::vector<IndexRecord> out;
    for (std::size_t at = 0; at < ids.size(); at += kBatch) {
      std::string path = "/vectors/fetch?namespace=" + Percent(name_space);
      const auto some = ids.subspan(at, std::min(kBatch, ids.size() - at));
      for (const auto& id : some) path += "&ids=" + Percent(id);
      const auto answer = Get(ctx, path);
      const auto& vectors = answer.at("vectors").as_object();
      for (const auto& id : some)
        if (const auto* found = vectors.if_contains(id)) {
          auto record = RecordOf(found->as_object());
          if (ctx.principal().MayRead(record.access)) out.push_back(std::move(record));
        }
    }
    return out;
  }

  std::vector<std::string> List(const Context& ctx, std::string_view name_space, std::string_view prefix, std::string_view after, std::size_t limit) override {
    std::set<std::string> ids;
    for (std::string token;;) {
      const auto answer = Get(ctx, "/vectors/list?limit=100&namespace=" + Percent(name_space) + "&prefix=" + Percent(prefix) + (token.empty() ? "" : "&paginationToken=" + Percent(token)));
      for (const auto& one : answer.at("vectors").as_array())
        if (auto id = StringOf(one.as_object(), "id"); id > after) ids.insert(std::move(id));
      const auto* pagination = answer.if_contains("pagination");
      auto next = pagination && pagination->is_object() ? StringOf(pagination->get_object(), "next") : std::string();
      if (!next.empty() && next == token) throw Error(Code::kUnavailable, "pinecone lists the same page for ever");
      token = std::move(next);
      if (token.empty()) break;
      if (ids.size() > kMaxIds) throw Error(Code::kResourceExhausted, "pinecone lists in no promised order, and more than " + std::to_string(kMaxIds) + " ids begin with '" + std::string(prefix) + "'; give a longer prefix");
    }
    std::vector<std::string> out(ids.begin(), ids.end());
    if (!LabelsToMatch(ctx.principal())) {
      if (out.size() > limit) out.resize(limit);
      return out;
    }
    std::vector<std::string> readable;
    for (std::size_t at = 0; at < out.size() && readable.size() < limit; at += kBatch)
      for (const auto& record : Fetch(ctx, name_space, std::span(out).subspan(at, std::min(kBatch, out.size() - at))))
        if (readable.size() < limit) readable.push_back(record.id);
    return readable;
  }

  std::vector<NamespaceInfo> Namespaces(const Context& ctx) override {
    std::vector<NamespaceInfo> out;
    const auto stats = Post(ctx, "/describe_index_stats", JsonObject{});
    if (const auto* namespaces = stats.if_contains("namespaces"); namespaces && namespaces->is_object())
      for (const auto& [name, info] : namespaces->get_object()) out.push_back({name == "__default__" ? "" : std::string(name), info.at("vectorCount").to_number<std::int64_t>()});
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return out;
  }

  void DeleteNamespace(const Context& ctx, std::string_view name_space) override {
    const Json body = JsonObject{{"deleteAll", true}, {"namespace", name_space}};
    service_.Call(ctx, "POST", "/vectors/delete", &body);  // 404: there was none
  }

 private:
  std::string MetricName() const {
    switch (options_.metric) {
      case Metric::kCosine: return "cosine";
      case Metric::kDot: return "dotproduct";
      case Metric::kEuclidean: return "euclidean";
    }
    return {};
  }
  std::vector<ListedHit> HitsOf(const JsonObject& answer) const {
    std::vector<ListedHit> hits;
    for (const auto& match : answer.at("matches").as_array()) {
      const auto& fields = match.as_object();
      ListedHit hit{StringOf(fields, "id"), ""};
      hit.score = fields.at("score").to_number<float>();
      if (options_.metric == Metric::kEuclidean) hit.score = -hit.score;  // Pinecone says the squared distance
      if (const auto* metadata = fields.if_contains("metadata"); metadata && metadata->is_object()) hit.group = StringOf(metadata->get_object(), "tf_group");
      if (const auto* values = fields.if_contains("values"); values && values->is_array())
        for (const auto& x : values->get_array()) hit.vector.push_back(x.to_number<float>());
      hits.push_back(std::move(hit));
    }
    return hits;
  }

  static JsonArray Texts(const std::vector<std::string>& texts) {
    JsonArray out;
    for (const auto& text : texts) out.emplace_back(boost::json::string(text));
    return out;
  }
  JsonObject Post(const Context& ctx, std::string_view path, const JsonObject& fields) {
    const Json body = fields;
    return Expect(path, service_.Call(ctx, "POST", path, &body));
  }
  JsonObject Get(const Context& ctx, std::string_view path) { return Expect(path, service_.Call(ctx, "GET", path)); }
  static JsonObject Expect(std::string_view path, const std::optional<Json>& answer) {
    if (!answer) throw Error(Code::kNotFound, "pinecone: there is no " + std::string(path.substr(0, path.find('?'))) + " there; is it the host of an index?");
    if (answer->is_null()) return {};
    if (!answer->is_object()) throw Error(Code::kUnavailable, "pinecone: " + std::string(path.substr(0, path.find('?'))) + " was not answered with an object");
    return answer->get_object();
  }

  /// What is written for a change; nothing if it changes a record that is not there.
  std::optional<Json> VectorOf(const Context& ctx, std::string_view name_space, const IndexChange& change) {
    auto record = change.record;
    if (change.kind != IndexChange::Kind::kPut) {
      // Its update merges metadata and so never removes a key: the whole record is written again.
      const auto answer = Get(ctx, "/vectors/fetch?namespace=" + Percent(name_space) + "&ids=" + Percent(record.id));
      const auto* found = answer.at("vectors").as_object().if_contains(record.id);
      if (!found) return std::nullopt;
      auto whole = RecordOf(found->as_object());
      ApplyPart(change, whole);
      record = std::move(whole);
    }
    if (record.vector.empty()) throw Error(Code::kInvalidArgument, "record '" + record.id + "': pinecone keeps no record without a vector", "vector");
    JsonArray values;
    for (const float x : record.vector) values.emplace_back(x);
    JsonObject metadata{{"tf_access", Texts(LabelsOf(record.access))}};
    for (const auto& [key, text] : {std::pair("tf_group", &record.group), std::pair("tf_title", &record.title), std::pair("tf_heading", &record.heading), std::pair("tf_text", &record.text)})
      if (!text->empty()) metadata[key] = *text;
    for (const auto& [key, value] : record.metadata) {
      if (std::string_view(key).starts_with("tf_")) throw Error(Code::kInvalidArgument, "record '" + record.id + "': metadata '" + std::string(key) + "': names that begin with 'tf_' are taken", "metadata");
      if (value.is_object()) throw Error(Code::kUnimplemented, "record '" + record.id + "': metadata '" + std::string(key) + "': pinecone keeps no places", "metadata");
      metadata[key] = value;
    }
    return JsonObject{{"id", record.id}, {"values", std::move(values)}, {"metadata", std::move(metadata)}};
  }

  static IndexRecord RecordOf(const JsonObject& vector) {
    IndexRecord record;
    record.id = StringOf(vector, "id");
    for (const auto& x : vector.at("values").as_array()) record.vector.push_back(x.to_number<float>());
    const auto* metadata = vector.if_contains("metadata");
    if (!metadata || !metadata->is_object()) return record;
    for (const auto& [key, value] : metadata->get_object()) {
      if (key == "tf_access" && value.is_array()) {
        for (const auto& label : value.get_array()) record.access += (record.access.empty() ? "" : ",") + std::string(AsView(label.as_string()));
      } else if (key == "tf_group") {
        record.group = AsView(value.as_string());
      } else if (key == "tf_title") {
        record.title = AsView(value.as_string());
      } else if (key == "tf_heading") {
        record.heading = AsView(value.as_string());
      } else if (key == "tf_text") {
        record.text = AsView(value.as_string());
      } else {
        record.metadata[key] = value;
      }
    }
    return record;
  }

  const RemoteIndexOptions options_;
  const JsonService service_;
};

}  // namespace

std::unique_ptr<SearchIndex> OpenPineconeIndex(const Context& ctx, std::string_view url, const RemoteIndexOptions& options) {
  if (url.empty()) throw Error(Code::kInvalidArgument, "pinecone: the URL is pinecone:NAME or pinecone:https://HOST");
  std::string host(url);
  while (host.ends_with('/')) host.pop_back();
  if (host.find("://") == std::string::npos) {
    const JsonService control("pinecone", kControlPlane, {{"api-key", options.api_key}, {"x-pinecone-api-version", kApiVersion}});
    const auto found = control.Call(ctx, "GET", "/indexes/" + Percent(host));
    if (!found || !found->is_object()) throw Error(Code::kNotFound, "pinecone: there is no index '" + host + "'");
    host = StringOf(found->get_object(), "host");
    if (host.find("://") == std::string::npos) host = "https://" + host;
  }
  return ExpectAnswers("pinecone", [&] { return std::make_unique<PineconeIndex>(ctx, host, options); });
}

}  // namespace tenfold::retrieval
