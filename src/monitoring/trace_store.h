#pragma once
/// \file The spans of each run, kept for a bounded time, so that "where did the time go" has an answer afterwards.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/telemetry.h"
#include "data/store.h"

namespace tenfold::monitoring {

/// All spans of one execution of a run. A run that waited has several traces.
struct StoredTrace {
  std::string id;  ///< W3C trace id
  std::string run;
  std::int64_t started_us = 0;
  std::int64_t duration_us = 0;
  Json spans;  ///< list of {name, span_id, parent_id, start_us, duration_us, attributes}
};
TENFOLD_DESCRIBE(StoredTrace, (id), (run), (started_us), (duration_us), (spans))
TENFOLD_TABLE(StoredTrace, "traces", id, {"run", "started_us"})

/// In the commit of what the trace tells. Nothing for no spans. Now and then the oldest beyond `max_traces` go.
void PutTrace(data::WriteTx& tx, std::string_view run, std::span<const SpanRecord> spans, std::size_t max_traces);
/// Spans of all traces of `run`, by start.
JsonArray SpansOf(data::ReadTx& tx, std::string_view run);

}  // namespace tenfold::monitoring
