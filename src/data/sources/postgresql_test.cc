#include "data/sources/postgresql.h"

#include <gtest/gtest.h>

#include "base/testing.h"
#include "data/postgresql_client.h"
#include "data/sources/database_servers.h"

namespace tenfold::data {
namespace {

using namespace std::chrono_literals;

SourceSetup SetupWith(std::string password) {
  SourceSetup setup;
  setup.secret = [password](std::string_view name) { return name == "PGPASSWORD" ? password : std::string(); };
  return setup;
}
std::string PlaceAt(std::uint16_t port) { return "//postgres@127.0.0.1:" + std::to_string(port) + "/postgres"; }
std::string NewTable() {
  static int count = 0;
  return "docs_" + std::to_string(++count);
}

class PostgresqlFixture : public ProxiedFixture {
 public:
  explicit PostgresqlFixture(const PostgresqlServer& server)
      : ProxiedFixture(server.port()), admin_(ParsePostgresqlUrl(PlaceAt(server.port()), {}), PostgresqlServer::password()) {
    admin_.Run(ctx_, "CREATE TABLE " + table_ + " (name text PRIMARY KEY, body text, labels text[])");
  }
  std::string Put(const std::string& name, const std::string& text) override {
    admin_.Run(ctx_, "INSERT INTO " + table_ + " VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET body = excluded.body", {{name, text}});
    return name;
  }
  void Remove(const std::string& name) override { admin_.Run(ctx_, "DELETE FROM " + table_ + " WHERE name = $1", {{name}}); }
  bool ChangeAccess(const std::string& name) override {
    return admin_.Run(ctx_, "UPDATE " + table_ + " SET labels = ARRAY['staff', 'user:ana@example.com'] WHERE name = $1", {{name}}).touched() == 1;
  }
  std::vector<std::unique_ptr<Source>> OpenOtherSpellings() override {
    std::vector<std::unique_ptr<Source>> out;
    out.push_back(OpenPostgresqlSource("//postgres@" + address() + "/postgres?text=body&access=labels&page=500&id=name&table=" + table_, SetupWith(secret())));
    return out;
  }
  std::string secret() const override { return PostgresqlServer::password(); }

 protected:
  std::unique_ptr<Source> OpenDirectly() override {
    return OpenPostgresqlSource("//postgres@" + address() + "/postgres?table=" + table_ + "&id=name&text=body&access=labels&page=3", SetupWith(secret()));
  }

 private:
  const Context ctx_ = Context::System("test");
  const std::string table_ = NewTable();
  PostgresqlClient admin_;
};

class PostgresqlTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!PostgresqlServer::Get()) GTEST_SKIP() << "PostgreSQL cannot be had here";
    place_ = PlaceAt(PostgresqlServer::Get()->port());
    client_.emplace(ParsePostgresqlUrl(place_, {}), PostgresqlServer::password());
  }
  std::unique_ptr<Source> Open(const std::string& query) { return OpenPostgresqlSource(place_ + "?" + query, SetupWith(PostgresqlServer::password())); }
  void Make(const std::string& columns) { client_->Run(ctx_, "CREATE TABLE " + table_ + " (" + columns + ")"); }

  const Context ctx_ = Context::System("test").WithTimeout(30s);
  const std::string table_ = NewTable();
  std::string place_;
  std::optional<PostgresqlClient> client_;
};

TEST(PostgresqlUrl, IsReadAndCheckedWithoutAServer) {
  const auto place = ParsePostgresqlUrl("//ana%40b@db.example.com:6000/shop?table=a%26b", {"table"});
  EXPECT_EQ(place.connection.at("user"), "ana@b");
  EXPECT_EQ(place.connection.at("sslmode"), "verify-full");
  EXPECT_EQ(place.own.at("table"), "a&b");
  EXPECT_EQ(ParsePostgresqlUrl("//127.0.0.1/shop", {}).connection.contains("sslmode"), false);
  EXPECT_EQ(ParsePostgresqlUrl("///shop?host=%2Frun%2Fpg", {}).connection.at("host"), "/run/pg");
  for (const auto* bad : {"shop", "//host", "//host/a/b", "//ana:secret@host/shop", "//host/shop?password=x", "//host/shop?table=a&table=b",
                          "//host/shop?service=x", "//host/shop?passfile=x", "//ho st/shop"})
    EXPECT_EQ(CodeOf([&] { ParsePostgresqlUrl(bad, {"table"}); }), Code::kInvalidArgument) << bad;
  for (const auto* bad : {"//h/d", "//h/d?table=a&query=b", "//h/d?table=a&page=0", "//h/d?table=a&page=x", "//h/d?table=a&id=", "//h/d?table=a&text=,",
                          "//h/d?table=a&media_type=html&text=b", "//h/d?table=a&media_type=text/html"})
    EXPECT_EQ(CodeOf([&] { OpenPostgresqlSource(bad, {}); }), Code::kInvalidArgument) << bad;
  EXPECT_EQ(QuoteSqlPath("a.b\"c"), "\"a\".\"b\"\"c\"");
  EXPECT_EQ(CodeOf([] { QuoteSqlName(""); }), Code::kInvalidArgument);
}

