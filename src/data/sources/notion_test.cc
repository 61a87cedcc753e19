#include "data/sources/notion.h"

#include <gtest/gtest.h>

#include <set>

#include "base/testing.h"
#include "data/sources/notion_markdown.h"
#include "data/sources/source_contract.h"

namespace tenfold::data {
namespace {

constexpr const char* kToken = "ntn_secretsecretsecret";

SourceSetup WithToken(std::string token = kToken) {
  SourceSetup setup;
  setup.allow_private_addresses = true;
  setup.haste = 50;
  setup.secret = [token](std::string_view name) { return name == "NOTION_TOKEN" ? token : std::string(); };
  return setup;
}

class NotionFixture : public SourceFixture {
 public:
  NotionFixture() { server_.Tell("set", {{"page_cap", 5}}); }
  std::unique_ptr<Source> Open() override { return OpenNotionSource(server_.url() + "#whole_every=60", WithToken()); }
  std::string Put(const std::string& name, const std::string& text) override {
    return std::string(AsView(server_.Tell("page", {{"title", name}, {"text", text}}).at("id").as_string()));
  }
  void Remove(const std::string& name) override { server_.Tell("page", {{"title", name}, {"gone", true}}); }
  bool ChangeAccess(const std::string&) override { return false; }
  void Break() override { server_.Tell("mode", {{"mode", "broken"}}); }
  void Mend() override { server_.Tell("mode", {{"mode", "ok"}}); }
  bool Stall() override {
    server_.Tell("mode", {{"mode", "stall"}});
    return true;
  }
  bool BreakAfterFirstPage() override {
    server_.Tell("mode", {{"mode", "broken"}, {"after", 7}});
    return true;
  }
  std::vector<std::unique_ptr<Source>> OpenOtherSpellings() override {
    std::vector<std::unique_ptr<Source>> out;
    out.push_back(OpenNotionSource("HTTP://127.0.0.1:" + std::to_string(server_.port()) + "/#whole_every=60", WithToken()));
    return out;
  }
  std::string secret() const override { return kToken; }
  std::size_t more_than_a_page() const override { return 7; }
  bool changes_name_removed() const override { return false; }

