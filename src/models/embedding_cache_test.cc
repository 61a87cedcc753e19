#include "models/embedding_cache.h"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "base/files.h"
#include "base/testing.h"

namespace tenfold::models {
namespace {

/// Letters of a text as a vector; counts what it is asked for.
class Letters : public Embedder {
 public:
  explicit Letters(std::string name = "letters", std::uint32_t dim = 16, std::uint32_t shift = 0) : name_(std::move(name)), dim_(dim), shift_(shift) {}
  std::vector<std::vector<float>> Embed(const Context& ctx, std::span<const std::string> texts, EmbedKind kind) override {
    ctx.Check();
    std::vector<std::vector<float>> out;
    for (const auto& text : texts) {
      embedded += text.find("quick brown fox") == std::string::npos;  // the cache's own question
      auto& vector = out.emplace_back(dim_, 0.01f);
      for (const unsigned char c : text) vector[(c + shift_ + (kind == EmbedKind::kQuery)) % dim_] += 1;
      float squares = 0;
      for (const float x : vector) squares += x * x;
      for (float& x : vector) x /= std::sqrt(squares);
    }
    return out;
  }
  std::uint32_t dim() const override { return dim_; }
  std::uint32_t max_tokens() const override { return 200; }
  std::string name() const override { return name_; }
  std::uint32_t CountTokens(std::string_view text) override { return static_cast<std::uint32_t>(text.size()); }
  std::atomic<int> embedded{0};

 private:
  const std::string name_;
  const std::uint32_t dim_, shift_;
};

std::vector<std::string> NumberedTexts(int count) {
  std::vector<std::string> out;
  for (int i = 0; i < count; ++i) out.push_back("text number " + std::to_string(i));
  return out;
}

class EmbeddingCacheTest : public testing::Test {
 protected:
  std::unique_ptr<EmbeddingCache> Open(std::uint64_t bytes = 1 << 20) { return std::make_unique<EmbeddingCache>(folder_.path() / "embeddings", EmbeddingCache::Options{bytes, &clock_}); }
  std::filesystem::path FileEndingIn(std::string_view end) const {
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path() / "embeddings"))
      if (entry.path().extension() == end) return entry.path();
    return {};
  }
  /// Whether the bytes of a vector stand in the files.
  bool OnDisk(const std::vector<float>& vector) const {
    return ReadFile(FileEndingIn(".vectors")).find(std::string_view(reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float))) != std::string::npos;
  }
  static void Damage(const std::filesystem::path& file, std::streamoff at) {
    std::fstream damage(file, std::ios::in | std::ios::out | std::ios::binary);
    damage.seekg(at);
    const char byte = static_cast<char>(damage.get() ^ 0x10);
    damage.seekp(at);
    damage.put(byte);
  }
  const TemporaryFolder folder_;
  ManualClock clock_;
  const Context ctx_ = Context::System("test");
  Letters model_;
};

TEST_F(EmbeddingCacheTest, EmbedsEachTextOnceAlsoAfterARestart) {
  const std::vector<std::string> texts{"wing", "heat", "wing"};
  std::size_t made = 9, all = 9;
  const auto progress = [&](std::size_t m, std::size_t a) { made = m, all = a; };
  const auto first = Open()->Embed(ctx_, model_, texts, EmbedKind::kPassage, {}, progress);
  EXPECT_EQ(model_.embedded, 2);
  EXPECT_EQ(made, 2u);
  EXPECT_EQ(first, model_.Embed(ctx_, texts, EmbedKind::kPassage));
  model_.embedded = 0;
  const auto again = Open();
  EXPECT_EQ(again->Embed(ctx_, model_, texts, EmbedKind::kPassage, {}, progress), first);  // bit for bit
  EXPECT_EQ(model_.embedded, 0);
  EXPECT_EQ(all, 0u);
  EXPECT_EQ(again->status().found, 3u);
  again->Embed(ctx_, model_, texts, EmbedKind::kQuery, {});  // a question's vector may differ from a passage's
  EXPECT_EQ(model_.embedded, 2);
}

