#pragma once
/// \file Documents to passages: by structure, sentences, table rows or syntax, token bounded, with exact spans into the document. The ways lie in chunkers/.
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
  std::string heading;                           ///< "Returns > Exceptions"; of code the names around it, "Basket > total"
  std::string context = {};                      ///< read by the embedder and the word index, not shown: a table's header, what ChunkOptions::prefix says
  std::size_t parent_begin = 0, parent_end = 0;  ///< the larger passage that is given for it; 0, 0: itself
};

enum class ChunkStrategy : std::uint8_t {
  kAuto,       ///< by the document: program text by kCode, CSV and sheets by kTable, else kStructure
  kStructure,  ///< at headings, then blocks, lines, sentences, words
  kSentences,  ///< windows of whole sentences below a heading, each beginning with the last ones of the one before
  kTable,      ///< rows of tables are not cut, and each group of them has the header with it; else as kStructure
  kCode,       ///< functions and classes whole if they fit, else their parts below their names
  kParents,    ///< small passages as kStructure, for each of which its surroundings of `parent_tokens` are given
};
BOOST_DESCRIBE_ENUM(ChunkStrategy, kAuto, kStructure, kSentences, kTable, kCode, kParents)

struct ChunkOptions {
  std::uint32_t max_tokens = 180;  ///< below the 256 tokens MiniLM reads, with room for the headings
  ChunkStrategy strategy = ChunkStrategy::kAuto;
  std::uint32_t overlap_tokens = 40;  ///< of kSentences
  std::uint32_t parent_tokens = 0;    ///< if given, what stands below one heading is given in passages of this size; of kParents 600
  std::string prefix = {};            ///< a line of context for every chunk: {title}, {heading} and {first}, the document's first sentence, are filled in
};
TENFOLD_DESCRIBE(ChunkOptions, (max_tokens, Range{8, 8192}, Doc{"largest passage"}), (strategy), (overlap_tokens, Range{0, 4096}), (parent_tokens, Range{0, 16384}),
                 (prefix, Length{0, 400}))

/// "code", "sentences,max_tokens=200,overlap_tokens=40", "auto,prefix={first}" (a prefix comes last: it may hold commas). Errors: kInvalidArgument naming what
/// there is.
ChunkOptions ParseChunker(std::string_view text, const ChunkOptions& defaults);

using CountTokens = std::function<std::uint32_t(std::string_view)>;

/// About four bytes a token: for when no tokenizer is at hand.
std::uint32_t EstimateTokens(std::string_view text);

struct ToChunk {
  std::string_view text;
  std::string title = {};
  std::string media_type = {};
  std::string path = {};           ///< its ending tells the language of a program
  std::uint32_t max_embedded = 0;  ///< most tokens the embedder reads of title, heading, context and text together; 0: any
};

/// Ascending by begin, trimmed, with an end beyond the one before's; only kSentences' overlap. No word is lost. `count` of a chunk is at most max_tokens, and
/// of what is embedded of it (TextToEmbed) at most max_embedded: context and headings give way first, then the chunk is made smaller. Cost: O(n) calls of
/// `count` over pieces. Threads: safe.
std::vector<ChunkSpan> ChunkDocument(const ToChunk& document, const ChunkOptions& options, const CountTokens& count);

/// The language of a program's file by its ending, such as "python"; empty if it is none that kCode knows.
std::string_view LanguageOf(std::string_view path);

/// kStructure alone. Splits at headings, then blocks, lines, sentences, words and, for a word too long, characters.
/// A heading stands in the chunk of what follows it.
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
