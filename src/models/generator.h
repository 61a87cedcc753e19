#pragma once
/// \file The contract of every text generator: chat messages in, streamed text out. Engines see neither HTTP nor OpenAI's JSON.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/describe.h"
#include "base/json.h"

namespace tenfold::models {

/// One turn. `role` is system, user, assistant or tool, as the model's chat template knows it.
struct ChatMessage {
  std::string role;
  std::string content;
};
TENFOLD_DESCRIBE(ChatMessage, (role, Required{}, Length{1, 32}), (content, Required{}))

struct GenerateRequest {
  std::vector<ChatMessage> messages;
  std::uint32_t max_tokens = 512;
  float temperature = 0;          ///< 0 = greedy: the same request gives the same text
  std::optional<Json> schema;     ///< JSON Schema the text must satisfy; enforced while sampling
  std::vector<std::string> stop;  ///< the text ends before the first of these; they are never emitted
  std::string draft_text;         ///< text likely to be quoted (passages); speeds greedy decoding up, never changes what is said
  std::uint64_t seed = 0;         ///< used when temperature > 0
};

struct GenerateUsage {
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;      ///< of prompt_tokens, those whose state was kept from earlier requests
  std::uint32_t completion_tokens = 0;
  std::uint32_t drafted_tokens = 0;     ///< proposed by speculation
  std::uint32_t accepted_tokens = 0;    ///< of drafted_tokens, those the model agreed with
  std::int64_t ttft_us = 0;             ///< from the call to the first token, waiting included
  std::int64_t total_us = 0;
};
TENFOLD_DESCRIBE(GenerateUsage, (prompt_tokens), (cached_tokens), (completion_tokens), (drafted_tokens), (accepted_tokens), (ttft_us),
                 (total_us))

/// What a model's tokens cost, in US dollars per million; 0 for models of this machine.
struct TokenPrice {
  double input = 0;
  double cached_input = 0;
  double output = 0;
};
TENFOLD_DESCRIBE(TokenPrice, (input, Range{0, 10000}), (cached_input, Range{0, 10000}), (output, Range{0, 10000}))

/// In millionths of a dollar, rounded up.
std::int64_t CostOf(const TokenPrice& price, const GenerateUsage& usage);

struct GenerateResult {
  std::string text;
  std::string finish_reason;  ///< "stop": end of turn or a stop string; "length": max_tokens or the context was reached
  GenerateUsage usage;
};
TENFOLD_DESCRIBE(GenerateResult, (text), (finish_reason), (usage))

/// A loaded model that continues chats. Threads: safe; an engine may serialise requests, then a bounded queue waits.
class Generator {
 public:
  using OnText = std::function<void(std::string_view)>;

  virtual ~Generator() = default;
  /// Continues the chat. `on_text` (may be empty) gets the pieces of `text` in order, on the calling thread, each a whole number of
  /// UTF-8 characters; what it throws ends the generation and leaves this function.
  /// Errors: kCancelled, kDeadlineExceeded between tokens; kInvalidArgument for a prompt that does not fit (with both token
  /// counts), no messages, or a schema that cannot be enforced; kResourceExhausted when the queue is full.
  virtual GenerateResult Generate(const Context& ctx, const GenerateRequest& request, const OnText& on_text) = 0;
  /// Tokens of plain text in this model's vocabulary. Cost: linear, microseconds per kilobyte.
  virtual std::uint32_t CountTokens(std::string_view text) = 0;
  /// Prompt and completion together.
  virtual std::uint32_t context_tokens() const = 0;
  virtual std::string name() const = 0;
};

}  // namespace tenfold::models
