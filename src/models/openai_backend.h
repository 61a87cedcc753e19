#pragma once
/// \file Generators behind any server that speaks OpenAI's API: OpenAI, vLLM, Ollama, another Tenfold.
#include <memory>
#include <string>
#include <string_view>

#include "models/generator.h"

namespace tenfold::models {

/// "openai:https://host/v1#model". The key never is part of it.
struct OpenAiUrl {
  std::string base;   ///< "https://host/v1"
  std::string model;
};
/// Errors: kInvalidArgument with the form.
OpenAiUrl ParseOpenAiUrl(std::string_view url);

/// `api_key` may be empty for a server that asks for none. `name` is the URL. A request is tried again, at most twice, only while nothing was given to on_text.
/// Tokens are counted by the server; CountTokens estimates four bytes each.
std::unique_ptr<Generator> OpenOpenAiGenerator(std::string_view url, std::string api_key);

}  // namespace tenfold::models
