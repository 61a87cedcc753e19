#include "base/context.h"

#include <algorithm>

#include "base/telemetry.h"

namespace tenfold {

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kNobody: return "nobody";
    case Role::kCustomer: return "customer";
    case Role::kAgent: return "agent";
    case Role::kAdmin: return "admin";
  }
  return "nobody";
}

Role ParseRole(std::string_view name) {
  for (const auto role : {Role::kCustomer, Role::kAgent, Role::kAdmin})
    if (RoleName(role) == name) return role;
  throw Error(Code::kInvalidArgument, "role '" + std::string(name) + "' is unknown; there are: customer, agent, admin", "role");
}

bool Principal::MayRead(std::string_view access) const {
  if (std::find(labels.begin(), labels.end(), "*") != labels.end()) return true;
  while (!access.empty()) {
    const auto end = std::min(access.find(','), access.size());
    const auto label = access.substr(0, end);
    if (label.empty()) {
    } else if (label.starts_with("user:") && !user.empty() && label.substr(5) == user) {
      return true;
    } else if (std::find(labels.begin(), labels.end(), label) != labels.end()) {
      return true;
    }
    access.remove_prefix(std::min(end + 1, access.size()));
  }
  return false;
}

void Budget::SpendStep() {
  if (steps_.fetch_sub(1) <= 0) throw Error(Code::kResourceExhausted, "the step limit of this run is spent");
}

void Budget::Spend(std::int64_t tokens, std::int64_t micro_usd) {
  tokens_.fetch_sub(tokens);
  micro_usd_.fetch_sub(micro_usd);
}

Context::Context(Parts parts) : parts_(std::move(parts)) {
  if (!parts_.principal) parts_.principal = std::make_shared<const Principal>();
  if (!parts_.cancellation) parts_.cancellation = std::make_shared<Cancellation>();
  if (!parts_.budget) parts_.budget = std::make_shared<Budget>();
  if (!parts_.span) parts_.span = Span::Discarding();
}

Context Context::System(std::string_view what, const Clock& clock) {
  Principal principal;
  principal.user = "system:" + std::string(what);
  principal.role = Role::kAdmin;
  principal.labels = {"*"};
  return Context({.principal = std::make_shared<const Principal>(std::move(principal)), .clock = &clock, .cancellation = {}, .budget = {}, .span = {}});
}

void Context::Check() const {
  if (cancellation().cancelled()) throw Error(Code::kCancelled, "the caller cancelled");
  if (clock().Now() >= deadline()) throw Error(Code::kDeadlineExceeded, "the deadline passed");
}

Context Context::WithDeadline(TimePoint at) const {
  auto parts = parts_;
  parts.deadline = std::min(parts.deadline, at);
  return Context(std::move(parts));
}

Context Context::WithCancellation(std::shared_ptr<Cancellation> cancellation) const {
  auto parts = parts_;
  parts.cancellation = std::move(cancellation);
  return Context(std::move(parts));
}

Context Context::WithBudget(std::shared_ptr<Budget> budget) const {
  auto parts = parts_;
  parts.budget = std::move(budget);
  return Context(std::move(parts));
}

Context Context::WithSpan(std::shared_ptr<Span> span) const {
  auto parts = parts_;
  parts.span = std::move(span);
  return Context(std::move(parts));
}

Context Context::Child(std::string_view span_name) const { return WithSpan(span().StartChild(span_name, clock())); }

Context Context::As(Principal principal) const {
  const auto& mine = this->principal();
  if (principal.role > mine.role) throw Error(Code::kPermissionDenied, "a call cannot gain a role");
  for (const auto& label : principal.labels)
    if (!mine.MayRead(label)) throw Error(Code::kPermissionDenied, "a call cannot gain the label '" + label + "'");
  auto parts = parts_;
  parts.principal = std::make_shared<const Principal>(std::move(principal));
  return Context(std::move(parts));
}

}  // namespace tenfold
