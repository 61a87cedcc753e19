#include "data/s3_client.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <pugixml.hpp>
#include <sstream>

#include "base/crypto.h"
#include "base/http_retry.h"
#include "base/percent.h"

namespace tenfold::data {
namespace {

constexpr std::uint64_t kMaxErrorBytes = 64 << 10;  // what went wrong is told in a document too
constexpr int kAttempts = 6;

/// Sorted by encoded name, then by encoded value, as they are signed; sent the same.
std::string ToQuery(const std::multimap<std::string, std::string>& parameters) {
  std::vector<std::pair<std::string, std::string>> encoded;
  for (const auto& [name, value] : parameters) encoded.emplace_back(PercentEncode(name), PercentEncode(value));
  std::sort(encoded.begin(), encoded.end());
  std::string out;
  for (const auto& [name, value] : encoded) out += (out.empty() ? "" : "&") + name + "=" + value;
  return out;
}

/// Runs of blanks are one blank, none at the ends.
std::string Trim(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c != ' ' && c != '\t') out += c;
    else if (!out.empty() && out.back() != ' ') out += ' ';
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

Code CodeOf(int status, std::string_view error) {
  const auto is = [&](std::initializer_list<std::string_view> names) { return std::find(names.begin(), names.end(), error) != names.end(); };
  if (is({"NoSuchBucket", "NoSuchKey", "NoSuchVersion", "NoSuchUpload"})) return Code::kNotFound;
  if (is({"ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "TokenRefreshRequired", "InvalidClientTokenId", "RequestExpired",
          "NotSignedUp", "XAdminUserNotFound"}))
    return Code::kUnauthenticated;
  if (is({"AccessDenied", "AllAccessDisabled", "AccountProblem"})) return Code::kPermissionDenied;
  if (is({"InvalidObjectState", "RequestTimeTooSkewed", "ObjectLockConfigurationNotFoundError"})) return Code::kFailedPrecondition;
  if (is({"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "EntityTooLarge"})) return Code::kResourceExhausted;
  if (status == 401) return Code::kUnauthenticated;
  if (status == 403) return Code::kPermissionDenied;
  if (status == 404) return Code::kNotFound;
  if (status == 429) return Code::kResourceExhausted;
  if (status >= 500) return Code::kUnavailable;
  return Code::kInvalidArgument;
}

/// Of the document in which S3 says what went wrong; empty if it is none.
std::string ErrorNameIn(const HttpClientResponse& response) {
  if (response.body.size() > kMaxErrorBytes) return {};
  pugi::xml_document document;
  document.load_buffer(response.body.data(), response.body.size());
  return document.child("Error").child_value("Code");
}

bool MayRetry(int status, std::string_view error) {
  return status == 429 || status == 500 || status == 502 || status == 503 || status == 504 || error == "SlowDown" || error == "RequestTimeout";
}

pugi::xml_document ParseXml(const std::string& text, const char* root, std::string_view what) {
  pugi::xml_document document;
  if (!document.load_buffer(text.data(), text.size(), pugi::parse_default) || !document.child(root))
    throw Error(Code::kUnavailable, std::string(what) + " answered with something else than <" + root + ">");
  return document;
}

}  // namespace

std::map<std::string, std::string> SignV4(const SigV4Request& request, const S3Credentials& credentials, std::string_view region, std::string_view service,
                                          TimePoint at) {
  const auto seconds = static_cast<std::time_t>(std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count());
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char moment[17];
  std::strftime(moment, sizeof moment, "%Y%m%dT%H%M%SZ", &parts);
  const std::string day(moment, 8);

  std::map<std::string, std::string> added{{"x-amz-date", moment}};
  if (!credentials.session_token.empty()) added["x-amz-security-token"] = credentials.session_token;
  auto headers = request.headers;
  headers["host"] = request.host;
  headers.insert(added.begin(), added.end());
  std::string canonical_headers, names;
  for (const auto& [name, value] : headers) {
    canonical_headers += name + ":" + Trim(value) + "\n";
    names += (names.empty() ? "" : ";") + name;
  }
  const auto canonical = request.method + "\n" + PercentEncode(request.path, "/") + "\n" + ToQuery(request.query) + "\n" + canonical_headers + "\n" + names +
                         "\n" + request.body_sha256;
  const auto scope = day + "/" + std::string(region) + "/" + std::string(service) + "/aws4_request";
  const auto to_sign = "AWS4-HMAC-SHA256\n" + std::string(moment) + "\n" + scope + "\n" + Sha256Hex(canonical);
  const auto key = HmacSha256(HmacSha256(HmacSha256(HmacSha256("AWS4" + credentials.secret_key, day), region), service), "aws4_request");
  added["authorization"] =
      "AWS4-HMAC-SHA256 Credential=" + credentials.access_key + "/" + scope + ", SignedHeaders=" + names + ", Signature=" + ToHex(HmacSha256(key, to_sign));
  return added;
}

std::string S3Client::HostOf() const {
  const auto host = place_.endpoint.substr(place_.endpoint.find("://") + 3);
  return place_.style == S3Place::Style::kVirtualHost ? place_.bucket + "." + host : host;
}
std::string S3Client::PathOf(std::string_view key) const {
  return "/" + (place_.style == S3Place::Style::kPath ? place_.bucket + (key.empty() ? "" : "/") : std::string()) + std::string(key);
}
std::string S3Client::UrlOf(std::string_view key) const {
  return place_.endpoint.substr(0, place_.endpoint.find("://") + 3) + HostOf() + PercentEncode(PathOf(key), "/");
}

HttpClientResponse S3Client::Send(const Context& ctx, const Call& call) const {
  const auto what = "'s3:" + place_.bucket + (call.key.empty() ? "" : "/" + call.key) + "'";
  SigV4Request signing{call.method, HostOf(), PathOf(call.key), call.query, call.headers, Sha256Hex(call.body)};
  signing.headers["x-amz-content-sha256"] = signing.body_sha256;
  const auto make = [&] {
    HttpClientRequest request;
    request.method = call.method;
    request.url = UrlOf(call.key) + (call.query.empty() ? "" : "?" + ToQuery(call.query));
    request.body = call.body;
    request.response_limit_bytes = call.limit_bytes;
    request.max_redirects = 0;  // a signature is good for one host only
    request.headers.assign(signing.headers.begin(), signing.headers.end());
    // Signed anew for each attempt: a signature is good for some minutes.
    if (!credentials_.access_key.empty())
      for (auto& header : SignV4(signing, credentials_, place_.region, "s3", ctx.clock().Now())) request.headers.emplace_back(header);
    return request;
  };
  HttpClientResponse response;
  try {
    response = FetchPatiently(ctx, {.attempts = kAttempts, .first_pause = first_pause_}, make, [](const HttpClientResponse& answer) { return MayRetry(answer.status, ErrorNameIn(answer)); });
  } catch (const Error& e) {
    if (e.code() == Code::kResourceExhausted) throw Error(e.code(), what + " is larger than the limit of " + std::to_string(call.limit_bytes) + " bytes");
    throw;
  }
  const bool is_error_page = response.status == 200 && response.body.size() < 4096 && response.body.find("<Error>") != std::string::npos && call.key.empty();
  if (response.status >= 200 && response.status < 300 && !is_error_page) return response;
  const auto error = ErrorNameIn(response);
  auto message = what + ": " + (error.empty() ? "status " + std::to_string(response.status) : error);
  if (const auto region = response.header("x-amz-bucket-region"); !region.empty() && region != place_.region)
    message += "; the bucket is in region '" + std::string(region) + "', add region=" + std::string(region);
  if (error == "RequestTimeTooSkewed") message += ": this machine's clock is wrong";
  if (credentials_.access_key.empty() && (response.status == 401 || response.status == 403))
    message += "; no credentials are set in $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY";
  auto code = CodeOf(response.status, error);
  if (response.status == 301 || response.status == 307) code = Code::kInvalidArgument;
  throw Error(code, message);
}

S3Page S3Client::List(const Context& ctx, std::string_view prefix, const std::string& continuation, int max_keys) const {
  Call call;
  call.query = {{"list-type", "2"}, {"encoding-type", "url"}, {"max-keys", std::to_string(max_keys)}};
  if (!prefix.empty()) call.query.emplace("prefix", prefix);
  if (!continuation.empty()) call.query.emplace("continuation-token", continuation);
  const auto response = Send(ctx, call);
  const auto document = ParseXml(response.body, "ListBucketResult", "'s3:" + place_.bucket + "'");
  const auto list = document.child("ListBucketResult");
  const bool encoded = std::string_view(list.child_value("EncodingType")) == "url";
  S3Page page;
  for (const auto entry : list.children("Contents")) {
    S3Object object;
    object.key = encoded ? PercentDecodeQuery(entry.child_value("Key")) : entry.child_value("Key");
    object.etag = entry.child_value("ETag");
    std::erase(object.etag, '"');
    const std::string_view size = entry.child_value("Size");
    if (object.key.empty() || std::from_chars(size.data(), size.data() + size.size(), object.size).ec != std::errc())
      throw Error(Code::kUnavailable, "'s3:" + place_.bucket + "' lists an object without key or size");
    object.last_modified = entry.child_value("LastModified");
    object.storage_class = entry.child_value("StorageClass");
    page.objects.push_back(std::move(object));
  }
  // A listing that says that it goes on but not where is broken, not at its end.
  const std::string_view truncated = list.child_value("IsTruncated");
  page.next = list.child_value("NextContinuationToken");
  if ((truncated != "true" && truncated != "false") || (truncated == "true") == page.next.empty())
    throw Error(Code::kUnavailable, "'s3:" + place_.bucket + "' does not say whether its listing goes on");
  if (!page.next.empty() && page.next == continuation) throw Error(Code::kUnavailable, "'s3:" + place_.bucket + "' lists the same page for ever");
  return page;
}

std::string S3Client::Get(const Context& ctx, std::string_view key, std::uint64_t limit_bytes) const {
  Call call;
  call.key = key;
  call.limit_bytes = std::max(limit_bytes, kMaxErrorBytes);
  auto body = Send(ctx, call).body;
  if (body.size() > limit_bytes)
    throw Error(Code::kResourceExhausted,
                "'s3:" + place_.bucket + "/" + std::string(key) + "' has " + std::to_string(body.size()) + " bytes, limit " + std::to_string(limit_bytes));
  return body;
}

std::string S3Client::GetRange(const Context& ctx, std::string_view key, std::uint64_t offset, std::size_t length) const {
  if (length == 0) return {};
  Call call;
  call.key = key;
  call.limit_bytes = std::max<std::uint64_t>(length, kMaxErrorBytes);
  call.headers["range"] = "bytes=" + std::to_string(offset) + "-" + std::to_string(offset + length - 1);
  try {
    auto response = Send(ctx, call);
    if (response.status == 206) return std::move(response.body);
    // A service that does not know ranges has sent all of it.
    return offset < response.body.size() ? response.body.substr(offset, length) : std::string();
  } catch (const Error& e) {
    if (e.code() == Code::kInvalidArgument && e.message().find("InvalidRange") != std::string::npos) return {};
    throw;
  }
}

std::optional<S3Head> S3Client::Head(const Context& ctx, std::string_view key) const {
  Call call;
  call.method = "HEAD";
  call.key = key;
  HttpClientResponse response;
  try {
    response = Send(ctx, call);
  } catch (const Error& e) {
    if (e.code() == Code::kNotFound) return std::nullopt;
    throw;
  }
  S3Head head;
  const auto size = response.header("content-length");
  std::from_chars(size.data(), size.data() + size.size(), head.size);
  head.etag = response.header("etag");
  std::erase(head.etag, '"');
  head.content_type = response.header("content-type");
  for (const auto& [name, value] : response.headers)
    if (name.starts_with("x-amz-meta-")) head.metadata[name.substr(11)] = value;
  return head;
}

std::map<std::string, std::string> S3Client::GetTags(const Context& ctx, std::string_view key) const {
  Call call;
  call.key = key;
  call.query = {{"tagging", ""}};
  const auto response = Send(ctx, call);
  const auto document = ParseXml(response.body, "Tagging", "'s3:" + place_.bucket + "'");
  std::map<std::string, std::string> tags;
  for (const auto tag : document.child("Tagging").child("TagSet").children("Tag")) tags[tag.child_value("Key")] = tag.child_value("Value");
  return tags;
}

void S3Client::PutTags(const Context& ctx, std::string_view key, const std::map<std::string, std::string>& tags) const {
  pugi::xml_document document;
  auto set = document.append_child("Tagging").append_child("TagSet");
  for (const auto& [name, value] : tags) {
    auto tag = set.append_child("Tag");
    tag.append_child("Key").text().set(name.c_str());
    tag.append_child("Value").text().set(value.c_str());
  }
  std::ostringstream text;
  document.save(text, "", pugi::format_raw | pugi::format_no_declaration);
  Call call;
  call.method = "PUT";
  call.key = key;
  call.query = {{"tagging", ""}};
  call.body = text.str();
  Send(ctx, call);
}

void S3Client::Put(const Context& ctx, std::string_view key, std::string bytes, const std::map<std::string, std::string>& metadata) const {
  Call call;
  call.method = "PUT";
  call.key = key;
  call.body = std::move(bytes);
  for (const auto& [name, value] : metadata) call.headers["x-amz-meta-" + name] = value;
  Send(ctx, call);
}

void S3Client::Delete(const Context& ctx, std::string_view key) const {
  Call call;
  call.method = "DELETE";
  call.key = key;
  Send(ctx, call);
}

}  // namespace tenfold::data
