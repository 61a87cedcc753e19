#include "base/utf8.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace tenfold
