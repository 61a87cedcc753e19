#include "data/parse.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/testing.h"

namespace tenfold::data {
namespace {

using namespace std::chrono_literals;

TEST(Parse, MarkdownKeepsItsTextAndFindsItsTitle) {
  const auto document = ParseMarkdown("---\nlang: en\n---\r\n\r\n# Returns\r\n\r\n\r\nSixty days.  \r\n");
  EXPECT_EQ(document.title, "Returns");
  EXPECT_EQ(document.text, "# Returns\n\nSixty days.\n");
  EXPECT_EQ(ParseMarkdown("caf\xe9 \x80").text, "café €\n");
  EXPECT_EQ(CodeOf([] { ParseMarkdown(std::string_view("\0\1", 2)); }), Code::kInvalidArgument);
}

TEST(Parse, HtmlBecomesHeadingsListsAndTables) {
  const auto document = ParseHtml("<title>T &amp; t</title><nav>menu</nav><h2>Rates</h2><p>One  <b>two</b>\nthree</p><ul><li>a<li>b</ul>"
                                  "<table><tr><th>x<th>y<tr><td>1<td>2</table><script>bad()</script>");
  EXPECT_EQ(document.title, "T & t");
  EXPECT_EQ(document.text, "## Rates\n\nOne two three\n\n- a\n- b\n\n| x | y |\n| 1 | 2 |\n");
  EXPECT_NO_THROW(ParseHtml(std::string(200'000, '<')));
}

TEST(Parse, CsvBecomesRows) {
  EXPECT_EQ(ParseCsv("a,\"b, \"\"c\"\"\"\r\n1,2\r\n").text, "| a | b, \"c\" |\n| 1 | 2 |\n");
  EXPECT_EQ(CodeOf([] { ParseCsv("a,\"b"); }), Code::kInvalidArgument);
}

TEST(Parse, RefusesADocxThatIsNone) {
  EXPECT_EQ(CodeOf([] { ParseDocx("PK\x03\x04 broken"); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([] { ParseDocx(""); }), Code::kInvalidArgument);
}

}  // namespace
}  // namespace tenfold::data
