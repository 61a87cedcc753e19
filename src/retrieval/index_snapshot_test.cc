#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <random>
#include <thread>

#include "base/files.h"
#include "retrieval/chunk_index.h"
#include "retrieval/index_snapshot.h"

namespace tenfold::retrieval {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// A keeper that writes only when it is told to.
const SnapshotKeeper::Options kOnlyAtTheEnd{24h, 24h};

std::vector<float> UnitVector(std::mt19937& random, std::size_t dim) {
  std::vector<float> out(dim);
  float squares = 0;
  std::normal_distribution<float> normal;
  for (auto& x : out) {
    x = normal(random);
    squares += x * x;
  }
  for (auto& x : out) x /= std::sqrt(squares);
  return out;
}

/// The bytes of a vector as an index of cosines keeps it.
std::string BytesOf(std::vector<float> vector) {
  double squares = 0;
  for (const float x : vector) squares += static_cast<double>(x) * static_cast<double>(x);
  const auto scale = static_cast<float>(1 / std::sqrt(squares));
  for (auto& x : vector) x *= scale;
  return {reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)};
}

Principal ReaderOf(const std::string& label) {
  Principal reader;
  reader.labels = {label};
  return reader;
}

/// A store of passages in a folder, and its index with a snapshot beside it.
class Program {
 public:
  explicit Program(const fs::path& folder, std::size_t dim = kDim, Language language = Language::kEnglish, std::string generation = kFirstGeneration, SnapshotKeeper::Options options = kOnlyAtTheEnd)
      : keeper(folder / "index", options), snapshot(keeper.Open(generation)), index(dim, generation, language, snapshot),
        store(data::OpenSqliteStore((folder / "store.db").string(), {data::TableOf<Document>(), data::TableOf<Chunk>()})) {
    store->Follow(index);
    is_restored = snapshot->is_written();
  }
  ~Program() {
    store.reset();
    if (is_clean) keeper.Finish();
  }
  static constexpr std::size_t kDim = 24;

  /// A document of two passages with words of its own.
  void Put(int number, int version = 0, const std::string& label = "") {
    std::mt19937 random(static_cast<unsigned>(number * 1000 + version));
    const auto id = "doc" + std::to_string(number);
    store->Write(ctx, [&](data::WriteTx& tx) {
      tx.Delete<Document>(id);
      Document document;
      document.id = id;
      document.source = "s";
      document.uri = "uri-of-" + id + "-v" + std::to_string(version);
      document.title = "Title" + std::to_string(number);
      document.label = !label.empty() ? label : number % 3 ? "public" : "staff";
      document.metadata = {{"year", 2000 + number % 20}, {"open", number % 2 == 0}, {"tags", JsonArray{"a" + std::to_string(number % 5), "b"}}, {"none", JsonArray{}}, {"at", JsonObject{{"lat", number % 90}, {"lon", 7.5}}}};
      tx.Put(document);
      for (int i = 0; i < 2; ++i) {
        Chunk chunk;
        chunk.id = id + "/v" + std::to_string(version) + "/" + std::to_string(i);
        chunk.document = id;
        chunk.text = "unique" + std::to_string(number) + "x" + std::to_string(version) + " shared" + std::to_string(random() % 30) + " common words of passage " + std::to_string(i);
        if (number % 7) chunk.embedding = UnitVector(random, kDim);
        tx.Put(chunk);
      }
    });
  }
  void Remove(int number) {
    store->Write(ctx, [&](data::WriteTx& tx) { tx.Delete<Document>("doc" + std::to_string(number)); });
  }
  void Relabel(int number, const std::string& label) {
    store->Write(ctx, [&](data::WriteTx& tx) {
      auto document = tx.Get<Document>("doc" + std::to_string(number));
      document->label = label;
      tx.Put(*document);
    });
  }

  const Context ctx = Context::System("test");
  SnapshotKeeper keeper;
  std::shared_ptr<IndexSnapshot> snapshot;
  ChunkIndex index;
  std::unique_ptr<data::Store> store;
  bool is_restored = false;
  bool is_clean = true;
};

