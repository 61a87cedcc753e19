#include "monitoring/trace_store.h"

#include <algorithm>

namespace tenfold::monitoring {

void PutTrace(data::WriteTx& tx, std::string_view run, std::span<const SpanRecord> spans, std::size_t max_traces) {
  if (spans.empty()) return;
  StoredTrace trace{spans.front().trace_id, std::string(run), spans.front().start_us, 0, {}};
  JsonArray list;
  for (const auto& span : spans) {
    trace.started_us = std::min(trace.started_us, span.start_us);
    trace.duration_us = std::max(trace.duration_us, span.duration_us);
    list.push_back(JsonObject{{"name", span.name}, {"span_id", span.span_id}, {"parent_id", span.parent_id}, {"start_us", span.start_us}, {"duration_us", span.duration_us}, {"attributes", span.attributes}});
  }
  trace.spans = std::move(list);
  tx.Put(trace);
  // Counting costs a scan of an index; once in 256 traces keeps the table within a few rows of the limit. The id is random.
  if (!trace.id.ends_with("00")) return;
  const auto count = static_cast<std::size_t>(tx.Count<StoredTrace>());
  if (count <= max_traces) return;
  for (const auto& old : tx.Find<StoredTrace>({{}, "started_us", false, count - max_traces})) tx.Delete<StoredTrace>(old.id);
}

JsonArray SpansOf(data::ReadTx& tx, std::string_view run) {
  auto traces = tx.Find<StoredTrace>(data::Where("run", std::string(run)));
  std::sort(traces.begin(), traces.end(), [](const auto& a, const auto& b) { return a.started_us < b.started_us; });
  JsonArray out;
  for (auto& trace : traces)
    for (auto& span : trace.spans.get_array()) out.push_back(std::move(span));
  return out;
}

}  // namespace tenfold::monitoring
