#include "data/parse.h"

#include <archive.h>
#include <archive_entry.h>
#include <gumbo.h>
#include <unistd.h>

#include <pugixml.hpp>

#include "base/process.h"

namespace tenfold::data {
namespace {

constexpr int kMaxHtmlDepth = 400;

std::string_view Trim(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
  return text;
}

/// UTF-8 as it is; anything else is read as Windows-1252, the usual other encoding of office files.
std::string ToUtf8(std::string_view bytes) {
  if (bytes.starts_with("\xef\xbb\xbf")) bytes.remove_prefix(3);
  if (bytes.find('\0') != std::string_view::npos) throw Error(Code::kInvalidArgument, "the file is binary, not text");
  if (IsUtf8(bytes)) return std::string(bytes);
  static constexpr char16_t kHigh[32] = {0x20AC, 0xFFFD, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0xFFFD, 0x017D, 0xFFFD,
                                         0xFFFD, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0xFFFD, 0x017E, 0x0178};
  std::string out;
  for (const unsigned char c : bytes) {
    const char16_t u = c >= 0x80 && c < 0xa0 ? kHigh[c - 0x80] : c;
    if (u < 0x80) out += static_cast<char>(u);
    else if (u < 0x800) (out += static_cast<char>(0xc0 | u >> 6)) += static_cast<char>(0x80 | (u & 0x3f));
    else ((out += static_cast<char>(0xe0 | u >> 12)) += static_cast<char>(0x80 | (u >> 6 & 0x3f))) += static_cast<char>(0x80 | (u & 0x3f));
  }
  return out;
}

/// LF line ends, no trailing blanks, at most one empty line in a row.
std::string Tidy(std::string_view text) {
  std::string out;
  int empty = 1;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && (line.back() == ' ' || line.back() == '\r' || line.back() == '\t' || line.back() == '\f')) line.remove_suffix(1);
    if (line.empty() && ++empty > 1) continue;
    if (!line.empty()) empty = 0;
    out += line;
    out += '\n';
  }
  while (out.ends_with("\n\n")) out.pop_back();
  if (out.size() > kMaxTextBytes) throw Error(Code::kResourceExhausted, "the document has " + std::to_string(out.size()) + " bytes of text, limit " + std::to_string(kMaxTextBytes));
  return out;
}

std::string FirstHeading(std::string_view text) {
  std::string_view first_line;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = Trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (first_line.empty()) first_line = line;
    if (line.starts_with('#')) {
      auto title = line;
      while (title.starts_with('#')) title.remove_prefix(1);
      return std::string(Trim(title).substr(0, 200));
    }
  }
  return std::string(first_line.substr(0, 200));
}

std::string CollapseSpaces(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
      if (out.empty() || out.back() != ' ') out += ' ';
    } else {
      out += c;
    }
  }
  return out;
}

