#include "data/sources/github.h"

#include <gtest/gtest.h>

#include <set>

#include "base/testing.h"
#include "data/sources/source_contract.h"

namespace tenfold::data {
namespace {

constexpr const char* kToken = "ghp_secretsecretsecret";

SourceSetup WithToken(std::string token = kToken) {
  SourceSetup setup;
  setup.allow_private_addresses = true;
  setup.haste = 50;
  setup.secret = [token](std::string_view name) { return name == "GITHUB_TOKEN" ? token : std::string(); };
  return setup;
}

class GithubFixture : public SourceFixture {
 public:
  std::unique_ptr<Source> Open() override { return OpenGithubSource(server_.url() + "/acme/handbook", WithToken()); }
  std::string Put(const std::string& name, const std::string& text) override {
    const auto path = "docs/" + name + ".md";
    server_.Tell("file", {{"path", path}, {"text", "# " + name + "\n\n" + text}});
    return path;
  }
  void Remove(const std::string& name) override { server_.Tell("file", {{"path", "docs/" + name + ".md"}, {"text", nullptr}}); }
  bool ChangeAccess(const std::string&) override { return false; }  // of the whole repository only; see GithubSource below
  void Break() override { server_.Tell("mode", {{"mode", "broken"}}); }
  void Mend() override { server_.Tell("mode", {{"mode", "ok"}}); }
  bool Stall() override {
    server_.Tell("mode", {{"mode", "stall"}});
    return true;
  }
  std::vector<std::unique_ptr<Source>> OpenOtherSpellings() override {
    std::vector<std::unique_ptr<Source>> out;
    for (const auto& rest : {"/ACME/Handbook", "/acme/handbook.git", "/acme/handbook/"}) out.push_back(OpenGithubSource(server_.url() + rest, WithToken()));
    return out;
  }
  std::string secret() const override { return kToken; }

