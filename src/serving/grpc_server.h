#pragma once
/// \file The gRPC side of the server: a table of methods, as endpoints are one, on the request pool, with the rights, deadlines and limits of the HTTP side. Messages are bytes here:
/// whoever owns a method knows its protobuf. gRPC's own headers stay in grpc_server.cc. Source: gRPC over HTTP/2, grpc.io; grpc.health.v1 for /grpc.health.v1.Health/Check.
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/http_server.h"

namespace tenfold::serving {

/// Both directions of one call, for the thread that handles it.
class GrpcStream {
 public:
  virtual ~GrpcStream() = default;
  /// Waits for the next message; nothing once the client has sent its last. Errors: kCancelled, kDeadlineExceeded.
  virtual std::optional<std::string> Read() = 0;
  /// Waits until the message is on its way. Errors: kCancelled once the client has left.
  virtual void Write(std::string_view message) = 0;
};

/// One row of the table.
struct GrpcMethod {
  std::string path;  ///< "/weaviate.v1.Weaviate/Search"
  Access access;
  std::chrono::milliseconds timeout;  ///< the client's deadline, if it is earlier, counts instead
  /// One request, one reply; or, if it is not set, `stream`. Both run on the pool and may block.
  std::function<std::string(const Context&, std::string_view request)> call;
  std::function<void(const Context&, GrpcStream&)> stream = {};
  std::size_t message_limit_bytes = 16u << 20;
};

struct GrpcServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  ///< 0 takes a free one
  std::size_t message_limit_bytes = 16u << 20;  ///< of every message in both directions
  std::chrono::milliseconds drain_timeout{10'000};
  std::string tls_certificate = {};  ///< PEM file with the chain; if set, the port speaks TLS only
  std::string tls_key = {};          ///< PEM file
};

/// Serves from construction to Stop(). Whoever calls a method that is not public says who they are as over HTTP, in the metadata `authorization`; nobody's messages are read before.
/// A call that finds the pool's queue full ends with RESOURCE_EXHAUSTED, one of an unknown method with UNIMPLEMENTED. Threads: Stop from any thread, once.
class GrpcServer {
 public:
  /// `pool` and `metrics` must outlive the server. Errors: kUnavailable if the port is in use; kInvalidArgument if the certificate cannot be read.
  GrpcServer(GrpcServerOptions options, std::vector<GrpcMethod> methods, Authenticator authenticate, ThreadPool& pool, Metrics& metrics, const Clock& clock);
  ~GrpcServer();
  std::uint16_t port() const;
  /// Stops accepting, lets what is at work finish for `drain_timeout`, then cancels it.
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tenfold::serving
