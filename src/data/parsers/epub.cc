// EPUB: chapters in the order of the spine, each read as HTML. Source: EPUB 3.3, "Package document" and "Open Container Format"; EPUB 2 is the same in what is used here.
#include "base/utf8.h"
#include "data/parsers/html.h"
#include "data/parsers/office.h"
#include "data/parsers/parsers.h"
#include "data/parsers/text.h"

namespace tenfold::data::parsers {
namespace {

constexpr std::size_t kMaxChapters = 5000;

int Hex(char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1; }

/// "a%20b.xhtml#part" as the name of a member.
std::string MemberOf(std::string_view href) {
  href = href.substr(0, href.find('#'));
  std::string out;
  for (std::size_t i = 0; i < href.size(); ++i) {
    if (href[i] == '%' && i + 2 < href.size() && Hex(href[i + 1]) >= 0 && Hex(href[i + 2]) >= 0) {
      out += static_cast<char>(Hex(href[i + 1]) * 16 + Hex(href[i + 2]));
      i += 2;
    } else {
      out += href[i];
    }
  }
  return out;
}

}  // namespace

ParsedDocument ParseEpub(std::string_view bytes) {
  const ZipFile zip(bytes, [](std::string_view name) {
    const auto lower = Lower(name);
    for (const std::string_view ending : {".xhtml", ".html", ".htm", ".xml", ".opf"})
      if (lower.ends_with(ending)) return true;
    return false;
  });
  // Chapters that are locked have their keys in this file; fonts alone may be, too.
  if (const auto* locked = zip.Find("META-INF/encryption.xml"); locked && locked->find("html") != std::string::npos)
    throw Error(Code::kInvalidArgument, "the book is protected (DRM) and cannot be read");
  pugi::xml_document container;
  LoadPart(container, zip, "META-INF/container.xml");
  const std::string package(AttributeNamed(FindBelow(container, "rootfile"), "full-path"));
  pugi::xml_document opf;
  LoadPart(opf, zip, package);
  const auto root = opf.document_element();
  ParsedDocument out;
  for (const auto& one : ChildNamed(root, "metadata").children()) {
    const auto name = LocalName(one);
    const std::string value(CutUtf8(Trim(one.text().get()), 500));
    if (value.empty() || !IsUtf8(value)) continue;
    if (name == "title" && out.title.empty()) out.title = CutUtf8(value, 200);
    else if (name == "creator") out.metadata["author"] = out.metadata.contains("author") ? std::string(AsView(out.metadata.at("author").as_string())) + ", " + value : value;
    else if (name == "language") out.metadata["language"] = value;
    else if (name == "date") out.metadata["created"] = value;
  }
  std::map<std::string, std::string, std::less<>> manifest;
  std::string contents;  // the list of chapters says nothing that the chapters do not
  for (const auto& item : ChildNamed(root, "manifest").children()) {
    const auto target = ResolvePart(package, MemberOf(AttributeNamed(item, "href")));
    if (AttributeNamed(item, "properties").find("nav") != std::string_view::npos) contents = target;
    manifest[std::string(AttributeNamed(item, "id"))] = target;
  }
  std::string text;
  std::size_t chapters = 0;
  std::set<std::string> read;
  for (const auto& item : ChildNamed(root, "spine").children()) {
    const auto found = manifest.find(AttributeNamed(item, "idref"));
    if (found == manifest.end() || found->second == contents || AttributeNamed(item, "linear") == "no" || !read.insert(found->second).second) continue;
    const auto* chapter = zip.Find(found->second);
    if (!chapter) continue;
    if (++chapters > kMaxChapters) throw Error(Code::kResourceExhausted, "the book has more than " + std::to_string(kMaxChapters) + " chapters");
    text.append(ReadHtml(ExpandSelfClosing(DecodeText(*chapter)), HtmlKind::kPart).text).append("\n\n");
    CheckTextSize(text.size());
  }
  if (chapters == 0) throw Error(Code::kInvalidArgument, "the book has no chapters that can be read");
  out.text = Tidy(text);
  if (out.title.empty()) out.title = FirstHeading(out.text);
  out.media_type = kEpub;
  return out;
}

}  // namespace tenfold::data::parsers
