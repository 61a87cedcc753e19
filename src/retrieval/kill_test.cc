// kill -9 after every commit of a script that reads a folder, reads it again after edits, builds another generation, switches to it, reads on and goes back. After each kill,
// before anything resumes: every document is whole, in one version, and read by whom it must be. Then the script is begun again, and its end is that of one that was never killed.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <set>

#include "base/files.h"
#include "base/testing.h"
#include "data/sources/folder.h"
#include "retrieval/generations.h"
#include "retrieval/ingest.h"
#include "retrieval/letters_testing.h"

namespace tenfold::retrieval {
namespace {

namespace fs = std::filesystem;

/// Kills this process when so many commits are durable and none of them is acknowledged yet.
class KillAtCommit : public data::Follower {
 public:
  explicit KillAtCommit(int commits) : left_(commits) {}
  std::string name() const override { return "kill"; }
  void Load(data::ReadTx&) override {}
  void Apply(std::span<const data::Change>, data::ReadTx&) override {
    if (left_ > 0 && --left_ == 0) ::kill(::getpid(), SIGKILL);
  }

 private:
  int left_;
};

/// Path to text and label. Every text has a word of its own and its version's.
using Tree = std::map<std::string, std::pair<std::string, std::string>>;

std::string TextOf(const std::string& name, int version, int paragraphs) {
  std::string out = "# About " + name + "\n";
  for (int i = 0; i < paragraphs; ++i) out += "\n" + name + " in its version v" + std::to_string(version) + "x, paragraph " + std::to_string(i) + ", says something about tents and stoves.\n";
  return out;
}

/// The three states of the folder.
Tree TreeAt(int stage) {
  Tree out;
  for (int i = 0; i < 9; ++i) {
    const auto name = "doc" + std::string(1, static_cast<char>('a' + i));
    const bool gone = stage >= 1 && i == 2, late = stage < 1 && i == 7, later = stage < 2 && i == 8;
    if (gone || late || later) continue;
    const int version = stage >= 2 && i % 2 ? 3 : stage >= 1 && i < 5 ? 2 : 1;
    // One larger than what is kept beside its document; one that moves between the folders, which is a new label.
    const auto folder = i == 4 ? (stage >= 1 ? "staff" : "open") : i % 3 ? "open" : "staff";
    out[std::string(folder) + "/" + name + ".md"] = {TextOf(name, version, i == 5 ? 700 : 3), folder};
  }
  return out;
}

/// A program over one data folder.
class Program {
 public:
  explicit Program(const fs::path& folder, int kill_at = 0) : folder_(folder), kill_(kill_at) {
    auto tables = IngestTables();
    for (auto& table : workflows::Runs::Tables()) tables.push_back(std::move(table));
    store_ = data::OpenSqliteStore((folder / "store.db").string(), tables);
    store_->Follow(kill_);
    store_->Follow(generations_);
    generations_.Begin(*store_);
    objects_ = data::OpenFileObjectStore(folder / "objects");
    originals_ = std::make_unique<Originals>(*store_, *objects_);
  }
  ~Program() {
    runs_.reset();
    originals_.reset();
    store_.reset();
  }

