#pragma once
/// \file Structure-aware chunks of Markdown-like text: headings kept, token bounded, exact spans into the document.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/describe.h"

namespace tenfold::retrieval {

/// text.substr(begin, end - begin) is the chunk; byte offsets, never inside a UTF-8 sequence.
struct ChunkSpan {
  std::size_t begin = 0, end = 0;
  std::string heading;  ///< "Returns > Exceptions"
};

struct ChunkOptions {
  std::uint32_t max_tokens = 180;  ///< below the 256 tokens MiniLM reads, with room for the headings
};
TENFOLD_DESCRIBE(ChunkOptions, (max_tokens, Range{8, 8192}, Doc{"largest passage"}))

using CountTokens = std::function<std::uint32_t(std::string_view)>;

/// About four bytes a token: for when no tokenizer is at hand.
std::uint32_t EstimateTokens(std::string_view text);

/// Ascending, trimmed, not overlapping. Splits at headings, then blocks, lines, sentences, words and, for a word too long, characters.
/// A heading stands in the chunk of what follows it. Cost: O(n) calls of `count` over pieces.
std::vector<ChunkSpan> ChunkText(std::string_view text, const ChunkOptions& options, const CountTokens& count);

/// Sentences and list or table lines of `text`, trimmed. "e.g.", "1.5" and initials do not end one.
std::vector<ChunkSpan> SplitSentences(std::string_view text);

/// A sentence of a passage as a reader needs it: `text` is the sentence itself, or for a table's row its cells under their column names.
struct PassageSentence {
  std::size_t begin = 0, end = 0;  ///< bytes of the passage
  std::string text;
};
/// Headings and rules of tables are left out. `document` and `begin` (of the passage in it) are where a table's header is looked for.
std::vector<PassageSentence> ReadSentences(std::string_view document, std::size_t begin, std::size_t end);

}  // namespace tenfold::retrieval
