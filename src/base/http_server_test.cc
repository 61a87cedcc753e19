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
  /// Reads until `end` was seen or the peer closed.
  std::string ReadUntil(std::string_view end) {
    std::string out;
    char buffer[4096];
    while (end.empty() || out.find(end) == std::string::npos) {
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
    HttpServerOptions options;
    options.header_timeout = 300ms;
    options.drain_timeout = 100ms;
    server_ = std::make_unique<HttpServer>(options, Router(std::move(rows)),
                                           [](const HttpRequest& request) {
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
  std::atomic<bool> cancelled_{false};
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

TEST_F(HttpServerTest, CancelsTheWorkOfAClientThatLeft) {
  {
    Wire wire(server_->port());
    wire.Send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    std::this_thread::sleep_for(50ms);
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
