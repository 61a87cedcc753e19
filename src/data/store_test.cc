#include "data/store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <deque>
#include <future>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "base/files.h"

namespace tenfold::data {
namespace {

enum class Shade : std::uint8_t { kLight, kDark };
BOOST_DESCRIBE_ENUM(Shade, kLight, kDark)

struct Shelf {
  std::string id;
  std::string room;
};
TENFOLD_DESCRIBE(Shelf, (id), (room))
TENFOLD_TABLE(Shelf, "shelves", id)

struct Book {
  std::string id;
  std::string shelf;
  std::int64_t pages = 0;
  double price = 0;
  Shade shade = Shade::kLight;
  std::vector<float> embedding;
  std::vector<std::string> tags;
  std::optional<std::string> note;
};
TENFOLD_DESCRIBE(Book, (id), (shelf), (pages), (price), (shade), (embedding), (tags), (note))
TENFOLD_TABLE(Book, "books", id, {"shelf"}, {{"shelves", "shelf"}})

/// The same rows, fewer columns, in another order.
struct PricedBook {
  std::string id;
  double price = 0;
  std::vector<std::string> tags;
};
TENFOLD_DESCRIBE(PricedBook, (tags), (id), (price))
TENFOLD_TABLE(PricedBook, "books", id)

std::vector<Table> Tables() { return {TableOf<Shelf>(), TableOf<Book>()}; }

/// A new back end adds a line to the instantiation below, no test code.
class StoreContract : public testing::TestWithParam<std::string> {
 protected:
  StoreContract() { Open(); }
  void Open() {
    store_.reset();
    store_ = OpenSqliteStore((folder_.path() / "store.db").string(), Tables());
  }
  TemporaryFolder folder_;
  std::unique_ptr<Store> store_;
  Context ctx_ = Context::System("test");
};

TEST_P(StoreContract, ReadsBackEveryKindOfField) {
  const Book book{"b1", "s1", 320, 9.5, Shade::kDark, {1.5f, -2}, {"a", "ü"}, std::nullopt};
  const auto commit = store_->Write(ctx_, [&](WriteTx& tx) { tx.Put(book); });
  EXPECT_EQ(commit, 1u);
  Open();
  store_->Read(ctx_, [&](ReadTx& tx) {
    const auto again = tx.Get<Book>("b1");
    ASSERT_TRUE(again);
    EXPECT_EQ(ToJson(*again), ToJson(book));
    EXPECT_EQ(again->embedding, book.embedding);
    EXPECT_EQ(tx.commit(), commit);
    EXPECT_FALSE(tx.Get<Book>("b2"));
  });
}

TEST_P(StoreContract, VisitsRowsInOrderAndReadsOthersMeanwhile) {
  store_->Write(ctx_, [](WriteTx& tx) {
    for (int i = 0; i < 300; ++i) tx.Put(Shelf{"s" + std::to_string(1299 - i), "room " + std::to_string(i)});
  });
  store_->Read(ctx_, [&](ReadTx& tx) {
    std::vector<std::string> seen;
    tx.ForEach<Shelf>({}, [&](const Shelf& shelf) {
      seen.push_back(shelf.id);
      EXPECT_EQ(tx.Get<Shelf>(shelf.id)->room, shelf.room);
    });
    EXPECT_EQ(seen.size(), 300u);
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
    Query last;
    last.descending = true;
    last.limit = 2;
    const auto two = tx.Find<Shelf>(last);
    ASSERT_EQ(two.size(), 2u);
    EXPECT_EQ(two[0].id, "s1299");
  });
}

TEST_P(StoreContract, RollsBackAllOfAWorkThatThrowsAndNothingElse) {
  EXPECT_THROW(store_->Write(ctx_,
                             [&](WriteTx& tx) {
                               tx.Put(Shelf{"s1", "hall"});
                               throw Error(Code::kAborted, "no");
                             }),
               Error);
  EXPECT_EQ(store_->commit(), 0u);
  store_->Write(ctx_, [&](WriteTx& tx) { tx.Add(Shelf{"s1", "attic"}); });
  try {
    store_->Write(ctx_, [&](WriteTx& tx) { tx.Add(Shelf{"s1", "cellar"}); });
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kAlreadyExists);
  }
  EXPECT_EQ(store_->Read(ctx_, [](ReadTx& tx) { return tx.Get<Shelf>("s1")->room; }), "attic");
}

TEST_P(StoreContract, DeletesChildrenWithTheirParentInOneCommit) {
  store_->Write(ctx_, [&](WriteTx& tx) {
    tx.Put(Shelf{"s1", "hall"});
    for (int i = 0; i < 3; ++i) tx.Put(Book{"b" + std::to_string(i), "s1", i, 0, Shade::kLight, {}, {}, "n"});
  });
  const auto commit = store_->Write(ctx_, [&](WriteTx& tx) { EXPECT_TRUE(tx.Delete<Shelf>("s1")); });
  EXPECT_EQ(store_->Read(ctx_, [](ReadTx& tx) { return tx.Count<Book>(); }), 0);
  const auto changes = store_->ChangesSince(ctx_, commit - 1, 100);
  EXPECT_EQ(changes.size(), 4u);
  for (const auto& change : changes) EXPECT_EQ(change.kind, ChangeKind::kDelete);
}

class Counter : public Follower {
 public:
  std::string name() const override { return "counter"; }
  void Load(ReadTx& tx) override { count = tx.Count<Book>(); }
  void Apply(std::span<const Change> changes, ReadTx& tx) override {
    for (const auto& change : changes) {
      EXPECT_GT(change.commit, reached);
      reached = change.commit - (changes.size() > 1 ? 1 : 0);
    }
    count = tx.Count<Book>();
    reached = tx.commit();
  }
  std::int64_t count = -1;
  Commit reached = 0;
};

TEST_P(StoreContract, FollowersHaveSeenAWriteBeforeItIsAcknowledged) {
  store_->Write(ctx_, [&](WriteTx& tx) { tx.Put(Book{"b0", "", 0, 0, Shade::kLight, {}, {}, {}}); });
  Counter counter;
  store_->Follow(counter);
  EXPECT_EQ(counter.count, 1);
  const auto commit = store_->Write(ctx_, [&](WriteTx& tx) { tx.Put(Book{"b1", "", 0, 0, Shade::kLight, {}, {}, {}}); });
  EXPECT_EQ(counter.count, 2);
  EXPECT_EQ(counter.reached, commit);
  store_.reset();
}

/// Compares what a transaction answers by key with what it finds when it reads the table through.
class Mirror : public Follower {
 public:
  std::string name() const override { return "mirror"; }
  void Load(ReadTx&) override {}
  void Apply(std::span<const Change> changes, ReadTx& tx) override {
    std::map<std::string, Json> books;
    tx.ForEach<Book>({}, [&](const Book& book) { books[book.id] = ToJson(book); });
    for (const auto& change : changes) {
      if (change.table != "books") continue;
      ++seen;
      const auto book = tx.Get<Book>(change.key);
      EXPECT_EQ(book.has_value(), books.contains(change.key)) << change.key;
      if (book && books.contains(change.key)) EXPECT_EQ(ToJson(*book), books[change.key]);
      const auto priced = tx.Get<PricedBook>(change.key);
      EXPECT_EQ(priced.has_value(), book.has_value());
      if (book && priced) {
        EXPECT_EQ(priced->price, book->price);
        EXPECT_EQ(priced->tags, book->tags);
      }
    }
  }
  int seen = 0;
};

TEST_P(StoreContract, FollowersReadTheRowsOfTheCommitWhateverWasWrittenOver) {
  Mirror mirror;
  store_->Follow(mirror);
  store_->Write(ctx_, [&](WriteTx& tx) {
    tx.Put(Shelf{"s1", "hall"});
    tx.Put(Book{"b1", "s1", 1, 1.5, Shade::kDark, {1, -2}, {"a"}, "first"});
    tx.Put(Book{"b2", "s1", 2, std::nan(""), Shade::kLight, {}, {}, ""});
    tx.Put(Book{"b1", "s1", 3, 2.5, Shade::kLight, {3}, {"b", "c"}, std::nullopt});
    tx.Put(Book{"b3", "s2", 4, 0, Shade::kLight, {}, {}, {}});
    tx.Delete<Book>("b2");
    tx.Put(Book{"b4", "s2", 4, 0, Shade::kLight, {}, {}, {}});
  });
  EXPECT_EQ(mirror.seen, 6);
  store_->Write(ctx_, [&](WriteTx& tx) {
    tx.Put(Book{"b3", "s1", 5, 1, Shade::kDark, {}, {}, {}});
    tx.Delete<Shelf>("s1");  // with b1 and b3
    tx.Put(Book{"b1", "s1", 6, 0, Shade::kLight, {}, {}, "again"});
  });
  EXPECT_EQ(mirror.seen, 10);
  // One job of a batch that throws leaves nothing behind.
  EXPECT_THROW(store_->Write(ctx_, [&](WriteTx& tx) { tx.Put(Book{"b4", "s2", 7, 0, Shade::kLight, {}, {}, {}}), throw Error(Code::kAborted, "no"); }), Error);
  store_->Write(ctx_, [&](WriteTx& tx) { tx.Put(PricedBook{"b1", 9.5, {"fewer", "columns"}}); });
  EXPECT_EQ(store_->Read(ctx_, [](ReadTx& tx) { return tx.Get<Book>("b1")->note; }), std::nullopt);
  store_.reset();
}

TEST_P(StoreContract, FollowersReadWhatWasTooMuchToRememberFromTheStore) {
  Mirror mirror;
  store_->Follow(mirror);
  store_->Write(ctx_, [&](WriteTx& tx) {
    tx.Put(Book{"b1", "s1", 1, 1, Shade::kDark, {}, {}, "old"});
    for (int i = 2; i < 9; ++i) tx.Put(Book{"b" + std::to_string(i), "s1", i, 0, Shade::kLight, {}, {}, std::string(12 << 20, 'x')});
    tx.Put(Book{"b1", "s1", 2, 2, Shade::kLight, {}, {}, "new"});
    tx.Delete<Book>("b7");
  });
  EXPECT_EQ(mirror.seen, 10);
  store_.reset();
}

/// Counts books by changes alone, from what an earlier one kept.
class Restorer : public Follower {
 public:
  struct Kept {
    std::set<std::string> books;
    Commit commit = 0;
    std::uint64_t epoch = 0;
  };
  Restorer() = default;
  explicit Restorer(Kept held) : kept(std::move(held)) {}
  std::string name() const override { return "restorer"; }
  std::optional<Commit> Restore(History& history, ReadTx&) override {
    const bool holds = history.Holds(kept.commit, kept.epoch);
    kept.epoch = history.epoch();
    if (!holds) return std::nullopt;
    restored = true;
    return kept.commit;
  }
  void Load(ReadTx& tx) override {
    kept.books.clear();
    for (const auto& book : tx.Find<Book>()) kept.books.insert(book.id);
    kept.commit = tx.commit();
  }
  void Apply(std::span<const Change> changes, ReadTx& tx) override {
    for (const auto& change : changes) {
      ++applied;
      if (tx.Get<Book>(change.key)) kept.books.insert(change.key);
      else kept.books.erase(change.key);
    }
    kept.commit = tx.commit();
  }
  Kept kept;
  bool restored = false;
  int applied = 0;
};

TEST_P(StoreContract, AFollowerGoesOnFromWhatItKept) {
  const auto put = [&](const std::string& id) { store_->Write(ctx_, [&](WriteTx& tx) { tx.Put(Book{id, "", 0, 0, Shade::kLight, {}, {}, {}}); }); };
  put("a");
  put("b");
  Restorer first;
  store_->Follow(first);
  EXPECT_FALSE(first.restored);
  const auto kept = first.kept;
  put("c");
  store_->Write(ctx_, [&](WriteTx& tx) { tx.Delete<Book>("a"); });
  store_.reset();
  const auto store = OpenSqliteStore((folder_.path() / "store.db").string(), Tables());
  Restorer second(kept);
  store->Follow(second);
  EXPECT_TRUE(second.restored);
  EXPECT_EQ(second.applied, 2);
  EXPECT_EQ(second.kept.books, (std::set<std::string>{"b", "c"}));
  EXPECT_EQ(second.kept.commit, store->commit());
  store->Write(ctx_, [&](WriteTx& tx) { tx.Put(Book{"d", "", 0, 0, Shade::kLight, {}, {}, {}}); });
  EXPECT_EQ(second.kept.books.count("d"), 1u);
  auto future = kept;
  future.commit = store->commit() + 1;
  Restorer third(future);
  store->Follow(third);
  EXPECT_FALSE(third.restored);
  EXPECT_EQ(third.kept.books.size(), 3u);
}

TEST_P(StoreContract, ACopyThatWentAnotherWayHasAnotherHistory) {
  const auto put = [&](Store& store, const std::string& id) { store.Write(ctx_, [&](WriteTx& tx) { tx.Put(Book{id, "", 0, 0, Shade::kLight, {}, {}, {}}); }); };
  put(*store_, "a");
  Restorer follower;
  store_->Follow(follower);
  const auto common = follower.kept;
  const auto copy_path = (folder_.path() / "copy.db").string();
  store_->Backup(ctx_, copy_path);
  put(*store_, "b");
  const auto apart = follower.kept;
  store_.reset();
  const auto copy = OpenSqliteStore(copy_path, Tables());
  for (const auto* id : {"x", "y", "z"}) put(*copy, id);
  // What both were once is held by both.
  Restorer shared(common);
  copy->Follow(shared);
  EXPECT_TRUE(shared.restored);
  EXPECT_EQ(shared.kept.books, (std::set<std::string>{"a", "x", "y", "z"}));
  // The commit of the one after they parted has a number that the other has too, and is not its own.
  ASSERT_LT(apart.commit, copy->commit());
  Restorer other(apart);
  copy->Follow(other);
  EXPECT_FALSE(other.restored);
  EXPECT_EQ(other.kept.books, (std::set<std::string>{"a", "x", "y", "z"}));
}

TEST_P(StoreContract, ManyWritersEachGetTheirOwnCommitNumber) {
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::set<Commit> commits;
  for (int t = 0; t < 16; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const auto commit = store_->Write(ctx_, [&](WriteTx& tx) { tx.Add(Book{std::to_string(t) + "/" + std::to_string(i), "", 0, 0, Shade::kLight, {}, {}, {}}); });
        const std::lock_guard lock(mutex);
        EXPECT_TRUE(commits.insert(commit).second);
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(commits.size(), 320u);
  EXPECT_EQ(*commits.rbegin(), 320u);
  EXPECT_EQ(store_->Read(ctx_, [](ReadTx& tx) { return tx.Count<Book>(); }), 320);
}

TEST_P(StoreContract, BacksUpALiveStoreAtOneCommit) {
  store_->Write(ctx_, [&](WriteTx& tx) { tx.Put(Shelf{"s1", "hall"}); });
  const auto copy_path = (folder_.path() / "copy.db").string();
  const auto at = store_->Backup(ctx_, copy_path);
  EXPECT_EQ(at, store_->commit());
  const auto copy = OpenSqliteStore(copy_path, Tables());
  EXPECT_EQ(copy->commit(), at);
  EXPECT_EQ(copy->Read(ctx_, [](ReadTx& tx) { return tx.Count<Shelf>(); }), 1);
  copy->CheckIntegrity(ctx_);
}

TEST_P(StoreContract, LosesNothingAcknowledgedToKillNine) {
  store_.reset();
  for (int round = 0; round < 10; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      const auto store = OpenSqliteStore((folder_.path() / "store.db").string(), Tables());
      for (;;) {
        const std::uint64_t commit = store->Write(ctx_, [&](WriteTx& tx) {
          const auto next = tx.Count<Book>();
          tx.Add(Book{std::to_string(next), "", 0, 0, Shade::kLight, {}, {}, {}});
        });
        if (write(pipe_ends[1], &commit, sizeof commit) < 0) _exit(1);
      }
    }
    close(pipe_ends[1]);
    std::uint64_t acknowledged = 0;
    for (int i = 0; i < 5 + round * 3; ++i) ASSERT_EQ(read(pipe_ends[0], &acknowledged, sizeof acknowledged), static_cast<ssize_t>(sizeof acknowledged));
    kill(child, SIGKILL);
    while (read(pipe_ends[0], &acknowledged, sizeof acknowledged) > 0) {
    }
    waitpid(child, nullptr, 0);
    close(pipe_ends[0]);
    const auto store = OpenSqliteStore((folder_.path() / "store.db").string(), Tables());
    EXPECT_GE(store->commit(), acknowledged);
    EXPECT_EQ(store->Read(ctx_, [](ReadTx& tx) { return tx.Count<Book>(); }), static_cast<std::int64_t>(store->commit()));
    store->CheckIntegrity(ctx_);
  }
}

/// Shelves of one write, enough of them that they are followed beside the writer.
constexpr int kMany = 100;
void PutShelves(WriteTx& tx, int write) {
  for (int i = 0; i < kMany; ++i) tx.Put(Shelf{std::to_string(write) + "/" + std::to_string(i), "room " + std::to_string(write)});
}

/// Takes in the first commit only when the second is durable.
class Late : public Follower {
 public:
  std::string name() const override { return "late"; }
  void Load(ReadTx&) override {}
  void Apply(std::span<const Change> changes, ReadTx& tx) override {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    if (tx.commit() == 1) begun.set_value();
    while (tx.commit() == 1 && store->commit() < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    overtaken = overtaken || store->commit() > tx.commit();
    EXPECT_EQ(changes.size(), static_cast<std::size_t>(kMany));
    EXPECT_EQ(tx.Count<Shelf>(), static_cast<std::int64_t>(tx.commit()) * kMany);
    EXPECT_FALSE(tx.Get<Shelf>(std::to_string(tx.commit() + 1) + "/0"));
    EXPECT_EQ(tx.Get<Shelf>(std::to_string(tx.commit()) + "/7")->room, "room " + std::to_string(tx.commit()));
    followed.push_back(tx.commit());
  }
  Store* store = nullptr;
  std::promise<void> begun;
  bool overtaken = false;
  std::vector<Commit> followed;
};

TEST_P(StoreContract, ACommitIsFollowedAsItWasThoughTheNextIsDurableAndEachIsAcknowledgedAfterIt) {
  Late late;
  late.store = store_.get();
  store_->Follow(late);
  auto first = store_->BeginWrite(ctx_, [](WriteTx& tx) { PutShelves(tx, 1); });
  late.begun.get_future().wait();  // or the two would be one commit
  auto second = store_->BeginWrite(ctx_, [](WriteTx& tx) { PutShelves(tx, 2); });
  auto fails = store_->BeginWrite(ctx_, [](WriteTx&) { throw Error(Code::kAborted, "no"); });
  EXPECT_THROW(fails->Wait(), Error);
  EXPECT_EQ(late.followed, (std::vector<Commit>{1, 2}));  // what failed after them is told after them
  EXPECT_EQ(first->Wait(), 1u);
  EXPECT_EQ(second->Wait(), 2u);
  EXPECT_TRUE(late.overtaken);
  for (auto* write : {&first, &second, &fails}) write->reset();
  store_.reset();
}

/// Follows by changes alone, and compares with the whole of what it may read.
class Copy : public Follower {
 public:
  std::string name() const override { return "copy"; }
  void Load(ReadTx& tx) override { shelves = Whole(tx); }
  void Apply(std::span<const Change> changes, ReadTx& tx) override {
    for (const auto& change : changes) {
      const auto row = tx.Get<Shelf>(change.key);
      if (row) shelves[change.key] = row->room;
      else shelves.erase(change.key);
    }
    EXPECT_GT(tx.commit(), commit);
    commit = tx.commit();
    EXPECT_EQ(shelves, Whole(tx));
  }
  static std::map<std::string, std::string> Whole(ReadTx& tx) {
    std::map<std::string, std::string> out;
    tx.ForEach<Shelf>({}, [&](const Shelf& shelf) { out[shelf.id] = shelf.room; });
    return out;
  }
  std::map<std::string, std::string> shelves;
  Commit commit = 0;
};

TEST_P(StoreContract, FollowersAreEqualToTheStoreAtEveryCommitOfManyWriters) {
  Copy copy, late_comer;
  store_->Follow(copy);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < 40; ++i) {
        const auto rows = random() % 3 ? random() % 4 : random() % 80;
        const auto commit = store_->Write(ctx_, [&](WriteTx& tx) {
          for (unsigned row = 0; row < rows; ++row) {
            const auto key = std::to_string(random() % 200);
            if (random() % 3) tx.Put(Shelf{key, std::to_string(t) + "." + std::to_string(i)});
            else tx.Delete<Shelf>(key);
          }
        });
        EXPECT_GE(store_->commit(), commit);
        if (t == 0 && i == 20) store_->Follow(late_comer);
      }
    });
  for (auto& thread : threads) thread.join();
  const auto whole = store_->Read(ctx_, [](ReadTx& tx) { return Copy::Whole(tx); });
  EXPECT_EQ(copy.shelves, whole);
  EXPECT_EQ(late_comer.shelves, whole);
  store_.reset();
}

