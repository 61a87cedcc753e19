#pragma once
/// \file The models this program knows: where they come from, under which licence, how large, with which checksum. Fetched into the cache, never half.
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/describe.h"

namespace tenfold::models {

/// A piece of a file: a member of a wheel on PyPI, "name==version".
struct CatalogPart {
  std::string package;
  std::string member;
};
TENFOLD_DESCRIBE(CatalogPart, (package, Required{}), (member, Required{}))

/// A file of a model: its parts, joined in order.
struct CatalogFile {
  std::string path;
  std::uint64_t bytes = 0;
  std::string sha256;
  std::vector<CatalogPart> parts;
};
TENFOLD_DESCRIBE(CatalogFile, (path, Required{}), (bytes, Required{}), (sha256, Required{}), (parts, Required{}))

struct CatalogModel {
  std::string id;
  std::string kind;  ///< generator, embedder
  std::string title;
  std::string licence;
  std::string homepage;  ///< the maker's page: a second source for those who prefer it
  std::uint32_t memory_mb = 0;
  std::vector<CatalogFile> files;
};
TENFOLD_DESCRIBE(CatalogModel, (id, Required{}), (kind, Required{}), (title), (licence, Required{}), (homepage), (memory_mb), (files, Required{}))

/// Threads: safe; Pull of the same model excludes itself over processes.
class Catalog {
 public:
  /// `cache`: models lie in <cache>/models/<id>/, downloads in <cache>/downloads/.
  explicit Catalog(std::filesystem::path cache);
  const std::vector<CatalogModel>& models() const { return models_; }
  /// Errors: kNotFound with the nearest name.
  const CatalogModel& Find(std::string_view id) const;
  bool IsPresent(const CatalogModel& model) const;

  /// Called with bytes fetched of all bytes.
  using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;
  /// Fetches what is missing, continuing a download that was cut off. Every wheel is checked against the index's checksum and every file against the
  /// catalogue's, then renamed into place. The index is https://pypi.org, or $TENFOLD_PYPI.
  /// Errors: kNotFound, kUnavailable (network), kDataLoss (checksum), kResourceExhausted (disk), kCancelled.
  void Pull(const Context& ctx, std::string_view id, const Progress& progress);
  /// Errors: kNotFound.
  void Remove(std::string_view id);

 private:
  std::filesystem::path FolderOf(const CatalogModel& model) const { return cache_ / "models" / model.id; }
  const std::filesystem::path cache_;
  std::vector<CatalogModel> models_;
};

}  // namespace tenfold::models
