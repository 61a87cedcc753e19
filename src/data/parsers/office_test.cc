#include <gtest/gtest.h>

#include "base/testing.h"
#include "data/parsers/files_for_tests.h"
#include "data/parsers/parsers.h"
#include "data/parsers/zip.h"

namespace tenfold::data::parsers {
namespace {

using Members = std::vector<std::pair<std::string, std::string>>;

std::string TextAt(const ParsedDocument& document, const TextBox& box) { return document.text.substr(static_cast<std::size_t>(box.begin), static_cast<std::size_t>(box.end - box.begin)); }

std::string Rels(const std::string& rows) { return "<Relationships xmlns='http://schemas.openxmlformats.org/package/2006/relationships'>" + rows + "</Relationships>"; }
std::string Rel(const std::string& id, const std::string& type, const std::string& target) {
  return "<Relationship Id='" + id + "' Type='http://schemas.openxmlformats.org/officeDocument/2006/relationships/" + type + "' Target='" + target + "'/>";
}

constexpr const char* kCore =
    "<cp:coreProperties xmlns:cp='c' xmlns:dc='d' xmlns:dcterms='t'><dc:title>Named inside</dc:title><dc:creator>Ada L.</dc:creator><dcterms:modified>2026-11-20T10:00:00Z</dcterms:modified></cp:coreProperties>";

std::string P(const std::string& text, const std::string& properties = {}) { return "<w:p><w:pPr>" + properties + "</w:pPr><w:r><w:t xml:space='preserve'>" + text + "</w:t></w:r></w:p>"; }

std::string MakeDocx(const std::string& body) {
  return MakeZip({{"[Content_Types].xml", "<Types/>"},
                  {"word/document.xml", "<?xml version='1.0' encoding='UTF-8'?><w:document xmlns:w='w'><w:body>" + body + "</w:body></w:document>"},
                  {"word/styles.xml", "<w:styles xmlns:w='w'><w:style w:styleId='berschrift1'><w:name w:val='heading 1'/></w:style><w:style w:styleId='Mein2'><w:basedOn w:val='Basis'/></w:style>"
                                      "<w:style w:styleId='Basis'><w:pPr><w:outlineLvl w:val='1'/></w:pPr></w:style></w:styles>"},
                  {"word/footnotes.xml", "<w:footnotes xmlns:w='w'><w:footnote w:type='separator' w:id='0'/><w:footnote w:id='2'>" + P("By the law of 2020.") + "</w:footnote></w:footnotes>"},
                  {"docProps/core.xml", kCore}});
}

TEST(Docx, HeadingsListsTablesAndNotes) {
  const auto document = ParseDocx(MakeDocx(
      P("R\xc3\xbc" "cknahme", "<w:pStyle w:val='berschrift1'/>") + P("Fristen", "<w:pStyle w:val='Mein2'/>") +
      "<w:p><w:r><w:t>Sixty days</w:t></w:r><w:del><w:r><w:delText>thirty</w:delText></w:r></w:del><w:ins><w:r><w:t xml:space='preserve'> at most</w:t></w:r></w:ins><w:r><w:footnoteReference w:id='2'/></w:r><w:r><w:t>.</w:t></w:r></w:p>" +
      P("one", "<w:numPr><w:ilvl w:val='0'/></w:numPr>") + P("deeper", "<w:numPr><w:ilvl w:val='1'/></w:numPr>") + P("After the list.") +
      "<w:tbl><w:tr><w:tc><w:tcPr><w:vMerge w:val='restart'/></w:tcPr>" + P("Tent") + "</w:tc><w:tc>" + P("2 kg") + P("dry") + "</w:tc></w:tr><w:tr><w:tc><w:tcPr><w:vMerge/></w:tcPr>" + P("") + "</w:tc><w:tc>" + P("a|b") +
      "</w:tc></w:tr><w:tr><w:tc><w:tcPr><w:gridSpan w:val='2'/></w:tcPr>" + P("both") + "</w:tc></w:tr></w:tbl>"));
  EXPECT_EQ(document.title, "Rücknahme");
  EXPECT_EQ(document.text,
            "# Rücknahme\n\n## Fristen\n\nSixty days at most[^1].\n\n- one\n  - deeper\n\nAfter the list.\n\n| Tent | 2 kg dry |\n| Tent | a\\|b |\n| both |  |\n\n[^1]: By the law of 2020.\n");
  EXPECT_EQ(document.metadata.at("author").as_string(), "Ada L.");
  EXPECT_TRUE(document.layout.empty());
}

TEST(Docx, PagesAreThoseThatWordSaved) {
  const auto document = ParseDocx(MakeDocx(P("First page.") + "<w:p><w:r><w:lastRenderedPageBreak/><w:t>Second page.</w:t></w:r></w:p>" + P("Still the second.") + "<w:p><w:r><w:br w:type='page'/></w:r></w:p>" + P("Third.")));
  ASSERT_EQ(document.pages.size(), 3u);
  ASSERT_EQ(document.layout.size(), 3u);
  EXPECT_EQ(TextAt(document, document.layout[1]), "Second page.\n\nStill the second.\n\n");
  EXPECT_EQ(document.layout[2].page, 3);
  EXPECT_EQ(TextAt(document, document.layout[2]), "Third.\n");
}

std::string Shape(const std::string& placeholder, const std::string& paragraphs, int x = 0, int y = 0) {
  const auto place = x + y > 0 ? "<a:xfrm><a:off x='" + std::to_string(x * 12700) + "' y='" + std::to_string(y * 12700) + "'/><a:ext cx='1270000' cy='254000'/></a:xfrm>" : std::string();
  return "<p:sp><p:nvSpPr><p:nvPr>" + placeholder + "</p:nvPr></p:nvSpPr><p:spPr>" + place + "</p:spPr><p:txBody>" + paragraphs + "</p:txBody></p:sp>";
}
std::string A(const std::string& text, const std::string& properties = {}) { return "<a:p>" + properties + "<a:r><a:t>" + text + "</a:t></a:r></a:p>"; }
std::string Slide(const std::string& shapes) { return "<p:sld xmlns:p='p' xmlns:a='a'><p:cSld><p:spTree>" + shapes + "</p:spTree></p:cSld></p:sld>"; }

std::string MakePptx() {
  const std::string cell = "<a:tc><a:txBody>", end = "</a:txBody></a:tc>";
  return MakeZip({{"ppt/presentation.xml", "<p:presentation xmlns:p='p' xmlns:r='r'><p:sldIdLst><p:sldId id='256' r:id='r2'/><p:sldId id='257' r:id='r1'/></p:sldIdLst><p:sldSz cx='9144000' cy='6858000'/></p:presentation>"},
                  {"ppt/_rels/presentation.xml.rels", Rels(Rel("r1", "slide", "slides/slide1.xml") + Rel("r2", "slide", "slides/slide2.xml"))},
                  {"ppt/slides/slide1.xml", Slide("<p:graphicFrame><p:xfrm><a:off x='1270000' y='2540000'/><a:ext cx='2540000' cy='1270000'/></p:xfrm><a:graphic><a:graphicData><a:tbl><a:tr>" + cell + A("Model") + end + cell + A("Price") + end +
                                                  "</a:tr><a:tr>" + cell + A("Lapwing") + end + cell + A("329") + end + "</a:tr></a:tbl></a:graphicData></a:graphic></p:graphicFrame>" + Shape("<p:ph type='title'/>", A("Prices")) + Shape("<p:ph type='sldNum'/>", A("2")))},
                  {"ppt/slides/slide2.xml", Slide(Shape("", A("below"), 100, 300) + Shape("", A("above"), 100, 200) + Shape("<p:ph type='ctrTitle'/>", A("Autumn")) + Shape("<p:ph idx='1'/>", A("tents") + A("small ones", "<a:pPr lvl='1'/>")))},
                  {"ppt/slides/_rels/slide2.xml.rels", Rels(Rel("n", "notesSlide", "../notesSlides/notesSlide1.xml"))},
                  {"ppt/notesSlides/notesSlide1.xml", "<p:notes xmlns:p='p' xmlns:a='a'><p:cSld><p:spTree>" + Shape("<p:ph type='body'/>", A("Say hello.")) + "</p:spTree></p:cSld></p:notes>"},
                  {"docProps/core.xml", kCore}});
}

TEST(Pptx, ASlideIsAPageWithTitleShapesTableAndNotes) {
  const auto document = ParsePptx(MakePptx());
  EXPECT_EQ(document.text, "# Autumn\n\n- tents\n  - small ones\n\nabove\n\nbelow\n\nNotes: Say hello.\n\n## Prices\n\n| Model | Price |\n| Lapwing | 329 |\n");
  EXPECT_EQ(document.title, "Autumn");
  ASSERT_EQ(document.pages.size(), 2u);
  EXPECT_EQ(document.pages[0].width, 720);
  const auto above = std::find_if(document.layout.begin(), document.layout.end(), [&](const auto& box) { return TextAt(document, box) == "above"; });
  ASSERT_NE(above, document.layout.end());
  EXPECT_EQ(above->left, 100);
  EXPECT_EQ(above->bottom, 220);
  EXPECT_EQ(document.layout.back().page, 2);
}

std::string MakeXlsx(const std::string& sheet) {
  return MakeZip({{"xl/workbook.xml", "<workbook xmlns:r='r'><sheets><sheet name='Stock' sheetId='1' r:id='a'/><sheet name='Empty' sheetId='2' r:id='b'/></sheets></workbook>"},
                  {"xl/_rels/workbook.xml.rels", Rels(Rel("a", "worksheet", "worksheets/sheet1.xml") + Rel("b", "worksheet", "/xl/worksheets/sheet2.xml") + Rel("s", "sharedStrings", "sharedStrings.xml") + Rel("t", "styles", "styles.xml"))},
                  {"xl/sharedStrings.xml", "<sst><si><t>Model</t></si><si><r><t>Lap</t></r><r><t>wing|2</t></r><rPh><t>no</t></rPh></si></sst>"},
                  {"xl/styles.xml", "<styleSheet><numFmts><numFmt numFmtId='170' formatCode='dd.mm.yyyy&quot;h&quot;'/><numFmt numFmtId='171' formatCode='yyyy-mm-dd hh:mm'/><numFmt numFmtId='172' formatCode='#,##0 [Red]'/></numFmts>"
                                    "<cellXfs><xf numFmtId='0'/><xf numFmtId='14'/><xf numFmtId='170'/><xf numFmtId='171'/><xf numFmtId='9'/><xf numFmtId='20'/><xf numFmtId='172'/></cellXfs></styleSheet>"},
                  {"xl/worksheets/sheet1.xml", "<worksheet><sheetData>" + sheet + "</sheetData></worksheet>"},
                  {"xl/worksheets/sheet2.xml", "<worksheet><sheetData/></worksheet>"}});
}

TEST(Xlsx, SheetsAreTablesWithStringsDatesAndNumbers) {
  const auto document = ParseXlsx(MakeXlsx("<row r='1'><c r='A1' t='s'><v>0</v></c><c r='D1' t='inlineStr'><is><t>Since</t></is></c></row><row r='3'><c r='A3' t='s'><v>1</v></c><c r='D3' s='1'><v>45000</v></c></row>"
                                           "<row><c s='2'><v>45000</v></c><c r='D4' s='3'><v>45000.75</v></c></row><row><c s='4'><v>0.125</v></c><c r='D5' s='5'><v>0.5</v></c></row>"
                                           "<row><c s='6'><v>0.30000000000000004</v></c><c r='D6' t='b'><v>1</v></c></row><row><c><v>12345678</v></c><c r='D7' t='e'><v>#N/A</v></c></row>"));
  EXPECT_EQ(document.text,
            "## Stock\n\n| Model | Since |\n| Lapwing\\|2 | 2023-03-15 |\n| 2023-03-15 | 2023-03-15 18:00 |\n| 12.5% | 12:00 |\n| 0.3 | TRUE |\n| 12345678 | #N/A |\n\n## Empty\n\n");
  ASSERT_EQ(document.layout.size(), 2u);
  EXPECT_EQ(document.layout[1].page, 2);
  EXPECT_EQ(document.layout[1].end, static_cast<std::int64_t>(document.text.size()));
}

TEST(Xlsx, ASheetOfFarCornersCostsOnlyItsCells) {
  EXPECT_EQ(ParseXlsx(MakeXlsx("<row><c r='A1'><v>1</v></c><c r='XFD1'><v>2</v></c></row><row><c r='ZZZZ9'><v>3</v></c><c r='B1048576' t='s'><v>99</v></c></row>")).text, "## Stock\n\n| 1 | 2 |\n\n## Empty\n\n");
}

TEST(Epub, ChaptersComeInTheOrderOfTheSpine) {
  const auto document = ParseEpub(MakeZip({{"mimetype", "application/epub+zip"},
                                           {"META-INF/container.xml", "<container><rootfiles><rootfile full-path='OEBPS/book.opf'/></rootfiles></container>"},
                                           {"OEBPS/book.opf", "<package><metadata xmlns:dc='d'><dc:title>On Tents</dc:title><dc:creator>A</dc:creator><dc:creator>B</dc:creator><dc:language>en</dc:language></metadata><manifest>"
                                                              "<item id='n' href='nav.xhtml' properties='nav'/><item id='x' href='text/two%20b.xhtml'/><item id='y' href='one.xhtml'/></manifest>"
                                                              "<spine><itemref idref='n'/><itemref idref='y'/><itemref idref='x'/><itemref idref='y'/><itemref idref='gone'/></spine></package>"},
                                           {"OEBPS/nav.xhtml", "<html><body>contents</body></html>"},
                                           {"OEBPS/one.xhtml", "<html><head><title/></head><body><h1>One</h1><p>First<a id='p1'/> text.</p></body></html>"},
                                           {"OEBPS/text/two b.xhtml", "<html><head><title>t</title></head><body><h1>Two</h1><table><tr><td>a</td><td>b</td></tr></table></body></html>"}}));
  EXPECT_EQ(document.title, "On Tents");
  EXPECT_EQ(document.text, "# One\n\nFirst text.\n\n# Two\n\n| a | b |\n");
  EXPECT_EQ(document.metadata.at("author").as_string(), "A, B");
}

TEST(Zip, BombsManyEntriesAndPasswordsAreRefused) {
  const auto bomb = MakeZip({{"word/document.xml", "<w:document>" + std::string(64u << 20, ' ') + "</w:document>"}});
  ASSERT_LT(bomb.size(), 200'000u);
  EXPECT_EQ(CodeOf([&] { ParseDocx(bomb); }), Code::kResourceExhausted);
  Members many;
  for (std::size_t i = 0; i <= kMaxZipEntries; ++i) many.emplace_back("x" + std::to_string(i), "");
  many.emplace_back("word/document.xml", "<w:document/>");
  EXPECT_EQ(CodeOf([&] { ParseDocx(MakeZip(many)); }), Code::kResourceExhausted);
  EXPECT_EQ(CodeOf([] { ParseDocx(MakeZip({{"word/document.xml", "<w:document/>"}}, "secret")); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([] { ParseDocx(MakeZip({{"other.xml", "<a/>"}})); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([] { ParseXlsx(MakeZip({{"xl/workbook.xml", "<workbook"}})); }), Code::kInvalidArgument);
}

TEST(Docx, NestingWithoutEndIsCutShort) {
  std::string deep;
  for (int i = 0; i < 20'000; ++i) deep += "<w:sdt>";
  EXPECT_NO_THROW({
    try {
      ParseDocx(MakeDocx(deep));
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::kInvalidArgument);
    }
  });
  std::string closed = "<w:p><w:r><w:t>x</w:t></w:r></w:p>";
  for (int i = 0; i < 2000; ++i) closed = "<w:sdt>" + closed + "</w:sdt>";
  EXPECT_NO_THROW(ParseDocx(MakeDocx(closed)));
}

TEST(Sniff, BytesSayWhatTheyAreWhateverTheirName) {
  const auto xlsx = MakeXlsx("");
  EXPECT_EQ(SniffMediaType(xlsx, kDocx), kXlsx);
  EXPECT_EQ(SniffMediaType(MakePptx(), kPlainText), kPptx);
  EXPECT_EQ(SniffMediaType("%PDF-1.7\n", kPlainText), kPdf);
  EXPECT_EQ(SniffMediaType("\n <!DOCTYPE HTML><p>", kMarkdown), kHtml);
  EXPECT_EQ(SniffMediaType("\x89PNG\r\n\x1a\n", kPdf), kPng);
  EXPECT_EQ(SniffMediaType("# text about %PDF-1.4", kMarkdown), kMarkdown);
  EXPECT_EQ(CodeOf([] { SniffMediaType("just text", kPdf); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([] { SniffMediaType("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", kDocx); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([] { SniffMediaType(MakeZip({{"a.txt", "x"}}), kDocx); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([] { SniffMediaType("\x1f\x8b\x08", kPlainText); }), Code::kInvalidArgument);
}

}  // namespace
}  // namespace tenfold::data::parsers
