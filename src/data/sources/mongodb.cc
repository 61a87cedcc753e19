#include "data/sources/mongodb.h"

#include <mongoc/mongoc.h>
#include <poll.h>

#include <algorithm>
#include <boost/url/parse.hpp>
#include <cerrno>
#include <mutex>

#include "base/byte_stream.h"
#include "base/crypto.h"
#include "base/percent.h"
#include "base/utf8.h"
#include "data/parse.h"
#include "data/sources/record_fields.h"

namespace tenfold::data {
namespace {

constexpr std::string_view kDefaultId = "_id";
constexpr std::uint64_t kMaxPageBytes = 48u << 20;
constexpr std::size_t kMaxPathBytes = 1024;
constexpr std::int32_t kConnectMs = 10'000, kSocketMs = 300'000;  // upper ends; the Context's deadline comes before
constexpr std::string_view kConnectionKeys[] = {"tls", "authSource", "authMechanism", "replicaSet", "readPreference"};

struct Free {
  void operator()(bson_t* one) const { bson_destroy(one); }
  void operator()(mongoc_uri_t* one) const { mongoc_uri_destroy(one); }
  void operator()(mongoc_client_t* one) const { mongoc_client_destroy(one); }
  void operator()(mongoc_collection_t* one) const { mongoc_collection_destroy(one); }
  void operator()(mongoc_database_t* one) const { mongoc_database_destroy(one); }
  void operator()(mongoc_cursor_t* one) const { mongoc_cursor_destroy(one); }
  void operator()(char* one) const { bson_free(one); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

/// As a template's argument bson_t has lost the alignment that its functions ask for, though not in memory.
bson_t* Aligned(const Owned<bson_t>& one) { return one.get(); }

/// The driver's socket layer over ours, so that every wait ends with the call it is for. Lives in the driver's memory and is freed by it.
struct Stream {
  mongoc_stream_t driver;
  ByteStream* bytes;
  const Context* const* ctx;  ///< null between calls: then nothing may wait
  bool tls;
  bool timed_out;
  bool should_retry;

  static Stream& Of(mongoc_stream_t* stream) { return *reinterpret_cast<Stream*>(stream); }
  bool done() const { return !*ctx || (*ctx)->done(); }

  static void Destroy(mongoc_stream_t* stream) {
    delete Of(stream).bytes;
    bson_free(stream);
  }
  static int Close(mongoc_stream_t* stream) {
    delete Of(stream).bytes;
    Of(stream).bytes = nullptr;
    return 0;
  }
  static ssize_t Write(mongoc_stream_t* stream, mongoc_iovec_t* vectors, std::size_t count, std::int32_t) {
    auto& self = Of(stream);
    ssize_t written = 0;
    try {
      if (self.done() || !self.bytes) throw Error(Code::kCancelled, "the call has ended");
      for (std::size_t i = 0; i < count; ++i) {
        self.bytes->Write(**self.ctx, {static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len});
        written += static_cast<ssize_t>(vectors[i].iov_len);
      }
    } catch (const Error&) {
      errno = EPIPE;
      return -1;
    }
    return written;
  }
  static ssize_t Read(mongoc_stream_t* stream, mongoc_iovec_t* vectors, std::size_t count, std::size_t min_bytes, std::int32_t timeout_ms) {
    auto& self = Of(stream);
    self.timed_out = self.should_retry = false;
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms < 0 ? kSocketMs : timeout_ms);
    std::size_t got = 0, vector = 0, offset = 0;
    try {
      while (vector < count) {
        if (offset == vectors[vector].iov_len) {
          ++vector;
          offset = 0;
          continue;
        }
        if (!self.bytes) throw Error(Code::kUnavailable, "closed");
        const auto piece = self.bytes->TryRead(static_cast<char*>(vectors[vector].iov_base) + offset, vectors[vector].iov_len - offset);
        if (piece == 0u) return got >= min_bytes ? static_cast<ssize_t>(got) : 0;
        if (piece) {
          got += *piece;
          offset += *piece;
          continue;
        }
        if (got > 0 && got >= min_bytes) break;
        if (timeout_ms == 0 && got == 0) {
          self.should_retry = true;
          errno = EAGAIN;
          return -1;
        }
        if (self.done() || std::chrono::steady_clock::now() >= until) {
          self.timed_out = true;
          errno = ETIMEDOUT;
          return -1;
        }
        pollfd wait{self.bytes->descriptor(), POLLIN, 0};
        ::poll(&wait, 1, 50);
      }
    } catch (const Error&) {
      errno = ECONNRESET;
      return -1;
    }
    return static_cast<ssize_t>(got);
  }
  static bool IsClosed(mongoc_stream_t* stream) {
    auto& self = Of(stream);
    if (!self.bytes) return true;
    if (self.bytes->has_buffered()) return false;
    char byte;
    return ::recv(self.bytes->descriptor(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
  }
  static ssize_t Poll(mongoc_stream_poll_t* polls, std::size_t count, std::int32_t timeout_ms) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms < 0 ? kSocketMs : timeout_ms);
    std::vector<pollfd> waits(count);
    for (;;) {
      ssize_t ready = 0;
      for (std::size_t i = 0; i < count; ++i)
        waits[i] = {Of(polls[i].stream).bytes ? Of(polls[i].stream).bytes->descriptor() : -1, static_cast<short>(polls[i].events), 0};
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
      ::poll(waits.data(), count, static_cast<int>(std::clamp<std::int64_t>(left, 0, 50)));
      for (std::size_t i = 0; i < count; ++i) {
        auto& self = Of(polls[i].stream);
        polls[i].revents = waits[i].revents;
        if (self.bytes && self.bytes->has_buffered()) polls[i].revents |= POLLIN;
        if (self.done() || !self.bytes) polls[i].revents |= POLLHUP;
        if (polls[i].revents) ++ready;
      }
      if (ready > 0 || left <= 0) return ready;
    }
  }

  static mongoc_stream_t* Make(ByteStream* bytes, const Context* const* ctx) {
    auto* const self = static_cast<Stream*>(bson_malloc0(sizeof(Stream)));
    self->bytes = bytes;
    self->ctx = ctx;
    self->driver.type = 100;  // any number that is none of the driver's own
    self->driver.destroy = self->driver.failed = Destroy;
    self->driver.close = Close;
    self->driver.flush = [](mongoc_stream_t*) { return 0; };
    self->driver.writev = Write;
    self->driver.readv = Read;
    self->driver.setsockopt = [](mongoc_stream_t*, int, int, void*, mongoc_socklen_t) { return 0; };
    self->driver.check_closed = IsClosed;
    self->driver.poll = Poll;
    self->driver.timed_out = [](mongoc_stream_t* stream) { return Of(stream).timed_out; };
    self->driver.should_retry = [](mongoc_stream_t* stream) { return Of(stream).should_retry; };
    return &self->driver;
  }
};

void StartDriver() {
  static std::once_flag started;
  std::call_once(started, [] {
    mongoc_init();
    mongoc_log_set_handler(nullptr, nullptr);  // what goes wrong is thrown
  });
}

Code CodeOf(const bson_error_t& error) {
  if (error.domain == MONGOC_ERROR_CLIENT && error.code == MONGOC_ERROR_CLIENT_AUTHENTICATE) return Code::kUnauthenticated;
  if (error.domain == MONGOC_ERROR_SERVER_SELECTION || error.domain == MONGOC_ERROR_STREAM || error.domain == MONGOC_ERROR_CLIENT ||
      error.domain == MONGOC_ERROR_PROTOCOL)
    return Code::kUnavailable;
  if (error.domain != MONGOC_ERROR_SERVER) return Code::kFailedPrecondition;
  switch (error.code) {  // the server's error codes
    case 18:
      return Code::kUnauthenticated;
    case 13:
    case 8000:
      return Code::kPermissionDenied;
    case 26:
      return Code::kNotFound;
    case 50:
    case 262:
      return Code::kDeadlineExceeded;
    case 6:
    case 7:
    case 89:
    case 91:
    case 189:
    case 9001:
    case 10107:
    case 11600:
    case 11602:
    case 13435:
    case 13436:
      return Code::kUnavailable;
    case 2:
    case 9:
    case 14:
    case 17:
    case 40:
    case 31249:
    case 31250:
      return Code::kInvalidArgument;
    case 146:
    case 292:
      return Code::kResourceExhausted;
    default:
      return Code::kFailedPrecondition;
  }
}

/// What the extended JSON of MongoDB wraps into objects as plain JSON: ids and dates as text, numbers as numbers, bytes left out. Source: MongoDB Extended JSON
/// v2, relaxed.
Json ToPlain(const Json& value) {
  if (value.is_array()) {
    JsonArray out;
    for (const auto& one : value.get_array()) out.push_back(ToPlain(one));
    return out;
  }
  if (!value.is_object()) return value;
  const auto& object = value.get_object();
  if (object.size() == 1 && object.begin()->key().starts_with('$')) {
    const auto key = object.begin()->key();
    const auto& inner = object.begin()->value();
    if (key == "$oid" || key == "$date" || key == "$numberDecimal" || key == "$numberDouble" || key == "$symbol" || key == "$uuid" || key == "$code")
      return ToPlain(inner);
    if (key == "$numberLong") return inner;
    return nullptr;  // bytes, keys, pointers: nothing a person reads
  }
  JsonObject out;
  for (const auto& [key, one] : object) out[key] = ToPlain(one);
  return out;
}

/// The value at "a.b"; null if there is none.
Json FieldOf(const JsonObject& record, std::string_view name) {
  if (const auto* direct = record.if_contains(name)) return *direct;
  const auto dot = name.find('.');
  if (dot == std::string_view::npos) return nullptr;
  const auto* inner = record.if_contains(name.substr(0, dot));
  return inner && inner->is_object() ? FieldOf(inner->get_object(), name.substr(dot + 1)) : Json();
}
void EraseField(JsonObject& record, std::string_view name) {
  if (record.erase(name) > 0) return;
  const auto dot = name.find('.');
  if (dot == std::string_view::npos) return;
  if (auto* inner = record.if_contains(name.substr(0, dot)); inner && inner->is_object()) EraseField(inner->get_object(), name.substr(dot + 1));
}

bool IsObjectId(std::string_view text) { return text.size() == 24 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos; }

Owned<bson_t> BsonFrom(const Json& json) {
  const auto text = ToText(json);
  bson_error_t error;
  Owned<bson_t> out(bson_new_from_json(reinterpret_cast<const std::uint8_t*>(text.data()), static_cast<ssize_t>(text.size()), &error));
  if (!out) throw Error(Code::kInvalidArgument, std::string("not MongoDB's extended JSON: ") + error.message);
  return out;
}

// What sorts before what: MongoDB compares ids of different kinds by kind, but `$gt` finds only those of the same kind. Source: MongoDB manual, BSON types,
// comparison and sort order.
constexpr std::string_view kKinds[] = {"number", "string", "object", "binData", "objectId", "date"};

/// An id as extended JSON. Errors: kInvalidArgument for what names nothing: null, true or false, a list.
std::size_t KindOf(const Json& id, std::string_view field) {
  if (id.is_string()) return 1;
  if (id.is_object()) {
    const auto& object = id.get_object();
    const auto key = object.size() == 1 ? std::string_view(object.begin()->key()) : std::string_view();
    if (key == "$numberInt" || key == "$numberLong" || key == "$numberDouble" || key == "$numberDecimal") return 0;
    if (key == "$binary" || key == "$uuid") return 3;
    if (key == "$oid") return 4;
    if (key == "$date") return 5;
    if (!key.starts_with('$')) return 2;
  }
  throw Error(Code::kInvalidArgument,
              "'" + std::string(field) + "' is missing, null or of a kind that names nothing in some documents; choose another id=", "url");
}

/// {field: {$not: {$type: [all kinds up to `kind`]}}}. By hand: the driver's JSON reader takes "$type" for a part of binary data.
Owned<bson_t> LaterKinds(const std::string& field, std::size_t kind) {
  const Owned<bson_t> list(bson_new()), inner(bson_new()), condition(bson_new());
  Owned<bson_t> filter(bson_new());
  for (std::size_t k = 0; k <= kind; ++k) bson_append_utf8(Aligned(list), std::to_string(k).c_str(), -1, std::string(kKinds[k]).c_str(), -1);
  bson_append_array(Aligned(inner), "$type", -1, Aligned(list));
  bson_append_document(Aligned(condition), "$not", -1, Aligned(inner));
  bson_append_document(Aligned(filter), field.c_str(), static_cast<int>(field.size()), Aligned(condition));
  return filter;
}

// A text is its own path and an object id its digits; what could be mistaken for either is written as JSON.
std::string PathOf(const Json& id) {
  if (id.is_object()) {
    const auto* oid = id.get_object().if_contains("$oid");
    return oid && oid->is_string() ? std::string(AsView(oid->get_string())) : ToText(id);
  }
  const auto text = AsView(id.get_string());
  return text.starts_with('{') || text.starts_with('"') || IsObjectId(text) || text.empty() ? ToText(id) : std::string(text);
}
Json IdOf(const std::string& path) {
  if (IsObjectId(path)) return JsonObject{{"$oid", path}};
  return path.starts_with('{') || path.starts_with('"') ? ParseJson(path) : Json(path);
}

class MongodbSource : public Source {
 public:
  MongodbSource(std::string_view scheme, std::string_view rest, const SourceSetup& setup) {
    StartDriver();
    const auto fail = [](const std::string& problem) { throw Error(Code::kInvalidArgument, "mongodb: " + problem, "url"); };
    if (!rest.starts_with("//")) fail("write mongodb://user@host:port/database.collection");
    rest.remove_prefix(2);
    const auto question = std::min(rest.find('?'), rest.size());
    const auto slash = rest.substr(0, question).find('/');
    if (slash == std::string_view::npos) fail("the URL names no database.collection");
    auto hosts = rest.substr(0, slash);
    std::string user;
    if (const auto at = hosts.rfind('@'); at != std::string_view::npos) {
      user = hosts.substr(0, at);
      hosts.remove_prefix(at + 1);
      if (user.find(':') != std::string::npos) fail("a password is not part of a URL; put it into $MONGODB_PASSWORD");
    }
    const auto text = "mongodb:///" + std::string(rest.substr(slash + 1));
    const auto parsed = boost::urls::parse_uri(text);
    const bool plain_hosts = std::all_of(hosts.begin(), hosts.end(), [](unsigned char c) {
      return std::isalnum(c) || c == '.' || c == '-' || c == '_' || c == ':' || c == ',' || c == '[' || c == ']';
    });
    if (!parsed || hosts.empty() || !plain_hosts) fail("write mongodb://user@host:port/database.collection");
    const auto place = std::string(parsed->path()).substr(1);
    const auto dot = place.find('.');
    if (dot == std::string::npos || dot == 0 || dot + 1 == place.size()) fail("the URL names no database.collection");
    database_ = place.substr(0, dot);
    collection_ = place.substr(dot + 1);
    std::map<std::string, std::string, std::less<>> connection, own;
    for (const auto& parameter : parsed->params()) {
      const std::string key(parameter.key), value(parameter.value);
      const auto known = [&](const auto& list) { return std::find(std::begin(list), std::end(list), key) != std::end(list); };
      if (!known(kConnectionKeys) && !known(RecordFieldKeys())) fail("'" + key.substr(0, 64) + "' is no setting of this URL");
      if (!(known(RecordFieldKeys()) ? own : connection).emplace(key, value).second) fail("'" + key.substr(0, 64) + "' is given twice");
    }
    fields_ = ParseRecordFields(own, kDefaultId);

    std::string listed;
    bool loopback = true;
    for (auto all = hosts; !all.empty();) {
      const auto comma = std::min(all.find(','), all.size());
      const auto host = all.substr(0, comma);
      all.remove_prefix(std::min(comma + 1, all.size()));
      const auto port = host.ends_with(']') ? std::string_view::npos : host.rfind(':');
      loopback = loopback && IsLoopbackName(host.starts_with('[') ? host.substr(1, host.find(']') - 1) : host.substr(0, port));
      listed += (listed.empty() ? "" : ",") + std::string(host) + (port == std::string_view::npos && scheme == "mongodb" ? ":27017" : "");
    }
    if (!connection.contains("tls")) connection["tls"] = loopback ? "false" : "true";
    std::string query;
    for (const auto& [key, value] : connection) query += (query.empty() ? "?" : "&") + key + "=" + PercentEncode(value);
    bson_error_t error;
    uri_.reset(mongoc_uri_new_with_error((std::string(scheme) + "://" + (user.empty() ? "" : user + "@") + listed + "/" + query).c_str(), &error));
    if (!uri_) fail(error.message);
    if (const auto password = setup.secret("MONGODB_PASSWORD"); !user.empty() && !password.empty()) mongoc_uri_set_password(uri_.get(), password.c_str());
    mongoc_uri_set_option_as_int32(uri_.get(), MONGOC_URI_CONNECTTIMEOUTMS, kConnectMs);
    mongoc_uri_set_option_as_int32(uri_.get(), MONGOC_URI_SERVERSELECTIONTIMEOUTMS, kConnectMs);
    mongoc_uri_set_option_as_int32(uri_.get(), MONGOC_URI_SOCKETTIMEOUTMS, kSocketMs);
    mongoc_uri_set_appname(uri_.get(), "tenfold");
    url_ = std::string(scheme) + "://" + (user.empty() ? "" : user + "@") + listed + "/" + place;
    if (const auto set = connection.find("replicaSet"); set != connection.end())
      url_ += "?replicaSet=" + PercentEncode(set->second) + fields_.ToQuery(kDefaultId);
    else if (const auto fields = fields_.ToQuery(kDefaultId); !fields.empty()) url_ += "?" + fields.substr(1);
  }
  const std::string& url() const override { return url_; }

