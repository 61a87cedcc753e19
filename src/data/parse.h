#pragma once
/// \file Documents to text. Every format becomes Markdown-like UTF-8, so that chunking knows one language.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

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
/// What the bytes are: `declared`, unless they begin as something else (a PDF named .txt, a page named .md, a zip that is a workbook).
/// Errors: kInvalidArgument naming what they are, if they are neither `declared` nor anything with a parser.
std::string_view SniffMediaType(std::string_view bytes, std::string_view declared);

inline constexpr std::uint64_t kMaxDocumentBytes = 32u << 20;
inline constexpr std::uint64_t kMaxTextBytes = 8u << 20;

/// Parses in this process: only for a confined one, or for bytes of our own. PDF runs pdftotext, images and scanned pages pdftoppm and
/// tesseract: separate programs. The format is what SniffMediaType says.
/// Result: `text` is UTF-8; every span of `layout` lies inside it, on the limits of characters, ascending.
/// Errors: kInvalidArgument (broken, encrypted or not that format: says which and what to do), kResourceExhausted (a limit, named),
/// kUnimplemented (no such parser), kUnavailable (the separate program is not installed).
ParsedDocument ParseBytes(const Context& ctx, std::string_view bytes, std::string_view media_type);

/// Confined children that parse one document after the other: a fork is paid once in many documents, a crash costs the document that
/// caused it. A child has no network and no files, its memory is capped, it is killed at the deadline with all it started, and it is
/// replaced after a share of documents (those read by a C library count more: less time for what broke in to stay) or above a memory mark.
/// Threads: any number; more callers than children wait their turn. The destructor expects no call to be under way.
class ParserPool {
 public:
  struct Options {
    std::vector<std::string> command;            ///< what runs ParseMain
    std::size_t children = 0;                    ///< at once; 0: one per core, at most 8
    std::int64_t uses_each = 2048;               ///< a child's share: 1 for plain text formats, 16 for others
    std::uint64_t memory_mark_bytes = 256u << 20;  ///< heap after a document above which a child is replaced
    std::chrono::milliseconds document_timeout = std::chrono::seconds(60);  ///< the context's own deadline may be earlier
  };
  explicit ParserPool(Options options);
  ~ParserPool();
  ParserPool(const ParserPool&) = delete;
  ParserPool& operator=(const ParserPool&) = delete;

  /// Errors: as ParseBytes; kDeadlineExceeded if it spins; kDataLoss if the child crashes or answers nonsense.
  /// Cost: about 40 us for a small text beside the parsing itself (parse_bench).
  ParsedDocument Parse(const Context& ctx, std::string_view bytes, std::string_view media_type);
  /// Children started so far.
  std::int64_t started() const { return started_.load(); }

 private:
  struct Child;
  std::unique_ptr<Child> Borrow(const Context& ctx);
  void Return(std::unique_ptr<Child> child);

  const Options options_;
  std::mutex mutex_;
  std::condition_variable free_;
  std::vector<std::unique_ptr<Child>> idle_;  // guarded by mutex_
  std::size_t busy_ = 0;                      // guarded by mutex_
  std::atomic<std::int64_t> started_{0};
};

/// What a child runs: confines itself, then answers requests on standard input until that ends. Returns the exit status.
/// Protocol: see parse_pool.cc; it is private to one build.
int ParseMain(bool allow_without_landlock);

/// Rows of cells, trimmed; empty rows left out. Source: RFC 4180. Errors: kInvalidArgument.
std::vector<std::vector<std::string>> ReadCsv(std::string_view bytes, char separator = ',');

/// What ParseBytes makes of Markdown.
ParsedDocument ParseMarkdown(std::string_view bytes);

}  // namespace tenfold::data
