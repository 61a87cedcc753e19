// What a server sends back, byte by byte: an answer or an Error, and the same body in pieces as whole. The first byte chooses what was asked.
#include <optional>

#include "base/answers_testing.h"
#include "base/error.h"
#include "base/http_client.h"
#include "base/http_retry.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace tenfold;
  using namespace std::chrono_literals;
  if (size < 1) return 0;
  static AnsweringServer server;
  const std::string answer(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto ctx = Context::System("fuzz").WithTimeout(5s);
  const auto fetch = [&](std::string* pieces) -> std::optional<HttpClientResponse> {
    server.AnswerWith({answer});
    HttpClientRequest request;
    request.method = data[0] & 1 ? "HEAD" : data[0] & 2 ? "POST" : "GET";
    request.url = server.url() + "/a/b?c=d";
    request.response_limit_bytes = 1u << 20;
    // It is sent on only to this server again.
    request.max_redirects = data[0] & 4 && answer.find("//") == std::string::npos ? 2 : 0;
    if (data[0] & 8) request.redirects = HttpClientRequest::Redirects::kReturn;
    if (pieces) request.on_data = [&](std::string_view piece) { *pieces += piece; };
    try {
      return Fetch(ctx, request);
    } catch (const Error& e) {
      if (e.code() == Code::kInternal || e.code() == Code::kDeadlineExceeded) std::abort();
      return std::nullopt;
    }
  };
  std::string pieces;
  const auto whole = fetch(nullptr), piecewise = fetch(&pieces);
  if (whole.has_value() != piecewise.has_value()) std::abort();
  if (!whole) return 0;
  const auto& told = whole->status >= 200 && whole->status < 300 ? pieces : piecewise->body;
  if (whole->status != piecewise->status || whole->headers != piecewise->headers || whole->body != told) std::abort();
  if (SecondsToWait(*whole, 1'800'000'000) > 100'000'000'000) std::abort();
  return 0;
}
