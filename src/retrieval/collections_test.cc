#include "retrieval/collections.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <set>
#include <thread>

#include "base/files.h"
#include "base/testing.h"
#include "retrieval/search_index_contract.h"

namespace tenfold::retrieval {
namespace {

namespace fs = std::filesystem;
using Kind = IndexChange::Kind;

Context As(std::string user, Role role, std::vector<std::string> labels = {}) {
  Principal principal;
  principal.user = std::move(user);
  principal.role = role;
  principal.labels = std::move(labels);
  Context::Parts parts;
  parts.principal = std::make_shared<const Principal>(std::move(principal));
  return Context(std::move(parts));
}

/// A store in a folder of its own, which can be opened again: each time from the snapshot of what it held.
struct Place {
  Place() : folder(fs::temp_directory_path() / ("tenfold-collections-" + RandomName())) {
    fs::create_directories(folder);
    Reopen();
  }
  ~Place() {
    store.reset();
    collections.reset();
    fs::remove_all(folder);
  }
  void Reopen() {
    store.reset();
    if (snapshots) snapshots->Finish();
    is_restored = fs::exists(snapshot());
    collections.reset();
    snapshots = std::make_unique<SnapshotKeeper>(folder / "index", SnapshotKeeper::Options{std::chrono::hours(24), std::chrono::hours(24)});
    store = data::OpenSqliteStore((folder / "store").string(), Collections::Tables());
    collections = std::make_unique<Collections>(*store, snapshots.get());
    store->Follow(*collections);
    EXPECT_EQ(fs::exists(snapshot()), is_restored) << "one that cannot be used is removed";
  }
  fs::path snapshot() const { return folder / "index" / "collections.index"; }
  static std::string RandomName() {
    static int count = 0;
    return std::to_string(::getpid()) + "-" + std::to_string(++count);
  }
  fs::path folder;
  bool is_restored = false;
  std::unique_ptr<SnapshotKeeper> snapshots;
  std::unique_ptr<Collections> collections;
  std::unique_ptr<data::Store> store;
};

class EmbeddedFixture : public IndexFixture {
 public:
  std::shared_ptr<SearchIndex> Open(std::size_t dim, Metric metric) override {
    place_.Reopen();
    const auto name = "c" + std::to_string(dim) + "-" + std::to_string(static_cast<int>(metric));
    const auto ctx = Context::System("test");
    if (!place_.collections->Find(ctx, name)) place_.collections->Create(ctx, {.name = name, .dim = static_cast<std::int64_t>(dim), .metric = metric});
    return place_.collections->Open(ctx, name);
  }

