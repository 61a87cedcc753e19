#pragma once
/// \file Text generation from GGUF files with llama.cpp: chat templates, grammars, prefix reuse, drafting from quoted text.
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "models/generator.h"

namespace tenfold::models {

struct LlamaOptions {
  std::string name;                                ///< as requests and records call it
  std::uint32_t context_tokens = 4096;
  std::uint32_t threads = 2;
  std::size_t queue = 8;                           ///< requests that may wait for the one at work
  std::size_t prefix_cache_bytes = 256u << 20;     ///< for states of earlier prompts
};

/// Loads the model; one request computes at a time, the others wait in order.
/// A prompt that begins like an earlier one continues from that one's kept state. Message contents never become special tokens.
/// Cost: maps the file; context_tokens * 12 KiB (0.5B) of memory beside it. Errors: kNotFound, kDataLoss (cut short or altered), kResourceExhausted (memory),
/// kUnimplemented (built without llama.cpp).
std::unique_ptr<Generator> OpenLlamaGenerator(const std::filesystem::path& gguf, LlamaOptions options);

/// The file in the format that this CPU computes fastest, made beside `source` on first use: "q4_0" or "q8_0"; "as_is" is `source`.
/// Cost: about a second per 100 MB, once. Errors: kNotFound, kResourceExhausted (disk), kDataLoss.
std::filesystem::path PrepareGguf(const Context& ctx, const std::filesystem::path& source, std::string_view format);

}  // namespace tenfold::models
