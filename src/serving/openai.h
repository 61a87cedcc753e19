#pragma once
/// \file OpenAI's HTTP API over the assistant and the bare models. Source: shared protocol notes 01, read from openai-python 3.3.1 and openai-node 7.57.0.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agents/assistant.h"
#include "base/http.h"
#include "models/embedder.h"
#include "models/generator.h"

namespace tenfold::serving {

struct ServedModel {
  std::string id;
  std::string owned_by;
};

struct OpenAiParts {
  agents::Assistant& assistant;
  workflows::Runs& runs;
  /// What GET /v1/models lists besides "assistant".
  std::function<std::vector<ServedModel>()> list_models;
  /// Null if there is no generator of that name.
  std::function<std::shared_ptr<models::Generator>(std::string_view)> generator;
  models::Embedder* embedder;  ///< may be null
  std::string embedder_id;
  Metrics& metrics;
};

/// Rows for /v1/models, /v1/chat/completions and /v1/embeddings. Model "assistant" is the whole stack; a model by name is the bare engine.
std::vector<Endpoint> MakeOpenAiEndpoints(std::shared_ptr<const OpenAiParts> parts);

}  // namespace tenfold::serving
