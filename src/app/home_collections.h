#pragma once
/// \file The collections of a data folder that no server holds, opened by a command: the `embedded:NAME` of `tenfold migrate index` and `tenfold index`.
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/services.h"
#include "retrieval/search_index.h"

namespace tenfold::app {

/// Holds the folder until it and every index it opened are gone. Threads: safe.
class HomeCollections : public std::enable_shared_from_this<HomeCollections> {
 public:
  /// Errors: kNotFound (no data folder), kUnavailable with the way around (a server or command has it), kInvalidArgument (its settings).
  static std::shared_ptr<HomeCollections> Open(const std::filesystem::path& home);

  std::vector<retrieval::Collection> List(const Context& ctx) const;
  /// One that is there, as it is, or else a new one of `dim` dimensions, readable by administrators and by whom its records name. Without `dim` and `metric` whatever it has will do.
  /// Errors: kInvalidArgument (another dimension or metric than what is there; a name that is none), kNotFound (not there, and no `dim` to make it with).
  std::unique_ptr<retrieval::SearchIndex> OpenIndex(const Context& ctx, std::string_view name, std::optional<std::size_t> dim, std::optional<retrieval::Metric> metric);

  explicit HomeCollections(const std::filesystem::path& home);
  ~HomeCollections();

 private:
  const HomeLock lock_;
  retrieval::SnapshotKeeper snapshots_;
  std::unique_ptr<retrieval::Collections> collections_;  // follows the store, so it outlives it
  std::unique_ptr<data::Store> store_;
};

}  // namespace tenfold::app
