#include <cmath>

#include "base/utf8.h"
#include "data/parsers/page_layout.h"
#include "data/parsers/parsers.h"
#include "data/parsers/text.h"

namespace tenfold::data::parsers {
namespace {

constexpr std::size_t kLongestHeading = 120;

bool IsBullet(std::string_view text) {
  for (const std::string_view bullet : {"•", "◦", "▪", "■", "●", "○", "–", "-", "*", "‣", "·", "\uf0b7", "\uf0a7"})
    if (text == bullet) return true;
  return false;
}

/// "3.", "b)", "(iv)": what counts an item when it stands alone.
bool IsItemNumber(std::string_view text) {
  if (text.starts_with('(')) text.remove_prefix(1);
  if (text.size() < 2 || text.size() > 5 || (text.back() != '.' && text.back() != ')')) return false;
  text.remove_suffix(1);
  return text.find_first_not_of("0123456789") == std::string_view::npos || text.size() == 1 || text.find_first_not_of("ivxIVX") == std::string_view::npos;
}

/// "- " for what begins as an item, with its bullet taken off.
bool TakeBullet(std::string_view& text) {
  const auto blank = text.find(' ');
  if (blank == std::string_view::npos || !IsBullet(text.substr(0, blank))) return false;
  text = Trim(text.substr(blank));
  return true;
}

/// A bullet or a number that stands apart is part of the line beside it, not a column.
void JoinBullets(Page& page) {
  for (auto& block : page.blocks)
    for (auto& line : block.lines) {
      if (!IsBullet(line.text) && !IsItemNumber(line.text)) continue;
      Line* nearest = nullptr;
      for (auto& other_block : page.blocks) {
        if (other_block.box.top > line.box.bottom || other_block.box.bottom < line.box.top) continue;
        for (auto& other : other_block.lines)
          if (&other != &line && other.words > 1 && std::abs(other.box.middle() - line.box.middle()) < 0.5 * line.box.height() && other.box.left >= line.box.right &&
              other.box.left - line.box.right < 4 * line.box.height() && (!nearest || other.box.left < nearest->box.left))
            nearest = &other;
      }
      if (!nearest) continue;
      nearest->text = line.text + " " + nearest->text;
      nearest->box.Include(line.box);
      line.text.clear();
    }
  for (auto& block : page.blocks) std::erase_if(block.lines, [](const Line& line) { return line.text.empty(); });
  std::erase_if(page.blocks, [](const Block& block) { return block.lines.empty(); });
}

std::string WithoutDigits(std::string_view text) {
  std::string out;
  for (const char c : text)
    if (c < '0' || c > '9') out += c;
    else if (!out.ends_with('#')) out += '#';
  return out;
}

bool IsPageNumber(const std::string& without_digits) {
  static constexpr std::string_view kForms[] = {"#", "- # -", "-#-", "– # –", "# / #", "#/#", "Page #", "page #", "Page # of #", "page # of #", "Seite #", "Seite # von #", "[#]", "p. #"};
  return std::find(std::begin(kForms), std::end(kForms), without_digits) != std::end(kForms);
}

/// What stands at the same place of most pages: the first is kept, page numbers go.
void DropRepeated(std::vector<Page>& pages) {
  if (pages.size() < 3) return;
  // Only the two outermost heights of a page, above and below.
  const auto each_outer = [](Page& page, auto&& take) {
    std::vector<Line*> lines;
    for (auto& block : page.blocks)
      for (auto& line : block.lines) lines.push_back(&line);
    const auto by_top = [](const Line* a, const Line* b) { return a->box.top < b->box.top; };
    const auto some = std::min<std::size_t>(lines.size(), 4);
    std::partial_sort(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(some), lines.end(), by_top);
    for (std::size_t i = 0; i < some; ++i) take(*lines[i]);
    std::partial_sort(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(some), lines.end(), [&](const Line* a, const Line* b) { return by_top(b, a); });
    for (std::size_t i = 0; i < some; ++i) take(*lines[i]);
  };
  const auto key = [](const Line& line) { return WithoutDigits(line.text) + "\n" + std::to_string(static_cast<int>(line.box.top / 5)); };
  std::map<std::string, std::set<const Page*>> seen;
  for (auto& page : pages) each_outer(page, [&](Line& line) { seen[key(line)].insert(&page); });
  std::set<std::string> said;
  for (auto& page : pages) {
    each_outer(page, [&](Line& line) {
      if (line.text.empty()) return;
      const auto name = key(line);
      const auto on = seen[name].size();
      if (on < 3 || on * 10 < pages.size() * 6) return;
      if (IsPageNumber(WithoutDigits(line.text)) || said.contains(name)) line.text.clear();
    });
    for (const auto& [name, on] : seen)
      if (on.contains(&page)) said.insert(name);
    for (auto& block : page.blocks) std::erase_if(block.lines, [](const Line& line) { return line.text.empty(); });
    std::erase_if(page.blocks, [](const Block& block) { return block.lines.empty(); });
  }
}

/// The height of most characters, to half a point.
double BodyHeight(const std::vector<Page>& pages) {
  std::map<int, std::size_t> characters;
  for (const auto& page : pages)
    for (const auto& block : page.blocks)
      for (const auto& line : block.lines) characters[static_cast<int>(std::lround(line.box.height() * 2))] += line.text.size();
  int best = 20;
  std::size_t most = 0;
  for (const auto& [height, count] : characters)
    if (count > most) {
      most = count;
      best = height;
    }
  return best / 2.0;
}

class PageWriter {
 public:
  explicit PageWriter(const std::vector<Page>& pages) : body_(BodyHeight(pages)) {
    for (const auto& page : pages)
      for (const auto& block : page.blocks)
        if (IsLarge(block)) sizes_.insert(Size(block));
  }