class HtmlWriter {
 public:
  void Visit(const GumboNode* node, int depth) {
    if (depth > kMaxHtmlDepth) return;
    if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_CDATA) {
      const auto text = CollapseSpaces(node->v.text.text);
      // At the start of a block, or after a space, a leading space says nothing.
      const bool at_start = out.empty() || out.back() == '\n' || out.back() == ' ';
      out += at_start && text.starts_with(' ') ? text.substr(1) : text;
      return;
    }
    if (node->type == GUMBO_NODE_WHITESPACE) {
      if (!out.empty() && out.back() != '\n' && out.back() != ' ') out += ' ';
      return;
    }
    if (node->type != GUMBO_NODE_ELEMENT) return;
    const auto& element = node->v.element;
    switch (element.tag) {
      case GUMBO_TAG_SCRIPT:
      case GUMBO_TAG_STYLE:
      case GUMBO_TAG_NAV:
      case GUMBO_TAG_TEMPLATE:
      case GUMBO_TAG_NOSCRIPT: return;
      case GUMBO_TAG_TITLE: {
        const auto before = out.size();
        Children(element, depth);
        title = Trim(std::string_view(out).substr(before));
        out.resize(before);
        return;
      }
      case GUMBO_TAG_H1:
      case GUMBO_TAG_H2:
      case GUMBO_TAG_H3:
      case GUMBO_TAG_H4:
      case GUMBO_TAG_H5:
      case GUMBO_TAG_H6:
        Break(2);
        out += std::string(static_cast<std::size_t>(element.tag - GUMBO_TAG_H1) + 1, '#') + " ";
        Children(element, depth);
        Break(2);
        return;
      case GUMBO_TAG_LI:
        Break(1);
        out += "- ";
        Children(element, depth);
        Break(1);
        return;
      case GUMBO_TAG_BR: Break(1); return;
      case GUMBO_TAG_TR:
        Break(1);
        out += "|";
        Children(element, depth);
        Break(1);
        return;
      case GUMBO_TAG_TD:
      case GUMBO_TAG_TH:
        out += " ";
        Children(element, depth);
        out += " |";
        return;
      case GUMBO_TAG_P:
      case GUMBO_TAG_DIV:
      case GUMBO_TAG_SECTION:
      case GUMBO_TAG_ARTICLE:
      case GUMBO_TAG_UL:
      case GUMBO_TAG_OL:
      case GUMBO_TAG_TABLE:
      case GUMBO_TAG_BLOCKQUOTE:
      case GUMBO_TAG_PRE:
        Break(2);
        Children(element, depth);
        Break(2);
        return;
      default: Children(element, depth);
    }
  }
  std::string out, title;

 private:
  void Children(const GumboElement& element, int depth) {
    for (unsigned i = 0; i < element.children.length; ++i) Visit(static_cast<const GumboNode*>(element.children.data[i]), depth + 1);
  }
  void Break(int lines) {
    while (!out.empty() && out.back() == ' ') out.pop_back();
    int present = 0;
    while (present < lines && out.size() > static_cast<std::size_t>(present) && out[out.size() - 1 - static_cast<std::size_t>(present)] == '\n') ++present;
    if (!out.empty()) out.append(static_cast<std::size_t>(lines - present), '\n');
  }
};

/// One member of a zip, inflated to at most kMaxDocumentBytes.
std::string ReadZipMember(std::string_view zip, std::string_view member) {
  struct Closer {
    void operator()(archive* a) const { archive_read_free(a); }
  };
  const std::unique_ptr<archive, Closer> reader(archive_read_new());
  archive_read_support_format_zip(reader.get());
  if (archive_read_open_memory(reader.get(), zip.data(), zip.size()) != ARCHIVE_OK) throw Error(Code::kInvalidArgument, "the file is not a zip archive");
  archive_entry* entry = nullptr;
  for (int i = 0; i < 4096 && archive_read_next_header(reader.get(), &entry) == ARCHIVE_OK; ++i) {
    const char* name = archive_entry_pathname(entry);
    if (!name || member != name) continue;
    std::string out;
    char buffer[65536];
    for (;;) {
      const auto n = archive_read_data(reader.get(), buffer, sizeof buffer);
      if (n < 0) throw Error(Code::kInvalidArgument, "the archive is damaged");
      if (n == 0) return out;
      out.append(buffer, static_cast<std::size_t>(n));
      if (out.size() > kMaxDocumentBytes) throw Error(Code::kResourceExhausted, "the archive inflates past " + std::to_string(kMaxDocumentBytes) + " bytes");
    }
  }
  throw Error(Code::kInvalidArgument, "the archive has no '" + std::string(member) + "'");
}

void AppendDocxText(const pugi::xml_node& node, std::string& out) {
  for (const auto& child : node.children()) {
    const std::string_view name = child.name();
    if (name == "w:t") out += child.text().get();
    else if (name == "w:tab") out += ' ';
    else if (name == "w:br") out += ' ';
    else if (name == "w:r" || name == "w:hyperlink" || name == "w:smartTag" || name == "w:ins" || name == "w:sdt" || name == "w:sdtContent") AppendDocxText(child, out);
  }
}

