#pragma once
/// \file The `weaviate:` search index: one class with a tenant per namespace. Source: Weaviate's REST and GraphQL API, checked against server 1.34; 1.33 is needed for filters with a negation.
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "retrieval/search_index.h"

namespace tenfold::retrieval {

struct RemoteIndexOptions {
  std::size_t dim = 0;
  Metric metric = Metric::kCosine;
  std::string api_key;  ///< empty: none is sent
};

/// "http://host:port/Class" (the URL's part behind "weaviate:"); makes the class if it is not there. Words are matched by the stems that the embedded index uses,
/// scored by Weaviate's own BM25. Cost: one call a list; a filtered vector search of few records is exact, one of many is as good as Weaviate's graph.
/// Errors: kInvalidArgument (URL; a class of another metric or not made here), kUnauthenticated, kUnavailable.
std::unique_ptr<SearchIndex> OpenWeaviateIndex(const Context& ctx, std::string_view url, const RemoteIndexOptions& options);

/// What Weaviate calls a metric, for us as its client and as its server: "cosine", "dot", "l2-squared".
std::string WeaviateDistance(Metric metric);
std::optional<Metric> MetricOfWeaviateDistance(std::string_view name);
/// Between Weaviate's distance, nearest first, and our score, highest first: each is the other's opposite, of the cosine counted from 1.
float ScoreOfWeaviateDistance(Metric metric, float distance);
inline float WeaviateDistanceOfScore(Metric metric, float score) { return ScoreOfWeaviateDistance(metric, score); }

}  // namespace tenfold::retrieval
