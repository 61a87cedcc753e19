#pragma once
/// \file For tests only: an embedder without a model.
#include <span>
#include <string>
#include <vector>

#include "models/embedder.h"
#include "models/embedder_url.h"
#include "retrieval/chunker.h"

namespace tenfold::retrieval {

/// How often each letter (modulo `dim`) is in a text, scaled to length 1. Another `dim` is another model.
class Letters : public models::Embedder {
 public:
  explicit Letters(std::uint32_t dim) : dim_(dim) {}
  std::vector<std::vector<float>> Embed(const Context& ctx, std::span<const std::string> texts, models::EmbedKind) override {
    ctx.Check();
    std::vector<std::vector<float>> out;
    for (const auto& text : texts) {
      auto& vector = out.emplace_back(dim_, 0.01f);
      for (const unsigned char c : text) vector[c % dim_] += 1;
      models::Normalise(vector);
    }
    return out;
  }
  std::uint32_t dim() const override { return dim_; }
  std::uint32_t max_tokens() const override { return 200; }
  std::string name() const override { return "letters"; }
  std::uint32_t CountTokens(std::string_view text) override { return EstimateTokens(text); }

 private:
  const std::uint32_t dim_;
};

}  // namespace tenfold::retrieval
