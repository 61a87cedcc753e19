#include "registry/versions.h"

#include <mutex>

#include "base/crypto.h"

namespace tenfold::registry {
namespace {

/// Members sorted at every level: the same content has the same text, and so the same hash.
Json Canonical(const Json& value) {
  if (value.is_array()) {
    JsonArray out;
    for (const auto& item : value.get_array()) out.push_back(Canonical(item));
    return out;
  }
  if (!value.is_object()) return value;
  std::map<std::string, Json> sorted;
  for (const auto& [name, member] : value.get_object()) sorted.emplace(name, Canonical(member));
  JsonObject out;
  for (auto& [name, member] : sorted) out.emplace(name, std::move(member));
  return out;
}

std::vector<AliasMove> MovesOf(data::ReadTx& tx, std::string_view alias) { return tx.Find<AliasMove>({{{"alias", data::Compare::kEqual, data::Value(std::string(alias))}}, "id", true, 1000}); }

std::string MoveId(std::string_view alias, std::int64_t number) {
  auto digits = std::to_string(number);
  return std::string(alias) + "/" + std::string(6 - std::min<std::size_t>(6, digits.size()), '0') + digits;
}

}  // namespace

Registry::Registry(data::Store& store, Audit audit) : store_(store), audit_(std::move(audit)) { store_.Follow(*this); }

std::vector<data::Table> Registry::Tables() { return {data::TableOf<VersionPart>(), data::TableOf<Version>(), data::TableOf<AliasMove>()}; }

std::string Registry::Put(const Context& ctx, const agents::AssistantConfig& config, std::string_view note) {
  Version version;
  std::vector<VersionPart> parts;
  std::string root;
  ForEachField(config, [&](std::string_view kind, const auto& part) {
    auto body = Canonical(ToJson(part));
    const auto hash = Sha256Hex(ToText(body));
    version.parts[std::string(kind)] = hash;
    parts.push_back({hash, std::string(kind), std::move(body)});
  });
  for (const auto& [kind, hash] : version.parts) root += kind + " " + hash + "\n";
  version.id = Sha256Hex(root);
  version.note = note;
  version.created_by = ctx.principal().user;
  version.created_us = ToMicros(ctx.clock().Now());
  store_.Write(ctx, [&](data::WriteTx& tx) {
    if (tx.Get<Version>(version.id)) return;
    for (const auto& part : parts) tx.Put(part);
    tx.Add(version);
    audit_(tx, ctx, "version.create", version.id);
  });
  return version.id;
}

std::vector<Version> Registry::List(const Context& ctx) {
  return store_.Read(ctx, [](data::ReadTx& tx) { return tx.Find<Version>({{}, "created_us", true, 200}); });
}

std::vector<AliasMove> Registry::History(const Context& ctx, std::string_view alias) {
  return store_.Read(ctx, [&](data::ReadTx& tx) { return MovesOf(tx, alias); });
}

AliasMove Registry::Move(data::WriteTx& tx, const Context& ctx, std::string_view alias, const std::string& version, std::string_view reason) {
  const auto moves = MovesOf(tx, alias);
  AliasMove move;
  move.alias = alias;
  move.number = moves.empty() ? 1 : moves.front().number + 1;
  move.id = MoveId(alias, move.number);
  move.version = version;
  move.previous = moves.empty() ? "" : moves.front().version;
  move.reason = reason;
  move.by = ctx.principal().user;
  move.at_us = ToMicros(ctx.clock().Now());
  if (move.previous == version) throw Error(Code::kFailedPrecondition, "'" + move.alias + "' points to that version already", "version");
  tx.Add(move);
  audit_(tx, ctx, "alias.move", move.alias + " -> " + version);
  return move;
}

AliasMove Registry::Promote(const Context& ctx, std::string_view alias, std::string_view version, std::string_view reason) {
  AliasMove move;
  store_.Write(ctx, [&](data::WriteTx& tx) {
    std::vector<std::string> matching;
    for (const auto& known : tx.Find<Version>())
      if (known.id == version || (version.size() >= 6 && known.id.starts_with(version))) matching.push_back(known.id);
    if (matching.empty()) throw Error(Code::kNotFound, "there is no version '" + std::string(version) + "'; see 'tenfold versions list'", "version");
    if (matching.size() > 1) throw Error(Code::kInvalidArgument, "'" + std::string(version) + "' begins more than one version; give more characters", "version");
    move = Move(tx, ctx, alias, matching.front(), reason);
  });
  return move;
}

AliasMove Registry::Rollback(const Context& ctx, std::string_view alias) {
  AliasMove move;
  store_.Write(ctx, [&](data::WriteTx& tx) {
    const auto moves = MovesOf(tx, alias);
    if (moves.empty() || moves.front().previous.empty()) throw Error(Code::kFailedPrecondition, "'" + std::string(alias) + "' has no earlier version to go back to");
    move = Move(tx, ctx, alias, moves.front().previous, "rollback of move " + std::to_string(moves.front().number));
  });
  return move;
}

std::shared_ptr<const Registry::Resolved> Registry::Resolve(std::string_view alias_or_version) const {
  const std::shared_lock lock(mutex_);
  const auto alias = aliases_.find(alias_or_version);
  const auto found = versions_.find(alias == aliases_.end() ? alias_or_version : std::string_view(alias->second));
  if (found == versions_.end()) throw Error(Code::kNotFound, "there is no version or alias '" + std::string(alias_or_version) + "'", "version");
  return found->second;
}

void Registry::Load(data::ReadTx& tx) {
  const std::unique_lock lock(mutex_);
  for (const auto& version : tx.Find<Version>()) {
    auto resolved = std::make_shared<Resolved>();
    resolved->version = version.id;
    JsonObject parts;
    for (const auto& [kind, hash] : version.parts)
      if (auto part = tx.Get<VersionPart>(hash)) parts[kind] = std::move(part->body);
    // A version of a newer program may hold fields this one does not know.
    resolved->config = FromJson<agents::AssistantConfig>(parts, Unknown::kIgnore);
    versions_[version.id] = std::move(resolved);
  }
  aliases_.clear();
  for (const auto& move : tx.Find<AliasMove>({{}, "id", false, 1'000'000})) aliases_[move.alias] = move.version;
}

void Registry::Apply(std::span<const data::Change> changes, data::ReadTx& tx) {
  for (const auto& change : changes)
    if (change.table == "versions" || change.table == "alias_moves") return Load(tx);
}

}  // namespace tenfold::registry
