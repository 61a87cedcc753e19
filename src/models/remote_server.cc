#include "models/remote_server.h"

#include <charconv>
#include <thread>

#include "base/http_client.h"

namespace tenfold::models {
namespace {

constexpr int kAttempts = 3;
constexpr std::chrono::milliseconds kLongestPause{20'000};

Code CodeOfStatus(int status) {
  switch (status) {
    case 400:
    case 404:
    case 413:
    case 422: return Code::kInvalidArgument;
    case 401:
    case 498: return Code::kUnauthenticated;  // 498: Cohere's "invalid token"
    case 403: return Code::kPermissionDenied;
    case 429: return Code::kResourceExhausted;
    default: return Code::kUnavailable;
  }
}

/// What the server asks to wait; negative if it says nothing. A date instead of seconds counts as nothing: the growing pause serves it.
std::chrono::milliseconds RetryAfter(const HttpClientResponse& response) {
  int seconds = 0;
  const auto after = response.header("retry-after");
  if (std::from_chars(after.data(), after.data() + after.size(), seconds).ec != std::errc() || seconds < 0) return std::chrono::milliseconds(-1);
  return std::min<std::chrono::milliseconds>(std::chrono::seconds(std::min(seconds, 3600)), kLongestPause);
}

void Pause(const Context& ctx, std::chrono::milliseconds pause) {
  for (const auto until = std::chrono::steady_clock::now() + pause; std::chrono::steady_clock::now() < until;) {
    ctx.Check();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace

std::string MessageInError(std::string_view body) {
  try {
    const auto parsed = ParseJson(body);
    const auto* found = parsed.as_object().if_contains("error");
    if (found && found->is_object()) found = found->get_object().if_contains("message");
    if (!found) found = parsed.as_object().if_contains("message");
    return found && found->is_string() ? std::string(AsView(found->get_string()).substr(0, 300)) : std::string();
  } catch (const std::exception&) {
    return {};  // not an error body of these protocols: the status says enough
  }
}

void RemoteServer::ThrowAnswer(int status, std::string_view body) const {
  const auto message = MessageInError(body);
  throw Error(CodeOfStatus(status), "'" + model_ + "' at " + base_ + " answered status " + std::to_string(status) + (message.empty() ? "" : ": " + message));
}

std::string RemoteServer::Post(const Context& ctx, const std::string& path, const Json& body, const PostOptions& options) const {
  const auto text = ToText(body);
  for (int attempt = 1;; ++attempt) {
    ctx.Check();
    bool received = false;
    std::chrono::milliseconds pause(250 * attempt * attempt);
    try {
      HttpClientRequest request;
      request.method = "POST";
      request.url = base_ + path;
      request.headers = {{"content-type", "application/json"}};
      if (!key_.empty()) request.headers.emplace_back("authorization", "Bearer " + key_);
      request.body = text;
      request.response_limit_bytes = options.response_limit_bytes;
      if (options.on_data)
        request.on_data = [&](std::string_view piece) {
          received = true;
          options.on_data(piece);
        };
      const auto response = Fetch(options.attempt_timeout.count() > 0 ? ctx.WithTimeout(options.attempt_timeout) : ctx, request);
      if (response.status == 200) return response.body;
      if (const auto asked = RetryAfter(response); asked.count() >= 0) pause = asked;
      ThrowAnswer(response.status, response.body);
    } catch (const Error& e) {
      const bool too_slow = e.code() == Code::kDeadlineExceeded && !ctx.done();
      const bool may_retry = too_slow || e.code() == Code::kUnavailable || e.code() == Code::kResourceExhausted;
      if (may_retry && !received && attempt < kAttempts && !ctx.done()) {
        Pause(ctx, pause);
        continue;
      }
      if (too_slow) throw Error(Code::kUnavailable, "'" + model_ + "' at " + base_ + " did not answer within " + std::to_string(options.attempt_timeout.count() / 1000) + " s, " + std::to_string(attempt) + " times");
      throw;
    }
  }
}

}  // namespace tenfold::models
