// Ingestion against a source whose every fault is at the test's command, on the real store with the real parser.
#include "retrieval/ingest.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "base/crypto.h"
#include "base/files.h"
#include "base/testing.h"
#include "retrieval/chunk_index.h"

namespace tenfold::retrieval {
namespace {

/// What a place holds, and what is wrong with it. Outlives the sources that read it.
struct Place {
  struct Entry {
    std::string text, access;
    int edit = 0;
    bool broken = false;  // cannot be parsed
  };
  std::map<std::string, Entry> items;
  std::vector<std::pair<std::string, bool>> changes;  // path, removed; a cursor is a position in it
  bool has_cursor = false, cursor_too_old = false;
  std::size_t page_size = 3;
  int lists_until_gone = -1, reads_until_gone = -1;  // -1: never
  int lists = 0, reads = 0, whole_lists = 0;
  std::function<void()> on_read;

  void Put(const std::string& path, std::string text, std::string access = "public") {
    items[path] = {std::move(text), std::move(access), static_cast<int>(changes.size()) + 1, false};
    changes.emplace_back(path, false);
  }
  void Remove(const std::string& path) {
    items.erase(path);
    changes.emplace_back(path, true);
  }
};

class PlaceSource : public data::Source {
 public:
  explicit PlaceSource(Place& place) : place_(place) {}
  const std::string& url() const override { return url_; }
  data::SourcePage List(const Context&, const std::string& cursor, const std::string& page) override {
    if (place_.lists_until_gone >= 0 && place_.lists_until_gone-- == 0) throw Error(Code::kUnavailable, "the place is gone");
    ++place_.lists;
    if (cursor.empty() && page.empty()) ++place_.whole_lists;
    if (!cursor.empty() && place_.cursor_too_old) throw Error(Code::kFailedPrecondition, "the cursor is too old");
    std::vector<data::SourceItem> all;
    if (cursor.empty()) {
      for (const auto& [path, entry] : place_.items) all.push_back(ItemOf(path, entry));
    } else {
      std::set<std::string> named;
      for (std::size_t i = std::stoul(cursor); i < place_.changes.size(); ++i) named.insert(place_.changes[i].first);
      for (const auto& path : named) {
        const auto found = place_.items.find(path);
        all.push_back(found == place_.items.end() ? GoneItem(path) : ItemOf(path, found->second));
      }
    }
    data::SourcePage out;
    // A page begins after the last path of the one before, so that what comes and goes meanwhile moves nothing, and knows when its listing began: what changed
    // since then belongs to the next one.
    const auto begun = page.empty() ? std::to_string(place_.changes.size()) : page.substr(0, page.find(' '));
    const auto after = page.empty() ? "" : page.substr(page.find(' ') + 1);
    for (const auto& item : all) {
      if (!after.empty() && item.path <= after) continue;
      if (out.items.size() == place_.page_size) {
        out.next = begun + " " + out.items.back().path;
        return out;
      }
      out.items.push_back(item);
    }
    if (place_.has_cursor) out.cursor = begun;
    return out;
  }
  data::SourceContent Read(const Context&, const data::SourceItem& item) override {
    if (place_.on_read) place_.on_read();
    if (place_.reads_until_gone == 0) throw Error(Code::kUnavailable, "the place is gone");
    if (place_.reads_until_gone > 0) --place_.reads_until_gone;
    ++place_.reads;
    const auto found = place_.items.find(item.path);
    if (found == place_.items.end()) throw Error(Code::kNotFound, "it is gone");
    return {found->second.text, found->second.broken ? "application/vnd.openxmlformats-officedocument.wordprocessingml.document" : "text/markdown"};
  }

