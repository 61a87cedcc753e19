#pragma once
/// \file Amazon S3's protocol, as spoken by it and by many others: signed requests, listings in pages, errors as codes.
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/http_client.h"

namespace tenfold::data {

/// Empty access key: requests are not signed, as for public buckets.
struct S3Credentials {
  std::string access_key, secret_key;
  std::string session_token;  ///< only of temporary credentials
};

/// Where a bucket is.
struct S3Place {
  enum class Style : std::uint8_t { kPath, kVirtualHost };
  std::string endpoint;  ///< "https://s3.eu-west-1.amazonaws.com", without a path
  std::string bucket;
  std::string region = "us-east-1";
  Style style = Style::kPath;
};

/// What is to be signed. The path and the parameters are not encoded yet.
struct SigV4Request {
  std::string method, host, path;
  std::multimap<std::string, std::string> query;
  std::map<std::string, std::string> headers;  ///< names in lower case; "host" and "x-amz-date" are added
  std::string body_sha256;                     ///< hex, or "UNSIGNED-PAYLOAD"
};
/// The headers to send with it: x-amz-date, x-amz-security-token and authorization. `at` is the moment of signing.
/// Source: AWS Signature Version 4 (docs.aws.amazon.com, "Authenticating Requests: Using the Authorization Header"), with S3's rule that a path is encoded
/// once.
std::map<std::string, std::string> SignV4(const SigV4Request& request, const S3Credentials& credentials, std::string_view region, std::string_view service,
                                          TimePoint at);

struct S3Object {
  std::string key;
  std::string etag;  ///< without quotes
  std::uint64_t size = 0;
  std::string last_modified;  ///< RFC 3339
  std::string storage_class;  ///< empty where the service does not say
};
struct S3Page {
  std::vector<S3Object> objects;
  std::string next;  ///< continuation token; empty: this was the last page
};
struct S3Head {
  std::uint64_t size = 0;
  std::string etag, content_type;
  std::map<std::string, std::string> metadata;  ///< x-amz-meta-*, without that
};

/// Requests to one bucket. A service that asks to slow down, or fails for the moment, is asked again after growing pauses (0.2 s doubling, five times;
/// Retry-After is kept to), within the Context's deadline. Threads: any number. Errors of every call: kNotFound (bucket or key), kPermissionDenied,
/// kUnauthenticated (unknown, expired or wrong credentials), kInvalidArgument (name, region), kFailedPrecondition (archived, clock more than 15 minutes off),
/// kResourceExhausted (still asked to slow down, or larger than the limit), kUnavailable, kDeadlineExceeded, kCancelled.
class S3Client {
 public:
  /// `first_pause` doubles with each further attempt.
  S3Client(S3Place place, S3Credentials credentials, std::chrono::milliseconds first_pause = std::chrono::milliseconds(200))
      : place_(std::move(place)), credentials_(std::move(credentials)), first_pause_(first_pause) {}
  const S3Place& place() const { return place_; }
  /// Keys that begin with `prefix`, in the order of their bytes, at most `max_keys` (1 to 1000) a page.
  S3Page List(const Context& ctx, std::string_view prefix, const std::string& continuation, int max_keys = 1000) const;
  std::string Get(const Context& ctx, std::string_view key, std::uint64_t limit_bytes) const;
  /// Fewer bytes at the end, none behind it.
  std::string GetRange(const Context& ctx, std::string_view key, std::uint64_t offset, std::size_t length) const;
  /// Nothing if there is no such key.
  std::optional<S3Head> Head(const Context& ctx, std::string_view key) const;
  std::map<std::string, std::string> GetTags(const Context& ctx, std::string_view key) const;
  void PutTags(const Context& ctx, std::string_view key, const std::map<std::string, std::string>& tags) const;
  /// An empty key makes the bucket.
  void Put(const Context& ctx, std::string_view key, std::string bytes, const std::map<std::string, std::string>& metadata = {}) const;
  /// No error if there is no such key.
  void Delete(const Context& ctx, std::string_view key) const;
  /// Scheme, host and encoded path of a key, as it is asked for.
  std::string UrlOf(std::string_view key) const;

 private:
  struct Call {
    std::string method = "GET";
    std::string key;
    std::multimap<std::string, std::string> query;
    std::map<std::string, std::string> headers;
    std::string body;
    std::uint64_t limit_bytes = 16u << 20;
  };
  HttpClientResponse Send(const Context& ctx, const Call& call) const;
  std::string HostOf() const;
  std::string PathOf(std::string_view key) const;

  const S3Place place_;
  const S3Credentials credentials_;
  const std::chrono::milliseconds first_pause_;
};

}  // namespace tenfold::data