  SourcePage List(const Context& ctx, const std::string&, const std::string& page) override {
    return During(ctx, [&] {
      JsonObject after;
      if (!page.empty()) {
        const auto token = ParseJson(page);
        if (!token.is_object() || !token.get_object().contains("id")) throw Error(Code::kInvalidArgument, "page: not one of this source's");
        after = token.get_object();
      }
      const auto identity = CheckCollection(ctx);
      // What was dropped and made anew in mid-listing would be listed without its beginning.
      if (const auto* before = after.if_contains("collection"); before && *before != Json(identity))
        throw Error(Code::kUnavailable, "'" + url_ + "' was replaced while it was listed");
      Listing listing;
      if (!page.empty()) {
        const auto& id = after.at("id");
        const auto kind = KindOf(id, fields_.id);
        Collect(ctx, *BsonFrom(JsonObject{{fields_.id, JsonObject{{"$gt", id}}}}), listing);
        if (!listing.full && listing.count <= fields_.page) Collect(ctx, *LaterKinds(fields_.id, kind), listing);
      } else {
        Collect(ctx, *BsonFrom(JsonObject{}), listing);  // without a condition all kinds come, one after another
      }
      // Dropped since: what came is not all there was.
      if (CheckCollection(ctx) != identity) throw Error(Code::kUnavailable, "'" + url_ + "' was replaced while it was listed");
      SourcePage out;
      out.items = std::move(listing.items);
      if (listing.full || listing.count > fields_.page) out.next = ToText(JsonObject{{"id", listing.last}, {"collection", identity}});
      return out;
    });
  }

