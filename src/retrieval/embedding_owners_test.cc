// The embedding cache beside a store: what is ingested, built, edited and removed, and what the cache's files still hold of it.
#include "retrieval/embedding_owners.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/files.h"
#include "data/sources/folder.h"
#include "models/embedder_url.h"
#include "retrieval/generations.h"
#include "retrieval/ingest.h"
#include "retrieval/letters_testing.h"

namespace tenfold::retrieval {
namespace {

/// Counts what it is asked for.
class CountingLetters : public Letters {
 public:
  CountingLetters() : Letters(32) {}
  std::vector<std::vector<float>> Embed(const Context& ctx, std::span<const std::string> texts, models::EmbedKind kind) override {
    auto out = Letters::Embed(ctx, texts, kind);
    for (const auto& text : texts) {
      embedded += text.find("quick brown fox") == std::string::npos;  // the cache's own question
      if (on_embed) on_embed();
    }
    return out;
  }
  std::atomic<int> embedded{0};
  std::function<void()> on_embed;
};

class EmbeddingOwnersTest : public testing::Test {
 protected:
  EmbeddingOwnersTest() { Open(); }
  ~EmbeddingOwnersTest() override { Close(); }
  void Close() {
    runs_.reset();
    store_.reset();
    generations_.reset();
    owners_.reset();
    cache_.reset();
  }
  /// As a process that starts. Without `follow` the cache hears of no commit, as if the process had been killed right after each.
  void Open(bool follow = true) {
    Close();
    auto tables = IngestTables();
    for (auto& table : workflows::Runs::Tables()) tables.push_back(std::move(table));
    cache_ = std::make_unique<models::EmbeddingCache>(folder_.path() / "embeddings", models::EmbeddingCache::Options{.bytes_per_model = 1 << 20});
    owners_ = std::make_unique<EmbeddingOwners>(*cache_);
    generations_ = std::make_unique<Generations>(Generations::Parts{[this](const std::string&) { return model_; }, "letters", ChunkOptions{.max_tokens = 40}, [](data::WriteTx&, const Context&, std::string_view, std::string_view) {}, Language::kEnglish, {}, false, {}, cache_.get()});
    store_ = data::OpenSqliteStore((folder_.path() / "store.db").string(), tables);
    objects_ = data::OpenFileObjectStore(folder_.path() / "objects");
    originals_ = std::make_unique<Originals>(*store_, *objects_);
    store_->Follow(*generations_);
    if (follow) store_->Follow(*owners_);
    generations_->Begin(*store_);
    runs_ = std::make_unique<workflows::Runs>(*store_, SystemClock(), workflows::Runs::Options{.threads = 1});
    runs_->Register("build-generation", generations_->MakeBuild(*store_));
    IngestOptions options;
    options.open_source = [](std::string_view url) { return data::OpenFolderSource(url.substr(7), {}); };
    options.parse = [](const Context& ctx, std::string_view text, std::string_view media_type) { return data::ParseBytes(ctx, text, media_type); };
    options.live = [this] { return generations_->LiveTools(); };
    options.originals = originals_.get();
    runs_->Register("ingest", MakeIngest(*store_, options));
    runs_->Resume();
    model_->embedded = 0;
  }
  void Write(const std::string& path, const std::string& text) {
    const auto file = folder_.path() / path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
    // The folder's source looks at times as well as at sizes.
    std::filesystem::last_write_time(file, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1) + std::chrono::seconds(++writes_));
  }
  std::string Url(const std::string& folder) const { return "folder:" + (folder_.path() / folder).string(); }
  workflows::Run Sync(const std::string& folder) { return runs_->Await(ctx_, runs_->Start(ctx_, {"ingest", ToJson(IngestRequest{.url = Url(folder), .label = "public"}), ""})); }
  std::uint64_t Kept() const {
    std::uint64_t texts = 0;
    for (const auto& model : cache_->status().models) texts += model.texts;
    return texts == 0 ? 0 : texts - 1;  // one is the cache's own
  }
  const TemporaryFolder folder_;
  const std::shared_ptr<CountingLetters> model_ = std::make_shared<CountingLetters>();
  std::unique_ptr<models::EmbeddingCache> cache_;
  std::unique_ptr<EmbeddingOwners> owners_;
  std::unique_ptr<Generations> generations_;
  std::unique_ptr<data::ObjectStore> objects_;
  std::unique_ptr<data::Store> store_;
  std::unique_ptr<Originals> originals_;
  std::unique_ptr<workflows::Runs> runs_;
  int writes_ = 0;
  const Context ctx_ = Context::System("test");
};

TEST_F(EmbeddingOwnersTest, TheSameTextOfAnotherSourceOrGenerationIsNotEmbeddedAgain) {
  Write("a/tent.md", "# Tent\n\nPitch it on flat ground. Peg the corners first.\n");
  Write("b/copy.md", "# Tent\n\nPitch it on flat ground. Peg the corners first.\n");
  ASSERT_EQ(Sync("a").state, workflows::RunState::kFinished);
  const int once = model_->embedded;
  EXPECT_GE(once, 3);  // the passage and its sentences
  ASSERT_EQ(Sync("b").state, workflows::RunState::kFinished);
  EXPECT_EQ(model_->embedded, once);
  Open();
  ASSERT_EQ(generations_->Create(ctx_, *store_, "letters again", nullptr).id, "g2");
  ASSERT_EQ(runs_->Await(ctx_, runs_->Start(ctx_, {"build-generation", JsonObject{{"generation", "g2"}}, ""})).state, workflows::RunState::kFinished);
  EXPECT_EQ(model_->embedded, 0);
  EXPECT_EQ(generations_->Find("g2").index->chunks(), 2u);
  EXPECT_EQ(generations_->Find("g2").index->chunks_without_vector(), 0u);
}

TEST_F(EmbeddingOwnersTest, AnEditEmbedsWhatIsNewAndForgetsWhatWent) {
  Write("a/tent.md", "# Tent\n\nPitch it on flat ground.\n\n## Care\n\nDry it in the shade. Never wash it hot.\n");
  ASSERT_EQ(Sync("a").state, workflows::RunState::kFinished);
  const auto kept = Kept();
  model_->embedded = 0;
  Write("a/tent.md", "# Tent\n\nPitch it on flat ground.\n\n## Care\n\nDry it in the shade. Never wash it at all.\n");
  ASSERT_EQ(Sync("a").state, workflows::RunState::kFinished);
  EXPECT_GT(model_->embedded, 0);
  EXPECT_LT(model_->embedded, static_cast<int>(kept));
  EXPECT_EQ(Kept(), kept);  // the same number: the old sentence and passage went
}

TEST_F(EmbeddingOwnersTest, WhatLeavesTheStoreLeavesTheCache) {
  Write("a/tent.md", "# Tent\n\nPitch it on flat ground.\n");
  Write("a/stove.md", "# Stove\n\nLet it cool before packing.\n");
  ASSERT_EQ(Sync("a").state, workflows::RunState::kFinished);
  const auto all = Kept();
  std::filesystem::remove(folder_.path() / "a/tent.md");
  ASSERT_EQ(Sync("a").state, workflows::RunState::kFinished);
  EXPECT_EQ(Kept(), all / 2);
  RemoveSource(ctx_, *store_, *originals_, SourceIdOf(Url("a")));
  EXPECT_EQ(Kept(), 0u);
}

TEST_F(EmbeddingOwnersTest, WhatACrashLeftGoesWithTheNextStart) {
  Open(false);
  Write("a/tent.md", "# Tent\n\nPitch it on flat ground.\n");
  Write("a/stove.md", "# Stove\n\nLet it cool before packing.\n");
  ASSERT_EQ(Sync("a").state, workflows::RunState::kFinished);
  const auto all = Kept();
  Write("a/stove.md", "# Stove\n\nIt is cold.\n");
  std::filesystem::remove(folder_.path() / "a/tent.md");
  ASSERT_EQ(Sync("a").state, workflows::RunState::kFinished);
  EXPECT_GT(Kept(), all);
  Open();
  EXPECT_EQ(Kept(), all / 2);
}

TEST_F(EmbeddingOwnersTest, ARunThatFailsLeavesNothingOfWhatItDidNotCommit) {
  Write("a/tent.md", "# Tent\n\nPitch it on flat ground.\n");
  // The source goes while its first document is embedded: there is no commit.
  model_->on_embed = [&, removed = false]() mutable {
    if (std::exchange(removed, true)) return;
    RemoveSource(ctx_, *store_, *originals_, SourceIdOf(Url("a")));
  };
  EXPECT_EQ(Sync("a").state, workflows::RunState::kFailed);
  EXPECT_GT(model_->embedded, 0);
  EXPECT_EQ(Kept(), 0u);
}

}  // namespace
}  // namespace tenfold::retrieval
