#include "data/sources/openapi.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/crypto.h"
#include "data/parse.h"
#include "data/sources/http_source.h"

namespace tenfold::data {
namespace {

constexpr std::size_t kMaxKeptBytes = 32u << 20;
constexpr int kMaxPages = 100'000;
constexpr int kMaxDepth = 8;

enum class Paging : std::uint8_t { kNone, kLink, kCursor, kOffset, kPage };

/// "a.b.0.c" below `value`; null if it is not there.
const Json& Lookup(const Json& value, std::string_view dotted) {
  static const Json none;
  const auto* at = &value;
  while (!dotted.empty()) {
    const auto end = std::min(dotted.find('.'), dotted.size());
    const auto key = dotted.substr(0, end);
    dotted.remove_prefix(std::min(end + 1, dotted.size()));
    if (at->is_object()) {
      at = at->get_object().if_contains(boost::json::string_view(key.data(), key.size()));
      if (!at) return none;
    } else if (at->is_array() && key.find_first_not_of("0123456789") == std::string_view::npos && key.size() < 6) {
      const auto index = static_cast<std::size_t>(std::stoul(std::string(key)));
      if (index >= at->get_array().size()) return none;
      at = &at->get_array()[index];
    } else {
      return none;
    }
  }
  return *at;
}

/// A text as it is, other scalars as JSON, null as nothing.
std::string Plain(const Json& value) {
  if (value.is_null()) return {};
  return value.is_string() ? std::string(AsView(value.get_string())) : ToText(value);
}

void AddFields(const Json& value, const std::string& name, int depth, std::string& out) {
  if (value.is_null() || out.size() > kMaxTextBytes) return;
  if (value.is_object() && depth < kMaxDepth) {
    for (const auto& [key, inner] : value.get_object()) AddFields(inner, (name.empty() ? "" : name + ".") + std::string(std::string_view(key)), depth + 1, out);
  } else if (value.is_array() && std::all_of(value.get_array().begin(), value.get_array().end(), [](const Json& one) { return !one.is_structured(); })) {
    std::string list;
    for (const auto& one : value.get_array()) list += (list.empty() ? "" : ", ") + Plain(one);
    if (!list.empty()) out += "- **" + name + ":** " + list + "\n";
  } else if (const auto text = Plain(value); !text.empty()) {
    out += "- **" + name + ":** " + text + "\n";
  }
}

std::string Fill(std::string_view pattern, const Json& item) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern.substr(i).starts_with("\\n")) {
      out += '\n';
      ++i;
    } else if (const auto end = pattern[i] == '{' ? pattern.find('}', i) : std::string_view::npos; end != std::string_view::npos) {
      out += Plain(Lookup(item, pattern.substr(i + 1, end - i - 1)));
      i = end;
    } else {
      out += pattern[i];
    }
  }
  return out;
}

bool Fits(std::string_view pattern, std::string_view path) {
  while (!pattern.empty() || !path.empty()) {
    const auto a = std::min(pattern.find('/', 1), pattern.size()), b = std::min(path.find('/', 1), path.size());
    const auto left = pattern.substr(0, a), right = path.substr(0, b);
    if (left != right && !(left.starts_with("/{") && left.ends_with('}') && right.size() > 1)) return false;
    pattern.remove_prefix(a);
    path.remove_prefix(b);
  }
  return true;
}