  SourceContent Read(const Context& ctx, const SourceItem& item) override {
    return During(ctx, [&]() -> SourceContent {
      const auto filter = BsonFrom(JsonObject{{fields_.id, IdOf(item.path)}});
      const auto record = FindOne(ctx, *filter);
      if (!record) {
        CheckCollection(ctx);
        throw Error(Code::kNotFound, "document '" + item.path + "' is gone");
      }
      std::string bytes;
      if (fields_.text.empty()) {
        auto shown = *record;
        if (!fields_.access.empty()) EraseField(shown, fields_.access);
        bytes = ToMarkdown(shown, {"_id"});
      } else {
        for (const auto& name : fields_.text)
          if (const auto text = ToPlainText(FieldOf(*record, name)); !text.empty()) bytes += (bytes.empty() ? "" : "\n\n") + text;
      }
      if (bytes.size() > kMaxDocumentBytes)
        throw Error(Code::kResourceExhausted,
                    "document '" + item.path + "' has " + std::to_string(bytes.size()) + " bytes, limit " + std::to_string(kMaxDocumentBytes));
      return {std::move(bytes), fields_.media_type};
    });
  }

 private:
  struct Listing {
    std::vector<SourceItem> items;
    std::size_t count = 0;  ///< one more than a page where there is a next one
    std::uint64_t bytes = 0;
    bool full = false;  ///< by bytes, before the page was
    Json last;
  };

