// What Notion's API may say, as Markdown and metadata: any JSON at all.
#include "base/error.h"
#include "data/sources/notion_markdown.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  try {
    const auto json = tenfold::ParseJson({reinterpret_cast<const char*>(data), size});
    if (!tenfold::IsUtf8(tenfold::data::NotionBlocksToMarkdown(json))) __builtin_trap();
    tenfold::data::NotionTitle(json);
    for (const auto& [name, value] : tenfold::data::NotionProperties(json))
      if (value.is_object() || value.is_null()) __builtin_trap();
  } catch (const tenfold::Error&) {
  }
  return 0;
}
