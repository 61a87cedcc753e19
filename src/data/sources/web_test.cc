#include "data/sources/web.h"

#include <gtest/gtest.h>

#include <set>

#include "base/testing.h"
#include "data/sources/http_source.h"
#include "data/sources/robots.h"
#include "data/sources/source_contract.h"
#include "data/sources/web_links.h"

namespace tenfold::data {
namespace {

SourceSetup Private() {
  SourceSetup setup;
  setup.allow_private_addresses = true;
  setup.haste = 50;
  return setup;
}

/// A site of files under Python's http.server; its index page links them.
class WebFixture : public SourceFixture {
 public:
  std::unique_ptr<Source> Open() override { return OpenWebSource(server_.url() + "/#delay_ms=0", Private()); }
  std::string Put(const std::string& name, const std::string& text) override {
    WriteFileAtomically(folder_.path() / (name + ".html"), "<html><head><title>" + name + "</title></head><body><p>" + text + "</p></body></html>");
    return "/" + name + ".html";
  }
  void Remove(const std::string& name) override { std::filesystem::remove(folder_.path() / (name + ".html")); }
  bool ChangeAccess(const std::string&) override { return false; }
  void Break() override { server_.Tell("mode", {{"mode", "broken"}}); }
  void Mend() override { server_.Tell("mode", {{"mode", "ok"}}); }
  bool Stall() override {
    server_.Tell("mode", {{"mode", "stall"}});
    return true;
  }
  bool BreakAfterFirstPage() override {
    server_.Tell("mode", {{"mode", "broken"}, {"after", 24}});  // robots.txt, sitemap.xml, 20 pages and a little
    return true;
  }
  std::vector<std::unique_ptr<Source>> OpenOtherSpellings() override {
    std::vector<std::unique_ptr<Source>> out;
    const auto port = std::to_string(server_.port());
    for (const auto& url : {"HTTP://127.0.0.1:" + port + "#delay_ms=0", "http://127.0.0.1:" + port + "/x/../#delay_ms=0",
                            "http://127.0.0.1:" + port + "/?utm_source=mail#&delay_ms=0&"})
      out.push_back(OpenWebSource(url, Private()));
    return out;
  }
  std::size_t more_than_a_page() const override { return 40; }

