#include "base/utf8.h"

#include <gtest/gtest.h>

#include "base/http.h"

namespace tenfold {
namespace {

TEST(Utf8, WritesTheFirstAndLastCharacterOfEachLength) {
  std::string out;
  for (const char32_t c : {0x0u, 0x7fu, 0x80u, 0x7ffu, 0x800u, 0xffffu, 0x10000u, 0x10ffffu}) AppendUtf8(out, c);
  using namespace std::string_literals;
  EXPECT_EQ(out, "\x00\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"s);
}

TEST(Utf8, ReplacesWhatIsNoCharacter) {
  for (const char32_t c : {0xd800u, 0xdfffu, 0x110000u, 0xffffffffu}) {
    std::string out;
    AppendUtf8(out, c);
    EXPECT_EQ(out, "\xef\xbf\xbd") << static_cast<std::uint32_t>(c);
  }
}

TEST(Utf8, CutsBetweenCharacters) {
  const std::string text = "a\xc3\xa9\xf0\x90\x80\x80";
  for (const auto& [most, size] : std::initializer_list<std::pair<std::size_t, std::size_t>>{{0, 0}, {1, 1}, {2, 1}, {3, 3}, {4, 3}, {6, 3}, {7, 7}, {8, 7}}) EXPECT_EQ(CutUtf8(text, most).size(), size) << most;
}

TEST(Utf8, MendsWhatIsNone) {
  EXPECT_EQ(MendUtf8("a\xc3\xa9"), "a\xc3\xa9");
  EXPECT_EQ(MendUtf8("a\xc3"), "a\xef\xbf\xbd");
  EXPECT_EQ(MendUtf8("\xff\xc3\xa9\xf0\x90\x80z"), "\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
}

TEST(Utf8, AnErrorIsToldInItWhateverItsMessageCut) {
  const Error error(Code::kInvalidArgument, "no operator '$" + std::string("\xc3\xa9").substr(0, 1) + "'", "filter.\xc3");
  EXPECT_EQ(ParseJson(ErrorResponse(error).body).at("error").at("message"), "no operator '$\xef\xbf\xbd'");
}

}  // namespace
}  // namespace tenfold
