#include "data/sources/imap.h"

#include <boost/url/parse.hpp>
#include <charconv>

#include "base/percent.h"
#include "data/imap_client.h"
#include "data/parse.h"
#include "data/sources/record_fields.h"

namespace tenfold::data {
namespace {

constexpr std::size_t kMaxSetBytes = 256 << 10;
constexpr const char* kMediaType = "message/rfc822";

/// What of a mailbox a listing has seen; the text of a cursor, and with the id it has come to, of a page.
struct Seen {
  ImapMailbox mailbox;
  std::optional<UidSet> uids;  ///< nothing if too many ranges
  std::uint32_t at = 0;

  std::string ToText() const {
    JsonObject out{{"validity", mailbox.uid_validity}, {"next", mailbox.uid_next}, {"exists", mailbox.exists}, {"modseq", mailbox.highest_modseq}, {"at", at}};
    if (uids) out["uids"] = uids->ToText();
    return tenfold::ToText(out);
  }
  static Seen Parse(const std::string& text, std::string_view what) {
    try {
      const auto json = ParseJson(text);
      const auto& object = json.as_object();
      Seen out;
      out.mailbox = {object.at("validity").to_number<std::uint32_t>(), object.at("next").to_number<std::uint32_t>(),
                     object.at("exists").to_number<std::uint32_t>(), object.at("modseq").to_number<std::uint64_t>()};
      out.at = object.at("at").to_number<std::uint32_t>();
      if (const auto* uids = object.if_contains("uids")) out.uids = UidSet::Parse(AsView(uids->as_string()));
      return out;
    } catch (const std::exception&) {
      throw Error(Code::kInvalidArgument, std::string(what) + ": not one of this source's");
    }
  }
};

class ImapSource : public Source {
 public:
  ImapSource(std::string_view rest, const SourceSetup& setup) : password_(setup.secret("IMAP_PASSWORD")) {
    const auto fail = [](const std::string& problem) { throw Error(Code::kInvalidArgument, "imap: " + problem, "url"); };
    const auto parsed = boost::urls::parse_uri(rest);
    if (!parsed || (parsed->scheme() != "imaps" && parsed->scheme() != "imap") || parsed->host().empty()) fail("write imaps://user@host:993/INBOX");
    if (parsed->has_password()) fail("a password is not part of a URL; put it into $IMAP_PASSWORD");
    place_.tls = parsed->scheme() == "imaps" ? Tls::kOn : Tls::kOff;
    place_.host = parsed->host_address();
    place_.user = parsed->user();
    place_.port = parsed->has_port() ? parsed->port_number() : place_.tls == Tls::kOn ? 993 : 143;
    place_.mailbox = parsed->path();
    place_.mailbox.erase(0, place_.mailbox.starts_with('/') ? 1 : 0);
    if (place_.mailbox.empty()) place_.mailbox = "INBOX";
    if (place_.user.empty()) fail("the URL names no user: imaps://user@host/INBOX");
    if (place_.port == 0) fail("the port is a number from 1 to 65535");
    access_ = LabelOfUser(place_.user);
    EncodeMailboxName(place_.mailbox);
    for (const auto& parameter : parsed->params()) {
      const std::string key(parameter.key), value(parameter.value);
      if (key == "access") {
        access_ = AccessOf(Json(value));
      } else if (key == "page") {
        if (std::from_chars(value.data(), value.data() + value.size(), page_).ptr != value.data() + value.size() || page_ < 1 || page_ > 5000)
          fail("page= is a number from 1 to 5000");
      } else {
        fail("'" + key.substr(0, 64) + "' is no setting of this URL; there are access, page");
      }
    }
    // Of all names of mailboxes only this one is the same in any case.
    if (place_.mailbox.size() == 5 && std::equal(place_.mailbox.begin(), place_.mailbox.end(), "INBOX", [](char a, char b) { return (a & ~0x20) == b; }))
      place_.mailbox = "INBOX";
    const bool bracket = place_.host.find(':') != std::string::npos;
    url_ = "imap:" + std::string(parsed->scheme()) + "://" + PercentEncode(place_.user) + "@" + (bracket ? "[" : "") + place_.host + (bracket ? "]:" : ":") +
           std::to_string(place_.port) + "/" + PercentEncode(place_.mailbox, "/");
    if (access_ != LabelOfUser(place_.user)) url_ += "?access=" + PercentEncode(access_, ",:");
  }
  const std::string& url() const override { return url_; }