std::string Told(const IndexResult& found) {
  std::string out;
  for (const auto& hit : found.hits) out += hit.id + " " + hit.group + " " + std::to_string(hit.score) + "\n";
  for (const auto& [key, counts] : found.facets)
    for (const auto& one : counts) out += key + " " + ToText(one.value) + " " + std::to_string(one.count) + "\n";
  return out;
}

/// What many searches of all kinds find.
std::string Answers(const ChunkIndex& index, std::size_t dim = Program::kDim) {
  std::mt19937 random(5);
  std::string out;
  for (const char* label : {"public", "staff", "*", "nobody"})
    for (int i = 0; i < 12; ++i) {
      IndexQuery query{.k = 40};
      if (i % 3 != 1) query.text = "shared" + std::to_string(random() % 30) + (i % 2 ? " unique" + std::to_string(random() % 60) + "x0" : " \"common words\"");
      if (i % 3 != 0 && dim > 0) query.vector = UnitVector(random, dim);
      if (i % 4 == 3) query.filter = ParseFilter(JsonObject{{"year", JsonObject{{"$gte", 2007}}}, {"tags", "a2"}});
      if (i % 4 == 2) query.filter = ParseFilter(JsonObject{{"open", true}, {"none", JsonObject{{"$exists", true}}}, {"at", JsonObject{{"$within", JsonObject{{"lat", 40}, {"lon", 7.5}, {"metres", 3e6}}}}}});
      if (i == 11) query = {.k = 1000};
      query.facets = {"year", "open", "tags", "uri"};
      out += Told(index.Search(ReaderOf(label), query));
    }
  return out;
}

/// What an index loaded from the store's rows answers.
std::string Expected(Program& program, std::size_t dim = Program::kDim, Language language = Language::kEnglish) {
  ChunkIndex fresh(dim, kFirstGeneration, language);
  program.store->Read(program.ctx, [&](data::ReadTx& tx) { fresh.Load(tx); });
  return Answers(fresh, dim);
}

std::set<std::string> FilesOf(const fs::path& folder) {
  std::set<std::string> out;
  for (const auto& entry : fs::directory_iterator(folder / "index")) out.insert(entry.path().filename().string());
  return out;
}

bool IsInAFile(const fs::path& folder, std::string_view bytes) {
  for (const auto& file : FilesOf(folder))
    if (ReadFile(folder / "index" / file).find(bytes) != std::string::npos) return true;
  return false;
}

void FillAndClose(const fs::path& folder, int documents = 60) {
  Program program(folder);
  for (int i = 0; i < documents; ++i) program.Put(i);
}

