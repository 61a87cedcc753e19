#pragma once
/// \file The `pinecone:` search index. Source: Pinecone's REST API 2025-10, as in the shared protocol notes 07.
#include <memory>
#include <string_view>

#include "retrieval/backends/weaviate.h"

namespace tenfold::retrieval {

/// "name" of an index of the account, or "http(s)://host[/path]" of its data plane (the URL's part behind "pinecone:"). The index must be there, with the
/// metric and dimension of `options`. A dense index knows no words: a query of words alone is refused, one of both is answered by vectors alone, facets and
/// places are refused. A record needs a vector. Pinecone itself shows a write after a moment, not at once.
/// Errors: kInvalidArgument, kNotFound (no such index), kUnauthenticated, kUnavailable.
std::unique_ptr<SearchIndex> OpenPineconeIndex(const Context& ctx, std::string_view url, const RemoteIndexOptions& options);

}  // namespace tenfold::retrieval
