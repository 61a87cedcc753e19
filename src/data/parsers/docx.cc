// WordprocessingML. Headings are told by outline level or by the style's name in any language's document (the id is the program's, the name is English in
// styles.xml whatever the language). What is deleted by a tracked change is left out, what is inserted is in.
#include "data/parsers/office.h"
#include "data/parsers/parsers.h"
#include "data/parsers/text.h"

namespace tenfold::data::parsers {
namespace {

constexpr int kMaxDepth = 48;
constexpr std::size_t kMaxColumns = 256;

struct Style {
  int heading = 0;  ///< 1..6; 0: none
  bool list = false;
  std::string based_on;
};

class Reader {
 public:
  explicit Reader(const ZipFile& zip) {
    if (zip.Find("word/styles.xml")) ReadStyles(zip);
    for (const char* part : {"word/footnotes.xml", "word/endnotes.xml"})
      if (zip.Find(part)) ReadNotes(zip, part);
    pugi::xml_document document;
    LoadPart(document, zip, "word/document.xml");
    Blocks(document.document_element(), 0);
    for (const auto& note : said_notes_) out.append(note).append("\n\n");
  }

  std::string out;
  std::vector<std::int64_t> page_breaks;  ///< offsets in `out` where Word began a page when it saved

 private:
  void ReadStyles(const ZipFile& zip) {
    pugi::xml_document document;
    LoadPart(document, zip, "word/styles.xml");
    for (const auto& one : document.document_element().children()) {
      if (LocalName(one) != "style") continue;
      Style style;
      const auto name = Lower(AttributeNamed(ChildNamed(one, "name"), "val"));
      if (name == "title") style.heading = 1;
      else if (name.starts_with("heading ") && name.size() == 9 && name[8] >= '1' && name[8] <= '9') style.heading = std::min(name[8] - '0', 6);
      const auto properties = ChildNamed(one, "pPr");
      if (const auto level = AttributeNamed(ChildNamed(properties, "outlineLvl"), "val"); !style.heading && level.size() == 1 && level[0] >= '0' && level[0] <= '8') style.heading = std::min(level[0] - '0' + 1, 6);
      style.list = name.starts_with("list") || ChildNamed(properties, "numPr");
      style.based_on = AttributeNamed(ChildNamed(one, "basedOn"), "val");
      styles_[std::string(AttributeNamed(one, "styleId"))] = std::move(style);
    }
  }

  void ReadNotes(const ZipFile& zip, std::string_view part) {
    pugi::xml_document document;
    LoadPart(document, zip, part);
    for (const auto& one : document.document_element().children()) {
      const auto type = AttributeNamed(one, "type");
      if (type == "separator" || type == "continuationSeparator") continue;
      std::string text;
      for (const auto& paragraph : one.children()) Inline(paragraph, text, 0);
      notes_[std::string(LocalName(one)) + std::string(AttributeNamed(one, "id"))] = CollapseSpaces(Trim(text));
    }
  }

  Style StyleOf(std::string id) const {
    Style out_style;
    for (int i = 0; i < 10 && !id.empty(); ++i) {
      const auto found = styles_.find(id);
      if (found == styles_.end()) {
        // A file without styles.xml, as small programs write it.
        const auto lower = Lower(id);
        if (lower == "title") out_style.heading = 1;
        else if (lower.starts_with("heading") && lower.size() == 8 && lower[7] >= '1' && lower[7] <= '6') out_style.heading = lower[7] - '0';
        else if (lower.starts_with("list")) out_style.list = true;
        return out_style;
      }
      if (!out_style.heading) out_style.heading = found->second.heading;
      out_style.list = out_style.list || found->second.list;
      id = found->second.based_on;
    }
    return out_style;
  }

