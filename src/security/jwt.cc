#include "security/jwt.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <array>
#include <cmath>

#include "base/crypto.h"
#include "base/error.h"

namespace tenfold::security {
namespace {

using Digest = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;
using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
constexpr std::size_t kSignatureBytes = 64;

[[noreturn]] void Refuse(std::string_view why) { throw Error(Code::kUnauthenticated, "token " + std::string(why)); }

const unsigned char* Bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

EVP_PKEY* KeyOf(const std::shared_ptr<void>& key) { return static_cast<EVP_PKEY*>(key.get()); }

// Only the one spelling of the bytes is accepted: two token texts that mean the same would defeat lists of revoked tokens.
std::string DecodePart(std::string_view text) {
  std::string bytes;
  try {
    bytes = Base64UrlDecode(text);
  } catch (const Error&) {
    Refuse("is not base64url");
  }
  if (Base64UrlEncode(bytes) != text) Refuse("is not canonical base64url");
  return bytes;
}

JsonObject ParsePart(std::string_view text) {
  try {
    auto value = ParseJson(DecodePart(text));
    if (value.is_object()) return std::move(value.get_object());
  } catch (const Error& e) {
    if (e.code() == Code::kUnauthenticated) throw;
  }
  Refuse("part is not a JSON object");
}

std::string_view TextOf(const JsonObject& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value && value->is_string() ? AsView(value->get_string()) : std::string_view{};
}

void CheckHeader(const JsonObject& header, std::string_view key_id) {
  for (const auto& [name, value] : header)
    if (name != "alg" && name != "kid" && name != "typ") Refuse("has a header parameter that is not allowed");
  if (TextOf(header, "alg") != "EdDSA") Refuse("is not signed with EdDSA");
  if (TextOf(header, "kid") != key_id) Refuse("names another key");
  if (header.contains("typ") && TextOf(header, "typ") != "JWT") Refuse("is not of type JWT");
}

// Seconds since the epoch. Within ±1e11 (year 5138) the arithmetic below cannot overflow.
std::optional<double> TimeOf(const JsonObject& claims, std::string_view name) {
  const auto* value = claims.if_contains(name);
  if (!value) return std::nullopt;
  if (!value->is_number()) Refuse(std::string(name) + " is not a number");
  const double seconds = value->to_number<double>();
  if (!std::isfinite(seconds) || std::abs(seconds) > 1e11) Refuse(std::string(name) + " is out of range");
  return seconds;
}

void CheckTimes(const JsonObject& claims, TimePoint now) {
  const double now_s = static_cast<double>(ToMicros(now)) / 1e6;
  const auto leeway = static_cast<double>(kTokenLeeway.count());
  const auto expires = TimeOf(claims, "exp"), not_before = TimeOf(claims, "nbf"), issued = TimeOf(claims, "iat");
  if (!expires) Refuse("does not expire");
  if (now_s >= *expires + leeway) Refuse("has expired");
  if (not_before && now_s < *not_before - leeway) Refuse("is not valid yet");
  if (issued && now_s < *issued - leeway) Refuse("was issued in the future");
}

bool HasAudience(const JsonObject& claims, std::string_view audience) {
  const auto* value = claims.if_contains("aud");
  if (!value) return false;
  if (value->is_string()) return AsView(value->get_string()) == audience;
  if (!value->is_array()) return false;
  bool found = false;
  for (const auto& item : value->get_array()) {
    if (!item.is_string()) return false;
    found = found || AsView(item.get_string()) == audience;
  }
  return found;
}

}  // namespace

TokenSigner::TokenSigner(void* key) : key_(key, [](void* p) { EVP_PKEY_free(static_cast<EVP_PKEY*>(p)); }) {
  std::string raw(32, '\0');
  std::size_t size = raw.size();
  TENFOLD_CHECK(EVP_PKEY_get_raw_public_key(KeyOf(key_), reinterpret_cast<unsigned char*>(raw.data()), &size) == 1 && size == raw.size());
  public_key_ = Base64UrlEncode(raw);
  key_id_ = Base64UrlEncode(Sha256(R"({"crv":"Ed25519","kty":"OKP","x":")" + public_key_ + "\"}"));
}