  /// Runs `work` with a connection whose waits end with `ctx`; a client that failed is not used again, as it would not even try for some seconds.
  template <class Work>
  std::invoke_result_t<Work> During(const Context& ctx, Work&& work) {
    ctx.Check();
    current_ = &ctx;
    struct Detach {
      MongodbSource& source;
      ~Detach() { source.current_ = nullptr; }
    } detach{*this};
    try {
      Connect();
      return work();
    } catch (const Error& e) {
      if (e.code() == Code::kUnavailable || e.code() == Code::kUnauthenticated || ctx.done()) {
        current_ = nullptr;
        collection_handle_.reset();
        client_.reset();
      }
      if (e.code() == Code::kUnavailable) ctx.Check();
      throw;
    }
  }

  void Connect() {
    if (client_) return;
    client_.reset(mongoc_client_new_from_uri(uri_.get()));
    if (!client_) throw Error(Code::kInvalidArgument, "mongodb: no connection can be made from '" + url_ + "'", "url");
    mongoc_client_set_error_api(client_.get(), MONGOC_ERROR_API_VERSION_2);
    mongoc_client_set_stream_initiator(client_.get(), OpenStream, this);
    collection_handle_.reset(mongoc_client_get_collection(client_.get(), database_.c_str(), collection_.c_str()));
  }

