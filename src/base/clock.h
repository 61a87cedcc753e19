#pragma once
/// \file Injected time, randomness and ids, so that a test owns them.
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

namespace tenfold {

/// Wall-clock moment, microseconds since the Unix epoch. Deadlines and records use it.
using TimePoint = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;

/// Source of "now". Threads: all methods are safe from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;
};

/// The machine's clock. Lives for the whole program.
const Clock& SystemClock();

/// A clock a test moves by hand.
class ManualClock : public Clock {
 public:
  explicit ManualClock(TimePoint start = TimePoint(std::chrono::seconds(1'700'000'000))) : now_(start) {}
  TimePoint Now() const override;
  void Advance(std::chrono::microseconds by);

 private:
  mutable std::mutex mutex_;
  TimePoint now_;
};

/// Source of chance for what is no secret: pauses, samples, ids. Secrets come from base/crypto.h alone, which nobody can replace.
/// Threads: all methods are safe from any thread.
class Random {
 public:
  virtual ~Random() = default;
  /// 64 uniform bits.
  virtual std::uint64_t Next() const = 0;
};

/// The system's generator. Lives for the whole program.
const Random& SystemRandom();

/// The same numbers after the same seed (SplitMix64; Steele, Lea & Flood, OOPSLA 2014).
class SeededRandom : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next() const override;

 private:
  mutable std::mutex mutex_;
  mutable std::uint64_t state_;
};

/// RFC 3339 in UTC with milliseconds: 2026-11-24T10:15:30.123Z.
std::string FormatTime(TimePoint at);
/// Microseconds since the epoch, as stored.
inline std::int64_t ToMicros(TimePoint at) { return at.time_since_epoch().count(); }
inline TimePoint FromMicros(std::int64_t micros) { return TimePoint(std::chrono::microseconds(micros)); }

/// A new id "prefix_" + 26 characters of Crockford base 32: 48 bits of milliseconds, 80 random bits. Sorts by time of creation.
/// Source: the ULID specification.
std::string NewId(std::string_view prefix, const Clock& clock = SystemClock(), const Random& random = SystemRandom());

}  // namespace tenfold
