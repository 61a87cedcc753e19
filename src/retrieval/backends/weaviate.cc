#include "retrieval/backends/weaviate.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <mutex>
#include <set>

#include "base/crypto.h"
#include "retrieval/backends/remote.h"
#include "retrieval/tokenize.h"

namespace tenfold::retrieval {
namespace {

constexpr std::size_t kBatch = 200;
// Equal scores come in no promised order, also where a list is cut: a few more are asked for and put in order of their ids.
constexpr std::size_t kTies = 32, kMostResults = 10'000;

std::string StringOf(const JsonObject& from, std::string_view name) {
  const auto* value = from.if_contains(name);
  return value && value->is_string() ? std::string(AsView(value->get_string())) : std::string();
}

/// A GraphQL string literal: JSON's escapes are GraphQL's.
std::string Quote(std::string_view text) { return ToText(Json(boost::json::string(text))); }

std::string QuoteAll(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const auto& text : texts) out += (out.size() > 1 ? "," : "") + Quote(text);
  return out + "]";
}

std::string Number(double value) {
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  std::string out(text, end);
  if (out.find_first_of(".en") == std::string::npos) out += ".0";  // valueNumber is a float to GraphQL
  return out;
}

char TypeOf(const Json& value) { return value.is_string() ? 't' : value.is_bool() ? 'b' : value.is_number() ? 'n' : value.is_array() ? 'l' : 'g'; }
/// A metadata key becomes a property with a letter for its type and its bytes in hexadecimal: a property's name is an identifier, and its type is fixed by
/// its first use.
std::string PropertyOf(std::string_view key, char type) { return std::string("m") + type + "_" + ToHex(key); }

/// Namespaces are any text, tenants are identifiers.
std::string TenantOf(std::string_view name_space) { return "n" + ToHex(name_space); }
std::string NamespaceOf(std::string_view tenant) {
  std::string out;
  for (std::size_t i = 1; i + 1 < tenant.size(); i += 2) {
    unsigned byte = 0;
    std::from_chars(tenant.data() + i, tenant.data() + i + 2, byte, 16);
    out += static_cast<char>(byte);
  }
  return out;
}

/// Version 8 of RFC 9562: our own bits.
std::string UuidOf(std::string_view id) {
  auto hex = Sha256Hex(id).substr(0, 32);
  hex[12] = '8';
  hex[16] = "89ab"[static_cast<unsigned char>(hex[16]) % 4];
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" + hex.substr(16, 4) + "-" + hex.substr(20);
}

std::string Words(std::string_view text) {
  std::string out;
  ForEachWord(text, [&](std::string_view stem) { out += (out.empty() ? "" : " ") + std::string(stem); });
  return out;
}

std::string And(std::vector<std::string> parts) {
  std::erase(parts, std::string());
  if (parts.empty()) return {};
  if (parts.size() == 1) return parts[0];
  std::string out = "{operator:And,operands:[";
  for (std::size_t i = 0; i < parts.size(); ++i) out += (i ? "," : "") + parts[i];
  return out + "]}";
}

class WeaviateIndex : public SearchIndex {
 public:
  WeaviateIndex(const Context& ctx, std::string base, std::string class_name, const RemoteIndexOptions& options)
      : options_(options), class_(std::move(class_name)),
        service_("weaviate", std::move(base), options.api_key.empty() ? std::vector<std::pair<std::string, std::string>>() : std::vector<std::pair<std::string, std::string>>{{"authorization", "Bearer " + options.api_key}}) {
    auto schema = service_.Call(ctx, "GET", "/v1/schema/" + class_);
    if (!schema) {
      const Json made = MakeClass();
      service_.Call(ctx, "POST", "/v1/schema", &made);
      schema = service_.Call(ctx, "GET", "/v1/schema/" + class_);
      if (!schema) throw Error(Code::kUnavailable, "weaviate: the class '" + class_ + "' was made and is not there");
    }
    const auto* config = schema->as_object().if_contains("vectorIndexConfig");
    if (config && config->is_object() && StringOf(config->get_object(), "distance") != Distance())
      throw Error(Code::kInvalidArgument, "weaviate: the class '" + class_ + "' measures '" + StringOf(config->get_object(), "distance") + "', this index needs '" + Distance() + "'; choose another class");
    for (const auto& property : schema->as_object().at("properties").as_array()) properties_.insert(StringOf(property.as_object(), "name"));
    if (!properties_.contains("tf_id") || !properties_.contains("tf_keys")) throw Error(Code::kInvalidArgument, "weaviate: the class '" + class_ + "' is somebody else's; choose another");
  }

