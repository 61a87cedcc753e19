#include "data/imap_client.h"

#include <algorithm>
#include <charconv>

#include "base/crypto.h"
#include "base/json.h"

namespace tenfold::data {
namespace {

constexpr std::uint64_t kMaxLine = 16u << 20, kMaxSmall = 1u << 20;
constexpr int kMaxDepth = 16;
constexpr std::size_t kMaxResponses = 200'000;
constexpr std::uint64_t kMaxMessages = 5'000'000;

template <class Number>
bool ParseNumber(std::string_view text, Number& out) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  return !text.empty() && parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

std::string ToUpper(std::string_view text) {
  std::string out(text);
  for (auto& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  return out;
}

/// The length of the literal that a line ends with: "… {123}".
bool EndsWithLiteral(std::string_view line, std::uint64_t& length) {
  if (!line.ends_with('}')) return false;
  const auto open = line.rfind('{');
  if (open == std::string_view::npos) return false;
  auto digits = line.substr(open + 1, line.size() - open - 2);
  if (digits.ends_with('+')) digits.remove_suffix(1);
  return ParseNumber(digits, length);
}

[[noreturn]] void ThrowSyntax(std::string_view problem) { throw Error(Code::kUnavailable, "the server's answer is not IMAP: " + std::string(problem)); }

struct Parser {
  std::string_view rest;

  void SkipBlanks() {
    while (rest.starts_with(' ')) rest.remove_prefix(1);
  }
  std::vector<ImapValue> ParseValues(int depth, bool in_list) {
    std::vector<ImapValue> out;
    for (;;) {
      SkipBlanks();
      if (rest.empty()) {
        if (in_list) ThrowSyntax("a list without an end");
        return out;
      }
      if (rest.front() == ')') {
        if (!in_list) ThrowSyntax("a ')' too many");
        rest.remove_prefix(1);
        return out;
      }
      out.push_back(ParseValue(depth));
    }
  }
  ImapValue ParseValue(int depth) {
    ImapValue value;
    if (depth > kMaxDepth) ThrowSyntax("nested too deep");
    if (rest.front() == '(') {
      rest.remove_prefix(1);
      value.kind = ImapValue::Kind::kList;
      value.list = ParseValues(depth + 1, true);
    } else if (rest.front() == '"') {
      value.kind = ImapValue::Kind::kString;
      std::size_t i = 1;
      for (; i < rest.size() && rest[i] != '"'; ++i) {
        if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
        value.text += rest[i];
      }
      if (i >= rest.size()) ThrowSyntax("a quoted string without an end");
      rest.remove_prefix(i + 1);
    } else if (rest.front() == '{' || rest.starts_with("~{")) {
      value.kind = ImapValue::Kind::kString;
      const auto line = rest.find("\r\n");
      std::uint64_t length = 0;
      if (line == std::string_view::npos || !EndsWithLiteral(rest.substr(0, line), length) || length > rest.size() - line - 2)
        ThrowSyntax("a literal shorter than it says");
      value.text = rest.substr(line + 2, length);
      rest.remove_prefix(line + 2 + length);
    } else {
      // An atom; a bracket part such as BODY[HEADER.FIELDS (A B)] belongs to it.
      value.kind = ImapValue::Kind::kAtom;
      std::size_t i = 0;
      bool in_brackets = false;
      for (; i < rest.size(); ++i) {
        const char c = rest[i];
        if (in_brackets) {
          in_brackets = c != ']';
          continue;
        }
        if (c == '[') in_brackets = true;
        else if (c == ' ' || c == '(' || c == ')' || c == '"' || c == '\r' || c == '\n') break;
      }
      if (i == 0) ThrowSyntax("a character that begins nothing");
      value.text = rest.substr(0, i);
      rest.remove_prefix(i);
      if (ToUpper(value.text) == "NIL") value.kind = ImapValue::Kind::kNil;
    }
    return value;
  }
};

bool IsQuotable(std::string_view text) {
  return text.size() < 1000 && std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x20 && c < 0x7F; });
}
std::string Quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

UidSet UidSet::Parse(std::string_view text) {
  UidSet out;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    const auto part = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const auto colon = part.find(':');
    std::uint32_t first = 0, last = 0;
    const bool good =
        colon == std::string_view::npos ? ParseNumber(part, first) : ParseNumber(part.substr(0, colon), first) && ParseNumber(part.substr(colon + 1), last);
    if (!good || first == 0) throw Error(Code::kInvalidArgument, "'" + std::string(part.substr(0, 40)) + "' is no range of messages");
    if (colon == std::string_view::npos) last = first;
    out.ranges_.emplace_back(std::min(first, last), std::max(first, last));
  }
  // A server may name them in any order, and the last of a range first.
  std::sort(out.ranges_.begin(), out.ranges_.end());
  std::vector<std::pair<std::uint32_t, std::uint32_t>> merged;
  for (const auto& range : out.ranges_) {
    if (!merged.empty() && range.first <= static_cast<std::uint64_t>(merged.back().second) + 1)
      merged.back().second = std::max(merged.back().second, range.second);
    else merged.push_back(range);
  }
  out.ranges_ = std::move(merged);
  return out;
}
void UidSet::Append(std::uint32_t uid) {
  if (!ranges_.empty() && ranges_.back().second + 1 == uid) ranges_.back().second = uid;
  else ranges_.emplace_back(uid, uid);
}
std::string UidSet::ToText() const {
  std::string out;
  for (const auto& [first, last] : ranges_) {
    out += (out.empty() ? "" : ",") + std::to_string(first);
    if (last != first) out += ":" + std::to_string(last);
  }
  return out;
}
std::uint64_t UidSet::size() const {
  std::uint64_t count = 0;
  for (const auto& [first, last] : ranges_) count += static_cast<std::uint64_t>(last) - first + 1;
  return count;
}
UidSet UidSet::Without(const UidSet& other) const {
  UidSet out;
  auto taken = other.ranges_.begin();
  for (const auto& range : ranges_) {
    std::uint64_t first = range.first;
    const std::uint64_t last = range.second;
    while (taken != other.ranges_.end() && taken->second < first) ++taken;
    for (auto at = taken; at != other.ranges_.end() && at->first <= last && first <= last; ++at) {
      if (at->first > first) out.ranges_.emplace_back(static_cast<std::uint32_t>(first), at->first - 1);
      first = static_cast<std::uint64_t>(at->second) + 1;
    }
    if (first <= last) out.ranges_.emplace_back(static_cast<std::uint32_t>(first), range.second);
  }
  return out;
}
UidSet UidSet::After(std::uint32_t after, std::size_t count) const {
  UidSet out;
  for (const auto& range : ranges_) {
    if (count == 0) break;
    if (range.second <= after) continue;
    const std::uint32_t first = range.first > after ? range.first : after + 1;
    const auto last = static_cast<std::uint32_t>(std::min<std::uint64_t>(range.second, static_cast<std::uint64_t>(first) + count - 1));
    out.ranges_.emplace_back(first, last);
    count -= static_cast<std::size_t>(last) - first + 1;
  }
  return out;
}
std::vector<std::uint32_t> UidSet::ToList() const {
  std::vector<std::uint32_t> out;
  for (const auto& [first, last] : ranges_)
    for (std::uint64_t uid = first; uid <= last; ++uid) out.push_back(static_cast<std::uint32_t>(uid));
  return out;
}

