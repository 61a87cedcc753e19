#pragma once
/// \file One way to ask a model server over HTTP: bearer key, retries, Retry-After, errors in the server's own words. Used by every remote back end.
#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "base/context.h"
#include "base/json.h"

namespace tenfold::models {

/// The server's own message of an error body: {"error": {"message"}} (OpenAI), {"error"} (Ollama) or {"message"} (Cohere), at most 300 bytes; empty if there is none.
std::string MessageInError(std::string_view body);

/// Threads: any number.
class RemoteServer {
 public:
  /// `base`: "https://host/v1". `key`: sent as a bearer token, empty for none; never part of a message. `model` is named in errors.
  RemoteServer(std::string base, std::string model, std::string key) : base_(std::move(base)), model_(std::move(model)), key_(std::move(key)) {}
  const std::string& base() const { return base_; }
  const std::string& model() const { return model_; }

  struct PostOptions {
    std::function<void(std::string_view)> on_data;      ///< gets the body of a 200 as it comes; otherwise it is returned
    std::chrono::milliseconds attempt_timeout{0};       ///< of one attempt; 0: only the Context's deadline
    std::uint64_t response_limit_bytes = 64u << 20;
  };
  /// No connection, 408, 429 and 5xx are tried again, three times in all, as FetchPatiently() does it.
  /// Errors: kInvalidArgument (400, 404, 413, 422), kUnauthenticated (401, 498), kPermissionDenied (403), kResourceExhausted (429, or the limit), kUnavailable (the rest), kCancelled,
  /// kDeadlineExceeded.
  std::string Post(const Context& ctx, const std::string& path, const Json& body, const PostOptions& options) const;
  /// What Post throws for an answer of `status`.
  [[noreturn]] void ThrowAnswer(int status, std::string_view body) const;

 private:
  const std::string base_, model_, key_;
};

}  // namespace tenfold::models
