#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/files.h"
#include "retrieval/chunker.h"
#include "retrieval/bm25_index.h"
#include "retrieval/chunk_index.h"
#include "retrieval/tokenize.h"
#include "retrieval/vector_index.h"

namespace tenfold::retrieval {
namespace {

TEST(Chunker, KeepsHeadingsAndExactSpans) {
  const std::string text = "# Returns\n\n## Window\n\nSixty days. Unused.\n\n## Exceptions\n\n- fuel\n- gift cards\n";
  const auto chunks = ChunkText(text, {20}, EstimateTokens);
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].heading, "Returns > Window");
  EXPECT_EQ(text.substr(chunks[0].begin, chunks[0].end - chunks[0].begin), "# Returns\n\n## Window\n\nSixty days. Unused.");
  EXPECT_EQ(chunks[1].heading, "Returns > Exceptions");
}

TEST(Chunker, LosesNoWordAndStaysInsideItsBounds) {
  std::mt19937 random(7);
  const char* kPieces[] = {"word ", "Zürich ", "日本語", "\n", "\n\n", "# Head\n", "## Sub\n", "- item\n", "| a | b |\n", "End. ", "```\n", "averyveryverylongwordwithoutanyspaceinitatallwhichgoesonandon"};
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < 200; ++i) text += kPieces[random() % std::size(kPieces)];
    const auto chunks = ChunkText(text, {16}, EstimateTokens);
    std::size_t at = 0;
    for (const auto& chunk : chunks) {
      ASSERT_LT(chunk.begin, chunk.end);
      ASSERT_GE(chunk.begin, at);
      for (std::size_t i = at; i < chunk.begin; ++i) ASSERT_TRUE(std::isspace(static_cast<unsigned char>(text[i]))) << "lost: " << text.substr(at, chunk.begin - at);
      ASSERT_NE(static_cast<unsigned char>(text[chunk.begin]) & 0xc0, 0x80);
      ASSERT_LE(EstimateTokens(std::string_view(text).substr(chunk.begin, chunk.end - chunk.begin)), 16u);
      at = chunk.end;
    }
    for (std::size_t i = at; i < text.size(); ++i) ASSERT_TRUE(std::isspace(static_cast<unsigned char>(text[i])));
  }
}

TEST(Chunker, SplitsSentencesNotNumbersOrAbbreviations) {
  const std::string text = "It costs 4.90 EUR, e.g. for tents. Really? Yes!\n- one\n- two";
  const auto sentences = SplitSentences(text);
  ASSERT_EQ(sentences.size(), 5u);
  EXPECT_EQ(text.substr(sentences[0].begin, sentences[0].end - sentences[0].begin), "It costs 4.90 EUR, e.g. for tents.");
}

TEST(Tokenize, FoldsStemsAndKeepsIds) {
  EXPECT_EQ(Tokenize("The Zürich tents' LF-20417"), (std::vector<std::string>{"zurich", "tent", "lf", "20417", "lf-20417"}));
  EXPECT_EQ(FoldText("ÀÉÎÕÜßçñÿŠžŁ"), "aeiousc" "nyszl");
}

TEST(Bm25, ScoresAsTheFormulaSays) {
  Bm25Index index;
  Bitmap all;
  index.Add(0, "tent pole");
  index.Add(1, "tent tent stove fuel");
  index.Add(2, "boots");
  for (std::size_t i = 0; i < 3; ++i) all.Set(i);
  const auto hits = index.Search("tent", all, 10);
  ASSERT_EQ(hits.size(), 2u);
  const double idf = std::log(1 + (3 - 2 + 0.5) / (2 + 0.5)), average = 7.0 / 3;
  EXPECT_NEAR(hits[0].score, idf * 2 / (2 + 1.2 * (0.25 + 0.75 * 4 / average)), 1e-5);
  EXPECT_EQ(hits[0].row, 1u);
  index.Remove(1);
  ASSERT_EQ(index.Search("tent", all, 10).size(), 1u);
  Bitmap none;
  EXPECT_TRUE(index.Search("tent", none, 10).empty());
}

std::vector<float> RandomUnit(std::mt19937& random, const std::vector<float>* near = nullptr) {
  std::normal_distribution<float> normal;
  std::vector<float> out(384);
  float norm = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = normal(random) + (near ? 1.5f * (*near)[i] * std::sqrt(384.0f) : 0);
    norm += out[i] * out[i];
  }
  for (auto& x : out) x /= std::sqrt(norm);
  return out;
}