std::vector<ImapValue> ParseImapResponse(std::string_view response) { return Parser{response}.ParseValues(0, false); }

std::string EncodeMailboxName(std::string_view utf8) {
  if (!IsUtf8(utf8)) throw Error(Code::kInvalidArgument, "the mailbox's name is not UTF-8", "url");
  std::string out, wide;
  const auto flush = [&] {
    if (wide.empty()) return;
    auto base64 = Base64Encode(wide);
    while (base64.ends_with('=')) base64.pop_back();
    std::replace(base64.begin(), base64.end(), '/', ',');
    out += "&" + base64 + "-";
    wide.clear();
  };
  const auto add_unit = [&](std::uint32_t unit) { (wide += static_cast<char>(unit >> 8)) += static_cast<char>(unit & 0xFF); };
  for (std::size_t i = 0; i < utf8.size();) {
    const auto lead = static_cast<unsigned char>(utf8[i]);
    if (lead >= 0x20 && lead < 0x7F) {
      flush();
      out += static_cast<char>(lead);
      if (lead == '&') out += '-';
      ++i;
      continue;
    }
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    std::uint32_t point = length == 1 ? lead : lead & (0x7Fu >> length);
    for (std::size_t k = 1; k < length; ++k) point = (point << 6) | (static_cast<unsigned char>(utf8[i + k]) & 0x3F);
    i += length;
    if (point < 0x10000) {
      add_unit(point);
    } else {
      add_unit(0xD800 + ((point - 0x10000) >> 10));
      add_unit(0xDC00 + ((point - 0x10000) & 0x3FF));
    }
  }
  flush();
  return out;
}

