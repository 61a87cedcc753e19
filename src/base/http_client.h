#pragma once
/// \file An HTTP/1.1 client: TLS with verified certificates, redirects, streamed bodies, deadlines. Beast stays in http_client.cc.
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/context.h"

namespace tenfold {

struct HttpClientRequest {
  std::string method = "GET";
  std::string url;  ///< http: or https:
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::uint64_t response_limit_bytes = 64u << 20;
  int max_redirects = 5;
  enum class Redirects : std::uint8_t { kFollow, kReturn } redirects = Redirects::kFollow;  ///< kReturn: an answer of 3xx is an answer like any other
  /// What may be contacted. The address that was checked is the one connected to: names are resolved once, each redirect is checked anew.
  AddressPolicy addresses = AddressPolicy::kAny;
  /// If set, gets the body of a 2xx answer piece by piece instead of HttpClientResponse::body. What it throws ends the request.
  std::function<void(std::string_view)> on_data;
};

struct HttpClientResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case
  std::string body;
  std::string_view header(std::string_view lower_name) const;
};

/// One request; blocks the calling thread. Connections are kept open for half a minute and used again. Certificates and host names are always verified, against the system's roots
/// (or $SSL_CERT_FILE). A redirect from https: to http: is refused; credentials are not sent on to another host.
/// Errors: kInvalidArgument (URL, header), kPermissionDenied (`addresses`), kUnavailable (no connection, certificate, cut off), kResourceExhausted (limit), kDeadlineExceeded, kCancelled.
HttpClientResponse Fetch(const Context& ctx, const HttpClientRequest& request);

}  // namespace tenfold