void AppendDocxBlocks(const pugi::xml_node& body, std::string& out, int depth) {
  if (depth > 32) return;
  for (const auto& block : body.children()) {
    const std::string_view name = block.name();
    if (name == "w:p") {
      std::string text;
      AppendDocxText(block, text);
      const auto trimmed = Trim(text);
      if (trimmed.empty()) continue;
      const auto properties = block.child("w:pPr");
      const std::string_view style = properties.child("w:pStyle").attribute("w:val").value();
      if (style == "Title") out += "# ";
      else if (style.starts_with("Heading") && style.size() == 8 && style[7] >= '1' && style[7] <= '6') out += std::string(static_cast<std::size_t>(style[7] - '0'), '#') + " ";
      else if (properties.child("w:numPr") || style.starts_with("List")) out += "- ";
      out += trimmed;
      out += "\n\n";
    } else if (name == "w:tbl") {
      for (const auto& row : block.children("w:tr")) {
        out += "|";
        for (const auto& cell : row.children("w:tc")) {
          std::string text;
          for (const auto& paragraph : cell.children("w:p")) AppendDocxText(paragraph, text);
          out += " " + std::string(Trim(text)) + " |";
        }
        out += "\n";
      }
      out += "\n";
    } else if (name == "w:sdt" || name == "w:sdtContent" || name == "w:body") {
      AppendDocxBlocks(block, out, depth + 1);
    }
  }
}

/// pdftotext's lines to paragraphs: the first line is the title; a short line without a full stop between empty lines is a heading.
std::string MarkdownFromPdfText(std::string_view text) {
  std::vector<std::string> lines;
  for (std::string_view rest = text; !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    lines.emplace_back(Trim(rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  std::string out;
  bool titled = false;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto& line = lines[i];
    const bool before = i == 0 || lines[i - 1].empty(), after = i + 1 == lines.size() || lines[i + 1].empty();
    if (line.empty()) {
      out += "\n\n";
    } else if (!titled) {
      out += "# " + line + "\n\n";
      titled = true;
    } else if (before && after && line.size() < 70 && line.back() != '.' && line.back() != ':' && line.back() != ';' && !line.starts_with("-")) {
      out += "## " + line + "\n\n";
    } else {
      if (!out.empty() && out.back() != '\n') {
        const bool item = line.starts_with("- ") || line.starts_with("\u2022");
        out += item ? "\n" : " ";
      }
      out += line.starts_with("\u2022") ? "- " + std::string(Trim(std::string_view(line).substr(3))) : line;
    }
  }
  return out;
}

ParsedDocument ParsePdf(const Context& ctx, std::string_view bytes) {
  if (!bytes.starts_with("%PDF-")) throw Error(Code::kInvalidArgument, "the file does not begin as a PDF");
  ProcessSpec spec{{"/usr/bin/pdftotext", "-enc", "UTF-8", "-nopgbrk", "-", "-"}};
  spec.own_group = false;
  spec.input = bytes;
  spec.output_limit_bytes = kMaxTextBytes;
  const auto result = RunProcess(ctx, spec);
  if (result.exit_status != 0) throw Error(Code::kInvalidArgument, "the PDF cannot be read (pdftotext: " + std::to_string(result.exit_status) + ")");
  const auto text = Tidy(MarkdownFromPdfText(ToUtf8(result.output)));
  if (Trim(text).empty()) throw Error(Code::kInvalidArgument, "the PDF has no text; scanned pages need OCR, which this build does not have");
  return {FirstHeading(text), text, "application/pdf"};
}

}  // namespace

std::string_view MediaTypeOf(const std::filesystem::path& path) {
  static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {".md", "text/markdown"}, {".markdown", "text/markdown"}, {".txt", "text/plain"}, {".html", "text/html"}, {".htm", "text/html"}, {".csv", "text/csv"},
      {".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"}, {".pdf", "application/pdf"}};
  auto extension = path.extension().string();
  for (auto& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const auto& [ending, type] : kTypes)
    if (extension == ending) return type;
  return {};
}

