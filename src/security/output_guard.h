#pragma once
/// \file What goes out: secrets and personal data that the reader may not see are withheld, whole, wherever the stream is cut.
#include <string>
#include <string_view>
#include <vector>

#include "security/input_guard.h"

namespace tenfold::security {

struct OutputGuardOptions {
  std::vector<std::string> allowed;  ///< texts the reader may see: their own message, their passages, their own records
};

/// Withholds as "[withheld]": API keys and tokens of common forms, private keys, and e-mail addresses, phone numbers, IBANs, cards and order numbers that occur in
/// none of the allowed texts. Used by one thread. The output does not depend on how the stream is cut.
class OutputGuard {
 public:
  explicit OutputGuard(OutputGuardOptions options) : options_(std::move(options)) {}
  /// What may be shown now: text up to the last place where nothing that could be a finding is open.
  std::string Push(std::string_view piece);
  std::string Finish();
  const std::vector<GuardFinding>& findings() const { return findings_; }

 private:
  std::string Release(std::size_t until);
  const OutputGuardOptions options_;
  std::string pending_;
  std::int64_t given_ = 0;
  std::vector<GuardFinding> findings_;
};

}  // namespace tenfold::security