TEST_P(StoreContract, ClosingFollowsWhatIsDurable) {
  for (int round = 0; round < 20; ++round) {
    Copy copy;
    store_->Follow(copy);
    const auto before = store_->commit();
    std::vector<std::unique_ptr<PendingWrite>> writes;
    for (int i = 0; i < 3; ++i) writes.push_back(store_->BeginWrite(ctx_, [&, i](WriteTx& tx) { PutShelves(tx, round * 3 + i); }));
    writes.clear();
    store_.reset();
    EXPECT_GT(copy.commit, before);
    EXPECT_EQ(copy.shelves.size(), static_cast<std::size_t>((round + 1) * 3 * kMany));
    Open();
  }
}

TEST_P(StoreContract, AFollowerThatThrowsEndsTheProgramAndTheCommitStands) {
  class Broken : public Follower {
   public:
    std::string name() const override { return "broken"; }
    void Load(ReadTx&) override {}
    void Apply(std::span<const Change>, ReadTx&) override { throw Error(Code::kInternal, "lost its place"); }
  };
  store_.reset();
  for (const int rows : {1, kMany}) {
    const pid_t child = fork();
    if (child == 0) {
      Broken broken;
      const auto store = OpenSqliteStore((folder_.path() / "store.db").string(), Tables());
      store->Follow(broken);
      store->Write(ctx_, [&](WriteTx& tx) {
        for (int i = 0; i < rows; ++i) tx.Put(Shelf{std::to_string(rows) + "/" + std::to_string(i), ""});
      });
      _exit(0);  // acknowledged: it must not come to this
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    const auto store = OpenSqliteStore((folder_.path() / "store.db").string(), Tables());
    EXPECT_TRUE(store->Read(ctx_, [&](ReadTx& tx) { return tx.Get<Shelf>(std::to_string(rows) + "/0").has_value(); }));
  }
}

TEST_P(StoreContract, LosesNothingAcknowledgedToKillNineWhileACommitIsFollowed) {
  store_.reset();
  for (int round = 0; round < 8; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      Copy copy;
      const auto store = OpenSqliteStore((folder_.path() / "store.db").string(), Tables());
      store->Follow(copy);
      std::deque<std::unique_ptr<PendingWrite>> writes;
      for (int write = static_cast<int>(store->commit()) + 1;; ++write) {
        writes.push_back(store->BeginWrite(ctx_, [write](WriteTx& tx) { PutShelves(tx, write); }));
        if (writes.size() < 3) continue;
        const std::uint64_t acknowledged = writes.front()->Wait();
        writes.pop_front();
        if (copy.commit < acknowledged || ::write(pipe_ends[1], &acknowledged, sizeof acknowledged) < 0) _exit(1);
      }
    }
    close(pipe_ends[1]);
    std::uint64_t acknowledged = 0;
    for (int i = 0; i < 3 + round; ++i) ASSERT_EQ(read(pipe_ends[0], &acknowledged, sizeof acknowledged), static_cast<ssize_t>(sizeof acknowledged));
    kill(child, SIGKILL);
    while (read(pipe_ends[0], &acknowledged, sizeof acknowledged) > 0) {
    }
    waitpid(child, nullptr, 0);
    close(pipe_ends[0]);
    const auto store = OpenSqliteStore((folder_.path() / "store.db").string(), Tables());
    EXPECT_GE(store->commit(), acknowledged);
    EXPECT_EQ(store->Read(ctx_, [](ReadTx& tx) { return tx.Count<Shelf>(); }), static_cast<std::int64_t>(store->commit()) * kMany);
    store->CheckIntegrity(ctx_);
  }
}

TEST(SqliteStore, TheLogOfWritesThatFollowOneAnotherCloselyBeginsAnew) {
  const TemporaryFolder folder;
  const auto path = (folder.path() / "store.db").string();
  const auto ctx = Context::System("test");
  const auto store = OpenSqliteStore(path, Tables());
  Copy copy;
  store->Follow(copy);
  std::deque<std::unique_ptr<PendingWrite>> writes;
  for (int write = 0; write < 40; ++write) {  // 160 MB
    writes.push_back(store->BeginWrite(ctx, [write](WriteTx& tx) {
      for (int i = 0; i < 40; ++i) tx.Put(Shelf{std::to_string(i), std::to_string(write) + std::string(100'000, 'x')});
    }));
    if (writes.size() == 3) writes.pop_front();
  }
  writes.clear();
  EXPECT_LT(std::filesystem::file_size(path + "-wal"), 90u << 20);
}

TEST(SqliteStore, RefusesAFileThatIsNotAStore) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "store.db";
  WriteFileAtomically(path, std::string(8192, 'x'));
  try {
    OpenSqliteStore(path.string(), Tables());
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kDataLoss);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, StoreContract, testing::Values("sqlite:{tmp}"));

}  // namespace
}  // namespace tenfold::data
