#pragma once
/// \file For tests and fuzzers of what OpenAI's clients send: a model that answers without one, and no guards.
#include "serving/openai.h"

namespace tenfold::serving {

/// Says what it was told last, in two pieces, and is held to no schema.
class EchoGenerator : public models::Generator {
 public:
  models::GenerateResult Generate(const Context&, const models::GenerateRequest& request, const OnText& on_text) override {
    models::GenerateResult out;
    out.text = request.messages.back().content;
    out.finish_reason = "stop";
    if (on_text && !out.text.empty()) on_text(out.text.substr(0, 1)), on_text(out.text.substr(1));
    return out;
  }
  std::uint32_t CountTokens(std::string_view text) override { return static_cast<std::uint32_t>(text.size()); }
  std::uint32_t context_tokens() const override { return 4096; }
  std::string name() const override { return "echo"; }
};

class NoGuards : public agents::Guards {
  std::unique_ptr<agents::TurnGuards> BeginTurn(const agents::GuardConfig&) const override { return nullptr; }
};

}  // namespace tenfold::serving
