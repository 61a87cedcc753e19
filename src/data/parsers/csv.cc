#include "data/parsers/parsers.h"
#include "data/parsers/text.h"

namespace tenfold::data {

std::vector<std::vector<std::string>> ReadCsv(std::string_view bytes, char separator) {
  // RFC 4180: quotes may hold separators, line ends and doubled quotes.
  const auto text = parsers::DecodeText(bytes);
  std::vector<std::vector<std::string>> rows(1);
  std::string cell;
  bool quoted = false;
  const auto end_cell = [&] {
    rows.back().emplace_back(parsers::Trim(parsers::CollapseSpaces(cell)));
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
    } else if (c == separator) {
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

namespace parsers {
namespace {

ParsedDocument FromRows(const std::vector<std::vector<std::string>>& rows, std::string_view media_type) {
  std::string out;
  for (const auto& row : rows) {
    std::vector<std::string> cells;
    for (const auto& value : row) cells.push_back(Cell(value));
    AppendRow(out, cells);
    CheckTextSize(out.size());
  }
  return {"", Tidy(out), std::string(media_type)};
}

/// Of the first line, outside quotes: what separates.
char SeparatorOf(std::string_view text) {
  std::size_t commas = 0, semicolons = 0, tabs = 0;
  bool quoted = false;
  for (const char c : text.substr(0, text.find('\n'))) {
    if (c == '"') quoted = !quoted;
    else if (quoted) continue;
    else if (c == ',') ++commas;
    else if (c == ';') ++semicolons;
    else if (c == '\t') ++tabs;
  }
  return commas > 0 ? ',' : semicolons > 0 && semicolons >= tabs ? ';' : tabs > 0 ? '\t' : ',';
}

}  // namespace

ParsedDocument ParseCsv(std::string_view bytes, std::string_view charset) {
  const auto decoded = DecodeText(bytes, charset);
  std::string_view text = decoded;
  char separator = 0;
  // Excel's own way to say it.
  if (text.starts_with("sep=") && text.size() > 4) {
    separator = text[4];
    text.remove_prefix(std::min(text.find('\n'), text.size()));
  }
  return FromRows(ReadCsv(text, separator ? separator : SeparatorOf(text)), kCsv);
}

ParsedDocument ParseTsv(std::string_view bytes, std::string_view charset) { return FromRows(ReadCsv(DecodeText(bytes, charset), '\t'), kTsv); }

}  // namespace parsers
}  // namespace tenfold::data
