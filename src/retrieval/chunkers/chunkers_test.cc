#include "retrieval/chunkers/chunkers.h"

#include <gtest/gtest.h>

#include <random>

#include "base/testing.h"
#include "retrieval/retriever.h"

namespace tenfold::retrieval {
namespace {

std::string TextOf(std::string_view text, const ChunkSpan& chunk) { return std::string(text.substr(chunk.begin, chunk.end - chunk.begin)); }

/// What every way of cutting promises.
void ExpectSound(const ToChunk& document, const ChunkOptions& options, const std::vector<ChunkSpan>& chunks, const CountTokens& count) {
  const auto text = document.text;
  std::size_t at = 0, last_begin = 0;
  bool first = true;
  for (const auto& chunk : chunks) {
    ASSERT_LT(chunk.begin, chunk.end);
    ASSERT_LE(chunk.end, text.size());
    ASSERT_TRUE(first || chunk.begin > last_begin);
    ASSERT_GT(chunk.end, at);
    ASSERT_FALSE(chunkers::IsSpace(text[chunk.begin]) || chunkers::IsSpace(text[chunk.end - 1]));
    ASSERT_NE(static_cast<unsigned char>(text[chunk.begin]) & 0xc0, 0x80);
    ASSERT_TRUE(chunk.end == text.size() || (static_cast<unsigned char>(text[chunk.end]) & 0xc0) != 0x80);
    for (auto i = at; i < chunk.begin; ++i) ASSERT_TRUE(chunkers::IsSpace(text[i])) << "lost: " << text.substr(at, chunk.begin - at);
    if (chunk.end - chunk.begin > 4) ASSERT_LE(count(text.substr(chunk.begin, chunk.end - chunk.begin)), options.max_tokens);
    if (chunk.parent_end) {
      ASSERT_LE(chunk.parent_begin, chunk.begin);
      ASSERT_GE(chunk.parent_end, chunk.end);
      ASSERT_LE(chunk.parent_end, text.size());
    }
    last_begin = chunk.begin;
    at = chunk.end;
    first = false;
  }
  for (auto i = at; i < text.size(); ++i) ASSERT_TRUE(chunkers::IsSpace(text[i])) << "lost at the end: " << text.substr(at);
}

TEST(Chunkers, KeepTheirPromisesOnAnyText) {
  std::mt19937 random(11);
  const char* kPieces[] = {"word ",
                           "Zürich ",
                           "日本語の文章。",
                           "\n",
                           "\n\n",
                           "# Head\n",
                           "## Sub\n",
                           "- item\n",
                           "| a | b |\n",
                           "| --- | --- |\n",
                           "| 1 | two words |\n",
                           "End. ",
                           "Why? ",
                           "```\n",
                           "def f(x):\n    return x\n",
                           "class A:\n",
                           "    def g(self):\n        pass\n",
                           "int main() { return 0; }\n",
                           "struct S {\n",
                           "};\n",
                           "/* note */\n",
                           "// c\n",
                           "export function q() {}\n",
                           "\"",
                           "averyveryverylongwordwithoutanyspaceinitatallwhichgoesonandon"};
  const CountTokens by_word = [](std::string_view text) {
    std::uint32_t tokens = 2;  // as a tokenizer with special tokens: words, and a token for each three bytes of one
    std::size_t word = 0;
    for (const char c : text) {
      if (chunkers::IsSpace(c)) word = 0;
      else if (word++ % 3 == 0) ++tokens;
    }
    return tokens;
  };
  for (int round = 0; round < 50; ++round) {
    std::string text;
    for (int i = 0; i < 150; ++i) text += kPieces[random() % std::size(kPieces)];
    ChunkOptions options;
    options.max_tokens = 16 + static_cast<std::uint32_t>(random() % 40);
    options.overlap_tokens = static_cast<std::uint32_t>(random() % 30);
    options.parent_tokens = random() % 2 ? 100 : 0;
    options.prefix = random() % 2 ? "{title}: {first}" : "";
    const char* kPaths[] = {"a.md", "a.py", "a.cc", "a.ts", "a.rs", "a.go", "a.java", "a.js", "a.tsx", "a.c"};
    for (const auto strategy :
         {ChunkStrategy::kAuto, ChunkStrategy::kStructure, ChunkStrategy::kSentences, ChunkStrategy::kTable, ChunkStrategy::kCode, ChunkStrategy::kParents}) {
      options.strategy = strategy;
      const ToChunk document{text, "A title", "text/markdown", kPaths[random() % std::size(kPaths)], random() % 2 ? 60u : 0u};
      const auto& count = random() % 2 ? by_word : CountTokens(EstimateTokens);
      const auto chunks = ChunkDocument(document, options, count);
      ExpectSound(document, options, chunks, count);
      if (testing::Test::HasFatalFailure()) FAIL() << "round " << round << ", " << ToText(ToJson(options)) << " " << document.path << "\n" << text;
      if (document.max_embedded)
        for (const auto& chunk : chunks)
          if (chunk.end - chunk.begin > 4)
            ASSERT_LE(
                count(TextToEmbed(document.title, chunk.heading, chunk.context.empty() ? TextOf(text, chunk) : chunk.context + "\n" + TextOf(text, chunk))),
                60u)
                << ToText(ToJson(options)) << TextOf(text, chunk);
    }
  }
}

TEST(Chunkers, SentenceWindowsOverlapByWholeSentences) {
  std::string text = "# Trail\n\n";
  for (int i = 0; i < 12; ++i) text += "Sentence number " + std::to_string(i) + " is here. ";
  const auto chunks = chunkers::CutBySentences(text, 24, 8, EstimateTokens);
  ASSERT_GT(chunks.size(), 3u);
  for (std::size_t i = 1; i < chunks.size(); ++i) {
    EXPECT_LT(chunks[i].begin, chunks[i - 1].end) << "no overlap";
    EXPECT_EQ(TextOf(text, chunks[i]).substr(0, 15), "Sentence number");
    EXPECT_EQ(chunks[i].heading, "Trail");
  }
  EXPECT_TRUE(TextOf(text, chunks.back()).ends_with("11 is here."));
}

TEST(Chunkers, RowsStayWholeAndCarryTheirHeader) {
  std::string text = "# Rates\n\nWhat parcels cost.\n\n| country | days | price |\n| --- | --- | --- |\n";
  for (int i = 0; i < 30; ++i) text += "| Country " + std::to_string(i) + " | " + std::to_string(i % 5) + " | " + std::to_string(i) + ".90 EUR |\n";
  text += "\nPrices hold for a year.\n";
  const auto chunks = chunkers::CutByTables(text, 60, EstimateTokens);
  std::size_t with_header = 0;
  for (const auto& chunk : chunks) {
    const auto body = TextOf(text, chunk);
    if (!body.starts_with("|")) continue;
    EXPECT_TRUE(body.ends_with("|")) << "a row was cut: " << body;
    const bool begins_table = body.starts_with("| country");
    EXPECT_EQ(chunk.context, begins_table ? "" : "| country | days | price |");
    with_header += !begins_table;
    EXPECT_EQ(chunk.heading, "Rates");
  }
  EXPECT_GE(with_header, 3u);
  EXPECT_EQ(TextOf(text, chunks.back()), "Prices hold for a year.");
}

TEST(Chunkers, SmallPassagesKnowTheirSurroundings) {
  std::string text = "# A\n\n";
  for (int i = 0; i < 10; ++i) text += "Paragraph " + std::to_string(i) + " says something of its own.\n\n";
  text += "# B\n\nShort.\n";
  ChunkOptions options;
  options.strategy = ChunkStrategy::kParents;
  options.max_tokens = 16;
  options.parent_tokens = 60;
  const auto chunks = ChunkDocument({text}, options, EstimateTokens);
  for (const auto& chunk : chunks) {
    if (chunk.heading != "A") {
      EXPECT_EQ(chunk.parent_end, 0u);
      continue;
    }
    EXPECT_LE(EstimateTokens(std::string_view(text).substr(chunk.parent_begin, chunk.parent_end - chunk.parent_begin)), 60u);
    EXPECT_GT(chunk.parent_end - chunk.parent_begin, chunk.end - chunk.begin);
  }
}

TEST(Chunkers, APrefixSituatesEveryChunk) {
  ChunkOptions options;
  options.prefix = "{title} ({heading}): {first}";
  const auto chunks = ChunkDocument({"# Returns\n\nItems may come back. Within 60 days.\n", "Policy"}, options, EstimateTokens);
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].context, "Policy (Returns): Items may come back.");
}

