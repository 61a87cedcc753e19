#pragma once
/// \file Signed tokens: one algorithm (Ed25519), one key, strict checks. What a token may choose, an attacker may choose; here it chooses nothing.
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/json.h"

namespace tenfold::security {

inline constexpr std::size_t kMaxTokenBytes = 8192;
/// Clocks of issuer and verifier may differ by this much.
inline constexpr std::chrono::seconds kTokenLeeway{60};

/// What a token must say to be accepted.
struct TokenCheck {
  std::string issuer;
  std::string audience;
  TimePoint now;
};

/// Signs and verifies with one Ed25519 key pair. Threads: all methods are safe from any thread. Copies share the key.
/// Source: RFC 7519 (claims), RFC 7515 (compact form), RFC 8037 (EdDSA), RFC 7638 (key id).
class TokenSigner {
 public:
  /// A new key.
  static TokenSigner Generate();
  /// Errors: kInvalidArgument if `pem` is not an unencrypted PKCS #8 Ed25519 private key.
  static TokenSigner FromPem(std::string_view pem);
  /// The private key. Keep it as a secret.
  std::string ToPem() const;

  /// The compact form over `claims` as they are. Errors: kInvalidArgument if it would pass 8 KiB.
  std::string Sign(const JsonObject& claims) const;

  /// The claims of a token that this key signed, for this issuer and audience, at this time. `exp` is required; `nbf` and `iat` are
  /// checked if present. `alg` must be EdDSA, `kid` this key's, and no other header but `typ` is allowed.
  /// Cost: about 0.1 ms. Errors: kUnauthenticated with the reason, never with the token.
  JsonObject Verify(std::string_view token, const TokenCheck& check) const;

  /// {"keys":[…]} with the public key, to publish for offline verification.
  JsonObject Jwks() const;
  /// SHA-256 thumbprint of the public key, base64url.
  const std::string& key_id() const { return key_id_; }

 private:
  explicit TokenSigner(void* key);
  std::shared_ptr<void> key_;  // an EVP_PKEY, only read after construction
  std::string public_key_;     // base64url of 32 bytes
  std::string key_id_;
};

}  // namespace tenfold::security