TEST(VectorIndex, FindsWhatABruteForceScanFinds) {
  std::mt19937 random(3);
  std::vector<std::vector<float>> centres, vectors;
  for (int i = 0; i < 50; ++i) centres.push_back(RandomUnit(random));
  VectorIndex index(384);
  Bitmap all, some;
  for (std::uint32_t i = 0; i < 5000; ++i) {
    vectors.push_back(RandomUnit(random, &centres[i % centres.size()]));
    index.Put(i, vectors.back());
    all.Set(i);
    if (i % 100 == 0) some.Set(i);
  }
  int found = 0;
  for (int q = 0; q < 50; ++q) {
    const auto query = RandomUnit(random, &centres[static_cast<std::size_t>(q)]);
    std::vector<std::pair<float, std::uint32_t>> exact;
    for (std::uint32_t i = 0; i < vectors.size(); ++i) {
      float dot = 0;
      for (std::size_t d = 0; d < 384; ++d) dot += vectors[i][d] * query[d];
      exact.emplace_back(-dot, i);
    }
    std::sort(exact.begin(), exact.end());
    const auto hits = index.Search(query, all, 10);
    ASSERT_EQ(hits.size(), 10u);
    for (const auto& hit : hits)
      for (int i = 0; i < 10; ++i) found += exact[static_cast<std::size_t>(i)].second == hit.row;
    EXPECT_EQ(index.Search(query, some, 50).size(), 50u);  // a filter never under-returns
  }
  EXPECT_GE(found, 475);
  index.Remove(0);
  for (const auto& hit : index.Search(vectors[0], all, 10)) EXPECT_NE(hit.row, 0u);
}

class SearchIndexTest : public testing::Test {
 protected:
  SearchIndexTest() : store_(data::OpenSqliteStore((folder_.path() / "store.db").string(), {data::TableOf<Document>(), data::TableOf<Chunk>()})) { store_->Follow(index_); }
  ~SearchIndexTest() override { store_.reset(); }
  void Put(const std::string& id, const std::string& label, const std::string& text) {
    store_->Write(ctx_, [&](data::WriteTx& tx) {
      tx.Delete<Document>(id);
      tx.Put(Document{id, "s", "help/" + id, id, label, "text/plain", "", text, 1, 0});
      tx.Put(Chunk{id + "/0", id, 0, static_cast<std::int64_t>(text.size()), "", text, {}, {}});
    });
  }
  std::size_t Found(std::vector<std::string> labels, std::string_view query) {
    Principal reader;
    reader.labels = std::move(labels);
    return index_.Search(reader, {.text = std::string(query), .k = 10}).hits.size();
  }
  TemporaryFolder folder_;
  ChunkIndex index_{0};
  std::unique_ptr<data::Store> store_;
  Context ctx_ = Context::System("test");
};

TEST_F(SearchIndexTest, SeesEachCommitAndOnlyWhatTheReaderMay) {
  Put("a", "public", "returns of tents");
  Put("b", "internal", "goodwill for tents");
  EXPECT_EQ(Found({"public"}, "tents"), 1u);
  EXPECT_EQ(Found({"public", "internal"}, "tents"), 2u);
  EXPECT_EQ(Found({"*"}, "tents"), 2u);
  EXPECT_EQ(Found({}, "tents"), 0u);
  store_->Write(ctx_, [](data::WriteTx& tx) {
    auto document = *tx.Get<Document>("a");
    document.label = "internal";
    tx.Put(document);
  });
  EXPECT_EQ(Found({"public"}, "tents"), 0u);
  Put("a", "public", "about stoves");
  EXPECT_EQ(Found({"public"}, "tents"), 0u);
  EXPECT_EQ(Found({"public"}, "stoves"), 1u);
  store_->Write(ctx_, [](data::WriteTx& tx) { tx.Delete<Document>("a"); });
  EXPECT_EQ(Found({"*"}, "stoves"), 0u);
  EXPECT_EQ(index_.commit(), store_->commit());
  ChunkIndex again(0);
  store_->Follow(again);
  EXPECT_EQ(again.chunks(), index_.chunks());
  store_.reset();
}

}  // namespace
}  // namespace tenfold::retrieval
