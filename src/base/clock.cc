#include "base/clock.h"

#include <cstring>
#include <ctime>

#include "base/crypto.h"

namespace tenfold {
namespace {
class RealClock : public Clock {
 public:
  TimePoint Now() const override {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
  }
};
}  // namespace

const Clock& SystemClock() {
  static const RealClock clock;
  return clock;
}

TimePoint ManualClock::Now() const {
  const std::lock_guard lock(mutex_);
  return now_;
}

void ManualClock::Advance(std::chrono::microseconds by) {
  const std::lock_guard lock(mutex_);
  now_ += by;
}

std::string FormatTime(TimePoint at) {
  const auto micros = ToMicros(at);
  const std::time_t seconds = micros / 1'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  const auto n = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + n, sizeof text - n, ".%03dZ", static_cast<int>(micros / 1000 % 1000));
  return text;
}

namespace {
class SystemRandomSource : public Random {
 public:
  std::uint64_t Next() const override {
    std::uint64_t bits = 0;
    FillRandom({reinterpret_cast<std::uint8_t*>(&bits), sizeof bits});
    return bits;
  }
};
}  // namespace

const Random& SystemRandom() {
  static const SystemRandomSource random;
  return random;
}

std::uint64_t SeededRandom::Next() const {
  const std::lock_guard lock(mutex_);
  state_ += 0x9E3779B97F4A7C15u;
  auto z = state_;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

std::string NewId(std::string_view prefix, const Clock& clock, const Random& random) {
  static constexpr char kAlphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
  const auto millis = static_cast<std::uint64_t>(ToMicros(clock.Now()) / 1000);
  std::uint8_t bytes[16];
  for (int i = 0; i < 6; ++i) bytes[i] = static_cast<std::uint8_t>(millis >> (40 - 8 * i));
  const std::uint64_t chance[] = {random.Next(), random.Next()};
  std::memcpy(bytes + 6, chance, 10);
  std::string id(prefix);
  id += '_';
  // 130 bits of alphabet over 128 bits of value: the first character carries 3 bits.
  unsigned __int128 value = 0;
  for (const auto byte : bytes) value = value << 8 | byte;
  for (int shift = 125; shift >= 0; shift -= 5) id += kAlphabet[static_cast<unsigned>(value >> shift) & 31];
  return id;
}

}  // namespace tenfold