TEST(Chunkers, AreChosenByNameAndByDocument) {
  const auto options = ParseChunker("sentences,max_tokens=200,overlap_tokens=20,prefix={title}, {first}", {});
  EXPECT_EQ(options.strategy, ChunkStrategy::kSentences);
  EXPECT_EQ(options.max_tokens, 200u);
  EXPECT_EQ(options.overlap_tokens, 20u);
  EXPECT_EQ(options.prefix, "{title}, {first}");
  EXPECT_EQ(ParseChunker("", options).strategy, ChunkStrategy::kSentences);
  for (const char* wrong : {"nothing", "code,max=3", "code,max_tokens=x", "code,max_tokens=1", "code,=", "code,max_tokens"})
    EXPECT_EQ(CodeOf([&] { ParseChunker(wrong, {}); }), Code::kInvalidArgument) << wrong;
  EXPECT_EQ(LanguageOf("src/a.test.tsx"), "tsx");
  EXPECT_EQ(LanguageOf("readme.md"), "");
}

#ifdef TENFOLD_WITH_GRAMMARS
std::map<std::string, std::string> ByHeading(const std::string& text, const char* path, std::uint32_t max) {
  std::map<std::string, std::string> out;
  for (const auto& chunk : chunkers::CutByCode(text, path, max, EstimateTokens)) out[chunk.heading] += TextOf(text, chunk) + "\n";
  return out;
}

