#include <algorithm>

#include "retrieval/chunkers/chunkers.h"

namespace tenfold::retrieval::chunkers {

std::vector<ChunkSpan> CutBySentences(std::string_view text, std::uint32_t max, std::uint32_t overlap, const CountTokens& count) {
  std::vector<ChunkSpan> out;
  std::vector<Piece> sentences;
  std::vector<std::uint32_t> tokens;
  for (const auto& section : SplitSections(text)) {
    sentences.clear();
    tokens.clear();
    for (const auto& span : SplitSentences(text.substr(section.begin, section.end - section.begin)))
      CutToFit(text, section.begin + span.begin, section.begin + span.end, max, count, sentences);
    for (const auto& one : sentences) tokens.push_back(count(text.substr(one.begin, one.end - one.begin)));
    for (std::size_t from = 0, next = 0; next < sentences.size();) {
      // Sums first, they are cheap; the window itself is counted once it is chosen.
      std::uint32_t sum = 0;
      for (std::size_t i = from; i < next; ++i) sum += tokens[i];
      auto until = next;
      while (until < sentences.size() && (until == from || sum + tokens[until] <= max)) sum += tokens[until++];
      // The overlap gives way before the window stops growing.
      if (until == next) {
        ++from;
        continue;
      }
      while (until > next + 1 && count(text.substr(sentences[from].begin, sentences[until - 1].end - sentences[from].begin)) > max) --until;
      while (from < next && count(text.substr(sentences[from].begin, sentences[until - 1].end - sentences[from].begin)) > max) ++from;
      out.push_back({sentences[from].begin, sentences[until - 1].end, section.heading});
      next = until;
      std::uint32_t back = 0;
      auto begin = until;
      while (begin > from + 1 && back + tokens[begin - 1] <= overlap) back += tokens[--begin];
      from = begin;
    }
  }
  return out;
}

void AddParents(std::string_view text, std::uint32_t max, const CountTokens& count, std::vector<ChunkSpan>& chunks) {
  for (std::size_t at = 0; at < chunks.size();) {
    auto until = at + 1;
    while (until < chunks.size() && chunks[until].heading == chunks[at].heading &&
           count(text.substr(chunks[at].begin, chunks[until].end - chunks[at].begin)) <= max)
      ++until;
    if (until > at + 1)
      for (auto i = at; i < until; ++i) {
        chunks[i].parent_begin = chunks[at].begin;
        chunks[i].parent_end = chunks[until - 1].end;
      }
    at = until;
  }
}

}  // namespace tenfold::retrieval::chunkers
