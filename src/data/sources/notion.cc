#include "data/sources/notion.h"

#include <algorithm>
#include <ctime>
#include <deque>
#include <set>

#include "base/crypto.h"
#include "data/parse.h"
#include "data/sources/http_source.h"
#include "data/sources/notion_markdown.h"

namespace tenfold::data {
namespace {

constexpr int kMaxBlockDepth = 8;
constexpr std::size_t kMaxBlocks = 10'000;
constexpr std::size_t kVisitsPerPage = 10;
constexpr std::size_t kMaxAhead = 50'000;
constexpr std::int64_t kSettledAfterSeconds = 180;

const Json& Field(const Json& object, std::string_view key) {
  static const Json none;
  const auto* found = object.is_object() ? object.get_object().if_contains(boost::json::string_view(key.data(), key.size())) : nullptr;
  return found ? *found : none;
}
bool IsTrue(const Json& value) { return value.is_bool() && value.get_bool(); }

/// 32 hexadecimal digits in lower case, empty if it is no id. Takes dashes, and the URL or last part of it that a browser shows.
std::string ReadId(std::string_view text) {
  text = text.substr(0, text.find('?'));
  if (const auto slash = text.rfind('/'); slash != std::string_view::npos) text.remove_prefix(slash + 1);
  std::string id;
  for (const char c : text) {
    if (c == '-') continue;
    id += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  if (id.size() > 32) id.erase(0, id.size() - 32);  // "Title-of-the-page-0123…"
  return id.size() == 32 && id.find_first_not_of("0123456789abcdef") == std::string::npos ? id : std::string();
}

/// Seconds since 1970 of "2024-01-02T03:04:00.000Z"; 0 if it is none.
std::int64_t SecondsOf(const std::string& time) {
  std::tm tm{};
  return ::strptime(time.c_str(), "%Y-%m-%dT%H:%M:%S", &tm) ? static_cast<std::int64_t>(::timegm(&tm)) : 0;
}

class NotionSource : public Source {
 public:
  NotionSource(std::string_view url, const SourceSetup& setup)
      : options_(url.find('#') == std::string_view::npos ? "" : url.substr(url.find('#') + 1), "notion:", {"whole_every"}),
        api_("https://api.notion.com"),
        client_(ClientOptions(url.substr(0, url.find('#')), setup)) {
    url_ = "notion:" + (api_ == "https://api.notion.com" ? "" : api_ + (root_.empty() ? "" : "/")) + root_ + options_.text();
    whole_every_seconds_ = options_.Number("whole_every", 0, 0, 60 * 24 * 365) * 60;
  }
  const std::string& url() const override { return url_; }

  SourcePage List(const Context& ctx, const std::string& cursor, const std::string& page) override {
    ctx.Check();
    return root_.empty() ? ListWorkspace(ctx, cursor, page) : ListBelowRoot(ctx, page);
  }

  SourceContent Read(const Context& ctx, const SourceItem& item) override {
    ctx.Check();
    const auto id = ReadId(item.path);
    if (id.empty() || id != item.path) throw Error(Code::kInvalidArgument, "notion: '" + item.path.substr(0, 100) + "' is no page", "path");
    const auto page = client_.FetchJson(ctx, {.url = api_ + "/v1/pages/" + id});
    if (IsGone(page)) throw Error(Code::kNotFound, "notion: the page '" + id + "' is in the trash");
    return {TextOfPage(ctx, page), "text/markdown"};
  }

 private:
  HttpSourceClient::Options ClientOptions(std::string_view where, const SourceSetup& setup) {
    if (IsHttpUrl(where)) {
      const auto whole = NormaliseUrl(where);
      if (whole.empty()) throw Error(Code::kInvalidArgument, "notion: '" + std::string(where.substr(0, 200)) + "' is not an http: or https: URL", "url");
      const auto origin = std::string(OriginOf(whole));
      const auto host = origin.substr(origin.find("//") + 2);
      if (host != "notion.so" && host != "www.notion.so" && !host.ends_with(".notion.site")) api_ = origin;
      where.remove_prefix(std::min(where.size(), where.find('/', where.find("//") + 2)));
    }
    while (where.ends_with('/')) where.remove_suffix(1);
    if (!where.empty() && (root_ = ReadId(where)).empty())
      throw Error(Code::kInvalidArgument, "notion: '" + std::string(where.substr(0, 200)) + "' holds no id of a page or database (32 hexadecimal digits)",
                  "url");
    HttpSourceClient::Options out;
    out.what = "notion:";
    out.addresses = setup.allow_private_addresses ? AddressPolicy::kAny : AddressPolicy::kPublicOnlyAnyPort;
    out.headers = {{"notion-version", "2022-06-28"}, {"content-type", "application/json"}};
    if (const auto token = setup.secret("NOTION_TOKEN"); !token.empty()) out.authorization = "Bearer " + token;
    out.origin = api_;
    out.requests_per_second = 3 * setup.haste;
    out.first_pause = Hastened(out.first_pause, setup.haste);
    out.burst = 10;
    return out;
  }

  static bool IsGone(const Json& page) { return IsTrue(Field(page, "archived")) || IsTrue(Field(page, "in_trash")); }

  /// One page of a list of the API. `next` is empty after the last one.
  JsonArray FetchList(const Context& ctx, const HttpSourceClient::Request& request, std::string& next, std::int64_t* server_seconds = nullptr) {
    HttpClientResponse response;
    auto answer = client_.FetchJson(ctx, request, &response);
    if (!Field(answer, "results").is_array()) throw Error(Code::kUnavailable, "notion: a list without results");
    next = IsTrue(Field(answer, "has_more")) ? TextOf(answer, "next_cursor") : std::string();
    if (IsTrue(Field(answer, "has_more")) && next.empty()) throw Error(Code::kUnavailable, "notion: a list that has more and does not say where");
    if (server_seconds) {
      std::tm tm{};
      const auto date = std::string(response.header("date"));
      *server_seconds =
          ::strptime(date.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &tm) ? static_cast<std::int64_t>(::timegm(&tm)) : ToMicros(ctx.clock().Now()) / 1'000'000;
    }
    return std::move(answer.as_object().at("results").as_array());
  }

  /// Search in the order of editing: what is edited in mid-listing moves to the end of a whole listing, where it is still to come.
  SourcePage ListWorkspace(const Context& ctx, const std::string& cursor, const std::string& page) {
    const auto token = page.empty() ? Json(JsonObject()) : ReadToken(page), since = cursor.empty() ? Json(JsonObject()) : ReadToken(cursor);
    const auto now = ToMicros(ctx.clock().Now()) / 1'000'000;
    const auto whole_at = cursor.empty() ? now : NumberOf(since, "whole_at");
    if (!cursor.empty() && now >= whole_at + whole_every_seconds_)
      throw Error(Code::kFailedPrecondition,
                  "notion: the last whole listing is " + std::to_string((now - whole_at) / 60) + " minutes old; removed pages show only in a whole one");
    JsonObject body{{"page_size", 100},
                    {"filter", JsonObject{{"property", "object"}, {"value", "page"}}},
                    {"sort", JsonObject{{"timestamp", "last_edited_time"}, {"direction", cursor.empty() ? "ascending" : "descending"}}}};
    if (const auto from = TextOf(token, "from"); !from.empty()) body["start_cursor"] = from;
    std::string next;
    std::int64_t server_seconds = 0;
    const auto results = FetchList(ctx, {.url = api_ + "/v1/search", .method = "POST", .body = ToText(body)}, next, &server_seconds);
    const auto began = page.empty() ? server_seconds : NumberOf(token, "began");
    SourcePage out;
    for (const auto& one : results) {
      // Two minutes of overlap, since times of editing have minutes only.
      if (!cursor.empty() && SecondsOf(TextOf(one, "last_edited_time")) < NumberOf(since, "since") - 120) {
        next.clear();
        break;
      }
      if (TextOf(one, "object") != "page") continue;
      if (!IsGone(one)) out.items.push_back(ItemOf(ctx, one, server_seconds));
      else if (!cursor.empty()) out.items.push_back(RemovedItem(ReadId(TextOf(one, "id"))));
    }
    if (!next.empty()) out.next = ToText(JsonObject{{"from", next}, {"began", began}});
    else if (whole_every_seconds_ > 0) out.cursor = ToText(JsonObject{{"since", began}, {"whole_at", whole_at}});
    return out;
  }

  struct Ahead {
    std::string id, from;  ///< where its list of rows goes on
    bool is_database = false;
    bool listed = false;  ///< as a row of its database
  };

  SourcePage ListBelowRoot(const Context& ctx, const std::string& page) {
    std::deque<Ahead> ahead;
    std::set<std::string> seen;
    if (page.empty()) {
      // An id does not say what it is of.
      const auto response = client_.Fetch(ctx, {.url = api_ + "/v1/databases/" + root_});
      if (response.status != 200 && response.status != 404 && response.status != 400) client_.ThrowFor(response, api_ + "/v1/databases");
      Ahead root;
      root.id = root_;
      root.is_database = response.status == 200;
      ahead.push_back(std::move(root));
      seen.insert(root_);
    } else {
      const auto token = ReadToken(page);
      try {
        for (const auto& one : token.at("ahead").as_array()) {
          Ahead next;
          next.id = TextOf(one, "id");
          next.from = TextOf(one, "from");
          next.is_database = IsTrue(Field(one, "database"));
          next.listed = IsTrue(Field(one, "listed"));
          ahead.push_back(std::move(next));
        }
        for (const auto& one : token.at("seen").as_array()) seen.emplace(AsView(one.as_string()));
      } catch (const std::exception&) {
        ThrowBadToken();
      }
    }
    SourcePage out;
    for (std::size_t n = 0; n < kVisitsPerPage && !ahead.empty(); ++n) {
      const auto one = std::move(ahead.front());
      ahead.pop_front();
      std::vector<Ahead> below;
      if (one.is_database) VisitDatabase(ctx, one, below, out.items);
      else VisitPage(ctx, one, below, out.items);
      for (auto& child : below)
        if (!child.from.empty() || seen.insert(child.id).second) ahead.push_back(std::move(child));
      if (ahead.size() > kMaxAhead || seen.size() > kMaxAhead)
        throw Error(Code::kResourceExhausted, "notion: more than " + std::to_string(kMaxAhead) + " pages below '" + root_ + "'; list parts of it");
    }
    if (ahead.empty()) return out;
    JsonArray left, known;
    for (const auto& one : ahead) left.push_back(JsonObject{{"id", one.id}, {"from", one.from}, {"database", one.is_database}, {"listed", one.listed}});
    for (const auto& id : seen) known.emplace_back(id);
    out.next = ToText(JsonObject{{"ahead", left}, {"seen", known}});
    return out;
  }

  void VisitDatabase(const Context& ctx, const Ahead& database, std::vector<Ahead>& below, std::vector<SourceItem>& items) {
    JsonObject body{{"page_size", 100}, {"sorts", JsonArray{JsonObject{{"timestamp", "created_time"}, {"direction", "ascending"}}}}};
    if (!database.from.empty()) body["start_cursor"] = database.from;
    std::string next;
    std::int64_t server_seconds = 0;
    for (const auto& row :
         FetchList(ctx, {.url = api_ + "/v1/databases/" + database.id + "/query", .method = "POST", .body = ToText(body)}, next, &server_seconds)) {
      if (TextOf(row, "object") != "page" || IsGone(row)) continue;
      items.push_back(ItemOf(ctx, row, server_seconds));
      below.emplace_back().id = items.back().path;
      below.back().listed = true;
    }
    if (next.empty()) return;
    below.push_back(database);
    below.back().from = next;
  }

  void VisitPage(const Context& ctx, const Ahead& page, std::vector<Ahead>& below, std::vector<SourceItem>& items) {
    std::size_t blocks = 0;
    JsonArray children;
    try {
      if (!page.listed) {
        const auto found = client_.FetchJson(ctx, {.url = api_ + "/v1/pages/" + page.id});
        if (IsGone(found)) return;
        items.push_back(ItemOf(ctx, found, ToMicros(ctx.clock().Now()) / 1'000'000));
      }
      children = FetchBlocks(ctx, page.id, 0, blocks);
    } catch (const Error& e) {
      if (e.code() != Code::kNotFound || page.id == root_) throw;  // gone since its parent was read, or not shared
      return;
    }
    CollectChildren(children, below);
  }

  static void CollectChildren(const JsonArray& blocks, std::vector<Ahead>& below) {
    for (const auto& block : blocks) {
      const auto type = TextOf(block, "type");
      if (type == "child_page" || type == "child_database") {
        below.emplace_back().id = ReadId(TextOf(block, "id"));
        below.back().is_database = type == "child_database";
      } else if (Field(block, "children").is_array()) {
        CollectChildren(Field(block, "children").get_array(), below);
      }
    }
  }

  /// What is below a block, with what is below that in "children". Pages and databases are documents of their own and not opened.
  JsonArray FetchBlocks(const Context& ctx, const std::string& id, int depth, std::size_t& count) {
    JsonArray out;
    std::string next;
    do {
      for (auto& block : FetchList(
               ctx, {.url = api_ + "/v1/blocks/" + id + "/children?page_size=100" + (next.empty() ? "" : "&start_cursor=" + PercentEncode(next))}, next)) {
        if (IsGone(block)) continue;
        if (++count > kMaxBlocks) throw Error(Code::kResourceExhausted, "notion: a page of more than " + std::to_string(kMaxBlocks) + " blocks");
        const auto type = TextOf(block, "type");
        if (IsTrue(Field(block, "has_children")) && depth < kMaxBlockDepth && type != "child_page" && type != "child_database")
          block.as_object()["children"] = FetchBlocks(ctx, ReadId(TextOf(block, "id")), depth + 1, count);
        out.push_back(std::move(block));
      }
    } while (!next.empty());
    return out;
  }

  std::string TextOfPage(const Context& ctx, const Json& page) {
    std::string out = "# " + NotionTitle(Field(page, "properties")) + "\n\n";
    if (TextOf(Field(page, "parent"), "type") == "database_id") {
      // What a row says in its columns is as much of its text as what stands below.
      for (const auto& [name, value] : NotionProperties(Field(page, "properties"))) {
        std::string text;
        if (value.is_array())
          for (const auto& one : value.get_array()) text += (text.empty() ? "" : ", ") + std::string(AsView(one.as_string()));
        else text = value.is_string() ? std::string(AsView(value.get_string())) : ToText(value);
        out += "- **" + std::string(std::string_view(name)) + ":** " + text + "\n";
      }
      out += "\n";
    }
    std::size_t blocks = 0;
    out += NotionBlocksToMarkdown(FetchBlocks(ctx, ReadId(TextOf(page, "id")), 0, blocks));
    return out;
  }

  SourceItem ItemOf(const Context& ctx, const Json& page, std::int64_t server_seconds) {
    SourceItem item;
    item.path = ReadId(TextOf(page, "id"));
    const auto edited = TextOf(page, "last_edited_time");
    if (item.path.empty() || edited.empty()) throw Error(Code::kUnavailable, "notion: a page without id or time of editing");
    item.title = NotionTitle(Field(page, "properties"));
    item.link = TextOf(page, "url");
    item.media_type = "text/markdown";
    item.metadata = NotionProperties(Field(page, "properties"));
    item.metadata["created_time"] = TextOf(page, "created_time");
    item.metadata["last_edited_time"] = edited;
    item.fingerprint = edited;
    // A second edit in the same minute has the same time: while there may be one, the text itself is the fingerprint.
    if (SecondsOf(edited) + kSettledAfterSeconds > server_seconds) {
      try {
        item.fingerprint += "/" + Sha256Hex(TextOfPage(ctx, page)).substr(0, 32);
      } catch (const Error& e) {
        if (e.code() != Code::kNotFound && e.code() != Code::kResourceExhausted) throw;
        if (e.param() == "rate") throw;
        item.fingerprint += "/unread";
      }
    }
    return item;
  }

  static SourceItem RemovedItem(std::string id) {
    SourceItem item;
    item.path = std::move(id);
    item.removed = true;
    return item;
  }

  static std::int64_t NumberOf(const Json& object, std::string_view key) { return Field(object, key).is_int64() ? Field(object, key).get_int64() : 0; }
  [[noreturn]] static void ThrowBadToken() {
    throw Error(Code::kInvalidArgument, "notion: the page token or cursor is not one of this source; list from the beginning", "page");
  }
  static Json ReadToken(const std::string& text) {
    try {
      auto token = ParseJson(text);
      if (token.is_object()) return token;
    } catch (const Error&) {
    }
    ThrowBadToken();
  }

  const SourceOptions options_;
  std::string api_, root_;
  HttpSourceClient client_;
  std::string url_;
  std::int64_t whole_every_seconds_ = 0;
};

}  // namespace

std::unique_ptr<Source> OpenNotionSource(std::string_view url, const SourceSetup& setup) { return std::make_unique<NotionSource>(url, setup); }

}  // namespace tenfold::data
