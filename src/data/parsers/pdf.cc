#include "base/process.h"
#include "data/parsers/parsers.h"
#include "data/parsers/text.h"

namespace tenfold::data::parsers {
namespace {

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

}  // namespace

ParsedDocument ParsePdf(const Context& ctx, std::string_view bytes) {
  if (!bytes.starts_with("%PDF-")) throw Error(Code::kInvalidArgument, "the file does not begin as a PDF");
  ProcessSpec spec{{"/usr/bin/pdftotext", "-enc", "UTF-8", "-nopgbrk", "-", "-"}};
  spec.own_group = false;
  spec.input = bytes;
  spec.output_limit_bytes = kMaxTextBytes;
  const auto result = RunProcess(ctx, spec);
  if (result.exit_status != 0) throw Error(Code::kInvalidArgument, "the PDF cannot be read (pdftotext: " + std::to_string(result.exit_status) + ")");
  const auto text = Tidy(MarkdownFromPdfText(DecodeText(result.output)));
  if (Trim(text).empty()) throw Error(Code::kInvalidArgument, "the PDF has no text; scanned pages need OCR, which this build does not have");
  return {FirstHeading(text), text, "application/pdf"};
}

}  // namespace tenfold::data::parsers