  static mongoc_stream_t* OpenStream(const mongoc_uri_t* uri, const mongoc_host_list_t* host, void* data, bson_error_t* error) {
    auto& self = *static_cast<MongodbSource*>(data);
    try {
      if (!self.current_) throw Error(Code::kCancelled, "the call has ended");
      return Stream::Make(new ByteStream(self.current_->WithTimeout(std::chrono::milliseconds(kConnectMs)), host->host, host->port,
                                         mongoc_uri_get_tls(uri) ? Tls::kOn : Tls::kOff),
                          &self.current_);
    } catch (const Error& e) {
      bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT, "%s", e.message().c_str());
      return nullptr;
    }
  }

  [[noreturn]] void Throw(const Context& ctx, const bson_error_t& error) const {
    ctx.Check();
    throw Error(CodeOf(error), "'" + url_.substr(0, url_.find('?')) + "': " + error.message);
  }

  /// What tells this collection from another one of the same name. Errors: kNotFound.
  std::string CheckCollection(const Context& ctx) {
    const Owned<mongoc_database_t> database(mongoc_client_get_database(client_.get(), database_.c_str()));
    const auto options = BsonFrom(JsonObject{{"filter", JsonObject{{"name", collection_}}}});
    const Owned<mongoc_cursor_t> cursor(mongoc_database_find_collections_with_opts(database.get(), options.get()));
    const bson_t* found = nullptr;
    std::string identity;
    bool there = false;
    while (mongoc_cursor_next(cursor.get(), &found)) {
      const auto object = ToJson(*found);
      if (object.at("name") != Json(collection_)) continue;
      there = true;
      if (const auto* info = object.if_contains("info"); info && info->is_object() && info->get_object().contains("uuid"))
        identity = ToText(info->get_object().at("uuid"));
    }
    bson_error_t error;
    if (mongoc_cursor_error(cursor.get(), &error)) Throw(ctx, error);
    if (!there) throw Error(Code::kNotFound, "there is no collection '" + database_ + "." + collection_ + "'");
    return identity;
  }

