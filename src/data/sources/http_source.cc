#include "data/sources/http_source.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace tenfold::data {
namespace {

int HexDigit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

std::int64_t ReadNumber(std::string_view text) {
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : -1;
}

struct UrlParts {
  std::string scheme;
  std::optional<std::string> authority;
  std::string path;
  std::optional<std::string> query;
};
/// Source: RFC 3986, appendix B; no fragment.
UrlParts SplitUrl(std::string_view url) {
  UrlParts out;
  const auto end = url.find_first_of(":/?");
  if (end != std::string_view::npos && end > 0 && url[end] == ':') {
    out.scheme = url.substr(0, end);
    url.remove_prefix(end + 1);
  }
  if (url.starts_with("//")) {
    const auto stop = std::min(url.find_first_of("/?", 2), url.size());
    out.authority = url.substr(2, stop - 2);
    url.remove_prefix(stop);
  }
  out.path = url.substr(0, url.find('?'));
  if (out.path.size() < url.size()) out.query = url.substr(out.path.size() + 1);
  return out;
}

/// An absolute path. Source: RFC 3986, 5.2.4.
std::string WithoutDotSegments(std::string_view path) {
  std::vector<std::string_view> kept;
  bool folder = true;
  for (std::size_t at = path.starts_with('/') ? 1 : 0; at <= path.size();) {
    const auto end = std::min(path.find('/', at), path.size());
    const auto segment = path.substr(at, end - at);
    folder = segment.empty() || segment == "." || segment == "..";
    if (segment == ".." && !kept.empty()) kept.pop_back();
    else if (segment != "." && segment != ".." && (end < path.size() || !segment.empty())) kept.push_back(segment);
    at = end + 1;
  }
  std::string out;
  for (const auto segment : kept) (out += '/') += segment;
  return folder || out.empty() ? out + "/" : out;
}

bool SaysRateLimit(const HttpClientResponse& response) {
  if (response.status == 429) return true;
  return response.status == 403 && (!response.header("retry-after").empty() || response.header("x-ratelimit-remaining") == "0" ||
                                    response.body.substr(0, 4096).find("rate limit") != std::string::npos);
}

}  // namespace

bool IsHttpUrl(std::string_view text) {
  std::string scheme(text.substr(0, std::min(text.size(), text.find("//"))));
  for (auto& c : scheme) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text.size() > scheme.size() && (scheme == "http:" || scheme == "https:");
}

std::string NormaliseUrl(std::string_view reference, std::string_view base) {
  while (!reference.empty() && static_cast<unsigned char>(reference.front()) <= ' ') reference.remove_prefix(1);
  while (!reference.empty() && static_cast<unsigned char>(reference.back()) <= ' ') reference.remove_suffix(1);
  if (const auto hash = reference.find('#'); hash != std::string_view::npos) reference = reference.substr(0, hash);
  if (reference.size() > 2048) return {};
  // What people write unescaped in links is escaped here, and each escape has one form; a '%' that begins none is meant as itself.
  std::string clean;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const char c = reference[i];
    if (c == '\n' || c == '\r' || c == '\t') continue;
    if (c != '%') clean += PercentEncode(std::string_view(&c, 1), "%:/?[]@!$&'()*+,;=");
    else if (i + 2 < reference.size() && HexDigit(reference[i + 1]) >= 0 && HexDigit(reference[i + 2]) >= 0) {
      clean += PercentEncode(PercentDecode(reference.substr(i, 3)));
      i += 2;
    } else clean += "%25";
  }
  auto url = SplitUrl(clean);
  if (url.scheme.empty()) {
    // RFC 3986, 5.2.2. Boost.URL 1.81 undoes %2F while it normalises, which is another path.
    const auto root = SplitUrl(base);
    if (root.scheme.empty()) return {};
    url.scheme = root.scheme;
    if (!url.authority) {
      url.authority = root.authority;
      if (url.path.empty()) {
        url.path = root.path;
        if (!url.query) url.query = root.query;
      } else if (url.path[0] != '/') url.path = (root.path.empty() ? "/" : root.path.substr(0, root.path.rfind('/') + 1)) + url.path;
    }
  }
  for (auto& c : url.scheme) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if ((url.scheme != "http" && url.scheme != "https") || !url.authority || url.authority->find_first_of("@%") != std::string::npos) return {};
  auto host = *url.authority;
  for (auto& c : host) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const std::string_view port : {url.scheme == "http" ? ":80" : ":443", ":"})
    if (host.ends_with(port)) {
      host.resize(host.size() - port.size());
      break;
    }
  if (host.ends_with(':')) return {};
  auto out = url.scheme + "://" + host + WithoutDotSegments(url.path) + (url.query ? "?" + *url.query : "");
  if (out.size() > 2048) return {};
  try {
    CheckUrl(out, AddressPolicy::kAny);
  } catch (const Error&) {
    return {};
  }
  return out;
}

