#include "base/http_client.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/http_server.h"
#include "base/testing.h"

namespace tenfold {
namespace {

using namespace std::chrono_literals;

class HttpClientTest : public testing::Test {
 protected:
  HttpClientTest() {
    const auto add = [&](std::string method, std::string path, Handler handler) { rows_.push_back({std::move(method), std::move(path), Access::kPublic, 10s, "", std::move(handler)}); };
    add("POST", "/echo", [](const Context&, const HttpRequest& request) {
      HttpResponse response;
      response.body = std::string(request.header("x-note")) + request.body;
      return response;
    });
    add("GET", "/moved", [](const Context&, const HttpRequest&) {
      HttpResponse response;
      response.status = 302;
      response.headers.emplace_back("location", "/stream");
      return response;
    });
    add("GET", "/loop", [](const Context&, const HttpRequest&) {
      HttpResponse response;
      response.status = 302;
      response.headers.emplace_back("location", "/loop");
      return response;
    });
    add("GET", "/stream", [](const Context&, const HttpRequest&) {
      HttpResponse response;
      response.stream = [](StreamWriter& out) {
        for (int i = 0; i < 100; ++i) out.Write(std::string(1000, 'x'));
      };
      return response;
    });
    add("GET", "/slow", [](const Context& ctx, const HttpRequest&) {
      while (!ctx.done()) std::this_thread::sleep_for(5ms);
      return HttpResponse();
    });
    server_.emplace(HttpServerOptions{}, Router(rows_), [](const HttpRequest&) -> std::shared_ptr<const Principal> { return nullptr; }, metrics_, SystemClock());
    base_ = "http://127.0.0.1:" + std::to_string(server_->port());
  }
  HttpClientResponse Get(const std::string& path) {
    HttpClientRequest request;
    request.url = base_ + path;
    return Fetch(ctx_, request);
  }
  std::vector<Endpoint> rows_;
  Metrics metrics_;
  std::optional<HttpServer> server_;
  std::string base_;
  Context ctx_ = Context::System("test");
};

TEST_F(HttpClientTest, SendsAndReceives) {
  HttpClientRequest request;
  request.method = "POST";
  request.url = base_ + "/echo";
  request.headers = {{"x-note", "hello"}};
  request.body = std::string(200'000, 'b');
  const auto response = Fetch(ctx_, request);
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.body == "hello" + request.body);
  EXPECT_EQ(response.header("content-type"), "application/json");
}

TEST_F(HttpClientTest, FollowsRedirectsAndStreamsTheBody) {
  std::size_t got = 0;
  HttpClientRequest request;
  request.url = base_ + "/moved";
  request.on_data = [&](std::string_view piece) { got += piece.size(); };
  const auto response = Fetch(ctx_, request);
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.body.empty());
  EXPECT_EQ(got, 100'000u);
  EXPECT_EQ(CodeOf([&] { Get("/loop"); }), Code::kUnavailable);
}

TEST_F(HttpClientTest, KeepsItsLimits) {
  HttpClientRequest request;
  request.url = base_ + "/stream";
  request.response_limit_bytes = 5000;
  EXPECT_EQ(CodeOf([&] { Fetch(ctx_, request); }), Code::kResourceExhausted);
  const auto begun = std::chrono::steady_clock::now();
  request.url = base_ + "/slow";
  EXPECT_EQ(CodeOf([&] { Fetch(ctx_.WithTimeout(200ms), request); }), Code::kDeadlineExceeded);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
  EXPECT_EQ(Get("/nothing").status, 404);
}

TEST_F(HttpClientTest, RefusesWhatIsNoUrlOrHeader) {
  HttpClientRequest request;
  for (const char* url : {"", "ftp://x/", "http://", "file:///etc/passwd", "http://a b/"}) {
    request.url = url;
    EXPECT_EQ(CodeOf([&] { Fetch(ctx_, request); }), Code::kInvalidArgument) << url;
  }
  request.url = base_ + "/stream";
  request.headers = {{"x-a", "b\r\nx-c: d"}};
  EXPECT_EQ(CodeOf([&] { Fetch(ctx_, request); }), Code::kInvalidArgument);
  request.headers.clear();
  request.url = "http://127.0.0.1:1/";
  EXPECT_EQ(CodeOf([&] { Fetch(ctx_, request); }), Code::kUnavailable);
}

}  // namespace
}  // namespace tenfold
