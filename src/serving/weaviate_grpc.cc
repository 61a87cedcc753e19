#include <algorithm>
#include <map>

#include <v1/batch_delete.pb.h>
#include <v1/tenants.pb.h>

#include "base/error.h"
#include "serving/weaviate.h"
#include "serving/weaviate_messages.h"

namespace tenfold::serving {
namespace {

namespace pb = weaviate::v1;
using namespace std::chrono_literals;
using retrieval::IndexChange;
using retrieval::IndexQuery;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxBatch = 10'000, kDeletePage = 1000;

float Since(Clock::time_point started) { return std::chrono::duration<float>(Clock::now() - started).count(); }

/// What the filter lets through; all without one.
retrieval::Filter FilterOf(const WeaviateClass& schema, const pb::Filters* filters) { return filters ? ReadWeaviateFilter(schema, *filters) : retrieval::Filter(); }

pb::BatchObjectsReply PutBatch(const Context& ctx, WeaviateObjects& on, const pb::BatchObjectsRequest& request) {
  const auto started = Clock::now();
  if (static_cast<std::size_t>(request.objects_size()) > kMaxBatch) throw Error(Code::kInvalidArgument, "objects: " + std::to_string(request.objects_size()) + " in one batch, at most " + std::to_string(kMaxBatch) + " are taken", "objects");
  pb::BatchObjectsReply reply;
  const auto fail = [&](int index, const std::string& message) {
    auto& error = *reply.add_errors();
    error.set_index(index);
    error.set_error(message);
  };
  std::map<std::pair<std::string, std::string>, std::pair<std::vector<int>, std::vector<WeaviateObject>>> groups;  // by class and tenant
  for (int i = 0; i < request.objects_size(); ++i) {
    const auto& one = request.objects(i);
    try {
      auto object = ReadWeaviateObject(one);
      auto& [places, objects] = groups[{one.collection(), one.tenant()}];
      places.push_back(i);
      objects.push_back(std::move(object));
    } catch (const Error& e) {
      fail(i, e.message());
    }
  }
  for (auto& [of, group] : groups) {
    auto& [places, objects] = group;
    try {
      const auto errors = on.PutAll(ctx, of.first, of.second, objects);
      for (std::size_t i = 0; i < places.size(); ++i)
        if (!errors[i].empty()) fail(places[i], errors[i]);
    } catch (const Error& e) {
      if (e.code() == Code::kCancelled || e.code() == Code::kDeadlineExceeded || e.code() == Code::kPermissionDenied) throw;
      for (const int place : places) fail(place, e.message());
    }
  }
  reply.set_took(Since(started));
  return reply;
}

pb::BatchDeleteReply DeleteBatch(const Context& ctx, WeaviateObjects& on, const pb::BatchDeleteRequest& request) {
  const auto started = Clock::now();
  const auto from = on.Open(ctx, request.collection(), request.tenant());
  if (!request.has_filters()) throw Error(Code::kInvalidArgument, "filters: are missing; to delete all objects delete the class", "filters");
  // A page is a commit. A dry run names what the first page would be at most.
  IndexQuery query{.k = request.dry_run() ? kMaxBatch : kDeletePage, .filter = FilterOf(from.schema, &request.filters()), .explain = true};
  pb::BatchDeleteReply reply;
  std::int64_t count = 0;
  for (;;) {
    ctx.Check();
    const auto found = from.index->Search(ctx, from.name_space, query);
    if (found.hits.empty()) break;
    std::vector<IndexChange> changes;
    for (const auto& hit : found.hits) {
      changes.push_back({IndexChange::Kind::kDelete, {.id = hit.id}});
      if (!request.verbose()) continue;
      auto& object = *reply.add_objects();
      object.set_uuid(UuidBytes(hit.id));
      object.set_successful(true);
    }
    count += static_cast<std::int64_t>(changes.size());
    if (!request.dry_run()) from.index->Write(ctx, from.name_space, changes);
    if (request.dry_run() && !request.verbose()) count = found.allowed;
    if (request.dry_run() || found.hits.size() < kDeletePage) break;
  }
  reply.set_matches(count);
  reply.set_successful(request.dry_run() ? 0 : count);
  reply.set_took(Since(started));
  return reply;
}

pb::TenantsGetReply GetTenants(const Context& ctx, WeaviateObjects& on, const pb::TenantsGetRequest& request) {
  const auto started = Clock::now();
  pb::TenantsGetReply reply;
  const auto& asked = request.names().values();
  for (const auto& name : on.Tenants(ctx, request.collection())) {
    if (request.has_names() && std::find(asked.begin(), asked.end(), name) == asked.end()) continue;
    auto& tenant = *reply.add_tenants();
    tenant.set_name(name);
    tenant.set_activity_status(pb::TENANT_ACTIVITY_STATUS_HOT);
  }
  reply.set_took(Since(started));
  return reply;
}

template <class Request, class Reply>
GrpcMethod Method(const char* name, std::chrono::milliseconds timeout, std::shared_ptr<WeaviateObjects> on, Reply (*call)(const Context&, WeaviateObjects&, const Request&)) {
  GrpcMethod out{std::string("/weaviate.v1.Weaviate/") + name, Access::kUser, timeout, {}};
  out.message_limit_bytes = kWeaviateMessageBytes;
  out.call = [on = std::move(on), call](const Context& ctx, std::string_view bytes) {
    Request request;
    if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) throw Error(Code::kInvalidArgument, "the message is no " + std::string(Request::descriptor()->full_name()));
    return call(ctx, *on, request).SerializeAsString();
  };
  return out;
}

}  // namespace

std::vector<GrpcMethod> MakeWeaviateMethods(std::shared_ptr<WeaviateObjects> on) {
  std::vector<GrpcMethod> rows;
  rows.push_back(Method("Search", 30s, on, SearchWeaviate));
  rows.push_back(Method("BatchObjects", 120s, on, PutBatch));
  rows.push_back(Method("BatchDelete", 120s, on, DeleteBatch));
  rows.push_back(Method("TenantsGet", 30s, on, GetTenants));
  rows.push_back(Method("Aggregate", 30s, on, AggregateWeaviate));
  return rows;
}

}  // namespace tenfold::serving