  SourcePage List(const Context& ctx, const std::string& cursor, const std::string& page) override {
    std::optional<Seen> before;
    if (!cursor.empty()) before = Seen::Parse(cursor, "cursor");
    Seen now;
    if (!page.empty()) now = Seen::Parse(page, "page");
    return WithClient(ctx, [&](ImapClient& client) {
      const auto mailbox = client.Examine(ctx);
      if ((before && before->mailbox.uid_validity != mailbox.uid_validity) || (!page.empty() && now.mailbox.uid_validity != mailbox.uid_validity))
        throw Error(Code::kFailedPrecondition, "'" + url_ + "' has given its messages new ids; list it whole");
      SourcePage out;
      if (page.empty()) {
        now.mailbox = mailbox;
        // Every change of flags, and every message that comes or goes, counts this up.
        if (before && mailbox.highest_modseq != 0 && before->mailbox == mailbox) {
          out.cursor = cursor;
          return out;
        }
        now.uids = client.Search(ctx);
      }
      const auto all = now.uids ? *now.uids : client.Search(ctx);
      if (before && page.empty() && before->uids)
        for (const auto uid : before->uids->Without(all).ToList()) {
          SourceItem gone;
          gone.path = PathOf(mailbox, uid);
          gone.removed = true;
          out.items.push_back(std::move(gone));
        }
      const auto wanted = before && before->uids ? all.Without(*before->uids) : all;
      const auto here = wanted.After(now.at, page_);
      for (const auto& message : client.Fetch(ctx, here)) {
        if (message.deleted) continue;
        SourceItem item;
        item.path = PathOf(mailbox, message.uid);
        item.fingerprint = std::to_string(mailbox.uid_validity) + "-" + std::to_string(message.uid) + "-" + std::to_string(message.size);
        item.access = access_;
        item.media_type = kMediaType;
        item.metadata = {{"mailbox", place_.mailbox}};
        if (!message.internal_date.empty()) item.metadata["received"] = message.internal_date;
        if (message.size > kMaxDocumentBytes) item.problem = "has " + std::to_string(message.size) + " bytes, limit " + std::to_string(kMaxDocumentBytes);
        out.items.push_back(std::move(item));
      }
      const auto last = here.empty() ? now.at : here.ToList().back();
      if (now.uids && now.uids->ToText().size() > kMaxSetBytes) now.uids.reset();
      if (!wanted.After(last, 1).empty()) {
        now.at = last;
        out.next = now.ToText();
      } else if (now.uids) {
        now.at = 0;
        out.cursor = now.ToText();
      }
      return out;
    });
  }

  SourceContent Read(const Context& ctx, const SourceItem& item) override {
    const auto slash = std::min(item.path.find('/'), item.path.size());
    std::uint32_t validity = 0, uid = 0;
    const auto number = [](std::string_view text, std::uint32_t& out) {
      return !text.empty() && std::from_chars(text.data(), text.data() + text.size(), out).ptr == text.data() + text.size();
    };
    if (!number(std::string_view(item.path).substr(0, slash), validity) ||
        !number(std::string_view(item.path).substr(std::min(slash + 1, item.path.size())), uid))
      throw Error(Code::kInvalidArgument, "'" + item.path + "' is no message of this source");
    return WithClient(ctx, [&](ImapClient& client) -> SourceContent {
      if (!mailbox_) mailbox_ = client.Examine(ctx);
      if (mailbox_->uid_validity != validity) throw Error(Code::kNotFound, "message '" + item.path + "' is gone: the server has given all messages new ids");
      return {client.FetchBody(ctx, uid, kMaxDocumentBytes), kMediaType};
    });
  }

 private:
  static std::string PathOf(const ImapMailbox& mailbox, std::uint32_t uid) { return std::to_string(mailbox.uid_validity) + "/" + std::to_string(uid); }

  /// A connection that lay idle may have been closed by the server: then `work` is tried once more with a new one.
  template <class Work>
  std::invoke_result_t<Work, ImapClient&> WithClient(const Context& ctx, Work&& work) {
    ctx.Check();
    for (;;) {
      const bool fresh = !client_;
      try {
        if (fresh) {
          mailbox_.reset();
          client_ = std::make_unique<ImapClient>(ctx, place_, password_);
        }
        return work(*client_);
      } catch (const Error& e) {
        if (!client_ || client_->broken()) client_.reset();
        ctx.Check();
        if (fresh || client_ || e.code() != Code::kUnavailable) throw;
      }
    }
  }

  ImapPlace place_;
  const std::string password_;
  std::string access_, url_;
  std::size_t page_ = 500;
  std::unique_ptr<ImapClient> client_;
  std::optional<ImapMailbox> mailbox_;
};

}  // namespace

std::unique_ptr<Source> OpenImapSource(std::string_view rest, const SourceSetup& setup) { return std::make_unique<ImapSource>(rest, setup); }

}  // namespace tenfold::data
