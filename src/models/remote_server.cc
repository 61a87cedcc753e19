#include "models/remote_server.h"

#include "base/http_retry.h"

namespace tenfold::models {
namespace {

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
  const auto make = [&] {
    HttpClientRequest request;
    request.method = "POST";
    request.url = base_ + path;
    request.headers = {{"content-type", "application/json"}};
    if (!key_.empty()) request.headers.emplace_back("authorization", "Bearer " + key_);
    request.body = text;
    request.response_limit_bytes = options.response_limit_bytes;
    request.on_data = options.on_data;
    return request;
  };
  HttpClientResponse response;
  try {
    response = FetchPatiently(ctx, RetryPolicy{.attempt_timeout = options.attempt_timeout}, make);
  } catch (const Error& e) {
    if (e.code() != Code::kUnavailable) throw;
    throw Error(e.code(), "'" + model_ + "' at " + base_ + ": " + e.message());
  }
  if (response.status == 200) return response.body;
  ThrowAnswer(response.status, response.body);
}

}  // namespace tenfold::models
