#pragma once
/// \file Between Weaviate's protobuf messages and our types. Included by the few files that know both.
#include <string>
#include <string_view>
#include <vector>

#include <v1/aggregate.pb.h>
#include <v1/batch.pb.h>
#include <v1/search_get.pb.h>

#include "retrieval/filter.h"
#include "serving/weaviate_objects.h"

// Fields that the protocol calls deprecated are those that today's clients fill: the Python client's hybrid search knows no other.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace tenfold::serving {

/// Errors: kInvalidArgument with the path; kUnimplemented for references, lengths and what a property's type does not allow.
retrieval::Filter ReadWeaviateFilter(const WeaviateClass& schema, const weaviate::v1::Filters& filters);
/// Floats of four bytes, least first. Errors: kInvalidArgument.
std::vector<float> ReadFloats(std::string_view bytes, std::string_view path);
std::string WriteFloats(const std::vector<float>& vector);
/// Errors: kInvalidArgument, kUnimplemented (references).
WeaviateObject ReadWeaviateObject(const weaviate::v1::BatchObject& in);
/// `value` as Weaviate's REST API shows a property of that type; null makes a null.
void WriteWeaviateValue(WeaviateType type, const Json& value, weaviate::v1::Value& out);
/// 16 bytes. `uuid` is one.
std::string UuidBytes(std::string_view uuid);

/// One search and its answer. Errors: kInvalidArgument, kNotFound, kUnimplemented.
weaviate::v1::SearchReply SearchWeaviate(const Context& ctx, WeaviateObjects& objects, const weaviate::v1::SearchRequest& request);
/// Counts and sums of the objects that a filter lets through, in all or by the values of a property. Errors: the same; kResourceExhausted for too many different values.
weaviate::v1::AggregateReply AggregateWeaviate(const Context& ctx, WeaviateObjects& objects, const weaviate::v1::AggregateRequest& request);

}  // namespace tenfold::serving
