#pragma once
/// \file Messages: headers, parts, encodings. Source: RFC 5322 (messages), 2045 and 2046 (MIME), 2047 (words in headers), 2231 (parameters).
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tenfold::data::parsers {

/// A header's value with its encoded words decoded, as UTF-8 in one line.
std::string DecodeHeader(std::string_view value);
/// Bytes that are neither of the alphabet nor padding are skipped, as readers of mail do.
std::string DecodeBase64(std::string_view text);
std::string DecodeQuotedPrintable(std::string_view text);
/// "Tue, 24 Nov 2026 10:00:00 +0100" as "2026-11-24T09:00:00Z"; "" if it is no date.
std::string MailDate(std::string_view text);

struct MailPart {
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case, values unfolded
  std::string_view body;
  std::string_view header(std::string_view name) const;
};
/// Splits headers from body.
MailPart ReadPart(std::string_view bytes);

/// "text/html; charset=utf-8; name*=utf-8''a%20b" and the like.
struct MailValue {
  std::string value;                                             ///< lower case
  std::vector<std::pair<std::string, std::string>> parameters;  ///< names in lower case, values as UTF-8
  std::string_view parameter(std::string_view name) const;
};
MailValue ReadMailValue(std::string_view text);

}  // namespace tenfold::data::parsers
