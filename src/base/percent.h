#pragma once
/// \file Percent-encoding of parts of a URL. Source: RFC 3986, section 2.
#include <string>
#include <string_view>

namespace tenfold {

/// Every byte but letters, digits, "-._~" and those of `keep` as %XX, upper case.
std::string PercentEncode(std::string_view value, std::string_view keep = {});
/// What is no %XX stays as it is.
std::string PercentDecode(std::string_view value);
/// The same, and '+' is a blank, as in queries.
std::string PercentDecodeQuery(std::string_view value);

}  // namespace tenfold
