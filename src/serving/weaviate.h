#pragma once
/// \file Weaviate's API over our collections, for its clients of version 4: schema, tenants and single objects by REST, batches and searches by gRPC. A class is a collection and belongs to
/// the user whose key made it; a tenant is a namespace. Source: Weaviate's REST API and package weaviate.v1 (third_party/weaviate-proto); checked with the Python client 4.24.
#include <memory>
#include <vector>

#include "base/http.h"
#include "serving/grpc_server.h"
#include "serving/weaviate_objects.h"

namespace tenfold::serving {

/// The version clients are told: the one whose protocol is spoken, as its .proto files and the Python client have it; no server of it was run beside ours. From 1.36 on clients would stream their batches.
inline constexpr std::string_view kWeaviateVersion = "1.34.0";
inline constexpr std::size_t kWeaviateMessageBytes = 16u << 20;

/// Rows for /v1/meta, /v1/.well-known/…, /v1/schema, /v1/objects and /v1/batch/objects.
std::vector<Endpoint> MakeWeaviateEndpoints(std::shared_ptr<WeaviateObjects> objects);
/// Rows for the service weaviate.v1.Weaviate: Search, BatchObjects, BatchDelete, TenantsGet, Aggregate.
std::vector<GrpcMethod> MakeWeaviateMethods(std::shared_ptr<WeaviateObjects> objects);

}  // namespace tenfold::serving
