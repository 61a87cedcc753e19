#pragma once
/// \file Is what was written supported by what was read? A score per factual sentence, and the source that supports it.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/describe.h"

namespace tenfold::retrieval {

struct SentenceSupport {
  std::string text;
  bool supported = false;
  double score = 0;          ///< share of its words that the best source's best stretch holds, 0..1
  std::int64_t source = -1;  ///< index of the source that supports it best; -1 if none shares a word
  std::int64_t begin = 0;    ///< bytes of that source: from the first to the last sentence of its best stretch that shares a word with it
  std::int64_t end = 0;
};
TENFOLD_DESCRIBE(SentenceSupport, (text), (supported), (score), (source), (begin), (end))

struct Grounding {
  double score = 1;  ///< share of factual sentences that are supported; 1 if there is none
  std::vector<SentenceSupport> sentences;
};
TENFOLD_DESCRIBE(Grounding, (score), (sentences))

/// Numbers, dates, amounts and identifiers must occur in the source exactly; a negation must not appear from nowhere. Questions, offers and small talk
/// are not factual and not listed. Citation markers such as [1] are ignored. Lexical: it proves agreement of words, not of meaning.
/// Cost: linear in the texts. Threads: safe.
Grounding ScoreGrounding(std::string_view answer, std::span<const std::string> sources);

}  // namespace tenfold::retrieval
