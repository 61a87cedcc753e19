#pragma once
/// \file What people type to search words: plain words, "quoted phrases" and wrod~ for words that may be misspelt.
#include <string>
#include <string_view>
#include <vector>

#include "retrieval/tokenize.h"

namespace tenfold::retrieval {

struct WordQuery {
  struct Fuzzy {
    std::string word;  ///< folded, not stemmed
    std::size_t edits = 1;
  };
  std::vector<std::string> words;                 ///< stems, in order, repeated as often as asked; those of phrases and fuzzy words too
  std::vector<std::vector<std::string>> phrases;  ///< stems that must follow each other
  std::vector<Fuzzy> fuzzy;
  Language language = Language::kEnglish;
};

/// Never fails: a quote without its partner is no quote, a tilde elsewhere than at a word's end no tilde. word~ allows as many edits as Elasticsearch's AUTO (none below
/// 3 characters, 1 below 6, else 2), word~1 and word~2 that many. At most 64 words count, 16 phrases, 8 fuzzy words; the rest are passed over. Cost: O(text).
WordQuery ParseWordQuery(std::string_view text, Language language = Language::kEnglish);
/// `text` with nothing in it that ParseWordQuery takes for more than words.
std::string PlainWords(std::string text);

/// Edits that make `a` into `b`: a character put in, left out, changed, or two neighbours swapped; nothing if more than `limit`.
/// Source: the optimal string alignment distance, over code points.
bool WithinEdits(std::u32string_view a, std::u32string_view b, std::size_t limit, std::size_t& edits);
/// Code points of UTF-8; what is none becomes U+FFFD.
std::u32string ToCodePoints(std::string_view text);

}  // namespace tenfold::retrieval
