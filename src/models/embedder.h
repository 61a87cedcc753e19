#pragma once
/// \file The contract of every text embedder: texts in, unit-length vectors out.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"

namespace tenfold::models {

/// What a text is for: models that were trained with two prefixes or input types tell questions from passages; others ignore it.
enum class EmbedKind : std::uint8_t { kPassage, kQuery };

/// A loaded embedding model. Threads: all methods are safe from any thread.
class Embedder {
 public:
  virtual ~Embedder() = default;
  /// One vector per text, in order. Shapes: [texts.size(), dim()]. Units: length 1, so a dot product is the cosine.
  /// A text beyond max_tokens() is cut there; an empty text has a vector too. The same text gives the same vector in any batch.
  /// Errors: kCancelled, kDeadlineExceeded between texts.
  virtual std::vector<std::vector<float>> Embed(const Context& ctx, std::span<const std::string> texts, EmbedKind kind) = 0;
  virtual std::uint32_t dim() const = 0;
  virtual std::uint32_t max_tokens() const = 0;
  virtual std::string name() const = 0;
  /// What the vectors depend on: two embedders of one identity and dim give the same vector for the same text, whenever they were opened. As exact as the back end knows its model.
  virtual std::string identity() const { return name(); }
  /// Tokens of the text, special tokens included, before any cut.
  virtual std::uint32_t CountTokens(std::string_view text) = 0;
};

}  // namespace tenfold::models
