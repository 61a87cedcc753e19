#include "data/parsers/text.h"

#include "base/utf8.h"
#include "data/parsers/parsers.h"

namespace tenfold::data::parsers {

std::string_view Trim(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
  return text;
}

std::string CollapseSpaces(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
      if (out.empty() || out.back() != ' ') out += ' ';
    } else {
      out += c;
    }
  }
  return out;
}

std::string Lower(std::string_view text) {
  std::string out(text);
  for (auto& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string Cell(std::string_view text) {
  const auto flat = CollapseSpaces(text);
  std::string out;
  for (const char c : Trim(flat)) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

void AppendRow(std::string& out, const std::vector<std::string>& cells) {
  if (cells.empty()) return;
  out += '|';
  for (const auto& cell : cells) out.append(" ").append(cell).append(" |");
  out += '\n';
}

void CheckTextSize(std::size_t bytes) {
  if (bytes > kMaxTextBytes)
    throw Error(Code::kResourceExhausted, "the document has " + std::to_string(bytes) + " bytes of text or more, limit " + std::to_string(kMaxTextBytes) + "; split it");
}

std::string Tidy(std::string_view text) {
  std::string out;
  out.reserve(text.size());
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
  CheckTextSize(out.size());
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
      return std::string(CutUtf8(Trim(title), 200));
    }
  }
  return std::string(CutUtf8(first_line, 200));
}

ParsedDocument ParseMarkdown(std::string_view bytes, std::string_view charset) {
  const auto text = Tidy(DecodeText(bytes, charset));
  std::string_view body = text;
  if (body.starts_with("---\n"))
    if (const auto end = body.find("\n---\n", 4); end != std::string_view::npos) body.remove_prefix(end + 5);
  return {FirstHeading(body), std::string(Trim(body)) + "\n", std::string(kMarkdown)};
}

ParsedDocument ParsePlainText(std::string_view bytes, std::string_view charset) {
  auto document = ParseMarkdown(bytes, charset);
  document.media_type = kPlainText;
  return document;
}

}  // namespace tenfold::data::parsers