  std::size_t dim() const override { return options_.dim; }
  Metric metric() const override { return options_.metric; }

  void Write(const Context& ctx, std::string_view name_space, std::span<const IndexChange> changes) override {
    CheckChanges(changes, options_.dim, options_.metric);
    // Weaviate has no transaction: a batch is one call per kind of change in a row, and one that fails in the middle is written again as a whole by the caller.
    enum class Step : std::uint8_t { kPut, kSet, kDelete };
    const auto step_of = [](const IndexChange& change) { return change.kind == IndexChange::Kind::kPut ? Step::kPut : change.kind == IndexChange::Kind::kDelete ? Step::kDelete : Step::kSet; };
    for (std::size_t at = 0; at < changes.size();) {
      const auto step = step_of(changes[at]);
      auto end = at;
      // What changes a part of a record reads it first, so one record is not twice in one call.
      for (std::set<std::string_view> ids; end < changes.size() && end < at + kBatch && step_of(changes[end]) == step && ids.insert(changes[end].record.id).second;) ++end;
      if (step == Step::kDelete) Delete(ctx, name_space, changes.subspan(at, end - at));
      else Put(ctx, name_space, changes.subspan(at, end - at));
      at = end;
    }
  }

  IndexResult Search(const Context& ctx, std::string_view name_space, const IndexQuery& query) override {
    CheckQuery(query, options_.dim);
    const auto where = WhereOf(ctx.principal(), query);
    if (!where) return {};
    const std::string additional = query.diversity > 0 ? "vector" : "";
    auto out = CombineDeepEnough(query, [&](std::size_t depth) {
      BothLists lists;
      if (query.text.empty() && query.vector.empty()) lists.words = Ask(ctx, name_space, depth, "sort:[{path:[\"tf_id\"],order:asc}]", *where, additional, false);
      if (const auto stems = Words(query.text); !stems.empty()) lists.words = Ask(ctx, name_space, depth, "bm25:{query:" + Quote(stems) + ",properties:[\"tf_words\"]}", *where, additional + " score", false);
      if (query.vector.empty()) return lists;
      std::string vector = "[";
      for (const float x : query.vector) vector += (vector.size() > 1 ? "," : "") + Number(x);
      lists.vectors = Ask(ctx, name_space, depth, "nearVector:{vector:" + vector + "]}", *where, additional + " distance", true);
      return lists;
    });
    for (const auto& facet : query.facets) out.facets[facet] = Count(ctx, name_space, facet, *where, query.facet_values);
    return out;
  }

  std::vector<IndexRecord> Fetch(const Context& ctx, std::string_view name_space, std::span<const std::string> ids) override {
    std::vector<IndexRecord> out;
    for (const auto& id : ids) {
      const auto found = CallObject(ctx, "GET", name_space, id);
      if (!found) continue;
      auto record = RecordOf(found->as_object());
      if (ctx.principal().MayRead(record.access)) out.push_back(std::move(record));
    }
    return out;
  }

