#pragma once
/// \file `tenfold migrate index A B`: copies a search index into another, goes on where it was stopped, compares what both find, and moves a name from one to the other.
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/describe.h"
#include "retrieval/search_index.h"

namespace tenfold::app {

/// A query that was asked once: a line of the queries' file. Without a namespace it is asked in each that is migrated.
struct RecordedQuery {
  std::string text;
  std::vector<float> vector;
  Json filter;
  std::string name_space;
};
/// Lines of {"text", "vector", "filter", "namespace"}, each with a text or a vector; at most 10,000 in at most 64 MB. Errors: kNotFound, kInvalidArgument with the line.
std::vector<RecordedQuery> ReadRecordedQueries(const std::filesystem::path& file);

/// What became of one namespace.
struct MigrationReport {
  std::string name_space;
  std::int64_t records = 0;   ///< of the source
  std::int64_t copied = 0;    ///< by this and earlier runs
  std::int64_t resumed_at = 0;  ///< how many were there when this run began
  std::int64_t corrected = 0; ///< missing or different after the copy, and written again
  std::int64_t removed = 0;   ///< gone from the source, so removed from the target
  std::int64_t foreign = 0;   ///< in the target alone, and not from this migration: left there
  std::int64_t queries = 0;
  double overlap = 0;         ///< mean of |both| / |source| over the first ten hits of each query
  double worst = 0;
  std::int64_t p50_us_from = 0, p50_us_to = 0;
};
TENFOLD_DESCRIBE(MigrationReport, (name_space), (records), (copied), (resumed_at), (corrected), (removed), (foreign), (queries), (overlap), (worst), (p50_us_from), (p50_us_to))

struct MigrationPlan {
  std::string from, to;           ///< URLs, which name the migration's state
  std::string name_space;
  std::filesystem::path folder;   ///< where its state is kept, a file a namespace
  std::vector<RecordedQuery> queries;  ///< empty: a hundred of the source's own vectors are asked
};

/// Copies in pages of 200 in the order of ids; after each page the place is durable, so a run that was killed anywhere is gone on with by the same call. Then both are walked
/// side by side: what was changed, added or removed in the source meanwhile is put right. A target that held records of its own before is never deleted from.
/// Cost: two reads of the source, one of the target. Errors: kFailedPrecondition (another run of this migration is under way), kUnimplemented or kInvalidArgument with the
/// record if the target cannot hold it, kUnavailable; what was copied stays.
MigrationReport MigrateIndex(const Context& ctx, retrieval::SearchIndex& from, retrieval::SearchIndex& to, const MigrationPlan& plan, const std::function<void(std::string_view)>& say);

/// Names of indexes, kept in `home`/index_names.json: "alias:live" is whatever URL "live" stands for. Errors: kNotFound with the names there are.
std::string ResolveIndexUrl(const std::filesystem::path& home, std::string_view url);
/// Makes `name` stand for `to`, in one step. Errors: kInvalidArgument (name), kFailedPrecondition if it stands for neither `from` nor `to`.
void SwitchIndexName(const std::filesystem::path& home, const std::string& name, const std::string& from, const std::string& to);

}  // namespace tenfold::app
