// Chunks and sentences of any text: spans lie inside it, ascend, and never cut a UTF-8 character.
#include "base/json.h"
#include "retrieval/chunker.h"
#include "retrieval/grounding.h"
#include "retrieval/tokenize.h"

using namespace tenfold;
using namespace tenfold::retrieval;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (size > 16384 || !IsUtf8(text)) return 0;
  std::size_t last = 0;
  for (const auto& chunk : ChunkText(text, {40}, EstimateTokens)) {
    if (chunk.begin < last || chunk.end <= chunk.begin || chunk.end > text.size() || !IsUtf8(std::string_view(text).substr(chunk.begin, chunk.end - chunk.begin))) __builtin_trap();
    for (const auto& sentence : ReadSentences(text, chunk.begin, chunk.end))
      if (sentence.end > chunk.end - chunk.begin) __builtin_trap();
    last = chunk.end;
  }
  Tokenize(text);
  ScoreGrounding(std::string_view(text).substr(0, 500), std::vector<std::string>{text});
  return 0;
}