  std::vector<std::string> List(const Context& ctx, std::string_view name_space, std::string_view prefix, std::string_view after, std::size_t limit) override {
    // No LIKE: '*' and '?' of an id would be wildcards. A prefix is a range of the ids' order.
    std::vector<std::string> conditions;
    if (const auto labels = LabelsToMatch(ctx.principal())) {
      if (labels->empty()) return {};
      conditions.push_back(ContainsAny("tf_access", *labels));
    }
    if (!prefix.empty()) conditions.push_back("{path:[\"tf_id\"],operator:GreaterThanEqual,valueText:" + Quote(prefix) + "}");
    if (!after.empty()) conditions.push_back("{path:[\"tf_id\"],operator:GreaterThan,valueText:" + Quote(after) + "}");
    std::vector<std::string> out;
    for (auto& hit : Ask(ctx, name_space, limit, "sort:[{path:[\"tf_id\"],order:asc}]", And(conditions), "", false)) {
      if (!hit.id.starts_with(prefix)) break;
      out.push_back(std::move(hit.id));
    }
    return out;
  }

  std::vector<NamespaceInfo> Namespaces(const Context& ctx) override {
    const auto tenants = service_.Call(ctx, "GET", "/v1/schema/" + class_ + "/tenants");
    std::vector<NamespaceInfo> out;
    if (!tenants || !tenants->is_array()) return out;
    for (const auto& tenant : tenants->get_array()) {
      const auto name = StringOf(tenant.as_object(), "name");
      const auto counted = Graph(ctx, "{Aggregate{" + class_ + "(tenant:" + Quote(name) + "){meta{count}}}}");
      const auto& rows = counted.at("Aggregate").at(class_).as_array();
      out.push_back({NamespaceOf(name), rows.empty() ? 0 : rows[0].at("meta").at("count").to_number<std::int64_t>()});
    }
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return out;
  }

  void DeleteNamespace(const Context& ctx, std::string_view name_space) override {
    const Json tenants = JsonArray{Json(boost::json::string(TenantOf(name_space)))};
    service_.Call(ctx, "DELETE", "/v1/schema/" + class_ + "/tenants", &tenants);
  }

 private:
  std::string Distance() const { return WeaviateDistance(options_.metric); }

  Json MakeClass() const {
    const auto text = [](const char* name, const char* type, const char* tokenization, bool filterable, bool searchable) {
      return JsonObject{{"name", name}, {"dataType", JsonArray{type}}, {"tokenization", tokenization}, {"indexFilterable", filterable}, {"indexSearchable", searchable}};
    };
    return JsonObject{{"class", class_},
                      {"vectorizer", "none"},
                      {"multiTenancyConfig", JsonObject{{"enabled", true}, {"autoTenantCreation", true}}},
                      {"invertedIndexConfig", JsonObject{{"bm25", JsonObject{{"k1", 1.2}, {"b", 0.75}}}, {"stopwords", JsonObject{{"preset", "none"}}}}},
                      {"vectorIndexType", "hnsw"},
                      {"vectorIndexConfig", JsonObject{{"distance", Distance()}}},
                      {"properties", JsonArray{text("tf_id", "text", "field", true, false), text("tf_group", "text", "field", true, false), text("tf_access", "text[]", "field", true, false), text("tf_keys", "text[]", "field", true, false),
                                               text("tf_title", "text", "field", false, false), text("tf_heading", "text", "field", false, false), text("tf_text", "text", "field", false, false),
                                               text("tf_meta", "text", "field", false, false), text("tf_words", "text", "whitespace", false, true)}}};
  }

  /// Adds the property a metadata key needs, once.
  void AddProperty(const Context& ctx, const std::string& name, char type) {
    {
      const std::lock_guard lock(mutex_);
      if (properties_.contains(name)) return;
    }
    const char* data_type = type == 't' ? "text" : type == 'n' ? "number" : type == 'b' ? "boolean" : type == 'l' ? "text[]" : "geoCoordinates";
    JsonObject property{{"name", name}, {"dataType", JsonArray{data_type}}, {"indexFilterable", true}};
    if (type == 't' || type == 'l') {
      property["tokenization"] = "field";
      property["indexSearchable"] = false;
    }
    const Json body = property;
    try {
      service_.Call(ctx, "POST", "/v1/schema/" + class_ + "/properties", &body);
    } catch (const Error& e) {
      if (e.code() != Code::kInvalidArgument || e.message().find("already exists") == std::string::npos) throw;  // another process was quicker
    }
    const std::lock_guard lock(mutex_);
    properties_.insert(name);
  }

