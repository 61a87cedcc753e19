#include "retrieval/retriever.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/testing.h"
#include "models/bert_reranker.h"
#include "models/remote_reranker.h"
#include "retrieval/chunk_index.h"
#include "retrieval/ingest.h"

namespace tenfold::retrieval {
namespace {

using namespace std::chrono_literals;

/// Words alone and a real cross-encoder with random weights: its order is no better, but it is its own.
class RetrieverTest : public testing::Test {
 protected:
  RetrieverTest() : store_(data::OpenSqliteStore((folder_.path() / "store.db").string(), IngestTables())), index_(std::make_shared<ChunkIndex>(0)) {
    store_->Follow(*index_);
    const char* texts[] = {"return the boots", "boots in the rain", "a lamp and boots", "boots, boots and boots", "return policy of boots", "camp stove and boots", "boots that are safe", "water proof boots"};
    for (int i = 0; i < 8; ++i) Put("d" + std::to_string(i), texts[i]);
    Put("hidden", "boots", "group:hr");
  }
  ~RetrieverTest() override { store_.reset(); }
  void Put(const std::string& id, const std::string& text, const std::string& label = "public") {
    const Document document{id, "s", "help/" + id, "Title " + id, label, "text/plain", "", text, 1, 0};
    const auto chunks = MakeChunks(document, {});
    store_->Write(Context::System("test"), [&](data::WriteTx& tx) {
      tx.Put(document);
      for (const auto& chunk : chunks) tx.Put(chunk);
    });
  }
  Retriever Open(HeadReranking reranking = {}) {
    return Retriever(*store_, [this] { return OpenIndex{kFirstGeneration, index_, nullptr}; }, std::move(reranking));
  }
  static std::shared_ptr<models::Reranker> Model() { return models::OpenBertReranker(std::filesystem::path(TENFOLD_SOURCE_DIR) / "src/models/testdata/tiny_cross_encoder"); }
  static std::vector<std::string> Documents(const Retrieved& found) {
    std::vector<std::string> out;
    for (const auto& passage : found.passages) out.push_back(passage.document);
    return out;
  }
  static Context Reader() {
    Principal principal;
    principal.user = "ana@example.com";
    principal.labels = {"public"};
    Context::Parts parts;
    parts.principal = std::make_shared<const Principal>(std::move(principal));
    return Context(std::move(parts)).WithTimeout(60s);
  }
  TemporaryFolder folder_;
  std::unique_ptr<data::Store> store_;
  std::shared_ptr<ChunkIndex> index_;
};

TEST_F(RetrieverTest, PutsTheHeadInTheOrderOfTheModel) {
  const auto model = Model();
  const auto plain = Open().Retrieve(Reader(), "boots", {.k = 8});
  ASSERT_EQ(plain.passages.size(), 8u);
  EXPECT_TRUE(plain.reranker.empty() && plain.notice.empty());
  std::vector<std::string> texts;
  for (const auto& passage : std::span(plain.passages).first(5)) texts.push_back(TextToEmbed(passage.title, passage.heading, passage.text));
  const auto scores = model->Score(Reader(), "boots", texts);
  std::vector<std::size_t> order{0, 1, 2, 3, 4};
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return scores[a] > scores[b]; });
  ASSERT_NE(order, (std::vector<std::size_t>{0, 1, 2, 3, 4})) << "the model's order is the list's: choose other texts";
  std::vector<std::string> expected;
  for (const auto i : order) expected.push_back(plain.passages[i].document);
  for (std::size_t i = 5; i < 8; ++i) expected.push_back(plain.passages[i].document);

