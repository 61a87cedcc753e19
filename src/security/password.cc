#include "security/password.h"

#include <argon2.h>

#include "base/crypto.h"
#include "base/error.h"

namespace tenfold::security {

std::string HashPassword(std::string_view password) {
  if (password.size() < 8 || password.size() > 1024) throw Error(Code::kInvalidArgument, "password: has " + std::to_string(password.size()) + " bytes, must have 8 to 1024", "password");
  std::uint8_t salt[16];
  FillRandom(salt);
  char encoded[256];
  const int rc = argon2id_hash_encoded(2, 19456, 1, password.data(), password.size(), salt, sizeof salt, 32, encoded, sizeof encoded);
  if (rc != ARGON2_OK) throw Error(Code::kResourceExhausted, std::string("hash a password: ") + argon2_error_message(rc));
  return encoded;
}

bool VerifyPassword(const std::string& encoded, std::string_view password) {
  if (password.size() > 1024) return false;
  return argon2id_verify(encoded.c_str(), password.data(), password.size()) == ARGON2_OK;
}

}  // namespace tenfold::security