TEST(IndexSnapshot, AnswersAsAnIndexLoadedFromTheStore) {
  const TemporaryFolder folder;
  FillAndClose(folder.path());
  EXPECT_EQ(FilesOf(folder.path()), std::set<std::string>{"g1.index"});
  EXPECT_EQ(fs::status(folder.path() / "index" / "g1.index").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(fs::status(folder.path() / "index").permissions(), fs::perms::owner_all);
  Program program(folder.path());
  EXPECT_TRUE(program.is_restored);
  EXPECT_EQ(program.index.chunks(), 120u);
  EXPECT_EQ(program.index.commit(), program.store->commit());
  const auto answers = Answers(program.index);
  EXPECT_GT(answers.size(), 10'000u);
  EXPECT_EQ(answers, Expected(program));
  // It goes on as the other would.
  for (int i = 0; i < 60; i += 4) program.Put(i, 1);
  for (int i = 1; i < 60; i += 9) program.Remove(i);
  EXPECT_EQ(Answers(program.index), Expected(program));
}

TEST(IndexSnapshot, CatchesUpOnWhatChangedSince) {
  const TemporaryFolder folder;
  FillAndClose(folder.path());
  {
    Program program(folder.path());
    program.is_clean = false;
    for (int i = 60; i < 70; ++i) program.Put(i);
    program.Relabel(3, "public");
    EXPECT_TRUE(program.snapshot->is_written()) << "nothing was taken away";
  }
  {
    Program program(folder.path());
    program.is_clean = false;
    EXPECT_TRUE(program.is_restored);
    EXPECT_EQ(Answers(program.index), Expected(program));
  }
  // What was removed by a program that has no snapshots, or ended before it could forget.
  data::OpenSqliteStore((folder.path() / "store.db").string(), {data::TableOf<Document>(), data::TableOf<Chunk>()})->Write(Context::System("test"), [](data::WriteTx& tx) { tx.Delete<Document>("doc4"); });
  EXPECT_TRUE(IsInAFile(folder.path(), "doc4/v0/1"));
  Program program(folder.path());
  EXPECT_EQ(Answers(program.index), Expected(program));
  EXPECT_FALSE(program.snapshot->is_written());
  EXPECT_FALSE(IsInAFile(folder.path(), "doc4/v0/1"));
}

TEST(IndexSnapshot, WhatIsRemovedIsInNoFileOnceTheWriteReturns) {
  const TemporaryFolder folder;
  FillAndClose(folder.path());
  const auto held = [&](std::string_view text) { return IsInAFile(folder.path(), text); };
  const auto vector_of = [](int number) {  // of the first passage of Put
    std::mt19937 random(static_cast<unsigned>(number * 1000));
    random();
    return BytesOf(UnitVector(random, Program::kDim));
  };
  for (const char* text : {"doc8/v0/1", "unique8x0", "uri-of-doc8-v0"}) EXPECT_TRUE(held(text)) << text;
  for (const int number : {8, 9, 11}) EXPECT_TRUE(held(vector_of(number)));
  for (const auto change : {0, 1, 2}) {
    Program program(folder.path());
    ASSERT_TRUE(program.is_restored || change > 0);
    if (change == 0) program.Remove(8);
    else if (change == 1) program.Put(9, 1);
    else program.store->Write(program.ctx, [](data::WriteTx& tx) {
      auto document = *tx.Get<Document>("doc10");
      document.metadata["year"] = "the-year-1066";
      document.uri = "another-uri";
      tx.Put(document);
    });
    EXPECT_TRUE(FilesOf(folder.path()).empty());
  }
  // Written again, and it is not in there.
  EXPECT_TRUE(held("doc11/v0/1"));
  EXPECT_TRUE(held("the-year-1066"));
  for (const char* text : {"doc8/v0", "unique8x0", "uri-of-doc8", "doc9/v0", "unique9x0", "uri-of-doc9-v0", "uri-of-doc10-v0"}) EXPECT_FALSE(held(text)) << text;
  for (const int number : {8, 9}) EXPECT_FALSE(held(vector_of(number)));
  EXPECT_TRUE(held(vector_of(11)));
}

TEST(IndexSnapshot, IsNotUsedForAnotherIndex) {
  const TemporaryFolder folder;
  FillAndClose(folder.path());
  {
    Program program(folder.path(), 0);
    EXPECT_FALSE(program.is_restored) << "another dimension";
    EXPECT_EQ(Answers(program.index, 0), Expected(program, 0));
  }
  {
    Program program(folder.path(), 0, Language::kGerman);
    EXPECT_FALSE(program.is_restored) << "another language";
    EXPECT_EQ(Answers(program.index, 0), Expected(program, 0, Language::kGerman));
  }
  {
    fs::copy_file(folder.path() / "index" / "g1.index", folder.path() / "index" / "g2.index");
    Program program(folder.path(), 0, Language::kGerman, "g2");
    EXPECT_FALSE(program.is_restored) << "another generation";
    EXPECT_EQ(program.index.chunks(), 0u);
  }
  Program program(folder.path(), 0, Language::kGerman);
  EXPECT_TRUE(program.is_restored);
}

TEST(IndexSnapshot, IsNotUsedForARestoredBackup) {
  const TemporaryFolder folder;
  FillAndClose(folder.path(), 20);
  {
    Program program(folder.path());
    program.is_clean = false;
    program.store->Backup(program.ctx, (folder.path() / "backup.db").string());
    for (int i = 0; i < 60; ++i) program.Put(100 + i % 40, i / 40);
    program.is_clean = true;
  }
  for (const auto& name : {"store.db", "store.db-wal", "store.db-shm"}) fs::remove(folder.path() / name);
  fs::rename(folder.path() / "backup.db", folder.path() / "store.db");
  {  // as many commits, by a program without snapshots
    const auto store = data::OpenSqliteStore((folder.path() / "store.db").string(), {data::TableOf<Document>(), data::TableOf<Chunk>()});
    for (int i = 0; i < 80; ++i)
      store->Write(Context::System("test"), [&](data::WriteTx& tx) {
        Document document;
        document.id = "other" + std::to_string(i);
        tx.Put(document);
      });
  }
  Program program(folder.path());
  EXPECT_FALSE(program.is_restored);
  EXPECT_EQ(program.index.chunks(), 40u);
  EXPECT_EQ(Answers(program.index), Expected(program));
}

TEST(IndexSnapshot, ADamagedByteAnywhereIsARebuild) {
  const TemporaryFolder folder;
  FillAndClose(folder.path(), 12);
  const auto file = folder.path() / "index" / "g1.index";
  const auto good = ReadFile(file);
  std::string expected;
  {
    Program program(folder.path());
    ASSERT_TRUE(program.is_restored);
    expected = Expected(program);
  }
  const auto check = [&](const std::string& bytes, const std::string& what) {
    WriteFileAtomically(file, bytes);
    Program program(folder.path());
    program.is_clean = false;
    EXPECT_FALSE(program.is_restored) << what;
    EXPECT_EQ(Answers(program.index), expected) << what;
    EXPECT_FALSE(fs::exists(file)) << what;
  };
  std::mt19937 random(3);
  for (int i = 0; i < 120; ++i) {
    // All of the header, the table and the footer now and then; the rest here and there.
    const auto at = i < 48 ? static_cast<std::size_t>(i) : i < 80 ? good.size() - 1 - static_cast<std::size_t>(i - 48) * 3 : random() % good.size();
    auto bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << random() % 8));
    check(bad, "byte " + std::to_string(at));
  }
  for (const auto size : {std::size_t{0}, std::size_t{1}, std::size_t{79}, good.size() / 2, good.size() - 1}) check(good.substr(0, size), "cut to " + std::to_string(size));
  check(good + "x", "longer");
}

