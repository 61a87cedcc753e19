#include "base/telemetry.h"

#include <cstdio>

#include "base/crypto.h"
#include "base/error.h"

namespace tenfold {
namespace {
std::string RandomHex(std::size_t bytes) {
  std::string raw(bytes, '\0');
  FillRandom({reinterpret_cast<std::uint8_t*>(raw.data()), raw.size()});
  return ToHex(raw);
}

std::string EscapeLabel(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') out += "\\n";
    else out += c;
  }
  return out;
}

std::string FormatLabels(const Labels& labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    if (!out.empty()) out += ',';
    out += key + "=\"" + EscapeLabel(value) + "\"";
  }
  return out;
}

std::string FormatNumber(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}
}  // namespace

std::vector<SpanRecord> Trace::Take() {
  const std::lock_guard lock(mutex_);
  return std::move(spans_);
}

void Trace::Add(SpanRecord record) {
  const std::lock_guard lock(mutex_);
  if (spans_.size() < kMaxSpans) spans_.push_back(std::move(record));
}

std::shared_ptr<Span> Span::StartRoot(std::string_view name, std::shared_ptr<Trace> trace, const Clock& clock) {
  auto span = std::shared_ptr<Span>(new Span);
  span->trace_ = std::move(trace);
  span->clock_ = &clock;
  span->record_.trace_id = RandomHex(16);
  span->record_.span_id = RandomHex(8);
  span->record_.name = name;
  span->record_.start_us = ToMicros(clock.Now());
  return span;
}

std::shared_ptr<Span> Span::Discarding() {
  static const auto span = std::shared_ptr<Span>(new Span);
  return span;
}

Span::~Span() { End(); }

std::shared_ptr<Span> Span::StartChild(std::string_view name, const Clock& clock) const {
  if (!trace_) return Discarding();
  auto span = std::shared_ptr<Span>(new Span);
  span->trace_ = trace_;
  span->clock_ = &clock;
  span->record_.trace_id = record_.trace_id;
  span->record_.span_id = RandomHex(8);
  span->record_.parent_id = record_.span_id;
  span->record_.name = name;
  span->record_.start_us = ToMicros(clock.Now());
  return span;
}

void Span::Set(std::string_view key, Json value) {
  if (!trace_) return;
  const std::lock_guard lock(mutex_);
  record_.attributes[key] = std::move(value);
}

void Span::End() {
  if (!trace_) return;
  const std::lock_guard lock(mutex_);
  if (ended_) return;
  ended_ = true;
  record_.duration_us = ToMicros(clock_->Now()) - record_.start_us;
  trace_->Add(record_);
}

void Histogram::Observe(double seconds) {
  std::size_t i = 0;
  while (i < std::size(kBounds) && seconds > kBounds[i]) ++i;
  buckets_[i].fetch_add(1, std::memory_order_relaxed);
  sum_us_.fetch_add(static_cast<std::uint64_t>(seconds * 1e6), std::memory_order_relaxed);
}

Metrics::Family& Metrics::GetFamily(std::string_view name, std::string_view help, Kind kind) {
  const auto found = families_.find(name);
  if (found != families_.end()) {
    TENFOLD_CHECK(found->second.kind == kind);
    return found->second;
  }
  auto& family = families_[std::string(name)];
  family.help = help;
  family.kind = kind;
  return family;
}

namespace {
template <class T>
T& FindSeries(std::map<std::string, std::unique_ptr<T>>& series, std::string labels) {
  if (!series.contains(labels) && series.size() >= Metrics::kMaxSeries) labels = "overflow=\"true\"";
  auto& slot = series[labels];
  if (!slot) slot = std::make_unique<T>();
  return *slot;
}
}  // namespace

Counter& Metrics::GetCounter(std::string_view family, std::string_view help, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  return FindSeries(GetFamily(family, help, Kind::kCounter).counters, FormatLabels(labels));
}

Histogram& Metrics::GetHistogram(std::string_view family, std::string_view help, const Labels& labels) {
  const std::lock_guard lock(mutex_);
  return FindSeries(GetFamily(family, help, Kind::kHistogram).histograms, FormatLabels(labels));
}

void Metrics::SetGauge(std::string_view family, std::string_view help, std::function<double()> read) {
  const std::lock_guard lock(mutex_);
  GetFamily(family, help, Kind::kGauge).gauge = std::move(read);
}

std::string Metrics::Expose() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& [name, family] : families_) {
    const char* kind = family.kind == Kind::kCounter ? "counter" : family.kind == Kind::kHistogram ? "histogram" : "gauge";
    out += "# HELP " + name + " " + family.help + "\n# TYPE " + name + " " + kind + "\n";
    for (const auto& [labels, counter] : family.counters)
      out += name + (labels.empty() ? "" : "{" + labels + "}") + " " + std::to_string(counter->value()) + "\n";
    for (const auto& [labels, histogram] : family.histograms) {
      const std::string comma = labels.empty() ? "" : labels + ",";
      std::uint64_t total = 0;
      for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
        total += histogram->bucket(i);
        const std::string bound = i < std::size(Histogram::kBounds) ? FormatNumber(Histogram::kBounds[i]) : "+Inf";
        out += name + "_bucket{" + comma + "le=\"" + bound + "\"} " + std::to_string(total) + "\n";
      }
      const std::string braces = labels.empty() ? "" : "{" + labels + "}";
      out += name + "_sum" + braces + " " + FormatNumber(histogram->sum_seconds()) + "\n";
      out += name + "_count" + braces + " " + std::to_string(total) + "\n";
    }
    if (family.gauge) out += name + " " + FormatNumber(family.gauge()) + "\n";
  }
  return out;
}

}  // namespace tenfold