ImapClient::~ImapClient() = default;

ImapClient::ImapClient(const Context& ctx, const ImapPlace& place, const std::string& password)
    : place_(place), stream_(std::make_unique<ByteStream>(ctx, place.host, place.port, place.tls)) {
  const auto greeting = ReadResponse(ctx, kMaxSmall);
  const auto words = ToUpper(greeting.substr(0, 12));
  if (words.starts_with("* BYE")) Throw("greet", "BYE", std::string_view(greeting).substr(5));
  const bool signed_in = words.starts_with("* PREAUTH");
  if (!signed_in && !words.starts_with("* OK")) ThrowSyntax("no greeting");
  if (place_.tls == Tls::kOff && !IsLoopbackName(place_.host)) {
    // Nothing is believed that came before TLS, and PREAUTH would leave no chance to begin it.
    ReadCapabilities(ctx);
    if (signed_in || !Offers("STARTTLS"))
      throw Error(Code::kFailedPrecondition, "'" + place_.host + "' offers no TLS here; write imaps:// if it does on another port");
    Command(ctx, "STARTTLS", "begin TLS", kMaxSmall);
    if (at_ != buffer_.size()) ThrowSyntax("it speaks between STARTTLS and TLS");
    stream_->StartTls(ctx);
  }
  ReadCapabilities(ctx);
  if (!Offers("IMAP4REV1") && !Offers("IMAP4REV2")) ThrowSyntax("it offers no IMAP4rev1");
  if (!signed_in) SignIn(ctx, password);
}

void ImapClient::ReadCapabilities(const Context& ctx) {
  capabilities_.clear();
  for (const auto& response : Command(ctx, "CAPABILITY", "ask", kMaxSmall))
    if (response.size() > 1 && ToUpper(response[1].text) == "CAPABILITY")
      for (const auto& value : response) capabilities_.push_back(ToUpper(value.text));
}
bool ImapClient::Offers(std::string_view capability) const { return std::find(capabilities_.begin(), capabilities_.end(), capability) != capabilities_.end(); }