  void Inline(const pugi::xml_node& node, std::string& text, int depth) {
    if (depth > kMaxDepth) return;
    for (const auto& child : node.children()) {
      const auto name = LocalName(child);
      if (name == "t") text += child.text().get();
      else if (name == "tab" || name == "cr" || name == "br") {
        if (name == "br" && AttributeNamed(child, "type") == "page") new_page_ = true;
        text += ' ';
      } else if (name == "lastRenderedPageBreak") new_page_ = true;
      else if (name == "noBreakHyphen") text += '-';
      else if (name == "footnoteReference" || name == "endnoteReference") {
        const auto found = notes_.find((name == "footnoteReference" ? "footnote" : "endnote") + std::string(AttributeNamed(child, "id")));
        if (found == notes_.end() || found->second.empty()) continue;
        const auto mark = "[^" + std::to_string(said_notes_.size() + 1) + "]";
        text += mark;
        said_notes_.push_back(mark + ": " + found->second);
      } else if (name == "AlternateContent") {
        Inline(ChildNamed(child, "Choice") ? ChildNamed(child, "Choice") : ChildNamed(child, "Fallback"), text, depth + 1);
      } else if (name == "drawing" || name == "pict") {
        if (const auto box = FindBelow(child, "txbxContent"))
          for (const auto& paragraph : box.children()) {
            text += ' ';
            Inline(paragraph, text, depth + 1);
          }
      } else if (name == "r" || name == "hyperlink" || name == "smartTag" || name == "ins" || name == "moveTo" || name == "sdt" || name == "sdtContent" || name == "fldSimple" || name == "p" || name == "oMath" ||
                 name == "oMathPara" || name == "txbxContent") {
        Inline(child, text, depth + 1);
      }
    }
  }

  void Blocks(const pugi::xml_node& parent, int depth) {
    if (depth > kMaxDepth) return;
    for (const auto& block : parent.children()) {
      const auto name = LocalName(block);
      if (name == "p") Paragraph(block);
      else if (name == "tbl") Table(block, depth);
      else if (name == "sdt" || name == "sdtContent" || name == "body" || name == "ins" || name == "moveTo" || name == "customXml") Blocks(block, depth + 1);
      CheckTextSize(out.size());
    }
  }

  void BeginPage() {
    if (new_page_) page_breaks.push_back(static_cast<std::int64_t>(out.size()));
    new_page_ = false;
  }

  void Paragraph(const pugi::xml_node& block) {
    std::string text;
    const auto properties = ChildNamed(block, "pPr");
    // Word notes where a page began inside the paragraph; to the reader the paragraph begins there or before.
    Inline(block, text, 0);
    const auto flat = CollapseSpaces(text);
    const auto trimmed = Trim(flat);
    if (trimmed.empty()) return;
    BeginPage();
    auto style = StyleOf(std::string(AttributeNamed(ChildNamed(properties, "pStyle"), "val")));
    const auto numbering = ChildNamed(properties, "numPr");
    if (style.heading > 0) {
      out += std::string(static_cast<std::size_t>(style.heading), '#') + " ";
      in_list_ = false;
    } else if (numbering || style.list) {
      if (in_list_ && out.ends_with("\n\n")) out.pop_back();
      const auto level = std::clamp(static_cast<int>(NumberOf(AttributeNamed(ChildNamed(numbering, "ilvl"), "val"))), 0, 8);
      out += std::string(2 * static_cast<std::size_t>(level), ' ') + "- ";
      in_list_ = true;
    } else {
      in_list_ = false;
    }
    out.append(trimmed).append("\n\n");
  }

  std::string CellText(const pugi::xml_node& cell, int depth) {
    std::string text;
    if (depth > kMaxDepth) return text;
    for (const auto& child : cell.children()) {
      const auto name = LocalName(child);
      if (name == "p") {
        Inline(child, text, depth);
        text += ' ';
      } else if (name == "tbl") {
        for (const auto& row : child.children())
          for (const auto& inner : row.children())
            if (LocalName(inner) == "tc") text += CellText(inner, depth + 1) + " ";
      } else if (name == "sdt") {
        text += CellText(ChildNamed(child, "sdtContent"), depth + 1);
      }
    }
    return text;
  }

