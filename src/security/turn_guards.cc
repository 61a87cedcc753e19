#include "security/turn_guards.h"

#include "agents/config.h"
#include "security/input_guard.h"
#include "security/output_guard.h"
#include "security/pii.h"

namespace tenfold::security {
namespace {

JsonArray ToArray(const std::vector<GuardFinding>& findings) {
  JsonArray out;
  for (const auto& finding : findings) out.push_back(ToJson(finding));
  return out;
}

/// Placeholders are restored first and what they stood for is then judged: it is the asker's own text and so allowed.
class Filter : public agents::OutputFilter {
 public:
  Filter(const PiiMask& mask, bool guard, std::vector<std::string> allowed) : restorer_(mask) {
    if (guard) guard_.emplace(OutputGuardOptions{std::move(allowed)});
  }
  std::string Push(std::string_view piece) override {
    auto text = restorer_.Push(piece);
    return guard_ ? guard_->Push(text) : text;
  }
  std::string Finish() override {
    auto text = restorer_.Finish();
    return guard_ ? guard_->Push(text) + guard_->Finish() : text;
  }
  JsonArray findings() const override { return guard_ ? ToArray(guard_->findings()) : JsonArray{}; }

 private:
  PiiRestorer restorer_;
  std::optional<OutputGuard> guard_;
};

class Turn : public agents::TurnGuards {
 public:
  explicit Turn(const agents::GuardConfig& config) : config_(config) {}

  agents::GuardedInput CheckInput(std::string_view text) override {
    own_ = text;
    agents::GuardedInput out;
    out.text = text;
    if (config_.input) {
      auto verdict = security::CheckInput(text);
      out.text = std::move(verdict.text);
      out.refused = verdict.refused;
      out.reason = std::move(verdict.reason);
      out.findings = ToArray(verdict.findings);
    }
    out.text = Mask(out.text);
    return out;
  }
  std::string Mask(std::string_view text) override { return config_.mask_personal_data ? mask_.Mask(text) : std::string(text); }
  std::string CleanUntrusted(std::string_view text) override { return security::CleanUntrusted(text).text; }
  std::unique_ptr<agents::OutputFilter> MakeFilter(std::vector<std::string> allowed) override {
    allowed.push_back(own_);
    return std::make_unique<Filter>(mask_, config_.output, std::move(allowed));
  }

 private:
  const agents::GuardConfig config_;
  std::string own_;
  PiiMask mask_;
};

}  // namespace

std::unique_ptr<agents::TurnGuards> StandardGuards::BeginTurn(const agents::GuardConfig& config) const { return std::make_unique<Turn>(config); }

}  // namespace tenfold::security
