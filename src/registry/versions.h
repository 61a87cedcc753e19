#pragma once
/// \file Versions of everything that shapes an answer: content-addressed roots, and aliases that move with a history.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "agents/config.h"
#include "data/store.h"

namespace tenfold::registry {

/// A part's content under its SHA-256. Parts that versions share are kept once.
struct VersionPart {
  std::string id;
  std::string kind;  ///< model, prompt, tools, retrieval, guards
  Json body;
};
TENFOLD_DESCRIBE(VersionPart, (id), (kind), (body))
TENFOLD_TABLE(VersionPart, "version_parts", id)

/// The id is the SHA-256 over the names and hashes of its parts: the same parts are the same version.
struct Version {
  std::string id;
  std::map<std::string, std::string> parts;  ///< kind -> VersionPart::id
  std::string note;
  std::string created_by;
  std::int64_t created_us = 0;
};
TENFOLD_DESCRIBE(Version, (id), (parts), (note), (created_by), (created_us))
TENFOLD_TABLE(Version, "versions", id, {"created_us"})

/// One move of an alias. The newest says where it points.
struct AliasMove {
  std::string id;  ///< alias + "/" + number, zero padded
  std::string alias;
  std::int64_t number = 0;
  std::string version;
  std::string previous;
  std::string reason;
  std::string by;
  std::int64_t at_us = 0;
};
TENFOLD_DESCRIBE(AliasMove, (id), (alias), (number), (version), (previous), (reason), (by), (at_us))
TENFOLD_TABLE(AliasMove, "alias_moves", id, {"alias"})

inline constexpr std::string_view kLive = "live";

/// Threads: safe. Resolve answers from memory.
class Registry : public data::Follower {
 public:
  using Audit = std::function<void(data::WriteTx&, const Context&, std::string_view action, std::string_view target)>;
  /// `store` must outlive it; `audit` is called in the commit of each move.
  Registry(data::Store& store, Audit audit);
  static std::vector<data::Table> Tables();

  /// Adds the version if it is new. Returns its id.
  std::string Put(const Context& ctx, const agents::AssistantConfig& config, std::string_view note);
  std::vector<Version> List(const Context& ctx);
  std::vector<AliasMove> History(const Context& ctx, std::string_view alias);
  /// Moves `alias` to a version, named by its id or at least 6 first characters of it. Errors: kNotFound, kInvalidArgument (more than one), kFailedPrecondition (is there already).
  AliasMove Promote(const Context& ctx, std::string_view alias, std::string_view version, std::string_view reason);
  /// Moves it back to where it pointed before its newest move. Errors: kFailedPrecondition if there is no earlier one.
  AliasMove Rollback(const Context& ctx, std::string_view alias);

  struct Resolved {
    std::string version;
    agents::AssistantConfig config;
  };
  /// By alias, or by full id. Errors: kNotFound.
  std::shared_ptr<const Resolved> Resolve(std::string_view alias_or_version) const;

  std::string name() const override { return "registry"; }
  void Load(data::ReadTx& tx) override;
  void Apply(std::span<const data::Change> changes, data::ReadTx& tx) override;

 private:
  AliasMove Move(data::WriteTx& tx, const Context& ctx, std::string_view alias, const std::string& version, std::string_view reason);
  data::Store& store_;
  const Audit audit_;
  mutable std::shared_mutex mutex_;
  std::map<std::string, std::shared_ptr<const Resolved>, std::less<>> versions_;
  std::map<std::string, std::string, std::less<>> aliases_;
};

}  // namespace tenfold::registry
