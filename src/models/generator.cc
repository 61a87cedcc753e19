#include "models/generator.h"

#include <algorithm>
#include <cmath>

namespace tenfold::models {

std::int64_t CostOf(const TokenPrice& price, const GenerateUsage& usage) {
  const auto cached = std::min(usage.cached_tokens, usage.prompt_tokens);
  // Dollars per million tokens are millionths of a dollar per token.
  return static_cast<std::int64_t>(std::ceil(price.input * (usage.prompt_tokens - cached) + price.cached_input * cached + price.output * usage.completion_tokens));
}

}  // namespace tenfold::models