  const auto retriever = Open({.model = model, .passages = 5, .limit = 30s});
  const auto found = retriever.Retrieve(Reader(), "boots", {.k = 8, .explain = true});
  EXPECT_EQ(Documents(found), expected);
  EXPECT_EQ(found.reranker, model->name());
  EXPECT_TRUE(found.notice.empty()) << found.notice;
  for (std::size_t i = 0; i < 5; ++i) EXPECT_FLOAT_EQ(static_cast<float>(found.passages[i].score), scores[order[i]]);
  for (std::size_t i = 1; i < 8; ++i) EXPECT_LE(found.passages[i].score, found.passages[i - 1].score);
  // Every candidate says what the model said of it, in the order in which they stand.
  ASSERT_EQ(found.candidates.size(), 8u);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(found.candidates[i].document, expected[i]);
    EXPECT_EQ(found.candidates[i].relevance.has_value(), i < 5);
    EXPECT_EQ(found.candidates[i].why.cut, "");
  }
  // Pages of any size are cuts of that one list.
  for (const std::size_t size : {1u, 3u}) {
    std::vector<std::string> pages;
    for (std::size_t offset = 0; offset < 8; offset += size)
      for (auto& id : Documents(retriever.Retrieve(Reader(), "boots", {.k = size, .offset = offset}))) pages.push_back(std::move(id));
    EXPECT_EQ(pages, expected) << size;
  }
  const auto second = retriever.Retrieve(Reader(), "boots", {.k = 2, .offset = 2, .explain = true});
  std::vector<std::string> cuts;
  for (const auto& one : second.candidates) cuts.push_back(one.why.cut);
  EXPECT_EQ(cuts, (std::vector<std::string>{"offset", "offset", "", "", "k", "k", "k", "k"}));
  // Diversity is an order of its own.
  EXPECT_TRUE(retriever.Retrieve(Reader(), "boots", {.k = 8, .diversity = 0.5f}).reranker.empty());
}

TEST_F(RetrieverTest, AnswersInTheOrderOfTheSearchWhereTheModelFails) {
  const auto plain = Open().Retrieve(Reader(), "boots", {.k = 4});
  // Nobody listens on port 1.
  const std::shared_ptr<models::Reranker> away = models::OpenRemoteReranker("tei:http://127.0.0.1:1", "");
  for (const auto& [model, limit] : {std::pair(away, 200ms), std::pair(Model(), 0ms)}) {
    const auto retriever = Open({.model = model, .passages = 5, .limit = limit});
    for (int i = 0; i < 2; ++i) {  // and is not asked again at once
      const auto found = retriever.Retrieve(Reader(), "boots", {.k = 4});
      EXPECT_EQ(Documents(found), Documents(plain));
      EXPECT_TRUE(found.reranker.empty());
      EXPECT_NE(found.notice.find(i ? "a moment ago" : "not re-ranked by '" + model->name() + "': "), std::string::npos) << found.notice;
    }
    EXPECT_EQ(CodeOf([&] { retriever.Retrieve(Reader().WithTimeout(-1s), "boots", {.k = 4}); }), Code::kDeadlineExceeded);
  }
}

TEST_F(RetrieverTest, AQuestionForADatePrefersTheSentenceThatHasOne) {
  Put("dates", "Gifts can be given back by whom they reach. Gifts can be given back until May 4. Gifts can be given back in any shop.");
  const auto first = [&](const char* question) { return Open().Retrieve(Reader(), question, {.k = 3, .with_evidence = true}).evidence.at(0).text; };
  EXPECT_EQ(first("Can gifts be given back?"), "Gifts can be given back by whom they reach.");
  EXPECT_EQ(first("Until when can gifts be given back?"), "Gifts can be given back until May 4.");
}

TEST_F(RetrieverTest, GivesTheAssistantTheSentencesOfWhatTheModelChose) {
  const auto found = Open({.model = Model(), .passages = 5, .limit = 30s}).Retrieve(Reader(), "boots", {.k = 3, .with_evidence = true});
  EXPECT_EQ(found.passages.size(), 3u);
  EXPECT_EQ(found.reranker, "tiny_cross_encoder");
  ASSERT_FALSE(found.evidence.empty());
  for (const auto& one : found.evidence) {
    const auto& passage = found.passages.at(static_cast<std::size_t>(one.passage));
    EXPECT_EQ(passage.text.substr(static_cast<std::size_t>(one.begin), static_cast<std::size_t>(one.end - one.begin)), one.text);
  }
}

}  // namespace
}  // namespace tenfold::retrieval
