#include "base/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <set>

#include "base/http_client.h"
#include "base/http_server.h"
#include "base/testing.h"

namespace tenfold {
namespace {

std::string Format(const char* format, auto... values) {
  char out[256];
  std::snprintf(out, sizeof out, format, values...);
  return out;
}

/// Every way to write one IPv4 address that some resolver, browser or URL library takes for it.
std::set<std::string> SpellingsOf(unsigned a, unsigned b, unsigned c, unsigned d) {
  const unsigned long whole = a << 24 | b << 16 | c << 8 | d;
  const auto dotted = Format("%u.%u.%u.%u", a, b, c, d);
  std::set<std::string> hosts{dotted,
                              dotted + ".",
                              Format("%lu", whole),
                              Format("0x%lx", whole),
                              Format("0X%lX", whole),
                              Format("0%lo", whole),
                              Format("0000%lo", whole),
                              Format("%lu.", whole),
                              Format("0x%x.0x%x.0x%x.0x%x", a, b, c, d),
                              Format("0%o.0%o.0%o.0%o", a, b, c, d),
                              Format("000%o.000%o.000%o.000%o", a, b, c, d),
                              Format("0x%02x.%u.0%o.%u", a, b, c, d),
                              Format("%u.%u.%u", a, b, c << 8 | d),
                              Format("%u.%lu", a, whole & 0xffffff),
                              Format("0x%x.%lu", a, whole & 0xffffff),
                              Format("0%o.0x%lx", a, whole & 0xffffff),
                              Format("%u.%u.0x%x", a, b, c << 8 | d),
                              Format("%u.%u.%u.%u", a + 256, b, c, d),
                              Format("%lu", whole + 0x100000000ul),
                              Format("[::ffff:%u.%u.%u.%u]", a, b, c, d),
                              Format("[::ffff:%x:%x]", a << 8 | b, c << 8 | d),
                              Format("[0:0:0:0:0:ffff:%x:%x]", a << 8 | b, c << 8 | d),
                              Format("[::%u.%u.%u.%u]", a, b, c, d),
                              Format("[64:ff9b::%u.%u.%u.%u]", a, b, c, d),
                              Format("[64:ff9b:1::%u.%u.%u.%u]", a, b, c, d),
                              Format("[2002:%x:%x::1]", a << 8 | b, c << 8 | d),
                              Format("[2001:0:%x:%x::1]", a << 8 | b, c << 8 | d),
                              Format("[2001::%x:%x]", ~(a << 8 | b) & 0xffff, ~(c << 8 | d) & 0xffff),
                              Format("[fe80::5efe:%u.%u.%u.%u]", a, b, c, d),
                              Format("[2a00::5efe:%x:%x]", a << 8 | b, c << 8 | d),
                              Format("%%%x%u.%u.%u.%u", 0x30 + a / 100, a % 100, b, c, d),
                              Format("%u%%2e%u%%2E%u%%2e%u", a, b, c, d),
                              Format("%u。%u。%u。%u", a, b, c, d),
                              Format("%u.%u.%u.%u", a, b, c, d) + "%00",
                              "user@" + dotted,
                              "a:b@" + dotted,
                              "example.com@" + dotted,
                              "example.com:80@" + dotted,
                              Format("%u..%u.%u.%u", a, b, c, d),
                              dotted + "%20",
                              "%0d%0a" + dotted};
  // Digits that IDN folds to ASCII: fullwidth, mathematical, and a fullwidth full stop.
  for (const auto& [zero, dot] : {std::pair<std::u32string, std::string>{U"０", "．"}, {U"\U0001D7CE", "."}, {U"\U0001D7D8", "｡"}}) {
    std::string folded;
    for (const char ch : dotted) {
      if (ch == '.') {
        folded += dot;
        continue;
      }
      const auto code = static_cast<std::uint32_t>(zero[0]) + static_cast<std::uint32_t>(ch - '0');
      if (code < 0x10000) folded += {static_cast<char>(0xe0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 63)), static_cast<char>(0x80 | (code & 63))};
      else
        folded += {static_cast<char>(0xf0 | code >> 18), static_cast<char>(0x80 | (code >> 12 & 63)), static_cast<char>(0x80 | (code >> 6 & 63)),
                   static_cast<char>(0x80 | (code & 63))};
    }
    hosts.insert(folded);
  }
  return hosts;
}

std::set<std::string> ForbiddenUrls() {
  std::set<std::string> urls;
  const unsigned addresses[][4] = {{127, 0, 0, 1},  {169, 254, 169, 254}, {10, 0, 0, 5},   {192, 168, 1, 1}, {172, 31, 255, 254},
                                   {100, 64, 0, 1}, {0, 0, 0, 0},         {198, 18, 0, 1}, {224, 0, 0, 1},   {255, 255, 255, 255}};
  for (const auto& [a, b, c, d] : addresses)
    for (const auto& host : SpellingsOf(a, b, c, d)) urls.insert("http://" + host + "/latest/meta-data/");
  for (const char* host : {"127.1",
                           "127.0.1",
                           "127.255.255.254",
                           "0",
                           "0.0",
                           "00000000",
                           "0x0",
                           "0177.1",
                           "0x7f.1",
                           "017700000001",
                           "169.254.43518",
                           "169.16689662",
                           "0251.0376.0251.0376",
                           "0xA9FEA9FE",
                           "2852039166",
                           "[::]",
                           "[::1]",
                           "[0:0:0:0:0:0:0:1]",
                           "[0000:0000:0000:0000:0000:0000:0000:0001]",
                           "[::1%25eth0]",
                           "[fe80::1]",
                           "[fe80::1%25lo]",
                           "[fe80::1%25251]",
                           "[fd00:ec2::254]",
                           "[FD00:EC2::254]",
                           "[fc00::1]",
                           "[fec0::1]",
                           "[ff02::1]",
                           "[ff0e::1]",
                           "[100::1]",
                           "[2001:db8::1]",
                           "[3fff::1]",
                           "[2001:2::1]",
                           "[2001:10::1]",
                           "[5f00::1]",
                           "[4000::1]",
                           "[v1.fe80::a]",
                           "192.0.0.192",
                           "192.0.2.1",
                           "198.51.100.7",
                           "203.0.113.9",
                           "192.88.99.1",
                           "168.63.129.16",
                           "100.100.100.200",
                           "240.0.0.1",
                           "localhost",
                           "LOCALHOST",
                           "localhost.",
                           "a.localhost",
                           "localhost.localdomain",
                           "ip6-localhost",
                           "metadata",
                           "metadata.google.internal",
                           "metadata.google.internal.",
                           "printer.local",
                           "db.internal",
                           "router.lan",
                           "nas.home.arpa",
                           "kubernetes",
                           "kubernetes.default.svc.local",
                           "1.2.3.4.5",
                           "1.2.3.999",
                           "0x7f000001.",
                           "example.1",
                           "example.0x10",
                           "08.8.8.8.8",
                           "xn--",
                           "[::ffff:0:127.0.0.1]",
                           "[::ffff:0:7f00:1]",
                           "①②⑦.0.0.1",
                           "ⓛocalhost",
                           "127。0。0。1",
                           "exam ple.com"})
    if (std::string(host) != "xn--") urls.insert(std::string("https://") + host + "/");
  for (const char* url : {"file:///etc/passwd",
                          "gopher://127.0.0.1:6379/_INFO",
                          "dict://127.0.0.1:11211/stat",
                          "ftp://127.0.0.1/",
                          "jar:http://127.0.0.1!/",
                          "ldap://127.0.0.1/",
                          "data:text/html,x",
                          "javascript:alert(1)",
                          "unix:/var/run/docker.sock",
                          "http+unix://%2Fvar%2Frun/x",
                          "//127.0.0.1/",
                          "http:127.0.0.1",
                          "http:/127.0.0.1/",
                          "http:///127.0.0.1/",
                          "http:\\\\127.0.0.1\\",
                          "http://127.0.0.1\\@example.com/",
                          "http://example.com\\@127.0.0.1/",
                          "http://example.com#@127.0.0.1:22/x y",
                          "http://127.0.0.1#@example.com/",
                          "http://127.0.0.1?@example.com/",
                          "http://127.0.0.1;@example.com/",
                          "http://[127.0.0.1]/",
                          "http://[::1/",
                          "http://::1/",
                          "http://1270.0.1:80:80/",
                          "http://example.com:22/",
                          "http://example.com:6379/",
                          "http://example.com:99999/",
                          "http://example.com:-1/",
                          "http://example.com:0x50/",
                          "http://example.com:%38%30/",
                          "http://\t127.0.0.1/",
                          " http://127.0.0.1/",
                          "http://127.0.0.1\r\nHost: a/",
                          "http://127.0.0.1%09/",
                          "http://@127.0.0.1/",
                          "http://:@127.0.0.1/",
                          "HTTP://127.0.0.1/",
                          "hTtPs://LOCALHOST/",
                          "http://127.0.0.1:80/",
                          "http://127.0.0.1:443/",
                          "https://[::1]:443/",
                          "http://0:80/",
                          "",
                          "http://",
                          "http://./",
                          "http://../",
                          "http://%/",
                          "http://%2e/",
                          "http://*/",
                          "http://$(id)/"})
    urls.insert(url);
  return urls;
}

TEST(Address, NoSpellingOfAnAddressThatIsNotPublicPasses) {
  const auto urls = ForbiddenUrls();
  EXPECT_GE(urls.size(), 300u);
  for (const auto& url : urls) {
    const auto code = CodeOf([&] { CheckUrl(url, AddressPolicy::kPublicOnly); });
    EXPECT_TRUE(code == Code::kPermissionDenied || code == Code::kInvalidArgument) << url << ": " << CodeName(code);
  }
}

TEST(Address, WhatIsPublicPasses) {
  for (const char* url : {"http://example.com/",
                          "https://example.com:443/a?b#c",
                          "http://example.com:80",
                          "https://8.8.8.8/",
                          "http://1.1.1.1/",
                          "http://example.com./",
                          "https://[2606:4700:4700::1111]/",
                          "https://xn--bcher-kva.example/",
                          "https://a-b.c_d.org/",
                          "http://134744072/",
                          "https://[64:ff9b::8.8.8.8]/",
                          "http://100.63.255.255/",
                          "http://100.128.0.1/",
                          "http://172.15.0.1/",
                          "http://172.32.0.1/",
                          "http://192.169.0.1/",
                          "http://198.17.0.1/",
                          "http://198.20.0.1/",
                          "http://223.255.255.255/",
                          "http://11.0.0.1/",
                          "http://126.0.0.1/",
                          "http://128.0.0.1/",
                          "http://7-zip.org/",
                          "http://0x.com/",
                          "http://1.example.com/",
                          "https://example.com:/"})
    EXPECT_NO_THROW(CheckUrl(url, AddressPolicy::kPublicOnly)) << url;
  EXPECT_NO_THROW(CheckUrl("http://example.com:8000/", AddressPolicy::kPublicOnlyAnyPort));
  EXPECT_EQ(CodeOf([] { CheckUrl("http://127.0.0.1:8000/", AddressPolicy::kPublicOnlyAnyPort); }), Code::kPermissionDenied);
  EXPECT_NO_THROW(CheckUrl("http://127.0.0.1:8000/", AddressPolicy::kAny));
}

TEST(Address, RangesEndWhereTheRegistrySays) {
  const auto why = [](const char* text) {
    std::uint8_t bytes[16];
    const bool six = std::string_view(text).find(':') != std::string_view::npos;
    EXPECT_EQ(::inet_pton(six ? AF_INET6 : AF_INET, text, bytes), 1) << text;
    return std::string(WhyNotPublic({bytes, six ? 16u : 4u}));
  };
  EXPECT_EQ(why("9.255.255.255") + why("11.0.0.0") + why("172.15.255.255") + why("172.32.0.0") + why("100.63.255.255") + why("100.128.0.0"), "");
  EXPECT_EQ(why("10.255.255.255"), "private");
  EXPECT_EQ(why("172.31.255.255"), "private");
  EXPECT_EQ(why("127.255.255.255"), "loopback");
  EXPECT_EQ(why("198.19.255.255"), "benchmark");
  EXPECT_EQ(why("2001:4860:4860::8888") + why("2a00::1") + why("2001:200::1") + why("3ffe::1"), "");
  EXPECT_EQ(why("::1"), "loopback");
  EXPECT_EQ(why("fdff::1"), "private");
  EXPECT_EQ(why("2001:1ff::1"), "reserved");
  EXPECT_EQ(why("3fff:fff::1"), "documentation");
  EXPECT_EQ(why("febf::1"), "link-local");
  EXPECT_EQ(why("64:ff9b::a00:1"), "private");
}

// A server that counts, on this machine: nothing may reach it, by its address, a name that resolves to it, or a redirect.
TEST(Address, TheClientConnectsToNothingThatIsNotPublic) {
  std::atomic<int> reached = 0;
  std::vector<Endpoint> rows{{"GET", "/{rest...}", Access::kPublic, std::chrono::seconds(5), "", [&](const Context&, const HttpRequest&) {
                                ++reached;
                                return HttpResponse();
                              }}};
  Metrics metrics;
  HttpServer server({}, Router(rows), [](const HttpRequest&) -> std::shared_ptr<const Principal> { return nullptr; }, metrics, SystemClock());
  const auto port = ":" + std::to_string(server.port()) + "/";
  const auto ctx = Context::System("test").WithTimeout(std::chrono::seconds(20));
  HttpClientRequest request;
  request.url = "http://127.0.0.1" + port;
  EXPECT_EQ(Fetch(ctx, request).status, 200);  // a connection stays open, which another policy must not use
  EXPECT_EQ(reached, 1);
  request.addresses = AddressPolicy::kPublicOnlyAnyPort;
  for (const auto& host : SpellingsOf(127, 0, 0, 1)) {
    request.url = "http://" + host + port;
    EXPECT_NE(CodeOf([&] { Fetch(ctx, request); }), Code::kInternal) << request.url;
  }
  EXPECT_EQ(reached, 1);
}

}  // namespace
}  // namespace tenfold
