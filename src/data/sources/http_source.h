#pragma once
/// \file The one polite way in which sources speak HTTP: paced requests, waits that a server asks for, bounded retries, limits, credentials that stay with
/// their host.
#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/http_client.h"
#include "base/http_retry.h"
#include "base/json.h"
#include "base/percent.h"
#include "data/parse.h"
#include "data/source.h"

namespace tenfold::data {

/// "#a=1&b=two" behind a source's URL, percent-decoded. Errors: kInvalidArgument for an option that is not among `known` or stands there twice.
class SourceOptions {
 public:
  SourceOptions(std::string_view fragment, std::string_view scheme, std::initializer_list<std::string_view> known);
  /// `otherwise` if absent.
  std::string Text(std::string_view name, std::string_view otherwise = {}) const;
  /// Errors: kInvalidArgument outside [low, high].
  std::int64_t Number(std::string_view name, std::int64_t otherwise, std::int64_t low, std::int64_t high) const;
  /// Errors: kInvalidArgument if it is none of `choices`.
  std::string Choice(std::string_view name, std::string_view otherwise, std::initializer_list<std::string_view> choices) const;
  /// "#a=1&b=two" in order of names, encoded; empty if there are none. Part of a canonical URL.
  std::string text() const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

/// Whether it begins with http:// or https://, in any case of letters.
bool IsHttpUrl(std::string_view text);
/// Scheme and host in lower case, no default port, no dot segments, no fragment, escapes in one form; path "/" if empty. Empty if it is no http: or https: URL
/// without user information, or longer than 2,048 bytes. `base` resolves a relative one.
std::string NormaliseUrl(std::string_view reference, std::string_view base = {});
/// The address that an operator wrote: refused as CheckUrl does unless the setup allows it, with the setting that would.
void CheckStart(const std::string& url, const SourceSetup& setup);
/// "https://host:8443" of a normalised URL.
std::string_view OriginOf(std::string_view url);

/// A pause that SourceSetup::haste shortens.
inline std::chrono::milliseconds Hastened(std::chrono::milliseconds pause, double haste) {
  return std::chrono::milliseconds(std::max<std::int64_t>(1, static_cast<std::int64_t>(static_cast<double>(pause.count()) / haste)));
}

/// Threads: one at a time.
class HttpSourceClient {
 public:
  struct Options {
    std::string what;  ///< "notion:", for messages
    AddressPolicy addresses = AddressPolicy::kPublicOnlyAnyPort;
    std::vector<std::pair<std::string, std::string>> headers = {};
    std::string authorization = {};  ///< sent to `origin` only; never part of a message
    std::string origin = {};
    double requests_per_second = 3;
    double burst = 3;
    int attempts = 4;
    std::chrono::milliseconds first_pause{200};  ///< before a request that failed is made again; doubles
    std::chrono::milliseconds attempt_timeout{30'000};
    std::chrono::milliseconds longest_wait{60'000};  ///< a server that asks for more is told by kResourceExhausted when to come again
    HttpClientRequest::Redirects redirects = HttpClientRequest::Redirects::kFollow;
  };
  explicit HttpSourceClient(Options options);

  struct Request {
    std::string url;
    std::string method = "GET";
    std::vector<std::pair<std::string, std::string>> headers = {};
    std::string body = {};
    std::uint64_t response_limit_bytes = kMaxDocumentBytes;
  };
  /// Any answer but 429, 5xx, and a 403 that speaks of a rate limit; those are asked again, after what Retry-After or x-ratelimit-reset says, else after a
  /// growing pause. Errors: kResourceExhausted (rate limit, with param "rate"; size), kUnavailable, kPermissionDenied (address), kCancelled, kDeadlineExceeded.
  HttpClientResponse Fetch(const Context& ctx, const Request& request);
  /// The JSON of a 2xx answer. Errors: also as ThrowFor(), kUnavailable if it is no JSON.
  Json FetchJson(const Context& ctx, const Request& request, HttpClientResponse* response = nullptr);
  /// 401 kUnauthenticated, 403 kPermissionDenied, 404 and 410 kNotFound, 400 and 422 kInvalidArgument, else kUnavailable; with the "message" of the body.
  [[noreturn]] void ThrowFor(const HttpClientResponse& response, std::string_view url) const;
  /// At most one request in `pause` from now on, if that is slower than before.
  void SlowDown(std::chrono::milliseconds pause);

 private:
  void Pace(const Context& ctx);
  Options options_;
  double tokens_;
  std::chrono::steady_clock::time_point filled_;
};

/// The target of rel="next" (RFC 8288), empty if there is none.
std::string NextLink(std::string_view link_header);
/// A text of an object, empty if it is not there or no text.
std::string TextOf(const Json& object, std::string_view key);

}  // namespace tenfold::data