 private:
  Place place_;
};

class CollectionsTest : public testing::Test {
 protected:
  static IndexChange Put(std::string id, std::vector<float> vector, std::string access = std::string(kCollectionReaders)) { return {Kind::kPut, {.id = std::move(id), .access = std::move(access), .vector = std::move(vector)}}; }
  std::vector<std::string> Found(const Context& ctx, const std::string& name, std::string_view space = "") {
    std::vector<std::string> out;
    for (const auto& hit : place_.collections->Open(ctx, name)->Search(ctx, space, {.vector = {1, 0}, .k = 100}).hits) out.push_back(hit.id);
    return out;
  }
  Place place_;
  const Context ana_ = As("ana@example.com", Role::kAgent), bob_ = As("bob@example.com", Role::kAgent), customer_ = As("eve@example.com", Role::kCustomer, {"public"}), admin_ = As("root@example.com", Role::kAdmin);
};

TEST_F(CollectionsTest, TakesItsDimensionsOnceWhereItHadNone) {
  place_.collections->Create(ana_, {.name = "later"});
  const IndexChange words{Kind::kPut, {.id = "w", .access = std::string(kCollectionReaders), .text = "a tent"}};
  place_.collections->Open(ana_, "later")->Write(ana_, "", {&words, 1});
  EXPECT_EQ(place_.collections->Configure(ana_, "later", [](Collection& row) { row.dim = 2; }).dim, 2);
  const auto put = Put("v", {1, 0});
  place_.collections->Open(ana_, "later")->Write(ana_, "", {&put, 1});
  EXPECT_EQ(Found(ana_, "later"), std::vector<std::string>{"v"});
  EXPECT_EQ(place_.collections->Open(ana_, "later")->Search(ana_, "", {.text = "tent"}).hits.at(0).id, "w");
  EXPECT_EQ(place_.collections->Configure(ana_, "later", [](Collection& row) { row.dim = 3; }).dim, 2);
  place_.Reopen();
  EXPECT_EQ(Found(ana_, "later"), std::vector<std::string>{"v"});
}

TEST_F(CollectionsTest, BelongToWhoMadeThemAndThoseTheyLetIn) {
  auto& collections = *place_.collections;
  EXPECT_EQ(CodeOf([&] { collections.Create(customer_, {.name = "mine", .dim = 2}); }), Code::kPermissionDenied);
  EXPECT_EQ(collections.Create(ana_, {.name = "mine", .dim = 2}).owner, "ana@example.com");
  EXPECT_EQ(CodeOf([&] { collections.Create(bob_, {.name = "mine", .dim = 2}); }), Code::kAlreadyExists);
  const std::vector<IndexChange> records{Put("open", {1, 0}), Put("secret", {1, 0}, "user:ana@example.com")};
  collections.Open(ana_, "mine")->Write(ana_, "", records);
  // To the others it does not exist.
  for (const auto* other : {&bob_, &customer_}) {
    EXPECT_FALSE(collections.Find(*other, "mine"));
    EXPECT_TRUE(collections.List(*other).empty());
    EXPECT_EQ(CodeOf([&] { collections.Open(*other, "mine"); }), Code::kNotFound);
    EXPECT_EQ(CodeOf([&] { collections.Delete(*other, "mine"); }), Code::kNotFound);
    EXPECT_EQ(CodeOf([&] { collections.Configure(*other, "mine", [](Collection& c) { c.readers = "public"; }); }), Code::kNotFound);
  }
  EXPECT_EQ(Found(ana_, "mine"), (std::vector<std::string>{"open", "secret"}));
  EXPECT_EQ(Found(admin_, "mine"), std::vector<std::string>{"open"});
  // An index that was opened for somebody else shows no more.
  EXPECT_TRUE(collections.Open(ana_, "mine")->Search(bob_, "", {.vector = {1, 0}, .k = 10}).hits.empty());
  collections.Configure(ana_, "mine", [](Collection& c) { c.readers = "public"; });
  EXPECT_EQ(Found(customer_, "mine"), std::vector<std::string>{"open"});
  EXPECT_EQ(collections.Open(customer_, "mine")->Namespaces(customer_).at(0).records, 1);
  EXPECT_EQ(CodeOf([&] { collections.Open(customer_, "mine")->Write(customer_, "", records); }), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf([&] { collections.Delete(customer_, "mine"); }), Code::kPermissionDenied);
  collections.Configure(ana_, "mine", [](Collection& c) { c.readers = "group:hr"; });
  EXPECT_EQ(CodeOf([&] { collections.Open(customer_, "mine"); }), Code::kNotFound);
}

TEST_F(CollectionsTest, AreDeletedWithAllTheyHoldAndCanBeMadeAnew) {
  auto& collections = *place_.collections;
  collections.Create(ana_, {.name = "one", .dim = 2, .deletion_protected = true});
  collections.Create(ana_, {.name = "one-more", .dim = 2});
  const auto old = collections.Open(ana_, "one");
  const std::vector<IndexChange> records{Put("a", {1, 0}), Put("b", {0, 1})};
  old->Write(ana_, "x", records);
  collections.Open(ana_, "one-more")->Write(ana_, "x", records);
  EXPECT_EQ(CodeOf([&] { collections.Delete(ana_, "one"); }), Code::kFailedPrecondition);
  collections.Configure(ana_, "one", [](Collection& c) { c.deletion_protected = false; });
  collections.Delete(ana_, "one");
  EXPECT_EQ(CodeOf([&] { old->Search(ana_, "x", {.vector = {1, 0}}); }), Code::kNotFound);
  EXPECT_EQ(CodeOf([&] { old->Write(ana_, "x", records); }), Code::kNotFound);
  EXPECT_EQ(place_.store->Read(ana_, [](data::ReadTx& tx) { return tx.Count<CollectionRecord>(); }), 2);
  collections.Create(bob_, {.name = "one", .dim = 3});
  EXPECT_EQ(CodeOf([&] { old->Search(ana_, "x", {.vector = {1, 0}}); }), Code::kNotFound);
  EXPECT_TRUE(collections.Open(bob_, "one")->Namespaces(bob_).empty());
  EXPECT_EQ(Found(ana_, "one-more", "x").size(), 2u);
}

TEST_F(CollectionsTest, TakeVectorsAsLongAsTheIndexDoes) {
  auto& collections = *place_.collections;
  EXPECT_EQ(CodeOf([&] { collections.Create(ana_, {.name = "longer", .dim = 4'097}); }), Code::kInvalidArgument);
  collections.Create(ana_, {.name = "later", .dim = 0});
  EXPECT_EQ(CodeOf([&] { collections.Configure(ana_, "later", [](Collection& c) { c.dim = 4'097; }); }), Code::kInvalidArgument);
  collections.Create(ana_, {.name = "long", .dim = 4'096});
  const std::vector<IndexChange> records{Put("a", std::vector<float>(4'096, 1.0f))};
  collections.Open(ana_, "long")->Write(ana_, "x", records);
  EXPECT_EQ(collections.Open(ana_, "long")->Search(ana_, "x", {.vector = std::vector<float>(4'096, 1.0f)}).hits.size(), 1u);
}

TEST_F(CollectionsTest, HoldThousandsOfSmallTenantsApart) {
  auto& collections = *place_.collections;
  collections.Create(ana_, {.name = "tenants", .dim = 2});
  const auto index = collections.Open(ana_, "tenants");
  constexpr int kTenants = 2'000;
  for (int i = 0; i < kTenants; ++i) {
    const std::vector<IndexChange> records{Put("doc-" + std::to_string(i), {1, static_cast<float>(i)})};
    index->Write(ana_, "tenant-" + std::to_string(i), records);
  }
  EXPECT_EQ(index->Namespaces(ana_).size(), static_cast<std::size_t>(kTenants));
  place_.Reopen();
  for (int i = 0; i < kTenants; i += 97) EXPECT_EQ(Found(ana_, "tenants", "tenant-" + std::to_string(i)), std::vector<std::string>{"doc-" + std::to_string(i)});
  place_.collections->Open(ana_, "tenants")->DeleteNamespace(ana_, "tenant-97");
  EXPECT_TRUE(Found(ana_, "tenants", "tenant-97").empty());
  EXPECT_EQ(Found(ana_, "tenants", "tenant-96").size(), 1u);
}

TEST_F(CollectionsTest, AreListedWhileOthersCreateAndWrite) {
  auto& collections = *place_.collections;
  collections.Create(ana_, {.name = "busy", .dim = 2});
  // Writes and creations of many threads come to the index as one batch.
  std::vector<std::thread> threads;
  std::atomic<bool> done = false;
  std::atomic<std::size_t> listed = 0;
  threads.emplace_back([&] {
    while (!done) listed += collections.List(ana_).size();
  });
  std::vector<std::thread> writers;
  for (int t = 0; t < 4; ++t)
    writers.emplace_back([&, t] {
      const auto index = collections.Open(ana_, "busy");
      for (int i = 0; i < 50; ++i) {
        const std::vector<IndexChange> record{Put(std::to_string(t) + "-" + std::to_string(i), {1, 0})};
        if (t % 2) index->Write(ana_, "", record);
        else collections.Create(ana_, {.name = "c" + std::to_string(t) + "-" + std::to_string(i), .dim = 2});
      }
    });
  for (auto& writer : writers) writer.join();
  done = true;
  threads.front().join();
  EXPECT_GT(listed, 0u);
  EXPECT_EQ(collections.List(ana_).size(), 101u);
  EXPECT_EQ(Found(ana_, "busy").size(), 100u);
}

TEST_F(CollectionsTest, RefuseWhatTheyCannotHold) {
  auto& collections = *place_.collections;
  for (const auto* name : {"", "-a", "A", "a b", "a\nb"}) EXPECT_EQ(CodeOf([&] { collections.Create(ana_, {.name = name, .dim = 2}); }), Code::kInvalidArgument) << name;
  EXPECT_EQ(CodeOf([&] { collections.Create(ana_, {.name = "a", .dim = 20'001}); }), Code::kInvalidArgument);
  collections.Create(ana_, {.name = "a", .dim = 2});
  const auto index = collections.Open(ana_, "a");
  const std::vector<IndexChange> record{Put("x", {1, 0})}, foreign{Put("x", {1, 0}, "a\nb")};
  EXPECT_EQ(CodeOf([&] { index->Write(ana_, "a\nb", record); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { index->Write(ana_, std::string(513, 'x'), record); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { index->Write(ana_, "", foreign); }), Code::kInvalidArgument);
  index->Write(ana_, "", record);
  IndexChange merge{Kind::kMerge, {.id = "x", .metadata = {{"a", std::string(30 << 10, 'x')}}}};
  index->Write(ana_, "", {&merge, 1});
  merge.record.metadata = {{"b", std::string(30 << 10, 'x')}};
  EXPECT_EQ(CodeOf([&] { index->Write(ana_, "", {&merge, 1}); }), Code::kInvalidArgument);
}

}  // namespace

std::unique_ptr<IndexFixture> MakeEmbeddedFixture(std::string&) { return std::make_unique<EmbeddedFixture>(); }

TEST(Collections, AreOpenedFromOneSnapshotOfAll) {
  Place place;
  const auto admin = As("root", Role::kAdmin);
  for (const auto metric : {Metric::kCosine, Metric::kDot, Metric::kEuclidean})
    place.collections->Create(admin, {.name = "c" + std::to_string(static_cast<int>(metric)), .dim = 16, .metric = metric, .readers = "public"});
  const auto record = [](int i) {
    IndexRecord out{.id = "record-" + std::to_string(i), .group = "group" + std::to_string(i % 7), .access = i % 3 ? std::string(kCollectionReaders) : "user:ana", .text = "word" + std::to_string(i % 13) + " all", .metadata = {{"n", i}}};
    for (int d = 0; d < 16; ++d) out.vector.push_back(static_cast<float>((i * 31 + d * d * 7) % 23) - 11.5f);
    return IndexChange{Kind::kPut, std::move(out)};
  };
  for (int i = 0; i < 240; ++i) {
    const auto change = record(i);
    place.collections->Open(admin, "c" + std::to_string(i % 3))->Write(admin, "tenant" + std::to_string(i % 40), {&change, 1});
  }
  const auto told = [&](Collections& collections) {
    std::string out;
    for (const auto& one : collections.List(admin)) {
      const auto index = collections.Open(admin, one.name);
      out += ToText(ToJson(one)) + "\n";
      for (const auto& space : index->Namespaces(admin))
        for (const auto& reader : {admin, As("ana", Role::kAgent, {"public"}), As("bob", Role::kAgent, {"public"})})
          for (const auto& query : {IndexQuery{.text = "word3 all", .k = 20}, IndexQuery{.vector = record(5).record.vector, .k = 20}, IndexQuery{.k = 5, .filter = ParseFilter(JsonObject{{"n", JsonObject{{"$lt", 100}}}})}}) {
            if (!query.vector.empty() && one.dim == 0) continue;
            for (const auto& hit : index->Search(reader, space.name, query).hits) out += space.name + " " + hit.id + " " + hit.group + " " + std::to_string(hit.score) + "\n";
          }
    }
    return out;
  };
  const auto loaded = [&] {
    Collections fresh(*place.store);
    place.store->Read(admin, [&](data::ReadTx& tx) { fresh.Load(tx); });
    return told(fresh);
  };
  const auto holds = [&](std::string_view text) { return ReadFile(place.snapshot()).find(text) != std::string::npos; };
  const auto before = told(*place.collections);
  place.Reopen();
  EXPECT_TRUE(place.is_restored);
  EXPECT_EQ(told(*place.collections), before);
  // Additions leave it, and are caught up with; so are collections that are made and changed.
  const auto more = record(1000);
  place.collections->Open(admin, "c1")->Write(admin, "tenant1", {&more, 1});
  place.collections->Create(admin, {.name = "late", .dim = 0});
  place.collections->Configure(admin, "c2", [](Collection& one) { one.readers = "user:ana"; });
  EXPECT_TRUE(fs::exists(place.snapshot()));
  place.Reopen();
  EXPECT_TRUE(place.is_restored);
  EXPECT_EQ(told(*place.collections), loaded());
  // What is taken away is in no file.
  EXPECT_TRUE(holds("record-31"));
  const IndexChange gone{Kind::kDelete, {.id = "record-31"}};
  place.collections->Open(admin, "c1")->Write(admin, "tenant31", {&gone, 1});
  EXPECT_FALSE(fs::exists(place.snapshot()));
  place.Reopen();
  EXPECT_FALSE(holds("record-31"));
  place.collections->Delete(admin, "c0");
  EXPECT_FALSE(fs::exists(place.snapshot()));
  EXPECT_EQ(told(*place.collections), loaded());
}

TEST(Collections, TheVectorsOfOneThatIsDeletedAreInNoFile) {
  Place place;
  const auto admin = As("root", Role::kAdmin);
  for (const char* name : {"large", "other"}) {
    place.collections->Create(admin, {.name = name, .dim = 512});
    std::vector<IndexChange> changes;
    for (int i = 0; i < 2200; ++i) {  // more than 4 MB
      changes.push_back({Kind::kPut, {.id = std::to_string(i), .access = std::string(kCollectionReaders), .vector = std::vector<float>(512, 1.0f)}});
      changes.back().record.vector[static_cast<std::size_t>(i) % 512] = -3;
    }
    for (std::size_t at = 0; at < changes.size(); at += 200) place.collections->Open(admin, name)->Write(admin, "", std::span(changes).subspan(at, 200));
  }
  const auto files = [&] {
    std::set<std::string> out;
    for (const auto& entry : fs::directory_iterator(place.folder / "index")) out.insert(entry.path().filename().string());
    return out;
  };
  place.Reopen();
  EXPECT_EQ(files(), (std::set<std::string>{"collections.0.vectors", "collections.1.vectors", "collections.index"}));
  place.collections->Delete(admin, "large");
  EXPECT_EQ(files(), std::set<std::string>{"collections.1.vectors"});
  place.Reopen();
  EXPECT_EQ(files(), (std::set<std::string>{"collections.1.vectors", "collections.index"}));
  std::vector<float> query(512, 1.0f);
  query[77] = -3;
  EXPECT_EQ(place.collections->Open(admin, "other")->Search(admin, "", {.vector = query, .k = 1}).hits.at(0).id, "1101") << "of equal ones the first by id";
}

}  // namespace tenfold::retrieval
