#include "data/sources/openapi.h"

#include <gtest/gtest.h>

#include <set>

#include "base/testing.h"
#include "data/sources/source_contract.h"

namespace tenfold::data {
namespace {

constexpr const char* kToken = "list_secretsecretsecret";

SourceSetup WithToken(std::string token = kToken) {
  SourceSetup setup;
  setup.allow_private_addresses = true;
  setup.haste = 50;
  setup.secret = [token](std::string_view name) { return name == "OPENAPI_TOKEN" ? token : std::string(); };
  return setup;
}

class OpenapiFixture : public SourceFixture {
 public:
  std::unique_ptr<Source> Open() override {
    return OpenOpenapiSource(server_.url() + "/openapi.json#path=/cursor&items=data&title=name&text=body.text", WithToken());
  }
  std::string Put(const std::string& name, const std::string& text) override {
    return std::to_string(server_.Tell("item", {{"name", name}, {"text", text}}).at("id").as_int64());
  }
  void Remove(const std::string& name) override { server_.Tell("item", {{"name", name}, {"text", nullptr}}); }
  bool ChangeAccess(const std::string&) override { return false; }
  void Break() override { server_.Tell("mode", {{"mode", "broken"}}); }
  void Mend() override { server_.Tell("mode", {{"mode", "ok"}}); }
  bool Stall() override {
    server_.Tell("mode", {{"mode", "stall"}});
    return true;
  }
  bool BreakAfterFirstPage() override {
    server_.Tell("mode", {{"mode", "broken"}, {"after", 2}});
    return true;
  }
  std::vector<std::unique_ptr<Source>> OpenOtherSpellings() override {
    std::vector<std::unique_ptr<Source>> out;
    out.push_back(OpenOpenapiSource(
        "HTTP://127.0.0.1:" + std::to_string(server_.port()) + "/x/../openapi.json#text=body.text&title=name&items=data&path=%2Fcursor", WithToken()));
    return out;
  }
  std::string secret() const override { return kToken; }
  std::size_t more_than_a_page() const override { return 12; }

 private:
  const PythonServer server_{"list_api.py"};
};

const Context kCtx = Context::System("test").WithTimeout(std::chrono::seconds(60));

TEST(OpenapiSource, EveryKindOfPagingGivesTheSameList) {
  const PythonServer server("list_api.py");
  for (int i = 0; i < 13; ++i) server.Tell("item", {{"name", "n" + std::to_string(i)}, {"text", "text " + std::to_string(i)}});
  const auto list = [&](const std::string& options) { return ListAll(kCtx, *OpenOpenapiSource(server.url() + "/openapi.json#" + options, WithToken())); };
  for (const char* options : {"path=/cursor", "path=/cursor&limit=2&next=meta.next_cursor", "path=/offset", "path=/page&items=items", "path=/link",
                              "path=/plain", "path=/plain&paging=none", "path=/teams/red/articles", "path=/link&paging=link"}) {
    std::set<std::string> ids;
    for (const auto& item : list(options)) EXPECT_TRUE(ids.insert(item.path).second) << options << " lists " << item.path << " twice";
    EXPECT_EQ(ids.size(), 13u) << options;
  }
  EXPECT_EQ(list("path=/cursor&paging=none").size(), 5u);
  for (const char* bad : {"", "items=data", "path=items", "path=/none", "path=/write", "path=/cursor&items=none", "path=/cursor&id=none",
                          "path=/cursor&paging=x", "path=/cursor&limit=0", "path=/cursor&colour=red"})
    EXPECT_EQ(CodeOf([&] { list(bad); }), Code::kInvalidArgument) << bad;
  server.Tell("set", {{"lie", "loop"}});
  EXPECT_EQ(CodeOf([&] { list("path=/cursor"); }), Code::kUnavailable);
}

TEST(OpenapiSource, AnItemIsWhatItsOptionsMakeOfIt) {
  const PythonServer server("list_api.py");
  server.Tell("item", {{"name", "Tea"}, {"text", "green"}});
  const auto read = [&](const std::string& options) {
    const auto source = OpenOpenapiSource(server.url() + "/openapi.json#path=/plain" + options, WithToken());
    const auto items = ListAll(kCtx, *source);
    return source->Read(kCtx, items.at(0)).bytes;
  };
  EXPECT_EQ(read("&title=name"),
            "# Tea\n\n- **id:** 1\n- **name:** Tea\n- **body.text:** green\n- **tags:** a, b\n- **updated_at:** 2024-01-01\n- **author.name:** Ana\n");
  EXPECT_EQ(read("&title=name&text=body.text"), "# Tea\n\ngreen\n");
  EXPECT_EQ(read("&template=%23 {name}%5Cnby {author.name}: {body.text}{none}"), "# Tea\nby Ana: green");
  const auto items = ListAll(kCtx, *OpenOpenapiSource(server.url() + "/openapi.json#path=/plain&id=name&updated=updated_at", WithToken()));
  EXPECT_EQ(items.at(0).path, "Tea");
  EXPECT_EQ(items.at(0).metadata.at("updated").as_string(), "2024-01-01");
}

TEST(OpenapiSource, TheTokenGoesWhereTheOperatorSaysAlone) {
  const PythonServer server("list_api.py"), other("list_api.py");
  for (int i = 0; i < 7; ++i) server.Tell("item", {{"name", "n" + std::to_string(i)}, {"text", "t"}});
  other.Tell("item", {{"name", "x"}, {"text", "y"}});
  const auto url = server.url() + "/openapi.json#path=/plain";
  EXPECT_EQ(CodeOf([&] { ListAll(kCtx, *OpenOpenapiSource(url, WithToken("wrong"))); }), Code::kUnauthenticated);
  server.Tell("set", {{"server", other.url() + "/v1"}});
  EXPECT_EQ(CodeOf([&] { ListAll(kCtx, *OpenOpenapiSource(url, WithToken())); }), Code::kInvalidArgument);
  EXPECT_EQ(ListAll(kCtx, *OpenOpenapiSource(url + "&server=" + other.url() + "/v1", WithToken())).size(), 1u);
  server.Tell("set", {{"server", "/v1"}, {"lie", other.url()}});
  EXPECT_EQ(CodeOf([&] { ListAll(kCtx, *OpenOpenapiSource(server.url() + "/openapi.json#path=/link", WithToken())); }), Code::kUnavailable);
}

}  // namespace

std::unique_ptr<SourceFixture> MakeOpenapiFixture() { return std::make_unique<OpenapiFixture>(); }

}  // namespace tenfold::data
