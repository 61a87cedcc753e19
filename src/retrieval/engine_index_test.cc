// A generation that is searched in an engine: PostgreSQL with pgvector and Weaviate, real ones behind a proxy that can fail (backends/index_servers_test.cc). Skipped, saying so, where they
// cannot be had.
#include "retrieval/engine_index.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <thread>

#include "base/files.h"
#include "base/testing.h"
#include "retrieval/generations.h"
#include "retrieval/index_delivery.h"
#include "retrieval/ingest.h"
#include "retrieval/letters_testing.h"
#include "retrieval/retriever.h"
#include "retrieval/search_index_contract.h"

namespace tenfold::retrieval {
namespace {

using namespace std::chrono_literals;

struct Engine {
  const char* name;
  std::unique_ptr<IndexFixture> (*make)(std::string& why_not);
};

class EngineIndexTest : public testing::TestWithParam<Engine> {
 protected:
  void SetUp() override {
    std::string why_not;
    fixture_ = GetParam().make(why_not);
    if (!fixture_) GTEST_SKIP() << why_not;
    Open();
  }
  void TearDown() override { Close(0s); }
  /// As a process that ends; without a `drain` as one that is killed once its writes are acknowledged.
  void Close(std::chrono::milliseconds drain) {
    runs_.reset();
    if (delivery_) delivery_->Stop(drain);
    store_.reset();
    delivery_.reset();
    generations_.reset();
  }
  std::shared_ptr<SearchIndex> OpenEngine(const std::string& url, std::size_t dim) {
    if (url != "engine") throw Error(Code::kInvalidArgument, "there is no engine '" + url + "'");
    return fixture_->Open(dim, Metric::kCosine);
  }
  void Open(bool delivers = true) {
    Close(0s);
    auto tables = IngestTables();
    for (auto& table : workflows::Runs::Tables()) tables.push_back(std::move(table));
    generations_ = std::make_unique<Generations>(Generations::Parts{[](const std::string& name) -> std::shared_ptr<models::Embedder> { return name == "none" ? nullptr : std::make_shared<Letters>(16); }, "letters",
                                                                    ChunkOptions{.max_tokens = 40}, [](data::WriteTx&, const Context&, std::string_view, std::string_view) {}, Language::kEnglish, index_, falls_back_,
                                                                    [this](const Context&, const std::string& url, std::size_t dim) { return OpenEngine(url, dim); }});
    store_ = data::OpenSqliteStore((folder_.path() / "store.db").string(), tables);
    store_->Follow(*generations_);
    generations_->Begin(*store_);
    delivery_ = std::make_unique<IndexDelivery>(*store_, IndexDelivery::Parts{[this] { return generations_->Engines(); }, [this](const Context&, const std::string& url, std::size_t dim) { return OpenEngine(url, dim); }});
    store_->Follow(*delivery_);
    if (delivers) delivery_->Start();
    runs_ = std::make_unique<workflows::Runs>(*store_, SystemClock(), workflows::Runs::Options{.threads = 1});
    runs_->Register("build-generation", generations_->MakeBuild(*store_));
    runs_->Resume();
  }
  /// As ingestion writes a document.
  void Put(const std::string& id, const std::string& text, const std::string& label = "public", std::int64_t version = 1, JsonObject metadata = {}) {
    const auto tools = generations_->LiveTools();
    Document document{id, "s", "help/" + id, id, label, "text/plain", "", text, version, 0};
    document.metadata = std::move(metadata);
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
  void Label(const std::string& id, const std::string& label) {
    store_->Write(ctx_, [&](data::WriteTx& tx) {
      auto document = *tx.Get<Document>(id);
      document.label = label;
      tx.Put(document);
    });
  }
  void Delete(const std::string& id) {
    store_->Write(ctx_, [&](data::WriteTx& tx) { tx.Delete<Document>(id); });
  }
  static Context Reader(std::vector<std::string> labels) {
    Principal principal;
    principal.user = "ana@example.com";
    principal.labels = std::move(labels);
    Context::Parts parts;
    parts.principal = std::make_shared<const Principal>(std::move(principal));
    return Context(std::move(parts)).WithTimeout(60s);
  }
  Retrieved Ask(const Context& ctx, const std::string& query, RetrieveOptions options = {.k = 10}) { return Retriever(*store_, [this] { return generations_->live(); }).Retrieve(ctx, query, options); }
  static std::set<std::string> Documents(const Retrieved& found) {
    std::set<std::string> out;
    for (const auto& passage : found.passages) out.insert(passage.document);
    return out;
  }
  /// Until the engine has everything.
  void Await() {
    for (const auto until = std::chrono::steady_clock::now() + 60s; !generations_->live().index->problem().empty(); std::this_thread::sleep_for(2ms))
      ASSERT_LT(std::chrono::steady_clock::now(), until) << generations_->live().index->problem();
  }
  /// What the engine holds of the live generation is what the store has of it, no more and no less.
  void ExpectEngineEqualsStore() {
    const auto live = generations_->live();
    const auto row = generations_->Describe(live.generation);
    const auto engine = OpenEngine(row.index, live.embedder->dim());
    std::map<std::string, IndexRecord> held;
    const auto ids = engine->List(ctx_, row.name_space, "", "", 10'000);
    for (auto& record : engine->Fetch(ctx_, row.name_space, ids)) held.emplace(record.id, record);
    std::size_t wanted = 0;
    store_->Read(ctx_, [&](data::ReadTx& tx) {
      for (const auto& chunk : tx.Find<Chunk>()) {
        if (chunk.generation != live.generation) continue;
        ++wanted;
        const auto document = *tx.Get<Document>(chunk.document);
        const auto found = held.find(chunk.id);
        ASSERT_NE(found, held.end()) << chunk.id;
        EXPECT_EQ(found->second.text, RecordOf(chunk, "", "", {}).text);
        EXPECT_EQ(found->second.group, chunk.document);
        EXPECT_EQ(found->second.access, document.label) << chunk.id;
        EXPECT_EQ(found->second.vector.size(), 16u);
      }
    });
    EXPECT_EQ(held.size(), wanted);
  }
  TemporaryFolder folder_;
  std::unique_ptr<IndexFixture> fixture_;
  std::string index_ = "engine";
  bool falls_back_ = false;
  std::unique_ptr<Generations> generations_;
  std::unique_ptr<IndexDelivery> delivery_;
  std::unique_ptr<data::Store> store_;
  std::unique_ptr<workflows::Runs> runs_;
  Context ctx_ = Context::System("test");
};

TEST_P(EngineIndexTest, FindsWhatWasWrittenAndOnlyWhatTheReaderMay) {
  for (int i = 0; i < 30; ++i) Put("d" + std::to_string(i), "About tents and the number " + std::to_string(i) + ".", i % 3 ? "public" : "group:hr", 1, {{"n", i}});
  Await();
  const auto found = Ask(Reader({"public"}), "tents number 7");
  EXPECT_EQ(found.notice, "");
  EXPECT_EQ(found.passages.size(), 10u);
  EXPECT_EQ(found.passages.front().document, "d7");
  for (const auto& passage : found.passages) EXPECT_NE(std::stoi(passage.document.substr(1)) % 3, 0) << passage.document;
  EXPECT_EQ(Ask(Reader({"public", "group:hr"}), "tents number 9").passages.front().document, "d9");
  EXPECT_TRUE(Ask(Reader({}), "tents number 9").passages.empty());
  EXPECT_EQ(Documents(Ask(ctx_, "tents", {.k = 10, .documents = {{"d4", "d5"}}})), (std::set<std::string>{"d4", "d5"}));
  EXPECT_EQ(Documents(Ask(ctx_, "tents", {.k = 10, .filter = ParseFilter(JsonObject{{"n", JsonObject{{"$lt", 3}}}})})), (std::set<std::string>{"d0", "d1", "d2"}));
  const auto evidence = Ask(Reader({"public"}), "tents number 7", {.k = 3, .with_evidence = true});
  EXPECT_EQ(evidence.passages.size(), 3u);
  EXPECT_GT(evidence.support, 0.3);
  // An edit, a removal and new readers.
  Put("d7", "About stoves.", "public", 2);
  Delete("d8");
  Label("d9", "public");
  Label("d10", "group:hr");
  Await();
  EXPECT_EQ(Ask(Reader({"public"}), "stoves").passages.front().text, "About stoves.");
  const auto now = Documents(Ask(Reader({"public"}), "tents number", {.k = 40}));
  EXPECT_FALSE(now.contains("d8"));
  EXPECT_TRUE(now.contains("d9"));
  EXPECT_FALSE(now.contains("d10"));
  EXPECT_EQ(now.size(), 19u);  // of 20 one went, one was taken and one given
  ExpectEngineEqualsStore();
  EXPECT_EQ(generations_->live().index->chunks_without_vector(), 0u);
}

TEST_P(EngineIndexTest, WhatTheStoreTookBackIsNotAnsweredThoughTheEngineStillHasIt) {
  for (int i = 0; i < 30; ++i) Put("d" + std::to_string(i), "About tents and the number " + std::to_string(i) + ".");
  Await();
  delivery_->Stop();  // from here on the engine hears nothing
  for (int i = 0; i < 10; ++i) Delete("d" + std::to_string(i));
  for (int i = 10; i < 20; ++i) Label("d" + std::to_string(i), "group:hr");
  Put("d20", "About tents, edited.", "public", 2);
  const auto found = Ask(Reader({"public"}), "tents number", {.k = 10});
  EXPECT_EQ(found.notice, "the search index engine has not got the newest changes yet");
  std::set<std::string> expected;
  for (int i = 21; i < 30; ++i) expected.insert("d" + std::to_string(i));
  // d20 has new passages under new or old ids: found or not, but never as it was.
  auto documents = Documents(found);
  documents.erase("d20");
  EXPECT_EQ(documents, expected);
  for (const auto& passage : found.passages)
    if (passage.document == "d20") EXPECT_EQ(passage.text, "About tents, edited.");
}

TEST_P(EngineIndexTest, WhatWasAcknowledgedReachesTheEngineAfterAKill) {
  Put("before", "About lamps.");
  Await();
  ASSERT_TRUE(fixture_->Break());
  for (int i = 0; i < 20; ++i) Put("d" + std::to_string(i), "About tents and the number " + std::to_string(i) + ".");
  Label("before", "group:hr");
  Delete("d3");
  Close(0s);  // nothing of it was delivered
  Open();     // and the engine is still away
  EXPECT_EQ(CodeOf([&] { Ask(ctx_, "tents"); }), Code::kUnavailable);
  fixture_->Mend();
  Await();
  EXPECT_EQ(Documents(Ask(ctx_, "tents number", {.k = 40})).size(), 20u);  // 19 of these and the one before
  EXPECT_FALSE(Documents(Ask(Reader({"public"}), "lamps", {.k = 40})).contains("before"));
  ExpectEngineEqualsStore();
}

TEST_P(EngineIndexTest, AnEngineThatIsAwayIsAnErrorOrTheDeclaredFallback) {
  Put("a", "About tents.");
  Put("b", "About tents for staff.", "group:hr");
  Await();
  ASSERT_TRUE(fixture_->Break());
  try {
    Ask(Reader({"public"}), "tents");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kUnavailable);
    EXPECT_NE(e.message().find("index_fallback"), std::string::npos) << e.message();
  }
  falls_back_ = true;
  Open();
  const auto found = Ask(Reader({"public"}), "tents");
  EXPECT_EQ(Documents(found), std::set<std::string>{"a"});
  EXPECT_EQ(found.notice.substr(0, 20), "found by words alone") << found.notice;
  EXPECT_LE(found.passages.front().score, 1);
  Put("c", "About tents, written meanwhile.");
  EXPECT_TRUE(Documents(Ask(Reader({"public"}), "tents")).contains("c"));
  fixture_->Mend();
  Await();
  EXPECT_EQ(Ask(Reader({"public"}), "tents").notice, "");
  EXPECT_EQ(Documents(Ask(Reader({"public"}), "tents")), (std::set<std::string>{"a", "c"}));
}

TEST_P(EngineIndexTest, ComparesTheWholeWhereTheFeedDoesNotReachBack) {
  for (int i = 0; i < 450; ++i) Put("d" + std::to_string(i), "Tent " + std::to_string(i) + ".");
  Await();
  const auto row = generations_->Describe("g1");
  delivery_->Stop();
  for (int i = 0; i < 40; ++i) Delete("d" + std::to_string(i * 3));
  Label("d1", "group:hr");
  // As if the feed had been trimmed: nobody knows any more what was delivered. And somebody meddled.
  store_->Write(ctx_, [](data::WriteTx& tx) { tx.Delete<IndexCursor>("g1"); });
  const IndexChange foreign[] = {{IndexChange::Kind::kPut, {.id = "0 foreign", .text = "tent"}}, {IndexChange::Kind::kPut, {.id = "zzzz foreign", .text = "tent"}}};
  OpenEngine("engine", 16)->Write(ctx_, row.name_space, foreign);
  Open();
  Await();
  ExpectEngineEqualsStore();
  // Counted once all is delivered.
  for (const auto until = std::chrono::steady_clock::now() + 60s; generations_->live().index->chunks() != 410; std::this_thread::sleep_for(2ms)) ASSERT_LT(std::chrono::steady_clock::now(), until);
}

TEST_P(EngineIndexTest, IsChangedByAGenerationAndGoneBackFrom) {
  index_ = "embedded:";
  Close(0s);
  for (const char* file : {"store.db", "store.db-wal", "store.db-shm"}) std::filesystem::remove(folder_.path() / file);
  Open();
  for (int i = 0; i < 100; ++i) Put("d" + std::to_string(i), "About tents and the number " + std::to_string(i) + ".");
  EXPECT_EQ(CodeOf([&] { generations_->Create(ctx_, *store_, "", nullptr, {.index = "nobody"}); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { generations_->Create(ctx_, *store_, "", nullptr, {.language = Language::kGerman, .index = "engine"}); }), Code::kInvalidArgument);
  EXPECT_EQ(generations_->List(ctx_, *store_).size(), 1u);
  const auto made = generations_->Create(ctx_, *store_, "", nullptr, {.index = "engine"});
  ASSERT_EQ(runs_->Await(ctx_, runs_->Start(ctx_, {"build-generation", JsonObject{{"generation", made.id}}, ""})).state, workflows::RunState::kFinished);
  EXPECT_GT(generations_->Compare(ctx_, *store_, "g1", "g2", {{"tents number 17", {"help/d17"}}}).overlap, 0.5);
  generations_->Switch(ctx_, *store_, "g2");
  Put("new", "About stoves.");
  Await();
  EXPECT_TRUE(Documents(Ask(ctx_, "stoves")).contains("new"));
  ExpectEngineEqualsStore();
  // A broken engine is not switched to, and is gone back from.
  ASSERT_EQ(runs_->Await(ctx_, runs_->Start(ctx_, {"build-generation", JsonObject{{"generation", "g1"}}, ""})).state, workflows::RunState::kFinished);
  ASSERT_TRUE(fixture_->Break());
  Delete("d1");
  EXPECT_EQ(generations_->Rollback(ctx_, *store_), "g1");
  EXPECT_FALSE(Documents(Ask(ctx_, "tents number 1", {.k = 100})).contains("d1"));
  EXPECT_EQ(CodeOf([&] { generations_->Switch(ctx_, *store_, "g2"); }), Code::kFailedPrecondition);
  // Removed while its engine is away, its records go once it is back, also by another process.
  generations_->Remove(ctx_, *store_, "g2");
  Close(0s);
  fixture_->Mend();
  Open();
  const auto cursors = [&] { return store_->Read(ctx_, [](data::ReadTx& tx) { return tx.Count<IndexCursor>(); }); };
  for (const auto until = std::chrono::steady_clock::now() + 60s; cursors() > 0; std::this_thread::sleep_for(5ms)) ASSERT_LT(std::chrono::steady_clock::now(), until);
  EXPECT_TRUE(OpenEngine("engine", 16)->Namespaces(ctx_).empty());
}

TEST_P(EngineIndexTest, HoldsWhatTheStoreHoldsAfterAnyOrderOfChangesAndCrashes) {
  std::mt19937 random(11);
  std::map<std::string, std::string> label_of;
  const auto any = [&] { return std::next(label_of.begin(), static_cast<std::ptrdiff_t>(random() % label_of.size()))->first; };
  for (int step = 0; step < 600; ++step) {
    const auto kind = random() % 100;
    if (kind < 45 || label_of.empty()) {
      const auto id = "d" + std::to_string(random() % 60);
      const auto label = random() % 2 ? "public" : "group:hr";
      Put(id, "Tents of step " + std::to_string(step) + ". " + std::string(random() % 300, 'x') + " boots.", label, step + 1);
      label_of[id] = label;
    } else if (kind < 65) {
      const auto id = any();
      Delete(id);
      label_of.erase(id);
    } else if (kind < 85) {
      const auto id = any();
      Label(id, label_of[id] = label_of[id] == "public" ? "group:hr" : "public");
    } else if (kind < 88) {
      Open();
    } else if (kind < 91) {
      fixture_->Break();
    } else if (kind < 95) {
      fixture_->Mend();
    } else {
      try {
        for (const auto& id : Documents(Ask(Reader({"public"}), "tents", {.k = 100}))) EXPECT_EQ(label_of.at(id), "public") << step;
      } catch (const Error& e) {
        EXPECT_EQ(e.code(), Code::kUnavailable) << e.message();
      }
    }
  }
  fixture_->Mend();
  Open();
  Await();
  ExpectEngineEqualsStore();
  std::set<std::string> expected;
  for (const auto& [id, label] : label_of)
    if (label == "public") expected.insert(id);
  EXPECT_EQ(Documents(Ask(Reader({"public"}), "tents", {.k = 1000})), expected);
}

INSTANTIATE_TEST_SUITE_P(Engines, EngineIndexTest, testing::Values(Engine{"postgresql", MakePostgresqlFixture}, Engine{"weaviate", MakeWeaviateFixture}), [](const auto& engine) { return std::string(engine.param.name); });

}  // namespace
}  // namespace tenfold::retrieval