TEST(IndexSnapshot, LargeVectorsAreSearchedInTheirFileAgain) {
  constexpr std::size_t kDim = 128;
  constexpr int kRows = 10'000;  // partitions, and more than 4 MB
  const TemporaryFolder folder;
  const auto write = [](data::Store& store, int from, int to) {
    store.Write(Context::System("test"), [&](data::WriteTx& tx) {
      for (int i = from; i < to; ++i) {
        std::mt19937 random(static_cast<unsigned>(i));
        Chunk chunk;
        chunk.id = "c" + std::to_string(i);
        chunk.document = "d";
        chunk.text = "word" + std::to_string(i % 100);
        chunk.embedding = UnitVector(random, kDim);
        tx.Put(chunk);
      }
    });
  };
  const auto answers = [](const ChunkIndex& index) {
    std::mt19937 random(77);
    std::string out;
    for (int i = 0; i < 30; ++i) out += Told(index.Search(ReaderOf("*"), {.vector = UnitVector(random, kDim), .k = 10}));
    return out;
  };
  std::string before;
  {
    Program program(folder.path(), kDim);
    program.store->Write(program.ctx, [](data::WriteTx& tx) {
      Document document;
      document.id = "d";
      document.label = "public";
      tx.Put(document);
    });
    write(*program.store, 0, kRows);
    before = answers(program.index);
  }
  EXPECT_EQ(FilesOf(folder.path()), (std::set<std::string>{"g1.0.vectors", "g1.index"}));
  EXPECT_LT(fs::file_size(folder.path() / "index" / "g1.index"), fs::file_size(folder.path() / "index" / "g1.0.vectors"));
  std::mt19937 random(5);
  const auto removed = UnitVector(random, kDim);
  {
    Program program(folder.path(), kDim);
    ASSERT_TRUE(program.is_restored);
    EXPECT_EQ(answers(program.index), before);
    // Added and not written: the file has rows that the snapshot is not of.
    program.is_clean = false;
    write(*program.store, kRows, kRows + 50);
    EXPECT_TRUE(program.snapshot->is_written());
  }
  {
    Program program(folder.path(), kDim);
    ASSERT_TRUE(program.is_restored);
    EXPECT_EQ(program.index.chunks(), static_cast<std::size_t>(kRows) + 50);
    std::mt19937 last(kRows + 49);
    EXPECT_EQ(program.index.Search(ReaderOf("*"), {.vector = UnitVector(last, kDim), .k = 1}).hits.at(0).id, "c" + std::to_string(kRows + 49));
    const auto near = program.index.Search(ReaderOf("*"), {.vector = removed, .k = 1}).hits.at(0);
    EXPECT_EQ(near.id, "c5");
    EXPECT_NEAR(near.score, 1, 1e-5);
    EXPECT_TRUE(IsInAFile(folder.path(), BytesOf(removed)));
    program.store->Write(program.ctx, [](data::WriteTx& tx) { tx.Delete<Chunk>("c5"); });
    EXPECT_EQ(FilesOf(folder.path()), std::set<std::string>{"g1.0.vectors"}) << "the live file stays, the snapshot goes";
    EXPECT_FALSE(IsInAFile(folder.path(), BytesOf(removed)));
    program.is_clean = false;
  }
  EXPECT_TRUE(FilesOf(folder.path()).empty()) << "a file of vectors that no snapshot is of goes with its index";
  {
    Program program(folder.path(), kDim);
    EXPECT_FALSE(program.is_restored);
    EXPECT_EQ(program.index.chunks(), static_cast<std::size_t>(kRows) + 49);
  }
  EXPECT_EQ(FilesOf(folder.path()), (std::set<std::string>{"g1.0.vectors", "g1.index"}));
  fs::resize_file(folder.path() / "index" / "g1.0.vectors", 4 << 20);
  Program program(folder.path(), kDim);
  EXPECT_FALSE(program.is_restored) << "the file of vectors is too short";
  EXPECT_EQ(program.index.chunks(), static_cast<std::size_t>(kRows) + 49);
}

