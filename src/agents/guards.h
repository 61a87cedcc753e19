#pragma once
/// \file What stands between people, documents and the model. The loop calls it; floor `security` implements it.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace tenfold::agents {

/// A message after the input guard.
struct GuardedInput {
  std::string text;      ///< cleaned, personal data replaced by placeholders
  bool refused = false;
  std::string reason;    ///< the rule that refused it
  JsonArray findings;    ///< rules that fired, without the text that fired them
};

/// Text on its way to the reader. Push returns what may be shown now; what a later piece could change is held back.
class OutputFilter {
 public:
  virtual ~OutputFilter() = default;
  virtual std::string Push(std::string_view piece) = 0;
  virtual std::string Finish() = 0;
  /// What was withheld, by rule.
  virtual JsonArray findings() const = 0;
};

/// The guards of one conversation turn: placeholders made by CheckInput are restored by its filter. Used by one thread.
class TurnGuards {
 public:
  virtual ~TurnGuards() = default;
  virtual GuardedInput CheckInput(std::string_view text) = 0;
  /// The same masking for text that is shown to the model but is not under judgement, such as earlier turns.
  virtual std::string Mask(std::string_view text) = 0;
  /// Text from documents and tools: instructions in it are neutralised.
  virtual std::string CleanUntrusted(std::string_view text) = 0;
  /// `allowed`: texts this reader may see anyway; personal data and secrets that occur in none of them are withheld.
  virtual std::unique_ptr<OutputFilter> MakeFilter(std::vector<std::string> allowed) = 0;
};

struct GuardConfig;

/// Threads: safe.
class Guards {
 public:
  virtual ~Guards() = default;
  virtual std::unique_ptr<TurnGuards> BeginTurn(const GuardConfig& config) const = 0;
};

}  // namespace tenfold::agents
