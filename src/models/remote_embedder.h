#pragma once
/// \file Embedders behind HTTP: OpenAI's API and all that speak it, Cohere's v2/embed, Ollama's /api/embed.
/// Sources of the protocols: platform.openai.com/docs/api-reference/embeddings, docs.cohere.com/reference/embed, docs.ollama.com/api/embed.
#include <memory>
#include <string>
#include <string_view>

#include "models/embedder.h"

namespace tenfold::models {

/// Each takes the options of embedder_url.h and asks for one embedding to learn the dimension. `name` is the URL without what changes no vector; the key never is part of it.
/// A list is sent in requests of at most `batch` texts and `batch_tokens` tokens, an attempt of each ends after 60 s; remote_server.h says what is tried again.
/// Tokens are counted by the server; CountTokens estimates four bytes each, and a text is cut at four bytes for each of max_tokens(), where the server would cut or refuse.
/// An empty text is sent as one blank, which these servers accept. Errors: as RemoteServer::Post; kUnavailable for an answer that is no list of embeddings, one a text, all of one length, finite.

/// "openai:https://host/v1#model". 64 texts and 65,536 tokens a request, max_tokens 8192.
std::unique_ptr<Embedder> OpenOpenAiEmbedder(const Context& ctx, std::string_view url, std::string api_key);
/// "cohere:model" or "cohere:https://host#model" for another address than https://api.cohere.com. Questions are sent as search_query, passages as search_document.
/// 96 texts a request (the API's limit) and 65,536 tokens, max_tokens 512; longer texts are cut by the server too.
std::unique_ptr<Embedder> OpenCohereEmbedder(const Context& ctx, std::string_view url, std::string api_key);
/// "ollama:model" or "ollama:http://host:11434#model"; without an address http://127.0.0.1:11434. 32 texts and 16,384 tokens a request, max_tokens 512; the server cuts at its model's own limit.
/// `dim` is sent along too: newer servers then send less.
std::unique_ptr<Embedder> OpenOllamaEmbedder(const Context& ctx, std::string_view url, std::string api_key);

}  // namespace tenfold::models