TokenSigner TokenSigner::Generate() {
  auto* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  if (!key) throw Error(Code::kInternal, "generate token key: OpenSSL has no Ed25519");
  return TokenSigner(key);
}

TokenSigner TokenSigner::FromPem(std::string_view pem) {
  if (pem.size() > kMaxTokenBytes) throw Error(Code::kInvalidArgument, "token key has more than 8192 bytes");
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  // Without a callback OpenSSL would ask the terminal for the pass phrase of an encrypted key.
  auto* key = bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr) : nullptr;
  ERR_clear_error();
  if (!key) throw Error(Code::kInvalidArgument, "token key is not an unencrypted PEM private key");
  if (EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) {
    EVP_PKEY_free(key);
    throw Error(Code::kInvalidArgument, "token key is not an Ed25519 key");
  }
  return TokenSigner(key);
}

std::string TokenSigner::ToPem() const {
  const Bio bio(BIO_new(BIO_s_mem()), &BIO_free);
  TENFOLD_CHECK(bio && PEM_write_bio_PKCS8PrivateKey(bio.get(), KeyOf(key_), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

std::string TokenSigner::Sign(const JsonObject& claims) const {
  const JsonObject header{{"alg", "EdDSA"}, {"kid", key_id_}, {"typ", "JWT"}};
  auto token = Base64UrlEncode(ToText(header)) + "." + Base64UrlEncode(ToText(claims));
  std::string signature(kSignatureBytes, '\0');
  std::size_t size = signature.size();
  const Digest digest(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  TENFOLD_CHECK(digest && EVP_DigestSignInit(digest.get(), nullptr, nullptr, nullptr, KeyOf(key_)) == 1);
  TENFOLD_CHECK(EVP_DigestSign(digest.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, Bytes(token), token.size()) == 1);
  token += "." + Base64UrlEncode(signature);
  if (token.size() > kMaxTokenBytes) throw Error(Code::kInvalidArgument, "token would have " + std::to_string(token.size()) + " bytes, limit 8192");
  return token;
}

JsonObject TokenSigner::Verify(std::string_view token, const TokenCheck& check) const {
  if (token.size() > kMaxTokenBytes) Refuse("has more than 8192 bytes");
  const auto first = token.find('.');
  const auto second = first == token.npos ? token.npos : token.find('.', first + 1);
  if (second == token.npos || token.find('.', second + 1) != token.npos) Refuse("does not have three parts");
  CheckHeader(ParsePart(token.substr(0, first)), key_id_);
  const auto signature = DecodePart(token.substr(second + 1));
  const auto signed_text = token.substr(0, second);
  const Digest digest(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  TENFOLD_CHECK(digest && EVP_DigestVerifyInit(digest.get(), nullptr, nullptr, nullptr, KeyOf(key_)) == 1);
  const bool genuine = signature.size() == kSignatureBytes && EVP_DigestVerify(digest.get(), Bytes(signature), signature.size(), Bytes(signed_text), signed_text.size()) == 1;
  if (!genuine) {
    ERR_clear_error();
    Refuse("has a wrong signature");
  }
  // Claims are read only once the signature holds.
  auto claims = ParsePart(token.substr(first + 1, second - first - 1));
  CheckTimes(claims, check.now);
  if (check.issuer.empty() || TextOf(claims, "iss") != check.issuer) Refuse("is from another issuer");
  if (check.audience.empty() || !HasAudience(claims, check.audience)) Refuse("is for another audience");
  return claims;
}

JsonObject TokenSigner::Jwks() const {
  return {{"keys", JsonArray{JsonObject{{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", public_key_}, {"kid", key_id_}, {"use", "sig"}, {"alg", "EdDSA"}}}}};
}

}  // namespace tenfold::security