void ImapClient::SignIn(const Context& ctx, const std::string& password) {
  if (place_.user.find('\0') != std::string::npos || password.find('\0') != std::string::npos)
    throw Error(Code::kInvalidArgument, "user and password may hold no zero byte");
  const auto plain = Base64Encode(std::string(1, '\0') + place_.user + std::string(1, '\0') + password);
  if (Offers("AUTH=PLAIN")) {
    if (Offers("SASL-IR")) Command(ctx, "AUTHENTICATE PLAIN " + plain, "sign in to", kMaxSmall);
    else Command(ctx, "AUTHENTICATE PLAIN", "sign in to", kMaxSmall, {plain});
  } else if (!Offers("LOGINDISABLED")) {
    if (IsQuotable(place_.user) && IsQuotable(password)) Command(ctx, "LOGIN " + Quote(place_.user) + " " + Quote(password), "sign in to", kMaxSmall);
    else
      Command(ctx, "LOGIN {" + std::to_string(place_.user.size()) + "}", "sign in to", kMaxSmall,
              {place_.user + " {" + std::to_string(password.size()) + "}", password});
  } else {
    throw Error(Code::kFailedPrecondition, "'" + place_.host + "' offers no way to sign in with a password");
  }
  ReadCapabilities(ctx);  // often more once signed in
}

std::string ImapClient::ReadLine(const Context& ctx, std::uint64_t limit) {
  for (std::size_t searched = at_;;) {
    const auto end = buffer_.find("\r\n", searched);
    if (end != std::string::npos) {
      auto line = buffer_.substr(at_, end - at_);
      at_ = end + 2;
      if (at_ > (1u << 20) || at_ == buffer_.size()) {
        buffer_.erase(0, at_);
        at_ = 0;
      }
      return line;
    }
    searched = buffer_.size() > at_ ? buffer_.size() - 1 : at_;
    if (buffer_.size() - at_ > limit)
      throw Error(Code::kResourceExhausted, "a line of '" + place_.host + "' is longer than " + std::to_string(limit) + " bytes");
    char piece[64 << 10];
    const auto got = stream_->Read(ctx, piece, sizeof piece);
    if (got == 0) throw Error(Code::kUnavailable, "'" + place_.host + "' has closed the connection");
    buffer_.append(piece, got);
  }
}

std::string ImapClient::ReadResponse(const Context& ctx, std::uint64_t limit) {
  std::string out;
  for (;;) {
    const auto line = ReadLine(ctx, kMaxLine);
    out += line;
    std::uint64_t length = 0;
    if (!EndsWithLiteral(line, length)) return out;
    if (length > limit || out.size() + length > limit + kMaxLine)
      throw Error(Code::kResourceExhausted, "an answer of '" + place_.host + "' has " + std::to_string(length) + " bytes, limit " + std::to_string(limit));
    out += "\r\n";
    const auto here = std::min<std::uint64_t>(length, buffer_.size() - at_);
    out.append(buffer_, at_, here);
    at_ += here;
    for (auto left = length - here; left > 0;) {
      char piece[64 << 10];
      const auto got = stream_->Read(ctx, piece, std::min<std::uint64_t>(left, sizeof piece));
      if (got == 0) throw Error(Code::kUnavailable, "'" + place_.host + "' has closed the connection");
      out.append(piece, got);
      left -= got;
    }
  }
}

void ImapClient::Throw(std::string_view doing, std::string_view status, std::string_view text) {
  const auto upper = ToUpper(text);
  const auto has = [&](std::string_view code) { return upper.find("[" + std::string(code)) != std::string::npos; };
  auto code = Code::kUnavailable;
  if (has("AUTHENTICATIONFAILED") || has("AUTHORIZATIONFAILED") || has("EXPIRED") || has("PRIVACYREQUIRED")) code = Code::kUnauthenticated;
  else if (has("NOPERM")) code = Code::kPermissionDenied;
  else if (has("NONEXISTENT") || has("TRYCREATE")) code = Code::kNotFound;
  else if (has("LIMIT") || has("OVERQUOTA")) code = Code::kResourceExhausted;
  else if (has("UNAVAILABLE") || has("INUSE") || has("SERVERBUG") || status == "BYE") code = Code::kUnavailable;
  else if (doing == "sign in to") code = Code::kUnauthenticated;
  else if (doing == "open") code = Code::kNotFound;
  // What the server says of a failed sign-in could repeat what was sent.
  const auto words = doing == "sign in to" ? std::string(has("UNAVAILABLE") ? "not available now" : "refused; the password is taken from $IMAP_PASSWORD")
                                           : std::string(text.substr(0, 200));
  throw Error(code, std::string(doing) + " '" + place_.mailbox + "' of '" + place_.user + "' at '" + place_.host + "': " + words);
}