  void Write(const Page& page, std::int64_t number) {
    page_ = number;
    const auto tables = FindTables(page);
    std::map<std::pair<std::size_t, std::size_t>, std::size_t> in_table;
    for (std::size_t t = 0; t < tables.size(); ++t)
      for (const auto& row : tables[t].rows)
        for (const auto& cell : row)
          for (const auto& line : cell.lines) in_table[line] = t;
    std::set<std::size_t> written;
    for (std::size_t b = 0; b < page.blocks.size(); ++b) {
      const auto& block = page.blocks[b];
      Block part{block.box, {}};
      for (std::size_t l = 0; l < block.lines.size(); ++l) {
        const auto found = in_table.find({b, l});
        if (found == in_table.end()) {
          part.lines.push_back(block.lines[l]);
          continue;
        }
        if (!written.insert(found->second).second) continue;
        WriteBlock(part, page, b);
        part.lines.clear();
        WriteTable(tables[found->second], page);
      }
      WriteBlock(part, page, b);
    }
  }

  std::string text;
  std::vector<TextBox> layout;

 private:
  static int Size(const Block& block) { return static_cast<int>(std::lround(block.lines[0].box.height() * 2)); }
  bool IsLarge(const Block& block) const {
    if (block.lines.size() > 3 || block.lines[0].box.height() < 1.12 * body_) return false;
    std::size_t bytes = 0;
    for (const auto& line : block.lines) bytes += line.text.size();
    return bytes <= kLongestHeading;
  }
  static bool EndsLikeSentence(std::string_view line) { return line.ends_with('.') || line.ends_with(':') || line.ends_with(';') || line.ends_with(','); }
  /// Set in the body's size: a short line of its own directly above a paragraph that begins where it does.
  static bool StandsAbove(const Block& block, const Page& page, std::size_t index) {
    if (block.lines.size() != 1 || index + 1 >= page.blocks.size()) return false;
    const auto& line = block.lines[0];
    const auto& next = page.blocks[index + 1];
    const auto first = static_cast<unsigned char>(line.text[0]);
    return line.text.size() < 70 && !EndsLikeSentence(line.text) && line.words <= 10 && (first >= 0x80 || std::isupper(first) || std::isdigit(first)) &&
           line.text.find_first_of("|@") == std::string::npos && std::abs(next.box.left - block.box.left) < 4 && next.box.top >= block.box.bottom - 1 &&
           next.box.top - block.box.bottom < 3 * block.box.height() && (next.lines.size() > 1 || next.lines[0].text.size() >= 60);
  }

  void Break(int lines) {
    while (!text.empty() && text.back() == ' ') text.pop_back();
    if (text.empty()) return;
    int present = 0;
    while (present < lines && text.size() > static_cast<std::size_t>(present) && text[text.size() - 1 - static_cast<std::size_t>(present)] == '\n') ++present;
    text.append(static_cast<std::size_t>(lines - present), '\n');
  }
  void Put(std::string_view what, const Box& box) {
    const auto begin = static_cast<std::int64_t>(text.size());
    text += what;
    layout.push_back({begin, static_cast<std::int64_t>(text.size()), page_, box.left, box.top, box.right, box.bottom});
    CheckTextSize(text.size());
  }

