#pragma once
/// \file Words for BM25: lower case, Latin accents folded, split at what is no letter or digit, English stems.
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tenfold::retrieval {

/// Calls `visit` with each word of Tokenize, without an allocation per word. `visit` must not come back here. Threads: safe.
void ForEachWord(std::string_view text, const std::function<void(std::string_view stem)>& visit);
/// Stop words are left out; an id such as LF-20417 gives its parts and itself. Order of the text. Threads: safe.
std::vector<std::string> Tokenize(std::string_view text);
/// Lower case with Latin-1 and Latin Extended-A accents folded to ASCII; other characters as they are.
std::string FoldText(std::string_view text);

}  // namespace tenfold::retrieval
