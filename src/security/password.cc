#include "security/password.h"

#include <argon2.h>

#include <array>

#include "base/crypto.h"
#include "base/error.h"

namespace tenfold::security {
namespace {

constexpr std::uint32_t kMemoryKib = 19'456, kPasses = 2, kLanes = 1;
constexpr std::size_t kSaltBytes = 16, kHashBytes = 32;
// A damaged or planted row must not make the verifier allocate gigabytes.
constexpr std::uint32_t kMaxMemoryKib = 262'144, kMaxPasses = 16, kMaxLanes = 16;
constexpr std::string_view kPrefix = "$argon2id$v=19$";

std::string Encode(std::string_view password) {
  std::array<std::uint8_t, kSaltBytes> salt{};
  FillRandom(salt);
  std::string out(argon2_encodedlen(kPasses, kMemoryKib, kLanes, kSaltBytes, kHashBytes, Argon2_id), '\0');
  const int rc = argon2id_hash_encoded(kPasses, kMemoryKib, kLanes, password.data(), password.size(), salt.data(), salt.size(), kHashBytes, out.data(), out.size());
  if (rc != ARGON2_OK) throw Error(Code::kResourceExhausted, std::string("hash password: ") + argon2_error_message(rc));
  out.resize(out.find('\0'));
  return out;
}

// Reads "m=19456" and moves past it; 0 if it is not there.
std::uint32_t TakeParameter(std::string_view& text, std::string_view name) {
  if (!text.starts_with(name)) return 0;
  text.remove_prefix(name.size());
  std::uint64_t value = 0;
  std::size_t digits = 0;
  while (digits < text.size() && digits < 9 && text[digits] >= '0' && text[digits] <= '9') value = value * 10 + static_cast<std::uint64_t>(text[digits++] - '0');
  text.remove_prefix(digits);
  return static_cast<std::uint32_t>(value);
}

bool HasSaneParameters(std::string_view encoded) {
  if (!encoded.starts_with(kPrefix) || encoded.size() > 512 || encoded.find('\0') != encoded.npos) return false;
  encoded.remove_prefix(kPrefix.size());
  const auto memory = TakeParameter(encoded, "m=");
  const auto passes = TakeParameter(encoded, ",t=");
  const auto lanes = TakeParameter(encoded, ",p=");
  return memory > 0 && memory <= kMaxMemoryKib && passes > 0 && passes <= kMaxPasses && lanes > 0 && lanes <= kMaxLanes && encoded.starts_with('$');
}

}  // namespace

std::string HashPassword(std::string_view password) {
  if (password.empty() || password.size() > kMaxPasswordBytes)
    throw Error(Code::kInvalidArgument, "password has " + std::to_string(password.size()) + " bytes, limit 1 to 1024", "password");
  return Encode(password);
}

bool VerifyPassword(std::string_view encoded, std::string_view password) {
  if (password.empty() || password.size() > kMaxPasswordBytes) return false;
  if (encoded.empty()) {
    Encode(password);
    return false;
  }
  if (!HasSaneParameters(encoded)) throw Error(Code::kDataLoss, "stored password hash is not argon2id with known parameters");
  const int rc = argon2id_verify(std::string(encoded).c_str(), password.data(), password.size());
  if (rc == ARGON2_OK) return true;
  if (rc == ARGON2_VERIFY_MISMATCH) return false;
  if (rc == ARGON2_MEMORY_ALLOCATION_ERROR) throw Error(Code::kResourceExhausted, "verify password: no memory");
  throw Error(Code::kDataLoss, std::string("stored password hash cannot be read: ") + argon2_error_message(rc));
}

}  // namespace tenfold::security