  /// Nothing if it is not there; nor is anything in a tenant that is not.
  std::optional<Json> CallObject(const Context& ctx, const char* method, std::string_view name_space, std::string_view id) const {
    try {
      return service_.Call(ctx, method, "/v1/objects/" + class_ + "/" + UuidOf(id) + "?include=vector&tenant=" + TenantOf(name_space));
    } catch (const Error& e) {
      if (e.code() == Code::kInvalidArgument && e.message().find("tenant not found") != std::string::npos) return std::nullopt;
      throw;
    }
  }

  void Put(const Context& ctx, std::string_view name_space, std::span<const IndexChange> changes) {
    JsonArray objects;
    for (const auto& change : changes) {
      auto record = change.record;
      if (change.kind != IndexChange::Kind::kPut) {
        // A change of one part is a put of the whole: what is read back is what was written, so nothing is lost.
        const auto known = CallObject(ctx, "GET", name_space, record.id);
        if (!known) continue;
        auto whole = RecordOf(known->as_object());
        ApplyPart(change, whole);
        record = std::move(whole);
      }
      JsonArray access;
      for (auto& label : LabelsOf(record.access)) access.emplace_back(boost::json::string(label));
      JsonArray keys;
      for (const auto& [key, value] : record.metadata) keys.emplace_back(key);
      JsonObject properties{{"tf_keys", std::move(keys)}, {"tf_id", record.id}, {"tf_group", record.group}, {"tf_access", std::move(access)}, {"tf_title", record.title}, {"tf_heading", record.heading}, {"tf_text", record.text},
                            {"tf_meta", ToText(record.metadata)}, {"tf_words", Words(record.title + "\n" + record.heading + "\n" + record.text)}};
      for (const auto& [key, value] : record.metadata) {
        const auto name = PropertyOf(key, TypeOf(value));
        AddProperty(ctx, name, TypeOf(value));
        if (TypeOf(value) == 'g') properties[name] = JsonObject{{"latitude", value.at("lat")}, {"longitude", value.at("lon")}};
        else properties[name] = value;
      }
      JsonObject object{{"class", class_}, {"tenant", TenantOf(name_space)}, {"id", UuidOf(record.id)}, {"properties", std::move(properties)}};
      if (!record.vector.empty()) {
        JsonArray vector;
        for (const float x : record.vector) vector.emplace_back(x);
        object["vector"] = std::move(vector);
      }
      objects.push_back(std::move(object));
    }
    if (objects.empty()) return;
    const Json body = JsonObject{{"objects", std::move(objects)}};
    const auto done = service_.Call(ctx, "POST", "/v1/batch/objects", &body);
    if (!done || !done->is_array()) throw Error(Code::kUnavailable, "weaviate: a batch was not answered with a list");
    for (const auto& one : done->get_array()) {
      const auto& result = one.at("result").as_object();
      if (StringOf(result, "status") != "FAILED") continue;
      throw Error(Code::kInvalidArgument, "weaviate: a record was refused: " + ToText(result.contains("errors") ? result.at("errors") : Json(result)).substr(0, 300));
    }
  }

  void Delete(const Context& ctx, std::string_view name_space, std::span<const IndexChange> changes) {
    for (const auto& change : changes) CallObject(ctx, "DELETE", name_space, change.record.id);
  }

  static std::string ContainsAny(std::string_view property, const std::vector<std::string>& values) {
    return "{path:[" + Quote(property) + "],operator:ContainsAny,valueText:" + QuoteAll(values) + "}";
  }

