#include "security/audit.h"

#include "base/crypto.h"

namespace tenfold::security {
namespace {
std::string IdOf(std::int64_t number) {
  auto digits = std::to_string(number);
  return std::string(12 - std::min<std::size_t>(12, digits.size()), '0') + digits;
}
}  // namespace

std::string HashEntry(const AuditEntry& entry) {
  auto json = ToJson(entry);
  json.get_object().erase("hash");
  return Sha256Hex(ToText(json));
}

void AppendAudit(data::WriteTx& tx, const Context& ctx, std::string_view action, std::string_view target, JsonObject detail) {
  AuditEntry entry;
  const auto last = tx.Find<AuditEntry>({{}, "number", true, 1});
  entry.number = last.empty() ? 1 : last.front().number + 1;
  entry.id = IdOf(entry.number);
  entry.at_us = ToMicros(ctx.clock().Now());
  entry.actor = ctx.principal().user;
  entry.action = action;
  entry.target = target;
  entry.detail = std::move(detail);
  entry.previous_hash = last.empty() ? "" : last.front().hash;
  entry.hash = HashEntry(entry);
  tx.Add(entry);
}

std::optional<AuditFinding> VerifyAudit(data::ReadTx& tx) {
  static constexpr std::size_t kPage = 1000;
  std::int64_t expected = 1;
  std::string previous;
  for (;;) {
    data::Query query{{{"number", data::Compare::kGreaterOrEqual, expected}}, "number", false, kPage};
    const auto page = tx.Find<AuditEntry>(query);
    for (const auto& entry : page) {
      if (entry.number != expected) return AuditFinding{expected, "is missing"};
      if (entry.previous_hash != previous) return AuditFinding{expected, "does not follow the entry before it"};
      if (HashEntry(entry) != entry.hash) return AuditFinding{expected, "was altered"};
      previous = entry.hash;
      ++expected;
    }
    if (page.size() < kPage) return std::nullopt;
  }
}

}  // namespace tenfold::security