 private:
  const PythonServer server_{"notion_server.py"};
};

const Context kCtx = Context::System("test").WithTimeout(std::chrono::seconds(60));

TEST(NotionMarkdown, EveryKindOfBlock) {
  const auto text = [](std::string_view words, std::string_view marks = "{}", std::string_view href = "null") {
    return "[{\"type\":\"text\",\"plain_text\":" + ToText(Json(std::string(words))) + ",\"href\":" + std::string(href) +
           ",\"annotations\":" + std::string(marks) + "}]";
  };
  const auto block = [](std::string_view type, std::string_view fields, std::string_view children = "[]") {
    return "{\"id\":\"0123\",\"type\":\"" + std::string(type) + "\",\"" + std::string(type) + "\":{" + std::string(fields) +
           "},\"children\":" + std::string(children) + "}";
  };
  const auto with = [&](std::string_view type, std::string_view words, std::string_view children = "[]") {
    return block(type, "\"rich_text\":" + text(words), children);
  };
  std::string all = "[";
  all += with("heading_1", "Top") + "," + with("heading_3", "Low") + "," +
         block("paragraph", "\"rich_text\":" + text(" bold ", "{\"bold\":true,\"italic\":true}")) + ",";
  all += block("paragraph", "\"rich_text\":" + text("link", "{\"code\":true}", "\"/0123\"")) + "," +
         with("bulleted_list_item", "one", "[" + with("to_do", "inner") + "]") + "," + with("bulleted_list_item", "two") + ",";
  all += with("numbered_list_item", "first") + "," + with("numbered_list_item", "second") + "," + with("quote", "line 1\nline 2") + "," +
         with("toggle", "more", "[" + with("paragraph", "hidden") + "]") + ",";
  all += block("code", "\"language\":\"c++\",\"rich_text\":" + text("a ``` b")) + "," + block("equation", "\"expression\":\"x^2\"") + "," +
         block("divider", "") + "," + block("child_page", "\"title\":\"Sub\"") + ",";
  all += block("image", "\"type\":\"external\",\"caption\":" + text("cat") + ",\"external\":{\"url\":\"https://x.example/c.png\"}") + "," +
         block("file", "\"type\":\"file\",\"name\":\"f.pdf\",\"file\":{\"url\":\"https://s3/secret?sig=1\"}") + ",";
  all +=
      block("table", "\"table_width\":2",
            "[" + block("table_row", "\"cells\":[" + text("a|b") + "," + text("c") + "]") + "," + block("table_row", "\"cells\":[" + text("1") + "]") + "]") +
      ",";
  all += block("column_list", "", "[" + block("column", "", "[" + with("paragraph", "left") + "]") + "]") + "," + block("unheard_of", "") + "," +
         block("callout", "\"icon\":{\"emoji\":\"!\"},\"rich_text\":" + text("mind")) + "]";
  const auto out = NotionBlocksToMarkdown(ParseJson(all));
  for (const char* part :
       {"## Top\n", "#### Low\n", " ***bold*** ", "[`link`](https://www.notion.so/0123)", "- one\n\n  - [ ] inner\n- two\n", "1. first\n2. second\n",
        "> line 1\n> line 2\n", "- more\n\n  hidden\n", "````c++\na ``` b\n````\n", "$$\nx^2\n$$\n", "\n---\n", "[Sub](https://www.notion.so/0123)",
        "![cat](https://x.example/c.png)", "[f.pdf]\n", "| a\\|b | c |\n| --- | --- |\n| 1 |  |\n", "left\n", "> ! mind\n"})
    EXPECT_NE(out.find(part), std::string::npos) << part << "\nin\n" << out;
  EXPECT_EQ(out.find("sig=1"), std::string::npos);
  const auto properties = NotionProperties(ParseJson(
      R"({"N":{"type":"title","title":[{"plain_text":"T"}]},"n":{"type":"number","number":3.5},"s":{"type":"select","select":{"name":"A"}},"m":{"type":"multi_select","multi_select":[{"name":"x"},{"name":"y"}]},
    "d":{"type":"date","date":{"start":"2024-01-01","end":"2024-02-01"}},"f":{"type":"formula","formula":{"type":"string","string":"F"}},"r":{"type":"rollup","rollup":{"type":"array","array":[{"type":"rich_text","rich_text":[{"plain_text":"R"}]}]}},
    "e":{"type":"select","select":null},"b":{"type":"button","button":{}},"u":{"type":"unique_id","unique_id":{"prefix":"T","number":7}},"c":{"type":"checkbox","checkbox":false}})"));
  EXPECT_EQ(ToText(properties), R"({"n":3.5E0,"s":"A","m":["x","y"],"d":"2024-01-01/2024-02-01","f":"F","r":["R"],"u":"T-7","c":false})");
}

TEST(NotionSource, ARootIsListedWithAllBelowIt) {
  const PythonServer server("notion_server.py");
  const auto id = [](const Json& answer) { return std::string(AsView(answer.at("id").as_string())); };
  server.Tell("set", {{"page_cap", 3}});
  server.Tell("page", {{"title", "Elsewhere"}, {"text", "x"}});
  const auto root = id(server.Tell("page", {{"title", "Root"}, {"text", "root text"}, {"age", 3600}}));
  const auto child =
      id(server.Tell("page", {{"title", "Child"}, {"text", "child text"}, {"age", 7200}, {"parent", JsonObject{{"type", "page_id"}, {"page_id", root}}}}));
  const auto database = id(server.Tell("database", {{"title", "Table"}, {"page", child}}));
  std::set<std::string> expected{root, child};
  for (int i = 0; i < 8; ++i)
    expected.insert(id(server.Tell("page", {{"title", "Row " + std::to_string(i)},
                                            {"text", "row text"},
                                            {"age", 9000},
                                            {"parent", JsonObject{{"type", "database_id"}, {"database_id", database}}},
                                            {"properties", JsonObject{{"Stage", JsonObject{{"type", "status"}, {"status", JsonObject{{"name", "Done"}}}}}}}})));
  std::map<std::string, SourceItem> items;
  const auto source = OpenNotionSource(server.url() + "/Some-Title-" + root, WithToken());
  EXPECT_EQ(source->url(), "notion:" + server.url() + "/" + root);
  for (auto& item : ListAll(kCtx, *source)) items[item.path] = item;
  std::set<std::string> found;
  for (const auto& [path, item] : items) found.insert(path);
  EXPECT_EQ(found, expected);
  EXPECT_EQ(items[child].fingerprint, std::string(AsView(items[child].metadata.at("last_edited_time").as_string())));  // settled: no read needed
  const auto row = *std::find_if(items.begin(), items.end(), [](const auto& one) { return one.second.title == "Row 3"; });
  EXPECT_EQ(row.second.metadata.at("Stage").as_string(), "Done");
  EXPECT_EQ(source->Read(kCtx, row.second).bytes, "# Row 3\n\n- **Stage:** Done\n\nrow text\n");
  found.clear();
  for (const auto& item : ListAll(kCtx, *OpenNotionSource(server.url() + "/" + database, WithToken()))) found.insert(item.path);
  EXPECT_EQ(found.size(), 8u);
  EXPECT_EQ(CodeOf([&] { ListAll(kCtx, *OpenNotionSource(server.url() + "/" + std::string(32, 'a'), WithToken())); }), Code::kNotFound);
}

TEST(NotionSource, NestedBlocksArePagedAndRead) {
  const PythonServer server("notion_server.py");
  server.Tell("set", {{"page_cap", 2}});
  JsonArray blocks;
  for (int i = 0; i < 5; ++i) {
    const auto item = [&](const std::string& words, JsonArray children) {
      return JsonObject{{"type", "bulleted_list_item"},
                        {"bulleted_list_item", JsonObject{{"rich_text", JsonArray{JsonObject{{"type", "text"}, {"plain_text", words}}}}}},
                        {"children", std::move(children)}};
    };
    blocks.push_back(item("outer " + std::to_string(i), {item("inner " + std::to_string(i), {})}));
  }
  server.Tell("page", {{"title", "Lists"}, {"blocks", blocks}, {"age", 3600}});
  const auto source = OpenNotionSource(server.url(), WithToken());
  const auto items = ListAll(kCtx, *source);
  ASSERT_EQ(items.size(), 1u);
  const auto text = source->Read(kCtx, items[0]).bytes;
  EXPECT_TRUE(text.starts_with("# Lists\n\n- outer 0\n\n  - inner 0\n- outer 1\n")) << text;
  EXPECT_NE(text.find("- outer 4\n\n  - inner 4\n"), std::string::npos) << text;
}

TEST(NotionSource, WaitsWhenItIsTold) {
  const PythonServer server("notion_server.py");
  server.Tell("page", {{"title", "a"}, {"age", 3600}});
  server.Tell("set", {{"limited", 2}, {"after", 0}});
  EXPECT_EQ(ListAll(kCtx, *OpenNotionSource(server.url(), WithToken())).size(), 1u);
  server.Tell("set", {{"limited", 1}, {"after", 600}});
  EXPECT_EQ(CodeOf([&] { ListAll(kCtx, *OpenNotionSource(server.url(), WithToken())); }), Code::kResourceExhausted);
  EXPECT_EQ(CodeOf([&] { ListAll(kCtx, *OpenNotionSource(server.url(), WithToken("wrong"))); }), Code::kUnauthenticated);
  const auto source = OpenNotionSource(server.url() + "#whole_every=1", WithToken());
  EXPECT_EQ(CodeOf([&] { source->List(kCtx, "{\"since\":1,\"whole_at\":1}", ""); }), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf([&] { source->List(kCtx, "", "x"); }), Code::kInvalidArgument);
}

TEST(NotionSource, AnIdIsReadFromWhatABrowserShows) {
  const std::string id = "0123456789abcdef0123456789abcdef";
  for (const auto& url :
       {id, "01234567-89AB-cdef-0123-456789abcdef" + std::string(), "https://www.notion.so/acme/My-Page-" + id + "?pvs=4", "https://notion.so/" + id})
    EXPECT_EQ(OpenNotionSource(url, {})->url(), "notion:" + id);
  EXPECT_EQ(OpenNotionSource("", {})->url(), "notion:");
  for (const char* url : {"x", "0123", "#x=1", "https://u:p@notion.so/"}) EXPECT_EQ(CodeOf([&] { OpenNotionSource(url, {}); }), Code::kInvalidArgument) << url;
}

}  // namespace

std::unique_ptr<SourceFixture> MakeNotionFixture() { return std::make_unique<NotionFixture>(); }

}  // namespace tenfold::data
