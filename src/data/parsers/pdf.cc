#include "base/process.h"
#include "data/parsers/ocr.h"
#include "data/parsers/page_layout.h"
#include "data/parsers/parsers.h"
#include "data/parsers/text.h"

namespace tenfold::data::parsers {
namespace {

// A word takes about 110 bytes of pdftotext's output.
constexpr std::uint64_t kMaxLayoutBytes = 192u << 20;

/// What pdftotext says on standard error, in words that say what to do. Source: pdftotext(1), "Exit codes".
[[noreturn]] void ThrowFor(const ProcessResult& result) {
  if (result.errors.find("Incorrect password") != std::string::npos || result.errors.find("encrypt") != std::string::npos)
    throw Error(Code::kInvalidArgument, "the PDF is encrypted; save it without a password");
  if (result.exit_status == 3) throw Error(Code::kInvalidArgument, "the PDF forbids copying its text; save it without that restriction");
  if (result.exit_status < 0) throw Error(Code::kResourceExhausted, "the PDF cannot be read: pdftotext ended by signal " + std::to_string(-result.exit_status) + ", as when memory or time ran out");
  throw Error(Code::kInvalidArgument, "the PDF is damaged and cannot be read (pdftotext: " + std::to_string(result.exit_status) + "); open it and save it anew");
}

}  // namespace

ParsedDocument ParsePdf(const Context& ctx, std::string_view bytes) {
  if (bytes.substr(0, 1024).find("%PDF-") == std::string_view::npos) throw Error(Code::kInvalidArgument, "the file does not begin as a PDF");
  ProcessSpec spec{{"/usr/bin/pdftotext", "-enc", "UTF-8", "-bbox-layout", "-", "-"}};
  spec.own_group = false;
  spec.input = bytes;
  spec.output_limit_bytes = kMaxLayoutBytes;
  ProcessResult result;
  try {
    result = RunProcess(ctx, spec);
  } catch (const Error& e) {
    if (e.code() == Code::kNotFound) throw Error(Code::kUnavailable, "PDFs are read by pdftotext, which is not installed: apt-get install poppler-utils");
    if (e.code() == Code::kResourceExhausted) throw Error(Code::kResourceExhausted, "the PDF has more text than the limit of " + std::to_string(kMaxTextBytes) + " bytes; split it");
    throw;
  }
  if (result.exit_status != 0) ThrowFor(result);
  auto pages = ReadBoxLayout(result.output);
  result = {};
  if (pages.pages.empty()) throw Error(Code::kInvalidArgument, "the PDF has no pages");
  const auto unread = ReadScannedPages(ctx, bytes, pages.pages);
  auto document = WritePages(std::move(pages));
  document.media_type = kPdf;
  if (Trim(document.text).empty()) throw Error(Code::kInvalidArgument, "the PDF has no text, and none could be read from its pictures");
  if (unread > 0) document.metadata["unread_pages"] = unread;
  return document;
}

}  // namespace tenfold::data::parsers
