#include "security/password.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/testing.h"

namespace tenfold::security {
namespace {

TEST(Password, AcceptsOnlyTheSamePassword) {
  const auto encoded = HashPassword("correct horse");
  EXPECT_TRUE(encoded.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
  EXPECT_TRUE(VerifyPassword(encoded, "correct horse"));
  EXPECT_FALSE(VerifyPassword(encoded, "correct horsf"));
  EXPECT_FALSE(VerifyPassword(encoded, "correct horse "));
  EXPECT_FALSE(VerifyPassword(encoded, std::string_view("correct horse\0", 14)));
}

TEST(Password, SaltsEachHash) { EXPECT_NE(HashPassword("same"), HashPassword("same")); }

TEST(Password, KeepsZeroBytes) {
  const std::string_view with_zero("a\0b", 3);
  const auto encoded = HashPassword(with_zero);
  EXPECT_TRUE(VerifyPassword(encoded, with_zero));
  EXPECT_FALSE(VerifyPassword(encoded, "a"));
}

TEST(Password, RefusesEmptyAndOverlong) {
  EXPECT_EQ(CodeOf([] { HashPassword(""); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([] { HashPassword(std::string(1025, 'x')); }), Code::kInvalidArgument);
  const auto longest = HashPassword(std::string(1024, 'x'));
  EXPECT_TRUE(VerifyPassword(longest, std::string(1024, 'x')));
  EXPECT_FALSE(VerifyPassword(longest, std::string(1025, 'x')));
  EXPECT_FALSE(VerifyPassword(longest, ""));
}

TEST(Password, IsFalseWithoutAUser) { EXPECT_FALSE(VerifyPassword("", "anything")); }

TEST(Password, CallsDamagedHashesDataLoss) {
  const auto good = HashPassword("pw");
  for (const std::string& bad : {std::string("plain"), std::string("$argon2i$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA"), std::string("$argon2id$v=19$m=999999999,t=2,p=1$c2FsdHNhbHQ$aGFzaA"),
                                 std::string("$argon2id$v=19$m=19456,t=99999,p=1$c2FsdHNhbHQ$aGFzaA"), good.substr(0, 40), good + std::string(1, '\0')})
    EXPECT_EQ(CodeOf([&] { VerifyPassword(bad, "pw"); }), Code::kDataLoss) << bad;
}

}  // namespace
}  // namespace tenfold::security
