#include "data/sources/web.h"

#include <algorithm>
#include <ctime>
#include <deque>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "base/crypto.h"
#include "data/parse.h"
#include "data/sources/http_source.h"
#include "data/sources/robots.h"
#include "data/sources/web_links.h"

namespace tenfold::data {
namespace {

constexpr std::string_view kAgent = "tenfold";
constexpr std::size_t kPagesPerList = 20;
constexpr int kMaxHops = 5;
constexpr std::size_t kMaxSitemaps = 100;
constexpr std::size_t kMaxFrontierBytes = 512u << 10;
constexpr std::size_t kMaxQueriesOfPath = 50;  // beyond, it is a calendar or a filter, not a list of documents
constexpr int kMaxFailuresInARow = 5;          // beyond, the site is down, not the page
constexpr std::size_t kMaxKeptBytes = 32u << 20;
constexpr std::size_t kMaxKnownPages = 20'000;

struct Candidate {
  std::string target;  ///< path and query
  std::int64_t depth = 0;
  bool canonical = false;  ///< another page calls it the real one: it is listed whatever it says itself
};

std::uint64_t HashOf(std::string_view target) {
  const auto digest = Sha256(target);
  std::uint64_t out = 0;
  for (int i = 0; i < 8; ++i) out = out << 8 | static_cast<unsigned char>(digest[static_cast<std::size_t>(i)]);
  return out;
}

/// A listing between two pages; its text is the page token.
struct Frontier {
  std::deque<Candidate> ahead;
  std::vector<Candidate> failed;
  std::unordered_set<std::uint64_t> seen;                 // hashes of targets that were ever ahead
  std::unordered_map<std::string, std::int64_t> queries;  // path -> how many queries of it
  std::int64_t listed = 0, fetched = 0;
  std::size_t bytes = 0;  // of targets ahead

  std::string ToToken() const {
    const auto list = [](const auto& candidates) {
      JsonArray out;
      for (const auto& one : candidates) out.push_back(JsonArray{one.target, one.depth, one.canonical});
      return out;
    };
    std::string hashes;
    for (const auto hash : seen)
      for (int shift = 56; shift >= 0; shift -= 8) hashes += static_cast<char>(hash >> shift);
    JsonObject counts;
    for (const auto& [path, n] : queries) counts[path] = n;
    return ToText(JsonObject{
        {"ahead", list(ahead)}, {"failed", list(failed)}, {"seen", Base64UrlEncode(hashes)}, {"queries", counts}, {"listed", listed}, {"fetched", fetched}});
  }

