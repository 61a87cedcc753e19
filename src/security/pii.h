#pragma once
/// \file Personal data masked before a model or a trace sees it, and restored on the way back to the person who wrote it.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tenfold::security {

enum class PiiKind : std::uint8_t { kEmail, kPhone, kIban, kCard, kIpAddress, kSsn };

struct PiiMatch {
  PiiKind kind;
  std::size_t begin = 0, end = 0;
};
/// E-mail addresses, phone numbers (not order numbers, dates or prices), IBANs (check digits right), payment cards (Luhn), IPv4 addresses, US social
/// security numbers; by position, not overlapping. Cost: linear.
std::vector<PiiMatch> FindPii(std::string_view text);

/// Used by one thread. The same value gets the same placeholder, "[EMAIL_1]".
class PiiMask {
 public:
  std::string Mask(std::string_view text);
  std::string Restore(std::string_view text) const;
  /// The value behind a placeholder, null if this mask did not make it: a placeholder someone typed stands for nothing.
  const std::string* Find(std::string_view placeholder) const;

 private:
  std::map<std::string, std::string, std::less<>> placeholder_of_;
  std::map<std::string, std::string, std::less<>> value_of_;
  std::map<PiiKind, int> count_;
};

/// Restores in a stream; a placeholder cut by a piece's end is held back. The mask must outlive it.
class PiiRestorer {
 public:
  explicit PiiRestorer(const PiiMask& mask) : mask_(mask) {}
  std::string Push(std::string_view piece);
  std::string Finish();

 private:
  const PiiMask& mask_;
  std::string pending_;
};

}  // namespace tenfold::security
