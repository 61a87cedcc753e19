#include "base/http_retry.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

#include "base/http_server.h"
#include "base/testing.h"

namespace tenfold {
namespace {

using namespace std::chrono_literals;

/// A server that answers the first `busy` requests with `status`.
class HttpRetryTest : public testing::Test {
 protected:
  HttpRetryTest() {
    std::vector<Endpoint> rows;
    rows.push_back({"GET", "/", Access::kPublic, 10s, "", [this](const Context&, const HttpRequest&) {
                      HttpResponse response;
                      if (asked_++ < busy_) {
                        response.status = status_;
                        response.headers.emplace_back("retry-after", retry_after_);
                      }
                      response.body = "answer " + std::to_string(asked_);
                      return response;
                    }});
    rows.push_back({"GET", "/cut", Access::kPublic, 10s, "", [this](const Context&, const HttpRequest&) {
                      ++asked_;
                      HttpResponse response;
                      response.stream = [](StreamWriter& out) {
                        out.Write("half");
                        throw Error(Code::kInternal, "the rest is lost");
                      };
                      return response;
                    }});
    rows.push_back({"GET", "/slow", Access::kPublic, 10s, "", [](const Context& ctx, const HttpRequest&) {
                      while (!ctx.done()) std::this_thread::sleep_for(5ms);
                      return HttpResponse();
                    }});
    server_.emplace(HttpServerOptions{}, Router(rows), [](const HttpRequest&) -> std::shared_ptr<const Principal> { return nullptr; }, metrics_, SystemClock());
    base_ = "http://127.0.0.1:" + std::to_string(server_->port());
  }
  HttpClientResponse Get(const std::string& path, RetryPolicy policy = {.first_pause = 1ms}, std::string* received = nullptr) {
    made_ = 0;
    return FetchPatiently(Context::System("test"), policy, [&] {
      ++made_;
      HttpClientRequest request;
      request.url = base_ + path;
      if (received) request.on_data = [received](std::string_view piece) { *received += piece; };
      return request;
    });
  }
  std::atomic<int> asked_{0};  // the server
  int made_ = 0;
  int busy_ = 0, status_ = 503;
  std::string retry_after_ = "0";
  Metrics metrics_;
  std::optional<HttpServer> server_;
  std::string base_;
};

TEST_F(HttpRetryTest, AsksUntilTheServiceIsNoLongerBusy) {
  for (const int status : {408, 429, 500, 503}) {
    asked_ = 0;
    busy_ = 2;
    status_ = status;
    EXPECT_EQ(Get("/").body, "answer 3");
  }
}

TEST_F(HttpRetryTest, ReturnsTheLastAnswerWhenAttemptsAreUsedUp) {
  busy_ = 100;
  EXPECT_EQ(Get("/", {.attempts = 4, .first_pause = 1ms}).status, 503);
  EXPECT_EQ(asked_, 4);
}

TEST_F(HttpRetryTest, AsksOnceWhatIsNotBusyAndWhatAsksForALongPause) {
  busy_ = 1;
  status_ = 404;
  EXPECT_EQ(Get("/").status, 404);
  EXPECT_EQ(asked_, 1);
  asked_ = 0;
  status_ = 429;
  retry_after_ = "3600";
  EXPECT_EQ(Get("/").status, 429);
  EXPECT_EQ(asked_, 1);
}

TEST_F(HttpRetryTest, RepeatsNothingOnceDataCame) {
  std::string received;
  EXPECT_EQ(CodeOf([&] { Get("/cut", {.first_pause = 1ms}, &received); }), Code::kUnavailable);
  EXPECT_EQ(received, "half");
  EXPECT_EQ(asked_, 1);
}

TEST_F(HttpRetryTest, CallsAnAttemptWithoutAnAnswerUnavailable) {
  try {
    Get("/slow", {.attempts = 2, .first_pause = 1ms, .attempt_timeout = 50ms});
    FAIL() << "must throw";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kUnavailable);
    EXPECT_EQ(e.message(), "no answer within 50 ms, 2 times");
  }
  EXPECT_EQ(made_, 2);
}

TEST(SecondsToWait, ReadsSecondsDatesAndRateLimits) {
  const auto wait = [](std::string name, std::string value, std::string second_name = "x-other", std::string second = {}) {
    return SecondsToWait({.status = 429, .headers = {{name, value}, {second_name, second}}, .body = {}}, 784'111'770);
  };
  EXPECT_EQ(wait("retry-after", "7"), 7);
  EXPECT_EQ(wait("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), 7);
  EXPECT_EQ(wait("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT"), 0);
  EXPECT_EQ(wait("retry-after", "soon"), -1);
  EXPECT_EQ(wait("x-ratelimit-remaining", "0", "x-ratelimit-reset", "784111800"), 30);
  EXPECT_EQ(wait("x-ratelimit-remaining", "4", "x-ratelimit-reset", "784111800"), -1);
}

}  // namespace
}  // namespace tenfold
