#pragma once
/// \file What `tenfold search` prints: the passages, the counts of facets, and with --explain every candidate.
#include <string>

#include "app/services.h"

namespace tenfold::app {

/// With an explanation a table: place, BM25 with rank, cosine with rank, fused, re-ranked, shown or why it was cut, the document and the passage's number in it.
std::string ReportInWords(const SearchResponse& response);

}  // namespace tenfold::app