void CheckStart(const std::string& url, const SourceSetup& setup) {
  try {
    CheckUrl(url, setup.allow_private_addresses ? AddressPolicy::kAny : AddressPolicy::kPublicOnlyAnyPort);
  } catch (const Error& e) {
    if (e.code() != Code::kPermissionDenied) throw;
    throw Error(e.code(), e.message() + "; the setting data.private_addresses lets sources reach this machine and private networks", e.param());
  }
}

std::string_view OriginOf(std::string_view url) {
  const auto slashes = url.find("//");
  if (slashes == std::string_view::npos) return {};
  return url.substr(0, url.find_first_of("/?#", slashes + 2));
}

SourceOptions::SourceOptions(std::string_view fragment, std::string_view scheme, std::initializer_list<std::string_view> known) {
  while (!fragment.empty()) {
    const auto end = std::min(fragment.find('&'), fragment.size());
    const auto pair = fragment.substr(0, end);
    fragment.remove_prefix(std::min(end + 1, fragment.size()));
    if (pair.empty()) continue;
    const auto name = PercentDecode(pair.substr(0, pair.find('=')));
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      std::string all;
      for (const auto one : known) all += (all.empty() ? "" : ", ") + std::string(one);
      throw Error(Code::kInvalidArgument, std::string(scheme) + " has no option '" + name.substr(0, 64) + "'; it has: " + all, "url");
    }
    const auto equals = pair.find('=');
    if (!values_.emplace(name, equals == std::string_view::npos ? "" : PercentDecode(pair.substr(equals + 1))).second)
      throw Error(Code::kInvalidArgument, std::string(scheme) + " option '" + name + "' stands there twice", "url");
  }
}

std::string SourceOptions::Text(std::string_view name, std::string_view otherwise) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::string(otherwise) : found->second;
}

std::int64_t SourceOptions::Number(std::string_view name, std::int64_t otherwise, std::int64_t low, std::int64_t high) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return otherwise;
  const auto value = ReadNumber(found->second);
  if (value < low || value > high || value < 0)
    throw Error(Code::kInvalidArgument,
                "option '" + std::string(name) + "' is '" + found->second.substr(0, 64) + "', must be " + std::to_string(low) + " to " + std::to_string(high),
                "url");
  return value;
}

std::string SourceOptions::Choice(std::string_view name, std::string_view otherwise, std::initializer_list<std::string_view> choices) const {
  const auto value = Text(name, otherwise);
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return value;
  std::string all;
  for (const auto one : choices) all += (all.empty() ? "" : ", ") + std::string(one);
  throw Error(Code::kInvalidArgument, "option '" + std::string(name) + "' is '" + value.substr(0, 64) + "', must be one of: " + all, "url");
}

std::string SourceOptions::text() const {
  std::string out;
  for (const auto& [name, value] : values_)
    out += (out.empty() ? "#" : "&") + PercentEncode(name) + (value.empty() ? "" : "=" + PercentEncode(value, "/,:.*{}$ "));
  return out;
}

std::string NextLink(std::string_view header) {
  while (true) {
    const auto begin = header.find('<');
    if (begin == std::string_view::npos) return {};
    const auto end = header.find('>', begin);
    if (end == std::string_view::npos) return {};
    const auto target = header.substr(begin + 1, end - begin - 1);
    const auto following = header.find('<', end);
    auto parameters = std::string(header.substr(end + 1, following == std::string_view::npos ? std::string_view::npos : following - end - 1));
    std::erase_if(parameters, [](char c) { return c == ' ' || c == '"'; });
    if (parameters.starts_with(";rel=next") || parameters.find(";rel=next") != std::string::npos) return std::string(target);
    if (following == std::string_view::npos) return {};
    header.remove_prefix(following);
  }
}

std::string TextOf(const Json& object, std::string_view key) {
  if (!object.is_object()) return {};
  const auto* found = object.get_object().if_contains(boost::json::string_view(key.data(), key.size()));
  return found && found->is_string() ? std::string(AsView(found->get_string())) : std::string();
}

