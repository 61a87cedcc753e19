#include <gtest/gtest.h>

#include "base/files.h"
#include "base/process.h"
#include "base/testing.h"
#include "data/parsers/files_for_tests.h"
#include "data/parsers/page_layout.h"
#include "data/parsers/parsers.h"

namespace tenfold::data::parsers {
namespace {

ParsedDocument Parse(std::string_view bytes) { return ParseBytes(Context::System("test"), bytes, kPdf); }

std::string TextAt(const ParsedDocument& document, const TextBox& box) { return document.text.substr(static_cast<std::size_t>(box.begin), static_cast<std::size_t>(box.end - box.begin)); }

void ExpectLayoutHolds(const ParsedDocument& document) {
  std::int64_t before = 0;
  for (const auto& box : document.layout) {
    EXPECT_GE(box.begin, before);
    EXPECT_GE(box.end, box.begin);
    EXPECT_LE(box.end, static_cast<std::int64_t>(document.text.size()));
    EXPECT_TRUE(IsUtf8(TextAt(document, box)));
    EXPECT_GE(box.page, 1);
    EXPECT_LE(box.page, static_cast<std::int64_t>(document.pages.size()));
    before = box.begin;
  }
}

std::vector<PdfLine> TwoColumns() {
  const char* left[] = {"Tents are sewn in Graz by hand and each", "seam is sealed twice before it leaves the", "house. A tent that leaks is repaired free of", "charge within five years of the pur-", "chase."};
  const char* right[] = {"Stoves burn gas from cartridges that any", "shop in the mountains sells. Keep one metre", "of distance from whatever may burn, and", "never cook inside of a closed tent at all.", "Spare parts are kept for ten years in Graz."};
  std::vector<PdfLine> out{{60, 780, 18, "Our products"}};
  for (int i = 0; i < 5; ++i) {
    out.push_back({60, 740.0 - i * 14, 10, left[i]});
    out.push_back({320, 740.0 - i * 14, 10, right[i]});
  }
  return out;
}

TEST(Pdf, TwoColumnsAreReadOneAfterTheOther) {
  const auto document = Parse(MakePdf({TwoColumns()}));
  EXPECT_EQ(document.title, "Our products");
  EXPECT_EQ(document.text,
            "# Our products\n\nTents are sewn in Graz by hand and each seam is sealed twice before it leaves the house. A tent that leaks is repaired free of charge within five years of the purchase.\n\n"
            "Stoves burn gas from cartridges that any shop in the mountains sells. Keep one metre of distance from whatever may burn, and never cook inside of a closed tent at all. Spare parts are kept for ten years in Graz.\n");
  ExpectLayoutHolds(document);
  ASSERT_EQ(document.pages.size(), 1u);
  EXPECT_EQ(document.pages[0].width, 595);
  ASSERT_EQ(document.layout.size(), 11u);
  const auto& line = document.layout[6];
  EXPECT_EQ(TextAt(document, line), "Stoves burn gas from cartridges that any");
  EXPECT_NEAR(line.left, 320, 1);
  EXPECT_NEAR(line.bottom, 842 - 740, 5);
  EXPECT_EQ(TextAt(document, document.layout[4]), "charge within five years of the pur");
}

TEST(Pdf, ATableStaysATableWithABoxForEachCell) {
  auto lines = TwoColumns();
  lines.push_back({60, 640, 10, "The models and what they cost this year:"});
  const char* rows[][3] = {{"Model", "Weight", "Price"}, {"Lapwing 2", "1.9 kg", "329 EUR"}, {"Lapwing 3", "2.4 kg", "389 EUR"}, {"Sanderling 4", "", "549 EUR"}};
  for (int i = 0; i < 4; ++i)
    for (int c = 0; c < 3; ++c)
      if (*rows[i][c]) lines.push_back({c == 0 ? 60.0 : 100.0 + 100 * c, 615.0 - 16 * i, 10, rows[i][c]});
  lines.push_back({60, 530, 10, "Prices include the value added tax of Austria."});
  const auto document = Parse(MakePdf({lines}));
  EXPECT_NE(document.text.find("The models and what they cost this year:\n\n| Model | Weight | Price |\n| Lapwing 2 | 1.9 kg | 329 EUR |\n| Lapwing 3 | 2.4 kg | 389 EUR |\n| Sanderling 4 |  | 549 EUR |\n\nPrices include"),
            std::string::npos)
      << document.text;
  ExpectLayoutHolds(document);
  const auto price = std::find_if(document.layout.begin(), document.layout.end(), [&](const auto& box) { return TextAt(document, box) == "389 EUR"; });
  ASSERT_NE(price, document.layout.end());
  EXPECT_NEAR(price->left, 300, 1);
}

TEST(Pdf, PagesAreCountedAndRunningHeadsAreSaidOnce) {
  std::vector<std::vector<PdfLine>> pages;
  for (int i = 0; i < 5; ++i)
    pages.push_back({{60, 800, 9, "Larkfield handbook"}, {60, 700, 10, "What stands on page " + std::string(1, static_cast<char>('A' + i)) + " is a sentence of its own."}, {290, 30, 9, "Page " + std::to_string(i + 1) + " of 5"}});
  const auto document = Parse(MakePdf(pages));
  EXPECT_EQ(document.pages.size(), 5u);
  EXPECT_EQ(document.text.find("Larkfield", document.text.find("Larkfield") + 1), std::string::npos) << document.text;
  EXPECT_EQ(document.text.find("of 5"), std::string::npos) << document.text;
  for (const auto& box : document.layout)
    if (TextAt(document, box).find("page D") != std::string::npos) EXPECT_EQ(box.page, 4);
  ExpectLayoutHolds(document);
}

TEST(Pdf, ListsKeepTheirItems) {
  const auto document = Parse(MakePdf({{{60, 700, 10, "Bring with you what you need for three days:"}, {70, 680, 10, "\x95"}, {90, 680, 10, "a sleeping bag"}, {70, 665, 10, "\x95"}, {90, 665, 10, "two litres of water"}, {70, 650, 10, "\x95"}, {90, 650, 10, "the map of the region"}}}));
  EXPECT_NE(document.text.find("- a sleeping bag\n- two litres of water\n- the map of the region"), std::string::npos) << document.text;
}

TEST(Pdf, EncryptedAndBrokenOnesAreRefusedWithTheReason) {
  const auto said = [](std::string_view bytes) {
    try {
      Parse(bytes);
      return std::string("parsed");
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::kInvalidArgument);
      return e.message();
    }
  };
  // Standard security handler, revision 3: the password is asked for because neither hash matches. Source: ISO 32000-1, 7.6.3.
  const std::string bytes32(64, 'a');
  const auto locked = MakePdf({TwoColumns()}, "/Encrypt 6 0 R /ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]",
                              {"<< /Filter /Standard /V 2 /R 3 /Length 128 /P -4 /O <" + bytes32 + "> /U <" + bytes32 + "> >>"});
  EXPECT_NE(said(locked).find("encrypted"), std::string::npos) << said(locked);
  EXPECT_NE(said("%PDF-1.4 broken").find("damaged"), std::string::npos) << said("%PDF-1.4 broken");
  const auto whole = MakePdf({TwoColumns()});
  for (const auto at : {20ul, 200ul, whole.size() / 2}) {
    const auto result = said(std::string_view(whole).substr(0, at));
    EXPECT_TRUE(result == "parsed" || result.find("damaged") != std::string::npos || result.find("no text") != std::string::npos || result.find("no pages") != std::string::npos) << result;
  }
}

TEST(Pdf, ScannedPagesAreReadWithBoxes) {
  if (!std::filesystem::exists("/usr/bin/tesseract")) GTEST_SKIP() << "tesseract is not installed";
  ProcessSpec draw{{"/usr/bin/pdftoppm", "-gray", "-r", "200", "-singlefile", "-"}};
  const auto pdf = MakePdf({{{60, 780, 24, "Rental of tents"}, {60, 700, 12, "A tent for two costs 29 euros for a weekend."}, {60, 684, 12, "Please bring it back dry and swept."}}});
  draw.input = pdf;
  const auto picture = RunProcess(Context::System("test"), draw).output;  // "P5\nW H\n255\n" and the pixels
  int width = 0, height = 0;
  ASSERT_EQ(std::sscanf(picture.c_str(), "P5 %d %d", &width, &height), 2);
  const auto document = Parse(MakeScannedPdf(std::string_view(picture).substr(picture.size() - static_cast<std::size_t>(width) * static_cast<std::size_t>(height)), width, height));
  EXPECT_EQ(document.text, "# Rental of tents\n\nA tent for two costs 29 euros for a weekend. Please bring it back dry and swept.\n");
  ExpectLayoutHolds(document);
  ASSERT_EQ(document.layout.size(), 3u);
  EXPECT_NEAR(document.layout[1].left, 60, 3);
  EXPECT_NEAR(document.layout[1].bottom, 842 - 700, 5);
}

TEST(Pdf, TextThatTheLayoutOfAnotherProgramCutsOffIsRefused) {
  EXPECT_EQ(CodeOf([] { ReadBoxLayout("<doc>\n<page width=\"1\" height=\"1\">\n<block >\n<line >\n<word >x</word>\n"); }), Code::kInvalidArgument);
  EXPECT_EQ(ReadBoxLayout("<doc>\n</doc>").pages.size(), 0u);
  // Half of a pair, as poppler writes it.
  EXPECT_EQ(WritePages(ReadBoxLayout("<doc>\n<page width=\"100\" height=\"100\">\n<block >\n<line xMin=\"1\" yMin=\"1\" xMax=\"20\" yMax=\"10\">\n<word >a\xed\xa0\x80z</word>\n</line>\n</block>\n</page>\n</doc>")).text, "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\n");
}

TEST(Pdf, TheSampleShopsFilesKeepTheirHeadings) {
  const auto document = Parse(ReadFile(std::filesystem::path(TENFOLD_SOURCE_DIR) / "examples/shop/help/stove-safety.pdf"));
  EXPECT_EQ(document.title, "Using Wren stoves safely");
  EXPECT_TRUE(document.text.starts_with("# Using Wren stoves safely\n\n## Before the first use\n\nScrew the cartridge on outdoors and upright, by hand only. Listen for gas: if it hisses")) << document.text;
  EXPECT_NE(document.text.find("\n\n## Carbon monoxide\n\nHeadache"), std::string::npos) << document.text;
}

}  // namespace
}  // namespace tenfold::data::parsers
