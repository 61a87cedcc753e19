#pragma once
/// \file What comes in: hidden characters are removed, known ways of giving the model orders are found. It lowers risk; it proves no text harmless.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/describe.h"

namespace tenfold::security {

/// A rule that fired, and where in the cleaned text. Never the text itself.
struct GuardFinding {
  std::string rule;
  std::int64_t begin = 0;
  std::int64_t end = 0;
};
TENFOLD_DESCRIBE(GuardFinding, (rule), (begin), (end))

struct InputVerdict {
  std::string text;  ///< cleaned: no hidden characters, no control characters but tab and line end
  bool refused = false;
  std::string reason;  ///< the rule that refused it
  std::vector<GuardFinding> findings;
};

/// A user's message. Patterns are also looked for in the text with look-alike letters folded, and one level inside base64.
/// Cost: linear; about 20 µs for 500 bytes. Source: OWASP Top 10 for LLM applications, LLM01; Goodside, "ASCII smuggling", 2024.
InputVerdict CheckInput(std::string_view text);
/// Text from documents and tools: cleaned the same way; sentences that give orders to a model are cut out and reported, never refused.
InputVerdict CleanUntrusted(std::string_view text);

}  // namespace tenfold::security
