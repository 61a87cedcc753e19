#include "data/sources/mongodb.h"

#include <gtest/gtest.h>
#include <mongoc/mongoc.h>

#include "base/testing.h"
#include "data/sources/database_servers.h"

namespace tenfold::data {
namespace {

using namespace std::chrono_literals;

/// The driver as it is, for what the test puts into the server.
class Admin {
 public:
  explicit Admin(std::uint16_t port) {
    mongoc_init();
    client_ = mongoc_client_new(("mongodb://127.0.0.1:" + std::to_string(port) + "/").c_str());
    static int count = 0;
    name_ = "docs_" + std::to_string(++count);
    Run({{"create", name_}});
  }
  ~Admin() { mongoc_client_destroy(client_); }
  Admin(const Admin&) = delete;
  Admin& operator=(const Admin&) = delete;
  void Run(const JsonObject& command) {
    const auto text = ToText(command);
    bson_error_t error;
    bson_t reply;
    auto* const bson = bson_new_from_json(reinterpret_cast<const std::uint8_t*>(text.data()), static_cast<ssize_t>(text.size()), &error);
    const bool good = bson && mongoc_client_command_simple(client_, "shop", bson, nullptr, &reply, &error);
    if (bson) bson_destroy(bson);
    if (good) bson_destroy(&reply);
    else throw Error(Code::kInternal, error.message);
  }
  void Insert(JsonArray documents) { Run({{"insert", name_}, {"documents", std::move(documents)}}); }
  const std::string& name() const { return name_; }

 private:
  mongoc_client_t* client_;
  std::string name_;
};

class MongodbFixture : public ProxiedFixture {
 public:
  explicit MongodbFixture(std::uint16_t port) : ProxiedFixture(port), admin_(port) {}
  std::string Put(const std::string& name, const std::string& text) override {
    admin_.Run({{"update", admin_.name()}, {"updates", JsonArray{JsonObject{{"q", {{"_id", name}}}, {"u", {{"$set", {{"body", text}}}}}, {"upsert", true}}}}});
    return name;
  }
  void Remove(const std::string& name) override {
    admin_.Run({{"delete", admin_.name()}, {"deletes", JsonArray{JsonObject{{"q", {{"_id", name}}}, {"limit", 1}}}}});
  }
  bool ChangeAccess(const std::string& name) override {
    admin_.Run({{"update", admin_.name()}, {"updates", JsonArray{JsonObject{{"q", {{"_id", name}}}, {"u", {{"$set", {{"labels", JsonArray{"staff"}}}}}}}}}});
    return true;
  }
  std::vector<std::unique_ptr<Source>> OpenOtherSpellings() override {
    std::vector<std::unique_ptr<Source>> out;
    out.push_back(OpenMongodbSource("//" + address() + "/shop." + admin_.name() + "?page=500&access=labels&id=_id&text=body&tls=false", {}));
    return out;
  }

 protected:
  std::unique_ptr<Source> OpenDirectly() override {
    return OpenMongodbSource("//" + address() + "/shop." + admin_.name() + "?text=body&access=labels&page=3", {});
  }

