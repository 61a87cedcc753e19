// Every parser that runs in this process: the first byte chooses the format. PDF runs in another program and is left out.
#include "base/error.h"
#include "base/json.h"
#include "data/parsers/parsers.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    tenfold::data::parsers::ParsedDocument parsed;
    switch (data[0] % 7) {
      case 0: parsed = tenfold::data::parsers::ParseMarkdown(bytes); break;
      case 1: parsed = tenfold::data::parsers::ParseHtml(bytes); break;
      case 2: parsed = tenfold::data::parsers::ParseCsv(bytes); break;
      case 3: parsed = tenfold::data::parsers::ParseDocx(bytes); break;
      case 4: parsed = tenfold::data::parsers::ParseJsonDocument(bytes); break;
      case 5: parsed = tenfold::data::parsers::ParseJsonLines(bytes); break;
      default: parsed = tenfold::data::parsers::ParseTsv(bytes); break;
    }
    if (!tenfold::IsUtf8(parsed.text) || !tenfold::IsUtf8(parsed.title)) __builtin_trap();
  } catch (const tenfold::Error&) {
  }
  return 0;
}
