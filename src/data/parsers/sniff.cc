// What bytes are, whatever they are called.
#include "data/parsers/parsers.h"
#include "data/parsers/text.h"
#include "data/parsers/zip.h"

namespace tenfold::data {
namespace {

using namespace parsers;

[[noreturn]] void Refuse(std::string_view what, std::string_view instead) {
  throw Error(Code::kInvalidArgument, "the file is " + std::string(what) + ", which has no parser" + (instead.empty() ? "" : "; ") + std::string(instead));
}

std::string_view KindOfZip(std::string_view bytes) {
  bool book = false;
  const auto names = ListZip(bytes);
  for (const auto& name : names) {
    if (name == "word/document.xml") return kDocx;
    if (name == "ppt/presentation.xml") return kPptx;
    if (name == "xl/workbook.xml") return kXlsx;
    if (name == "META-INF/container.xml") book = true;
  }
  if (book) return kEpub;
  // Without a directory the file is cut off; the format that it was called says so better.
  if (names.empty()) return {};
  for (const auto& name : names)
    if (name == "content.xml") Refuse("an OpenDocument file", "save it as .docx, .xlsx or .pptx");
    else if (name == "xl/workbook.bin") Refuse("a binary workbook (.xlsb)", "save it as .xlsx");
  Refuse("a zip archive", "unpack it");
}

bool BeginsAsHtml(std::string_view bytes) {
  if (bytes.starts_with("\xef\xbb\xbf")) bytes.remove_prefix(3);
  const auto head = Lower(Trim(bytes.substr(0, 256)));
  return head.starts_with("<!doctype html") || head.starts_with("<html");
}

}  // namespace

std::string_view SniffMediaType(std::string_view bytes, std::string_view declared) {
  const bool is_text = declared.starts_with("text/") || declared == kJson || declared == kJsonLines || declared == kMail;
  if (bytes.starts_with("%PDF-") || (!is_text && bytes.substr(0, 1024).find("%PDF-") != std::string_view::npos)) return kPdf;
  if (bytes.starts_with(std::string_view("PK\3\4", 4)) || bytes.starts_with(std::string_view("PK\5\6", 4)))
    if (const auto kind = KindOfZip(bytes); !kind.empty()) return kind;
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return kPng;
  if (bytes.starts_with("\xff\xd8\xff")) return kJpeg;
  if (bytes.starts_with(std::string_view("II*\0", 4)) || bytes.starts_with(std::string_view("MM\0*", 4))) return kTiff;
  if (bytes.starts_with(std::string_view("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8)))
    Refuse("an old Office file (.doc, .xls, .ppt, .msg) or one with a password", "save it as .docx, .xlsx, .pptx or .eml without a password");
  if (bytes.starts_with("{\\rtf")) Refuse("RTF", "save it as .docx");
  if (bytes.starts_with("\x1f\x8b")) Refuse("gzip-compressed", "unpack it");
  if (bytes.starts_with("7z\xbc\xaf")) Refuse("a 7z archive", "unpack it");
  if (bytes.starts_with("Rar!")) Refuse("a RAR archive", "unpack it");
  if (bytes.starts_with("GIF8") || (bytes.starts_with("RIFF") && bytes.substr(8, 4) == "WEBP")) Refuse("a GIF or WebP picture", "save it as PNG");
  if (bytes.starts_with("\x7f" "ELF")) Refuse("a program", "");
  if (BeginsAsHtml(bytes)) return kHtml;
  if (declared == kPdf || declared == kDocx || declared == kPptx || declared == kXlsx || declared == kEpub || declared == kPng || declared == kJpeg || declared == kTiff) {
    const auto starts_zip = bytes.starts_with("PK");
    if (!starts_zip || declared == kPdf || declared == kPng || declared == kJpeg || declared == kTiff)
      throw Error(Code::kInvalidArgument, "the file is called '" + std::string(declared) + "' but does not begin as one; it is damaged or something else");
  }
  return declared;
}

}  // namespace tenfold::data
