// Any bytes are a query: parsed within its limits, searched, and as plain words without phrases or fuzzy words.
#include <cstdlib>

#include "retrieval/bm25_index.h"
#include "retrieval/word_query.h"

using namespace tenfold::retrieval;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto language = static_cast<Language>(data[0] % (static_cast<int>(Language::kNone) + 1));
  const auto query = ParseWordQuery(text, language);
  if (query.words.size() > 64 || query.phrases.size() > 16 || query.fuzzy.size() > 8) std::abort();
  const auto plain = ParseWordQuery(PlainWords(text), language);
  if (!plain.phrases.empty() || !plain.fuzzy.empty()) std::abort();
  Bm25Index index(language);
  index.Add(0, text);
  index.Add(1, "tent pole LF-20417 \xe6\x9d\xb1\xe4\xba\xac");
  Bitmap all;
  all.Set(0);
  all.Set(1);
  for (const auto& hit : index.Search(query, all, 5))
    if (!(hit.score > 0) || hit.row > 1) std::abort();
  index.Remove(0);
  index.Remove(1);
  if (!index.Search(query, all, 5).empty()) std::abort();
  return 0;
}
