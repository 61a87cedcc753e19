#pragma once
/// \file What all parsers need of text: any encoding to UTF-8, and the plain shape that a document's text has.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tenfold::data::parsers {

/// Without blanks and control characters at both ends.
std::string_view Trim(std::string_view text);
/// Each run of blanks and line ends as one blank.
std::string CollapseSpaces(std::string_view text);
/// ASCII letters in lower case; others stay.
std::string Lower(std::string_view text);

/// A cell of a '|' row: one line, trimmed, '|' as '\|'.
std::string Cell(std::string_view text);
/// "| a | b |\n". Nothing for a row without cells.
void AppendRow(std::string& out, const std::vector<std::string>& cells);

/// LF line ends, no trailing blanks, at most one empty line in a row. Errors: kResourceExhausted past kMaxTextBytes.
std::string Tidy(std::string_view text);
/// Errors: kResourceExhausted past kMaxTextBytes.
void CheckTextSize(std::size_t bytes);
/// The first line that begins with '#', else the first line; at most 200 bytes.
std::string FirstHeading(std::string_view text);

/// As UTF-8. In this order: a byte order mark; UTF-16 told by its zeros; what is UTF-8 as it stands; `charset`; what the bytes look like (Shift-JIS,
/// EUC-JP, ISO-2022-JP, EUC-KR, Big5, GB18030, Windows-1251, KOI8-R); Windows-1252. `charset` is a label of the WHATWG Encoding Standard; one that is
/// not known is as none. A byte that has no meaning in a declared encoding becomes U+FFFD.
/// Errors: kInvalidArgument if it is no text.
std::string DecodeText(std::string_view bytes, std::string_view charset = {});

}  // namespace tenfold::data::parsers