 protected:
  const PythonServer server_{"github_server.py"};
};

class GithubIssuesFixture : public GithubFixture {
 public:
  GithubIssuesFixture() { server_.Tell("set", {{"page_cap", 5}}); }
  std::unique_ptr<Source> Open() override { return OpenGithubSource(server_.url() + "/acme/handbook#issues&whole_every=60", WithToken()); }
  std::string Put(const std::string& name, const std::string& text) override {
    return "issues/" + std::to_string(server_.Tell("issue", {{"title", name}, {"body", text}}).at("number").as_int64());
  }
  void Remove(const std::string& name) override { server_.Tell("issue", {{"title", name}, {"body", nullptr}}); }
  bool BreakAfterFirstPage() override {
    server_.Tell("mode", {{"mode", "broken"}, {"after", 2}});
    return true;
  }
  std::vector<std::unique_ptr<Source>> OpenOtherSpellings() override {
    std::vector<std::unique_ptr<Source>> out;
    out.push_back(OpenGithubSource(server_.url() + "/Acme/handbook#whole_every=60&issues", WithToken()));
    return out;
  }
  std::size_t more_than_a_page() const override { return 12; }
  bool changes_name_removed() const override { return false; }
};

const Context kCtx = Context::System("test").WithTimeout(std::chrono::seconds(60));

std::set<std::string> PathsOf(const std::vector<SourceItem>& items) {
  std::set<std::string> out;
  for (const auto& item : items) out.insert(item.path);
  return out;
}

TEST(GithubSource, AFolderOfARefIsListedAlsoFromTruncatedTrees) {
  const PythonServer server("github_server.py");
  EXPECT_TRUE(ListAll(kCtx, *OpenGithubSource(server.url() + "/acme/handbook", WithToken())).empty());  // a repository without a commit
  std::set<std::string> all;
  for (int i = 0; i < 30; ++i) {
    const auto path = "docs/part-" + std::to_string(i % 5) + "/deep/f" + std::to_string(i) + ".md";
    server.Tell("file", {{"path", path}, {"text", "text " + std::to_string(i)}});
    all.insert(path);
  }
  server.Tell("file", {{"path", "README.md"}, {"text", "read me"}});
  server.Tell("file", {{"path", "main.o"}, {"text", "binary"}});
  server.Tell("file", {{"path", "docs/link.md"}, {"text", "-> ../secret"}});
  EXPECT_EQ(PathsOf(ListAll(kCtx, *OpenGithubSource(server.url() + "/acme/handbook/docs", WithToken()))), all);
  server.Tell("set", {{"tree_limit", 8}});
  EXPECT_EQ(PathsOf(ListAll(kCtx, *OpenGithubSource(server.url() + "/acme/handbook@release%2F1/docs", WithToken()))), all);
  all.insert("README.md");
  const auto items = ListAll(kCtx, *OpenGithubSource(server.url() + "/acme/handbook", WithToken()));
  EXPECT_EQ(PathsOf(items), all);
  for (const auto& item : items)
    if (item.path == "README.md") EXPECT_EQ(item.link, server.url() + "/acme/handbook/blob/main/README.md");
  EXPECT_EQ(CodeOf([&] { ListAll(kCtx, *OpenGithubSource(server.url() + "/acme/handbook/nothing", WithToken())); }), Code::kNotFound);
  EXPECT_EQ(CodeOf([&] { ListAll(kCtx, *OpenGithubSource(server.url() + "/acme/handbook@nothing", WithToken())); }), Code::kNotFound);
  EXPECT_EQ(CodeOf([&] { ListAll(kCtx, *OpenGithubSource(server.url() + "/acme/other", WithToken())); }), Code::kNotFound);
}

TEST(GithubSource, WhatIsPrivateHasALabelOfItsOwn) {
  const PythonServer server("github_server.py");
  server.Tell("file", {{"path", "a.md"}, {"text", "a"}});
  server.Tell("issue", {{"title", "one"}, {"body", "b"}});
  const auto files = server.url() + "/acme/handbook", issues = files + "#issues";
  EXPECT_EQ(ListAll(kCtx, *OpenGithubSource(files, WithToken("")))[0].access, "");
  server.Tell("set", {{"private", true}});
  EXPECT_EQ(ListAll(kCtx, *OpenGithubSource(files, WithToken()))[0].access, "github:acme/handbook");
  EXPECT_EQ(ListAll(kCtx, *OpenGithubSource(issues, WithToken()))[0].access, "github:acme/handbook");
  EXPECT_EQ(CodeOf([&] { ListAll(kCtx, *OpenGithubSource(files, WithToken(""))); }), Code::kNotFound);
  EXPECT_EQ(CodeOf([&] { ListAll(kCtx, *OpenGithubSource(files, WithToken("wrong"))); }), Code::kUnauthenticated);
}

TEST(GithubSource, WaitsAsLongAsItIsAskedAndNotForAnHour) {
  const PythonServer server("github_server.py");
  server.Tell("file", {{"path", "a.md"}, {"text", "a"}});
  const auto source = OpenGithubSource(server.url() + "/acme/handbook", WithToken());
  server.Tell("set", {{"limited", JsonArray{"primary", "secondary", "gateway"}}});
  EXPECT_EQ(ListAll(kCtx, *source).size(), 1u);
  server.Tell("set", {{"limited", JsonArray{"hour"}}});
  EXPECT_EQ(CodeOf([&] { ListAll(kCtx, *source); }), Code::kResourceExhausted);
  server.Tell("set", {{"limited", JsonArray{"secondary", "secondary", "secondary", "secondary"}}});
  EXPECT_EQ(CodeOf([&] { ListAll(kCtx, *source); }), Code::kResourceExhausted);
}

TEST(GithubSource, IssuesAndPullRequestsComeWithTheirComments) {
  const PythonServer server("github_server.py");
  JsonArray comments;
  for (int i = 0; i < 7; ++i) comments.emplace_back("comment " + std::to_string(i));
  server.Tell("set", {{"page_cap", 3}});
  server.Tell("issue", {{"title", "Broken link"}, {"body", "It is broken"}, {"comments", comments}});
  server.Tell("issue", {{"title", "Mend it"}, {"body", "Mended"}, {"pull", true}, {"review", JsonArray{"why so?"}}});
  const auto source = OpenGithubSource(server.url() + "/acme/handbook#issues", WithToken());
  const auto items = ListAll(kCtx, *source);
  ASSERT_EQ(PathsOf(items), (std::set<std::string>{"issues/1", "pull/2"}));
  EXPECT_EQ(items[0].title, "Broken link");
  EXPECT_EQ(items[0].metadata.at("labels").as_array().at(0).as_string(), "docs");
  const auto issue = source->Read(kCtx, items[0]);
  EXPECT_EQ(issue.media_type, "text/markdown");
  EXPECT_TRUE(issue.bytes.starts_with("# Broken link\n\nIt is broken\n\n## ben, "));
  for (int i = 0; i < 7; ++i) EXPECT_NE(issue.bytes.find("comment " + std::to_string(i)), std::string::npos);
  EXPECT_NE(source->Read(kCtx, items[1]).bytes.find("on a.md\n\nwhy so?"), std::string::npos);
  server.Tell("issue", {{"title", "Broken link"}, {"body", "It is broken"}, {"comments", JsonArray{"one more"}}});
  EXPECT_NE(ListAll(kCtx, *source)[0].fingerprint, items[0].fingerprint);
  const auto page = source->List(kCtx, "", "");
  EXPECT_TRUE(page.cursor.empty());  // whole_every is 0: always whole
  EXPECT_EQ(CodeOf([&] { source->List(kCtx, "{\"since\":\"2020-01-01T00:00:00Z\",\"whole_at\":1}", ""); }), Code::kFailedPrecondition);
}

TEST(GithubSource, RefusesWhatIsNoRepository) {
  for (const char* url : {"", "acme", "acme/", "/x", "a b/c", "acme/..", "acme/x#unknown", "acme/x@main#issues", "ftp://x/a/b", "https://u:p@github.com/a/b"})
    EXPECT_EQ(CodeOf([&] { OpenGithubSource(url, {}); }), Code::kInvalidArgument) << url;
  EXPECT_EQ(OpenGithubSource("https://github.com/Acme/X", {})->url(), "github:acme/x");
  EXPECT_EQ(OpenGithubSource("https://ghe.example/api/v3/Acme/X@v1/docs/", {})->url(), "github:https://ghe.example/api/v3/acme/x@v1/docs");
  SourceSetup setup;
  setup.secret = [](std::string_view) { return std::string("t"); };
  EXPECT_EQ(CodeOf([&] { OpenGithubSource("http://ghe.example/acme/x", setup); }), Code::kInvalidArgument);  // a token is not sent in the clear
}

}  // namespace

std::unique_ptr<SourceFixture> MakeGithubFixture() { return std::make_unique<GithubFixture>(); }
std::unique_ptr<SourceFixture> MakeGithubIssuesFixture() { return std::make_unique<GithubIssuesFixture>(); }

}  // namespace tenfold::data
