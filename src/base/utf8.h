#pragma once
/// \file Characters as UTF-8. Source: RFC 3629.
#include <string>
#include <string_view>

namespace tenfold {

/// What is no character (a surrogate, past U+10FFFF) becomes U+FFFD.
void AppendUtf8(std::string& out, char32_t character);
/// The beginning of a text of UTF-8, at most `most` bytes and no part of a character.
std::string_view CutUtf8(std::string_view text, std::size_t most);
/// Each byte that belongs to no character becomes U+FFFD.
std::string MendUtf8(std::string text);

}  // namespace tenfold
