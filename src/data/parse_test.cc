#include "data/parse.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "data/folder.h"
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

TEST(Parse, AChildThatCrashesOrSpinsIsReported) {
  const auto ctx = Context::System("test").WithTimeout(300ms);
  EXPECT_EQ(CodeOf([&] { ParseInChild(ctx, {"/bin/sh", "-c", "kill -SEGV $$"}, "x", "text/plain"); }), Code::kDataLoss);
  EXPECT_EQ(CodeOf([&] { ParseInChild(ctx, {"/bin/sh", "-c", "while :; do :; done"}, "x", "text/plain"); }), Code::kDeadlineExceeded);
  EXPECT_EQ(CodeOf([&] { ParseInChild(Context::System("t"), {"/bin/sh", "-c", "echo nonsense"}, "x", "text/plain"); }), Code::kInvalidArgument);
}

TEST(Folder, ScansByContentWithTheDeepestLabel) {
  const TemporaryFolder folder;
  const auto root = folder.path();
  std::filesystem::create_directories(root / "internal/deep");
  std::filesystem::create_directories(root / ".git");
  WriteFileAtomically(root / "a.md", "# A");
  WriteFileAtomically(root / "internal/deep/b.txt", "b");
  WriteFileAtomically(root / ".git/c.md", "c");
  WriteFileAtomically(root / "d.exe", "d");
  WriteFileAtomically(root / "access.yaml", "\"\": public\ninternal: staff\n");
  std::filesystem::create_symlink("/etc/hostname", root / "link.txt");
  const auto ctx = Context::System("test");
  const auto source = OpenFolderSource(root.string());
  const auto files = source->Scan(ctx, "nobody");
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].path + files[0].label, "a.mdpublic");
  EXPECT_EQ(files[1].path + files[1].label, "internal/deep/b.txtstaff");
  EXPECT_EQ(source->Read(ctx, "internal/deep/b.txt"), "b");
  EXPECT_EQ(source->url(), "folder:" + root.string());
  WriteFileAtomically(root / "access.yaml", "a: [1]\n");
  EXPECT_EQ(CodeOf([&] { source->Scan(ctx, "x"); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { OpenFolderSource((root / "none").string())->Scan(ctx, "x"); }), Code::kNotFound);
}

}  // namespace
}  // namespace tenfold::data
