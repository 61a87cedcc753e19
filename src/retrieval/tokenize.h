#pragma once
/// \file Words for BM25: lower case, accents folded, split at what is no letter or digit, stems of a language, pairs of characters where words have no spaces between.
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/describe.h"

namespace tenfold::retrieval {

/// Whose stems and stop words are used. Text in Chinese, Japanese or Korean characters is cut to pairs of them under each, as Lucene's CJKAnalyzer does.
enum class Language : std::uint8_t { kEnglish, kDanish, kDutch, kFinnish, kFrench, kGerman, kHungarian, kItalian, kNorwegian, kPortuguese, kRomanian, kRussian, kSpanish, kSwedish, kTurkish, kNone };
BOOST_DESCRIBE_ENUM(Language, kEnglish, kDanish, kDutch, kFinnish, kFrench, kGerman, kHungarian, kItalian, kNorwegian, kPortuguese, kRomanian, kRussian, kSpanish, kSwedish, kTurkish, kNone)

/// Calls `visit` with each word of Tokenize, without an allocation per word. `visit` must not come back here. Threads: safe. Bytes that are not UTF-8 separate words.
void ForEachWord(std::string_view text, const std::function<void(std::string_view stem)>& visit, Language language = Language::kEnglish);
/// Stop words are left out; an id such as LF-20417 gives its parts and itself. Order of the text. Threads: safe. Source of the stems: Snowball.
std::vector<std::string> Tokenize(std::string_view text, Language language = Language::kEnglish);
/// Lower case with Latin-1 and Latin Extended-A accents folded to ASCII; other characters as they are.
std::string FoldText(std::string_view text);
/// The words in lower case and folded, not stemmed and no stop word left out.
std::vector<std::string> FoldedWords(std::string_view text);

}  // namespace tenfold::retrieval
