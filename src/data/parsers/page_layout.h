#pragma once
/// \file Pages of words with boxes, as pdftotext and tesseract give them, to text that knows where it stands.
#include <string>
#include <string_view>
#include <vector>

#include "data/parse.h"

namespace tenfold::data::parsers {

struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;  ///< points from the page's upper left corner
  double width() const { return right - left; }
  double height() const { return bottom - top; }
  double middle() const { return (top + bottom) / 2; }
  void Include(const Box& other);
};

/// Words beside each other; a cell of a table is a line of its own.
struct Line {
  Box box;
  std::string text;
  std::size_t words = 0;
};
struct Block {
  Box box;
  std::vector<Line> lines;
};
/// Blocks in the order they are read.
struct Page {
  PageSize size;
  std::vector<Block> blocks;
  bool has_text() const { return !blocks.empty(); }
};
struct Pages {
  std::vector<Page> pages;
  JsonObject metadata = {};
  std::string title = {};  ///< what the file says it is
};

/// Output of `pdftotext -bbox-layout`. Errors: kInvalidArgument if it is cut off, kResourceExhausted past kMaxTextBytes of text.
Pages ReadBoxLayout(std::string_view output);
/// Output of `tesseract … tsv`: pages in pixels, each made `scale` times as large (points a pixel). Words that tesseract is not sure of are left out.
std::vector<Page> ReadTesseractTsv(std::string_view output, double scale);

/// A table on a page: which lines are its cells.
struct PageTable {
  struct Cell {
    std::vector<std::pair<std::size_t, std::size_t>> lines;  ///< block, line; from top to bottom
  };
  std::vector<std::vector<Cell>> rows;  ///< all of the same length
};
/// Rows of lines that stand beside each other in columns. Columns of running text are none.
/// Method: lines of prose (blocks of long lines that fill their block) are set aside; the others are grouped into rows by their height on the page; a
/// stretch of neighbouring rows is a table if the rows of its most frequent width give that many columns without overlap. A line below a
/// row and inside one column goes on with that cell.
std::vector<PageTable> FindTables(const Page& page);

/// Text, layout and page sizes. Paragraphs are joined, hyphens at line ends taken out, larger lines become headings, lines that repeat at the same
/// place of most pages are said once, page numbers not at all.
ParsedDocument WritePages(Pages pages);

}  // namespace tenfold::data::parsers
