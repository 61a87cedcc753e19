#pragma once
/// \file All parts of one data folder, joined. The only place that knows every floor.
#include <filesystem>
#include <memory>
#include <string>

#include "app/settings.h"
#include "base/telemetry.h"
#include "data/store.h"
#include "retrieval/ingest.h"
#include "retrieval/search_index.h"
#include "security/accounts.h"
#include "workflows/run.h"

namespace tenfold::app {

/// Holds the data folder against a second process while it lives.
class HomeLock {
 public:
  /// Errors: kUnavailable if another process holds it.
  explicit HomeLock(const std::filesystem::path& home);
  ~HomeLock();
  HomeLock(const HomeLock&) = delete;
  HomeLock& operator=(const HomeLock&) = delete;

 private:
  int fd_;
};

struct SearchRequest {
  std::string query;
  std::uint32_t k = 10;
  std::vector<std::string> documents;  ///< only these documents, by id; empty: all
};
TENFOLD_DESCRIBE(SearchRequest, (query, Required{}, Length{1, 8192}, Doc{"what to look for"}), (k, Range{1, 100}, Doc{"how many passages"}),
                 (documents, Length{0, 1000}, Doc{"only these documents, by id"}))

struct HitDocument {
  std::string id, uri, title;
};
TENFOLD_DESCRIBE(HitDocument, (id), (uri), (title))

struct Passage {
  std::string text;
  double score = 0;
  HitDocument document;
  std::vector<std::int64_t> span;  ///< [begin, end) bytes of the document's text
};
TENFOLD_DESCRIBE(Passage, (text), (score), (document), (span))

struct SearchResponse {
  std::vector<Passage> hits;
  std::uint64_t commit = 0;
};
TENFOLD_DESCRIBE(SearchResponse, (hits), (commit))

/// Threads: methods are safe from any thread. Members are ordered so that what is used outlives its users.
class Services {
 public:
  /// Errors: kUnavailable if a process has the folder; kInvalidArgument for wrong settings.
  Services(std::filesystem::path home, const Settings& settings);
  ~Services();

  /// Passages the caller may read that answer a query.
  SearchResponse Search(const Context& ctx, const SearchRequest& request);

  const std::filesystem::path home;
  const Settings settings;
  const Clock& clock;

 private:
  HomeLock lock_;

 public:
  Metrics metrics;
  retrieval::SearchIndex index;
  std::unique_ptr<data::Store> store;
  std::unique_ptr<security::Accounts> accounts;
  std::unique_ptr<workflows::Runs> runs;
  /// A home that was empty when opened.
  bool is_new = false;
};

}  // namespace tenfold::app
