#pragma once
/// \file Where a sentence ends.
#include <string_view>

namespace tenfold::retrieval::chunkers {

/// `at` is on '.', '!' or '?': whether it ends a sentence and is not part of a number, an abbreviation or an initial.
bool EndsSentence(std::string_view text, std::size_t at);

}  // namespace tenfold::retrieval::chunkers
