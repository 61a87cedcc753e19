#include "retrieval/generations.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/testing.h"
#include "retrieval/ingest.h"
#include "retrieval/letters_testing.h"

namespace tenfold::retrieval {
namespace {

class GenerationsTest : public testing::Test {
 protected:
  GenerationsTest() { Open(); }
  ~GenerationsTest() override { Close(); }
  void Close() {
    runs_.reset();
    store_.reset();
    generations_.reset();
  }
  /// As a process that starts.
  void Open() {
    Close();
    auto tables = IngestTables();
    for (auto& table : workflows::Runs::Tables()) tables.push_back(std::move(table));
    generations_ = std::make_unique<Generations>(Generations::Parts{[](const std::string& name) -> std::shared_ptr<models::Embedder> {
                                                                      if (name == "missing") throw Error(Code::kNotFound, "there is no such model");
                                                                      return std::make_shared<Letters>(name == "b" ? 64 : 32);
                                                                    },
                                                                    "a", ChunkOptions{.max_tokens = 40}, [](data::WriteTx&, const Context&, std::string_view, std::string_view) {}});
    store_ = data::OpenSqliteStore((folder_.path() / "store.db").string(), tables);
    store_->Follow(*generations_);
    generations_->Begin(*store_);
    runs_ = std::make_unique<workflows::Runs>(*store_, SystemClock(), workflows::Runs::Options{.threads = 1});
    runs_->Register("build-generation", generations_->MakeBuild(*store_));
    runs_->Resume();
  }
  /// As ingestion writes a document.
  void Put(const std::string& id, const std::string& text, std::int64_t version = 1) {
    const auto tools = generations_->LiveTools();
    const Document document{id, "s", "help/" + id, id, "public", "text/plain", "", text, version, 0};
    auto chunks = MakeChunks(document, tools);
    EmbedChunks(ctx_, tools, document, chunks);
    store_->Write(ctx_, [&](data::WriteTx& tx) {
      Generations::CheckLive(tx, tools.id);
      tx.Delete<Document>(id);
      tx.Put(document);
      for (const auto& chunk : chunks) tx.Put(chunk);
      Generations::MarkDone(tx, tools.id, id);
    });
  }
  workflows::Run Build(const std::string& id) { return runs_->Await(ctx_, runs_->Start(ctx_, {"build-generation", JsonObject{{"generation", id}}, ""})); }
  std::vector<std::string> Found(const OpenIndex& in, const std::string& query) {
    std::vector<std::string> out;
    for (const auto& hit : in.index->Search(ctx_, {.text = query, .vector = in.embedder->Embed(ctx_, std::span(&query, 1), models::EmbedKind::kQuery).front(), .k = 5}).hits) out.push_back(hit.group);
    return out;
  }
  TemporaryFolder folder_;
  std::unique_ptr<Generations> generations_;
  std::unique_ptr<data::Store> store_;
  std::unique_ptr<workflows::Runs> runs_;
  Context ctx_ = Context::System("test");
};

TEST_F(GenerationsTest, IsBuiltBesideTheLiveOneComparedSwitchedToAndBack) {
  for (int i = 0; i < 200; ++i) Put("d" + std::to_string(i), "# Tent " + std::to_string(i) + "\n\nAbout tents and the number " + std::to_string(i) + ".\n");
  const auto made = generations_->Create(ctx_, *store_, "b", nullptr);
  EXPECT_EQ(made.id, "g2");
  EXPECT_EQ(CodeOf([&] { generations_->Switch(ctx_, *store_, made.id); }), Code::kFailedPrecondition);  // it lacks documents
  ASSERT_EQ(Build(made.id).state, workflows::RunState::kFinished);
  EXPECT_EQ(generations_->live().generation, "g1");
  EXPECT_EQ(generations_->Find("g2").index->chunks(), generations_->Find("g1").index->chunks());
  const auto same = generations_->Compare(ctx_, *store_, "g1", "g1", {{"tents number 17", {"help/d17"}}});
  EXPECT_EQ(same.overlap, 1);
  const auto compared = generations_->Compare(ctx_, *store_, "g1", "g2", {{"tents number 17", {"help/d17"}}, {"number 3", {}}});
  EXPECT_EQ(compared.queries, 2);
  EXPECT_EQ(compared.labelled, 1);
  EXPECT_GT(compared.ndcg_b, 0.3);
  generations_->Switch(ctx_, *store_, "g2");
  EXPECT_EQ(generations_->live().generation, "g2");
  EXPECT_EQ(generations_->live().embedder->dim(), 64u);
  // What is written and what is removed from now on is in the live one at once, and removed from both.
  Put("new", "About stoves.\n");
  store_->Write(ctx_, [](data::WriteTx& tx) { tx.Delete<Document>("d5"); });
  EXPECT_EQ(Found(generations_->live(), "stoves").front(), "new");
  for (const char* id : {"g1", "g2"}) {
    const auto found = Found(generations_->Find(id), "tents number 5");
    EXPECT_EQ(std::count(found.begin(), found.end(), "d5"), 0) << id;
  }
  EXPECT_EQ(CodeOf([&] { generations_->Rollback(ctx_, *store_); }), Code::kFailedPrecondition);  // the old one lacks "new"
  ASSERT_EQ(Build("g1").state, workflows::RunState::kFinished);
  EXPECT_EQ(generations_->Rollback(ctx_, *store_), "g1");
  EXPECT_EQ(Found(generations_->live(), "stoves").front(), "new");
  Open();
  EXPECT_EQ(generations_->live().generation, "g1");
  EXPECT_EQ(generations_->Find("g2").index->chunks(), generations_->live().index->chunks());
  EXPECT_EQ(CodeOf([&] { generations_->Remove(ctx_, *store_, "g1"); }), Code::kFailedPrecondition);
  generations_->Remove(ctx_, *store_, "g2");
  EXPECT_EQ(CodeOf([&] { generations_->Find("g2"); }), Code::kNotFound);
  store_->Read(ctx_, [](data::ReadTx& tx) {
    for (const auto& chunk : tx.Find<Chunk>()) EXPECT_EQ(chunk.generation, "g1");
    EXPECT_EQ(tx.Count<GenerationDocument>(data::Where("generation", "g2")), 0);
  });
}

TEST_F(GenerationsTest, ABuildThatWasCutOffGoesOn) {
  for (int i = 0; i < 300; ++i) Put("d" + std::to_string(i), "About " + std::to_string(i) + ".\n");
  generations_->Create(ctx_, *store_, "b", nullptr);
  runs_->Start(ctx_, {"build-generation", JsonObject{{"generation", "g2"}}, ""});
  Open();  // wherever it is by now
  for (int waits = 0; generations_->List(ctx_, *store_)[1].generation.state != GenerationState::kReady; ++waits) {
    ASSERT_LT(waits, 2000);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(generations_->Find("g2").index->chunks(), 300u);
  generations_->Switch(ctx_, *store_, "g2");
}

TEST_F(GenerationsTest, AnotherLanguageIsAnotherGeneration) {
  Put("house", "Das Haus steht am See.");
  Put("stove", "Der Ofen ist warm.");
  const auto words = [&](const char* generation, const char* query) {
    std::vector<std::string> out;
    for (const auto& hit : generations_->Find(generation).index->Search(ctx_, {.text = query, .k = 5}).hits) out.push_back(hit.group);
    return out;
  };
  generations_->Create(ctx_, *store_, "", nullptr, {.language = Language::kGerman});
  ASSERT_EQ(Build("g2").state, workflows::RunState::kFinished);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(words("g1", "Häusern"), std::vector<std::string>{});
    EXPECT_EQ(words("g2", "Häusern"), std::vector<std::string>{"house"});
    EXPECT_EQ(words("g2", "am"), std::vector<std::string>{});  // a German stop word
    EXPECT_EQ(words("g1", "am").size(), 1u);                     // is no English one
    EXPECT_EQ(generations_->Find("g2").index->language(), Language::kGerman);
    Open();
  }
  generations_->Switch(ctx_, *store_, "g2");
  EXPECT_EQ(generations_->LiveTools().language, Language::kGerman);
  Put("houses", "Häuser und Gärten.");
  EXPECT_EQ(words("g2", "Haus").size(), 2u);
  // What is said of none of it stays as the live one has it.
  EXPECT_EQ(generations_->Create(ctx_, *store_, "", JsonObject{{"max_tokens", 64}}).language, Language::kGerman);
}

TEST_F(GenerationsTest, WhatCannotBeOpenedIsRefusedBeforeAnythingIsWritten) {
  EXPECT_EQ(CodeOf([&] { generations_->Create(ctx_, *store_, "missing", nullptr); }), Code::kNotFound);
  EXPECT_EQ(CodeOf([&] { generations_->Create(ctx_, *store_, "b", JsonObject{{"max_tokens", 1}}); }), Code::kInvalidArgument);
  EXPECT_EQ(generations_->List(ctx_, *store_).size(), 1u);
  generations_->Create(ctx_, *store_, "b", nullptr);
  generations_->Create(ctx_, *store_, "", JsonObject{{"max_tokens", 64}});
  EXPECT_EQ(CodeOf([&] { generations_->Create(ctx_, *store_, "b", nullptr); }), Code::kResourceExhausted);
}

TEST_F(GenerationsTest, PassagesMadeForAGenerationThatIsNoLongerLiveAreRefused) {
  const auto tools = generations_->LiveTools();
  generations_->Create(ctx_, *store_, "b", nullptr);
  Build("g2");
  generations_->Switch(ctx_, *store_, "g2");
  EXPECT_EQ(CodeOf([&] { store_->Write(ctx_, [&](data::WriteTx& tx) { Generations::CheckLive(tx, tools.id); }); }), Code::kAborted);
}

}  // namespace
}  // namespace tenfold::retrieval
