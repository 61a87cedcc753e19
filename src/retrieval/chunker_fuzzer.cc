// Chunks and sentences of any text, cut in every way: spans lie inside it, ascend, lose no word and never cut a UTF-8 character. The first two bytes choose the
// way.
#include "base/json.h"
#include "retrieval/chunker.h"
#include "retrieval/grounding.h"
#include "retrieval/tokenize.h"

using namespace tenfold;
using namespace tenfold::retrieval;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size < 2 || size > 16384) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 2, size - 2);
  if (!IsUtf8(text)) return 0;
  static constexpr const char* kPaths[] = {"a.md", "a.py", "a.cc", "a.c", "a.ts", "a.tsx", "a.js", "a.rs", "a.go", "a.java", "a.csv"};
  ChunkOptions options;
  options.max_tokens = 40;
  options.strategy = static_cast<ChunkStrategy>(data[0] % 6);
  options.overlap_tokens = data[1] % 64;
  options.parent_tokens = data[1] & 64 ? 120 : 0;
  options.prefix = data[1] & 128 ? "{title} {heading} {first}" : "";
  const ToChunk document{text, "Title", "text/markdown", kPaths[data[0] / 6 % std::size(kPaths)], data[1] & 32 ? 64u : 0u};
  std::size_t last_begin = 0, covered = 0;
  bool first = true;
  for (const auto& chunk : ChunkDocument(document, options, EstimateTokens)) {
    if (!(first || chunk.begin > last_begin) || chunk.end <= covered || chunk.end > text.size() ||
        !IsUtf8(std::string_view(text).substr(chunk.begin, chunk.end - chunk.begin)) || !IsUtf8(chunk.heading) || !IsUtf8(chunk.context))
      __builtin_trap();
    for (auto i = covered; i < chunk.begin; ++i)
      if (text.find_first_of(" \n\t\r", i) != i) __builtin_trap();
    if (chunk.parent_end && (chunk.parent_begin > chunk.begin || chunk.parent_end < chunk.end || chunk.parent_end > text.size())) __builtin_trap();
    for (const auto& sentence : ReadSentences(text, chunk.begin, chunk.end))
      if (sentence.end > chunk.end - chunk.begin) __builtin_trap();
    last_begin = chunk.begin;
    covered = chunk.end;
    first = false;
  }
  if (text.find_first_not_of(" \n\t\r", covered) != std::string::npos) __builtin_trap();
  Tokenize(text);
  ScoreGrounding(std::string_view(text).substr(0, 500), std::vector<std::string>{text});
  return 0;
}
