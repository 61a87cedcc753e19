#include "security/jwt.h"

#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/error.h"

namespace tenfold::security {
namespace {

constexpr std::int64_t kNow = 1'700'000'000;

TokenCheck CheckAt(std::int64_t seconds = kNow) { return {"tenfold", "api", TimePoint(std::chrono::seconds(seconds))}; }
JsonObject MakeClaims() { return {{"iss", "tenfold"}, {"aud", "api"}, {"sub", "anna@example.com"}, {"exp", kNow + 900}, {"nbf", kNow}, {"iat", kNow}}; }

bool Refuses(const TokenSigner& signer, std::string_view token, const TokenCheck& check = CheckAt()) {
  try {
    signer.Verify(token, check);
    return false;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kUnauthenticated);
    return true;
  }
}

// The key of RFC 8037, appendix A.
constexpr std::string_view kRfcPem =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

TEST(Jwt, MatchesTheRfcKeyIdAndPublicKey) {
  const auto signer = TokenSigner::FromPem(kRfcPem);
  EXPECT_EQ(signer.key_id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");  // RFC 8037, A.3
  EXPECT_EQ(ToText(signer.Jwks()),
            R"({"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","use":"sig","alg":"EdDSA"}]})");
  EXPECT_EQ(signer.ToPem(), kRfcPem);
}

TEST(Jwt, ReturnsTheClaimsItSigned) {
  const auto signer = TokenSigner::Generate();
  EXPECT_EQ(signer.Verify(signer.Sign(MakeClaims()), CheckAt()), MakeClaims());
  const auto again = TokenSigner::FromPem(signer.ToPem());
  EXPECT_EQ(again.key_id(), signer.key_id());
  EXPECT_EQ(again.Verify(signer.Sign(MakeClaims()), CheckAt()), MakeClaims());
}

TEST(Jwt, RefusesAnotherKey) {
  const auto a = TokenSigner::Generate(), b = TokenSigner::Generate();
  EXPECT_TRUE(Refuses(a, b.Sign(MakeClaims())));
}

TEST(Jwt, RefusesEveryChangedCharacter) {
  const auto signer = TokenSigner::FromPem(kRfcPem);
  const auto token = signer.Sign(MakeClaims());
  for (std::size_t i = 0; i < token.size(); ++i) {
    auto changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_TRUE(Refuses(signer, changed)) << i;
    EXPECT_TRUE(Refuses(signer, token.substr(0, i))) << i;
  }
  for (const auto* suffix : {".", "=", " ", "\n", ".e30", "A", "AA"}) EXPECT_TRUE(Refuses(signer, token + suffix)) << suffix;
}

TEST(Jwt, RefusesChosenAlgorithmsAndHeaders) {
  const auto signer = TokenSigner::FromPem(kRfcPem);
  const auto token = signer.Sign(MakeClaims());
  const auto payload = token.substr(token.find('.') + 1, token.rfind('.') - token.find('.') - 1);
  const auto kid = signer.key_id();
  const auto public_key = Base64UrlDecode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
  for (const auto& header : {JsonObject{{"alg", "none"}, {"kid", kid}}, JsonObject{{"alg", "HS256"}, {"kid", kid}}, JsonObject{{"alg", "eddsa"}, {"kid", kid}}, JsonObject{{"kid", kid}},
                             JsonObject{{"alg", "EdDSA"}}, JsonObject{{"alg", JsonArray{"EdDSA"}}, {"kid", kid}}}) {
    const auto text = Base64UrlEncode(ToText(header)) + "." + payload;
    EXPECT_TRUE(Refuses(signer, text + "."));
    EXPECT_TRUE(Refuses(signer, text + token.substr(token.rfind('.'))));
    EXPECT_TRUE(Refuses(signer, text + "." + Base64UrlEncode(HmacSha256(public_key, text))));  // the public key taken as an HMAC key
  }
}

TEST(Jwt, HonoursTimesWithASixtySecondLeeway) {
  const auto signer = TokenSigner::FromPem(kRfcPem);
  const auto token = signer.Sign(MakeClaims());
  EXPECT_FALSE(Refuses(signer, token, CheckAt(kNow + 959)));
  EXPECT_TRUE(Refuses(signer, token, CheckAt(kNow + 960)));
  EXPECT_FALSE(Refuses(signer, token, CheckAt(kNow - 60)));
  EXPECT_TRUE(Refuses(signer, token, CheckAt(kNow - 61)));
  for (const Json& bad : {Json(nullptr), Json("1800000000"), Json(1e300), Json(true), Json(JsonArray{}), Json(-1e300)}) {
    auto claims = MakeClaims();
    claims["exp"] = bad;
    EXPECT_TRUE(Refuses(signer, signer.Sign(claims))) << ToText(bad);
  }
  auto forever = MakeClaims();
  forever.erase("exp");
  EXPECT_TRUE(Refuses(signer, signer.Sign(forever)));
}

TEST(Jwt, ChecksIssuerAndAudience) {
  const auto signer = TokenSigner::FromPem(kRfcPem);
  const auto with = [&](std::string_view name, Json value) {
    auto claims = MakeClaims();
    claims[name] = std::move(value);
    return signer.Sign(claims);
  };
  EXPECT_TRUE(Refuses(signer, with("iss", "evil")));
  EXPECT_TRUE(Refuses(signer, with("iss", nullptr)));
  EXPECT_TRUE(Refuses(signer, with("aud", "other")));
  EXPECT_TRUE(Refuses(signer, with("aud", JsonArray{"other"})));
  EXPECT_TRUE(Refuses(signer, with("aud", JsonArray{"api", 1})));
  EXPECT_FALSE(Refuses(signer, with("aud", JsonArray{"other", "api"})));
  EXPECT_TRUE(Refuses(signer, with("aud", ""), {"tenfold", "", CheckAt().now}));
}

TEST(Jwt, RefusesOverlongAndMalformedText) {
  const auto signer = TokenSigner::FromPem(kRfcPem);
  for (const std::string& text : {std::string(), std::string("."), std::string(".."), std::string("..."), std::string("a.b.c"), std::string(9000, 'a'), std::string(8000, '.'),
                                  std::string("e30.e30."), std::string("W10.W10.W10"), std::string("\0.\0.\0", 5)})
    EXPECT_TRUE(Refuses(signer, text)) << text.substr(0, 20);
  EXPECT_THROW(signer.Sign({{"x", std::string(8000, 'x')}}), Error);
}

TEST(Jwt, RefusesOtherKeysAsPem) {
  for (const auto* pem : {"", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
                          // an EC P-256 key
                          "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\nOF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n1RTwjmYSi9R/"
                          "zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G\n-----END PRIVATE KEY-----\n"})
    EXPECT_THROW(TokenSigner::FromPem(pem), Error) << pem;
}

}  // namespace
}  // namespace tenfold::security