ParsedDocument ParseMarkdown(std::string_view bytes) {
  const auto text = Tidy(ToUtf8(bytes));
  std::string_view body = text;
  if (body.starts_with("---\n"))
    if (const auto end = body.find("\n---\n", 4); end != std::string_view::npos) body.remove_prefix(end + 5);
  return {FirstHeading(body), std::string(Trim(body)) + "\n", "text/markdown"};
}

ParsedDocument ParseHtml(std::string_view bytes) {
  const auto text = ToUtf8(bytes);
  GumboOptions options = kGumboDefaultOptions;
  struct Tree {
    const GumboOptions& options;
    GumboOutput* output;
    ~Tree() { gumbo_destroy_output(&options, output); }
  } const tree{options, gumbo_parse_with_options(&options, text.data(), text.size())};
  HtmlWriter writer;
  writer.Visit(tree.output->root, 0);
  auto out = Tidy(writer.out);
  return {writer.title.empty() ? FirstHeading(out) : writer.title.substr(0, 200), out, "text/html"};
}

std::vector<std::vector<std::string>> ReadCsv(std::string_view bytes) {
  // RFC 4180: quotes may hold separators, line ends and doubled quotes.
  const auto text = ToUtf8(bytes);
  std::vector<std::vector<std::string>> rows(1);
  std::string cell;
  bool quoted = false;
  const auto end_cell = [&] {
    rows.back().emplace_back(Trim(CollapseSpaces(cell)));
    cell.clear();
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c != '"') cell += c;
      else if (i + 1 < text.size() && text[i + 1] == '"') cell += text[++i];
      else quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == ',') {
      end_cell();
    } else if (c == '\n') {
      end_cell();
      rows.emplace_back();
    } else if (c != '\r') {
      cell += c;
    }
  }
  if (quoted) throw Error(Code::kInvalidArgument, "the CSV ends inside a quoted cell");
  if (!cell.empty() || !rows.back().empty()) end_cell();
  std::erase_if(rows, [](const auto& row) { return row.empty() || (row.size() == 1 && row[0].empty()); });
  return rows;
}

ParsedDocument ParseCsv(std::string_view bytes) {
  std::string out;
  for (const auto& row : ReadCsv(bytes)) {
    out += "|";
    for (const auto& value : row) out += " " + value + " |";
    out += "\n";
  }
  return {"", Tidy(out), "text/csv"};
}

ParsedDocument ParseDocx(std::string_view bytes) {
  const auto xml = ReadZipMember(bytes, "word/document.xml");
  pugi::xml_document document;
  const auto parsed = document.load_buffer(xml.data(), xml.size());
  if (!parsed) throw Error(Code::kInvalidArgument, std::string("word/document.xml is not XML: ") + parsed.description());
  std::string out;
  AppendDocxBlocks(document.child("w:document"), out, 0);
  const auto text = Tidy(ToUtf8(out));
  return {FirstHeading(text), text, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"};
}

ParsedDocument ParseBytes(const Context& ctx, std::string_view bytes, std::string_view media_type) {
  if (bytes.size() > kMaxDocumentBytes) throw Error(Code::kResourceExhausted, "the file has " + std::to_string(bytes.size()) + " bytes, limit " + std::to_string(kMaxDocumentBytes));
  if (media_type == "text/markdown") return ParseMarkdown(bytes);
  if (media_type == "text/plain") {
    auto document = ParseMarkdown(bytes);
    document.media_type = "text/plain";
    return document;
  }
  if (media_type == "text/html") return ParseHtml(bytes);
  if (media_type == "text/csv") return ParseCsv(bytes);
  if (media_type == "application/pdf") return ParsePdf(ctx, bytes);
  if (media_type == "application/vnd.openxmlformats-officedocument.wordprocessingml.document") return ParseDocx(bytes);
  throw Error(Code::kUnimplemented, "there is no parser for '" + std::string(media_type) + "'; there are: Markdown, text, HTML, CSV, DOCX, PDF");
}

std::string_view SniffMediaType(std::string_view, std::string_view declared) { return declared; }

}  // namespace tenfold::data
