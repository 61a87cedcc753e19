// Every parser that runs in this process, and the readers of what other programs write: the first byte chooses. What runs in another program is left out,
// so attachments of a message are none of those.
#include <filesystem>

#include "base/error.h"
#include "base/json.h"
#include "data/parsers/page_layout.h"
#include "data/parsers/parsers.h"

namespace {

using namespace tenfold::data;

ParsedDocument Parse(unsigned char format, std::string_view bytes) {
  switch (format % 14) {
    case 0: return parsers::ParseMarkdown(bytes);
    case 1: return parsers::ParseHtml(bytes);
    case 2: return parsers::ParseCsv(bytes);
    case 3: return parsers::ParseDocx(bytes);
    case 4: return parsers::ParseJsonDocument(bytes);
    case 5: return parsers::ParseJsonLines(bytes);
    case 6: return parsers::ParseTsv(bytes);
    case 7: return parsers::ParsePptx(bytes);
    case 8: return parsers::ParseXlsx(bytes);
    case 9: return parsers::ParseEpub(bytes);
    case 10: {
      // Attachments that other programs read are left out.
      if (bytes.find("%PDF-") != std::string_view::npos || bytes.find("image/") != std::string_view::npos) return {};
      return parsers::ParseMail(tenfold::Context::System("fuzz"), bytes);
    }
    case 11: return parsers::WritePages(parsers::ReadBoxLayout(bytes));
    case 12: {
      parsers::Pages pages;
      pages.pages = parsers::ReadTesseractTsv(bytes, 0.36);
      return parsers::WritePages(std::move(pages));
    }
    default: return {std::string(SniffMediaType(bytes, "text/plain")), "", ""};
  }
}

bool OnALimit(const std::string& text, std::int64_t at) {
  return at >= 0 && at <= static_cast<std::int64_t>(text.size()) && (at == static_cast<std::int64_t>(text.size()) || (static_cast<unsigned char>(text[static_cast<std::size_t>(at)]) & 0xc0) != 0x80);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size == 0) return 0;
  try {
    const auto parsed = Parse(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
    if (!tenfold::IsUtf8(parsed.text) || !tenfold::IsUtf8(parsed.title) || !tenfold::IsUtf8(tenfold::ToText(parsed.metadata))) __builtin_trap();
    std::int64_t before = 0;
    for (const auto& box : parsed.layout) {
      if (box.begin < before || box.end < box.begin || !OnALimit(parsed.text, box.begin) || !OnALimit(parsed.text, box.end) || box.page < 1 || box.page > static_cast<std::int64_t>(parsed.pages.size())) __builtin_trap();
      before = box.begin;
    }
  } catch (const tenfold::Error&) {
  }
  return 0;
}
