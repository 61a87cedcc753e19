#pragma once
/// \file Documents to text. Every format becomes Markdown-like UTF-8, so that chunking knows one language.
#include <filesystem>
#include <string>
#include <string_view>

#include "base/context.h"
#include "base/describe.h"

namespace tenfold::data {

/// Where a stretch of the text stands on a page: a line or a table cell.
struct TextBox {
  std::int64_t begin = 0;  ///< bytes of the text
  std::int64_t end = 0;
  std::int64_t page = 0;   ///< from 1; a slide or a sheet is a page
  double left = 0, top = 0, right = 0, bottom = 0;  ///< points from the page's upper left corner; all 0 if only the page is known
};
TENFOLD_DESCRIBE(TextBox, (begin), (end), (page), (left), (top), (right), (bottom))

struct PageSize {
  double width = 0, height = 0;  ///< points
};
TENFOLD_DESCRIBE(PageSize, (width), (height))

struct ParsedDocument {
  std::string title;
  std::string text;  ///< UTF-8; headings as '#', tables as '|' rows, lists as '-', code fenced
  std::string media_type;
  JsonObject metadata = {};          ///< what the file says of itself (author, date, from, language), flat
  std::vector<TextBox> layout = {};  ///< ascending by begin; empty for a format without pages
  std::vector<PageSize> pages = {};
};
TENFOLD_DESCRIBE(ParsedDocument, (title), (text), (media_type), (metadata), (layout), (pages))

/// By file extension; empty if this build has no parser for it.
std::string_view MediaTypeOf(const std::filesystem::path& path);

inline constexpr std::uint64_t kMaxDocumentBytes = 32u << 20;
inline constexpr std::uint64_t kMaxTextBytes = 8u << 20;

/// Parses in this process: only for a confined one, or for bytes of our own. PDF runs pdftotext, a separate program.
/// Errors: kInvalidArgument (not that format), kResourceExhausted (a limit), kUnimplemented (no such parser).
ParsedDocument ParseBytes(const Context& ctx, std::string_view bytes, std::string_view media_type);

/// Parses in a confined child, `command` + media type, which reads the bytes on standard input and writes a ParsedDocument as JSON.
/// Errors as ParseBytes; kDeadlineExceeded if it spins; kDataLoss if it crashes.
ParsedDocument ParseInChild(const Context& ctx, const std::vector<std::string>& command, std::string_view bytes, std::string_view media_type);
/// What the child runs: confines itself, reads standard input, parses, writes. Returns the exit status.
int ParseMain(std::string_view media_type, bool allow_without_landlock);

/// Rows of cells, trimmed; empty rows left out. Source: RFC 4180. Errors: kInvalidArgument.
std::vector<std::vector<std::string>> ReadCsv(std::string_view bytes);

/// For tests and fuzzers.
ParsedDocument ParseHtml(std::string_view bytes);
ParsedDocument ParseCsv(std::string_view bytes);
ParsedDocument ParseDocx(std::string_view bytes);
ParsedDocument ParseMarkdown(std::string_view bytes);

}  // namespace tenfold::data