  /// What must be true at every moment.
  void CheckWhole() {
    store_->CheckIntegrity(ctx_);
    CheckSmallOriginals(ctx_, *store_);
    const auto live = generations_.live();
    const auto tools = generations_.LiveTools();
    const auto documents = store_->Read(ctx_, [](data::ReadTx& tx) { return tx.Find<Document>(); });
    std::size_t chunks = 0;
    for (const auto& document : documents) {
      SCOPED_TRACE(document.uri);
      const auto expected = MakeChunks(document, tools);
      const auto held = store_->Read(ctx_, [&](data::ReadTx& tx) {
        auto out = tx.Find<Chunk>(data::Where("document", document.id));
        std::erase_if(out, [&](const Chunk& chunk) { return chunk.generation != live.generation; });
        return out;
      });
      ASSERT_EQ(held.size(), expected.size());
      for (const auto& chunk : held) {
        EXPECT_EQ(chunk.text, document.text.substr(static_cast<std::size_t>(chunk.begin_byte), static_cast<std::size_t>(chunk.end_byte - chunk.begin_byte)));
        EXPECT_EQ(chunk.embedding.size(), live.embedder->dim());
      }
      chunks += held.size();
      EXPECT_EQ(document.label, document.uri.substr(0, document.uri.find('/')));
      const auto original = originals_->Get(ctx_, document);
      EXPECT_NE(original.find("About " + document.title.substr(document.title.rfind(' ') + 1)), std::string::npos);
    }
    EXPECT_EQ(live.index->chunks(), chunks);
    for (const char* reader : {"open", "staff"}) {
      std::set<std::string> mine;
      for (const auto& document : documents)
        if (document.label == reader) mine.insert(document.id);
      EXPECT_EQ(FoundBy(reader, "tents stoves"), mine) << reader;
    }
  }
  std::set<std::string> FoundBy(const std::string& label, const std::string& text) {
    Context::Parts parts;
    Principal reader;
    reader.labels = {label};
    parts.principal = std::make_shared<const Principal>(std::move(reader));
    const Context asked{std::move(parts)};
    const auto live = generations_.live();
    std::set<std::string> out;
    for (const auto& hit : live.index->Search(asked, {.text = text, .vector = live.embedder->Embed(ctx_, std::span(&text, 1), models::EmbedKind::kQuery).front(), .k = 10'000}).hits) out.insert(hit.group);
    return out;
  }

  /// From wherever it is to its end.
  void Work() {
    IngestOptions options;
    options.open_source = [&](std::string_view url) { return data::OpenFolderSource(url.substr(url.find(':') + 1), {}); };
    options.parse = [](const Context& ctx, std::string_view bytes, std::string_view media_type) { return data::ParseBytes(ctx, bytes, media_type); };
    options.originals = originals_.get();
    options.live = [&] { return generations_.LiveTools(); };
    runs_ = std::make_unique<workflows::Runs>(*store_, SystemClock(), workflows::Runs::Options{.threads = 2});
    runs_->Register("ingest", MakeIngest(*store_, options));
    runs_->Register("build-generation", generations_.MakeBuild(*store_));
    runs_->Resume();
    for (const auto& run : store_->Read(ctx_, [](data::ReadTx& tx) { return tx.Find<workflows::Run>(); })) runs_->Await(ctx_, run.id);  // a second reading of the source would end the one that goes on
    if (At("g2").live_us == 0) {
      WriteTree(1);
      Run("ingest", JsonObject{{"url", "folder:" + (folder_ / "tree").string()}});
      if (At("g2").id.empty()) generations_.Create(ctx_, *store_, "b", nullptr);
      Run("build-generation", JsonObject{{"generation", "g2"}});
      generations_.Switch(ctx_, *store_, "g2");
    }
    WriteTree(2);
    Run("ingest", JsonObject{{"url", "folder:" + (folder_ / "tree").string()}});
    if (generations_.live().generation == "g2") {
      Run("build-generation", JsonObject{{"generation", "g1"}});
      generations_.Rollback(ctx_, *store_);
    }
  }
  void ExpectEnd() {
    CheckWhole();
    EXPECT_EQ(generations_.live().generation, "g1");
    EXPECT_EQ(At("g2").state, GenerationState::kRetired);
    const auto tree = TreeAt(2);
    const auto documents = store_->Read(ctx_, [](data::ReadTx& tx) { return tx.Find<Document>(); });
    ASSERT_EQ(documents.size(), tree.size());
    std::set<std::string> large;
    for (const auto& document : documents) {
      ASSERT_TRUE(tree.contains(document.uri)) << document.uri;
      EXPECT_EQ(originals_->Get(ctx_, document), tree.at(document.uri).first);
      EXPECT_EQ(document.label, tree.at(document.uri).second);
      if (tree.at(document.uri).first.size() > kMaxSmallOriginal) large.insert(document.content_hash);
    }
    originals_->Collect(ctx_);
    std::set<std::string> kept;
    objects_->List(ctx_, [&](const std::string& id, std::uint64_t) { kept.insert(id); });
    EXPECT_EQ(kept, large);
    store_->Read(ctx_, [](data::ReadTx& tx) {
      EXPECT_EQ(tx.Count<SyncSeen>(), 0);
      EXPECT_EQ(tx.Count<SourceProblem>(), 0);
    });
  }
  void WriteTree(int stage) {
    const auto tree = TreeAt(stage), before = TreeAt(stage - 1);
    fs::create_directories(folder_ / "tree/open");
    fs::create_directories(folder_ / "tree/staff");
    std::ofstream(folder_ / "tree/access.yaml") << "open: open\nstaff: staff\n";
    for (const auto& [path, entry] : before)
      if (!tree.contains(path)) fs::remove(folder_ / "tree" / path);
    for (const auto& [path, entry] : tree)
      if (const auto at = folder_ / "tree" / path; !fs::exists(at) || ReadFile(at) != entry.first) std::ofstream(at) << entry.first;
  }
  void Run(const std::string& kind, JsonObject input) {
    const auto run = runs_->Await(ctx_, runs_->Start(ctx_, {kind, std::move(input), ""}));
    if (run.state != workflows::RunState::kFinished) throw Error(Code::kInternal, kind + ": " + run.error);
  }

 private:
  Generation At(std::string_view id) {
    return store_->Read(ctx_, [&](data::ReadTx& tx) { return tx.Get<Generation>(std::string(id)).value_or(Generation{}); });
  }
  const Context ctx_ = Context::System("test");
  const fs::path folder_;
  KillAtCommit kill_;
  Generations generations_{Generations::Parts{[](const std::string& name) -> std::shared_ptr<models::Embedder> { return std::make_shared<Letters>(name == "b" ? 64 : 32); }, "a", ChunkOptions{.max_tokens = 40},
                                              [](data::WriteTx&, const Context&, std::string_view, std::string_view) {}}};
  std::unique_ptr<data::Store> store_;
  std::unique_ptr<data::ObjectStore> objects_;
  std::unique_ptr<Originals> originals_;
  std::unique_ptr<workflows::Runs> runs_;
};

/// What a child that works until its `kill_at`-th commit ends with.
int StatusOfChild(const fs::path& folder, int kill_at) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      Program(folder, kill_at).Work();
    } catch (const Error& e) {
      std::fprintf(stderr, "commit %d: %s\n", kill_at, e.message().c_str());
      ::_exit(3);
    }
    ::_exit(0);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

TEST(Kill, AfterAnyCommitOfIngestBuildSwitchAndRollbackNothingIsHalfAndTheRestFollows) {
  int kills = 0;
  for (int at = 1;; ++at) {
    SCOPED_TRACE("killed after commit " + std::to_string(at));
    ASSERT_LT(at, 500);
    const TemporaryFolder folder;
    const auto status = StatusOfChild(folder.path(), at);
    if (WIFEXITED(status)) {
      ASSERT_EQ(WEXITSTATUS(status), 0);
      Program(folder.path()).ExpectEnd();
      break;
    }
    ASSERT_EQ(WTERMSIG(status), SIGKILL);
    ++kills;
    Program after(folder.path());
    after.CheckWhole();
    after.Work();
    after.ExpectEnd();
    if (HasFatalFailure() || HasNonfatalFailure()) return;
  }
  EXPECT_GT(kills, 15);
}

}  // namespace
}  // namespace tenfold::retrieval