std::vector<std::vector<ImapValue>> ImapClient::Command(const Context& ctx, const std::string& command, std::string_view doing, std::uint64_t limit,
                                                        const std::vector<std::string>& continuations) {
  const auto tag = "t" + std::to_string(next_tag_++);
  std::vector<std::vector<ImapValue>> out;
  std::uint64_t bytes = 0;
  std::size_t sent = 0;
  std::string status, text;
  broken_ = true;  // until its end has been read, what comes next belongs to this command
  stream_->Write(ctx, tag + " " + command + "\r\n");
  for (;;) {
    const auto response = ReadResponse(ctx, limit);
    bytes += response.size();
    if (bytes > limit + kMaxLine || out.size() > kMaxResponses)
      throw Error(Code::kResourceExhausted, "'" + place_.host + "' answers with more than " + std::to_string(limit) + " bytes");
    if (response.starts_with('+')) {
      if (sent == continuations.size()) {
        stream_->Write(ctx, "*\r\n");  // gives up on what it asks for
        continue;
      }
      stream_->Write(ctx, continuations[sent++] + "\r\n");
      continue;
    }
    if (response.starts_with("* ")) {
      const auto start = ToUpper(std::string_view(response).substr(2, 4));
      if (start.starts_with("BYE")) Throw(doing, "BYE", std::string_view(response).substr(5));
      // Words for people follow these; only a code in brackets is looked at, by Examine.
      if (start.starts_with("OK ") || start.starts_with("NO ") || start.starts_with("BAD ")) {
        ImapValue words;
        words.kind = ImapValue::Kind::kString;
        words.text = response.substr(2);
        out.push_back({words});
      } else {
        out.push_back(ParseImapResponse(response));
      }
      continue;
    }
    if (!response.starts_with(tag + " ")) ThrowSyntax("an answer to another question");
    const auto rest = std::string_view(response).substr(tag.size() + 1);
    const auto blank = std::min(rest.find(' '), rest.size());
    status = ToUpper(rest.substr(0, blank));
    text = rest.substr(std::min(blank + 1, rest.size()));
    break;
  }
  broken_ = false;
  if (status != "OK") Throw(doing, status, text);
  return out;
}

ImapMailbox ImapClient::Examine(const Context& ctx) {
  const auto name = EncodeMailboxName(place_.mailbox);
  const auto suffix = Offers("CONDSTORE") ? " (CONDSTORE)" : "";
  ImapMailbox out;
  for (const auto& response : Command(ctx, "EXAMINE " + Quote(name) + suffix, "open", kMaxSmall)) {
    if (response.size() > 2 && ToUpper(response[2].text) == "EXISTS") ParseNumber(response[1].text, out.exists);
    if (response.size() != 1) continue;
    const auto words = ToUpper(response[0].text);
    const auto number = [&](std::string_view key, auto& to) {
      const auto at = words.find("[" + std::string(key) + " ");
      if (at == std::string::npos) return;
      const auto from = at + key.size() + 2;
      ParseNumber(std::string_view(words).substr(from, words.find(']', from) - from), to);
    };
    number("UIDVALIDITY", out.uid_validity);
    number("UIDNEXT", out.uid_next);
    number("HIGHESTMODSEQ", out.highest_modseq);
  }
  if (out.uid_validity == 0) {
    broken_ = true;
    throw Error(Code::kUnavailable, "'" + place_.host + "' gives the messages of '" + place_.mailbox + "' no lasting ids (UIDVALIDITY)");
  }
  return out;
}

