#pragma once
/// \file The HTTP/1.1 server: keep-alive, TLS, limits, deadlines, streaming with back-pressure, graceful drain. Beast stays in http_server.cc.
#include <memory>
#include <string>

#include "base/executor.h"
#include "base/http.h"
#include "base/telemetry.h"

namespace tenfold {

/// Who sends this request. Errors: kUnauthenticated. Must not wait. A public endpoint never asks.
using Authenticator = std::function<std::shared_ptr<const Principal>(const HttpRequest&)>;

struct HttpServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;                 ///< 0 takes a free one
  std::size_t io_threads = 1;
  std::size_t pool_threads = 16;          ///< requests and streams that may be at work at once
  std::size_t pool_queue = 256;           ///< further ones that may wait; then 429
  std::size_t max_connections = 10'000;
  std::size_t header_limit_bytes = 16 << 10;
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds body_timeout{60'000};
  std::chrono::milliseconds idle_timeout{75'000};
  std::chrono::milliseconds drain_timeout{10'000};
  std::string tls_certificate;            ///< PEM file with the chain; if set, the port speaks TLS 1.2 and 1.3 only
  std::string tls_key;                    ///< PEM file
  std::string unix_path;                  ///< if set, also listens on this socket; its callers own the data folder and are admins
};

/// Serves from construction to Stop(). Threads: Stop from any thread, once.
class HttpServer {
 public:
  /// Errors: kUnavailable if the port is in use; kInvalidArgument if the certificate cannot be used.
  HttpServer(HttpServerOptions options, Router router, Authenticator authenticate, Metrics& metrics, const Clock& clock);
  ~HttpServer();
  std::uint16_t port() const;
  /// Open now.
  std::size_t connections() const;
  /// Where requests run, for other protocols' requests, which count against the same limits. Lives as long as the server.
  ThreadPool& pool();
  /// Stops accepting, lets what is at work finish for `drain_timeout`, then cancels it.
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tenfold
