#pragma once
/// \file The options of an embedder's URL, the same for every back end, and what they do to any embedder: prefixes, fewer dimensions.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "models/embedder.h"

namespace tenfold::models {

/// "?dim=256&query_prefix=query:%20" and so on. Values are percent-encoded, '+' is a blank.
struct EmbedderOptions {
  std::string precision;       ///< fp32, bf16 or int8; only for a local model. Empty: the fastest of this machine
  std::uint32_t dim = 0;       ///< keep this many dimensions, the first ones, made length 1 again; 0: all. Only models trained for it (Matryoshka) keep their quality
  std::string query_prefix;    ///< put before every question
  std::string passage_prefix;  ///< put before every passage
  std::uint32_t max_tokens = 0;    ///< a text is cut there; 0: the back end's own
  std::uint32_t batch_texts = 0;   ///< texts of one request, at most 2048; only for a remote model; 0: the back end's own
  std::uint32_t batch_tokens = 0;  ///< tokens of one request, counted four bytes each; only for a remote model; 0: the back end's own
};

struct EmbedderUrl {
  std::string target;  ///< what is before the options: "all-minilm-l6-v2", "https://host/v1#model"
  std::string options_text;  ///< the options as they were written, without those that change no vector
  EmbedderOptions options;
};
/// Splits off the options: what follows the first '?', behind the '#' if there is one (a server's own query stays part of its address).
/// `remote`: whether precision (no) and batch (yes) are known. Errors: kInvalidArgument naming the options there are, or the range.
EmbedderUrl ParseEmbedderUrl(std::string_view url, bool remote);

/// Puts the prefixes before texts and keeps `dim` dimensions; null options give the embedder back. `name` is what the new one is called: it differs where vectors do.
/// max_tokens() is less by the longer prefix, so that a text and its prefix fit. Errors: kInvalidArgument if the model has fewer dimensions, or the prefix leaves no room.
std::unique_ptr<Embedder> WithOptions(std::unique_ptr<Embedder> embedder, const EmbedderOptions& options, std::string name);

/// In place, to length 1. False if the vector is empty, zero or not finite.
bool Normalise(std::vector<float>& vector);

}  // namespace tenfold::models
