#pragma once
/// \file One way to ask again: a service that is busy or away is waited for as it asks, else with growing pauses of random length, never beyond the Context.
#include <chrono>
#include <cstdint>
#include <functional>

#include "base/http_client.h"

namespace tenfold {

struct RetryPolicy {
  int attempts = 3;                                    ///< in all
  std::chrono::milliseconds first_pause{200};          ///< doubles; the pause is between half of it and all, so that many clients do not come back together
  std::chrono::milliseconds longest_pause{20'000};     ///< also of what a service asks for: one that asks for more is not asked again
  std::chrono::milliseconds attempt_timeout{0};        ///< 0: only the Context's deadline
};

/// 408, 429 and 5xx.
bool IsBusy(const HttpClientResponse& response);

/// Fetches what `make` gives, which is called for each attempt, until `is_busy` is false, the attempts are used up or the service asks for a longer pause than the policy's:
/// then the last answer is returned, busy or not. No connection and an attempt's timeout count as busy. Nothing is asked again once HttpClientRequest::on_data was called.
/// Blocks the calling thread. Errors: kUnavailable (no connection, or no answer in time, the last time), else as Fetch().
HttpClientResponse FetchPatiently(const Context& ctx, const RetryPolicy& policy, const std::function<HttpClientRequest()>& make,
                                  const std::function<bool(const HttpClientResponse&)>& is_busy = IsBusy);

/// Sleeps unless the Context ends before. Errors: kCancelled, kDeadlineExceeded.
void SleepFor(const Context& ctx, std::chrono::milliseconds time);
/// Seconds to wait by Retry-After (seconds or a date, RFC 9110) or by x-ratelimit-reset with nothing remaining; negative if the answer says nothing.
std::int64_t SecondsToWait(const HttpClientResponse& response, std::int64_t now_seconds);

}  // namespace tenfold