 private:
  static data::SourceItem ItemOf(const std::string& path, const Place::Entry& entry) {
    data::SourceItem item;
    item.path = path;
    item.fingerprint = std::to_string(entry.edit);
    item.access = entry.access;
    item.metadata["edit"] = entry.edit;
    return item;
  }
  static data::SourceItem GoneItem(const std::string& path) {
    data::SourceItem item;
    item.path = path;
    item.removed = true;
    return item;
  }
  Place& place_;
  const std::string url_ = "place:test";
};

/// A store whose writes fail at the test's command.
class FailingStore : public data::Store {
 public:
  explicit FailingStore(data::Store& inner) : inner_(inner) {}
  std::atomic<int> writes_until_full = -1;
  data::Commit Write(const Context& ctx, const std::function<void(data::WriteTx&)>& work) override {
    return inner_.Write(ctx, [&](data::WriteTx& tx) {
      work(tx);
      Spend();
    });
  }
  std::unique_ptr<data::PendingWrite> BeginWrite(const Context& ctx, std::function<void(data::WriteTx&)> work) override {
    return inner_.BeginWrite(ctx, [this, work = std::move(work)](data::WriteTx& tx) {
      work(tx);
      Spend();
    });
  }
  data::Commit commit() const override { return inner_.commit(); }
  std::vector<data::Change> ChangesSince(const Context& ctx, data::Commit seen, std::size_t limit) override { return inner_.ChangesSince(ctx, seen, limit); }
  void Follow(data::Follower& follower) override { inner_.Follow(follower); }
  data::Commit Backup(const Context& ctx, const std::string& path) override { return inner_.Backup(ctx, path); }
  void CheckIntegrity(const Context& ctx) override { inner_.CheckIntegrity(ctx); }

 protected:
  void ReadWith(const Context& ctx, const std::function<void(data::ReadTx&)>& work) override { inner_.Read(ctx, work); }

 private:
  void Spend() {
    if (writes_until_full >= 0 && writes_until_full-- == 0) throw Error(Code::kResourceExhausted, "database or disk is full");
  }
  data::Store& inner_;
};

class IngestTest : public testing::Test {
 protected:
  IngestTest() { Open(); }
  ~IngestTest() override { runs_.reset(); }

