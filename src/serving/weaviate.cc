#include "serving/weaviate.h"

#include <charconv>

#include "base/error.h"

namespace tenfold::serving {
namespace {

using namespace std::chrono_literals;
using boost::json::string;
using Objects = std::shared_ptr<WeaviateObjects>;
using Put = WeaviateObjects::Put;

constexpr std::size_t kMaxBatch = 10'000;

struct TenantIn {
  std::string name;
  std::string activityStatus = "HOT";
};
TENFOLD_DESCRIBE(TenantIn, (name, Required{}, Length{1, 64}), (activityStatus))

JsonObject BodyOf(const HttpRequest& http) {
  auto json = ParseJson(http.body);
  if (!json.is_object()) throw Error(Code::kInvalidArgument, "the body must be an object");
  return std::move(json.get_object());
}
std::string QueryText(const HttpRequest& http, const char* name) {
  const auto given = http.query.find(name);
  return given == http.query.end() ? std::string() : given->second;
}
std::string IdIn(const HttpRequest& http) {
  const auto& id = http.path_params.at("id");
  return NormalUuid(id).value_or(id);
}
const std::string& Class(const HttpRequest& http) { return http.path_params.at("class"); }

HttpResponse Empty(int status) {
  HttpResponse response;
  response.status = status;
  return response;
}

std::string TextIn(const JsonObject& in, std::string_view name) {
  const auto* found = in.if_contains(name);
  if (!found || found->is_null()) return {};
  if (!found->is_string()) throw Error(Code::kInvalidArgument, std::string(name) + ": must be a text", std::string(name));
  return std::string(AsView(found->get_string()));
}

WeaviateObject ReadObject(const JsonObject& in) {
  WeaviateObject out{.id = TextIn(in, "id")};
  if (const auto* properties = in.if_contains("properties"); properties && !properties->is_null()) {
    if (!properties->is_object()) throw Error(Code::kInvalidArgument, "properties: must be an object", "properties");
    out.properties = properties->get_object();
  }
  if (const auto* vector = in.if_contains("vector"); vector && !vector->is_null()) out.vector = FromJson<std::vector<float>>(*vector);
  if (const auto* vectors = in.if_contains("vectors"); vectors && !vectors->is_null() && !(vectors->is_object() && vectors->get_object().empty())) {
    if (!vectors->is_object() || vectors->get_object().size() != 1) throw Error(Code::kUnimplemented, "vectors: an object has one vector", "vectors");
    const auto& [name, value] = *vectors->get_object().begin();
    out.vector_name = std::string(name);
    out.vector = FromJson<std::vector<float>>(value);
  }
  return out;
}

JsonObject ObjectJson(const WeaviateClass& schema, const WeaviateObject& object, const std::string& tenant, bool with_vector) {
  JsonObject out{{"class", schema.name}, {"id", object.id}, {"properties", object.properties}, {"creationTimeUnix", object.created_ms}, {"lastUpdateTimeUnix", object.updated_ms}};
  if (!tenant.empty()) out["tenant"] = tenant;
  if (with_vector && !object.vector.empty()) {
    if (schema.vector_name.empty()) out["vector"] = ToJson(object.vector);
    else out["vectors"] = JsonObject{{schema.vector_name, ToJson(object.vector)}};
  }
  return out;
}

HttpResponse Meta(WeaviateObjects& on, const Context&, const HttpRequest& http) {
  JsonObject modules;
  if (on.embedder()) modules[kWeaviateModule] = JsonObject{{"name", on.embedder()->name()}};
  return JsonResponse(JsonObject{{"hostname", "http://" + std::string(http.header("host"))}, {"version", string(kWeaviateVersion)}, {"modules", std::move(modules)}, {"grpcMaxMessageSize", kWeaviateMessageBytes}});
}

HttpResponse Nodes(WeaviateObjects&, const Context&, const HttpRequest&) {
  // Without a queue's length clients send batches of a fixed size.
  return JsonResponse(JsonObject{{"nodes", JsonArray{JsonObject{{"name", "tenfold"}, {"status", "HEALTHY"}, {"version", string(kWeaviateVersion)}, {"gitHash", ""}, {"batchStats", JsonObject{{"ratePerSecond", 0}}}, {"shards", nullptr}}}}});
}

HttpResponse Schema(WeaviateObjects& on, const Context& ctx, const HttpRequest&) {
  JsonArray classes;
  for (auto& schema : on.List(ctx)) classes.push_back(std::move(schema.json));
  return JsonResponse(JsonObject{{"classes", std::move(classes)}});
}

// Tenants.

std::vector<TenantIn> ReadTenants(const HttpRequest& http) {
  auto tenants = FromJson<std::vector<TenantIn>>(ParseJson(http.body), Unknown::kIgnore);
  if (tenants.empty() || tenants.size() > kMaxBatch) throw Error(Code::kInvalidArgument, "send 1 to " + std::to_string(kMaxBatch) + " tenants");
  for (const auto& tenant : tenants)
    if (tenant.activityStatus != "HOT" && tenant.activityStatus != "ACTIVE") throw Error(Code::kUnimplemented, "activityStatus: '" + tenant.activityStatus.substr(0, 32) + "' is not kept; every tenant is active", "activityStatus");
  return tenants;
}
Json TenantJson(std::string_view name) { return JsonObject{{"name", string(name)}, {"activityStatus", "HOT"}}; }

HttpResponse ListTenants(WeaviateObjects& on, const Context& ctx, const HttpRequest& http) {
  JsonArray out;
  for (const auto& name : on.Tenants(ctx, Class(http))) out.push_back(TenantJson(name));
  return JsonResponse(out);
}
HttpResponse AddTenants(WeaviateObjects& on, const Context& ctx, const HttpRequest& http) {
  std::vector<std::string> names;
  JsonArray out;
  for (const auto& tenant : ReadTenants(http)) {
    names.push_back(tenant.name);
    out.push_back(TenantJson(tenant.name));
  }
  on.AddTenants(ctx, Class(http), names);
  return JsonResponse(out);
}
HttpResponse ChangeTenants(WeaviateObjects& on, const Context& ctx, const HttpRequest& http) {
  JsonArray out;
  for (const auto& tenant : ReadTenants(http)) {
    on.Open(ctx, Class(http), tenant.name);
    out.push_back(TenantJson(tenant.name));
  }
  return JsonResponse(out);
}
HttpResponse DeleteTenants(WeaviateObjects& on, const Context& ctx, const HttpRequest& http) {
  const auto names = FromJson<std::vector<std::string>>(ParseJson(http.body));
  if (names.empty() || names.size() > kMaxBatch) throw Error(Code::kInvalidArgument, "send 1 to " + std::to_string(kMaxBatch) + " names");
  on.DeleteTenants(ctx, Class(http), names);
  return Empty(200);
}
HttpResponse OneTenant(WeaviateObjects& on, const Context& ctx, const HttpRequest& http) {
  const auto opened = on.Open(ctx, Class(http), http.path_params.at("tenant"));
  return JsonResponse(TenantJson(opened.name_space));
}

// Objects.

HttpResponse Insert(WeaviateObjects& on, const Context& ctx, const HttpRequest& http) {
  const auto body = BodyOf(http);
  const auto name = TextIn(body, "class"), tenant = TextIn(body, "tenant");
  auto object = ReadObject(body);
  if (object.id.empty()) throw Error(Code::kInvalidArgument, "id: is missing; send a UUID of your own", "id");
  object = on.PutOne(ctx, name, tenant, std::move(object), Put::kNew);
  return JsonResponse(ObjectJson(on.Find(ctx, name), object, tenant, true));
}
HttpResponse Replace(WeaviateObjects& on, const Context& ctx, const HttpRequest& http) {
  const auto body = BodyOf(http);
  auto object = ReadObject(body);
  object.id = IdIn(http);
  const auto tenant = TextIn(body, "tenant");
  object = on.PutOne(ctx, Class(http), tenant, std::move(object), Put::kThere);
  return JsonResponse(ObjectJson(on.Find(ctx, Class(http)), object, tenant, true));
}
HttpResponse Update(WeaviateObjects& on, const Context& ctx, const HttpRequest& http) {
  const auto body = BodyOf(http);
  auto part = ReadObject(body);
  part.id = IdIn(http);
  on.Merge(ctx, Class(http), TextIn(body, "tenant"), std::move(part));
  return Empty(204);
}
HttpResponse Get(WeaviateObjects& on, const Context& ctx, const HttpRequest& http) {
  const auto tenant = QueryText(http, "tenant");
  const auto from = on.Open(ctx, Class(http), tenant);
  const auto id = IdIn(http);
  const auto found = WeaviateObjects::Fetch(ctx, from, {&id, 1});
  if (found.empty()) throw Error(Code::kNotFound, "there is no object with id '" + id.substr(0, 64) + "'", "id");
  if (http.method == "HEAD") return Empty(204);
  return JsonResponse(ObjectJson(from.schema, found[0], tenant, QueryText(http, "include").find("vector") != std::string::npos));
}
HttpResponse Delete(WeaviateObjects& on, const Context& ctx, const HttpRequest& http) {
  const auto id = IdIn(http);
  if (!on.DeleteOne(ctx, Class(http), QueryText(http, "tenant"), id)) throw Error(Code::kNotFound, "there is no object with id '" + id.substr(0, 64) + "'", "id");
  return Empty(204);
}
HttpResponse List(WeaviateObjects& on, const Context& ctx, const HttpRequest& http) {
  const auto name = QueryText(http, "class"), tenant = QueryText(http, "tenant"), asked = QueryText(http, "limit");
  if (name.empty()) throw Error(Code::kUnimplemented, "class: say whose objects; lists over all classes are not made", "class");
  std::size_t limit = 25;
  if (!asked.empty())
    if (const auto [end, error] = std::from_chars(asked.data(), asked.data() + asked.size(), limit); error != std::errc() || end != asked.data() + asked.size() || limit < 1 || limit > 1000) throw Error(Code::kInvalidArgument, "limit: is 1 to 1000", "limit");
  for (const char* other : {"offset", "sort", "order"})
    if (!QueryText(http, other).empty()) throw Error(Code::kUnimplemented, std::string(other) + ": is not done here; page with after", other);
  const auto from = on.Open(ctx, name, tenant);
  JsonArray objects;
  for (const auto& object : WeaviateObjects::Fetch(ctx, from, from.index->List(ctx, from.name_space, "", QueryText(http, "after"), limit))) objects.push_back(ObjectJson(from.schema, object, tenant, QueryText(http, "include").find("vector") != std::string::npos));
  const auto total = objects.size();
  return JsonResponse(JsonObject{{"objects", std::move(objects)}, {"totalResults", total}});
}

HttpResponse InsertBatch(WeaviateObjects& on, const Context& ctx, const HttpRequest& http) {
  const auto body = BodyOf(http);
  const auto* list = body.if_contains("objects");
  if (!list || !list->is_array() || list->get_array().empty() || list->get_array().size() > kMaxBatch) throw Error(Code::kInvalidArgument, "objects: 1 to " + std::to_string(kMaxBatch) + " objects", "objects");
  std::map<std::pair<std::string, std::string>, std::pair<std::vector<std::size_t>, std::vector<WeaviateObject>>> groups;  // by class and tenant
  for (std::size_t i = 0; i < list->get_array().size(); ++i) {
    const auto& one = list->get_array()[i];
    if (!one.is_object()) throw Error(Code::kInvalidArgument, "objects[" + std::to_string(i) + "]: must be an object", "objects");
    auto& [places, objects] = groups[{TextIn(one.get_object(), "class"), TextIn(one.get_object(), "tenant")}];
    places.push_back(i);
    objects.push_back(ReadObject(one.get_object()));
  }
  JsonArray out(list->get_array().size());
  for (auto& [of, group] : groups) {
    auto& [places, objects] = group;
    const auto errors = on.PutAll(ctx, of.first, of.second, objects);
    const auto schema = on.Find(ctx, of.first);
    for (std::size_t i = 0; i < places.size(); ++i) {
      auto json = ObjectJson(schema, objects[i], of.second, false);
      if (errors[i].empty()) json["result"] = JsonObject{{"status", "SUCCESS"}};
      else json["result"] = JsonObject{{"status", "FAILED"}, {"errors", JsonObject{{"error", JsonArray{JsonObject{{"message", errors[i]}}}}}}};
      out[places[i]] = std::move(json);
    }
  }
  return JsonResponse(out);
}

}  // namespace

std::vector<Endpoint> MakeWeaviateEndpoints(Objects objects) {
  std::vector<Endpoint> rows;
  using Handle = HttpResponse (*)(WeaviateObjects&, const Context&, const HttpRequest&);
  const auto add = [&rows, objects](const char* method, const char* path, std::chrono::seconds timeout, const char* summary, Handle handle, std::size_t body_limit = 1u << 20, Access access = Access::kUser) {
    rows.push_back({method, path, access, timeout, summary, [objects, handle](const Context& ctx, const HttpRequest& http) { return handle(*objects, ctx, http); }});
    rows.back().body_limit_bytes = body_limit;
  };
  const auto refuse = [&rows](const char* method, const char* path, const char* why) {
    rows.push_back({method, path, Access::kUser, 5s, std::string("Refused: ") + why, [why](const Context&, const HttpRequest&) -> HttpResponse { throw Error(Code::kUnimplemented, why); }});
  };
  const Handle ok = [](WeaviateObjects&, const Context&, const HttpRequest&) { return Empty(200); };
  add("GET", "/v1/.well-known/ready", 1s, "Weaviate's clients ask whether the server is ready.", ok, 1 << 10, Access::kPublic);
  add("GET", "/v1/.well-known/live", 1s, "Weaviate's clients ask whether the server lives.", ok, 1 << 10, Access::kPublic);
  add("GET", "/v1/.well-known/openid-configuration", 1s, "Not found: callers have API keys.", [](WeaviateObjects&, const Context&, const HttpRequest&) -> HttpResponse { throw Error(Code::kNotFound, "there is no OpenID provider; use an API key"); }, 1 << 10, Access::kPublic);
  add("GET", "/v1/meta", 5s, "Version and modules, for Weaviate's clients.", Meta);
  add("GET", "/v1/nodes", 5s, "The one node, for Weaviate's clients.", Nodes);
  add("GET", "/v1/schema", 10s, "The classes you may search.", Schema);
  add("POST", "/v1/schema", 10s, "Makes a class of objects.", [](WeaviateObjects& on, const Context& ctx, const HttpRequest& http) { return JsonResponse(on.Create(ctx, BodyOf(http)).json); });
  add("GET", "/v1/schema/{class}", 10s, "One class.", [](WeaviateObjects& on, const Context& ctx, const HttpRequest& http) { return JsonResponse(on.Find(ctx, Class(http)).json); });
  add("PUT", "/v1/schema/{class}", 10s, "Changes a class's description.", [](WeaviateObjects& on, const Context& ctx, const HttpRequest& http) { return JsonResponse(on.Change(ctx, Class(http), BodyOf(http)).json); });
  add("DELETE", "/v1/schema/{class}", 60s, "Deletes a class with its objects.", [](WeaviateObjects& on, const Context& ctx, const HttpRequest& http) {
    on.Delete(ctx, Class(http));
    return Empty(200);
  });
  add("POST", "/v1/schema/{class}/properties", 10s, "Adds a property to a class.", [](WeaviateObjects& on, const Context& ctx, const HttpRequest& http) {
    auto property = BodyOf(http);
    on.AddProperty(ctx, Class(http), property);
    return JsonResponse(property);
  });
  add("GET", "/v1/schema/{class}/shards", 10s, "The one shard of a class.", [](WeaviateObjects& on, const Context& ctx, const HttpRequest& http) {
    on.Find(ctx, Class(http));
    return JsonResponse(JsonArray{JsonObject{{"name", "tenfold"}, {"status", "READY"}, {"vectorQueueSize", 0}}});
  });
  add("GET", "/v1/schema/{class}/tenants", 10s, "A class's tenants.", ListTenants);
  add("POST", "/v1/schema/{class}/tenants", 30s, "Adds tenants.", AddTenants);
  add("PUT", "/v1/schema/{class}/tenants", 30s, "Keeps tenants active, as they all are.", ChangeTenants);
  add("DELETE", "/v1/schema/{class}/tenants", 60s, "Deletes tenants with their objects.", DeleteTenants);
  add("GET", "/v1/schema/{class}/tenants/{tenant}", 10s, "One tenant.", OneTenant);
  add("GET", "/v1/objects", 30s, "A class's objects in order of their ids.", List);
  add("POST", "/v1/objects", 60s, "Adds an object.", Insert, 4u << 20);
  add("GET", "/v1/objects/{class}/{id}", 30s, "One object.", Get);
  add("PUT", "/v1/objects/{class}/{id}", 60s, "Replaces an object.", Replace, 4u << 20);
  add("PATCH", "/v1/objects/{class}/{id}", 60s, "Changes some properties of an object.", Update, 4u << 20);
  add("DELETE", "/v1/objects/{class}/{id}", 30s, "Deletes an object.", Delete);
  add("POST", "/v1/batch/objects", 120s, "Puts objects, of any classes.", InsertBatch, kWeaviateMessageBytes);
  refuse("DELETE", "/v1/batch/objects", "objects are deleted by filter through gRPC, as clients from version 4 on do");
  refuse("POST", "/v1/batch/references", "references between objects are not kept");
  refuse("POST", "/v1/objects/{class}/{id}/references/{property}", "references between objects are not kept");
  refuse("POST", "/v1/graphql", "searches come through gRPC, as clients from version 4 on ask; GraphQL is not spoken");
  return rows;
}

}  // namespace tenfold::serving
