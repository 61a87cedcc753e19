#include "data/parse.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/testing.h"
#include "data/parsers/parsers.h"
#include "data/parsers/text.h"

namespace tenfold::data::parsers {
namespace {

ParsedDocument Parse(std::string_view bytes, std::string_view media_type) { return ParseBytes(Context::System("test"), bytes, media_type); }

TEST(Parse, MarkdownKeepsItsTextAndFindsItsTitle) {
  const auto document = ParseMarkdown("---\nlang: en\n---\r\n\r\n# Returns\r\n\r\n\r\nSixty days.  \r\n");
  EXPECT_EQ(document.title, "Returns");
  EXPECT_EQ(document.text, "# Returns\n\nSixty days.\n");
  EXPECT_EQ(ParseMarkdown("caf\xe9 \x80").text, "café €\n");
  EXPECT_EQ(CodeOf([] { ParseMarkdown(std::string_view("\0\1", 2)); }), Code::kInvalidArgument);
}

TEST(Parse, ATitleIsNeverCutInsideACharacter) {
  std::string line = "# x";
  for (int i = 0; i < 150; ++i) line += "é";
  EXPECT_TRUE(IsUtf8(ParseMarkdown(line).title));
  EXPECT_LE(ParseMarkdown(line).title.size(), 200u);
}

TEST(Parse, HtmlBecomesHeadingsListsAndTables) {
  const auto document = ParseHtml("<title>T &amp; t</title><nav>menu</nav><h2>Rates</h2><p>One  <b>two</b>\nthree</p><ul><li>a<ul><li>deep</ul><li>b</ul>"
                                  "<table><tr><th>x<th>y<tr><td>1<td>2|3</table><pre>if (a)\n  b();</pre><script>bad()</script>");
  EXPECT_EQ(document.title, "T & t");
  EXPECT_EQ(document.text, "## Rates\n\nOne two three\n\n- a\n  - deep\n- b\n\n| x | y |\n| 1 | 2\\|3 |\n\n```\nif (a)\n  b();\n```\n");
  EXPECT_NO_THROW(ParseHtml(std::string(200'000, '<')));
}

TEST(Parse, HtmlTablesSaySpannedCellsInEachRow) {
  EXPECT_EQ(ParseHtml("<table><tr><td rowspan=2>Tent</td><td>2 kg</td></tr><tr><td>89 EUR</td></tr><tr><td colspan=2>Sale</td></tr></table>").text,
            "| Tent | 2 kg |\n| Tent | 89 EUR |\n| Sale |  |\n");
  // A table that only places things is no table.
  EXPECT_EQ(ParseHtml("<table><tr><td><p>left</p><table><tr><td>a<td>b</table></td><td>right</td></tr></table>").text, "left\n\n| a | b |\n\nright\n");
}

TEST(Parse, HtmlLeavesOutWhatSurroundsTheMainText) {
  const std::string prose(400, 'x');
  const auto document = ParseHtml("<body><header><a href=/>Shop</a> <a href=/help>Help</a></header><div class='cookie-bar'>We use cookies</div><ul class='main-menu'><li><a href=/a>Tents</a><li><a href=/b>Stoves</a></ul>"
                                  "<h1>Repairs</h1><p>" + prose + "</p><p hidden>secret</p><div style='display: none'>also</div><aside><a href=1>one</a><a href=2>two</a><a href=3>three</a></aside><footer>Imprint</footer></body>");
  EXPECT_EQ(document.text, "# Repairs\n\n" + prose + "\n");
  EXPECT_EQ(ParseHtml("<body><div>around</div><main><h1>Inside</h1><p>Text of it.</p><footer>its own</footer></main><div>after</div></body>").text, "# Inside\n\nText of it.\n\nits own\n");
  // A page of links alone is not emptied.
  EXPECT_EQ(ParseHtml("<body><ul class=menu><li><a href=1>Alpha</a><li><a href=2>Beta</a></ul><p>x</p></body>").text, "- Alpha\n- Beta\n\nx\n");
  // A table of prices in a restaurant's menu is text, not a menu of links.
  EXPECT_NE(ParseHtml("<body><div class=menu>Soup 4.50</div><p>" + prose + "</p></body>").text.find("Soup"), std::string::npos);
}

TEST(Parse, HtmlThatNestsTooDeepIsRefused) {
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "<div>";
  EXPECT_EQ(CodeOf([&] { ParseHtml(deep); }), Code::kResourceExhausted);
  std::string flat;
  for (int i = 0; i < 20'000; ++i) flat += "<p>a<br><li>b";
  EXPECT_NO_THROW(ParseHtml(flat));
}

TEST(Parse, CsvBecomesRows) {
  EXPECT_EQ(ParseCsv("a,\"b, \"\"c\"\"\"\r\n1,2\r\n").text, "| a | b, \"c\" |\n| 1 | 2 |\n");
  EXPECT_EQ(CodeOf([] { ParseCsv("a,\"b"); }), Code::kInvalidArgument);
  EXPECT_EQ(ParseCsv("name;price\nTent, small;89,50\n").text, "| name | price |\n| Tent, small | 89,50 |\n");
  EXPECT_EQ(ParseCsv("sep=;\na;b,c\n").text, "| a | b,c |\n");
  EXPECT_EQ(ParseTsv("a\tb,c\n\"x\ty\"\t2\n").text, "| a | b,c |\n| x y | 2 |\n");
}

TEST(Parse, JsonKeepsNamesAndTables) {
  const auto document = ParseJsonDocument(R"({"title": "Orders", "count": 2, "tags": ["a", "b"], "rows": [{"id": 1, "city": "Graz"}, {"id": 2, "paid": true}], "shop": {"address": {"street": "x|y"}}})");
  EXPECT_EQ(document.title, "Orders");
  EXPECT_EQ(document.text, "title: Orders\ncount: 2\ntags: a, b\n\n# rows\n\n| id | city | paid |\n| 1 | Graz |  |\n| 2 |  | true |\n\n# shop\n\n## address\n\nstreet: x|y\n");
  EXPECT_EQ(ParseJsonLines("{\"a\":1}\n\n{\"a\":2,\"b\":\"z\"}\n").text, "| a | b |\n| 1 |  |\n| 2 | z |\n");
  EXPECT_EQ(CodeOf([] { ParseJsonDocument("{\"a\": "); }), Code::kInvalidArgument);
  try {
    ParseJsonLines("{}\n{\n");
    FAIL();
  } catch (const Error& e) {
    EXPECT_TRUE(e.message().starts_with("line 2: ")) << e.message();
  }
  EXPECT_EQ(CodeOf([] { ParseJsonDocument(std::string(100, '[')); }), Code::kInvalidArgument);
}

TEST(Encoding, MarksAreFollowed) {
  EXPECT_EQ(DecodeText("\xef\xbb\xbfr\xc3\xa9"), "ré");
  EXPECT_EQ(DecodeText(std::string_view("\xff\xfer\0\xe9\0", 6)), "ré");
  EXPECT_EQ(DecodeText(std::string_view("\xfe\xff\0r\0\xe9", 6)), "ré");
  EXPECT_EQ(DecodeText(std::string_view("\xff\xfe\0\0r\0\0\0", 8)), "r");
  EXPECT_EQ(DecodeText(std::string_view("\0\0\xfe\xff\0\1\xf6\0", 8)), "😀");
  EXPECT_EQ(DecodeText(std::string_view("P\0l\0a\0i\0n\0", 10)), "Plain");  // no mark, but its zeros say it
}

TEST(Encoding, DeclaredOnesAreFollowedAndUnknownOnesAreNot) {
  EXPECT_EQ(DecodeText("\xf0\xd2\xc9\xd7\xc5\xd4", "koi8-r"), "Привет");
  EXPECT_EQ(DecodeText("caf\xe9", "ISO-8859-1"), "café");
  EXPECT_EQ(DecodeText("\xb9\xb3\xbf", "iso-8859-2"), "šłż");
  EXPECT_EQ(DecodeText("caf\xe9", "../../tmp/evil"), "café");
  EXPECT_EQ(DecodeText("caf\xc3\xa9", "windows-1252"), "café");  // said to be something else, but it is UTF-8
  EXPECT_EQ(ParseHtml("<meta charset=windows-1251><p>\xcf\xf0\xe8\xe2\xe5\xf2</p>").text, "Привет\n");
  EXPECT_EQ(Parse("<p>\xf0\xd2\xc9\xd7\xc5\xd4</p>", "text/html; charset=\"KOI8-R\"").text, "Привет\n");
}

TEST(Encoding, UndeclaredOnesAreTold) {
  const auto text_of = [](const char* name) { return ReadFile(std::filesystem::path(TENFOLD_SOURCE_DIR) / "tests/corpus/parse" / name); };
  EXPECT_EQ(DecodeText(text_of("text_shift_jis").substr(1)), "返品は六十日以内にお願いします。テントの修理もできます。\n");
  EXPECT_EQ(DecodeText(text_of("text_euc_jp").substr(1)), "返品は六十日以内にお願いします。テントの修理もできます。\n");
  EXPECT_EQ(DecodeText(text_of("text_iso_2022_jp").substr(1)), "返品は六十日以内にお願いします。テントの修理もできます。\n");
  EXPECT_EQ(DecodeText(text_of("text_euc_kr").substr(1)), "반품은 육십 일 이내에 가능합니다. 텐트 수리도 합니다.\n");
  EXPECT_EQ(DecodeText(text_of("text_gb18030").substr(1)), "我们的退货期限是六十天。你可以在这里修理帐篷，不要忘了收据。\n");
  EXPECT_EQ(DecodeText(text_of("text_big5").substr(1)), "我們的退貨期限是六十天。你可以在這裡修理帳篷，不要忘了收據。\n");
  EXPECT_EQ(DecodeText(text_of("text_windows_1251").substr(1)), "Вернуть товар можно в течение шестидесяти дней. Мы чиним палатки.\n");
  EXPECT_EQ(DecodeText(text_of("text_koi8_r").substr(1)), "Вернуть товар можно в течение шестидесяти дней. Мы чиним палатки.\n");
  EXPECT_EQ(DecodeText("Zur\xfc" "ckgeben k\xf6nnen Sie in 60 Tagen \x96 f\xfcr 5 \x80."), "Zurückgeben können Sie in 60 Tagen – für 5 €.");
}

TEST(Parse, RefusesADocxThatIsNone) {
  EXPECT_EQ(CodeOf([] { ParseDocx("PK\x03\x04 broken"); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([] { ParseDocx(""); }), Code::kInvalidArgument);
}

}  // namespace
}  // namespace tenfold::data::parsers
