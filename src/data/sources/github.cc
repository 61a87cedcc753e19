#include "data/sources/github.h"

#include <algorithm>
#include <deque>

#include "base/crypto.h"
#include "data/parse.h"
#include "data/sources/http_source.h"

namespace tenfold::data {
namespace {

constexpr std::size_t kFilesPerPage = 500;
constexpr int kTreesPerPage = 20;
constexpr std::uint64_t kMaxTreeBytes = 64u << 20;
constexpr int kMaxCommentPages = 20;  // of 100

struct Place {
  std::string api = "https://api.github.com", web = "https://github.com";
  std::string owner, repo, ref, folder;
  SourceOptions options;
  bool issues = false;
};

Place ParsePlace(std::string_view url) {
  const auto hash = url.find('#');
  Place out{.owner = {},
            .repo = {},
            .ref = {},
            .folder = {},
            .options = SourceOptions(hash == std::string_view::npos ? "" : url.substr(hash + 1), "github:", {"issues", "state", "whole_every"})};
  out.issues = hash != std::string_view::npos && (out.options.text().find("issues") != std::string::npos);
  auto rest = std::string(url.substr(0, hash));
  if (IsHttpUrl(rest)) {
    // NormaliseUrl would take '..' and case for what they are in URLs; names of repositories have neither.
    const auto whole = NormaliseUrl(rest);
    if (whole.empty()) throw Error(Code::kInvalidArgument, "github: '" + rest.substr(0, 200) + "' is not an http: or https: URL", "url");
    const auto origin = std::string(OriginOf(whole));
    rest = whole.substr(origin.size() + 1);
    if (origin != "https://github.com" && origin != "https://www.github.com") {
      out.api = out.web = origin;
      if (rest.starts_with("api/v3/")) {
        out.api += "/api/v3";
        rest.erase(0, 7);
      }
    }
  }
  const auto slash = rest.find('/');
  if (slash == std::string::npos) throw Error(Code::kInvalidArgument, "github: '" + rest.substr(0, 200) + "' must be owner/repo", "url");
  out.owner = rest.substr(0, slash);
  const auto end = std::min(rest.find_first_of("/@", slash + 1), rest.size());
  out.repo = rest.substr(slash + 1, end - slash - 1);
  if (out.repo.ends_with(".git")) out.repo.resize(out.repo.size() - 4);
  std::string_view tail = std::string_view(rest).substr(end);
  if (tail.starts_with('@')) {
    const auto stop = std::min(tail.find('/'), tail.size());
    out.ref = PercentDecode(tail.substr(1, stop - 1));
    tail.remove_prefix(stop);
  }
  while (tail.starts_with('/')) tail.remove_prefix(1);
  while (tail.ends_with('/')) tail.remove_suffix(1);
  out.folder = PercentDecode(tail);
  for (auto* name : {&out.owner, &out.repo}) {
    for (auto& c : *name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (name->empty() || *name == "." || *name == ".." || name->size() > 100 ||
        name->find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_.") != std::string::npos)
      throw Error(Code::kInvalidArgument, "github: '" + name->substr(0, 100) + "' is not a name of an owner or repository", "url");
  }
  if (out.issues && (!out.ref.empty() || !out.folder.empty())) throw Error(Code::kInvalidArgument, "github: issues have no ref and no folder", "url");
  return out;
}

std::string CanonicalUrl(const Place& place) {
  auto out = "github:" + (place.api == "https://api.github.com" ? "" : place.api + "/") + place.owner + "/" + place.repo;
  if (!place.ref.empty()) out += "@" + PercentEncode(place.ref);
  if (!place.folder.empty()) out += "/" + PercentEncode(place.folder, "/");
  return out + place.options.text();
}

const Json& Field(const Json& object, std::string_view key) {
  static const Json none;
  const auto* found = object.is_object() ? object.get_object().if_contains(boost::json::string_view(key.data(), key.size())) : nullptr;
  return found ? *found : none;
}

std::int64_t NumberOf(const Json& object, std::string_view key) {
  const auto& value = Field(object, key);
  return value.is_int64() ? value.get_int64() : value.is_uint64() ? static_cast<std::int64_t>(value.get_uint64()) : 0;
}

/// What both kinds share: the client, the repository, its access.
class GithubSource : public Source {
 public:
  GithubSource(Place place, const SourceSetup& setup) : place_(std::move(place)), url_(CanonicalUrl(place_)), client_(ClientOptions(setup)) {}
  const std::string& url() const override { return url_; }

 protected:
  std::string Api(std::string_view rest) const { return place_.api + "/repos/" + place_.owner + "/" + place_.repo + std::string(rest); }

  struct Repository {
    std::string access, branch;
  };
  /// Asked at the start of a listing: a repository may become private.
  Repository Look(const Context& ctx) {
    const auto repository = client_.FetchJson(ctx, {.url = Api("")});
    const auto& is_private = Field(repository, "private");
    if (!is_private.is_bool()) throw Error(Code::kUnavailable, "github: '" + place_.owner + "/" + place_.repo + "' does not say whether it is private");
    return {is_private.get_bool() ? "github:" + place_.owner + "/" + place_.repo : std::string(), TextOf(repository, "default_branch")};
  }
  static Json ReadToken(const std::string& page) {
    try {
      auto token = ParseJson(page);
      if (token.is_object()) return token;
    } catch (const Error&) {
    }
    throw Error(Code::kInvalidArgument, "github: the page token is not one of this source; list from the beginning", "page");
  }

  const Place place_;
  const std::string url_;
  HttpSourceClient client_;

 private:
  HttpSourceClient::Options ClientOptions(const SourceSetup& setup) const {
    HttpSourceClient::Options out;
    out.what = "github:";
    out.addresses = setup.allow_private_addresses ? AddressPolicy::kAny : AddressPolicy::kPublicOnlyAnyPort;
    out.headers = {{"accept", "application/vnd.github+json"}, {"x-github-api-version", "2022-11-28"}};
    if (const auto token = setup.secret("GITHUB_TOKEN"); !token.empty()) out.authorization = "Bearer " + token;
    out.origin = OriginOf(place_.api);
    out.requests_per_second = 10 * setup.haste;
    out.first_pause = Hastened(out.first_pause, setup.haste);
    out.burst = 60;  // 900 points a minute are allowed, a GET is one
    return out;
  }
};

class GithubFiles : public GithubSource {
 public:
  using GithubSource::GithubSource;

  SourcePage List(const Context& ctx, const std::string&, const std::string& page) override {
    ctx.Check();
    // ahead: trees still to be listed, [folder, hash]; at: how many files of the first one were.
    std::string access, ref;
    std::deque<std::pair<std::string, std::string>> ahead;
    std::size_t at = 0;
    if (page.empty()) {
      trees_.clear();
      const auto repository = Look(ctx);
      access = repository.access;
      ref = place_.ref.empty() ? repository.branch : place_.ref;
      HttpClientResponse response = client_.Fetch(ctx, {.url = Api("/git/trees/" + PercentEncode(ref)), .response_limit_bytes = kMaxTreeBytes});
      if (response.status == 409) return {};  // an empty repository has no tree
      if (response.status != 200) client_.ThrowFor(response, Api("/git/trees/" + ref));
      ahead.emplace_back(place_.folder, FindFolder(ctx, TextOf(ParseBody(response), "sha")));
    } else {
      const auto token = ReadToken(page);
      access = TextOf(token, "access");
      ref = TextOf(token, "ref");
      at = static_cast<std::size_t>(NumberOf(token, "at"));
      if (Field(token, "ahead").is_array())
        for (const auto& one : Field(token, "ahead").get_array()) ahead.emplace_back(TextOf(one, "folder"), TextOf(one, "sha"));
    }
    SourcePage out;
    for (int trees = 0; !ahead.empty() && trees < kTreesPerPage && out.items.size() < kFilesPerPage;) {
      const auto [folder, sha] = ahead.front();
      const auto& tree = Tree(ctx, sha, true);
      const bool truncated = Field(tree, "truncated").is_bool() && Field(tree, "truncated").get_bool();
      const auto& entries = Field(truncated ? Tree(ctx, sha, false) : tree, "tree");
      if (!entries.is_array()) throw Error(Code::kUnavailable, "github: a tree without entries");
      const auto& list = entries.get_array();
      for (; at < list.size() && out.items.size() < kFilesPerPage; ++at) {
        const auto path = (folder.empty() ? "" : folder + "/") + TextOf(list[at], "path");
        if (truncated && TextOf(list[at], "type") == "tree") ahead.emplace_back(path, TextOf(list[at], "sha"));
        else AddFile(list[at], path, access, ref, out.items);
      }
      if (at < list.size()) break;
      at = 0;
      ++trees;
      ahead.pop_front();
    }
    if (ahead.empty()) return out;
    JsonArray left;
    for (const auto& [folder, sha] : ahead) left.push_back(JsonObject{{"folder", folder}, {"sha", sha}});
    out.next = ToText(JsonObject{{"access", access}, {"ref", ref}, {"at", at}, {"ahead", left}});
    return out;
  }

  /// By its path, not its blob: what was deleted keeps its blob, and must not be read.
  SourceContent Read(const Context& ctx, const SourceItem& item) override {
    ctx.Check();
    const auto url = Api("/contents/" + PercentEncode(item.path, "/")) + (place_.ref.empty() ? "" : "?ref=" + PercentEncode(place_.ref));
    auto response = client_.Fetch(ctx, {.url = url, .headers = {{"accept", "application/vnd.github.raw+json"}}});
    if (response.status != 200) client_.ThrowFor(response, url);
    return {std::move(response.body), std::string(MediaTypeOf(item.path))};
  }

 private:
  static Json ParseBody(const HttpClientResponse& response) {
    try {
      return ParseJson(response.body);
    } catch (const Error& e) {
      throw Error(Code::kUnavailable, "github: " + e.message());
    }
  }

  /// The hash of the tree of place_.folder. Errors: kNotFound.
  std::string FindFolder(const Context& ctx, std::string sha) {
    for (std::string_view rest = place_.folder; !rest.empty();) {
      const auto end = std::min(rest.find('/'), rest.size());
      const auto name = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      std::string found;
      const auto& tree = Tree(ctx, sha, false);
      if (Field(tree, "tree").is_array())
        for (const auto& entry : Field(tree, "tree").get_array())
          if (TextOf(entry, "path") == name && TextOf(entry, "type") == "tree") found = TextOf(entry, "sha");
      if (found.empty()) throw Error(Code::kNotFound, "github: '" + place_.owner + "/" + place_.repo + "' has no folder '" + place_.folder + "'");
      sha = found;
    }
    return sha;
  }

  /// Kept for the pages of this listing; trees are named by what they hold and never change.
  const Json& Tree(const Context& ctx, const std::string& sha, bool recursive) {
    const auto key = sha + (recursive ? "+" : "");
    if (const auto found = trees_.find(key); found != trees_.end()) return found->second;
    if (sha.size() < 40 || sha.size() > 64 || sha.find_first_not_of("0123456789abcdef") != std::string::npos)
      throw Error(Code::kUnavailable, "github: a tree without a hash");
    auto tree = client_.FetchJson(ctx, {.url = Api("/git/trees/" + sha + (recursive ? "?recursive=1" : "")), .response_limit_bytes = kMaxTreeBytes});
    if (trees_.size() > 4) trees_.clear();
    return trees_[key] = std::move(tree);
  }

  void AddFile(const Json& entry, const std::string& path, const std::string& access, const std::string& ref, std::vector<SourceItem>& items) const {
    const auto mode = TextOf(entry, "mode");
    if (TextOf(entry, "type") != "blob" || (mode != "100644" && mode != "100755") || MediaTypeOf(path).empty()) return;
    SourceItem item;
    item.path = path;
    item.fingerprint = TextOf(entry, "sha");
    item.access = access;
    item.link = place_.web + "/" + place_.owner + "/" + place_.repo + "/blob/" + PercentEncode(ref, "/") + "/" + PercentEncode(path, "/");
    item.media_type = MediaTypeOf(path);
    item.metadata["repository"] = place_.owner + "/" + place_.repo;
    if (const auto size = NumberOf(entry, "size"); size > static_cast<std::int64_t>(kMaxDocumentBytes))
      item.problem = "has " + std::to_string(size) + " bytes, limit " + std::to_string(kMaxDocumentBytes);
    items.push_back(std::move(item));
  }

  std::map<std::string, Json> trees_;
};

class GithubIssues : public GithubSource {
 public:
  GithubIssues(Place place, const SourceSetup& setup)
      : GithubSource(std::move(place), setup),
        state_(place_.options.Choice("state", "all", {"all", "open", "closed"})),
        whole_every_seconds_(place_.options.Number("whole_every", 0, 0, 60 * 24 * 365) * 60) {}

  SourcePage List(const Context& ctx, const std::string& cursor, const std::string& page) override {
    ctx.Check();
    std::string access, url, began = cursor.empty() ? "" : TextOf(ReadToken(cursor), "since");
    std::int64_t whole_at = cursor.empty() ? 0 : NumberOf(ReadToken(cursor), "whole_at");
    const auto now = ToMicros(ctx.clock().Now()) / 1'000'000;
    if (!cursor.empty() && (now >= whole_at + whole_every_seconds_ || state_ != "all"))
      throw Error(Code::kFailedPrecondition,
                  "github: the last whole listing is " + std::to_string((now - whole_at) / 60) + " minutes old; deleted issues show only in a whole one");
    if (page.empty()) {
      access = Look(ctx).access;
      // In order of creation a change in mid-listing moves nothing to where it was listed already.
      url = Api("/issues?per_page=100&state=" + state_ +
                (cursor.empty() ? "&sort=created&direction=asc" : "&sort=updated&direction=asc&since=" + PercentEncode(began)));
      began.clear();
    } else {
      const auto token = ReadToken(page);
      access = TextOf(token, "access");
      url = TextOf(token, "url");
      began = TextOf(token, "began");
      if (!url.starts_with(place_.api + "/")) throw Error(Code::kInvalidArgument, "github: the page token is not one of this source", "page");
    }
    HttpClientResponse response;
    const auto issues = client_.FetchJson(ctx, {.url = url}, &response);
    if (!issues.is_array()) throw Error(Code::kUnavailable, "github: a list of issues that is none");
    // By our clock less a minute: GitHub's is not asked. What is listed twice is listed twice.
    if (began.empty()) began = FormatTime(ctx.clock().Now() - std::chrono::minutes(1)).substr(0, 19) + "Z";
    SourcePage out;
    for (const auto& issue : issues.get_array()) out.items.push_back(ItemOf(issue, access));
    if (const auto next = NextLink(response.header("link")); !next.empty()) {
      if (!next.starts_with(place_.api + "/")) throw Error(Code::kUnavailable, "github: the next page lies on another server");
      out.next = ToText(JsonObject{{"access", access}, {"url", next}, {"began", began}});
    } else if (whole_every_seconds_ > 0 && state_ == "all") {
      out.cursor = ToText(JsonObject{{"since", began}, {"whole_at", cursor.empty() ? now : whole_at}});
    }
    return out;
  }

  SourceContent Read(const Context& ctx, const SourceItem& item) override {
    ctx.Check();
    const auto number = item.path.substr(std::min(item.path.size(), item.path.find('/') + 1));
    if (number.empty() || number.size() > 18 || number.find_first_not_of("0123456789") != std::string::npos)
      throw Error(Code::kInvalidArgument, "github: '" + item.path.substr(0, 100) + "' is no issue", "path");
    const auto issue = client_.FetchJson(ctx, {.url = Api("/issues/" + number)});
    std::string text = "# " + TextOf(issue, "title") + "\n\n" + TextOf(issue, "body") + "\n";
    const auto add = [&](std::string url) {
      for (int page = 0; !url.empty() && page < kMaxCommentPages; ++page) {
        HttpClientResponse response;
        const auto comments = client_.FetchJson(ctx, {.url = url}, &response);
        if (!comments.is_array()) throw Error(Code::kUnavailable, "github: a list of comments that is none");
        for (const auto& comment : comments.get_array()) {
          const auto file = TextOf(comment, "path");
          text += "\n## " + TextOf(Field(comment, "user"), "login") + ", " + TextOf(comment, "created_at").substr(0, 10) +
                  (file.empty() ? "" : ", on " + file) + "\n\n" + TextOf(comment, "body") + "\n";
          if (text.size() > kMaxDocumentBytes)
            throw Error(Code::kResourceExhausted, "github: issue " + number + " is larger than " + std::to_string(kMaxDocumentBytes) + " bytes");
        }
        url = NextLink(response.header("link"));
        if (!url.empty() && !url.starts_with(place_.api + "/")) throw Error(Code::kUnavailable, "github: the next page lies on another server");
      }
    };
    if (NumberOf(issue, "comments") > 0) add(Api("/issues/" + number + "/comments?per_page=100"));
    if (Field(issue, "pull_request").is_object()) add(Api("/pulls/" + number + "/comments?per_page=100"));
    return {std::move(text), "text/markdown"};
  }

 private:
  SourceItem ItemOf(const Json& issue, const std::string& access) const {
    SourceItem item;
    const bool is_pull = Field(issue, "pull_request").is_object();
    item.path = (is_pull ? "pull/" : "issues/") + std::to_string(NumberOf(issue, "number"));
    item.access = access;
    item.title = TextOf(issue, "title");
    item.link = TextOf(issue, "html_url");
    item.media_type = "text/markdown";
    item.metadata["repository"] = place_.owner + "/" + place_.repo;
    item.metadata["kind"] = is_pull ? "pull request" : "issue";
    item.metadata["number"] = NumberOf(issue, "number");
    item.metadata["state"] = TextOf(issue, "state");
    item.metadata["author"] = TextOf(Field(issue, "user"), "login");
    for (const std::string_view key : {"created_at", "updated_at", "closed_at"})
      if (const auto time = TextOf(issue, key); !time.empty()) item.metadata[boost::json::string_view(key.data(), key.size())] = time;
    JsonArray labels;
    if (Field(issue, "labels").is_array())
      for (const auto& label : Field(issue, "labels").get_array())
        if (const auto name = label.is_string() ? std::string(AsView(label.get_string())) : TextOf(label, "name"); !name.empty()) labels.emplace_back(name);
    if (!labels.empty()) item.metadata["labels"] = std::move(labels);
    // updated_at has seconds, so what the listing itself shows counts too.
    item.fingerprint = TextOf(issue, "updated_at") + "/" + std::to_string(NumberOf(issue, "comments")) + "/" +
                       Sha256Hex(item.title + "\n" + TextOf(issue, "body")).substr(0, 16);
    return item;
  }

  const std::string state_;
  const std::int64_t whole_every_seconds_;
};

}  // namespace

std::unique_ptr<Source> OpenGithubSource(std::string_view url, const SourceSetup& setup) {
  auto place = ParsePlace(url);
  if (place.issues) return std::make_unique<GithubIssues>(std::move(place), setup);
  return std::make_unique<GithubFiles>(std::move(place), setup);
}

}  // namespace tenfold::data