TEST_F(EmbeddingCacheTest, KeepsModelsApartAndAtMostFour) {
  const std::vector<std::string> texts{"wing"};
  auto cache = Open();
  Letters other("other"), wider("letters", 32);
  EXPECT_EQ(cache->Embed(ctx_, model_, texts, EmbedKind::kPassage, {}).front().size(), 16u);
  cache->Embed(ctx_, other, texts, EmbedKind::kPassage, {});
  EXPECT_EQ(cache->Embed(ctx_, wider, texts, EmbedKind::kPassage, {}).front().size(), 32u);
  EXPECT_EQ(model_.embedded + other.embedded + wider.embedded, 3);
  EXPECT_EQ(cache->status().models.size(), 3u);
  for (int i = 0; i < 6; ++i) {
    Letters more("more" + std::to_string(i));
    cache->Embed(ctx_, more, texts, EmbedKind::kPassage, {});
  }
  EXPECT_EQ(cache->status().models.size(), EmbeddingCache::kMaxModels);
  cache.reset();
  EXPECT_EQ(Open()->status().models.size(), EmbeddingCache::kMaxModels);
}

TEST_F(EmbeddingCacheTest, FindsThatTheModelBehindANameIsAnother) {
  const std::vector<std::string> texts{"wing", "heat"};
  Open()->Embed(ctx_, model_, texts, EmbedKind::kPassage, {});
  Letters renewed("letters", 16, 5);
  EXPECT_EQ(Open()->Embed(ctx_, renewed, texts, EmbedKind::kPassage, {}), renewed.Embed(ctx_, texts, EmbedKind::kPassage));
}

TEST_F(EmbeddingCacheTest, DropsWhatIsDamagedAndNothingElse) {
  const auto texts = NumberedTexts(10);
  const auto first = Open()->Embed(ctx_, model_, texts, EmbedKind::kPassage, {});
  model_.embedded = 0;
  Damage(FileEndingIn(".vectors"), 3 * 64 + 7);  // slot 0 is the cache's own
  EXPECT_EQ(Open()->Embed(ctx_, model_, texts, EmbedKind::kPassage, {}), first);
  EXPECT_EQ(model_.embedded, 1);
  Damage(FileEndingIn(".keys"), 512 + 5 * 64 + 40);
  EXPECT_EQ(Open()->Embed(ctx_, model_, texts, EmbedKind::kPassage, {}), first);
  EXPECT_EQ(model_.embedded, 2);
  std::filesystem::resize_file(FileEndingIn(".vectors"), 9 * 64 - 3);  // the last two slots and a part of the one before
  EXPECT_EQ(Open()->Embed(ctx_, model_, texts, EmbedKind::kPassage, {}), first);
  EXPECT_EQ(model_.embedded, 5);
  Damage(FileEndingIn(".keys"), 20);  // the header: none of it is believed
  EXPECT_EQ(Open()->Embed(ctx_, model_, texts, EmbedKind::kPassage, {}), first);
  EXPECT_EQ(model_.embedded, 15);
}

TEST_F(EmbeddingCacheTest, ForgetsADocumentsVectorsOnTheDiskToo) {
  const std::vector<std::string> texts{"of the first", "of both", "of the second"};
  const std::vector<TextOwner> owners{{11, 1}, {11, 1}, {12, 1}};
  auto cache = Open();
  const auto vectors = cache->Embed(ctx_, model_, texts, EmbedKind::kPassage, owners);
  EXPECT_TRUE(OnDisk(vectors[0]));
  const TextOwner gone{11, 0};
  cache->Forget({&gone, 1});
  EXPECT_FALSE(OnDisk(vectors[0]));
  EXPECT_FALSE(OnDisk(vectors[1]));
  EXPECT_TRUE(OnDisk(vectors[2]));
  model_.embedded = 0;
  cache->Embed(ctx_, model_, texts, EmbedKind::kPassage, std::vector<TextOwner>{{12, 1}, {12, 1}, {12, 1}});
  EXPECT_EQ(model_.embedded, 2);
  cache.reset();
  EXPECT_EQ(Open()->status().models.front().texts, 4u);  // slots are used again; one is the cache's own
  EXPECT_EQ(std::filesystem::file_size(FileEndingIn(".vectors")), 4 * 64u);
}

TEST_F(EmbeddingCacheTest, ForgetsTheTextBeforeAnEditAndKeepsWhatStayed) {
  auto cache = Open();
  const auto before = cache->Embed(ctx_, model_, std::vector<std::string>{"stays", "goes"}, EmbedKind::kPassage, std::vector<TextOwner>{{11, 1}, {11, 1}});
  cache->Embed(ctx_, model_, std::vector<std::string>{"stays", "comes"}, EmbedKind::kPassage, std::vector<TextOwner>{{11, 2}, {11, 2}});
  EXPECT_EQ(model_.embedded, 3);
  const TextOwner now{11, 2};
  cache->Forget({&now, 1});
  EXPECT_FALSE(OnDisk(before[1]));
  cache->Embed(ctx_, model_, std::vector<std::string>{"stays", "comes"}, EmbedKind::kPassage, std::vector<TextOwner>{{11, 2}, {11, 2}});
  EXPECT_EQ(model_.embedded, 3);
}