  static std::vector<data::Table> Tables() {
    auto tables = IngestTables();
    for (auto& table : workflows::Runs::Tables()) tables.push_back(std::move(table));
    return tables;
  }
  /// As a process that starts: what was at work resumes.
  void Open() {
    runs_.reset();
    failing_.reset();
    store_.reset();
    store_ = data::OpenSqliteStore((folder_.path() / "store.db").string(), Tables());
    failing_ = std::make_unique<FailingStore>(*store_);
    objects_ = data::OpenFileObjectStore(folder_.path() / "objects");
    originals_ = std::make_unique<Originals>(*store_, *objects_);
    runs_ = std::make_unique<workflows::Runs>(*store_, SystemClock(), workflows::Runs::Options{.threads = 2});
    IngestOptions options;
    options.open_source = [this](std::string_view) { return std::make_unique<PlaceSource>(place_); };
    options.parse = [](const Context& ctx, std::string_view bytes, std::string_view media_type) { return data::ParseBytes(ctx, bytes, media_type); };
    options.originals = originals_.get();
    options.rest_after = rest_after_;
    runs_->Register("ingest", MakeIngest(*failing_, options));
    runs_->Resume();
  }
  workflows::Run Ingest(IngestRequest request = {}) { return IngestAs(ctx_, request); }
  workflows::Run IngestAs(const Context& ctx, IngestRequest request) {
    request.url = "place:test";
    return AwaitEnd(runs_->Start(ctx, {"ingest", ToJson(request), ""}));
  }
  workflows::Run AwaitEnd(const std::string& id) {
    for (;;) {
      auto run = runs_->Await(ctx_, id);
      if (run.state != workflows::RunState::kWaiting) return run;
    }
  }
  IngestReport Report(const workflows::Run& run) {
    EXPECT_EQ(run.state, workflows::RunState::kFinished) << run.error;
    return run.state == workflows::RunState::kFinished ? FromJson<IngestReport>(run.output) : IngestReport{};
  }
  std::vector<Document> Documents() {
    return store_->Read(ctx_, [](data::ReadTx& tx) { return tx.Find<Document>(); });
  }
  std::map<std::string, std::string> Labels() {
    std::map<std::string, std::string> out;
    for (const auto& one : Documents()) out[one.uri] = one.label;
    return out;
  }
  /// The store holds what the place holds, all of it and nothing else: documents, passages, originals.
  void ExpectEqualsPlace() {
    std::set<std::string> originals, kept;
    std::size_t readable = 0;
    for (const auto& [path, entry] : place_.items) readable += !entry.broken;
    const auto documents = Documents();
    ASSERT_EQ(documents.size(), readable);
    std::size_t chunks = 0;
    for (const auto& document : documents) {
      const auto& entry = place_.items.at(document.uri);
      EXPECT_EQ(document.label, entry.access);
      EXPECT_EQ(document.text, data::ParseMarkdown(entry.text).text);
      EXPECT_EQ(document.content_hash, Sha256Hex(entry.text));
      EXPECT_EQ(document.metadata.at("edit").as_int64(), entry.edit);
      EXPECT_EQ(originals_->Get(ctx_, document), entry.text);
      if (entry.text.size() > kMaxSmallOriginal) originals.insert(document.content_hash);
      const auto mine = store_->Read(ctx_, [&](data::ReadTx& tx) { return tx.Find<Chunk>(data::Where("document", document.id)); });
      EXPECT_EQ(mine.size(), ChunkText(document.text, {}, EstimateTokens).size());
      for (const auto& chunk : mine)
        EXPECT_EQ(chunk.text, document.text.substr(static_cast<std::size_t>(chunk.begin_byte), static_cast<std::size_t>(chunk.end_byte - chunk.begin_byte)));
      chunks += mine.size();
    }
    const auto originals_of_all =
        static_cast<std::size_t>(std::count_if(documents.begin(), documents.end(), [&](const auto& one) { return originals.contains(one.content_hash); }));
    store_->Read(ctx_, [&](data::ReadTx& tx) {
      EXPECT_EQ(static_cast<std::size_t>(tx.Count<Chunk>()), chunks);
      EXPECT_EQ(tx.Count<SyncSeen>(), 0);
      EXPECT_EQ(static_cast<std::size_t>(tx.Count<SmallOriginal>()), documents.size() - originals_of_all);
      EXPECT_EQ(static_cast<std::size_t>(tx.Count<SourceProblem>()), place_.items.size() - readable);
    });
    objects_->List(ctx_, [&](const std::string& id, std::uint64_t) { kept.insert(id); });
    EXPECT_TRUE(std::includes(kept.begin(), kept.end(), originals.begin(), originals.end()));
    originals_->Collect(ctx_);  // what a kill may leave
    kept.clear();
    objects_->List(ctx_, [&](const std::string& id, std::uint64_t) { kept.insert(id); });
    EXPECT_EQ(kept, originals);
  }

