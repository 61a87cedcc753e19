// SpreadsheetML: a sheet is a page, its used cells a table. Values are those that the program saved; numbers whose format is a date become one.
#include <charconv>
#include <cmath>

#include "data/parsers/office.h"
#include "data/parsers/parsers.h"
#include "data/parsers/text.h"

namespace tenfold::data::parsers {
namespace {

constexpr std::size_t kMaxSheets = 1000;
constexpr std::size_t kMaxColumn = 16'384;  // XFD, the format's own limit
constexpr std::size_t kMaxCells = 2'000'000;

enum class Kind : std::uint8_t { kNumber, kDate, kTime, kDateTime, kPercent };

/// What a number format shows. Source: ECMA-376 part 1, 18.8.30 (built-in ids) and 18.8.31 (codes).
Kind KindOf(int id, std::string_view code) {
  if (id == 14 || id == 15 || id == 16 || id == 17 || (id >= 27 && id <= 31) || id == 36 || (id >= 50 && id <= 54) || id == 57 || id == 58) return Kind::kDate;
  if ((id >= 18 && id <= 21) || (id >= 32 && id <= 35) || (id >= 45 && id <= 47) || id == 55 || id == 56) return Kind::kTime;
  if (id == 22) return Kind::kDateTime;
  if (id == 9 || id == 10) return Kind::kPercent;
  bool date = false, time = false, percent = false;
  for (std::size_t i = 0; i < code.size() && code[i] != ';'; ++i) {
    const char c = static_cast<char>(std::tolower(static_cast<unsigned char>(code[i])));
    if (c == '"') i = std::min(code.find('"', i + 1), code.size());
    else if (c == '\\' || c == '_' || c == '*') ++i;
    else if (c == '[') {
      const auto end = code.find(']', i);
      const auto inner = Lower(code.substr(i + 1, end == std::string_view::npos ? end : end - i - 1));
      time = time || inner == "h" || inner == "hh" || inner == "m" || inner == "mm" || inner == "s" || inner == "ss";
      i = std::min(end, code.size());
    } else if (c == 'y' || c == 'd') date = true;
    else if (c == 'h' || c == 's') time = true;
    else if (c == '%') percent = true;
  }
  return date && time ? Kind::kDateTime : date ? Kind::kDate : time ? Kind::kTime : percent ? Kind::kPercent : Kind::kNumber;
}

std::string Digits(long long value, int width) {
  auto out = std::to_string(value);
  if (out.size() < static_cast<std::size_t>(width)) out.insert(0, static_cast<std::size_t>(width) - out.size(), '0');
  return out;
}

/// A serial day, 1 being 1900-01-01 (or 1904-01-02 in files that count from 1904). The format takes 1900 for a leap year, so days before March 1900 are one off.
std::string DateText(double serial, Kind kind, bool from_1904) {
  if (serial < 0 || serial > 2'958'466) return {};
  auto seconds = std::llround(serial * 86'400);
  const auto days = seconds / 86'400 + (from_1904 ? 1462 : 0);
  seconds %= 86'400;
  const auto clock = Digits(seconds / 3600, 2) + ":" + Digits(seconds / 60 % 60, 2) + (seconds % 60 ? ":" + Digits(seconds % 60, 2) : "");
  if (kind == Kind::kTime) return days > 0 && !from_1904 ? Digits(days * 24 + seconds / 3600, 2) + ":" + Digits(seconds / 60 % 60, 2) : clock;
  const std::chrono::sys_days day = std::chrono::sys_days(std::chrono::year(1899) / 12 / 30) + std::chrono::days(days < 60 && !from_1904 ? days + 1 : days);
  const std::chrono::year_month_day date(day);
  const auto text = Digits(int(date.year()), 4) + "-" + Digits(unsigned(date.month()), 2) + "-" + Digits(unsigned(date.day()), 2);
  return kind == Kind::kDateTime ? text + " " + clock : text;
}

/// As people read it: 15 digits, for the rest is the binary form's noise.
std::string NumberText(std::string_view raw) {
  double value = 0;
  const auto [end, error] = std::from_chars(raw.data(), raw.data() + raw.size(), value);
  if (error != std::errc() || end != raw.data() + raw.size() || !std::isfinite(value)) return std::string(raw);
  char buffer[64];
  if (std::abs(value) < 1e15 && value == std::floor(value)) std::snprintf(buffer, sizeof buffer, "%.0f", value);
  else std::snprintf(buffer, sizeof buffer, "%.15g", value);
  return buffer;
}

class Workbook {
 public:
  explicit Workbook(const ZipFile& zip) : zip_(zip) {
    pugi::xml_document book;
    LoadPart(book, zip, "xl/workbook.xml");
    const auto root = book.document_element();
    const auto epoch = AttributeNamed(ChildNamed(root, "workbookPr"), "date1904");
    from_1904_ = epoch == "1" || epoch == "true";
    const auto relations = ReadRelations(zip, "xl/workbook.xml");
    for (const auto& [_, relation] : relations) {
      if (relation.type == "sharedStrings" && zip.Find(relation.target)) ReadStrings(relation.target);
      if (relation.type == "styles" && zip.Find(relation.target)) ReadStyles(relation.target);
    }
    for (const auto& sheet : ChildNamed(root, "sheets").children()) {
      std::string id;
      for (const auto& attribute : sheet.attributes())
        if (std::string_view(attribute.name()).ends_with(":id")) id = attribute.value();
      const auto found = relations.find(id);
      if (found == relations.end() || found->second.type != "worksheet" || !zip.Find(found->second.target)) continue;
      if (document.pages.size() == kMaxSheets) throw Error(Code::kResourceExhausted, "the workbook has more than " + std::to_string(kMaxSheets) + " sheets");
      Sheet(AttributeNamed(sheet, "name"), found->second.target);
    }
  }
  ParsedDocument document;

 private:
  static std::string StringText(const pugi::xml_node& item) {
    // <t>, or <r><t> for each run; <rPh> says how it is pronounced.
    std::string out;
    for (const auto& child : item.children()) {
      if (LocalName(child) == "t") out += child.text().get();
      else if (LocalName(child) == "r") out += ChildNamed(child, "t").text().get();
    }
    return Cell(out);
  }

  void ReadStrings(const std::string& part) {
    pugi::xml_document xml;
    LoadPart(xml, zip_, part);
    for (const auto& item : xml.document_element().children())
      if (LocalName(item) == "si") strings_.push_back(StringText(item));
  }

  void ReadStyles(const std::string& part) {
    pugi::xml_document xml;
    LoadPart(xml, zip_, part);
    std::map<int, std::string> codes;
    for (const auto& one : ChildNamed(xml.document_element(), "numFmts").children()) codes[static_cast<int>(NumberOf(AttributeNamed(one, "numFmtId")))] = AttributeNamed(one, "formatCode");
    for (const auto& one : ChildNamed(xml.document_element(), "cellXfs").children()) {
      const auto id = static_cast<int>(std::clamp(NumberOf(AttributeNamed(one, "numFmtId")), 0.0, 1e6));
      const auto code = codes.find(id);
      kinds_.push_back(KindOf(id, code == codes.end() ? std::string_view() : std::string_view(code->second)));
    }
  }

  std::string ValueOf(const pugi::xml_node& cell) const {
    const auto type = AttributeNamed(cell, "t");
    if (type == "inlineStr") return StringText(ChildNamed(cell, "is"));
    const std::string_view raw = Trim(ChildNamed(cell, "v").text().get());
    if (raw.empty()) return {};
    if (type == "s") {
      const auto at = NumberOf(raw, -1);
      return at >= 0 && at < static_cast<double>(strings_.size()) ? strings_[static_cast<std::size_t>(at)] : std::string();
    }
    if (type == "b") return raw == "1" ? "TRUE" : "FALSE";
    if (type == "str" || type == "e" || type == "d") return Cell(raw);
    const auto style = NumberOf(AttributeNamed(cell, "s"), -1);
    const auto kind = style >= 0 && style < static_cast<double>(kinds_.size()) ? kinds_[static_cast<std::size_t>(style)] : Kind::kNumber;
    if (kind == Kind::kPercent) return NumberText(ToText(Json(std::round(NumberOf(raw) * 1e10) / 1e8))) + "%";
    if (kind != Kind::kNumber)
      if (auto date = DateText(NumberOf(raw, -1), kind, from_1904_); !date.empty()) return date;
    return NumberText(raw);
  }

  void Sheet(std::string_view name, const std::string& part) {
    pugi::xml_document xml;
    LoadPart(xml, zip_, part);
    std::vector<std::map<std::size_t, std::string>> rows;
    std::set<std::size_t> used;
    for (const auto& row : ChildNamed(xml.document_element(), "sheetData").children()) {
      std::map<std::size_t, std::string> cells;
      std::size_t next = 0;
      for (const auto& cell : row.children()) {
        // "BC12": letters say the column; a cell that does not say follows the one before.
        std::size_t column = 0;
        for (const char c : AttributeNamed(cell, "r").substr(0, 4))
          if (c >= 'A' && c <= 'Z') column = column * 26 + static_cast<std::size_t>(c - 'A') + 1;
        column = column > 0 ? column - 1 : next;
        next = column + 1;
        if (column >= kMaxColumn) continue;
        auto value = ValueOf(cell);
        if (value.empty()) continue;
        if (++cells_ > kMaxCells) throw Error(Code::kResourceExhausted, "the workbook has more than " + std::to_string(kMaxCells) + " filled cells");
        bytes_ += value.size();
        CheckTextSize(bytes_);
        used.insert(column);
        cells[column] = std::move(value);
      }
      if (!cells.empty()) rows.push_back(std::move(cells));
    }
    document.pages.push_back({});
    auto& text = document.text;
    if (!text.empty()) text += '\n';
    const auto begin = text.size();
    text.append("## ").append(Cell(name)).append("\n\n");
    for (const auto& cells : rows) {
      text += '|';
      for (const auto column : used) {
        const auto found = cells.find(column);
        text.append(" ").append(found == cells.end() ? "" : found->second).append(" |");
      }
      text += '\n';
      CheckTextSize(text.size());
    }
    document.layout.push_back({static_cast<std::int64_t>(begin), static_cast<std::int64_t>(text.size()), static_cast<std::int64_t>(document.pages.size())});
  }

  const ZipFile& zip_;
  bool from_1904_ = false;
  std::vector<std::string> strings_;
  std::vector<Kind> kinds_;
  std::size_t cells_ = 0, bytes_ = 0;
};

}  // namespace

ParsedDocument ParseXlsx(std::string_view bytes) {
  const ZipFile zip(bytes, [](std::string_view name) {
    return (name.starts_with("xl/") && (name.ends_with(".xml") || name.ends_with(".rels")) && !name.starts_with("xl/drawings") && !name.starts_with("xl/theme") && !name.starts_with("xl/charts") && !name.starts_with("xl/pivot")) || name == "docProps/core.xml";
  });
  Workbook book(zip);
  auto out = std::move(book.document);
  if (!IsUtf8(out.text)) throw Error(Code::kInvalidArgument, "the workbook's text is not UTF-8");
  ReadCoreProperties(zip, out.metadata, out.title);
  out.media_type = kXlsx;
  return out;
}

}  // namespace tenfold::data::parsers
