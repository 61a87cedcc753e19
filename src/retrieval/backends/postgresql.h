#pragma once
/// \file The `postgresql:` search index: one table with pgvector, filters and readers as conditions of the query.
#include <memory>
#include <string>
#include <string_view>

#include "retrieval/search_index.h"

namespace tenfold::retrieval {

struct PostgresqlIndexOptions {
  std::size_t dim = 0;
  Metric metric = Metric::kCosine;
  std::string password;  ///< empty: none
};

/// "//user@host:port/database?table=name" (the URL's part behind "postgresql:"; table tenfold_records unless told). Makes the table, and the extension `vector` if
/// the user may. Each batch is one transaction. Words are matched by the stems that the embedded index uses, scored by ts_rank_cd. A vector search is exact: rows that pass
/// the conditions are compared one by one, so it never returns fewer than it should. Cost: O(rows that pass) in the server; for millions of rows choose the embedded index.
/// Threads: up to four connections. Source: pgvector 0.5 and newer.
/// Errors: kInvalidArgument (URL; a table of another dimension), kFailedPrecondition (no extension `vector`), kUnauthenticated, kUnavailable.
std::unique_ptr<SearchIndex> OpenPostgresqlIndex(const Context& ctx, std::string_view url, const PostgresqlIndexOptions& options);

}  // namespace tenfold::retrieval
