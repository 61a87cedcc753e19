#include <cmath>

#include "data/parsers/page_layout.h"
#include "data/parsers/text.h"

namespace tenfold::data::parsers {
namespace {

// A page of more lines than this is a drawing or an attack; the search for rows is quadratic in the worst case.
constexpr std::size_t kMaxLines = 4000;
constexpr std::size_t kMaxTableColumns = 64;

struct Segment {
  std::size_t block, line;
  Box box;
  std::size_t words;
  bool digits;
};
using Row = std::vector<Segment>;

/// Running text: long lines that fill their block.
bool IsProse(const Block& block) {
  if (block.lines.size() < 2) return false;
  double words = 0, filled = 0;
  for (std::size_t i = 0; i < block.lines.size(); ++i) {
    words += static_cast<double>(block.lines[i].words);
    if (i + 1 < block.lines.size()) filled += block.lines[i].box.width() / std::max(block.box.width(), 1.0);
  }
  return words / static_cast<double>(block.lines.size()) >= 4 && filled / static_cast<double>(block.lines.size() - 1) >= 0.7;
}

std::vector<Row> RowsOf(const Page& page) {
  std::vector<Segment> all;
  for (std::size_t b = 0; b < page.blocks.size(); ++b) {
    if (IsProse(page.blocks[b])) continue;
    for (std::size_t l = 0; l < page.blocks[b].lines.size(); ++l) {
      const auto& line = page.blocks[b].lines[l];
      all.push_back({b, l, line.box, line.words, line.text.find_first_of("0123456789") != std::string::npos});
    }
  }
  if (all.size() > kMaxLines) return {};
  std::sort(all.begin(), all.end(), [](const auto& x, const auto& y) { return std::tuple(x.box.middle(), x.block, x.line) < std::tuple(y.box.middle(), y.block, y.line); });
  std::vector<Row> rows;
  for (const auto& one : all) {
    const auto beside = [&](const Segment& other) {
      const auto overlap = std::min(one.box.bottom, other.box.bottom) - std::max(one.box.top, other.box.top);
      return overlap > 0.5 * std::min(one.box.height(), other.box.height()) && (one.box.left >= other.box.right || one.box.right <= other.box.left);
    };
    if (!rows.empty() && std::all_of(rows.back().begin(), rows.back().end(), beside)) rows.back().push_back(one);
    else rows.push_back({one});
  }
  for (auto& row : rows) std::sort(row.begin(), row.end(), [](const auto& x, const auto& y) { return x.box.left < y.box.left; });
  return rows;
}

double TopOf(const Row& row) {
  double top = row[0].box.top;
  for (const auto& one : row) top = std::min(top, one.box.top);
  return top;
}
double BottomOf(const Row& row) {
  double bottom = row[0].box.bottom;
  for (const auto& one : row) bottom = std::max(bottom, one.box.bottom);
  return bottom;
}

struct Column {
  double left, right;
  double words = 0, digits = 0, count = 0;
};

/// Of the rows [begin, end): nothing if they are no table.
std::vector<Column> ColumnsOf(const std::vector<Row>& rows, std::size_t begin, std::size_t end) {
  std::map<std::size_t, std::size_t> widths;
  std::size_t several = 0;
  for (std::size_t i = begin; i < end; ++i)
    if (rows[i].size() > 1) {
      ++widths[rows[i].size()];
      ++several;
    }
  std::size_t width = 0, most = 0;
  for (const auto& [size, count] : widths)
    if (count >= most) {
      most = count;
      width = size;
    }
  if (width < 2 || width > kMaxTableColumns || several < (width == 2 ? 3u : 2u)) return {};
  std::vector<Column> columns;
  for (std::size_t i = begin; i < end; ++i) {
    if (rows[i].size() != width) continue;
    for (std::size_t c = 0; c < width; ++c) {
      const auto& one = rows[i][c];
      if (columns.size() <= c) columns.push_back({one.box.left, one.box.right});
      auto& column = columns[c];
      column.left = std::min(column.left, one.box.left);
      column.right = std::max(column.right, one.box.right);
      column.words += static_cast<double>(one.words);
      column.digits += one.digits ? 1 : 0;
      ++column.count;
    }
  }
  for (std::size_t c = 0; c + 1 < columns.size(); ++c)
    if (columns[c].right > columns[c + 1].left) return {};
  if (width == 2) {
    // Two texts side by side: long lines on both sides, or long ones on the left and anything but figures on the right.
    const bool long_left = columns[0].words / columns[0].count >= 4, long_right = columns[1].words / columns[1].count >= 4;
    if (long_left && (long_right || columns[1].digits < 0.6 * columns[1].count)) return {};
  }
  return columns;
}

std::size_t ColumnFor(const std::vector<Column>& columns, const Box& box) {
  std::size_t best = 0;
  double least = 1e18;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const auto overlap = std::min(box.right, columns[c].right) - std::max(box.left, columns[c].left);
    if (overlap > 0) return c;
    if (-overlap < least) {
      least = -overlap;
      best = c;
    }
  }
  return best;
}

/// One that is alone on its height: inside a column, so that it may go on with a cell above.
bool StandsInside(const std::vector<Column>& columns, const Box& box) {
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const auto limit = c + 1 < columns.size() ? columns[c + 1].left : columns[c].right + 1;
    if (box.left >= columns[c].left - 2 && box.right <= limit) return true;
  }
  return false;
}