TEST_F(EmbeddingCacheTest, KeepsOnlyWhatHasAnOwnerThatIsThere) {
  const std::vector<std::string> texts{"a", "b", "c", "nobody's"};
  auto cache = Open();
  cache->Embed(ctx_, model_, texts, EmbedKind::kPassage, std::vector<TextOwner>{{1, 1}, {2, 1}, {2, 2}, {}});
  cache->KeepOnly([](std::uint64_t owner) { return owner == 2 ? 2u : 0u; });
  cache->Embed(ctx_, model_, texts, EmbedKind::kPassage, {});
  EXPECT_EQ(model_.embedded, 4 + 2);
}

TEST_F(EmbeddingCacheTest, LetsADocumentTakeOverWhatWasNobodys) {
  auto cache = Open();
  const std::vector<std::string> text{"of a collection that is evaluated"};
  const auto vector = cache->Embed(ctx_, model_, text, EmbedKind::kPassage, {});
  cache->Embed(ctx_, model_, text, EmbedKind::kPassage, std::vector<TextOwner>{{7, 1}});
  const TextOwner gone{7, 0};
  cache->Forget({&gone, 1});
  EXPECT_FALSE(OnDisk(vector.front()));
}

TEST_F(EmbeddingCacheTest, ForgetsWhatIsNobodysAfterAMonthWithoutUse) {
  const auto texts = NumberedTexts(4);
  Open()->Embed(ctx_, model_, texts, EmbedKind::kPassage, {});
  clock_.Advance(std::chrono::hours(24 * 20));
  Open()->Embed(ctx_, model_, std::span(texts).first(1), EmbedKind::kPassage, {});
  EXPECT_EQ(model_.embedded, 4);
  clock_.Advance(std::chrono::hours(24 * 20));
  Open()->Embed(ctx_, model_, texts, EmbedKind::kPassage, {});
  EXPECT_EQ(model_.embedded, 4 + 3);
}

TEST_F(EmbeddingCacheTest, StaysWithinItsSizeAndGivesTheLeastUsedAway) {
  constexpr std::uint64_t kSlots = 100;
  auto cache = Open(kSlots * EmbeddingFile::SlotBytes(16));
  const auto texts = NumberedTexts(1000);
  const auto used = std::span(texts).first(10);
  for (std::size_t at = 0; at < texts.size(); at += 20) {
    cache->Embed(ctx_, model_, std::span(texts).subspan(at, 20), EmbedKind::kPassage, {});
    cache->Embed(ctx_, model_, used, EmbedKind::kPassage, {});
  }
  EXPECT_EQ(cache->status().models.front().texts, kSlots);
  EXPECT_EQ(std::filesystem::file_size(FileEndingIn(".vectors")), kSlots * 64);
  EXPECT_EQ(model_.embedded, 1000);  // what is used all the time was never given away
  cache.reset();
  EXPECT_EQ(Open(50 * EmbeddingFile::SlotBytes(16))->status().models.front().texts, 50u);  // a smaller limit
  EXPECT_TRUE(Open(0)->status().models.empty());
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "embeddings"));
}

TEST_F(EmbeddingCacheTest, ServesManyThreads) {
  const auto texts = NumberedTexts(200);
  const auto expected = model_.Embed(ctx_, texts, EmbedKind::kPassage);
  auto cache = Open(150 * EmbeddingFile::SlotBytes(16));
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (std::uint64_t t = 1; t <= 4; ++t)
    threads.emplace_back([&, t] {
      const std::vector<TextOwner> owners(texts.size(), TextOwner{t, 1});
      for (int round = 0; round < 10; ++round) {
        wrong += cache->Embed(ctx_, model_, texts, EmbedKind::kPassage, owners) != expected;
        const TextOwner gone{t, 0};
        cache->Forget({&gone, 1});
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(EmbeddingCacheTest, RefusesAPlaceThatIsNoFolder) {
  WriteFileAtomically(folder_.path() / "embeddings", "a file");
  EXPECT_EQ(CodeOf([&] { Open(); }), Code::kPermissionDenied);
}

}  // namespace
}  // namespace tenfold::models