TEST(CodeChunks, KeepFunctionsWholeBelowTheNamesAroundThem) {
  const std::string body = "        total = 0\n        for line in self.lines:\n            total += line.price * line.count\n        return total\n";
  const std::string python =
      "import os\nimport sys\n\n# What a customer buys.\nclass Basket:\n    \"\"\"Lines of goods.\"\"\"\n\n    # Sums it up.\n    @cached\n    def "
      "total(self):\n" +
      body + "\n    def count(self):\n" + body + "\n\ndef main():\n" + body;
  const auto found = ByHeading(python, "shop/basket.py", 50);
  ASSERT_TRUE(found.contains("Basket > total")) << ToText(ToJson(found));
  EXPECT_TRUE(found.at("Basket > total").starts_with("# Sums it up.\n    @cached\n    def total")) << found.at("Basket > total");
  EXPECT_NE(found.at("Basket > total").find("return total"), std::string::npos);
  EXPECT_TRUE(found.at("Basket > count").starts_with("def count"));
  EXPECT_TRUE(found.at("main").starts_with("def main"));
  EXPECT_TRUE(found.at("").starts_with("import os\nimport sys"));
}

TEST(CodeChunks, KnowTheirLanguages) {
  const std::string filler = "  a = a + 1; a = a + 2; a = a + 3; a = a + 4; a = a + 5; a = a + 6; a = a + 7;\n";
  const struct {
    const char* path;
    std::string text;
    std::vector<std::string> headings;
  } kCases[] = {
      {"a.cc",
       "#include <a>\nnamespace shop {\nint Basket::Total(int a) {\n" + filler + "  return a;\n}\nclass Till {\n public:\n  int Open(int a) {\n" + filler +
           "  return a; }\n};\n}\n",
       {"shop > Basket::Total", "shop > Till"}},
      {"a.c", "int total(int a) {\n" + filler + "  return a;\n}\nstatic int *other(int a) {\n" + filler + "  return 0;\n}\n", {"total", "other"}},
      {"a.java",
       "class Basket {\n  int total(int a) {\n" + filler + "  return a; }\n  int count(int a) {\n" + filler + "  return a; }\n}\n",
       {"Basket > total", "Basket > count"}},
      {"a.go",
       "package a\nfunc Total(a int) int {\n" + filler + "  return a\n}\nfunc (b *Basket) Count(a int) int {\n" + filler + "  return a\n}\n",
       {"Total", "Count"}},
      {"a.rs",
       "impl Basket {\n  fn total(a: i32) -> i32 {\n" + filler + "  a }\n  fn count(a: i32) -> i32 {\n" + filler + "  a }\n}\n",
       {"Basket > total", "Basket > count"}},
      {"a.js",
       "export class Basket {\n  total(a) {\n" + filler + "  return a }\n  count(a) {\n" + filler + "  return a }\n}\n",
       {"Basket > total", "Basket > count"}},
      {"a.ts",
       "export class Basket {\n  total(a: number): number {\n" + filler + "  return a }\n  count(a: number) {\n" + filler + "  return a }\n}\n",
       {"Basket > total", "Basket > count"}},
      {"a.tsx",
       "export function Basket(a: number) {\n" + filler + "  return <b>{a}</b> }\nfunction Till(a: number) {\n" + filler + "  return <i>{a}</i> }\n",
       {"Basket", "Till"}},
  };
  for (const auto& one : kCases) {
    const auto found = ByHeading(one.text, one.path, 40);
    for (const auto& heading : one.headings) EXPECT_TRUE(found.contains(heading)) << one.path << " " << ToText(ToJson(found));
  }
}
#endif

}  // namespace
}  // namespace tenfold::retrieval
