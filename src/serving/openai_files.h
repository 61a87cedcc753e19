#pragma once
/// \file OpenAI's files and vector stores over ours. Source: shared protocol notes 01; checked with openai-python 3.57.
#include <memory>
#include <vector>

#include "base/http.h"
#include "retrieval/vector_stores.h"

namespace tenfold::serving {

/// Rows for /v1/files and /v1/vector_stores. A vector store is a collection, and belongs to who made it; its metadata `tenfold_readers` lists labels that may search it too.
std::vector<Endpoint> MakeOpenAiFileEndpoints(std::shared_ptr<retrieval::VectorStores> stores);

}  // namespace tenfold::serving