  /// Everything that narrows the search; nothing if it leaves nobody.
  std::optional<std::string> WhereOf(const Principal& reader, const IndexQuery& query) const {
    std::vector<std::string> conditions;
    if (const auto labels = LabelsToMatch(reader)) {
      if (labels->empty()) return std::nullopt;
      conditions.push_back(ContainsAny("tf_access", *labels));
    }
    if (query.groups) {
      if (query.groups->empty()) return std::nullopt;
      conditions.push_back(ContainsAny("tf_group", *query.groups));
    }
    if (!query.filter.is_all()) {
      const auto filter = Translate(query.filter);
      if (filter == kNever) return std::nullopt;
      conditions.push_back(filter == kAlways ? "" : filter);
    }
    return And(conditions);
  }

  static constexpr const char* kNever = "!";   // no record
  static constexpr const char* kAlways = "*";  // every record

  bool Knows(std::string_view property) const {
    const std::lock_guard lock(mutex_);
    return properties_.contains(std::string(property));
  }

  /// One comparison with a value, over the properties of its type: a list holds what one of its elements holds. kNever if no record has such a property.
  std::string Compare(const std::string& field, const Json& value, std::string_view how) const {
    const auto type = TypeOf(value);
    if (type == 'b' && how != "Equal") return kNever;  // true is not more than false
    const auto literal = type == 't' ? "valueText:" + Quote(AsView(value.get_string())) : type == 'b' ? std::string("valueBoolean:") + (value.get_bool() ? "true" : "false") : "valueNumber:" + Number(value.to_number<double>());
    std::vector<std::string> either;
    for (const char property : {type, 'l'})
      if (const auto name = PropertyOf(field, property); (property != 'l' || type == 't') && Knows(name)) either.push_back("{path:[" + Quote(name) + "],operator:" + std::string(how) + "," + literal + "}");
    return Or(std::move(either));
  }

  static std::string Or(std::vector<std::string> parts) {
    std::erase(parts, std::string(kNever));
    if (parts.empty()) return kNever;
    if (std::find(parts.begin(), parts.end(), kAlways) != parts.end()) return kAlways;
    if (parts.size() == 1) return parts[0];
    std::string out = "{operator:Or,operands:[";
    for (std::size_t i = 0; i < parts.size(); ++i) out += (i ? "," : "") + parts[i];
    return out + "]}";
  }
  static std::string AllOf(std::vector<std::string> parts) {
    std::erase(parts, std::string(kAlways));
    if (parts.empty()) return kAlways;
    if (std::find(parts.begin(), parts.end(), kNever) != parts.end()) return kNever;
    return And(std::move(parts));
  }

  static std::string Not(const std::string& part) { return part == kNever ? kAlways : part == kAlways ? kNever : "{operator:Not,operands:[" + part + "]}"; }

  /// Not (server 1.33 and newer) holds for every record that its operand does not hold for, those without the property among them, as our negations do.
  std::string Translate(const Filter& filter) const {
    using Op = Filter::Op;
    const auto one_of = [&](const JsonArray& values) {
      std::vector<std::string> any;
      for (const auto& value : values) any.push_back(Compare(filter.field, value, "Equal"));
      return Or(std::move(any));
    };
    switch (filter.op) {
      case Op::kAnd:
      case Op::kOr: {
        std::vector<std::string> parts;
        for (const auto& part : filter.parts) parts.push_back(Translate(part));
        return filter.op == Op::kAnd ? AllOf(std::move(parts)) : Or(std::move(parts));
      }
      case Op::kNot: return Not(Translate(filter.parts.at(0)));
      case Op::kEqual:
      case Op::kIn: return one_of(filter.values);
      case Op::kNotEqual:
      case Op::kNotIn: return Not(one_of(filter.values));
      case Op::kExists: {
        const auto exists = ContainsAny("tf_keys", {filter.field});
        return filter.values.at(0).as_bool() ? exists : Not(exists);
      }
      case Op::kLess: return Compare(filter.field, filter.values.at(0), "LessThan");
      case Op::kLessOrEqual: return Compare(filter.field, filter.values.at(0), "LessThanEqual");
      case Op::kGreater: return Compare(filter.field, filter.values.at(0), "GreaterThan");
      case Op::kGreaterOrEqual: return Compare(filter.field, filter.values.at(0), "GreaterThanEqual");
      case Op::kLike:
      case Op::kLikeWord: throw Error(Code::kUnimplemented, "filter: patterns are not pushed down to Weaviate ('" + filter.field + "')");
      case Op::kWithin: {
        const auto name = PropertyOf(filter.field, 'g');
        if (!Knows(name)) return kNever;
        return "{path:[" + Quote(name) + "],operator:WithinGeoRange,valueGeoRange:{geoCoordinates:{latitude:" + Number(filter.values.at(0).to_number<double>()) + ",longitude:" + Number(filter.values.at(1).to_number<double>()) +
               "},distance:{max:" + Number(filter.values.at(2).to_number<double>()) + "}}}";
      }
    }
    return kNever;
  }