  static JsonObject ToJson(const bson_t& record) {
    const Owned<char> text(bson_as_canonical_extended_json(&record, nullptr));
    if (!text) throw Error(Code::kInvalidArgument, "the document is no valid BSON");
    return ParseJson(text.get()).as_object();
  }
  static JsonObject ToPlainJson(const bson_t& record) {
    const Owned<char> text(bson_as_relaxed_extended_json(&record, nullptr));
    if (!text) throw Error(Code::kInvalidArgument, "the document is no valid BSON");
    const auto json = ParseJson(text.get());
    JsonObject out;
    for (const auto& [key, value] : json.as_object()) out[key] = ToPlain(value);
    return out;
  }

  JsonObject MakeOptions(const Context& ctx) const {
    JsonObject options;
    if (ctx.deadline() != TimePoint::max()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(ctx.deadline() - ctx.clock().Now()).count();
      options["maxTimeMS"] = std::clamp<std::int64_t>(left, 1, 86'400'000);
    }
    return options;
  }

  void Collect(const Context& ctx, const bson_t& filter, Listing& into) {
    auto options = MakeOptions(ctx);
    options["sort"] = JsonObject{{fields_.id, 1}};
    options["limit"] = static_cast<std::int64_t>(fields_.page + 1 - into.count);
    // Without a list of texts, or an `updated` to go by, all of the document is hashed.
    if (!fields_.text.empty() || !fields_.updated.empty()) {
      JsonObject fields{{fields_.id, 1}};
      for (const auto& name : {fields_.title, fields_.updated, fields_.access, fields_.link})
        if (!name.empty()) fields[name] = 1;
      for (const auto& name : fields_.metadata) fields[name] = 1;
      if (fields_.updated.empty())
        for (const auto& name : fields_.text) fields[name] = 1;
      options["projection"] = std::move(fields);
    }
    const auto with = BsonFrom(options);
    const Owned<mongoc_cursor_t> cursor(mongoc_collection_find_with_opts(collection_handle_.get(), &filter, with.get(), nullptr));
    const bson_t* record = nullptr;
    while (mongoc_cursor_next(cursor.get(), &record)) {
      bson_iter_t at, field;
      bson_t only;
      bson_init(&only);
      if (bson_iter_init(&at, record) && bson_iter_find_descendant(&at, fields_.id.c_str(), &field)) bson_append_value(&only, "id", 2, bson_iter_value(&field));
      JsonObject id_object;
      try {
        id_object = ToJson(only);
      } catch (...) {
        bson_destroy(&only);
        throw;
      }
      bson_destroy(&only);
      const auto id = id_object.contains("id") ? id_object.at("id") : Json();
      KindOf(id, fields_.id);
      if (into.count > 0 && id == into.last)
        throw Error(Code::kInvalidArgument, "'" + fields_.id + "' names two documents " + ToText(id) + "; choose an id= that is unique", "url");
      if (++into.count > fields_.page) return;
      into.items.push_back(MakeItem(id, *record));
      into.last = id;
      into.bytes += record->len;
      if (into.bytes > kMaxPageBytes) {
        into.full = true;
        return;
      }
    }
    bson_error_t error;
    if (mongoc_cursor_error(cursor.get(), &error)) Throw(ctx, error);
  }

