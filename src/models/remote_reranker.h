#pragma once
/// \file Re-rankers behind HTTP: Cohere's v2/rerank, the form of it that Jina, vLLM and many others serve at /rerank, and that of text-embeddings-inference.
#include <memory>
#include <string>
#include <string_view>

#include "models/reranker.h"

namespace tenfold::models {

/// "cohere:model" or "cohere:https://host#model"; "jina:model" or "jina:http://host:port/v1#model" (Jina, vLLM and whoever speaks like them: POST {address}/rerank);
/// "tei:http://host:port" (text-embeddings-inference: POST {address}/rerank, the model is the server's). Nothing is asked of the server until Score is.
/// A call is one request; a passage is cut at 8,000 bytes. Scores outside 0..1 are brought there by the logistic function, of the whole answer alike.
/// Errors: kInvalidArgument for a URL that is none of these.
std::unique_ptr<Reranker> OpenRemoteReranker(std::string_view url, std::string api_key);

}  // namespace tenfold::models
