#include <pugixml.hpp>

#include "data/parsers/parsers.h"
#include "data/parsers/text.h"
#include "data/parsers/zip.h"

namespace tenfold::data::parsers {
namespace {

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

}  // namespace

ParsedDocument ParseDocx(std::string_view bytes) {
  const ZipFile zip(bytes, [](std::string_view name) { return name == "word/document.xml"; });
  const auto& xml = zip.Get("word/document.xml");
  pugi::xml_document document;
  const auto parsed = document.load_buffer(xml.data(), xml.size());
  if (!parsed) throw Error(Code::kInvalidArgument, std::string("word/document.xml is not XML: ") + parsed.description());
  std::string out;
  AppendDocxBlocks(document.child("w:document"), out, 0);
  const auto text = Tidy(DecodeText(out));
  return {FirstHeading(text), text, std::string(kDocx)};
}

}  // namespace tenfold::data::parsers
