#include "base/http_retry.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>
#include <thread>

namespace tenfold {
namespace {

std::int64_t ReadNumber(std::string_view text) {
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : -1;
}

/// A date of RFC 9110 in its preferred form, "Sun, 06 Nov 1994 08:49:37 GMT", in seconds since 1970; negative if it is none.
std::int64_t ReadHttpDate(const std::string& text) {
  std::tm tm{};
  const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &tm);
  return end && *end == '\0' ? static_cast<std::int64_t>(::timegm(&tm)) : -1;
}

std::chrono::milliseconds PauseAfter(const RetryPolicy& policy, int attempt) {
  const auto growing = std::min<std::chrono::milliseconds>(policy.first_pause * (1l << std::min(attempt - 1, 20)), policy.longest_pause).count();
  return std::chrono::milliseconds(growing / 2 + static_cast<std::int64_t>(SystemRandom().Next() % static_cast<std::uint64_t>(growing / 2 + 1)));
}

}  // namespace

bool IsBusy(const HttpClientResponse& response) { return response.status == 408 || response.status == 429 || response.status >= 500; }

HttpClientResponse FetchPatiently(const Context& ctx, const RetryPolicy& policy, const std::function<HttpClientRequest()>& make,
                                  const std::function<bool(const HttpClientResponse&)>& is_busy) {
  for (int attempt = 1;; ++attempt) {
    ctx.Check();
    auto request = make();
    bool received = false;
    if (request.on_data)
      request.on_data = [&received, on_data = std::move(request.on_data)](std::string_view piece) {
        received = true;
        on_data(piece);
      };
    auto pause = PauseAfter(policy, attempt);
    try {
      auto response = Fetch(policy.attempt_timeout.count() > 0 ? ctx.WithTimeout(policy.attempt_timeout) : ctx, request);
      if (!is_busy(response) || attempt >= policy.attempts) return response;
      if (const auto asked = SecondsToWait(response, ToMicros(ctx.clock().Now()) / 1'000'000); asked >= 0) {
        if (asked > policy.longest_pause.count() / 1000) return response;
        pause = std::chrono::milliseconds(asked * 1000 + (asked ? static_cast<std::int64_t>(SystemRandom().Next() % 100) : 0));
      }
    } catch (const Error& e) {
      ctx.Check();
      const bool too_slow = e.code() == Code::kDeadlineExceeded;
      if (!too_slow && e.code() != Code::kUnavailable) throw;
      if (attempt >= policy.attempts || received) {
        const auto times = attempt > 1 ? ", " + std::to_string(attempt) + " times" : std::string();
        if (too_slow) throw Error(Code::kUnavailable, "no answer within " + std::to_string(policy.attempt_timeout.count()) + " ms" + times);
        throw Error(Code::kUnavailable, e.message() + times);
      }
    }
    SleepFor(ctx, pause);
  }
}

void SleepFor(const Context& ctx, std::chrono::milliseconds time) {
  constexpr auto kSlice = std::chrono::milliseconds(20);
  const auto until = std::chrono::steady_clock::now() + time;
  for (ctx.Check(); std::chrono::steady_clock::now() < until; ctx.Check())
    std::this_thread::sleep_for(std::min<std::chrono::steady_clock::duration>(kSlice, until - std::chrono::steady_clock::now()));
}

std::int64_t SecondsToWait(const HttpClientResponse& response, std::int64_t now_seconds) {
  if (const auto after = response.header("retry-after"); !after.empty()) {
    if (const auto seconds = ReadNumber(after); seconds >= 0) return seconds;
    if (const auto at = ReadHttpDate(std::string(after)); at >= 0) return std::max<std::int64_t>(0, at - now_seconds);
  }
  if (response.header("x-ratelimit-remaining") == "0")
    if (const auto reset = ReadNumber(response.header("x-ratelimit-reset")); reset >= 0) return std::clamp<std::int64_t>(reset - now_seconds, 0, 1'000'000);
  return -1;
}

}  // namespace tenfold