TEST(IndexSnapshot, IsWrittenAgainWhenItHasBeenQuiet) {
  const TemporaryFolder folder;
  Program program(folder.path(), Program::kDim, Language::kEnglish, kFirstGeneration, {1ms, 24h});
  program.is_clean = false;
  const auto wait = [&] {
    for (int i = 0; i < 20'000 && !program.snapshot->is_written(); ++i) std::this_thread::sleep_for(1ms);
    return program.snapshot->is_written();
  };
  for (int i = 0; i < 5; ++i) program.Put(i);
  ASSERT_TRUE(wait());
  for (int i = 0; i < 4; ++i) {
    program.Remove(i);
    ASSERT_TRUE(wait());
    EXPECT_TRUE(IsInAFile(folder.path(), "doc4/v0"));
    EXPECT_FALSE(IsInAFile(folder.path(), "doc" + std::to_string(i) + "/v0"));
  }
}

TEST(IndexSnapshot, FilesOfIndexesThatAreGoneAreRemovedAndNoOthers) {
  const TemporaryFolder folder;
  FillAndClose(folder.path(), 3);
  for (const char* name : {"g2.index", "g2.4.vectors", "g3.writing", "collections.index", "notes.txt", "g2.index.bak", "g2.x.vectors", "G2.index"}) WriteFileAtomically(folder.path() / "index" / name, "x");
  SnapshotKeeper keeper(folder.path() / "index", kOnlyAtTheEnd);
  keeper.KeepOnly("g", {"g1"});
  EXPECT_EQ(FilesOf(folder.path()), (std::set<std::string>{"g1.index", "collections.index", "notes.txt", "g2.index.bak", "g2.x.vectors", "G2.index"}));
  const auto one = keeper.Open("collections");
  keeper.Remove("collections");
  EXPECT_FALSE(fs::exists(folder.path() / "index" / "collections.index"));
}

}  // namespace
}  // namespace tenfold::retrieval
