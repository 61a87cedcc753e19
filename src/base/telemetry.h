#pragma once
/// \file The emitting half of telemetry: spans of one call, and process-wide counters, gauges and histograms.
/// The judging half (storage, scores, reports) is floor `monitoring`.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"

namespace tenfold {

/// A finished span, as stored and shown.
struct SpanRecord {
  std::string trace_id;   ///< 32 hex digits (W3C trace context)
  std::string span_id;    ///< 16 hex digits
  std::string parent_id;  ///< empty for the root
  std::string name;
  std::int64_t start_us = 0;
  std::int64_t duration_us = 0;
  JsonObject attributes;  ///< never a prompt, a secret or unmasked personal data
};

/// Collects the spans of one trace. At most kMaxSpans are kept; the rest are counted. Threads: safe.
class Trace {
 public:
  static constexpr std::size_t kMaxSpans = 512;
  std::vector<SpanRecord> Take();
  void Add(SpanRecord record);

 private:
  std::mutex mutex_;
  std::vector<SpanRecord> spans_;
};

/// One timed piece of work. Ends, and is recorded in its trace, when destroyed or at End().
class Span {
 public:
  static std::shared_ptr<Span> StartRoot(std::string_view name, std::shared_ptr<Trace> trace, const Clock& clock);
  /// A span that records nothing; its children record nothing.
  static std::shared_ptr<Span> Discarding();
  ~Span();
  std::shared_ptr<Span> StartChild(std::string_view name, const Clock& clock) const;
  void Set(std::string_view key, Json value);
  void End();
  const std::string& trace_id() const { return record_.trace_id; }

 private:
  Span() = default;
  std::shared_ptr<Trace> trace_;
  const Clock* clock_ = nullptr;
  std::mutex mutex_;
  SpanRecord record_;
  bool ended_ = false;
};

/// Monotonic count. Threads: lock-free.
class Counter {
 public:
  void Add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// Cumulative buckets in seconds: 0.5 ms to 30 s. Threads: lock-free.
class Histogram {
 public:
  static constexpr double kBounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30};
  static constexpr std::size_t kBuckets = std::size(kBounds) + 1;
  void Observe(double seconds);
  std::uint64_t bucket(std::size_t i) const { return buckets_[i].load(std::memory_order_relaxed); }
  double sum_seconds() const { return static_cast<double>(sum_us_.load(std::memory_order_relaxed)) / 1e6; }

 private:
  std::atomic<std::uint64_t> buckets_[kBuckets]{};
  std::atomic<std::uint64_t> sum_us_{0};
};

/// One row per metric family: name, help, kind. Prometheus naming.
using Labels = std::vector<std::pair<std::string, std::string>>;

/// All metrics of one server. References stay valid while it lives. Look up once, keep the reference.
/// At most kMaxSeries label sets per family; further ones share the series {overflow="true"}. Threads: safe.
class Metrics {
 public:
  static constexpr std::size_t kMaxSeries = 512;
  Counter& GetCounter(std::string_view family, std::string_view help, const Labels& labels = {});
  Histogram& GetHistogram(std::string_view family, std::string_view help, const Labels& labels = {});
  /// A gauge is read when scraped.
  void SetGauge(std::string_view family, std::string_view help, std::function<double()> read);
  /// Prometheus text exposition format 0.0.4.
  std::string Expose() const;

 private:
  enum class Kind : std::uint8_t { kCounter, kHistogram, kGauge };
  struct Family {
    std::string help;
    Kind kind;
    std::map<std::string, std::unique_ptr<Counter>> counters;
    std::map<std::string, std::unique_ptr<Histogram>> histograms;
    std::function<double()> gauge;
  };
  Family& GetFamily(std::string_view name, std::string_view help, Kind kind);
  mutable std::mutex mutex_;
  std::map<std::string, Family, std::less<>> families_;
};

}  // namespace tenfold
