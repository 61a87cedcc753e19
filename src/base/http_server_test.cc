#include "base/http_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

namespace tenfold {
namespace {

using namespace std::chrono_literals;

struct Echo {
  std::string text;
};
TENFOLD_DESCRIBE(Echo, (text, Required{}, Length{1, 32}))

/// A raw client: what goes over the wire is what the test says.
class Wire {
 public:
  explicit Wire(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    const timeval limit{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  ~Wire() { ::close(fd_); }
  void Send(std::string_view bytes) { [[maybe_unused]] const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  /// A masked frame, as a client must send it (RFC 6455, section 5.3).
  void SendFrame(unsigned char opcode, std::string_view payload) {
    std::string frame{static_cast<char>(0x80 | opcode)};
    if (payload.size() < 126) frame += static_cast<char>(0x80 | payload.size());
    else frame += {static_cast<char>(0xFE), static_cast<char>(payload.size() >> 8), static_cast<char>(payload.size())};
    const char mask[] = {1, 2, 3, 4};
    frame.append(mask, 4);
    for (std::size_t i = 0; i < payload.size(); ++i) frame += static_cast<char>(payload[i] ^ mask[i % 4]);
    Send(frame);
  }
  /// Reads until `end` was seen, `enough` bytes came, or the peer closed.
  std::string ReadUntil(std::string_view end, std::size_t enough = std::string::npos) {
    std::string out;
    char buffer[4096];
    while (out.size() < enough && (end.empty() || out.find(end) == std::string::npos)) {
      const auto n = ::recv(fd_, buffer, sizeof buffer, 0);
      if (n <= 0) break;
      out.append(buffer, static_cast<std::size_t>(n));
    }
    return out;
  }

 private:
  int fd_;
};

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() {
    std::vector<Endpoint> rows;
    rows.push_back({"GET", "/fast", Access::kPublic, 1s, "fast", [](const Context&, const HttpRequest&) { return HttpResponse{.body = "{}", .headers = {}, .stream = {}}; }, RunsOn::kIo});
    rows.push_back(MakeJsonEndpoint<Echo, Echo>("POST", "/echo", Access::kUser, 1s, "echo", [](const Context& ctx, const Echo& echo) { return Echo{ctx.principal().user + ":" + echo.text}; }));
    rows.push_back({"GET", "/admin/{name}", Access::kAdmin, 1s, "admin only", [](const Context&, const HttpRequest& r) { return HttpResponse{.body = r.path_params.at("name"), .headers = {}, .stream = {}}; }});
    rows.push_back({"GET", "/stream", Access::kPublic, 10s, "stream", [this](const Context& ctx, const HttpRequest&) {
                      HttpResponse response;
                      response.content_type = "text/event-stream";
                      response.stream = [this, ctx](StreamWriter& out) {
                        for (int i = 0; i < 1000; ++i) {
                          if (ctx.cancellation().cancelled()) cancelled_ = true;
                          out.Write("data: " + std::to_string(i) + "\n\n");
                          if (i >= 2) std::this_thread::sleep_for(5ms);
                        }
                      };
                      return response;
                    }});
    rows.push_back({"GET", "/wait", Access::kPublic, 10s, "waits for cancellation", [this](const Context& ctx, const HttpRequest&) -> HttpResponse {
                      for (int i = 0; i < 2000 && !ctx.cancellation().cancelled(); ++i) std::this_thread::sleep_for(2ms);
                      cancelled_ = ctx.cancellation().cancelled();
                      return {};
                    }});
    rows.push_back({"GET", "/stream/refused", Access::kPublic, 10s, "an error before the first piece", [](const Context&, const HttpRequest&) {
                      HttpResponse response;
                      response.content_type = "text/event-stream";
                      response.stream = [](StreamWriter&) { throw Error(Code::kResourceExhausted, "too many"); };
                      return response;
                    }});
    Endpoint socket{"GET", "/socket", Access::kPublic, 10s, "says it back", {}, RunsOn::kIo, 1000};
    socket.websocket = [this](const Context& ctx, std::shared_ptr<WebSocket> out) {
      return [this, ctx, out](std::string message) {
        if (message != "wait") out->Offer("echo:" + message);
        else out->Run([this, ctx] {
          for (int i = 0; i < 2000 && !ctx.cancellation().cancelled(); ++i) std::this_thread::sleep_for(2ms);
          cancelled_ = ctx.cancellation().cancelled();
        });
      };
    };
    rows.push_back(socket);
    socket.path = "/socket/mine";
    socket.access = Access::kUser;
    rows.push_back(std::move(socket));
    HttpServerOptions options;
    options.header_timeout = 300ms;
    options.body_timeout = 500ms;
    options.drain_timeout = 100ms;
    server_ = std::make_unique<HttpServer>(options, Router(std::move(rows)),
                                           [this](const HttpRequest& request) {
                                             if (revoked_) throw Error(Code::kUnauthenticated, "the key is revoked");
                                             auto principal = std::make_shared<Principal>();
                                             if (request.header("authorization") != "Bearer good") throw Error(Code::kUnauthenticated, "the key is not valid");
                                             principal->user = "mara";
                                             principal->role = Role::kCustomer;
                                             return principal;
                                           },
                                           metrics_, SystemClock());
  }
  std::string Ask(std::string_view bytes, std::string_view until = "") {
    Wire wire(server_->port());
    wire.Send(bytes);
    return wire.ReadUntil(until);
  }
  Metrics metrics_;
  std::atomic<bool> cancelled_{false}, revoked_{false};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersOnOneConnectionManyTimes) {
  Wire wire(server_->port());
  for (int i = 0; i < 3; ++i) {
    wire.Send("GET /fast HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(wire.ReadUntil("{}").starts_with("HTTP/1.1 200"));
  }
  // A request is counted once its response is sent, which the client may see first.
  const auto counted = [&] { return metrics_.Expose().find("tenfold_http_requests_total{method=\"GET\",path=\"/fast\",code=\"2xx\"} 3") != std::string::npos; };
  for (int i = 0; i < 500 && !counted(); ++i) std::this_thread::sleep_for(2ms);
  EXPECT_TRUE(counted());
}

TEST_F(HttpServerTest, ChecksAccessBeforeItReadsTheBody) {
  EXPECT_TRUE(Ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n").starts_with("HTTP/1.1 401"));
  EXPECT_TRUE(Ask("GET /admin/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer good\r\n\r\n").starts_with("HTTP/1.1 403"));
}

TEST_F(HttpServerTest, ParsesTypesAndNamesTheWrongField) {
  const auto post = [&](std::string_view body) {
    return Ask("POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer good\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body));
  };
  EXPECT_NE(post(R"({"text":"hi"})").find(R"({"text":"mara:hi"})"), std::string::npos);
  EXPECT_NE(post(R"({"txt":"hi"})").find(R"("param":"text")"), std::string::npos);
  EXPECT_TRUE(post("{").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(Ask("POST /echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Length: 3000000000\r\n\r\n").starts_with("HTTP/1.1 413"));
}

TEST_F(HttpServerTest, AClientThatSendsOnAfterARefusalStillReadsIt) {
  Wire wire(server_->port());
  wire.Send("POST /echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Length: 8000000\r\n\r\n");
  wire.Send(std::string(8'000'000, ' '));
  EXPECT_TRUE(wire.ReadUntil("}}").starts_with("HTTP/1.1 413"));
}

TEST_F(HttpServerTest, RefusesWhatIsNotHttpTooLargeOrTooSlow) {
  EXPECT_TRUE(Ask("\x16\x03\x01 nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(Ask("GET /fast HTTP/1.1\r\nHost: x\r\nX: " + std::string(20000, 'a') + "\r\n\r\n").starts_with("HTTP/1.1 431"));
  EXPECT_TRUE(Ask("GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 404"));
  EXPECT_TRUE(Ask("DELETE /fast HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 405"));
  EXPECT_EQ(Ask("GET /fast HT"), "");  // closed after header_timeout
}

TEST_F(HttpServerTest, StreamsAndStopsWhenTheClientLeaves) {
  {
    Wire wire(server_->port());
    wire.Send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_NE(wire.ReadUntil("data: 2").find("text/event-stream"), std::string::npos);
  }
  for (int i = 0; i < 500 && !cancelled_; ++i) std::this_thread::sleep_for(2ms);
  EXPECT_TRUE(cancelled_);
}

TEST_F(HttpServerTest, AStreamThatFailsBeforeItBeginsIsAnErrorWithItsStatus) {
  const auto answer = Ask("GET /stream/refused HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 429")) << answer;
  EXPECT_NE(answer.find("retry-after: 1"), std::string::npos);
  EXPECT_NE(answer.find("too many"), std::string::npos);
}

TEST_F(HttpServerTest, CancelsTheWorkOfAClientThatLeft) {
  {
    Wire wire(server_->port());
    wire.Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    std::this_thread::sleep_for(50ms);
  }
  for (int i = 0; i < 500 && !cancelled_; ++i) std::this_thread::sleep_for(2ms);
  EXPECT_TRUE(cancelled_);
}

TEST_F(HttpServerTest, SaysThatABodyCameTooLate) {
  EXPECT_TRUE(Ask("POST /echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Length: 30\r\n\r\n{\"te").starts_with("HTTP/1.1 408"));
}

TEST_F(HttpServerTest, AnswersWhatWasSentAheadInOrder) {
  Wire wire(server_->port());
  const std::string post = "POST /echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"tex\r\n6\r\nt\":\"a\"\r\n1\r\n}\r\n0\r\n\r\n";
  wire.Send(post + "GET /fast HTTP/1.1\r\nHost: x\r\n\r\n" + post + "GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const auto all = wire.ReadUntil("");
  std::size_t at = 0;
  for (const char* expected : {R"({"text":"mara:a"})", "{}", R"({"text":"mara:a"})", "HTTP/1.1 404"}) {
    at = all.find(expected, at);
    ASSERT_NE(at, std::string::npos) << expected << " in\n" << all;
    at += 2;
  }
}

/// The handshake of RFC 6455, section 1.3.
constexpr std::string_view kUpgrade = "GET /socket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

TEST_F(HttpServerTest, CarriesMessagesOverAWebSocket) {
  Wire wire(server_->port());
  wire.Send(std::string(kUpgrade) + "Origin: http://x\r\n\r\n");
  const auto head = wire.ReadUntil("\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101"));
  EXPECT_NE(head.find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos);
  wire.SendFrame(1, "one");
  EXPECT_EQ(wire.ReadUntil("one"), "\x81\x08" "echo:one");
  wire.SendFrame(1, "two");
  EXPECT_EQ(wire.ReadUntil("two"), "\x81\x08" "echo:two");
  wire.SendFrame(9, "are you there");
  EXPECT_EQ(wire.ReadUntil("there"), "\x8A\x0D" "are you there");
  wire.SendFrame(8, "\x03\xE8");
  EXPECT_EQ(wire.ReadUntil(""), "\x88\x02\x03\xE8");
}

TEST_F(HttpServerTest, ClosesAWebSocketThatBreaksTheRulesAndSaysWhy) {
  const auto code = [&](const std::function<void(Wire&)>& misbehave) {
    Wire wire(server_->port());
    wire.Send(std::string(kUpgrade) + "Authorization: Bearer good\r\n\r\n");
    wire.ReadUntil("\r\n\r\n");
    misbehave(wire);
    const auto close = wire.ReadUntil("", 4);
    return close.size() < 4 || close[0] != '\x88' ? 0 : static_cast<unsigned char>(close[2]) << 8 | static_cast<unsigned char>(close[3]);
  };
  EXPECT_EQ(code([](Wire& wire) { wire.Send("\x81\x02hi"); }), 1002);  // not masked
  EXPECT_EQ(code([](Wire& wire) { wire.SendFrame(1, "\xFF\xFE"); }), 1007);  // not UTF-8
  EXPECT_EQ(code([](Wire& wire) { wire.SendFrame(1, std::string(1001, 'a')); }), 1009);
  EXPECT_EQ(code([](Wire& wire) { wire.SendFrame(2, "bytes"); }), 1003);
  EXPECT_EQ(code([this](Wire&) { server_->Stop(); }), 1001);
}

TEST_F(HttpServerTest, AWebSocketWhoseKeyIsRevokedEndsAtItsNextMessage) {
  Wire wire(server_->port());
  auto upgrade = std::string(kUpgrade) + "Authorization: Bearer good\r\n\r\n";
  upgrade.replace(upgrade.find("/socket"), 7, "/socket/mine");
  wire.Send(upgrade);
  wire.ReadUntil("\r\n\r\n");
  wire.SendFrame(1, "one");
  EXPECT_EQ(wire.ReadUntil("one"), "\x81\x08" "echo:one");
  revoked_ = true;
  wire.SendFrame(1, "two");
  const auto close = wire.ReadUntil("", 4);
  ASSERT_GE(close.size(), 4u);
  EXPECT_EQ(close.substr(2, 2), "\x03\xF0");  // 1008
}

TEST_F(HttpServerTest, AWebSocketOfAnotherSiteIsRefused) {
  EXPECT_TRUE(Ask(std::string(kUpgrade) + "Connection: close\r\n\r\n").starts_with("HTTP/1.1 403"));
  EXPECT_TRUE(Ask(std::string(kUpgrade) + "Connection: close\r\nOrigin: http://evil.example\r\n\r\n").starts_with("HTTP/1.1 403"));
  EXPECT_TRUE(Ask("GET /socket HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(Ask(std::string(kUpgrade) + "Origin: http://x\r\nContent-Length: 3\r\n\r\nabc").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(Ask(std::string(kUpgrade) + "Origin: http://x\r\nConnection: close\r\n\r\n\x81\x80").starts_with("HTTP/1.1 400"));
}

TEST_F(HttpServerTest, WorkOfAWebSocketIsCancelledWhenTheClientLeaves) {
  {
    Wire wire(server_->port());
    wire.Send(std::string(kUpgrade) + "Origin: http://x\r\n\r\n");
    wire.ReadUntil("\r\n\r\n");
    wire.SendFrame(1, "wait");
    wire.SendFrame(1, "x");
    wire.ReadUntil("echo:x");
  }
  for (int i = 0; i < 500 && !cancelled_; ++i) std::this_thread::sleep_for(2ms);
  EXPECT_TRUE(cancelled_);
}

TEST_F(HttpServerTest, SaysWhichPortIsTaken) {
  HttpServerOptions options;
  options.port = server_->port();
  try {
    const HttpServer second(options, Router({}), {}, metrics_, SystemClock());
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kUnavailable);
    EXPECT_NE(e.message().find("--listen"), std::string::npos);
  }
}

}  // namespace
}  // namespace tenfold
