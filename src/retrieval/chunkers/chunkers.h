#pragma once
/// \file What the ways of cutting share, and the ways. Spans are bytes of `text`; every function covers its range: between what it gives is only white space.
#include <string>
#include <string_view>
#include <vector>

#include "retrieval/chunker.h"

namespace tenfold::retrieval::chunkers {

struct Piece {
  std::size_t begin, end;
};

bool IsSpace(char c);
/// Without white space at either end.
void Trim(std::string_view text, std::size_t& begin, std::size_t& end);
/// The next byte from `at` on that begins a character.
std::size_t AlignForward(std::string_view text, std::size_t at);

/// Cuts [begin, end) into pieces at most `max` tokens long, at the coarsest border that will do: blocks, lines, sentences, words, characters.
void CutToFit(std::string_view text, std::size_t begin, std::size_t end, std::uint32_t max, const CountTokens& count, std::vector<Piece>& out);

/// What stands below one path of headings, its last heading included.
struct Section {
  std::size_t begin, end;
  std::string heading;
  bool has_body = false;
};
std::vector<Section> SplitSections(std::string_view text);

/// Windows of whole sentences. Source: sentence windows as in LlamaIndex' and Haystack's splitters, by tokens instead of counts.
std::vector<ChunkSpan> CutBySentences(std::string_view text, std::uint32_t max, std::uint32_t overlap, const CountTokens& count);
/// Rows of a table stay whole unless one alone is too long; from a table's second chunk on, its header is the context.
std::vector<ChunkSpan> CutByTables(std::string_view text, std::uint32_t max, const CountTokens& count);
/// By the syntax of the language that `path` ends in; by lines if it is none of ours, or this build has no grammars.
/// Errors: none; what cannot be parsed in two seconds is cut by lines.
std::vector<ChunkSpan> CutByCode(std::string_view text, std::string_view path, std::uint32_t max, const CountTokens& count);
/// Gives each chunk the stretch of up to `max` tokens of its section that it lies in.
void AddParents(std::string_view text, std::uint32_t max, const CountTokens& count, std::vector<ChunkSpan>& chunks);

}  // namespace tenfold::retrieval::chunkers
