#include "serving/pinecone.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>

namespace tenfold::serving {
namespace {

using namespace std::chrono_literals;
using boost::json::string;
using retrieval::Collection;
using retrieval::IndexChange;
using retrieval::IndexRecord;
using retrieval::Metric;
using Kind = IndexChange::Kind;
using Parts = std::shared_ptr<const PineconeParts>;

constexpr std::size_t kMaxBatch = 1000;  // vectors, ids or lines of one request
constexpr std::size_t kScanPage = 1000;
constexpr std::size_t kWriteBodyBytes = 16u << 20;
constexpr std::string_view kDefaultNamespace = "__default__";
constexpr std::string_view kReadersTag = "tenfold_readers";

// What clients send. Names are the protocol's.

struct VectorIn {
  std::string id;
  std::vector<float> values;
  Json sparseValues;
  std::optional<JsonObject> metadata;
};
TENFOLD_DESCRIBE(VectorIn, (id, Required{}, Length{1, 512}), (values, Length{0, 4096}), (sparseValues), (metadata))

struct QueryRequest {
  std::int64_t topK = 0;
  std::optional<std::vector<float>> vector;
  std::optional<std::string> id;
  Json sparseVector, filter;
  bool includeValues = false, includeMetadata = false;
};
TENFOLD_DESCRIBE(QueryRequest, (topK, Required{}, Range{1, 10'000}), (vector, Length{0, 4096}), (id, Length{1, 512}), (sparseVector), (filter), (includeValues), (includeMetadata))

struct UpdateRequest {
  std::optional<std::string> id;
  Json filter, sparseValues;
  std::optional<std::vector<float>> values;
  std::optional<JsonObject> setMetadata;
  bool dryRun = false;
};
TENFOLD_DESCRIBE(UpdateRequest, (id, Length{1, 512}), (filter), (sparseValues), (values, Length{0, 4096}), (setMetadata), (dryRun))

struct DeleteRequest {
  std::optional<std::vector<std::string>> ids;
  bool deleteAll = false;
  Json filter;
};
TENFOLD_DESCRIBE(DeleteRequest, (ids, Length{0, kMaxBatch}), (deleteAll), (filter))

struct ScanRequest {
  Json filter;
  std::int64_t limit = 100;
  std::string paginationToken;
};
TENFOLD_DESCRIBE(ScanRequest, (filter, Required{}), (limit, Range{1, 1000}), (paginationToken, Length{0, 512}))

struct VectorsIn {
  std::vector<VectorIn> vectors;
};
TENFOLD_DESCRIBE(VectorsIn, (vectors, Required{}, Length{1, kMaxBatch}))

/// The body as a T, and the namespace, whose name is a word of C++.
template <class T>
std::pair<T, std::string> ReadBody(const HttpRequest& http) {
  auto json = http.body.empty() ? Json(JsonObject{}) : ParseJson(http.body);
  std::string name_space;
  if (auto* object = json.if_object()) {
    if (const auto* given = object->if_contains("namespace"); given && !given->is_null()) {
      if (!given->is_string()) throw Error(Code::kInvalidArgument, "namespace: must be a string", "namespace");
      name_space = AsView(given->get_string());
    }
  }
  if (name_space == kDefaultNamespace) name_space.clear();
  return {FromJson<T>(json, Unknown::kIgnore), std::move(name_space)};
}

std::string NamespaceOf(const HttpRequest& http) {
  const auto given = http.query.find("namespace");
  return given == http.query.end() || given->second == kDefaultNamespace ? std::string() : given->second;
}
std::string NamespaceInPath(const HttpRequest& http) {
  const auto& name = http.path_params.at("namespace");
  return name == kDefaultNamespace ? std::string() : name;
}
std::string_view NameOf(const std::string& name_space) { return name_space.empty() ? kDefaultNamespace : std::string_view(name_space); }

std::int64_t LimitOf(const HttpRequest& http) {
  const auto given = http.query.find("limit");
  if (given == http.query.end()) return 100;
  std::int64_t limit = 0;
  const auto [end, error] = std::from_chars(given->second.data(), given->second.data() + given->second.size(), limit);
  if (error != std::errc() || end != given->second.data() + given->second.size() || limit < 1 || limit > 1000) throw Error(Code::kInvalidArgument, "limit: is 1 to 1000", "limit");
  return limit;
}
std::string QueryText(const HttpRequest& http, const char* name) {
  const auto given = http.query.find(name);
  return given == http.query.end() ? std::string() : given->second;
}

void RefuseSparse(const Json& sparse, const std::string& path) {
  if (!sparse.is_null()) throw Error(Code::kUnimplemented, path + ": sparse vectors are not kept; words are searched in indexes created for a model (create_index_for_model)", path);
}

// Indexes.

std::string MetricName(Metric metric) { return metric == Metric::kCosine ? "cosine" : metric == Metric::kDot ? "dotproduct" : "euclidean"; }
Metric MetricOf(std::string_view name) {
  for (const auto metric : {Metric::kCosine, Metric::kDot, Metric::kEuclidean})
    if (MetricName(metric) == name) return metric;
  throw Error(Code::kInvalidArgument, "metric: must be cosine, dotproduct or euclidean", "metric");
}

const JsonObject* ObjectIn(const JsonObject& object, std::string_view name) {
  const auto* found = object.if_contains(name);
  return found ? found->if_object() : nullptr;
}
std::string TextIn(const JsonObject& object, std::string_view name, std::string otherwise = {}) {
  const auto* found = object.if_contains(name);
  return found && found->is_string() ? std::string(AsView(found->get_string())) : otherwise;
}

JsonObject AttributesOf(const Collection& row, std::string_view name) {
  const auto* found = ObjectIn(row.attributes, name);
  return found ? *found : JsonObject{};
}

/// With the fields of both the older API and that of 2026-07.
Json IndexJson(const PineconeParts& on, const HttpRequest& http, const Collection& row) {
  const auto place = AttributesOf(row, "place");
  const auto cloud = TextIn(place, "cloud", "aws"), region = TextIn(place, "region", "us-east-1");
  const auto metric = MetricName(row.metric);
  JsonObject out{{"name", row.name},
                 {"metric", metric},
                 {"dimension", row.dim},
                 {"vector_type", "dense"},
                 {"status", JsonObject{{"ready", true}, {"state", "Ready"}}},
                 {"host", std::string(on.is_tls ? "https://" : "http://") + std::string(http.header("host")) + "/pinecone/" + row.name},
                 {"spec", JsonObject{{"serverless", JsonObject{{"cloud", cloud}, {"region", region}}}}},
                 {"deployment", JsonObject{{"deployment_type", "managed"}, {"cloud", cloud}, {"region", region}}},
                 {"schema", JsonObject{{"fields", JsonObject{{"_values", JsonObject{{"type", "dense_vector"}, {"dimension", row.dim}, {"metric", metric}}}}}}},
                 {"deletion_protection", row.deletion_protected ? "enabled" : "disabled"},
                 {"tags", AttributesOf(row, "tags")}};
  if (!row.embedder.empty())
    out["embed"] = JsonObject{{"model", row.embedder}, {"metric", metric}, {"dimension", row.dim}, {"vector_type", "dense"}, {"field_map", JsonObject{{"text", TextIn(row.attributes, "text_field", "text")}}}};
  return out;
}

JsonObject ReadTags(const JsonObject& body) {
  JsonObject tags;
  if (const auto* given = ObjectIn(body, "tags"))
    for (const auto& [key, value] : *given) {
      if (!value.is_string()) throw Error(Code::kInvalidArgument, "tags." + std::string(key) + ": must be a string", "tags");
      if (!AsView(value.get_string()).empty()) tags[key] = value;
    }
  return tags;
}

/// An index of ours among the collections: those of other protocols are not shown.
bool IsIndex(const Collection& row) { return TextIn(row.attributes, "protocol") == "pinecone"; }

Collection NeedIndex(const PineconeParts& on, const Context& ctx, const std::string& name) {
  auto found = on.collections.Find(ctx, name);
  if (!found || !IsIndex(*found)) throw Error(Code::kNotFound, "there is no index '" + name + "'; GET /indexes lists yours", "name");
  return std::move(*found);
}

HttpResponse CreateIndex(const PineconeParts& on, const Context& ctx, const HttpRequest& http, bool for_model) {
  const auto json = ParseJson(http.body);
  const auto* body = json.if_object();
  if (!body) throw Error(Code::kInvalidArgument, "the body must be an object");
  Collection row{.name = TextIn(*body, "name")};
  JsonObject place;
  std::string metric = TextIn(*body, "metric", "cosine");
  const Json* dimension = body->if_contains("dimension");
  if (for_model) {
    const auto* embed = ObjectIn(*body, "embed");
    const auto model = embed ? TextIn(*embed, "model") : std::string();
    if (!on.embedder || model != on.embedder_id) throw Error(Code::kInvalidArgument, "embed.model: '" + model + "' is not here; this server embeds with " + (on.embedder ? "'" + on.embedder_id + "'" : std::string("no model")), "embed.model");
    const auto* fields = ObjectIn(*embed, "field_map");
    row.embedder = model;
    row.dim = on.embedder->dim();
    row.attributes["text_field"] = fields ? TextIn(*fields, "text", "text") : std::string("text");
    metric = TextIn(*embed, "metric", "cosine");
    place = {{"cloud", TextIn(*body, "cloud", "aws")}, {"region", TextIn(*body, "region", "us-east-1")}};
  } else {
    if (const auto* schema = ObjectIn(*body, "schema")) {
      const auto* fields = ObjectIn(*schema, "fields");
      if (!fields || fields->size() != 1 || !fields->begin()->value().is_object() || TextIn(fields->begin()->value().get_object(), "type") != "dense_vector")
        throw Error(Code::kUnimplemented, "schema.fields: an index here has one field, of type dense_vector; metadata needs no schema", "schema.fields");
      const auto& field = fields->begin()->value().get_object();
      dimension = field.if_contains("dimension");
      metric = TextIn(field, "metric", "cosine");
    }
    if (TextIn(*body, "vector_type", "dense") != "dense") throw Error(Code::kUnimplemented, "vector_type: only dense vectors are kept", "vector_type");
    const auto* spec = ObjectIn(*body, "spec");
    if (spec && !spec->contains("serverless")) throw Error(Code::kUnimplemented, "spec: only serverless indexes are made here", "spec");
    if (const auto* given = spec ? ObjectIn(*spec, "serverless") : ObjectIn(*body, "deployment")) place = {{"cloud", TextIn(*given, "cloud", "aws")}, {"region", TextIn(*given, "region", "us-east-1")}};
    if (!dimension || !dimension->is_int64() || dimension->get_int64() < 1) throw Error(Code::kInvalidArgument, "dimension: is 1 to 4096", "dimension");
    row.dim = dimension->get_int64();
  }
  row.metric = MetricOf(metric);
  row.deletion_protected = TextIn(*body, "deletion_protection") == "enabled";
  auto tags = ReadTags(*body);
  row.readers = TextIn(tags, kReadersTag);
  row.attributes["protocol"] = "pinecone";
  row.attributes["place"] = std::move(place);
  row.attributes["tags"] = std::move(tags);
  return JsonResponse(IndexJson(on, http, on.collections.Create(ctx, std::move(row))), 201);
}

HttpResponse ConfigureIndex(const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
  const auto& name = http.path_params.at("index");
  NeedIndex(on, ctx, name);
  const auto json = ParseJson(http.body);
  const auto* body = json.if_object();
  if (!body) throw Error(Code::kInvalidArgument, "the body must be an object");
  for (const auto& [key, value] : *body)
    if (key != "tags" && key != "deletion_protection") throw Error(Code::kUnimplemented, std::string(key) + ": cannot be changed; tags and deletion_protection can", std::string(key));
  const auto tags = ObjectIn(*body, "tags");
  const auto row = on.collections.Configure(ctx, name, [&](Collection& one) {
    if (const auto protection = TextIn(*body, "deletion_protection"); !protection.empty()) one.deletion_protected = protection == "enabled";
    if (!tags) return;
    auto merged = AttributesOf(one, "tags");  // an empty value takes a tag away
    for (const auto& [key, value] : *tags) {
      if (!value.is_string()) throw Error(Code::kInvalidArgument, "tags." + std::string(key) + ": must be a string", "tags");
      if (AsView(value.get_string()).empty()) merged.erase(key);
      else merged[key] = value;
    }
    one.readers = TextIn(merged, kReadersTag);
    one.attributes["tags"] = std::move(merged);
  });
  return JsonResponse(IndexJson(on, http, row));
}

// Records.

struct Opened {
  Collection row;
  std::shared_ptr<retrieval::SearchIndex> index;
};
Opened Open(const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
  const auto& name = http.path_params.at("index");
  auto row = NeedIndex(on, ctx, name);
  return {std::move(row), on.collections.Open(ctx, name)};
}

JsonObject VectorJson(const IndexRecord& record, bool values, bool metadata) {
  JsonObject out{{"id", record.id}};
  if (values) out["values"] = ToJson(record.vector);
  if (metadata && !record.metadata.empty()) out["metadata"] = record.metadata;
  return out;
}

Json Usage(std::int64_t read) { return JsonObject{{"readUnits", read}}; }

/// Calls `visit(records)` with those that `filter` holds for, in order of id after `after`, page by page, while it returns true. Returns the last id looked at, "" at the end.
std::string ScanMatching(retrieval::SearchIndex& index, const Context& ctx, const std::string& name_space, const retrieval::Filter& filter, std::string after, const std::function<bool(std::vector<IndexRecord>&&)>& visit) {
  for (;;) {
    ctx.Check();
    const auto ids = index.List(ctx, name_space, "", after, kScanPage);
    if (ids.empty()) return {};
    auto records = index.Fetch(ctx, name_space, ids);
    std::erase_if(records, [&](const IndexRecord& record) { return !filter.Matches(record.metadata); });
    after = ids.back();
    if (!visit(std::move(records))) return after;
    if (ids.size() < kScanPage) return {};
  }
}

HttpResponse Upsert(const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
  auto [request, name_space] = ReadBody<VectorsIn>(http);
  const auto opened = Open(on, ctx, http);
  std::vector<IndexChange> changes;
  changes.reserve(request.vectors.size());
  for (std::size_t i = 0; i < request.vectors.size(); ++i) {
    auto& vector = request.vectors[i];
    const auto path = "vectors[" + std::to_string(i) + "]";
    RefuseSparse(vector.sparseValues, path + ".sparseValues");
    if (vector.values.empty()) throw Error(Code::kInvalidArgument, path + ".values: must have " + std::to_string(opened.row.dim) + " numbers", path + ".values");
    changes.push_back({Kind::kPut, {.id = std::move(vector.id), .access = std::string(retrieval::kCollectionReaders), .vector = std::move(vector.values), .metadata = vector.metadata.value_or(JsonObject{})}});
  }
  opened.index->Write(ctx, name_space, changes);
  return JsonResponse(JsonObject{{"upsertedCount", changes.size()}});
}

JsonArray MatchesJson(retrieval::SearchIndex& index, const Context& ctx, const std::string& name_space, const retrieval::IndexResult& found, bool values, bool metadata) {
  std::unordered_map<std::string, IndexRecord> records;
  if (values || metadata) {
    std::vector<std::string> ids;
    for (const auto& hit : found.hits) ids.push_back(hit.id);
    for (auto& record : index.Fetch(ctx, name_space, ids)) records.emplace(record.id, std::move(record));
  }
  JsonArray matches;
  for (const auto& hit : found.hits) {
    const auto record = records.find(hit.id);
    if ((values || metadata) && record == records.end()) continue;  // gone in between
    auto match = record == records.end() ? JsonObject{{"id", hit.id}} : VectorJson(record->second, values, metadata);
    match["score"] = index.metric() == Metric::kEuclidean ? -hit.score : hit.score;  // Pinecone's is the squared distance, nearest first
    if (!values) match["values"] = JsonArray{};
    matches.push_back(std::move(match));
  }
  return matches;
}

HttpResponse Query(const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
  auto [request, name_space] = ReadBody<QueryRequest>(http);
  RefuseSparse(request.sparseVector, "sparseVector");
  const auto [row, index] = Open(on, ctx, http);
  retrieval::IndexQuery query;
  query.k = static_cast<std::size_t>(request.topK);
  if (!request.filter.is_null()) query.filter = retrieval::ParseFilter(request.filter);
  const bool has_vector = request.vector && !request.vector->empty();
  if (has_vector == request.id.has_value()) throw Error(Code::kInvalidArgument, "give either vector or id", "vector");
  retrieval::IndexResult found;
  if (has_vector) {
    query.vector = std::move(*request.vector);
  } else if (auto records = index->Fetch(ctx, name_space, std::span(&*request.id, 1)); !records.empty()) {
    query.vector = std::move(records.front().vector);
  }
  if (!query.vector.empty()) found = index->Search(ctx, name_space, query);
  return JsonResponse(JsonObject{{"matches", MatchesJson(*index, ctx, name_space, found, request.includeValues, request.includeMetadata)}, {"namespace", name_space}, {"usage", Usage(1)}});
}

HttpResponse Fetch(const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
  const auto ids = http.query_all("ids");
  if (ids.empty() || ids.size() > kMaxBatch) throw Error(Code::kInvalidArgument, "ids: 1 to " + std::to_string(kMaxBatch), "ids");
  const auto name_space = NamespaceOf(http);
  JsonObject vectors;
  for (const auto& record : Open(on, ctx, http).index->Fetch(ctx, name_space, ids)) vectors[record.id] = VectorJson(record, true, true);
  return JsonResponse(JsonObject{{"vectors", std::move(vectors)}, {"namespace", name_space}, {"usage", Usage(1)}});
}

HttpResponse FetchByMetadata(const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
  const auto [request, name_space] = ReadBody<ScanRequest>(http);
  const auto filter = retrieval::ParseFilter(request.filter);
  const auto limit = static_cast<std::size_t>(request.limit);
  JsonObject vectors;
  std::string last, next;
  ScanMatching(*Open(on, ctx, http).index, ctx, name_space, filter, request.paginationToken, [&](std::vector<IndexRecord>&& records) {
    for (const auto& record : records) {
      if (vectors.size() == limit) {
        next = last;
        return false;
      }
      vectors[record.id] = VectorJson(record, true, true);
      last = record.id;
    }
    return true;
  });
  JsonObject out{{"vectors", std::move(vectors)}, {"namespace", name_space}, {"usage", Usage(1)}};
  if (!next.empty()) out["pagination"] = JsonObject{{"next", next}};
  return JsonResponse(out);
}

HttpResponse Update(const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
  auto [request, name_space] = ReadBody<UpdateRequest>(http);
  RefuseSparse(request.sparseValues, "sparseValues");
  if (request.id.has_value() == !request.filter.is_null()) throw Error(Code::kInvalidArgument, "give either id or filter", "id");
  const auto index = Open(on, ctx, http).index;
  const auto& space = name_space;
  const auto part = [&](const std::string& id) { return IndexChange{Kind::kMerge, {.id = id, .vector = request.values.value_or(std::vector<float>()), .metadata = request.setMetadata.value_or(JsonObject{})}}; };
  if (request.id) {
    if (index->Fetch(ctx, name_space, std::span(&*request.id, 1)).empty()) throw Error(Code::kNotFound, "there is no record '" + *request.id + "'", "id");
    const auto change = part(*request.id);
    index->Write(ctx, name_space, {&change, 1});
    return JsonResponse(JsonObject{});
  }
  if (request.values) throw Error(Code::kInvalidArgument, "values: are set by id, not by filter", "values");
  std::int64_t matched = 0;
  ScanMatching(*index, ctx, name_space, retrieval::ParseFilter(request.filter), "", [&](std::vector<IndexRecord>&& records) {
    std::vector<IndexChange> changes;
    for (const auto& record : records) changes.push_back(part(record.id));
    if (!request.dryRun && !changes.empty()) index->Write(ctx, space, changes);
    matched += static_cast<std::int64_t>(records.size());
    return true;
  });
  return JsonResponse(JsonObject{{"matchedRecords", matched}});
}

HttpResponse Delete(const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
  const auto [request, name_space] = ReadBody<DeleteRequest>(http);
  const auto given = static_cast<int>(request.ids.has_value()) + static_cast<int>(request.deleteAll) + static_cast<int>(!request.filter.is_null());
  if (given != 1) throw Error(Code::kInvalidArgument, "give one of ids, deleteAll and filter", "ids");
  const auto index = Open(on, ctx, http).index;
  const auto& space = name_space;
  const auto remove = [&](const auto& items, const auto& id_of) {
    std::vector<IndexChange> changes;
    for (const auto& item : items) changes.push_back({Kind::kDelete, {.id = id_of(item)}});
    if (!changes.empty()) index->Write(ctx, space, changes);
  };
  if (request.deleteAll) index->DeleteNamespace(ctx, name_space);
  else if (request.ids) remove(*request.ids, [](const std::string& id) { return id; });
  else
    ScanMatching(*index, ctx, name_space, retrieval::ParseFilter(request.filter), "", [&](std::vector<IndexRecord>&& records) {
      remove(records, [](const IndexRecord& record) { return record.id; });
      return true;
    });
  return JsonResponse(JsonObject{});
}

HttpResponse List(const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
  const auto name_space = NamespaceOf(http);
  const auto limit = static_cast<std::size_t>(LimitOf(http));
  auto ids = Open(on, ctx, http).index->List(ctx, name_space, QueryText(http, "prefix"), QueryText(http, "paginationToken"), limit + 1);
  JsonObject out;
  if (ids.size() > limit) {
    ids.resize(limit);
    out["pagination"] = JsonObject{{"next", ids.back()}};
  }
  JsonArray vectors;
  for (const auto& id : ids) vectors.push_back(JsonObject{{"id", id}});
  out["vectors"] = std::move(vectors);
  out["namespace"] = name_space;
  out["usage"] = Usage(1);
  return JsonResponse(out);
}

HttpResponse Stats(const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
  if (!http.body.empty())
    if (const auto json = ParseJson(http.body); json.is_object())
      if (const auto* filter = json.get_object().if_contains("filter"); filter && !filter->is_null() && !(filter->is_object() && filter->get_object().empty()))
        throw Error(Code::kUnimplemented, "filter: statistics are of whole namespaces, as for every serverless index", "filter");
  const auto [row, index] = Open(on, ctx, http);
  JsonObject namespaces;
  std::int64_t total = 0;
  for (const auto& one : index->Namespaces(ctx)) {
    namespaces[one.name] = JsonObject{{"vectorCount", one.records}};
    total += one.records;
  }
  return JsonResponse(JsonObject{{"namespaces", std::move(namespaces)}, {"dimension", row.dim}, {"indexFullness", 0.0}, {"totalVectorCount", total}, {"metric", MetricName(row.metric)}, {"vectorType", "dense"}});
}

HttpResponse Namespaces(const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
  const auto limit = static_cast<std::size_t>(LimitOf(http));
  const auto after = QueryText(http, "paginationToken"), prefix = QueryText(http, "prefix");
  JsonArray list;
  JsonObject out;
  std::int64_t total = 0;
  for (const auto& one : Open(on, ctx, http).index->Namespaces(ctx)) {
    const auto name = NameOf(one.name);
    if (!name.starts_with(prefix)) continue;
    ++total;
    if (!after.empty() && one.name <= after) continue;
    if (list.size() < limit) list.push_back(JsonObject{{"name", string(name)}, {"record_count", one.records}});
    else if (!out.contains("pagination")) out["pagination"] = JsonObject{{"next", list.back().get_object().at("name")}};
  }
  out["namespaces"] = std::move(list);
  out["total_count"] = total;
  return JsonResponse(out);
}

HttpResponse DescribeNamespace(const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
  const auto name_space = NamespaceInPath(http);
  for (const auto& one : Open(on, ctx, http).index->Namespaces(ctx))
    if (one.name == name_space) return JsonResponse(JsonObject{{"name", string(NameOf(one.name))}, {"record_count", one.records}});
  throw Error(Code::kNotFound, "there is no namespace '" + std::string(NameOf(name_space)) + "'", "namespace");
}

// Texts, in indexes created for a model.

const Opened& NeedEmbedding(const PineconeParts& on, const Opened& opened) {
  if (opened.row.embedder.empty()) throw Error(Code::kFailedPrecondition, "index '" + opened.row.name + "' was not created for a model (create_index_for_model); send vectors");
  if (!on.embedder || opened.row.embedder != on.embedder_id) throw Error(Code::kFailedPrecondition, "index '" + opened.row.name + "' was made with '" + opened.row.embedder + "', which this server does not run");
  return opened;
}

HttpResponse UpsertRecords(const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
  const auto opened = Open(on, ctx, http);
  NeedEmbedding(on, opened);
  const auto field = TextIn(opened.row.attributes, "text_field", "text");
  std::vector<IndexChange> changes;
  std::vector<std::string> texts;
  std::size_t number = 0;
  for (std::string_view rest = http.body; !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const auto line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++number;
    if (line.find_first_not_of(" \r\t") == std::string_view::npos) continue;
    const auto path = "line " + std::to_string(number);
    const auto json = Within(path, [&] { return ParseJson(line); });
    if (!json.is_object()) throw Error(Code::kInvalidArgument, path + ": must be an object", path);
    auto fields = json.get_object();
    const auto id = TextIn(fields, "_id", TextIn(fields, "id")), text = TextIn(fields, field);
    if (id.empty()) throw Error(Code::kInvalidArgument, path + ": _id is missing", "_id");
    if (text.empty()) throw Error(Code::kInvalidArgument, path + ": the text, '" + field + "', is missing", field);
    fields.erase("_id");
    fields.erase("id");
    texts.push_back(text);
    changes.push_back({Kind::kPut, {.id = id, .access = std::string(retrieval::kCollectionReaders), .text = text, .metadata = std::move(fields)}});
    if (changes.size() > kMaxBatch) throw Error(Code::kInvalidArgument, "more than " + std::to_string(kMaxBatch) + " records in one request");
  }
  if (changes.empty()) throw Error(Code::kInvalidArgument, "no record was sent: one object a line");
  auto vectors = on.embedder->Embed(ctx, texts, models::EmbedKind::kPassage);
  for (std::size_t i = 0; i < changes.size(); ++i) changes[i].record.vector = std::move(vectors[i]);
  opened.index->Write(ctx, NamespaceInPath(http), changes);
  HttpResponse response;
  response.status = 201;
  return response;
}

HttpResponse SearchRecords(const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
  const auto opened = Open(on, ctx, http);
  const auto name_space = NamespaceInPath(http);
  const auto json = ParseJson(http.body);
  const auto* body = json.if_object();
  const auto* asked = body ? ObjectIn(*body, "query") : nullptr;
  if (!asked) throw Error(Code::kInvalidArgument, "query: is required", "query");
  if (const auto* rerank = body->if_contains("rerank"); rerank && !rerank->is_null()) throw Error(Code::kUnimplemented, "rerank: no model of that kind is served; what is found is ranked by words and vectors together", "rerank");
  const auto* top_k = asked->if_contains("top_k");
  if (!top_k || !top_k->is_int64() || top_k->get_int64() < 1 || top_k->get_int64() > 10'000) throw Error(Code::kInvalidArgument, "query.top_k: is 1 to 10000", "query.top_k");
  retrieval::IndexQuery query;
  query.k = static_cast<std::size_t>(top_k->get_int64());
  if (const auto* filter = asked->if_contains("filter"); filter && !filter->is_null()) query.filter = retrieval::ParseFilter(*filter, "query.filter");
  const auto* inputs = ObjectIn(*asked, "inputs");
  const auto* vector = ObjectIn(*asked, "vector");
  if (inputs) {
    NeedEmbedding(on, opened);
    const auto text = TextIn(*inputs, "text");
    if (text.empty() || text.size() > 8192) throw Error(Code::kInvalidArgument, "query.inputs.text: has 1 to 8192 bytes", "query.inputs.text");
    query.text = text;
    query.vector = std::move(on.embedder->Embed(ctx, std::span(&text, 1), models::EmbedKind::kQuery).front());
  } else if (const auto* values = vector ? vector->if_contains("values") : nullptr) {
    query.vector = FromJson<std::vector<float>>(*values);
  } else if (const auto id = TextIn(*asked, "id"); !id.empty()) {
    for (auto& record : opened.index->Fetch(ctx, name_space, std::span(&id, 1))) query.vector = std::move(record.vector);
    if (query.vector.empty()) throw Error(Code::kNotFound, "there is no record '" + id + "'", "query.id");
  } else {
    throw Error(Code::kInvalidArgument, "query: give inputs.text, vector.values or id", "query");
  }
  std::vector<std::string> wanted;
  if (const auto* fields = body->if_contains("fields"); fields && fields->is_array()) wanted = FromJson<std::vector<std::string>>(*fields);
  const bool all = wanted.empty() || std::find(wanted.begin(), wanted.end(), "*") != wanted.end();
  JsonArray hits;
  for (auto& match : MatchesJson(*opened.index, ctx, name_space, opened.index->Search(ctx, name_space, query), false, true)) {
    auto& one = match.get_object();
    JsonObject fields;
    if (const auto* metadata = ObjectIn(one, "metadata"))
      for (const auto& [key, value] : *metadata)
        if (all || std::find(wanted.begin(), wanted.end(), std::string_view(key)) != wanted.end()) fields[key] = value;
    hits.push_back(JsonObject{{"_id", one.at("id")}, {"_score", one.at("score")}, {"fields", std::move(fields)}});
  }
  return JsonResponse(JsonObject{{"result", JsonObject{{"hits", std::move(hits)}}}, {"usage", JsonObject{{"read_units", 1}, {"embed_total_tokens", inputs ? on.embedder->CountTokens(query.text) : 0}}}});
}

HttpResponse EmbedTexts(const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
  const auto json = ParseJson(http.body);
  const auto* body = json.if_object();
  const auto model = body ? TextIn(*body, "model") : std::string();
  if (!on.embedder || model != on.embedder_id) throw Error(Code::kNotFound, "model: '" + model + "' is not here; this server embeds with " + (on.embedder ? "'" + on.embedder_id + "'" : std::string("no model")), "model");
  const auto* inputs = body->if_contains("inputs");
  if (!inputs || !inputs->is_array() || inputs->get_array().empty() || inputs->get_array().size() > kMaxBatch) throw Error(Code::kInvalidArgument, "inputs: 1 to " + std::to_string(kMaxBatch) + " objects {text}", "inputs");
  std::vector<std::string> texts;
  std::int64_t tokens = 0;
  for (const auto& input : inputs->get_array()) {
    texts.push_back(input.is_object() ? TextIn(input.get_object(), "text") : std::string());
    if (texts.back().empty()) throw Error(Code::kInvalidArgument, "inputs[" + std::to_string(texts.size() - 1) + "].text: is missing", "inputs");
    tokens += on.embedder->CountTokens(texts.back());
  }
  const auto* parameters = ObjectIn(*body, "parameters");
  const bool is_query = parameters && TextIn(*parameters, "input_type") == "query";
  JsonArray data;
  for (const auto& vector : on.embedder->Embed(ctx, texts, is_query ? models::EmbedKind::kQuery : models::EmbedKind::kPassage)) data.push_back(JsonObject{{"values", ToJson(vector)}, {"vector_type", "dense"}});
  return JsonResponse(JsonObject{{"model", model}, {"vector_type", "dense"}, {"data", std::move(data)}, {"usage", JsonObject{{"total_tokens", tokens}}}});
}

}  // namespace

std::vector<Endpoint> MakePineconeEndpoints(Parts parts) {
  std::vector<Endpoint> rows;
  using Handle = HttpResponse (*)(const PineconeParts&, const Context&, const HttpRequest&);
  const auto add = [&rows, parts](const char* method, const char* path, std::chrono::seconds timeout, const char* summary, Handle handle, std::size_t body_limit = 1u << 20) {
    rows.push_back({method, path, Access::kUser, timeout, summary, [parts, handle](const Context& ctx, const HttpRequest& http) { return handle(*parts, ctx, http); }});
    rows.back().body_limit_bytes = body_limit;
  };
  add("GET", "/indexes", 10s, "The indexes you may search.", [](const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
    JsonArray list;
    for (const auto& row : on.collections.List(ctx))
      if (IsIndex(row)) list.push_back(IndexJson(on, http, row));
    return JsonResponse(JsonObject{{"indexes", std::move(list)}});
  });
  add("POST", "/indexes", 10s, "Makes an index of vectors.", [](const PineconeParts& on, const Context& ctx, const HttpRequest& http) { return CreateIndex(on, ctx, http, false); });
  add("POST", "/indexes/create-for-model", 10s, "Makes an index of texts, which the server embeds.", [](const PineconeParts& on, const Context& ctx, const HttpRequest& http) { return CreateIndex(on, ctx, http, true); });
  add("GET", "/indexes/{index}", 10s, "One index.", [](const PineconeParts& on, const Context& ctx, const HttpRequest& http) { return JsonResponse(IndexJson(on, http, NeedIndex(on, ctx, http.path_params.at("index")))); });
  add("PATCH", "/indexes/{index}", 10s, "Changes an index's tags or protects it from deletion.", ConfigureIndex);
  add("DELETE", "/indexes/{index}", 60s, "Deletes an index with its records.", [](const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
    NeedIndex(on, ctx, http.path_params.at("index"));
    on.collections.Delete(ctx, http.path_params.at("index"));
    return JsonResponse(JsonObject{}, 202);
  });
  add("POST", "/embed", 120s, "Vectors of texts.", EmbedTexts, 4u << 20);
  add("POST", "/pinecone/{index}/vectors/upsert", 60s, "Puts vectors.", Upsert, kWriteBodyBytes);
  add("POST", "/pinecone/{index}/query", 30s, "The nearest of a namespace that a filter lets through.", Query);
  add("GET", "/pinecone/{index}/vectors/fetch", 30s, "Vectors by id.", Fetch);
  add("POST", "/pinecone/{index}/vectors/fetch_by_metadata", 60s, "Vectors by filter.", FetchByMetadata);
  add("POST", "/pinecone/{index}/vectors/update", 60s, "Changes a part of a vector, or the metadata of all a filter lets through.", Update);
  add("POST", "/pinecone/{index}/vectors/delete", 60s, "Deletes vectors by id, by filter, or a whole namespace.", Delete);
  add("GET", "/pinecone/{index}/vectors/list", 30s, "Ids in order.", List);
  add("POST", "/pinecone/{index}/describe_index_stats", 30s, "How many vectors each namespace has.", Stats);
  add("GET", "/pinecone/{index}/namespaces", 30s, "Namespaces.", Namespaces);
  add("POST", "/pinecone/{index}/namespaces", 5s, "Refused: a namespace is there from its first vector on.", [](const PineconeParts&, const Context&, const HttpRequest&) -> HttpResponse {
    throw Error(Code::kUnimplemented, "a namespace is there from its first vector on and need not be created");
  });
  add("GET", "/pinecone/{index}/namespaces/{namespace}", 30s, "One namespace.", DescribeNamespace);
  add("DELETE", "/pinecone/{index}/namespaces/{namespace}", 60s, "Deletes a namespace with its vectors.", [](const PineconeParts& on, const Context& ctx, const HttpRequest& http) {
    Open(on, ctx, http).index->DeleteNamespace(ctx, NamespaceInPath(http));
    return JsonResponse(JsonObject{});
  });
  add("POST", "/pinecone/{index}/records/namespaces/{namespace}/upsert", 120s, "Puts texts, one object a line.", UpsertRecords, kWriteBodyBytes);
  add("POST", "/pinecone/{index}/records/namespaces/{namespace}/search", 30s, "Searches texts by words and meaning.", SearchRecords);
  return rows;
}

}  // namespace tenfold::serving
