#include "agents/router.h"

#include <re2/re2.h>

#include <algorithm>
#include <numeric>

namespace tenfold::agents {
namespace {

constexpr std::string_view kKnowledge = "search_knowledge", kSmallTalk = "small_talk";
// A tool is chosen by example when the nearest one is this near. Chosen on questions that the sample's question set does not hold.
constexpr float kNearEnough = 0.60f;

// What people ask the help centre in words that lie near a tool's.
constexpr const char* kAboutPolicies[] = {"How long does delivery take?", "Can I cancel an order?", "How do I change my order?", "What does shipping cost?", "How do I return an order?", "What if my parcel is lost?",
                                          "When do I get my refund?", "How can I contact customer service?", "What are your opening hours?", "How do I track a parcel?", "Do you ship to my country?",
                                          "My parcel arrived damaged, what should I do?", "Is there a cut-off time for express delivery?", "Can I get an invoice for my order?", "What happens if I am not home for the delivery?",
                                          "How long do I have to report a missing parcel?", "Can I change the delivery address after ordering?"};

bool IsSmallTalk(std::string_view message) {
  static const RE2 pattern(R"((?i)^\s*(hi|hello|hey|good (morning|afternoon|evening)|thanks|thank you( very much| so much)?|thx|bye|goodbye|ok|okay|great|perfect|cool)[\s!.,:)]*$)");
  return RE2::FullMatch(re2::StringPiece(message.data(), message.size()), pattern);
}

}  // namespace

Router::Router(std::span<const Tool> tools, models::Embedder* embedder) : tools_(tools), embedder_(embedder) {
  if (!embedder_) return;
  std::vector<std::string> texts;
  for (const auto& tool : tools_)
    for (const auto& example : tool.examples) {
      examples_.push_back({tool.name, example, {}});
      texts.push_back(example);
    }
  for (const char* text : kAboutPolicies) {
    examples_.push_back({std::string(kKnowledge), text, {}});
    texts.emplace_back(text);
  }
  auto vectors = embedder_->Embed(Context::System("router"), texts, models::EmbedKind::kQuery);
  for (std::size_t i = 0; i < examples_.size(); ++i) examples_[i].vector = std::move(vectors[i]);
}

Route Router::Decide(const Context& ctx, std::string_view message, std::span<const std::string> enabled) const {
  if (IsSmallTalk(message)) return {std::string(kSmallTalk), nullptr, "rule"};
  const auto is_enabled = [&](std::string_view name) { return std::find(enabled.begin(), enabled.end(), name) != enabled.end(); };
  // Effects first: "open a ticket about LF-20417" names an order and asks for a ticket.
  for (const bool effect : {true, false})
    for (const auto& tool : tools_)
      if (tool.is_effect() == effect && tool.match && is_enabled(tool.name))
        if (auto arguments = tool.match(message)) return {tool.name, std::move(*arguments), "rule"};
  if (embedder_ && message.size() < 400) {
    const std::string text(message);
    const auto vector = std::move(embedder_->Embed(ctx, std::span(&text, 1), models::EmbedKind::kQuery).front());
    const Example* best = nullptr;
    float nearest = 0;
    for (const auto& example : examples_) {
      const float cosine = std::inner_product(vector.begin(), vector.end(), example.vector.begin(), 0.0f);
      if (cosine > nearest) {
        nearest = cosine;
        best = &example;
      }
    }
    if (best && nearest >= kNearEnough && best->tool != kKnowledge && is_enabled(best->tool))
      for (const auto& tool : tools_)
        if (tool.name == best->tool) {
          char digits[16];
          std::snprintf(digits, sizeof digits, "%.2f", static_cast<double>(nearest));
          return {tool.name, tool.fill(message), "example '" + best->text + "' " + digits};
        }
  }
  return {std::string(kKnowledge), nullptr, "default"};
}

}  // namespace tenfold::agents