class OpenapiSource : public Source {
 public:
  OpenapiSource(std::string_view url, const SourceSetup& setup)
      : options_(
            url.find('#') == std::string_view::npos ? "" : url.substr(url.find('#') + 1), "openapi:",
            {"path", "server", "items", "id", "title", "text", "link", "updated", "template", "paging", "page_param", "next", "limit_param", "limit", "query"}),
        document_url_(NormaliseUrl(url.substr(0, url.find('#')))),
        url_("openapi:" + document_url_ + options_.text()),
        path_(options_.Text("path")),
        limit_(options_.Number("limit", 100, 1, 100'000)),
        client_(ClientOptions(setup)) {
    if (document_url_.empty())
      throw Error(Code::kInvalidArgument, "openapi: '" + std::string(url.substr(0, 200)) + "' is not an http: or https: URL without a user name", "url");
    CheckStart(document_url_, setup);
    if (!path_.starts_with('/')) throw Error(Code::kInvalidArgument, "openapi: option 'path' names the list, as in path=/items", "url");
    options_.Choice("paging", "auto", {"auto", "none", "link", "cursor", "offset", "page"});
  }
  const std::string& url() const override { return url_; }

  SourcePage List(const Context& ctx, const std::string&, const std::string& page) override {
    ctx.Check();
    if (page.empty()) endpoint_.clear();
    Learn(ctx);
    // The place where a page begins: a whole URL, a cursor or a number.
    std::string at;
    std::int64_t pages = 0;
    if (!page.empty()) {
      try {
        const auto token = ParseJson(page);
        at = TextOf(token, "at");
        pages = token.at("pages").as_int64();
      } catch (const std::exception&) {
        throw Error(Code::kInvalidArgument, "openapi: the page token is not one of this source; list from the beginning", "page");
      }
    }
    SourcePage out;
    const auto next = FetchPage(ctx, at, [&](SourceItem item, std::string text) {
      Keep(item.path, item.fingerprint, std::move(text));
      out.items.push_back(std::move(item));
    });
    if (!next.empty() && next == at) throw Error(Code::kUnavailable, "openapi: the list of '" + path_ + "' repeats itself");
    if (pages + 1 >= kMaxPages)
      throw Error(Code::kResourceExhausted, "openapi: the list of '" + path_ + "' has more than " + std::to_string(kMaxPages) + " pages");
    if (!next.empty()) out.next = ToText(JsonObject{{"at", next}, {"pages", pages + 1}});
    return out;
  }

  SourceContent Read(const Context& ctx, const SourceItem& item) override {
    ctx.Check();
    if (const auto kept = kept_.find(item.path); kept != kept_.end() && kept->second.first == item.fingerprint) {
      auto text = std::move(kept->second.second);
      kept_bytes_ -= text.size();
      kept_.erase(kept);
      return {std::move(text), "text/markdown"};
    }
    Learn(ctx);
    std::string at, found;
    bool here = false;
    for (int pages = 0; pages < kMaxPages && !here; ++pages) {
      const auto next = FetchPage(ctx, at, [&](const SourceItem& one, std::string text) {
        if (one.path != item.path) return;
        here = true;
        found = std::move(text);
      });
      if (next.empty()) break;
      if (next == at) throw Error(Code::kUnavailable, "openapi: the list of '" + path_ + "' repeats itself");
      at = next;
    }
    if (!here) throw Error(Code::kNotFound, "openapi: '" + item.path.substr(0, 200) + "' is listed no more");
    return {std::move(found), "text/markdown"};
  }

 private:
  HttpSourceClient::Options ClientOptions(const SourceSetup& setup) const {
    HttpSourceClient::Options out;
    out.what = "openapi:";
    out.addresses = setup.allow_private_addresses ? AddressPolicy::kAny : AddressPolicy::kPublicOnlyAnyPort;
    out.headers = {{"accept", "application/json"}};
    if (const auto token = setup.secret("OPENAPI_TOKEN"); !token.empty()) out.authorization = "Bearer " + token;
    const auto server = NormaliseUrl(options_.Text("server"), document_url_);
    out.origin = OriginOf(server.empty() ? document_url_ : server);
    out.requests_per_second = 5 * setup.haste;
    out.first_pause = Hastened(out.first_pause, setup.haste);
    out.burst = 20;
    return out;
  }

  /// Reads the document: where the endpoint is and how it pages. Once a listing.
  void Learn(const Context& ctx) {
    if (!endpoint_.empty()) return;
    // The operator's `server` may be another host; the document then comes without the token.
    const auto document = client_.FetchJson(ctx, {.url = document_url_});
    const auto& paths = Lookup(document, "paths");
    if (!paths.is_object()) throw Error(Code::kInvalidArgument, "openapi: '" + document_url_ + "' is no OpenAPI document: it has no paths", "url");
    const Json* operation = nullptr;
    const Json* shared = nullptr;
    for (const auto& [pattern, row] : paths.get_object()) {
      const std::string_view written(pattern.data(), pattern.size());
      if ((written != path_ && operation) || !Fits(written, path_) || !Lookup(row, "get").is_object()) continue;
      operation = &Lookup(row, "get");
      shared = &Lookup(row, "parameters");
      if (written == path_) break;
    }
    if (!operation) throw Error(Code::kInvalidArgument, "openapi: the document has no GET '" + path_.substr(0, 200) + "'", "url");
    std::set<std::string> names;
    for (const auto* list : {shared, &Lookup(*operation, "parameters")})
      if (list->is_array())
        for (const auto& one : list->get_array()) {
          auto reference = TextOf(one, "$ref");
          std::replace(reference.begin(), reference.end(), '/', '.');
          const auto& parameter = reference.starts_with("#.") ? Lookup(document, std::string_view(reference).substr(2)) : one;
          if (TextOf(parameter, "in") == "query") names.insert(TextOf(parameter, "name"));
        }
    DetectPaging(names);
    endpoint_ = NormaliseUrl(ServerOf(document) + path_);
    if (endpoint_.empty()) throw Error(Code::kInvalidArgument, "openapi: '" + path_.substr(0, 200) + "' makes no URL", "url");
  }

  void DetectPaging(const std::set<std::string>& names) {
    const auto first_of = [&](std::initializer_list<std::string_view> known) -> std::string {
      for (const auto name : known)
        if (names.contains(std::string(name))) return std::string(name);
      return {};
    };
    const auto told = options_.Text("paging", "auto");
    const auto cursor =
        first_of({"cursor", "page_token", "pageToken", "next_cursor", "nextToken", "next_token", "starting_after", "start_cursor", "continuation", "after"});
    const auto offset = first_of({"offset", "skip", "start", "startAt", "$skip"}), number = first_of({"page", "page_number", "pageNumber", "p"});
    paging_ = told == "none"     ? Paging::kNone
              : told == "link"   ? Paging::kLink
              : told == "cursor" ? Paging::kCursor
              : told == "offset" ? Paging::kOffset
              : told == "page"   ? Paging::kPage
              : !cursor.empty()  ? Paging::kCursor
              : !offset.empty()  ? Paging::kOffset
              : !number.empty()  ? Paging::kPage
                                 : Paging::kLink;
    page_param_ = options_.Text("page_param", paging_ == Paging::kCursor   ? (cursor.empty() ? "cursor" : cursor)
                                              : paging_ == Paging::kOffset ? (offset.empty() ? "offset" : offset)
                                              : number.empty()             ? "page"
                                                                           : number);
    limit_param_ =
        options_.Text("limit_param", first_of({"limit", "per_page", "perPage", "page_size", "pageSize", "maxResults", "max_results", "count", "$top", "size"}));
  }

  std::string ServerOf(const Json& document) const {
    auto server = options_.Text("server");
    const bool named = !server.empty();
    if (!named) {
      server = Plain(Lookup(document, "servers.0.url"));
      if (server.empty() && Lookup(document, "swagger").is_string()) {  // 2.0
        const auto host = TextOf(document, "host");
        server = (host.empty() ? std::string(OriginOf(document_url_)) : std::string(document_url_.substr(0, document_url_.find("//") + 2)) + host) +
                 TextOf(document, "basePath");
      }
      // Variables have defaults, which is what they are for.
      if (const auto& variables = Lookup(document, "servers.0.variables"); variables.is_object())
        for (const auto& [name, variable] : variables.get_object())
          if (const auto mark = "{" + std::string(std::string_view(name)) + "}"; server.find(mark) != std::string::npos)
            server.replace(server.find(mark), mark.size(), TextOf(variable, "default"));
    }
    auto out = server.empty() ? std::string(OriginOf(document_url_)) : NormaliseUrl(server, document_url_);
    if (out.empty()) throw Error(Code::kInvalidArgument, "openapi: '" + server.substr(0, 200) + "' is no server's URL", "url");
    if (!named && OriginOf(out) != OriginOf(document_url_))
      throw Error(Code::kInvalidArgument,
                  "openapi: the document sends its readers to '" + std::string(OriginOf(out)) + "'; if that is right, say server=" + out, "url");
    while (out.ends_with('/')) out.pop_back();
    return out;
  }

  std::string UrlAt(const std::string& at) const {
    if (IsHttpUrl(at)) return at;
    std::string out = endpoint_;
    const auto add = [&](std::string_view name, std::string_view value) {
      out += (out.find('?') == std::string::npos ? "?" : "&") + PercentEncode(name) + "=" + PercentEncode(value);
    };
    for (std::string rest = options_.Text("query"); !rest.empty();) {
      const auto end = std::min(rest.find(','), rest.size());
      add(rest.substr(0, std::min(rest.find('='), end)), rest.find('=') < end ? rest.substr(rest.find('=') + 1, end - rest.find('=') - 1) : "");
      rest.erase(0, end + 1);
    }
    if (!limit_param_.empty()) add(limit_param_, std::to_string(limit_));
    if (!at.empty()) add(page_param_, at);
    return out;
  }

  /// Gives each item with its text. Returns where the next page begins, empty after the last.
  std::string FetchPage(const Context& ctx, const std::string& at, const std::function<void(SourceItem, std::string)>& emit) {
    HttpClientResponse response;
    const auto url = UrlAt(at);
    if (OriginOf(url) != OriginOf(endpoint_)) throw Error(Code::kUnavailable, "openapi: the next page lies on another server");
    const auto answer = client_.FetchJson(ctx, {.url = url}, &response);
    const auto& items = ItemsOf(answer);
    for (const auto& item : items) {
      const auto id = Plain(Lookup(item, options_.Text("id", "id")));
      if (id.empty() || id.size() > 1024)
        throw Error(Code::kInvalidArgument,
                    "openapi: an item of '" + path_ + "' has no '" + options_.Text("id", "id") + "'; say which field is its id by id=", "url");
      SourceItem out;
      out.path = id;
      out.media_type = "text/markdown";
      if (const auto field = options_.Text("title"); !field.empty()) out.title = Plain(Lookup(item, field));
      if (const auto field = options_.Text("link"); !field.empty()) out.link = NormaliseUrl(Plain(Lookup(item, field)), endpoint_);
      if (const auto field = options_.Text("updated"); !field.empty()) out.metadata["updated"] = Plain(Lookup(item, field));
      if (item.is_object())
        for (const auto& [name, value] : item.get_object())
          if (!value.is_structured() && !value.is_null() && !(value.is_string() && value.get_string().size() > 200)) out.metadata[name] = value;
      auto text = Render(item, out.title);
      out.fingerprint = Sha256Hex(out.title + "\n" + text);
      if (text.size() > kMaxDocumentBytes) out.problem = "has " + std::to_string(text.size()) + " bytes, limit " + std::to_string(kMaxDocumentBytes);
      emit(std::move(out), std::move(text));
    }
    return NextOf(answer, response, items, at);
  }

  const JsonArray& ItemsOf(const Json& answer) const {
    if (const auto where = options_.Text("items"); !where.empty()) {
      if (const auto& list = Lookup(answer, where); list.is_array()) return list.get_array();
      throw Error(Code::kInvalidArgument, "openapi: the answer of '" + path_ + "' has no list '" + where.substr(0, 100) + "'", "url");
    }
    if (answer.is_array()) return answer.get_array();
    const JsonArray* only = nullptr;
    if (answer.is_object())
      for (const auto& [name, value] : answer.get_object())
        if (value.is_array()) {
          if (only) throw Error(Code::kInvalidArgument, "openapi: the answer of '" + path_ + "' has several lists; say which by items=", "url");
          only = &value.get_array();
        }
    if (!only) throw Error(Code::kInvalidArgument, "openapi: the answer of '" + path_ + "' holds no list; say where by items=", "url");
    return *only;
  }

  std::string Render(const Json& item, const std::string& title) const {
    if (const auto pattern = options_.Text("template"); !pattern.empty()) return Fill(pattern, item);
    std::string out = title.empty() ? "" : "# " + title + "\n\n";
    if (const auto field = options_.Text("text"); !field.empty()) return out + Plain(Lookup(item, field)) + "\n";
    AddFields(item, "", 0, out);
    return out;
  }

  std::string NextOf(const Json& answer, const HttpClientResponse& response, const JsonArray& items, const std::string& at) const {
    const auto number = [&](std::int64_t first) -> std::int64_t {
      if (at.empty()) return first;
      if (at.size() > 15 || at.find_first_not_of("0123456789") != std::string::npos)
        throw Error(Code::kInvalidArgument, "openapi: the page token is not one of this source", "page");
      return std::stoll(at);
    };
    switch (paging_) {
      case Paging::kNone:
        return {};
      // The end is a page without items: how many fit is the server's choice, whatever was asked for.
      case Paging::kOffset:
        return items.empty() ? "" : std::to_string(number(0) + static_cast<std::int64_t>(items.size()));
      case Paging::kPage:
        return items.empty() ? "" : std::to_string(number(1) + 1);
      case Paging::kLink:
      case Paging::kCursor:
        break;
    }
    std::string next;
    if (const auto field = options_.Text("next"); !field.empty()) next = Plain(Lookup(answer, field));
    else {
      next = NextLink(response.header("link"));
      for (const std::string_view known : {"next_cursor", "nextCursor", "next_page_token", "nextPageToken", "next_token", "nextToken", "next",
                                           "@odata.nextLink", "meta.next_cursor", "meta.next", "pagination.next_cursor", "pagination.next", "paging.next",
                                           "paging.cursors.after", "links.next", "_links.next.href", "response_metadata.next_cursor"})
        if (next.empty()) {
          const auto& value = known == "@odata.nextLink" ? Lookup(answer, "@odata") : Lookup(answer, known);
          if (value.is_string() || value.is_number()) next = Plain(value);
        }
      if (next.empty()) next = TextOf(answer, "@odata.nextLink");
      // Stripe's way: whether there is more is said, the last item's id is the cursor.
      if (next.empty() && page_param_ == "starting_after" && Lookup(answer, "has_more").is_bool() && Lookup(answer, "has_more").get_bool() && !items.empty())
        next = Plain(Lookup(items.back(), options_.Text("id", "id")));
    }
    if (next.empty() || next == "false") return {};
    if (IsHttpUrl(next) || next.starts_with('/') || next.starts_with('?') || paging_ == Paging::kLink) {
      next = NormaliseUrl(next, UrlAt(at));
      if (OriginOf(next) != OriginOf(endpoint_)) throw Error(Code::kUnavailable, "openapi: the next page lies on another server");
    }
    return next;
  }

  void Keep(const std::string& path, const std::string& fingerprint, std::string text) {
    auto& kept = kept_[path];
    kept_bytes_ += text.size() - kept.second.size();
    kept = {fingerprint, std::move(text)};
    if (kept_bytes_ > kMaxKeptBytes) {
      kept_.clear();
      kept_bytes_ = 0;
    }
  }

  const SourceOptions options_;
  const std::string document_url_, url_, path_;
  const std::int64_t limit_;
  HttpSourceClient client_;
  std::string endpoint_, page_param_, limit_param_;
  Paging paging_ = Paging::kNone;
  std::map<std::string, std::pair<std::string, std::string>> kept_;  // listed and not yet read: fingerprint and text
  std::size_t kept_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Source> OpenOpenapiSource(std::string_view url, const SourceSetup& setup) { return std::make_unique<OpenapiSource>(url, setup); }

}  // namespace tenfold::data