/// Whether the row below a tall gap is the table's next: each of its lines stands in a column of its own, and a cell of prose fills the gap.
bool GoesOnBelow(const Page& page, const std::vector<Column>& columns, const Row& above, const Row& below, double height) {
  if (below.size() < 2 || below.size() > columns.size() || TopOf(below) - BottomOf(above) > 12 * height) return false;
  std::set<std::size_t> taken;
  for (const auto& one : below)
    if (!StandsInside(columns, one.box) || !taken.insert(ColumnFor(columns, one.box)).second) return false;
  return std::any_of(page.blocks.begin(), page.blocks.end(), [&](const Block& block) {
    return IsProse(block) && block.box.left >= columns[0].right && block.box.top >= BottomOf(above) - 0.5 * height && block.box.bottom >= TopOf(below) && block.box.bottom <= BottomOf(below) + 0.5 * height;
  });
}

}  // namespace

std::vector<PageTable> FindTables(const Page& page) {
  std::vector<PageTable> out;
  const auto rows = RowsOf(page);
  for (std::size_t begin = 0; begin < rows.size();) {
    if (rows[begin].size() < 2) {
      ++begin;
      continue;
    }
    const auto height = std::max(rows[begin][0].box.height(), 4.0);
    auto end = begin + 1;
    // A stretch of rows without a wide gap; a row of one line only directly below another.
    while (end < rows.size()) {
      const auto gap = TopOf(rows[end]) - BottomOf(rows[end - 1]);
      if (gap > (rows[end].size() > 1 ? 1.8 : 0.6) * height) break;
      ++end;
    }
    std::vector<Column> columns;
    for (auto last = end; last > begin + 1; --last) {
      if (rows[last - 1].size() < 2) {
        end = last - 1;
        continue;
      }
      break;
    }
    columns = ColumnsOf(rows, begin, end);
    // A single line that is in no column ends the table; what is above it may still be one.
    for (auto i = begin; i < end && !columns.empty(); ++i)
      if (rows[i].size() == 1 && !StandsInside(columns, rows[i][0].box)) {
        end = i;
        columns = ColumnsOf(rows, begin, end);
        i = begin;
      }
    if (columns.empty()) {
      ++begin;
      continue;
    }
    while (end < rows.size() && GoesOnBelow(page, columns, rows[end - 1], rows[end], height)) ++end;
    PageTable table;
    for (auto i = begin; i < end; ++i) {
      const bool goes_on = rows[i].size() == 1 && !table.rows.empty();
      if (!goes_on) table.rows.emplace_back(columns.size());
      for (const auto& one : rows[i]) table.rows.back()[ColumnFor(columns, one.box)].lines.emplace_back(one.block, one.line);
    }
    // A cell of several long lines was set aside as prose: it belongs to the row beside which it begins or ends, if it touches no other.
    if (table.rows.size() == end - begin)
      for (std::size_t b = 0; b < page.blocks.size(); ++b) {
        const auto& block = page.blocks[b];
        if (!IsProse(block) || block.box.left < columns[0].right) continue;
        for (auto i = begin; i < end; ++i) {
          const auto next = i + 1 < end ? TopOf(rows[i + 1]) : block.box.bottom + 1;
          const bool from_top = std::abs(block.box.top - TopOf(rows[i])) <= 0.5 * height && block.box.bottom <= next;
          const bool to_bottom = i > begin && block.box.top >= BottomOf(rows[i - 1]) - 0.5 * height && std::abs(block.box.bottom - BottomOf(rows[i])) <= 0.5 * height;
          if (!from_top && !to_bottom) continue;
          std::size_t c = 0;
          while (c < columns.size() && columns[c].left < block.box.left + 2) ++c;
          const bool free = c == columns.size() || columns[c].left >= block.box.right;
          if (!free || (i + 1 == end && block.lines.size() > 6)) break;
          auto& cell = table.rows[i - begin][c > 0 ? c - 1 : 0];
          for (std::size_t l = 0; l < block.lines.size(); ++l) cell.lines.emplace_back(b, l);
          break;
        }
      }
    out.push_back(std::move(table));
    begin = end;
  }
  return out;
}

}  // namespace tenfold::data::parsers