  /// The data of a GraphQL query. A tenant that is not there yet has no records.
  JsonObject Graph(const Context& ctx, std::string query) {
    const Json body = JsonObject{{"query", std::move(query)}};
    const auto answer = service_.Call(ctx, "POST", "/v1/graphql", &body);
    if (!answer || !answer->is_object()) throw Error(Code::kUnavailable, "weaviate: GraphQL is not served there");
    if (const auto* errors = answer->get_object().if_contains("errors"); errors && errors->is_array() && !errors->get_array().empty()) {
      const auto message = StringOf(errors->get_array()[0].as_object(), "message");
      if (message.find("tenant not found") != std::string::npos) return {};
      throw Error(Code::kUnavailable, "weaviate: " + message.substr(0, 300));
    }
    return answer->get_object().at("data").as_object();
  }

  std::vector<ListedHit> Ask(const Context& ctx, std::string_view name_space, std::size_t limit, const std::string& how, const std::string& where, const std::string& additional, bool distance) {
    const bool scored = additional.find("distance") != std::string::npos || additional.find("score") != std::string::npos;
    const auto asked = scored ? std::min(kMostResults, limit + kTies) : limit;
    const bool any = additional.find_first_not_of(' ') != std::string::npos;
    const auto data = Graph(ctx, "{Get{" + class_ + "(tenant:" + Quote(TenantOf(name_space)) + ",limit:" + std::to_string(asked) + "," + how + (where.empty() ? "" : ",where:" + where) + "){tf_id tf_group" +
                                     (any ? " _additional{" + additional + "}" : std::string()) + "}}}");
    std::vector<ListedHit> out;
    const auto* rows = data.if_contains("Get");
    if (!rows || !rows->at(class_).is_array()) return out;
    for (const auto& row : rows->at(class_).get_array()) {
      ListedHit hit{StringOf(row.as_object(), "tf_id"), StringOf(row.as_object(), "tf_group")};
      if (const auto* more = row.as_object().if_contains("_additional"); more && more->is_object()) {
        const auto& fields = more->get_object();
        if (const auto* d = fields.if_contains("distance"); distance && d && d->is_number()) hit.score = ScoreOf(d->to_number<float>());
        if (const auto score = StringOf(fields, "score"); !distance && !score.empty()) hit.score = std::strtof(score.c_str(), nullptr);
        if (const auto* vector = fields.if_contains("vector"); vector && vector->is_array())
          for (const auto& x : vector->get_array()) hit.vector.push_back(x.to_number<float>());
      }
      out.push_back(std::move(hit));
    }
    if (scored) std::sort(out.begin(), out.end(), [](const ListedHit& a, const ListedHit& b) { return a.score != b.score ? a.score > b.score : a.id < b.id; });
    if (out.size() > limit) out.resize(limit);
    return out;
  }

  float ScoreOf(float distance) const { return ScoreOfWeaviateDistance(options_.metric, distance); }

