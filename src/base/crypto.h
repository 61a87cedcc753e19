#pragma once
/// \file Hashes, random bytes and encodings, over OpenSSL. All functions are safe from any thread.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tenfold {

/// Fills with bytes from the system's secure generator. Aborts if there are none: nothing works safely without.
void FillRandom(std::span<std::uint8_t> out);
/// `bytes` random bytes as base64url without padding.
std::string RandomToken(std::size_t bytes);

/// 32 raw bytes.
std::string Sha256(std::string_view data);
/// 64 lower-case hexadecimal digits.
std::string Sha256Hex(std::string_view data);
/// 32 raw bytes. Source: RFC 2104.
std::string HmacSha256(std::string_view key, std::string_view data);
/// Takes the same time wherever the first difference lies.
bool EqualInConstantTime(std::string_view a, std::string_view b);

/// SHA-256 over data that arrives in pieces.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;
  void Update(std::string_view data);
  std::string FinishHex();

 private:
  void* state_;
};

std::string ToHex(std::string_view bytes);
/// Standard alphabet, padded. Source: RFC 4648.
std::string Base64Encode(std::string_view bytes);
/// URL alphabet, no padding.
std::string Base64UrlEncode(std::string_view bytes);
/// Errors: kInvalidArgument for a character outside the alphabet or a bad length.
std::string Base64UrlDecode(std::string_view text);

}  // namespace tenfold