  SourceItem MakeItem(const Json& id, const bson_t& record) const {
    SourceItem item;
    item.path = PathOf(id);
    if (item.path.size() > kMaxPathBytes)
      throw Error(Code::kInvalidArgument,
                  "'" + fields_.id + "' holds a value of " + std::to_string(item.path.size()) + " bytes, limit " + std::to_string(kMaxPathBytes));
    item.media_type = fields_.media_type;
    try {
      auto plain = ToPlainJson(record);
      const auto text_of = [&](const std::string& name) { return name.empty() ? std::string() : ToPlainText(FieldOf(plain, name)); };
      item.title = CutUtf8(text_of(fields_.title), 1000);
      item.link = CutUtf8(text_of(fields_.link), 2000);
      item.fingerprint = text_of(fields_.updated);
      JsonObject metadata;
      for (const auto& name : fields_.metadata) metadata[name] = FieldOf(plain, name);
      item.metadata = FlatMetadata(metadata);
      if (!fields_.access.empty()) item.access = AccessOf(FieldOf(plain, fields_.access));
      if (item.fingerprint.empty()) {
        if (!fields_.access.empty()) EraseField(plain, fields_.access);
        item.fingerprint = Sha256Hex(ToText(plain));
      }
    } catch (const Error& e) {
      item.problem = e.message();
    }
    return item;
  }

  std::optional<JsonObject> FindOne(const Context& ctx, const bson_t& filter) {
    auto options = MakeOptions(ctx);
    options["limit"] = 1;
    const auto with = BsonFrom(options);
    const Owned<mongoc_cursor_t> cursor(mongoc_collection_find_with_opts(collection_handle_.get(), &filter, with.get(), nullptr));
    const bson_t* record = nullptr;
    if (mongoc_cursor_next(cursor.get(), &record)) return ToPlainJson(*record);
    bson_error_t error;
    if (mongoc_cursor_error(cursor.get(), &error)) Throw(ctx, error);
    return std::nullopt;
  }

  std::string url_, database_, collection_;
  RecordFields fields_;
  Owned<mongoc_uri_t> uri_;
  const Context* current_ = nullptr;
  Owned<mongoc_client_t> client_;
  Owned<mongoc_collection_t> collection_handle_;
};

}  // namespace

std::unique_ptr<Source> OpenMongodbSource(std::string_view rest, const SourceSetup& setup) { return std::make_unique<MongodbSource>("mongodb", rest, setup); }
std::unique_ptr<Source> OpenMongodbSrvSource(std::string_view rest, const SourceSetup& setup) {
  return std::make_unique<MongodbSource>("mongodb+srv", rest, setup);
}

}  // namespace tenfold::data
