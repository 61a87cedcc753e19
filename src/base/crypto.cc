#include "base/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <memory>

#include "base/error.h"

namespace tenfold {

void FillRandom(std::span<std::uint8_t> out) { TENFOLD_CHECK(RAND_bytes(out.data(), static_cast<int>(out.size())) == 1); }

std::string RandomToken(std::size_t bytes) {
  std::string raw(bytes, '\0');
  FillRandom({reinterpret_cast<std::uint8_t*>(raw.data()), raw.size()});
  return Base64UrlEncode(raw);
}

std::string Sha256(std::string_view data) {
  // Looked up once: OpenSSL 3 searches its providers on every use of EVP_sha256().
  static EVP_MD* const kAlgorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  thread_local const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  TENFOLD_CHECK(EVP_DigestInit_ex2(context.get(), kAlgorithm, nullptr) == 1 && EVP_DigestUpdate(context.get(), data.data(), data.size()) == 1 &&
                EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(out.data()), nullptr) == 1);
  return out;
}

std::string Sha256Hex(std::string_view data) { return ToHex(Sha256(data)); }

std::string HmacSha256(std::string_view key, std::string_view data) {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  unsigned int length = 0;
  TENFOLD_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(data.data()),
                     data.size(), reinterpret_cast<unsigned char*>(out.data()), &length));
  return out;
}

bool EqualInConstantTime(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Sha256Stream::Sha256Stream() : state_(EVP_MD_CTX_new()) {
  TENFOLD_CHECK(EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(state_), EVP_sha256(), nullptr) == 1);
}
Sha256Stream::~Sha256Stream() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(state_)); }
void Sha256Stream::Update(std::string_view data) { EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(state_), data.data(), data.size()); }
std::string Sha256Stream::FinishHex() {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(state_), reinterpret_cast<unsigned char*>(out.data()), nullptr);
  return ToHex(out);
}

std::string ToHex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const unsigned char byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

std::string Base64Encode(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(bytes.data()),
                                static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(n));
  return out;
}

std::string Base64UrlEncode(std::string_view bytes) {
  auto out = Base64Encode(bytes);
  while (!out.empty() && out.back() == '=') out.pop_back();
  for (auto& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

std::string Base64UrlDecode(std::string_view text) {
  const auto value = [](char c) -> int {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
  };
  if (text.size() % 4 == 1) throw Error(Code::kInvalidArgument, "base64url text has an impossible length");
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int v = value(c);
    if (v < 0) throw Error(Code::kInvalidArgument, "base64url text has a character outside its alphabet");
    bits = bits << 6 | static_cast<std::uint32_t>(v);
    if (count += 6; count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count & 0xff);
    }
  }
  return out;
}

}  // namespace tenfold
