#pragma once
/// \file Passwords at rest: argon2id, so that a stolen table costs the thief memory and time for every guess.
#include <cstddef>
#include <string>
#include <string_view>

namespace tenfold::security {

inline constexpr std::size_t kMaxPasswordBytes = 1024;

/// A salted hash with its parameters in the text: "$argon2id$v=19$m=19456,t=2,p=1$salt$hash".
/// Cost:   19 MiB and about 20 ms on the calling thread; run it on a pool. Threads: safe.
/// Errors: kInvalidArgument if the password is not 1 to 1024 bytes.
/// Source: RFC 9106; parameters from the OWASP password storage cheat sheet.
std::string HashPassword(std::string_view password);

/// True if `password` made `encoded`. An empty `encoded` (no such user) is false after the same work, so that time does not tell
/// which users exist. A password of impossible length is false at once.
/// Errors: kDataLoss if `encoded` is not an argon2id text with parameters this program would have written.
bool VerifyPassword(std::string_view encoded, std::string_view password);

}  // namespace tenfold::security