HttpSourceClient::HttpSourceClient(Options options) : options_(std::move(options)), tokens_(options_.burst), filled_(std::chrono::steady_clock::now()) {
  if (!options_.authorization.empty() && !options_.origin.starts_with("https://") && options_.addresses != AddressPolicy::kAny)
    throw Error(Code::kInvalidArgument, options_.what + " has a token, which is sent over https: only", "url");
}

void HttpSourceClient::SlowDown(std::chrono::milliseconds pause) {
  if (pause.count() <= 0) return;
  options_.requests_per_second = std::min(options_.requests_per_second, 1000.0 / static_cast<double>(pause.count()));
  options_.burst = 1;
  tokens_ = std::min(tokens_, 1.0);
}

void HttpSourceClient::Pace(const Context& ctx) {
  while (true) {
    const auto now = std::chrono::steady_clock::now();
    tokens_ = std::min(options_.burst, tokens_ + std::chrono::duration<double>(now - filled_).count() * options_.requests_per_second);
    filled_ = now;
    if (tokens_ >= 1) break;
    SleepFor(ctx, std::chrono::milliseconds(static_cast<std::int64_t>((1 - tokens_) / options_.requests_per_second * 1000) + 1));
  }
  tokens_ -= 1;
}

HttpClientResponse HttpSourceClient::Fetch(const Context& ctx, const Request& request) {
  const RetryPolicy policy{options_.attempts, options_.first_pause, options_.longest_wait, options_.attempt_timeout};
  const auto where = "'" + std::string(OriginOf(request.url)) + "'";
  int attempts = 0;
  HttpClientResponse response;
  try {
    response = FetchPatiently(
        ctx, policy,
        [&] {
          ++attempts;
          Pace(ctx);
          HttpClientRequest out;
          out.method = request.method;
          out.url = request.url;
          out.body = request.body;
          out.headers = options_.headers;
          out.headers.insert(out.headers.end(), request.headers.begin(), request.headers.end());
          out.addresses = options_.addresses;
          out.redirects = options_.redirects;
          out.response_limit_bytes = request.response_limit_bytes;
          if (!options_.authorization.empty() && OriginOf(request.url) == options_.origin) out.headers.emplace_back("authorization", options_.authorization);
          return out;
        },
        [](const HttpClientResponse& answer) { return SaysRateLimit(answer) || answer.status >= 500; });
  } catch (const Error& e) {
    if (e.code() != Code::kUnavailable) throw;
    throw Error(Code::kUnavailable, options_.what + " " + where + ": " + e.message());
  }
  const bool limited = SaysRateLimit(response);
  if (!limited && response.status < 500) return response;
  const auto problem = options_.what + " " + where + " answers " + std::to_string(response.status);
  const auto code = limited ? Code::kResourceExhausted : Code::kUnavailable;
  if (const auto wait = SecondsToWait(response, ToMicros(ctx.clock().Now()) / 1'000'000); wait > options_.longest_wait.count() / 1000)
    throw Error(code, problem + " and asks to come again in " + std::to_string(wait) + " s", limited ? "rate" : "");
  throw Error(code, problem + ", " + std::to_string(attempts) + " times", limited ? "rate" : "");
}

void HttpSourceClient::ThrowFor(const HttpClientResponse& response, std::string_view url) const {
  std::string message =
      options_.what + " '" + std::string(url.substr(0, std::min(url.find('?'), std::size_t{200}))) + "' answers " + std::to_string(response.status);
  try {
    if (response.body.size() < (64u << 10))
      if (const auto text = TextOf(ParseJson(response.body), "message"); !text.empty()) message += ": " + text.substr(0, 200);
  } catch (const Error&) {
  }
  switch (response.status) {
    case 400:
    case 422:
      throw Error(Code::kInvalidArgument, message, "url");
    case 401:
      throw Error(Code::kUnauthenticated, message);
    case 403:
      throw Error(Code::kPermissionDenied, message);
    case 404:
    case 410:
      throw Error(Code::kNotFound, message);
    default:
      throw Error(Code::kUnavailable, message);
  }
}

Json HttpSourceClient::FetchJson(const Context& ctx, const Request& request, HttpClientResponse* response) {
  auto got = Fetch(ctx, request);
  if (got.status < 200 || got.status > 299) ThrowFor(got, request.url);
  Json out;
  try {
    out = ParseJson(got.body);
  } catch (const Error& e) {
    throw Error(Code::kUnavailable, options_.what + " '" + std::string(OriginOf(request.url)) + "' answers with something that is no JSON: " + e.message());
  }
  if (response) *response = std::move(got);
  return out;
}

}  // namespace tenfold::data