TEST_F(PostgresqlTest, ServerErrorsAreCodesAndTheConnectionGoesOn) {
  const auto code = [&](const std::string& sql) { return CodeOf([&] { client_->Run(ctx_, sql); }); };
  EXPECT_EQ(code("SELECT nonsense FROM"), Code::kInvalidArgument);
  EXPECT_EQ(code("SELECT * FROM no_such_table"), Code::kNotFound);
  EXPECT_EQ(code("SELECT 1/0"), Code::kInvalidArgument);
  EXPECT_EQ(code("COPY (SELECT 1) TO STDOUT"), Code::kInvalidArgument);
  Make("id int PRIMARY KEY CHECK (id > 0)");
  EXPECT_EQ(client_->Run(ctx_, "INSERT INTO " + table_ + " VALUES ($1)", {{"1"}}).touched(), 1);
  EXPECT_EQ(code("INSERT INTO " + table_ + " VALUES (1)"), Code::kAlreadyExists);
  EXPECT_EQ(code("INSERT INTO " + table_ + " VALUES (-1)"), Code::kFailedPrecondition);
  EXPECT_EQ(client_->Run(ctx_, "SELECT $1::text, $2::text", {{"a'b", std::nullopt}}).text(0, 0), "a'b");
  EXPECT_EQ(CodeOf([&] { client_->Run(ctx_, "SELECT $1::text", {{std::string("a\0b", 3)}}); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { client_->Run(ctx_, "SELECT repeat('x', 5000)", {}, 1000); }), Code::kResourceExhausted);
  {
    PostgresqlTransaction transaction(ctx_, *client_, PostgresqlTransaction::Mode::kReadOnly);
    EXPECT_EQ(code("DELETE FROM " + table_), Code::kFailedPrecondition);
  }
  int sum = 0;
  client_->Stream(ctx_, "SELECT generate_series(1, 1000)", {}, [&](const PostgresqlResult& row) { sum += std::stoi(row.text(0, 0)); });
  EXPECT_EQ(sum, 500'500);
  EXPECT_EQ(
      CodeOf([&] { client_->Stream(ctx_, "SELECT generate_series(1, 10000000)", {}, [](const PostgresqlResult&) { throw Error(Code::kAborted, "enough"); }); }),
      Code::kAborted);
  EXPECT_EQ(client_->Run(ctx_, "SELECT 1").text(0, 0), "1");
}

TEST_F(PostgresqlTest, WrongPasswordsAndPlacesAreToldApartWithoutSayingThePassword) {
  const auto attempt = [&](const std::string& place, const std::string& password) {
    try {
      PostgresqlClient(ParsePostgresqlUrl(place, {}), password).Run(ctx_, "SELECT 1");
      return Code::kInternal;
    } catch (const Error& e) {
      EXPECT_EQ(e.message().find("hush-hush"), std::string::npos) << e.message();
      return e.code();
    }
  };
  EXPECT_EQ(attempt(place_, "hush-hush"), Code::kUnauthenticated);
  EXPECT_EQ(attempt(place_, ""), Code::kUnauthenticated);
  EXPECT_EQ(attempt("//postgres@127.0.0.1:" + std::to_string(PostgresqlServer::Get()->port()) + "/nowhere", PostgresqlServer::password()), Code::kNotFound);
  EXPECT_EQ(attempt("//postgres@127.0.0.1:1/postgres", "hush-hush"), Code::kUnavailable);
  EXPECT_EQ(attempt(place_ + "?sslmode=require", "hush-hush"), Code::kUnavailable);
}

TEST_F(PostgresqlTest, ALongStatementEndsWithItsCallerAndThenOnTheServer) {
  EXPECT_EQ(CodeOf([&] { client_->Run(ctx_.WithTimeout(100ms), "SELECT pg_sleep(600), 'left alone'"); }), Code::kDeadlineExceeded);
  const auto running = [&] {
    return client_->Run(ctx_, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%left ' || 'alone%'").text(0, 0);
  };
  while (running() != "0") std::this_thread::sleep_for(20ms);  // ctx_ ends it if the server never does
  const auto late = ctx_.WithTimeout(200ms);
  EXPECT_EQ(CodeOf([&] {
              PostgresqlTransaction transaction(late, *client_, PostgresqlTransaction::Mode::kReadOnly);
              client_->Run(ctx_, "SELECT pg_sleep(600)");  // the server's own limit
            }),
            Code::kDeadlineExceeded);
}

TEST_F(PostgresqlTest, ReadsTypedMetadataAccessOfEveryKindAndNulls) {
  Make("id int PRIMARY KEY, body text, title text, link text, labels jsonb, price numeric, stock bool, tags text[], extra jsonb");
  client_->Run(ctx_, "INSERT INTO " + table_ + R"( VALUES
    (1, 'Tea body', 'Tea', 'https://shop/tea', '"staff, public"', 4.5, true, ARRAY['a','b'], '{"deep": [1]}'),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (3, 'c', 'c', NULL, '["group:hr", "user:ana@example.com"]', 1, false, '{}', 'null'),
    (4, 'd', 'd', NULL, '7', 1, false, '{}', '[]'),
    (5, 'e', 'e', NULL, '["*"]', 1, false, '{}', '[]'))");
  const auto source = Open("table=public." + table_ + "&text=title,body&title=title&link=link&access=labels&metadata=price,stock,tags,extra&page=2");
  const auto items = ListAll(ctx_, *source);
  ASSERT_EQ(items.size(), 5u);
  EXPECT_EQ(items[0].title + "|" + items[0].link + "|" + items[0].access, "Tea|https://shop/tea|staff,public");
  EXPECT_EQ(ToText(items[0].metadata), R"({"tags":["a","b"],"extra":"{\"deep\":[1]}","price":4.5E0,"stock":true})");
  EXPECT_EQ(source->Read(ctx_, items[0]).bytes, "Tea\n\nTea body");
  EXPECT_EQ(items[1].access + items[1].title + items[1].problem, "");
  EXPECT_TRUE(items[1].metadata.empty());
  EXPECT_EQ(source->Read(ctx_, items[1]).bytes, "");
  EXPECT_EQ(items[2].access, "group:hr,user:ana@example.com");
  EXPECT_NE(items[3].problem, "");
  EXPECT_NE(items[4].problem, "");
  EXPECT_TRUE(items[4].access.empty());
}

TEST_F(PostgresqlTest, AWholeRowIsMarkdownAndAQueryIsATable) {
  Make("id int, \"Wei\"\"rd\" text, body text, labels text");
  client_->Run(ctx_, "INSERT INTO " + table_ + " VALUES (7, 'short', 'two' || chr(10) || 'lines', 'staff')");
  const auto source = Open("query=SELECT%20*%20FROM%20" + table_ + "%20--%20all&access=labels&updated=body");
  const auto items = ListAll(ctx_, *source);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].fingerprint, "two\nlines");
  const auto read = source->Read(ctx_, items[0]);
  EXPECT_EQ(read.media_type, "text/markdown");
  EXPECT_NE(read.bytes.find("**Wei\"rd:** short\n\n"), std::string::npos) << read.bytes;
  EXPECT_NE(read.bytes.find("## body\n\ntwo\nlines\n\n"), std::string::npos) << read.bytes;
  EXPECT_EQ(read.bytes.find("staff"), std::string::npos) << read.bytes;
  const auto quoted = Open("table=" + table_ + "&text=Wei%22rd");
  EXPECT_EQ(quoted->Read(ctx_, ListAll(ctx_, *quoted).at(0)).bytes, "short");
}

TEST_F(PostgresqlTest, NeverListsLessThanThereIs) {
  Make("id int, body text, large text");
  client_->Run(ctx_, "INSERT INTO " + table_ + " SELECT n, 'b' FROM generate_series(1, 4) n");
  const auto list = [&](const std::string& more) { return CodeOf([&] { ListAll(ctx_, *Open("table=" + table_ + "&text=body&page=2" + more)); }); };
  EXPECT_EQ(ListAll(ctx_, *Open("table=" + table_ + "&text=body&page=2")).size(), 4u);
  client_->Run(ctx_, "INSERT INTO " + table_ + " VALUES (NULL, 'nameless')");
  EXPECT_EQ(list(""), Code::kInvalidArgument);
  client_->Run(ctx_, "UPDATE " + table_ + " SET id = 2 WHERE id IS NULL");  // the border of the first page
  EXPECT_EQ(list(""), Code::kInvalidArgument);
  EXPECT_EQ(list("&title=none"), Code::kInvalidArgument);
  client_->Run(ctx_, "DELETE FROM " + table_ + "; ");
  client_->Run(ctx_, "INSERT INTO " + table_ + " VALUES (1, repeat('x', 33554433))");
  const auto source = Open("table=" + table_ + "&text=body");
  const auto item = ListAll(ctx_, *source).at(0);
  EXPECT_EQ(CodeOf([&] { source->Read(ctx_, item); }), Code::kResourceExhausted);
  client_->Run(ctx_, "DROP TABLE " + table_);
  EXPECT_EQ(CodeOf([&] { ListAll(ctx_, *source); }), Code::kNotFound);
  EXPECT_EQ(CodeOf([&] { source->List(ctx_, "", "nonsense"); }), Code::kInvalidArgument);
}

TEST_F(PostgresqlTest, ChangesNothing) {
  client_->Run(ctx_, "CREATE SEQUENCE IF NOT EXISTS counted");
  EXPECT_EQ(CodeOf([&] { ListAll(ctx_, *Open("query=SELECT%20nextval('counted')%20AS%20id")); }), Code::kFailedPrecondition);
}

}  // namespace

std::unique_ptr<SourceFixture> MakePostgresqlFixture() {
  const auto* server = PostgresqlServer::Get();
  return server ? std::make_unique<PostgresqlFixture>(*server) : nullptr;
}

}  // namespace tenfold::data
