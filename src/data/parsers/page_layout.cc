#include "data/parsers/page_layout.h"

#include <charconv>
#include <cmath>

#include "base/json.h"
#include "base/utf8.h"
#include "data/parsers/parsers.h"
#include "data/parsers/text.h"

namespace tenfold::data::parsers {
namespace {

constexpr std::size_t kMaxPages = 20'000;
// tesseract says 0..100; below this what it reads is mostly dirt and pictures.
constexpr double kLeastConfidence = 30;

double NumberIn(std::string_view text) {
  double out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return std::isfinite(out) ? std::clamp(out, -1e6, 1e6) : 0;
}

/// The value of an attribute of one tag.
std::string_view AttributeIn(std::string_view tag, std::string_view name) {
  for (auto at = tag.find(name); at != std::string_view::npos; at = tag.find(name, at + 1)) {
    const auto begin = at + name.size() + 2;
    if (at == 0 || tag[at - 1] != ' ' || begin > tag.size() || tag.substr(at + name.size(), 2) != "=\"") continue;
    return tag.substr(begin, tag.find('"', begin) - begin);
  }
  return {};
}

std::string Unescape(std::string_view text) {
  static constexpr std::pair<std::string_view, char> kNamed[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&#39;", '\''}};
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '&') {
      const auto rest = text.substr(i, 6);
      const auto* found = std::find_if(std::begin(kNamed), std::end(kNamed), [&](const auto& one) { return rest.starts_with(one.first); });
      if (found != std::end(kNamed)) {
        out += found->second;
        i += found->first.size() - 1;
        continue;
      }
    }
    // Form feeds, soft hyphens' places and such are no text.
    if (static_cast<unsigned char>(text[i]) >= 0x20) out += text[i];
  }
  return out;
}

Box BoxIn(std::string_view tag) { return {NumberIn(AttributeIn(tag, "xMin")), NumberIn(AttributeIn(tag, "yMin")), NumberIn(AttributeIn(tag, "xMax")), NumberIn(AttributeIn(tag, "yMax"))}; }

void AddLine(Page& page, Line line, bool new_block) {
  if (line.text.empty()) return;
  if (new_block || page.blocks.empty()) page.blocks.push_back({line.box, {}});
  auto& block = page.blocks.back();
  block.box.Include(line.box);
  block.lines.push_back(std::move(line));
}

void AddWord(Line& line, std::string_view word) {
  word = Trim(word);
  if (word.empty()) return;
  if (!line.text.empty()) line.text += ' ';
  line.text += word;
  ++line.words;
}

/// A document's tables of characters may name halves of a pair, which these programs write as if they were characters. Empty if all is UTF-8.
std::string MendedIfBroken(std::string_view output) { return IsUtf8(output) ? std::string() : MendUtf8(std::string(output)); }

}  // namespace

void Box::Include(const Box& other) {
  left = std::min(left, other.left);
  top = std::min(top, other.top);
  right = std::max(right, other.right);
  bottom = std::max(bottom, other.bottom);
}

Pages ReadBoxLayout(std::string_view output) {
  // One element a line, as poppler writes it: <page>, <flow>, <block>, <line>, <word>text</word>; the head has <title> and <meta name content>.
  Pages out;
  Line line;
  bool new_block = true, whole = false;
  std::size_t bytes = 0;
  const auto mended = MendedIfBroken(output);
  for (std::string_view rest = mended.empty() ? output : mended; !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const auto row = Trim(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (row.starts_with("<word ")) {
      const auto open = row.find('>');
      const auto close = row.rfind("</word>");
      if (open != std::string_view::npos && close != std::string_view::npos && close > open) AddWord(line, Unescape(row.substr(open + 1, close - open - 1)));
    } else if (row.starts_with("<line ")) {
      line = {BoxIn(row), {}, 0};
    } else if (row.starts_with("</line>")) {
      bytes += line.text.size() + 1;
      CheckTextSize(bytes);
      if (!out.pages.empty() && !line.text.empty()) {
        AddLine(out.pages.back(), std::move(line), new_block);
        new_block = false;
      }
      line = {};
    } else if (row.starts_with("<block ")) {
      new_block = true;
    } else if (row.starts_with("<page ")) {
      if (out.pages.size() == kMaxPages) throw Error(Code::kResourceExhausted, "the PDF has more than " + std::to_string(kMaxPages) + " pages");
      out.pages.push_back({{NumberIn(AttributeIn(row, "width")), NumberIn(AttributeIn(row, "height"))}, {}});
      new_block = true;
    } else if (row.starts_with("<title>")) {
      out.title = Trim(Unescape(row.substr(7, row.rfind("</title>") - 7)));
    } else if (row.starts_with("<meta ")) {
      static constexpr std::pair<std::string_view, const char*> kKept[] = {{"Author", "author"}, {"Subject", "subject"}, {"Keywords", "keywords"}, {"CreationDate", "created"}, {"ModDate", "modified"}};
      for (const auto& [theirs, ours] : kKept)
        if (AttributeIn(row, "name") == theirs) {
          const auto value = Unescape(AttributeIn(row, "content"));
          if (IsUtf8(value) && !Trim(value).empty() && !value.starts_with('(')) out.metadata[ours] = std::string(CutUtf8(Trim(value), 500));
        }
    } else if (row.starts_with("</doc>")) {
      whole = true;
    }
  }
  if (!whole) throw Error(Code::kInvalidArgument, "the PDF is damaged: its text ends in the middle");
  return out;
}

std::vector<Page> ReadTesseractTsv(std::string_view output, double scale) {
  // level page_num block_num par_num line_num word_num left top width height conf text; level 1 is a page, 2 a block, 4 a line, 5 a word.
  std::vector<Page> pages;
  Line line;
  bool new_block = true;
  const auto end_line = [&] {
    if (!pages.empty() && !line.text.empty()) {
      AddLine(pages.back(), std::move(line), new_block);
      new_block = false;
    }
    line = {};
  };
  const auto mended = MendedIfBroken(output);
  for (std::string_view rest = mended.empty() ? output : mended; !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    auto row = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    std::string_view fields[12];
    std::size_t count = 0;
    for (; count < 12; ++count) {
      const auto tab = count == 11 ? row.size() : std::min(row.find('\t'), row.size());
      fields[count] = row.substr(0, tab);
      row.remove_prefix(std::min(tab + 1, row.size()));
    }
    const Box box{NumberIn(fields[6]) * scale, NumberIn(fields[7]) * scale, (NumberIn(fields[6]) + NumberIn(fields[8])) * scale, (NumberIn(fields[7]) + NumberIn(fields[9])) * scale};
    if (fields[0] == "1") {
      end_line();
      if (pages.size() == kMaxPages) break;
      pages.push_back({{box.width(), box.height()}, {}});
      new_block = true;
    } else if (fields[0] == "2" || fields[0] == "3") {
      end_line();
      new_block = true;
    } else if (fields[0] == "4") {
      end_line();
    } else if (fields[0] == "5" && NumberIn(fields[10]) >= kLeastConfidence && IsUtf8(fields[11]) && !Trim(fields[11]).empty()) {
      if (line.text.empty()) line.box = box;
      line.box.Include(box);
      AddWord(line, fields[11]);
    }
  }
  end_line();
  return pages;
}

}  // namespace tenfold::data::parsers