  const Context ctx_ = Context::System("test");
  TemporaryFolder folder_;
  Place place_;
  std::chrono::seconds rest_after_{240};
  std::unique_ptr<data::Store> store_;
  std::unique_ptr<FailingStore> failing_;
  std::unique_ptr<data::ObjectStore> objects_;
  std::unique_ptr<Originals> originals_;
  std::unique_ptr<workflows::Runs> runs_;
};

TEST_F(IngestTest, FollowsASourceThroughAddsEditsLabelsAndRemovals) {
  for (int i = 0; i < 10; ++i) place_.Put("d" + std::to_string(i) + ".md", "# Title " + std::to_string(i) + "\n\nText.");
  auto report = Report(Ingest());
  EXPECT_EQ(report.added, 10);
  ExpectEqualsPlace();
  for (const auto& one : Documents()) EXPECT_EQ(one.title, "Title " + one.uri.substr(1, 1));
  const auto reads = place_.reads;
  EXPECT_EQ(Report(Ingest()).unchanged, 10);
  EXPECT_EQ(place_.reads, reads);
  place_.Put("d1.md", "# New\n\nOther.");
  place_.items["d2.md"].access = "group:hr,user:ana@example.com";
  place_.Remove("d3.md");
  place_.Put("d4.md", place_.items["d4.md"].text);  // another fingerprint, the same bytes
  const auto before =
      store_->Read(ctx_, [&](data::ReadTx& tx) { return tx.Find<Chunk>(data::Where("document", DocumentIdOf(SourceIdOf("place:test"), "d4.md"))); });
  report = Report(Ingest());
  EXPECT_EQ(std::tie(report.added, report.changed, report.relabelled, report.removed, report.unchanged), std::make_tuple(0, 1, 1, 1, 8));
  ExpectEqualsPlace();
  const auto after =
      store_->Read(ctx_, [&](data::ReadTx& tx) { return tx.Find<Chunk>(data::Where("document", DocumentIdOf(SourceIdOf("place:test"), "d4.md"))); });
  EXPECT_EQ(after.at(0).id, before.at(0).id) << "the same bytes keep their passages";
  EXPECT_EQ(Report(Ingest()).unchanged, 9);
}

TEST_F(IngestTest, IsReadByNobodyButItsOwnerUnlessSomebodySays) {
  place_.Put("a.md", "Secret.", "");
  const Principal ana{"ana@example.com", "default", Role::kAdmin, "", {"*"}};
  Context::Parts parts;
  parts.principal = std::make_shared<const Principal>(ana);
  const Context as_ana(parts);
  Report(IngestAs(as_ana, {}));
  EXPECT_EQ(Labels().at("a.md"), "user:ana@example.com");
  Report(Ingest());  // another's run of it does not make it theirs
  EXPECT_EQ(Labels().at("a.md"), "user:ana@example.com");
  EXPECT_EQ(Report(Ingest({.label = "public"})).relabelled, 1);
  EXPECT_EQ(Labels().at("a.md"), "public");
  Report(Ingest());
  EXPECT_EQ(Labels().at("a.md"), "public") << "without a label it stays as it was";
}

TEST_F(IngestTest, ListsChangesFromACursorAndWholeWhenItMust) {
  place_.has_cursor = true;
  for (int i = 0; i < 8; ++i) place_.Put("d" + std::to_string(i) + ".md", "Text " + std::to_string(i));
  Report(Ingest());
  EXPECT_EQ(place_.whole_lists, 1);
  place_.Put("d1.md", "Changed");
  place_.Remove("d2.md");
  auto report = Report(Ingest());
  EXPECT_EQ(std::tie(report.added, report.changed, report.removed, report.unchanged), std::make_tuple(0, 1, 1, 0));
  EXPECT_EQ(place_.whole_lists, 1);
  ExpectEqualsPlace();
  place_.Remove("d4.md");
  place_.cursor_too_old = true;
  report = Report(Ingest());
  EXPECT_EQ(std::tie(report.removed, report.unchanged), std::make_tuple(1, 6));
  EXPECT_EQ(place_.whole_lists, 2);
  place_.cursor_too_old = false;
  Report(Ingest({.full = true}));
  EXPECT_EQ(place_.whole_lists, 3);
  // What no item says is read under another label from now on: all of them are looked at.
  place_.items["d1.md"].access = "";
  Report(Ingest({.label = "staff"}));
  EXPECT_EQ(place_.whole_lists, 4);
  EXPECT_EQ(Labels().at("d1.md"), "staff");
}

TEST_F(IngestTest, CutsAnewWhenItsChunkerIsAnother) {
  std::string text = "# Trail\n\n";
  for (int i = 0; i < 40; ++i) text += "Sentence number " + std::to_string(i) + " is here. ";
  place_.has_cursor = true;
  place_.Put("a.md", text);
  const auto chunks = [&] { return store_->Read(ctx_, [](data::ReadTx& tx) { return tx.Find<Chunk>(); }); };
  Report(Ingest());
  const auto before = chunks().size();
  ChunkOptions options;
  options.strategy = ChunkStrategy::kSentences;
  options.max_tokens = 40;
  IngestRequest request;
  request.chunks = options;
  EXPECT_EQ(Report(Ingest(request)).changed, 1);
  EXPECT_GT(chunks().size(), before);
  // It stays with the source.
  const auto after = chunks().size();
  EXPECT_EQ(Report(Ingest({.full = true})).unchanged, 1);
  EXPECT_EQ(chunks().size(), after);
}

TEST_F(IngestTest, TriesWhatItLeftOutAgain) {
  place_.has_cursor = true;
  place_.Put("good.md", "Fine.");
  place_.Put("bad.md", "Broken.");
  place_.items["bad.md"].broken = true;
  auto report = Report(Ingest());
  EXPECT_EQ(report.problem_count, 1);
  EXPECT_EQ(report.problems.at(0).path, "bad.md");
  EXPECT_EQ(Report(Ingest()).problem_count, 1);
  place_.items["bad.md"].broken = false;  // a newer parser, say: the source names no change
  report = Report(Ingest());
  EXPECT_EQ(std::tie(report.added, report.problem_count), std::make_tuple(1, 0));
  ExpectEqualsPlace();
  // What was readable and is not any more must not answer from its old form.
  place_.Put("good.md", "Now broken.");
  place_.items["good.md"].broken = true;
  EXPECT_EQ(Report(Ingest()).problem_count, 1);
  EXPECT_EQ(Labels().count("good.md"), 0u);
}

TEST_F(IngestTest, RemovesNothingWhenTheListingFails) {
  for (int i = 0; i < 10; ++i) place_.Put("d" + std::to_string(i) + ".md", "Text " + std::to_string(i));
  Report(Ingest());
  place_.Remove("d0.md");
  for (int at = 0; at < 3; ++at) {
    place_.lists_until_gone = at;
    EXPECT_EQ(Ingest().state, workflows::RunState::kFailed);
    EXPECT_EQ(Documents().size(), 10u);
    EXPECT_NE(store_->Read(ctx_, [](data::ReadTx& tx) { return tx.Find<Source>().at(0).error; }), "");
  }
  place_.lists_until_gone = -1;
  EXPECT_EQ(Report(Ingest()).removed, 1);
  EXPECT_EQ(store_->Read(ctx_, [](data::ReadTx& tx) { return tx.Find<Source>().at(0).error; }), "");
}

TEST_F(IngestTest, EndsWhenTheSourceVanishesBetweenReads) {
  for (int i = 0; i < 30; ++i) place_.Put("d" + std::to_string(i) + ".md", "Text " + std::to_string(i));
  Report(Ingest());
  for (int i = 0; i < 30; ++i) place_.Put("d" + std::to_string(i) + ".md", "Changed " + std::to_string(i));
  place_.reads_until_gone = 5;
  const auto run = Ingest();
  EXPECT_EQ(run.state, workflows::RunState::kFailed);
  EXPECT_EQ(run.error_code, CodeName(Code::kUnavailable));
  EXPECT_EQ(Documents().size(), 30u);
  place_.reads_until_gone = -1;
  Report(Ingest());
  ExpectEqualsPlace();
}

TEST_F(IngestTest, DryRunSaysWhatWouldBeAndWritesNothing) {
  place_.Put("a.md", "A");
  place_.Put("b.md", "B");
  auto report = Report(Ingest({.dry_run = true}));
  EXPECT_EQ(report.added, 2);
  EXPECT_TRUE(Documents().empty());
  EXPECT_EQ(store_->Read(ctx_, [](data::ReadTx& tx) { return tx.Count<Source>() + tx.Count<SyncState>(); }), 0);
  Report(Ingest());
  place_.Put("a.md", "AA");
  place_.Remove("b.md");
  place_.Put("c.md", "C");
  place_.items["a.md"].access = "staff";
  report = Report(Ingest({.dry_run = true}));
  std::set<std::string> plan;
  for (const auto& one : report.plan) plan.insert(one.change + " " + one.path);
  EXPECT_EQ(plan, (std::set<std::string>{"change a.md", "relabel a.md", "remove b.md", "add c.md"}));
  EXPECT_EQ(Labels(), (std::map<std::string, std::string>{{"a.md", "public"}, {"b.md", "public"}}));
}

TEST_F(IngestTest, NewLabelsAndRemovalsComeBeforeAnythingIsRead) {
  for (int i = 0; i < 10; ++i) place_.Put("d" + std::to_string(i) + ".md", "Text " + std::to_string(i));
  Report(Ingest());
  place_.Put("a.md", "New");  // first in the listing
  place_.Put("d3.md", "Changed", "staff");
  place_.Remove("d4.md");
  std::map<std::string, std::string> at_first_read;
  place_.on_read = [&] {
    if (at_first_read.empty()) at_first_read = Labels();
  };
  Report(Ingest());
  EXPECT_EQ(at_first_read.count("d4.md"), 0u);
  EXPECT_EQ(at_first_read.at("d3.md"), "staff");
}

TEST_F(IngestTest, RemovingASourceTakesAllOfIt) {
  for (int i = 0; i < 10; ++i) place_.Put("d" + std::to_string(i) + ".md", "Text " + std::to_string(i));
  place_.Put("bad.md", "x");
  place_.Put("large.md", std::string(100'000, 'y'));
  place_.items["bad.md"].broken = true;
  Report(Ingest());
  const auto commit = store_->commit();
  EXPECT_EQ(RemoveSource(ctx_, *store_, *originals_, SourceIdOf("place:test")), 11);
  EXPECT_EQ(store_->commit(), commit + 1);
  store_->Read(ctx_, [](data::ReadTx& tx) {
    EXPECT_EQ(tx.Count<Source>() + tx.Count<Document>() + tx.Count<Chunk>() + tx.Count<SyncState>() + tx.Count<SourceProblem>() + tx.Count<SmallOriginal>() +
                  tx.Count<LineageEdge>(),
              0);
  });
  std::size_t kept = 0;
  objects_->List(ctx_, [&](const std::string&, std::uint64_t) { ++kept; });
  EXPECT_EQ(kept, 0u);
  EXPECT_EQ(CodeOf([&] { RemoveSource(ctx_, *store_, *originals_, "x"); }), Code::kNotFound);
  // Removed in the middle of a run: the run ends, and nothing comes back.
  place_.on_read = [&, once = false]() mutable {
    if (!std::exchange(once, true)) RemoveSource(ctx_, *store_, *originals_, SourceIdOf("place:test"));
  };
  const auto run = Ingest();
  EXPECT_EQ(run.error_code, CodeName(Code::kAborted));
  EXPECT_TRUE(Documents().empty());
}

TEST_F(IngestTest, GoesOnFromItsLastCommitAfterAKill) {
  place_.page_size = 1000;
  for (int i = 0; i < 400; ++i) place_.Put("d" + std::to_string(1000 + i) + ".md", "Text " + std::to_string(i));
  std::string id;
  std::atomic<int> reads = 0;
  // A process that stops in mid-run leaves it unfinished; the next one resumes it.
  place_.on_read = [&] {
    if (++reads >= 200)
      while (reads < 10'000) std::this_thread::yield();
  };
  id = runs_->Start(ctx_, {"ingest", ToJson(IngestRequest{.url = "place:test"}), ""});
  while (reads < 200) std::this_thread::yield();
  std::thread stop([&] { runs_.reset(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  reads = 20'000;
  stop.join();
  const auto there = Documents().size();
  EXPECT_GT(there, 0u);
  EXPECT_LT(there, 400u);
  place_.on_read = nullptr;
  place_.reads = 0;
  Open();
  const auto report = Report(AwaitEnd(id));
  EXPECT_EQ(std::tie(report.added, report.unchanged, report.removed), std::make_tuple(400, 0, 0));
  EXPECT_EQ(place_.reads, 400 - static_cast<int>(there));
  ExpectEqualsPlace();
}

TEST_F(IngestTest, RestsAndGoesOnWhenItIsLong) {
  rest_after_ = std::chrono::seconds(0);
  Open();
  place_.page_size = 10;
  for (int i = 0; i < 100; ++i) place_.Put("d" + std::to_string(1000 + i) + ".md", "Text " + std::to_string(i));
  const auto run = Ingest();
  const auto report = Report(run);
  EXPECT_EQ(report.added, 100);
  EXPECT_GT(runs_->Steps(ctx_, run.id).size(), 2u);
  ExpectEqualsPlace();
}

// Random adds, edits, removals and labels in the source, with every fault: the listing fails, reads fail, files are broken, the disk is full, the process
// stops. After one good run the store equals the source; while the faults last, what no complete listing missed is there.
TEST_F(IngestTest, EqualsItsSourceAfterAnyFaults) {
  for (const bool has_cursor : {false, true}) {
    std::mt19937 random(has_cursor ? 7 : 8);
    place_ = {};
    place_.has_cursor = has_cursor;
    const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    for (int round = 0; round < 40; ++round) {
      place_.page_size = static_cast<std::size_t>(1 + pick(20));
      std::set<std::string> untouched;
      for (const auto& [path, entry] : place_.items)
        if (!entry.broken) untouched.insert(path);
      const auto there = Labels();
      for (int i = pick(30); i > 0; --i) {
        const auto path = "d" + std::to_string(pick(60)) + ".md";
        untouched.erase(path);
        switch (pick(5)) {
          case 0:
          case 1:
            place_.Put(path, "# " + path + "\n\nText " + std::to_string(random()) + ". And more of it." + std::string(pick(20) ? 0 : 70'000, 'x'),
                       pick(2) ? "public" : "staff");
            break;
          case 2:
            if (place_.items.contains(path)) place_.Remove(path);
            break;
          case 3:
            if (place_.items.contains(path)) place_.Put(path, place_.items[path].text, pick(2) ? "public" : "staff");
            break;
          case 4:
            if (place_.items.contains(path)) {
              place_.Put(path, "broken " + std::to_string(random()));
              place_.items[path].broken = true;
            }
            break;
        }
      }
      for (int faults = pick(4); faults > 0; --faults) {
        place_.cursor_too_old = pick(4) == 0;
        switch (pick(4)) {
          case 0:
            place_.lists_until_gone = pick(4);
            break;
          case 1:
            place_.reads_until_gone = pick(10);
            break;
          case 2:
            failing_->writes_until_full = pick(6);
            break;
          case 3: {  // the process stops
            const auto id = runs_->Start(ctx_, {"ingest", ToJson(IngestRequest{.url = "place:test", .full = pick(3) == 0}), ""});
            if (pick(2)) std::this_thread::yield();
            Open();
            AwaitEnd(id);
            break;
          }
        }
        Ingest({.full = pick(3) == 0});
        place_.lists_until_gone = place_.reads_until_gone = failing_->writes_until_full = -1;
        place_.cursor_too_old = false;
        const auto now = Labels();
        for (const auto& path : untouched)
          if (there.contains(path)) ASSERT_TRUE(now.contains(path)) << path << " was removed, round " << round;
      }
      Report(Ingest());
      ExpectEqualsPlace();
      if (HasFailure()) FAIL() << "round " << round;
    }
    RemoveSource(ctx_, *store_, *originals_, SourceIdOf("place:test"));
  }
}

}  // namespace
}  // namespace tenfold::retrieval