UidSet ImapClient::Search(const Context& ctx) {
  const bool extended = Offers("ESEARCH");
  UidSet out;
  bool answered = false;
  for (const auto& response : Command(ctx, extended ? "UID SEARCH RETURN (ALL) UNDELETED" : "UID SEARCH UNDELETED", "search", kMaxLine)) {
    if (response.size() < 2) continue;
    const auto name = ToUpper(response[1].text);
    if (name == "ESEARCH") {
      answered = true;
      for (std::size_t i = 2; i + 1 < response.size(); ++i)
        if (ToUpper(response[i].text) == "ALL") out = UidSet::Parse(response[i + 1].text);
    } else if (name == "SEARCH") {
      answered = true;
      std::string list;
      for (std::size_t i = 2; i < response.size(); ++i)
        if (response[i].kind == ImapValue::Kind::kAtom) list += (list.empty() ? "" : ",") + response[i].text;
      out = UidSet::Parse(list);
    }
  }
  // Without an answer nothing is known; an empty mailbox is said to be one.
  if (!answered) {
    broken_ = true;
    ThrowSyntax("a search without an answer");
  }
  if (out.size() > kMaxMessages) {
    broken_ = true;
    throw Error(Code::kResourceExhausted, "'" + place_.mailbox + "' has " + std::to_string(out.size()) + " messages, limit " + std::to_string(kMaxMessages));
  }
  return out;
}

namespace {

/// Calls visit(name, value) for each pair of a FETCH response; never if it is none.
template <class Visit>
void VisitFetch(std::vector<ImapValue>& response, Visit&& visit) {
  if (response.size() != 4 || ToUpper(response[2].text) != "FETCH" || response[3].kind != ImapValue::Kind::kList) return;
  for (std::size_t i = 0; i + 1 < response[3].list.size(); i += 2) visit(ToUpper(response[3].list[i].text), response[3].list[i + 1]);
}

}  // namespace

std::vector<ImapMessage> ImapClient::Fetch(const Context& ctx, const UidSet& uids) {
  std::vector<ImapMessage> out;
  if (uids.empty()) return out;
  for (auto& response : Command(ctx, "UID FETCH " + uids.ToText() + " (UID FLAGS INTERNALDATE RFC822.SIZE)", "list", kMaxLine)) {
    ImapMessage message;
    bool has_size = false;
    VisitFetch(response, [&](const std::string& name, ImapValue& value) {
      if (name == "UID") ParseNumber(value.text, message.uid);
      if (name == "RFC822.SIZE") has_size = ParseNumber(value.text, message.size);
      if (name == "INTERNALDATE") message.internal_date = value.text;
      if (name == "FLAGS")
        for (const auto& flag : value.list) message.deleted = message.deleted || ToUpper(flag.text) == "\\DELETED";
    });
    // A server may tell of a flag that changed meanwhile: such an answer has no size.
    if (message.uid != 0 && has_size) out.push_back(std::move(message));
  }
  return out;
}

std::string ImapClient::FetchBody(const Context& ctx, std::uint32_t uid, std::uint64_t limit_bytes) {
  std::string body;
  bool found = false;
  for (auto& response : Command(ctx, "UID FETCH " + std::to_string(uid) + " (UID BODY.PEEK[])", "read", limit_bytes)) {
    std::uint32_t got = 0;
    ImapValue* text = nullptr;
    VisitFetch(response, [&](const std::string& name, ImapValue& value) {
      if (name == "UID") ParseNumber(value.text, got);
      if (name == "BODY[]" && value.kind != ImapValue::Kind::kNil) text = &value;
    });
    if (got != uid || !text) continue;
    found = true;
    body = std::move(text->text);
  }
  if (!found) throw Error(Code::kNotFound, "message " + std::to_string(uid) + " of '" + place_.mailbox + "' is gone");
  return body;
}

}  // namespace tenfold::data
