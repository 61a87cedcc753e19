#pragma once
/// \file Password hashes: argon2id in its encoded form, so that the cost can rise without a migration. Source: RFC 9106.
#include <string>
#include <string_view>

namespace tenfold::security {

/// About 30 ms of one core and 19 MiB (OWASP's 2024 setting: m=19456 KiB, t=2, p=1). Call it from a pool.
/// Errors: kInvalidArgument if not 8 to 1024 bytes.
std::string HashPassword(std::string_view password);
/// False for a wrong password and for an encoded text that is none.
bool VerifyPassword(const std::string& encoded, std::string_view password);

}  // namespace tenfold::security
