#pragma once
/// \file Pinecone's REST API over our collections. Source: shared protocol notes 07; checked with the Python clients 7.3, 9.1 and 10.2 (API 2025-04, 2025-10 and 2026-07).
#include <memory>
#include <vector>

#include "base/http.h"
#include "models/embedder.h"
#include "retrieval/collections.h"

namespace tenfold::serving {

struct PineconeParts {
  retrieval::Collections& collections;
  models::Embedder* embedder;  ///< makes the vectors of indexes created for a model; may be null
  std::string embedder_id;
  bool is_tls = false;         ///< of the addresses given out
};

/// Rows for /indexes (control plane), /pinecone/{index}/… (data plane) and /embed. An index is a collection, and belongs to the user whose key created it. Its tag
/// `tenfold_readers` lists labels that may search it too. The namespaces "" and "__default__" are one.
std::vector<Endpoint> MakePineconeEndpoints(std::shared_ptr<const PineconeParts> parts);

}  // namespace tenfold::serving