 private:
  const TemporaryFolder folder_;
  const PythonServer server_{"static_site.py", {folder_.path().string()}};
};

const Context kCtx = Context::System("test").WithTimeout(std::chrono::seconds(60));

TEST(Web, AHostileSiteCostsNoMoreThanItsPages) {
  const TemporaryFolder trap_folder;
  const PythonServer trap("hostile_site.py", {"http://unused"});  // counts what asks it: nothing may
  const PythonServer site("hostile_site.py", {trap.url()});
  const auto source = OpenWebSource(site.url() + "/#delay_ms=0&max_pages=120&depth=6", Private());
  std::map<std::string, SourceItem> items;
  for (auto& item : ListAll(kCtx, *source)) {
    const auto path = item.path;
    EXPECT_TRUE(items.emplace(path, std::move(item)).second) << path << " is listed twice";
  }
  for (const char* path :
       {"/", "/a", "/b?id=1", "/from-the-map", "/secret/open", "/nofollow", "/manual.pdf", "/notes.md", "/by-noindex", "/really.html", "/none%25"})
    EXPECT_TRUE(items.contains(path)) << path;
  for (const char* path : {"/secret/plans", "/run.cgi", "/noindex", "/only-by-nofollow", "/copy", "/picture.png", "/gone", "/forbidden", "/out", "/out-later",
                           "/loop/1", "/loop/2"})
    EXPECT_FALSE(items.contains(path)) << path;
  EXPECT_EQ(items["/manual.pdf"].fingerprint, "etag:\"v1\"");
  EXPECT_EQ(items["/really.html"].media_type, "application/pdf");
  EXPECT_EQ(items["/notes.md"].media_type, "text/markdown");
  EXPECT_FALSE(items["/huge.html"].problem.empty());
  EXPECT_FALSE(items["/lies.html"].problem.empty());
  EXPECT_EQ(items["/a"].title, "/a");
  EXPECT_EQ(items["/a"].link, site.url() + "/a");
  std::size_t days = 0, deep = 0;
  for (const auto& [path, item] : items) {
    days += path.starts_with("/calendar");
    deep += path.starts_with("/deep");
  }
  EXPECT_LE(days, 50u);
  EXPECT_LE(deep, 40u);
  EXPECT_TRUE(trap.Tell("seen").at("paths").as_array().empty());
  std::set<std::string> asked;
  const auto answer = site.Tell("seen");
  for (const auto& path : answer.at("paths").as_array()) asked.emplace(AsView(path.as_string()));
  EXPECT_FALSE(asked.contains("/secret/plans"));
  EXPECT_FALSE(asked.contains("/run.cgi"));
  EXPECT_FALSE(asked.contains("/only-by-nofollow"));
  EXPECT_FALSE(asked.contains("/picture.png"));
}

TEST(Web, StaysInItsScopeAndLimits) {
  const PythonServer site("hostile_site.py", {"http://127.0.0.1:9"});
  const auto paths = [&](const std::string& rest) {
    std::set<std::string> out;
    for (const auto& item : ListAll(kCtx, *OpenWebSource(site.url() + rest, Private()))) out.insert(item.path);
    return out;
  };
  EXPECT_EQ(paths("/secret/open#delay_ms=0"), std::set<std::string>{"/secret/open"});
  EXPECT_EQ(paths("/#delay_ms=0&max_pages=3").size(), 3u);
  EXPECT_EQ(paths("/#delay_ms=0&discover=sitemap"), (std::set<std::string>{"/", "/from-the-map"}));
  EXPECT_FALSE(paths("/#delay_ms=0&depth=1&exclude=/a,/calendar").contains("/a"));
  EXPECT_EQ(CodeOf([&] { paths("/secret/plans#delay_ms=0"); }), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf([&] { paths("/gone#delay_ms=0&discover=links"); }), Code::kNotFound);
  EXPECT_EQ(CodeOf([&] { paths("/out#delay_ms=0&discover=links"); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { paths("/#delay=0"); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { paths("/#max_pages=0"); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { OpenWebSource(site.url() + "/", {}); }), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf([&] { OpenWebSource("ftp://example.com/", {}); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { OpenWebSource("https://user:pw@example.com/", {}); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { OpenWebSource(site.url() + "/#delay_ms=0", Private())->List(kCtx, "", "{\"ahead\":1}"); }), Code::kInvalidArgument);
}

TEST(Robots, TheLongestRuleDecides) {
  const RobotsRules rules(
      "# c\nUser-agent: other\nUser-agent: TENFOLD/1.0\nDisallow: /a\nAllow: /a/b$\nDisallow: /*.gif$\nDisallow: /caf%C3%A9\nAllow: /same\nDisallow: "
      "/same\nDisallow:\nCrawl-delay: 1.5\n\nUser-agent: *\nDisallow: /\nSitemap: https://x.example/s.xml\n",
      "tenfold");
  EXPECT_FALSE(rules.Allows("/a"));
  EXPECT_FALSE(rules.Allows("/a/b/c"));
  EXPECT_TRUE(rules.Allows("/a/b"));
  EXPECT_FALSE(rules.Allows("/x/y.gif"));
  EXPECT_TRUE(rules.Allows("/x/y.gif?z"));
  EXPECT_FALSE(rules.Allows("/caf\xc3\xa9/"));
  EXPECT_TRUE(rules.Allows("/same"));
  EXPECT_TRUE(rules.Allows("/other"));
  EXPECT_EQ(rules.crawl_delay().count(), 1500);
  EXPECT_EQ(rules.sitemaps(), std::vector<std::string>{"https://x.example/s.xml"});
  EXPECT_FALSE(RobotsRules("User-agent: *\nDisallow: /", "tenfold").Allows("/"));
  EXPECT_TRUE(RobotsRules("User-agent: tenfoldx\nDisallow: /", "tenfold").Allows("/"));
  EXPECT_TRUE(RobotsRules("", "tenfold").Allows("/"));
  EXPECT_TRUE(RobotsRules("User-agent: *\nDisallow: /", "tenfold").Allows("/robots.txt"));
}

TEST(WebLinks, AreResolvedOnceEach) {
  const auto page = ReadPageLinks(
      "<base href='/docs/'><title> A \n B </title><a href='x'>1</a><a href='./x#y'>2</a><a href=' ../z?a=1&amp;b=2 '>3</a><a href='mailto:a@b'>4</a><a "
      "href='//other.example/'>5</a><a rel=nofollow href=n>6</a><link rel='x CANONICAL' href='/c'>",
      "https://h.example/a/b", "tenfold");
  EXPECT_EQ(page.links, (std::vector<std::string>{"https://h.example/docs/x", "https://h.example/z?a=1&b=2", "https://other.example/"}));
  EXPECT_EQ(page.canonical, "https://h.example/c");
  EXPECT_EQ(page.title, "A B");
  EXPECT_TRUE(ReadPageLinks("<meta name=tenfold content=none><a href=x>x</a>", "https://h.example/", "tenfold").links.empty());
}

TEST(NormaliseUrl, OnePageHasOneUrl) {
  EXPECT_EQ(NormaliseUrl("HTTPS://EXAMPLE.com:443/a/./b/../c?q=1#f"), "https://example.com/a/c?q=1");
  EXPECT_EQ(NormaliseUrl("http://example.com"), "http://example.com/");
  EXPECT_EQ(NormaliseUrl("b c%zz", "http://example.com/a/"), "http://example.com/a/b%20c%25zz");
  EXPECT_EQ(NormaliseUrl("/%7ea%2f", "http://example.com/"), "http://example.com/~a%2F");
  for (const char* bad : {"", "x", "ftp://a/", "http://u@a/", "http://", "javascript:x", "http://a b/", "http://a::/b", "http://a::80/b"}) EXPECT_EQ(NormaliseUrl(bad), "") << bad;
  EXPECT_EQ(NextLink("<https://a/?page=1>; rel=\"prev\", <https://a/?page=3>; rel=\"next\""), "https://a/?page=3");
  EXPECT_EQ(NextLink("<https://a/?page=1>; rel=\"prev\""), "");
}

}  // namespace

std::unique_ptr<SourceFixture> MakeWebFixture() { return std::make_unique<WebFixture>(); }

}  // namespace tenfold::data