  static Frontier FromToken(std::string_view token) {
    Frontier out;
    try {
      const auto json = ParseJson(token);
      const auto read = [](const Json& list, auto& into) {
        for (const auto& one : list.as_array()) {
          into.push_back({std::string(AsView(one.at(0).as_string())), one.at(1).as_int64(), one.at(2).as_bool()});
          if (!into.back().target.starts_with('/')) throw Error(Code::kInvalidArgument, "not a path");
        }
      };
      read(json.at("ahead"), out.ahead);
      read(json.at("failed"), out.failed);
      for (const auto& one : out.ahead) out.bytes += one.target.size();
      const auto hashes = Base64UrlDecode(AsView(json.at("seen").as_string()));
      for (std::size_t i = 0; i + 8 <= hashes.size(); i += 8) {
        std::uint64_t hash = 0;
        for (std::size_t k = 0; k < 8; ++k) hash = hash << 8 | static_cast<unsigned char>(hashes[i + k]);
        out.seen.insert(hash);
      }
      for (const auto& [path, n] : json.at("queries").as_object()) out.queries[std::string(std::string_view(path))] = n.as_int64();
      out.listed = json.at("listed").as_int64();
      out.fetched = json.at("fetched").as_int64();
    } catch (const std::exception&) {
      throw Error(Code::kInvalidArgument, "web: the page token is not one of this source; list from the beginning", "page");
    }
    return out;
  }
};

/// Without what only follows a visitor around.
std::string WithoutTracking(const std::string& url) {
  auto question = url.find('?');
  std::string path = url.substr(0, question);
  if (const auto session = path.find(";jsessionid="); session != std::string::npos) path.resize(session);
  if (question == std::string::npos) return path;
  std::string kept;
  for (std::string_view rest = std::string_view(url).substr(question + 1); !rest.empty();) {
    const auto end = std::min(rest.find('&'), rest.size());
    const auto pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    std::string name(pair.substr(0, pair.find('=')));
    for (auto& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const bool tracks = pair.empty() || name.starts_with("utm_") || name == "gclid" || name == "fbclid" || name == "msclkid" || name == "phpsessid" ||
                        name == "jsessionid" || name == "sid" || name == "sessionid";
    if (!tracks) kept += (kept.empty() ? "?" : "&") + std::string(pair);
  }
  return path + kept;
}

/// Whether a path repeats itself as relative links on a site that answers everything make it do.
bool LooksEndless(std::string_view path) {
  if (path.size() > 1024) return true;
  std::map<std::string_view, int> seen;
  int segments = 0;
  for (std::size_t at = 0; at < path.size();) {
    const auto end = std::min(path.find('/', at), path.size());
    if (end > at && (++segments > 24 || ++seen[path.substr(at, end - at)] > 3)) return true;
    at = end + 1;
  }
  return false;
}

std::string_view Bare(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (content_type.ends_with(' ')) content_type.remove_suffix(1);
  return content_type;
}

/// What will be read, "" if it is no document. A server that says nothing useful is answered by the path's ending.
std::string DocumentTypeOf(std::string_view content_type, std::string_view path) {
  std::string type(Bare(content_type));
  for (auto& c : type) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (type == "application/xhtml+xml") return "text/html";
  if (type == "text/x-markdown") return "text/markdown";
  if (type.empty() || type == "application/octet-stream" || type == "binary/octet-stream" || type == "text/plain") {
    const auto by_name = MediaTypeOf(std::filesystem::path(std::string(path)));
    return by_name.empty() ? (type == "text/plain" ? type : "") : std::string(by_name);
  }
  for (const std::string_view known :
       {"text/html", "text/markdown", "text/csv", "application/pdf", "application/json", "message/rfc822", "application/epub+zip",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"})
    if (type == known) return type;
  return {};
}

/// Seconds since 1970 of an HTTP date; 0 if it is none.
std::int64_t DateOf(std::string_view text) {
  std::tm tm{};
  return ::strptime(std::string(text).c_str(), "%a, %d %b %Y %H:%M:%S GMT", &tm) ? static_cast<std::int64_t>(::timegm(&tm)) : 0;
}

class WebSource : public Source {
 public:
  WebSource(std::string_view url, const SourceSetup& setup)
      : options_(url.find('#') == std::string_view::npos ? "" : url.substr(url.find('#') + 1),
                 "web:", {"scope", "depth", "max_pages", "exclude", "discover", "delay_ms", "timeout_ms"}),
        start_(WithoutTracking(NormaliseUrl(url.substr(0, url.find('#'))))),
        origin_(OriginOf(start_)),
        client_(ClientOptions(setup)),
        url_("web:" + start_ + options_.text()),
        max_pages_(options_.Number("max_pages", 1000, 1, 20'000)),
        max_depth_(options_.Number("depth", 10, 0, 100)),
        discover_(options_.Choice("discover", "both", {"both", "sitemap", "links"})) {
    if (start_.empty())
      throw Error(Code::kInvalidArgument, "web: '" + std::string(url.substr(0, 200)) + "' is not an http: or https: URL without a user name", "url");
    CheckStart(start_, setup);
    const auto path = TargetOf(start_).substr(0, TargetOf(start_).find('?'));
    folder_ = options_.Choice("scope", "path", {"path", "host"}) == "host" ? "/" : std::string(path.substr(0, path.rfind('/') + 1));
    for (auto rest = options_.Text("exclude"); !rest.empty();) {
      const auto end = std::min(rest.find(','), rest.size());
      if (end > 0) excluded_.push_back(rest.substr(0, end));
      rest.erase(0, end + 1);
    }
  }
  const std::string& url() const override { return url_; }

  SourcePage List(const Context& ctx, const std::string&, const std::string& page) override {
    ctx.Check();
    if (page.empty()) robots_.reset();
    LearnRules(ctx);
    auto frontier = page.empty() ? Begin(ctx) : Frontier::FromToken(page);
    SourcePage out;
    int failures = 0;
    const auto visit = [&](const Candidate& one) {
      try {
        Visit(ctx, one, frontier, out.items);
        failures = 0;
        return true;
      } catch (const Error& e) {
        if (e.code() != Code::kUnavailable || ++failures >= kMaxFailuresInARow) throw;
        return false;
      }
    };
    for (std::size_t n = 0; n < kPagesPerList && !frontier.ahead.empty() && HasRoom(frontier); ++n) {
      const auto one = std::move(frontier.ahead.front());
      frontier.ahead.pop_front();
      frontier.bytes -= one.target.size();
      if (!visit(one)) frontier.failed.push_back(one);
    }
    if ((frontier.ahead.empty() || !HasRoom(frontier)) && !frontier.failed.empty()) {
      for (const auto& one : std::exchange(frontier.failed, {}))
        Within("'" + origin_ + one.target + "' cannot be read, so what it links to is unknown; if it stays so, list without it by exclude=",
               [&] { Visit(ctx, one, frontier, out.items); });
    }
    if (!frontier.ahead.empty() && HasRoom(frontier)) out.next = frontier.ToToken();
    return out;
  }

  SourceContent Read(const Context& ctx, const SourceItem& item) override {
    ctx.Check();
    if (const auto kept = kept_.find(item.path); kept != kept_.end()) {
      auto content = std::move(kept->second.second);
      const bool same = kept->second.first == item.fingerprint;
      kept_bytes_ -= content.bytes.size();
      kept_.erase(kept);
      if (same) return content;
    }
    if (!item.path.starts_with('/') || !InScope(origin_ + item.path))
      throw Error(Code::kInvalidArgument, "web: '" + item.path.substr(0, 200) + "' is not a page of this source", "path");
    LearnRules(ctx);
    const auto got = FetchInScope(ctx, origin_ + item.path, {});
    if (!got) throw Error(Code::kNotFound, "web: '" + origin_ + item.path + "' leads elsewhere by now");
    if (got->response.status != 200) {
      if (got->response.status < 300) throw Error(Code::kNotFound, "web: '" + origin_ + item.path + "' is empty by now");
      client_.ThrowFor(got->response, origin_ + item.path);
    }
    auto type = DocumentTypeOf(got->response.header("content-type"), PathOf(got->url));
    return {std::move(got->response.body), type};
  }

 private:
  struct Fetched {
    std::string url;
    HttpClientResponse response;
  };
  /// What a page said when it was fetched last, for a conditional request.
  struct Known {
    std::string etag, modified, fingerprint, type;
    PageLinks page;
  };

  HttpSourceClient::Options ClientOptions(const SourceSetup& setup) const {
    HttpSourceClient::Options out;
    out.what = "web:";
    out.addresses = setup.allow_private_addresses ? AddressPolicy::kAny : AddressPolicy::kPublicOnlyAnyPort;
    out.headers = {{"user-agent", "tenfold/0.1 (document crawler; obeys robots.txt)"}, {"accept", "text/html, application/xhtml+xml, */*;q=0.8"}};
    const auto delay = options_.Number("delay_ms", 200, 0, 600'000);
    out.requests_per_second = 1000.0 / static_cast<double>(std::max<std::int64_t>(1, delay));
    out.burst = 1;
    out.attempts = 2;
    out.first_pause = Hastened(out.first_pause, setup.haste);
    out.attempt_timeout = std::chrono::milliseconds(options_.Number("timeout_ms", 20'000, 100, 600'000));
    out.redirects = HttpClientRequest::Redirects::kReturn;
    return out;
  }

  std::string_view TargetOf(std::string_view url) const { return url.substr(OriginOf(url).size()); }
  std::string_view PathOf(std::string_view url) const { return TargetOf(url).substr(0, TargetOf(url).find('?')); }
  bool HasRoom(const Frontier& frontier) const { return frontier.listed < max_pages_ && frontier.fetched < 4 * max_pages_; }

  bool InScope(std::string_view url) const {
    if (OriginOf(url) != origin_) return false;
    const auto path = PathOf(url);
    if (!path.starts_with(folder_) || LooksEndless(path)) return false;
    return std::none_of(excluded_.begin(), excluded_.end(), [&](const auto& prefix) { return path.starts_with(prefix); });
  }

  /// robots.txt; once a listing. Not there: all is allowed. The server fails: nothing is (RFC 9309, 2.3.1.4), so the listing fails.
  void LearnRules(const Context& ctx) {
    if (robots_) return;
    const auto got = FetchAnywhere(ctx, origin_ + "/robots.txt", 600u << 10);
    if (got.status >= 300 && got.status < 400) robots_.emplace();  // more redirects than are followed count as not there
    else robots_.emplace(got.status == 200 ? std::string_view(got.body) : std::string_view(), kAgent);
    client_.SlowDown(std::min(robots_->crawl_delay(), std::chrono::milliseconds(30'000)));
    if (!robots_->Allows(TargetOf(start_)))
      throw Error(Code::kPermissionDenied, "web: robots.txt of '" + origin_ + "' does not allow '" + std::string(PathOf(start_)) + "'");
  }

  HttpClientResponse FetchAnywhere(const Context& ctx, std::string url, std::uint64_t limit) {
    for (int hop = 0;; ++hop) {
      auto got = client_.Fetch(ctx, {.url = url, .response_limit_bytes = limit});
      const auto next = got.status >= 301 && got.status <= 308 && got.status != 304 ? NormaliseUrl(got.header("location"), url) : std::string();
      if (next.empty() || hop == kMaxHops || (url.starts_with("https:") && !next.starts_with("https:"))) return got;
      url = next;
    }
  }

  /// Follows redirects that stay in scope. Nothing if one does not, or goes in circles.
  std::optional<Fetched> FetchInScope(const Context& ctx, std::string url, HttpSourceClient::Request how) {
    for (int hop = 0; hop <= kMaxHops; ++hop) {
      if (!robots_->Allows(TargetOf(url))) return std::nullopt;
      how.url = url;
      auto got = client_.Fetch(ctx, how);
      if (got.status < 301 || got.status > 308 || got.status == 304) return Fetched{std::move(url), std::move(got)};
      url = WithoutTracking(NormaliseUrl(got.header("location"), url));
      if (!InScope(url)) return std::nullopt;
      how.headers.clear();  // validators are of the first one
    }
    return std::nullopt;
  }

  void Add(Frontier& frontier, const std::string& url, std::int64_t depth, bool canonical = false) const {
    const auto clean = WithoutTracking(url);
    if (clean.empty() || depth > max_depth_ || !InScope(clean)) return;
    const auto target = std::string(TargetOf(clean));
    // Pictures, scripts and archives are not even asked for.
    static constexpr std::string_view kNoDocuments[] = {".png", ".jpg", ".jpeg", ".gif", ".svg", ".ico",  ".webp", ".css",   ".js",  ".zip", ".gz",  ".tgz",
                                                        ".exe", ".dmg", ".iso",  ".mp3", ".mp4", ".webm", ".woff", ".woff2", ".ttf", ".xml", ".rss", ".atom"};
    auto path = std::string(PathOf(clean));
    for (auto& c : path) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    for (const auto ending : kNoDocuments)
      if (path.ends_with(ending)) return;
    if (frontier.ahead.size() >= static_cast<std::size_t>(4 * max_pages_) || frontier.bytes + target.size() > kMaxFrontierBytes) return;
    const auto hash = HashOf(target);
    if (frontier.seen.contains(hash)) return;
    if (target.size() > path.size() && ++frontier.queries[std::string(PathOf(clean))] > static_cast<std::int64_t>(kMaxQueriesOfPath)) return;
    if (!robots_->Allows(target)) return;
    frontier.seen.insert(hash);
    frontier.bytes += target.size();
    frontier.ahead.push_back({target, depth, canonical});
  }

  Frontier Begin(const Context& ctx) {
    Frontier frontier;
    Add(frontier, start_, 0);
    if (discover_ == "links") return frontier;
    std::deque<std::pair<std::string, bool>> sitemaps;  // URL, whether the site named it
    for (const auto& named : robots_->sitemaps()) sitemaps.emplace_back(NormaliseUrl(named, origin_ + "/"), true);
    if (sitemaps.empty()) sitemaps.emplace_back(origin_ + "/sitemap.xml", false);
    std::unordered_set<std::string> read;
    while (!sitemaps.empty() && read.size() < kMaxSitemaps) {
      const auto [where, named] = sitemaps.front();
      sitemaps.pop_front();
      if (where.empty() || !read.insert(where).second) continue;
      const auto got = FetchAnywhere(ctx, where, 50u << 20);
      if (got.status != 200) {
        if (named && got.status != 404 && got.status != 410) client_.ThrowFor(got, where);
        continue;
      }
      Sitemap sitemap;
      try {
        sitemap = ReadSitemap(got.body);
      } catch (const Error& e) {
        // A guess may be answered by a friendly page that says there is none; what the site names must be one.
        if (!named && Bare(got.header("content-type")) == "text/html") continue;
        throw Error(e.code() == Code::kInvalidArgument ? Code::kUnavailable : e.code(), "web: read '" + where + "': " + e.message());
      }
      for (const auto& one : sitemap.sitemaps) sitemaps.emplace_back(NormaliseUrl(one, where), true);
      for (const auto& one : sitemap.pages) Add(frontier, NormaliseUrl(one, where), 0);
    }
    return frontier;
  }

  void Visit(const Context& ctx, const Candidate& one, Frontier& frontier, std::vector<SourceItem>& items) {
    const auto url = origin_ + one.target;
    const auto by_name = MediaTypeOf(std::filesystem::path(std::string(PathOf(url))));
    std::optional<Fetched> got;
    HttpSourceClient::Request how;
    const auto known = known_.find(one.target);
    if (known != known_.end() && !known->second.etag.empty()) how.headers.emplace_back("if-none-match", known->second.etag);
    else if (known != known_.end() && !known->second.modified.empty()) how.headers.emplace_back("if-modified-since", known->second.modified);
    std::string problem;
    bool only_head = false;
    try {
      // A large file is not fetched to see whether it changed, if its server says so in a head.
      if (!by_name.empty() && by_name != "text/html") {
        how.method = "HEAD";
        got = FetchInScope(ctx, url, how);
        only_head = got && (got->response.status == 304 || (got->response.status == 200 && !ValidatorOf(got->response).empty()));
        how.method = "GET";
      }
      if (!only_head) got = FetchInScope(ctx, url, how);
    } catch (const Error& e) {
      if (e.code() != Code::kResourceExhausted || e.param() == "rate") throw;
      problem = "larger than " + std::to_string(kMaxDocumentBytes) + " bytes";
    }
    ++frontier.fetched;
    const bool is_start = url == start_;
    if (!problem.empty()) {
      SourceItem item;
      item.fingerprint = "too-large";
      item.problem = problem;
      Emit(frontier, items, one.target, std::move(item));
      return;
    }
    if (!got) {
      if (is_start && frontier.ahead.empty())
        throw Error(Code::kInvalidArgument, "web: '" + start_ + "' leads out of what is to be listed; write where it leads to, or scope=host", "url");
      return;
    }
    const auto& response = got->response;
    if (response.status != 200 && response.status != 304) {
      // The start page with nothing beside it: there is no such site. Any other page that is forbidden or gone is not there for readers either.
      if (is_start && frontier.ahead.empty() && response.status >= 400) client_.ThrowFor(response, url);
      return;
    }
    const auto target = std::string(TargetOf(got->url));
    if (target != one.target && !frontier.seen.insert(HashOf(target)).second) return;  // led to a page that has its own turn
    Known now;
    if (response.status == 304 && known != known_.end()) {
      now = known->second;
    } else {
      now.type = DocumentTypeOf(response.header("content-type"), PathOf(got->url));
      if (now.type.empty()) return;
      now.etag = response.header("etag");
      if (IsOldEnough(response)) now.modified = response.header("last-modified");
      if (only_head) {
        now.fingerprint = ValidatorOf(response);
      } else {
        if (response.body.starts_with("%PDF-")) now.type = "application/pdf";
        else if (now.type.starts_with("text/") && response.body.find('\0') != std::string::npos)
          problem = "is said to be " + now.type + " and holds binary data";
        now.fingerprint = Sha256Hex(response.body);
        if (now.type == "text/html" && problem.empty()) now.page = ReadPageLinks(response.body, got->url, kAgent);
        for (const auto& [name, value] : response.headers)
          if (name == "x-robots-tag" && value.find(':') == std::string::npos) {
            now.page.noindex |= value.find("noindex") != std::string::npos || value.find("none") != std::string::npos;
            if (value.find("nofollow") != std::string::npos || value.find("none") != std::string::npos) now.page.links.clear();
          }
      }
    }
    if (discover_ != "sitemap")
      for (const auto& link : now.page.links) Add(frontier, link, one.depth + 1);
    bool list = !now.page.noindex;
    if (list && !one.canonical && !now.page.canonical.empty() && InScope(WithoutTracking(now.page.canonical)) &&
        WithoutTracking(now.page.canonical) != got->url) {
      Add(frontier, now.page.canonical, one.depth, true);
      list = false;
    }
    if (list) {
      SourceItem item;
      item.fingerprint = now.fingerprint;
      item.title = now.page.title;
      item.link = got->url;
      item.media_type = now.type;
      item.problem = problem;
      if (!now.modified.empty()) item.metadata["last_modified"] = now.modified;
      Emit(frontier, items, target, std::move(item));
      if (!only_head && problem.empty() && response.status == 200 && kept_bytes_ + response.body.size() <= kMaxKeptBytes) {
        auto& kept = kept_[target];
        kept_bytes_ += response.body.size() - kept.second.bytes.size();
        kept = {now.fingerprint, {response.body, now.type}};
      }
    }
    if (target == one.target && (!now.etag.empty() || !now.modified.empty()) && (known_.size() < kMaxKnownPages || known != known_.end())) {
      if (now.page.links.size() > 500) now.etag = now.modified = "";  // too much to keep; fetched anew
      else known_[target] = std::move(now);
    }
  }

  static void Emit(Frontier& frontier, std::vector<SourceItem>& items, const std::string& target, SourceItem item) {
    item.path = target;
    ++frontier.listed;
    items.push_back(std::move(item));
  }

  /// Last-Modified has seconds: what was changed in the same second as it was asked for may change again unseen (RFC 9110, 8.8.2.2).
  static bool IsOldEnough(const HttpClientResponse& response) {
    const auto modified = DateOf(response.header("last-modified")), date = DateOf(response.header("date"));
    return modified > 0 && date >= modified + 2;
  }
  static std::string ValidatorOf(const HttpClientResponse& response) {
    if (const auto etag = response.header("etag"); !etag.empty() && !etag.starts_with("W/")) return "etag:" + std::string(etag);
    return IsOldEnough(response) ? "modified:" + std::string(response.header("last-modified")) + ":" + std::string(response.header("content-length"))
                                 : std::string();
  }

  const SourceOptions options_;
  const std::string start_, origin_;
  HttpSourceClient client_;
  const std::string url_;
  const std::int64_t max_pages_, max_depth_;
  const std::string discover_;
  std::string folder_;
  std::vector<std::string> excluded_;
  std::optional<RobotsRules> robots_;
  std::map<std::string, std::pair<std::string, SourceContent>> kept_;  // listed and not yet read: fingerprint and bytes
  std::size_t kept_bytes_ = 0;
  std::map<std::string, Known> known_;
};

}  // namespace

std::unique_ptr<Source> OpenWebSource(std::string_view url, const SourceSetup& setup) { return std::make_unique<WebSource>(url, setup); }

}  // namespace tenfold::data