  std::vector<FacetCount> Count(const Context& ctx, std::string_view name_space, const std::string& facet, const std::string& where, std::size_t limit) {
    std::vector<FacetCount> out;
    for (const char type : {'t', 'n', 'b', 'l'}) {
      const auto name = PropertyOf(facet, type);
      if (!Knows(name)) continue;
      const auto data = Graph(ctx, "{Aggregate{" + class_ + "(tenant:" + Quote(TenantOf(name_space)) + (where.empty() ? "" : ",where:" + where) + ",groupBy:[" + Quote(name) + "],limit:" + std::to_string(limit) + "){groupedBy{value} meta{count}}}}");
      const auto* rows = data.if_contains("Aggregate");
      if (!rows || !rows->at(class_).is_array()) continue;
      for (const auto& row : rows->at(class_).get_array()) {
        Json value = row.at("groupedBy").at("value");
        const auto count = row.at("meta").at("count").to_number<std::int64_t>();
        // Weaviate says every value as a text.
        if (type == 'b' && value.is_string()) value = AsView(value.get_string()) == "true";
        else if (type == 'n' && value.is_string()) value = ParseJson(AsView(value.get_string()));
        out.push_back({std::move(value), count});
      }
    }
    std::sort(out.begin(), out.end(), [](const FacetCount& a, const FacetCount& b) { return a.count != b.count ? a.count > b.count : ToText(a.value) < ToText(b.value); });
    if (out.size() > limit) out.resize(limit);
    return out;
  }

  static IndexRecord RecordOf(const JsonObject& object) {
    const auto& properties = object.at("properties").as_object();
    IndexRecord record;
    record.id = StringOf(properties, "tf_id");
    record.group = StringOf(properties, "tf_group");
    record.title = StringOf(properties, "tf_title");
    record.heading = StringOf(properties, "tf_heading");
    record.text = StringOf(properties, "tf_text");
    if (const auto* access = properties.if_contains("tf_access"); access && access->is_array())
      for (const auto& label : access->get_array()) record.access += (record.access.empty() ? "" : ",") + std::string(AsView(label.as_string()));
    if (const auto metadata = StringOf(properties, "tf_meta"); !metadata.empty()) record.metadata = ParseJson(metadata).as_object();
    if (const auto* vector = object.if_contains("vector"); vector && vector->is_array())
      for (const auto& x : vector->get_array()) record.vector.push_back(x.to_number<float>());
    return record;
  }

  const RemoteIndexOptions options_;
  const std::string class_;
  const JsonService service_;
  mutable std::mutex mutex_;
  std::set<std::string> properties_;  // of the class, as far as this process knows
};

}  // namespace

std::string WeaviateDistance(Metric metric) {
  switch (metric) {
    case Metric::kCosine: return "cosine";
    case Metric::kDot: return "dot";
    case Metric::kEuclidean: return "l2-squared";
  }
  return {};
}

std::optional<Metric> MetricOfWeaviateDistance(std::string_view name) {
  for (const auto metric : {Metric::kCosine, Metric::kDot, Metric::kEuclidean})
    if (WeaviateDistance(metric) == name) return metric;
  return std::nullopt;
}

float ScoreOfWeaviateDistance(Metric metric, float distance) {
  switch (metric) {
    case Metric::kCosine: return 1 - distance;
    case Metric::kDot:
    case Metric::kEuclidean: return -distance;
  }
  return 0;
}

std::unique_ptr<SearchIndex> OpenWeaviateIndex(const Context& ctx, std::string_view url, const RemoteIndexOptions& options) {
  const auto slash = url.rfind('/');
  const auto scheme = url.find("://");
  const bool whole = scheme != std::string_view::npos && slash != std::string_view::npos && slash > scheme + 2 && slash + 1 < url.size();
  const auto name = whole ? url.substr(slash + 1) : std::string_view();
  if (!whole || !std::isupper(static_cast<unsigned char>(name[0])) || !std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '_'; }))
    throw Error(Code::kInvalidArgument, "weaviate: the URL is weaviate:http://host:port/Class, and a class begins with a capital letter");
  return ExpectAnswers("weaviate", [&] { return std::make_unique<WeaviateIndex>(ctx, std::string(url.substr(0, slash)), std::string(name), options); });
}

}  // namespace tenfold::retrieval