  void WriteBlock(const Block& block, const Page& page, std::size_t index) {
    if (block.lines.empty()) return;
    Break(2);
    const bool large = IsLarge(block);
    if ((large && !EndsLikeSentence(block.lines.back().text)) || (block.lines.size() == page.blocks[index].lines.size() && StandsAbove(block, page, index))) {
      // Larger is higher; below the sizes that headings have comes what is set as the text is.
      const auto above = large ? std::distance(sizes_.upper_bound(Size(block)), sizes_.end()) : static_cast<std::ptrdiff_t>(sizes_.size());
      text.append(static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(above + 1, text.empty() ? 1 : 2, 6)), '#').append(" ");
      for (const auto& line : block.lines) {
        if (&line != &block.lines[0]) text += ' ';
        Put(line.text, line.box);
      }
      return Break(2);
    }
    double usual = 0;  // between the lines of this block
    for (std::size_t i = 1; i < block.lines.size(); ++i) {
      const auto gap = block.lines[i].box.top - block.lines[i - 1].box.bottom;
      usual = i == 1 ? gap : std::min(usual, gap);
    }
    for (std::size_t i = 0; i < block.lines.size(); ++i) {
      const auto& line = block.lines[i];
      std::string_view rest = line.text;
      const bool bullet = TakeBullet(rest);
      const bool numbered = !bullet && IsItemNumber(rest.substr(0, rest.find(' ')));
      if (i > 0) {
        const bool apart = line.box.top - block.lines[i - 1].box.bottom > usual + 0.5 * line.box.height();
        if (bullet || numbered) Break(1);
        else if (apart) Break(2);
        else Join(rest);
      }
      if (bullet) text += "- ";
      Put(rest, line.box);
    }
    Break(2);
  }

  /// Between two lines of a paragraph: a blank, or nothing where a word was cut.
  void Join(std::string_view next) {
    const auto size = text.size();
    const bool cut = size >= 3 && text.back() == '-' && std::islower(static_cast<unsigned char>(text[size - 2])) && std::islower(static_cast<unsigned char>(text[size - 3])) && !next.empty() &&
                     std::islower(static_cast<unsigned char>(next[0]));
    if (!cut) {
      text += ' ';
      return;
    }
    text.pop_back();
    layout.back().end = static_cast<std::int64_t>(text.size());
  }

  void WriteTable(const PageTable& table, const Page& page) {
    Break(2);
    for (const auto& row : table.rows) {
      text += '|';
      for (const auto& cell : row) {
        for (const auto& [block, line] : cell.lines) {
          text += ' ';
          Put(Cell(page.blocks[block].lines[line].text), page.blocks[block].lines[line].box);
        }
        text += cell.lines.empty() ? "  |" : " |";
      }
      text += '\n';
    }
    Break(2);
  }

  const double body_;
  std::int64_t page_ = 0;
  std::set<int> sizes_;
};

/// What a program wrote of itself, not of the text.
bool IsUsefulTitle(std::string_view title) {
  const auto lower = Lower(title);
  for (const std::string_view ending : {".doc", ".docx", ".tex", ".dvi", ".indd", ".qxd", ".ppt", ".pptx", ".xls", ".xlsx", ".pdf", ".odt"})
    if (lower.ends_with(ending)) return false;
  return !lower.empty() && !lower.starts_with("microsoft ") && !lower.starts_with("untitled") && !lower.starts_with('(') && lower.find('\\') == std::string::npos && lower.find_first_of("abcdefghijklmnopqrstuvwxyz\x80\xc3\xd0\xe3\xe4\xe5") != std::string::npos;
}

}  // namespace

ParsedDocument WritePages(Pages pages) {
  for (auto& page : pages.pages) JoinBullets(page);
  DropRepeated(pages.pages);
  ParsedDocument out;
  PageWriter writer(pages.pages);
  std::int64_t number = 0;
  for (const auto& page : pages.pages) {
    writer.Write(page, ++number);
    out.pages.push_back(page.size);
  }
  auto& text = writer.text;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  if (!text.empty()) text += '\n';
  out.title = IsUtf8(pages.title) && IsUsefulTitle(pages.title) ? std::string(CutUtf8(pages.title, 200)) : FirstHeading(text);
  out.text = std::move(text);
  out.layout = std::move(writer.layout);
  out.metadata = std::move(pages.metadata);
  return out;
}

}  // namespace tenfold::data::parsers
