#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "retrieval/backends/weaviate.h"
#include "serving/weaviate_messages.h"

namespace tenfold::serving {
namespace {

namespace pb = weaviate::v1;
using boost::json::string;
using retrieval::IndexHit;
using retrieval::IndexQuery;
using retrieval::IndexResult;
using retrieval::Metric;

constexpr std::size_t kDefaultLimit = 10, kMostResults = 10'000;
constexpr std::string_view kQuestionLimit = "query: has at most 8192 bytes";

[[noreturn]] void Refuse(const char* field, const std::string& why) { throw Error(Code::kUnimplemented, std::string(field) + ": " + why, field); }

void RefuseUnknown(const pb::SearchRequest& request) {
  if (request.has_group_by()) Refuse("group_by", "results are not grouped");
  if (request.autocut() > 0) Refuse("auto_limit", "results are not cut where their scores jump; give a limit or a distance");
  if (request.has_generative()) Refuse("generative", "searches answer with objects; ask a model with what was found");
  if (request.has_rerank()) Refuse("rerank", "no module ranks again");
  if (request.has_boost()) Refuse("boost", "scores are not boosted");
  if (request.has_near_image() || request.has_near_audio() || request.has_near_video() || request.has_near_depth() || request.has_near_thermal() || request.has_near_imu()) Refuse("near_media", "only texts and vectors are searched by");
  if (request.has_properties() && request.properties().ref_properties_size() > 0) Refuse("return_references", "references between objects are not kept");
  if (request.metadata().query_profile()) Refuse("query_profile", "there are no shards to profile; ask for explain_score");
}

/// That the one vector of the class is meant.
void CheckTargets(const WeaviateClass& schema, const std::vector<std::string>& targets) {
  if (targets.size() > 1) Refuse("target_vector", "an object has one vector");
  const auto& own = schema.vector_name;
  if (!targets.empty() && targets[0] != own && !(own.empty() && targets[0] == "default"))
    throw Error(Code::kInvalidArgument, "target_vector: class '" + schema.name + "' has no vector '" + targets[0].substr(0, 64) + "', but " + (own.empty() ? "one without a name" : "'" + own + "'"), "target_vector");
}
template <class Message>
std::vector<std::string> TargetsOf(const Message& in) {
  if (in.targets().target_vectors_size() > 0) return {in.targets().target_vectors().begin(), in.targets().target_vectors().end()};
  return {in.target_vectors().begin(), in.target_vectors().end()};
}

std::vector<float> ReadVectors(const google::protobuf::RepeatedPtrField<pb::Vectors>& in) {
  if (in.size() > 1 || in[0].type() == pb::Vectors::VECTOR_TYPE_MULTI_FP32) Refuse("vector", "a search is by one vector");
  return ReadFloats(in[0].vector_bytes(), "vector");
}
std::vector<float> ReadNearVector(const WeaviateClass& schema, const pb::NearVector& in) {
  if (in.has_selection()) Refuse("diversity_selection", "results are not diversified here");
  auto targets = TargetsOf(in);
  if (in.vector_for_targets_size() > 1 || in.vector_per_target_size() > 1) Refuse("near_vector", "a search is by one vector");
  if (in.vectors_size() > 0) {
    CheckTargets(schema, targets);
    return ReadVectors(in.vectors());
  }
  if (in.vector_for_targets_size() == 1) {
    const auto& one = in.vector_for_targets(0);
    CheckTargets(schema, {one.name()});
    return one.vectors_size() > 0 ? ReadVectors(one.vectors()) : ReadFloats(one.vector_bytes(), "near_vector");
  }
  if (in.vector_per_target_size() == 1) {
    CheckTargets(schema, {in.vector_per_target().begin()->first});
    return ReadFloats(in.vector_per_target().begin()->second, "near_vector");
  }
  CheckTargets(schema, targets);
  return in.vector_bytes().empty() ? std::vector<float>(in.vector().begin(), in.vector().end()) : ReadFloats(in.vector_bytes(), "near_vector");
}

/// Words of a question: quotes and tildes mean something in our own language of questions and nothing in Weaviate's.
std::string WordsOf(const std::string& query) {
  if (query.size() > 8192) throw Error(Code::kInvalidArgument, std::string(kQuestionLimit), "query");
  auto out = query;
  std::replace_if(out.begin(), out.end(), [](char c) { return c == '"' || c == '~'; }, ' ');
  return out.find_first_not_of(" \t\r\n") == std::string::npos ? std::string() : out;
}

/// The words of all searched properties are one text here, so nothing less can be asked for.
void CheckProperties(const WeaviateClass& schema, const google::protobuf::RepeatedPtrField<std::string>& asked) {
  if (asked.empty()) return;
  std::vector<std::string> names, all;
  for (const auto& name : asked) names.push_back(WeaviatePropertyName(name));
  std::string list;
  for (const auto& [name, property] : schema.properties) {
    if (!property.is_searchable) continue;
    all.push_back(name);
    list += (list.empty() ? "" : ", ") + name;
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (names != all) Refuse("query_properties", "words are searched in all searchable properties together, without boosts (here: " + list + "); leave query_properties out, or set indexSearchable of the others to false");
}
void CheckOperator(const pb::SearchOperatorOptions& options) {
  if (options.operator_() == pb::SearchOperatorOptions::OPERATOR_AND || options.operator_() == pb::SearchOperatorOptions::OPERATOR_AND_CROSS || options.minimum_or_tokens_match() > 1)
    Refuse("operator", "a found object holds one of the words or more; quote nothing and filter by like for more");
}

/// What is asked for, and the farthest distance that is wanted.
struct Asked {
  IndexQuery query;
  std::optional<double> distance;
  bool by_distance = false;  ///< near_…: hits have a distance; else a score
};

template <class Near>
void SetThreshold(const Near& near, Metric metric, Asked& out) {
  out.by_distance = true;
  if (near.has_distance()) out.distance = near.distance();
  if (!near.has_certainty()) return;
  if (metric != Metric::kCosine) throw Error(Code::kInvalidArgument, "certainty: is told of cosines only; give a distance", "certainty");
  out.distance = 2 * (1 - near.certainty());
}

std::vector<float> VectorOf(const Context& ctx, const OpenWeaviateClass& from, const std::string& id) {
  const auto uuid = NormalUuid(id);
  if (!uuid) throw Error(Code::kInvalidArgument, "near_object: '" + id.substr(0, 64) + "' is no UUID", "near_object");
  auto found = WeaviateObjects::Fetch(ctx, from, {&*uuid, 1});
  if (found.empty() || found[0].vector.empty()) throw Error(Code::kNotFound, "near_object: there is no object '" + *uuid + "' with a vector", "near_object");
  return std::move(found[0].vector);
}
std::vector<float> ReadNearText(const Context& ctx, const WeaviateObjects& objects, const WeaviateClass& schema, const pb::NearTextSearch& in) {
  if (in.has_move_to() || in.has_move_away()) Refuse("move", "questions are not moved towards or away from others");
  if (in.has_selection()) Refuse("diversity_selection", "results are not diversified here");
  CheckTargets(schema, TargetsOf(in));
  if (in.query_size() != 1) Refuse("near_text", "a search is by one text");
  return objects.Embed(ctx, schema, in.query(0));
}

void ReadHybrid(const Context& ctx, const WeaviateObjects& objects, const WeaviateClass& schema, const pb::Hybrid& in, Asked& out) {
  CheckProperties(schema, in.properties());
  CheckOperator(in.bm25_search_operator());
  CheckTargets(schema, TargetsOf(in));
  if (in.has_selection()) Refuse("diversity_selection", "results are not diversified here");
  if (in.has_vector_distance()) Refuse("max_vector_distance", "is not asked of hybrid searches here; use near_vector");
  const float alpha = in.use_alpha_param() ? (in.has_alpha_param() ? in.alpha_param() : 0.75f) : in.alpha();
  if (!(alpha >= 0 && alpha <= 1)) throw Error(Code::kInvalidArgument, "alpha: is 0 to 1", "alpha");
  if (alpha < 1) out.query.text = WordsOf(in.query());
  if (alpha > 0) {
    if (in.vectors_size() > 0) out.query.vector = ReadVectors(in.vectors());
    else if (in.has_near_vector()) out.query.vector = ReadNearVector(schema, in.near_vector());
    else if (in.has_near_text()) out.query.vector = ReadNearText(ctx, objects, schema, in.near_text());
    else if (!in.vector_bytes().empty()) out.query.vector = ReadFloats(in.vector_bytes(), "vector");
    else if (in.vector_size() > 0) out.query.vector.assign(in.vector().begin(), in.vector().end());
    else out.query.vector = objects.Embed(ctx, schema, in.query());
  }
  if (out.query.text.empty() && out.query.vector.empty()) throw Error(Code::kInvalidArgument, "hybrid: the query has no words", "query");
  out.query.vector_weight = alpha;
  out.query.fusion = in.fusion_type() == pb::Hybrid::FUSION_TYPE_RANKED ? retrieval::Fusion::kReciprocalRank : retrieval::Fusion::kWeightedSum;
}

Asked ReadQuery(const Context& ctx, const WeaviateObjects& objects, const OpenWeaviateClass& from, const pb::SearchRequest& request) {
  Asked out;
  out.query.k = request.limit() == 0 ? kDefaultLimit : request.limit();
  out.query.offset = request.offset();
  if (out.query.k + out.query.offset > kMostResults) throw Error(Code::kInvalidArgument, "limit: together with offset is at most 10000; page with after", "limit");
  out.query.explain = request.metadata().explain_score();
  if (request.has_filters()) out.query.filter = ReadWeaviateFilter(from.schema, request.filters());
  const auto metric = from.row.metric;
  if (request.has_near_vector()) {
    out.query.vector = ReadNearVector(from.schema, request.near_vector());
    if (out.query.vector.empty()) throw Error(Code::kInvalidArgument, "near_vector: is empty", "near_vector");
    SetThreshold(request.near_vector(), metric, out);
  } else if (request.has_near_object()) {
    CheckTargets(from.schema, TargetsOf(request.near_object()));
    if (request.near_object().has_selection()) Refuse("diversity_selection", "results are not diversified here");
    out.query.vector = VectorOf(ctx, from, request.near_object().id());
    SetThreshold(request.near_object(), metric, out);
  } else if (request.has_near_text()) {
    out.query.vector = ReadNearText(ctx, objects, from.schema, request.near_text());
    SetThreshold(request.near_text(), metric, out);
  } else if (request.has_hybrid_search()) {
    ReadHybrid(ctx, objects, from.schema, request.hybrid_search(), out);
  } else if (request.has_bm25_search()) {
    CheckProperties(from.schema, request.bm25_search().properties());
    CheckOperator(request.bm25_search().search_operator());
    out.query.text = WordsOf(request.bm25_search().query());
    if (out.query.text.empty()) throw Error(Code::kInvalidArgument, "bm25: the query has no words", "query");
  }
  return out;
}

/// By a property's value, in steps of what every place asks for: all objects that the filter lets through are looked at.
std::vector<IndexHit> Sorted(const Context& ctx, const OpenWeaviateClass& from, const pb::SearchRequest& request, IndexQuery query) {
  const auto offset = query.offset, k = query.k;
  query.offset = 0;
  query.k = kMostResults;
  query.explain = true;
  const auto all = from.index->Search(ctx, from.name_space, query);
  if (static_cast<std::size_t>(all.allowed) > kMostResults) throw Error(Code::kUnimplemented, "sort: " + std::to_string(all.allowed) + " objects would be sorted, the limit is 10000; narrow them by a filter", "sort");
  std::vector<std::string> ids;
  for (const auto& hit : all.hits) ids.push_back(hit.id);
  std::vector<std::pair<std::vector<Json>, std::string>> rows;
  for (const auto& record : from.index->Fetch(ctx, from.name_space, ids)) {
    std::vector<Json> keys;
    for (const auto& by : request.sort_by()) {
      if (by.path_size() != 1) Refuse("sort", "references between objects are not kept");
      const auto name = by.path(0) == "_id" || by.path(0) == "id" ? std::string(kWeaviateId) : by.path(0) == "_creationTimeUnix" ? std::string(kWeaviateCreated) : by.path(0) == "_lastUpdateTimeUnix" ? std::string(kWeaviateUpdated) : WeaviatePropertyName(by.path(0));
      if (!name.starts_with('$') && !from.schema.properties.contains(name)) throw Error(Code::kInvalidArgument, "sort: no such prop with name '" + name.substr(0, 64) + "' found in class '" + from.schema.name + "'", "sort");
      const auto* value = record.metadata.if_contains(name);
      keys.push_back(value ? *value : Json());
    }
    rows.emplace_back(std::move(keys), record.id);
  }
  // Nothing comes before everything; values of a property are of one type.
  const auto less = [](const Json& a, const Json& b) {
    if (a.is_null() || b.is_null()) return a.is_null() && !b.is_null();
    if (a.is_number() && b.is_number()) return a.to_number<double>() < b.to_number<double>();
    if (a.is_string() && b.is_string()) return AsView(a.get_string()) < AsView(b.get_string());
    if (a.is_bool() && b.is_bool()) return !a.get_bool() && b.get_bool();
    return ToText(a) < ToText(b);
  };
  std::stable_sort(rows.begin(), rows.end(), [&](const auto& a, const auto& b) {
    for (int i = 0; i < request.sort_by_size(); ++i) {
      const auto& x = a.first[static_cast<std::size_t>(i)];
      const auto& y = b.first[static_cast<std::size_t>(i)];
      if (less(x, y)) return request.sort_by(i).ascending();
      if (less(y, x)) return !request.sort_by(i).ascending();
    }
    return false;
  });
  std::vector<IndexHit> out;
  for (std::size_t i = offset; i < rows.size() && out.size() < k; ++i) out.push_back({.id = rows[i].second, .group = {}});
  return out;
}

void WriteMetadata(const OpenWeaviateClass& from, const pb::MetadataRequest& asked, const Asked& how, const IndexHit& hit, const WeaviateObject& object, pb::MetadataResult& out) {
  out.set_id(object.id);
  out.set_id_as_bytes(UuidBytes(object.id));
  if (asked.creation_time_unix()) {
    out.set_creation_time_unix(object.created_ms);
    out.set_creation_time_unix_present(true);
  }
  if (asked.last_update_time_unix()) {
    out.set_last_update_time_unix(object.updated_ms);
    out.set_last_update_time_unix_present(true);
  }
  if (how.by_distance) {
    const auto distance = retrieval::WeaviateDistanceOfScore(from.row.metric, hit.score);
    if (asked.distance()) {
      out.set_distance(distance);
      out.set_distance_present(true);
    }
    if (asked.certainty() && from.row.metric == Metric::kCosine) {
      out.set_certainty(1 - distance / 2);
      out.set_certainty_present(true);
    }
  } else if (asked.score() && !(how.query.text.empty() && how.query.vector.empty())) {
    out.set_score(hit.score);
    out.set_score_present(true);
  }
  if (asked.is_consistent()) {
    out.set_is_consistent(true);
    out.set_is_consistent_present(true);
  }
  if (object.vector.empty()) return;
  const auto& name = from.schema.vector_name;
  if (asked.vector() && name.empty()) out.set_vector_bytes(WriteFloats(object.vector));
  const bool named = std::find(asked.vectors().begin(), asked.vectors().end(), name) != asked.vectors().end();
  if ((asked.vector() && !name.empty()) || (named && !name.empty())) {
    auto& one = *out.add_vectors();
    one.set_name(name);
    one.set_type(pb::Vectors::VECTOR_TYPE_SINGLE_FP32);
    one.set_vector_bytes(WriteFloats(object.vector));
  }
}

void WriteProperties(const WeaviateClass& schema, const pb::SearchRequest& request, const WeaviateObject& object, pb::PropertiesResult& out) {
  out.set_target_collection(schema.name);
  auto* fields = out.mutable_non_ref_props()->mutable_fields();
  const auto write = [&](const std::string& name, const WeaviateProperty& property) {
    const auto* value = object.properties.if_contains(name);
    WriteWeaviateValue(property.type, value ? *value : Json(), (*fields)[name]);
  };
  if (!request.has_properties() || request.properties().return_all_nonref_properties()) {
    for (const auto& [name, property] : schema.properties) write(name, property);
    return;
  }
  const auto add = [&](const std::string& asked) {
    const auto name = WeaviatePropertyName(asked);
    const auto found = schema.properties.find(name);
    if (found == schema.properties.end()) throw Error(Code::kInvalidArgument, "no such prop with name '" + name.substr(0, 64) + "' found in class '" + schema.name + "'", "return_properties");
    write(name, found->second);
  };
  for (const auto& name : request.properties().non_ref_properties()) add(name);
  for (const auto& object_property : request.properties().object_properties()) add(object_property.prop_name());
}

std::string ExplanationOf(const IndexResult& found, const std::string& id) {
  const auto why = std::find_if(found.explanations.begin(), found.explanations.end(), [&](const auto& one) { return one.first == id; });
  return why == found.explanations.end() ? std::string() : ToText(ToJson(why->second));
}

}  // namespace

pb::SearchReply SearchWeaviate(const Context& ctx, WeaviateObjects& objects, const pb::SearchRequest& request) {
  const auto started = std::chrono::steady_clock::now();
  RefuseUnknown(request);
  const auto from = objects.Open(ctx, request.collection(), request.tenant());
  auto asked = ReadQuery(ctx, objects, from, request);
  IndexResult found;
  const bool is_listing = asked.query.text.empty() && asked.query.vector.empty();
  if (request.sort_by_size() > 0) {
    if (!is_listing) Refuse("sort", "found objects come best first; sort fetched ones");
    found.hits = Sorted(ctx, from, request, asked.query);
  } else if (!request.after().empty()) {
    if (!is_listing || request.has_filters() || request.offset() > 0) throw Error(Code::kInvalidArgument, "after: goes through all objects in order of their ids, and with neither filter, search nor offset", "after");
    const auto after = NormalUuid(request.after());
    if (!after) throw Error(Code::kInvalidArgument, "after: '" + request.after().substr(0, 64) + "' is no UUID", "after");
    for (auto& id : from.index->List(ctx, from.name_space, "", *after, asked.query.k)) found.hits.push_back({.id = std::move(id), .group = {}});
  } else if (!asked.query.vector.empty() && from.row.dim == 0) {
    // No object has a vector yet, so none is near; words find what they find.
    asked.query.vector.clear();
    if (!asked.query.text.empty()) found = from.index->Search(ctx, from.name_space, asked.query);
  } else {
    found = from.index->Search(ctx, from.name_space, asked.query);
  }
  if (asked.distance) std::erase_if(found.hits, [&](const IndexHit& hit) { return static_cast<double>(retrieval::WeaviateDistanceOfScore(from.row.metric, hit.score)) > *asked.distance + 1e-6; });

  std::vector<std::string> ids;
  for (const auto& hit : found.hits) ids.push_back(hit.id);
  std::unordered_map<std::string, WeaviateObject> by_id;
  for (auto& object : WeaviateObjects::Fetch(ctx, from, ids)) by_id.emplace(object.id, std::move(object));
  pb::SearchReply reply;
  for (const auto& hit : found.hits) {
    const auto object = by_id.find(hit.id);
    if (object == by_id.end()) continue;  // gone in between
    auto& result = *reply.add_results();
    WriteProperties(from.schema, request, object->second, *result.mutable_properties());
    WriteMetadata(from, request.metadata(), asked, hit, object->second, *result.mutable_metadata());
    if (request.metadata().explain_score() && !is_listing) {
      result.mutable_metadata()->set_explain_score(ExplanationOf(found, hit.id));
      result.mutable_metadata()->set_explain_score_present(true);
    }
  }
  reply.set_took(std::chrono::duration<float>(std::chrono::steady_clock::now() - started).count());
  return reply;
}

}  // namespace tenfold::serving
