// Every parser that runs in this process: the first byte chooses the format. PDF runs in another program and is left out.
#include "base/error.h"
#include "base/json.h"
#include "data/parse.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    tenfold::data::ParsedDocument parsed;
    switch (data[0] % 4) {
      case 0: parsed = tenfold::data::ParseMarkdown(bytes); break;
      case 1: parsed = tenfold::data::ParseHtml(bytes); break;
      case 2: parsed = tenfold::data::ParseCsv(bytes); break;
      default: parsed = tenfold::data::ParseDocx(bytes); break;
    }
    if (!tenfold::IsUtf8(parsed.text) || !tenfold::IsUtf8(parsed.title)) __builtin_trap();
  } catch (const tenfold::Error&) {
  }
  return 0;
}
