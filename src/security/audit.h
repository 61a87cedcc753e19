#pragma once
/// \file The audit log: who did what to which thing, each entry bound to the one before by its hash. Written in the commit of what it tells.
#include <optional>
#include <string>

#include "base/context.h"
#include "base/json.h"
#include "data/store.h"

namespace tenfold::security {

struct AuditEntry {
  std::string id;  ///< the number, zero padded
  std::int64_t number = 0;
  std::int64_t at_us = 0;
  std::string actor;
  std::string action;  ///< "key.create", "ticket.open", …
  std::string target;
  JsonObject detail;   ///< never a secret, a prompt or an answer
  std::string previous_hash;
  std::string hash;
};
TENFOLD_DESCRIBE(AuditEntry, (id), (number), (at_us), (actor), (action), (target), (detail), (previous_hash), (hash))
TENFOLD_TABLE(AuditEntry, "audit", id, {"number"})

/// SHA-256 over the entry's JSON without `hash`.
std::string HashEntry(const AuditEntry& entry);
/// Appends in `tx`, so that the deed and its entry are one commit.
void AppendAudit(data::WriteTx& tx, const Context& ctx, std::string_view action, std::string_view target, JsonObject detail = {});

struct AuditFinding {
  std::int64_t number = 0;
  std::string problem;
};
/// Walks the whole chain. Nothing if it is whole, else the first entry that is missing or altered.
std::optional<AuditFinding> VerifyAudit(data::ReadTx& tx);

}  // namespace tenfold::security