 private:
  Admin admin_;
};

class MongodbTest : public testing::Test {
 protected:
  void SetUp() override {
    port_ = StartMongodb();
    if (port_ == 0) GTEST_SKIP() << "mongo-java-server cannot be had here";
    admin_ = std::make_unique<Admin>(port_);
  }
  std::unique_ptr<Source> Open(const std::string& query) {
    return OpenMongodbSource("//127.0.0.1:" + std::to_string(port_) + "/shop." + admin_->name() + query, {});
  }
  const Context ctx_ = Context::System("test").WithTimeout(30s);
  std::uint16_t port_ = 0;
  std::unique_ptr<Admin> admin_;
};

TEST(MongodbUrl, IsReadAndCheckedWithoutAServer) {
  for (const auto* bad : {"host/a.b", "//host", "//host/", "//host/db", "//host/db.", "//host/.c", "//u:p@host/a.b", "//host/a.b?nonsense=1",
                          "//host/a.b?text=x&text=y", "///a.b", "//ho st/a.b", "//host:99999999/a.b"})
    EXPECT_EQ(CodeOf([&] { OpenMongodbSource(bad, {}); }), Code::kInvalidArgument) << bad;
  EXPECT_EQ(OpenMongodbSource("//ana@a,b:27018/shop.items.old?replicaSet=rs0&text=body", {})->url(),
            "mongodb://ana@a:27017,b:27018/shop.items.old?replicaSet=rs0&text=body");
}

TEST_F(MongodbTest, PagesOverIdsOfEveryKindWithoutLosingOne) {
  const auto oid = [](const char* hex) { return JsonObject{{"$oid", hex}}; };
  admin_->Insert({JsonObject{{"_id", 3}, {"body", "int"}}, JsonObject{{"_id", 3.5}, {"body", "double"}}, JsonObject{{"_id", "b"}, {"body", "text"}},
                  JsonObject{{"_id", "{\"x"}, {"body", "odd text"}}, JsonObject{{"_id", "65f000000000000000000001"}, {"body", "text like an id"}},
                  JsonObject{{"_id", oid("65f000000000000000000001")}, {"body", "object id"}},
                  JsonObject{{"_id", oid("65f000000000000000000002")}, {"body", "object id 2"}},
                  JsonObject{{"_id", JsonObject{{"$date", "2026-11-25T10:00:00Z"}}}, {"body", "date"}}});
  for (const auto* page : {"1", "2", "3", "100"}) {
    const auto source = Open("?text=body&page=" + std::string(page));
    const auto items = ListAll(ctx_, *source);
    std::set<std::string> bodies, paths;
    for (const auto& item : items) {
      EXPECT_EQ(item.problem, "");
      bodies.insert(source->Read(ctx_, item).bytes);
      paths.insert(item.path);
    }
    EXPECT_EQ(items.size(), 8u) << page;
    EXPECT_EQ(bodies, (std::set<std::string>{"int", "double", "text", "odd text", "text like an id", "object id", "object id 2", "date"})) << page;
    EXPECT_TRUE(paths.contains("65f000000000000000000001") && paths.contains("\"65f000000000000000000001\"") && paths.contains("b"));
  }
}

TEST_F(MongodbTest, ReadsFieldsOfSubDocumentsAndWholeDocuments) {
  admin_->Insert({JsonObject{{"_id", "a"},
                             {"text", JsonObject{{"body", "Tea"}}},
                             {"author", JsonObject{{"name", "Ana"}}},
                             {"price", 4.5},
                             {"tags", JsonArray{"x", "y"}},
                             {"changed", JsonObject{{"$date", "2026-11-25T10:00:00Z"}}},
                             {"labels", "staff"}},
                  JsonObject{{"_id", "b"}, {"labels", 7}}});
  const auto source = Open("?text=text.body&title=author.name&updated=changed&access=labels&metadata=price,tags,author.name");
  const auto items = ListAll(ctx_, *source);
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].title + "|" + items[0].access + "|" + items[0].fingerprint, "Ana|staff|2026-11-25T10:00:00Z");
  EXPECT_EQ(ToText(items[0].metadata), R"({"price":4.5E0,"tags":["x","y"],"author.name":"Ana"})");
  EXPECT_EQ(source->Read(ctx_, items[0]).bytes, "Tea");
  EXPECT_NE(items[1].problem, "");
  const auto whole = Open("?access=labels");
  const auto read = whole->Read(ctx_, ListAll(ctx_, *whole).at(0));
  EXPECT_NE(read.bytes.find("**price:** 4.5"), std::string::npos) << read.bytes;
  EXPECT_NE(read.bytes.find("\"name\": \"Ana\""), std::string::npos) << read.bytes;
  EXPECT_EQ(read.bytes.find("staff"), std::string::npos);
}

TEST_F(MongodbTest, NeverListsLessThanThereIs) {
  admin_->Insert({JsonObject{{"_id", 1}, {"key", "a"}}, JsonObject{{"_id", 2}, {"key", "b"}}, JsonObject{{"_id", 3}, {"key", "c"}}});
  EXPECT_EQ(ListAll(ctx_, *Open("?id=key&page=1")).size(), 3u);
  admin_->Insert({JsonObject{{"_id", 4}, {"key", "b"}}});
  EXPECT_EQ(CodeOf([&] { ListAll(ctx_, *Open("?id=key&page=2")); }), Code::kInvalidArgument);
  admin_->Insert({JsonObject{{"_id", 5}}});
  EXPECT_EQ(CodeOf([&] { ListAll(ctx_, *Open("?id=key")); }), Code::kInvalidArgument);
  const auto source = Open("?page=2");
  const auto first = source->List(ctx_, "", "");
  ASSERT_FALSE(first.next.empty());
  admin_->Run({{"drop", admin_->name()}});
  EXPECT_EQ(CodeOf([&] { source->List(ctx_, "", first.next); }), Code::kNotFound);
  EXPECT_EQ(CodeOf([&] { ListAll(ctx_, *source); }), Code::kNotFound);
  EXPECT_EQ(CodeOf([&] { source->List(ctx_, "", "nonsense"); }), Code::kInvalidArgument);
}

TEST(Mongodb, AServerThatIsNotThereIsUnavailable) {
  const auto ctx = Context::System("test").WithTimeout(5s);
  EXPECT_EQ(CodeOf([&] { ListAll(ctx, *OpenMongodbSource("//127.0.0.1:1/a.b", {})); }), Code::kUnavailable);
}

}  // namespace

std::unique_ptr<SourceFixture> MakeMongodbFixture() {
  const auto port = StartMongodb();
  return port ? std::make_unique<MongodbFixture>(port) : nullptr;
}

}  // namespace tenfold::data