  void Table(const pugi::xml_node& table, int depth) {
    in_list_ = false;
    std::vector<std::string> above;
    for (const auto& row : table.children()) {
      if (LocalName(row) != "tr") continue;
      std::vector<std::string> cells;
      for (auto cell : row.children()) {
        if (LocalName(cell) == "sdt") cell = ChildNamed(ChildNamed(cell, "sdtContent"), "tc");
        if (LocalName(cell) != "tc" || cells.size() >= kMaxColumns) continue;
        const auto properties = ChildNamed(cell, "tcPr");
        auto text = Cell(CellText(cell, depth));
        const auto merge = ChildNamed(properties, "vMerge");
        // What reaches down over rows is said in each: a row is found alone.
        if (merge && AttributeNamed(merge, "val") != "restart" && text.empty() && cells.size() < above.size()) text = above[cells.size()];
        cells.push_back(std::move(text));
        const auto span = std::clamp(static_cast<int>(NumberOf(AttributeNamed(ChildNamed(properties, "gridSpan"), "val"), 1)), 1, 64);
        for (int i = 1; i < span && cells.size() < kMaxColumns; ++i) cells.emplace_back();
      }
      if (cells.empty()) continue;
      BeginPage();
      AppendRow(out, cells);
      CheckTextSize(out.size());
      above = std::move(cells);
    }
    out += "\n";
  }

  std::map<std::string, Style> styles_;
  std::map<std::string, std::string> notes_;
  std::vector<std::string> said_notes_;
  bool in_list_ = false, new_page_ = false;
};

/// Pages of a text that Tidy has passed over: it only takes lines' blanks and empty lines away, so the n-th line with text stays the n-th.
void LayPages(std::string_view raw, const std::vector<std::int64_t>& breaks, ParsedDocument& document) {
  if (breaks.empty()) return;
  const auto filled_lines = [](std::string_view text, std::size_t until) {
    std::size_t lines = 0;
    for (std::size_t at = 0; at < until;) {
      const auto end = std::min(text.find('\n', at), text.size());
      if (!Trim(text.substr(at, end - at)).empty()) ++lines;
      at = end + 1;
    }
    return lines;
  };
  std::vector<std::size_t> starts{0};  // bytes of the tidy text where a page begins
  std::size_t at = 0, line = 0, raw_at = 0, raw_lines = 0;
  for (const auto one : breaks) {
    raw_lines += filled_lines(raw.substr(raw_at), static_cast<std::size_t>(one) - raw_at);
    raw_at = static_cast<std::size_t>(one);
    while (at < document.text.size() && (line < raw_lines || document.text[at] == '\n')) {
      const auto end = std::min(document.text.find('\n', at), document.text.size());
      if (end > at) ++line;
      at = end + 1;
    }
    starts.push_back(std::min(at, document.text.size()));
  }
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const auto end = i + 1 < starts.size() ? starts[i + 1] : document.text.size();
    document.pages.push_back({});
    if (end > starts[i]) document.layout.push_back({static_cast<std::int64_t>(starts[i]), static_cast<std::int64_t>(end), static_cast<std::int64_t>(i + 1)});
  }
}

}  // namespace

ParsedDocument ParseDocx(std::string_view bytes) {
  const ZipFile zip(bytes, [](std::string_view name) {
    return name == "word/document.xml" || name == "word/styles.xml" || name == "word/footnotes.xml" || name == "word/endnotes.xml" || name == "docProps/core.xml";
  });
  ParsedDocument document;
  const Reader reader(zip);
  // XML may say it is another encoding than it is.
  const bool sound = IsUtf8(reader.out);
  document.text = Tidy(sound ? reader.out : DecodeText(reader.out));
  if (sound) LayPages(reader.out, reader.page_breaks, document);
  std::string title;
  ReadCoreProperties(zip, document.metadata, title);
  document.title = FirstHeading(document.text);
  if (!document.text.starts_with('#') && !title.empty()) document.title = title;
  document.media_type = kDocx;
  return document;
}

}  // namespace tenfold::data::parsers
