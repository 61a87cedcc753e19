// A message as a document: its subject, who wrote to whom, the text, then each attachment read by the parser of its own format. An attachment that cannot be
// read says why in its place and costs nothing else.
#include "data/parsers/mail.h"

#include "base/utf8.h"
#include "data/parsers/html.h"
#include "data/parsers/parsers.h"
#include "data/parsers/text.h"

namespace tenfold::data::parsers {
namespace {

constexpr int kMaxDepth = 8;
constexpr std::size_t kMaxParts = 500;

/// Headings of what is attached stand below that of the attachment.
std::string Deeper(std::string_view text) {
  std::string out;
  bool fenced = false;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with("```")) fenced = !fenced;
    const auto level = line.find_first_not_of('#');
    if (!fenced && level != 0 && level != std::string_view::npos && level <= 6 && line[level] == ' ') out.append(std::min<std::size_t>(2, 6 - level), '#');
    out.append(line).append("\n");
  }
  return out;
}

class Reader {
 public:
  Reader(const Context& ctx, int nested) : ctx_(ctx), nested_(nested) {}

  void Read(const MailPart& part, int depth) {
    ctx_.Check();
    if (depth > kMaxDepth) throw Error(Code::kResourceExhausted, "the message nests deeper than " + std::to_string(kMaxDepth) + " levels");
    if (++parts_ > kMaxParts) throw Error(Code::kResourceExhausted, "the message has more than " + std::to_string(kMaxParts) + " parts");
    CheckTextSize(text.size() + attached.size());
    const auto type = ReadMailValue(part.header("content-type").empty() ? "text/plain" : part.header("content-type"));
    if (type.value.starts_with("multipart/")) return Multipart(type, part.body, depth);
    const auto disposition = ReadMailValue(part.header("content-disposition"));
    std::string name(disposition.parameter("filename"));
    if (name.empty()) name = type.parameter("name");
    const auto encoding = Lower(Trim(part.header("content-transfer-encoding")));
    std::string decoded;
    auto bytes = part.body;
    if (encoding == "base64") bytes = decoded = DecodeBase64(part.body);
    else if (encoding == "quoted-printable") bytes = decoded = DecodeQuotedPrintable(part.body);
    const bool is_attachment = disposition.value == "attachment" || !name.empty();
    if (!is_attachment && (type.value == "text/plain" || type.value == "text/html")) return Body(type, bytes);
    Attachment(type.value, type.parameter("charset"), name, bytes, disposition.value == "inline" || !part.header("content-id").empty());
  }

  std::string text, attached;

 private:
  void Multipart(const MailValue& type, std::string_view body, int depth) {
    const std::string boundary = "--" + std::string(type.parameter("boundary"));
    if (boundary.size() == 2) throw Error(Code::kInvalidArgument, "the message has parts, but not what parts them");
    std::vector<MailPart> parts;
    std::size_t begin = std::string_view::npos;
    for (auto at = body.find(boundary); at != std::string_view::npos; at = body.find(boundary, at + boundary.size())) {
      if (at > 0 && body[at - 1] != '\n') continue;
      if (begin != std::string_view::npos) parts.push_back(ReadPart(body.substr(begin, at - begin)));
      if (parts.size() > kMaxParts) throw Error(Code::kResourceExhausted, "the message has more than " + std::to_string(kMaxParts) + " parts");
      const auto line = std::min(body.find('\n', at), body.size());
      if (body.substr(at + boundary.size(), 2) == "--") {
        begin = std::string_view::npos;
        break;
      }
      begin = std::min(line + 1, body.size());
    }
    if (begin != std::string_view::npos) parts.push_back(ReadPart(body.substr(begin)));  // cut off
    if (type.value == "multipart/alternative" && !parts.empty()) {
      // The same in several forms, the best last. HTML keeps tables and headings; what no parser knows (calendars, AMP) is passed over.
      const MailPart* best = nullptr;
      for (const auto& part : parts) {
        const auto inner = ReadMailValue(part.header("content-type").empty() ? "text/plain" : part.header("content-type")).value;
        if (!best || inner == "text/html" || inner.starts_with("multipart/")) best = &part;
      }
      return Read(*best, depth + 1);
    }
    for (const auto& part : parts) Read(part, depth + 1);
  }

  void Body(const MailValue& type, std::string_view bytes) {
    auto decoded = DecodeText(bytes, type.parameter("charset"));
    if (type.value == "text/html") decoded = ReadHtml(decoded, HtmlKind::kPart).text;
    text.append(decoded).append("\n\n");
  }

  void Attachment(std::string media_type, std::string_view charset, const std::string& name, std::string_view bytes, bool shown) {
    if (media_type == "application/octet-stream" || media_type.empty() || media_type == "application/zip")
      if (const auto by_name = MediaTypeOf(std::filesystem::path(name)); !by_name.empty()) media_type = by_name;
    // Logos and such, which stand in the text: not worth reading, nor a line.
    if (shown && media_type.starts_with("image/")) return;
    if (media_type.starts_with("application/pgp-") || media_type.starts_with("application/pkcs7") || media_type == "message/delivery-status") return;
    attached.append("## Attachment: ").append(name.empty() ? media_type : CollapseSpaces(name)).append("\n\n");
    try {
      if (!charset.empty() && charset.size() < 60 && charset.find(';') == std::string_view::npos) media_type.append("; charset=").append(charset);
      attached.append(Deeper(ParseNested(ctx_, bytes, media_type, nested_ + 1).text)).append("\n");
    } catch (const Error& e) {
      if (e.code() == Code::kDeadlineExceeded || e.code() == Code::kCancelled) throw;
      attached.append("(not read: ").append(e.message()).append(")\n\n");
    }
  }

  const Context& ctx_;
  const int nested_;
  std::size_t parts_ = 0;
};

}  // namespace

ParsedDocument ParseMail(const Context& ctx, std::string_view bytes, int nested) {
  const auto message = ReadPart(bytes);
  if (message.headers.empty()) throw Error(Code::kInvalidArgument, "the file is no message: it has no headers");
  ParsedDocument out;
  out.media_type = kMail;
  const auto subject = DecodeHeader(message.header("subject"));
  out.title = CutUtf8(subject, 200);
  std::string head;
  if (!subject.empty()) head.append("# ").append(CutUtf8(subject, 1000)).append("\n\n");
  static constexpr std::pair<std::string_view, std::string_view> kShown[] = {{"from", "From"}, {"to", "To"}, {"cc", "Cc"}, {"date", "Date"}};
  for (const auto& [name, shown] : kShown) {
    auto value = DecodeHeader(message.header(name));
    if (value.empty()) continue;
    head.append(shown).append(": ").append(CutUtf8(value, 2000)).append("\n");
    if (name == "date")
      if (auto date = MailDate(value); !date.empty()) value = std::move(date);
    out.metadata[name] = std::string(CutUtf8(value, 500));
  }
  for (const auto& [theirs, ours] : {std::pair("message-id", "message_id"), std::pair("in-reply-to", "in_reply_to"), std::pair("list-id", "list")})
    if (const auto value = DecodeHeader(message.header(theirs)); !value.empty()) out.metadata[ours] = std::string(CutUtf8(value, 500));
  Reader reader(ctx, nested);
  reader.Read(message, 0);
  out.text = Tidy(MendUtf8(head + "\n" + reader.text + "\n" + reader.attached));  // names of types and files are as they were sent
  if (out.title.empty()) out.title = FirstHeading(out.text);
  return out;
}

}  // namespace tenfold::data::parsers
