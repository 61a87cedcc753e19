#include <gtest/gtest.h>

#include <fstream>

#include "base/files.h"
#include "base/process.h"
#include "base/sandbox.h"
#include "base/testing.h"
#include "data/parse.h"
#include "data/parsers/files_for_tests.h"
#include "data/parsers/parsers.h"

namespace tenfold::data::parsers {
namespace {

/// This test program is its own confined child: asked to, it parses and never comes to the tests.
const bool kIsParent = [] {
  std::ifstream words("/proc/self/cmdline");
  std::string name, word;
  if (std::getline(words, name, '\0') && std::getline(words, word, '\0') && word == "parse-document") std::_Exit(ParseMain(true));
  return true;
}();

ParserPool::Options OneChild() {
  ParserPool::Options options;
  options.command = {std::filesystem::read_symlink("/proc/self/exe").string(), "parse-document"};
  options.children = 1;
  return options;
}

class Pool : public testing::Test {
 protected:
  ParsedDocument Parse(std::string_view bytes, std::string_view type) { return pool_.Parse(Context::System("test"), bytes, type); }
  ParserPool pool_{OneChild()};
};

TEST_F(Pool, OneChildReadsManyFormatsWithLayout) {
  ASSERT_TRUE(kIsParent);
  EXPECT_EQ(Parse("# A\n\ntext\n", kMarkdown).text, "# A\n\ntext\n");
  EXPECT_EQ(Parse("\x93\xfa\x96{\x8c\xea\x82\xcc\x82\xa8\x82\xe7\x82\xb9", kPlainText).text, "日本語のおらせ\n");  // the conversion's module is loaded inside
  const auto pdf = Parse(MakePdf({{{60, 780, 18, "Title"}, {60, 740, 10, "A line of text that has a box."}}}), kPdf);
  ASSERT_EQ(pdf.layout.size(), 2u);
  EXPECT_EQ(pdf.pages.size(), 1u);
  EXPECT_EQ(pdf.media_type, kPdf);
  EXPECT_EQ(pool_.started(), 1);
}

TEST_F(Pool, ScannedPagesAreReadInsideTheConfinement) {
  if (!std::filesystem::exists("/usr/bin/tesseract")) GTEST_SKIP() << "tesseract is not installed";
  ProcessSpec draw{{"/usr/bin/pdftoppm", "-png", "-gray", "-r", "200", "-singlefile", "-"}};
  const auto pdf = MakePdf({{{60, 780, 24, "Rental of tents"}, {60, 700, 12, "A tent for two costs 29 euros."}}});
  draw.input = pdf;
  EXPECT_EQ(Parse(RunProcess(Context::System("test"), draw).output, kPng).text, "# Rental of tents\n\nA tent for two costs 29 euros.\n");
}

TEST_F(Pool, APoisonousFileCostsOnlyItself) {
  const auto bomb = MakeZip({{"word/document.xml", "<w:document>" + std::string(64u << 20, ' ') + "</w:document>"}});
  EXPECT_EQ(CodeOf([&] { Parse(bomb, kDocx); }), Code::kResourceExhausted);
  EXPECT_EQ(CodeOf([&] { Parse("%PDF-1.4 broken", kPdf); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { Parse(std::string(kMaxDocumentBytes + 1, 'x'), kPlainText); }), Code::kResourceExhausted);
  EXPECT_EQ(CodeOf([&] { Parse("x", "application/x-unknown"); }), Code::kUnimplemented);
  // XML whose tree takes many times its size: the child's memory ends, not the server's.
  std::string wide = "<w:document xmlns:w='w'><w:body>";
  while (wide.size() < (90u << 20)) wide += "<a/>";
  const auto memory = CodeOf([&] { Parse(MakeZip({{"word/document.xml", wide + "</w:body></w:document>"}, {"noise", std::string(1u << 20, 'x')}}), kDocx); });
  EXPECT_TRUE(memory == Code::kResourceExhausted || memory == Code::kDataLoss || memory == Code::kInvalidArgument) << CodeName(memory);
  EXPECT_EQ(Parse("still here", kPlainText).text, "still here\n");
}

}  // namespace
}  // namespace tenfold::data::parsers
