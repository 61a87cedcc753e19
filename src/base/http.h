#pragma once
/// \file HTTP requests, responses and the endpoint table. A row says who may call and for how long; router, access check, OpenAPI and metrics
/// are made from it, so they cannot be forgotten.
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/describe.h"
#include "base/json.h"

namespace tenfold {

struct HttpRequest {
  std::string method;
  std::string path;                         ///< decoded, without the query
  std::multimap<std::string, std::string> query;  ///< decoded; find() gives the first of a name
  std::map<std::string, std::string, std::less<>> path_params;
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case
  std::string body;
  std::string remote;                       ///< address of the peer

  /// Empty if absent.
  std::string_view header(std::string_view lower_name) const;
  /// Every value of a name in the query, in order.
  std::vector<std::string> query_all(const std::string& name) const;
  /// The value of a cookie, empty if absent.
  std::string_view cookie(std::string_view name) const;
};

/// Where a streaming handler writes. Blocks while the reader is slow.
class StreamWriter {
 public:
  virtual ~StreamWriter() = default;
  /// Errors: kCancelled once the client has left.
  virtual void Write(std::string_view bytes) = 0;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  /// If set, the body is what it writes, sent as it comes. What it throws before the first piece becomes the answer, with its status.
  std::function<void(StreamWriter&)> stream;
};

/// One open WebSocket, as its handler sees it. Threads: safe from any thread.
class WebSocket {
 public:
  virtual ~WebSocket() = default;
  /// Queues a text message; waits while the reader is slow, so only in a job of Run(). Errors: kCancelled once the client has left.
  virtual void Send(std::string_view text) = 0;
  /// The same without waiting. False if the client has left or is too far behind.
  virtual bool Offer(std::string_view text) = 0;
  /// Runs `job` on the request pool. Errors: kResourceExhausted.
  virtual void Run(std::function<void()> job) = 0;
};

/// Called on the I/O thread when a socket opens; what it returns takes each text message there, one after another. Neither may wait.
/// The Context is cancelled when the client leaves; its deadline is that of the socket, which is then closed with 1001.
using WebSocketHandler = std::function<std::function<void(std::string message)>(const Context&, std::shared_ptr<WebSocket>)>;

enum class Access : std::uint8_t { kPublic, kUser, kAgent, kAdmin };
/// kIo handlers never wait and run on the I/O thread; kPool handlers may block and run on the request pool.
enum class RunsOn : std::uint8_t { kIo, kPool };

using Handler = std::function<HttpResponse(const Context&, const HttpRequest&)>;

/// One row of the table.
struct Endpoint {
  std::string method;
  std::string path;  ///< "/v1/models/{name}"; "{rest...}" takes what is left
  Access access;
  std::chrono::milliseconds timeout;
  std::string summary;
  Handler handler;
  RunsOn runs_on = RunsOn::kPool;
  std::size_t body_limit_bytes = 1u << 20;
  Json request_schema = nullptr;
  Json response_schema = nullptr;
  WebSocketHandler websocket = {};  ///< if set, this is where a GET is upgraded; `body_limit_bytes` bounds a message
};

/// A handler from a function over described types: parses, validates, formats.
template <class Request, class Response>
Endpoint MakeJsonEndpoint(std::string method, std::string path, Access access, std::chrono::milliseconds timeout, std::string summary,
                          std::function<Response(const Context&, const Request&)> function, Unknown unknown = Unknown::kRefuse) {
  Endpoint row{std::move(method), std::move(path), access, timeout, std::move(summary), {}, RunsOn::kPool, 1u << 20, SchemaOf<Request>(), SchemaOf<Response>()};
  row.handler = [function = std::move(function), unknown](const Context& ctx, const HttpRequest& http) {
    const auto request = FromJson<Request>(http.body.empty() ? Json(JsonObject{}) : ParseJson(http.body), unknown);
    HttpResponse response;
    response.body = ToText(ToJson(function(ctx, request)));
    return response;
  };
  return row;
}

/// The one place where an error meets HTTP.
int HttpStatusOf(Code code);
HttpResponse JsonResponse(const Json& body, int status = 200);
/// What OpenAI's clients call an error of that status.
std::string_view OpenAiErrorType(int status);
/// {"error":{"message","type","param","code"}} as OpenAI's clients expect.
HttpResponse ErrorResponse(const Error& error);
/// OpenAPI 3.1 of the table.
Json OpenApiOf(const std::vector<Endpoint>& endpoints, std::string_view title, std::string_view version);

/// Matches method and path. Threads: read-only after construction.
class Router {
 public:
  explicit Router(std::vector<Endpoint> endpoints);
  struct Match {
    const Endpoint* endpoint = nullptr;
    std::map<std::string, std::string, std::less<>> params;
  };
  /// Errors: kNotFound; kUnimplemented if the path exists with another method.
  Match Find(std::string_view method, std::string_view path) const;
  const std::vector<Endpoint>& endpoints() const { return endpoints_; }

 private:
  std::vector<Endpoint> endpoints_;
  std::map<std::string, std::map<std::string, const Endpoint*, std::less<>>, std::less<>> fixed_;
};

}  // namespace tenfold
