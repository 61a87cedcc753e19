#pragma once
/// \file Characters as UTF-8. Source: RFC 3629.
#include <string>

namespace tenfold {

/// What is no character (a surrogate, past U+10FFFF) becomes U+FFFD.
void AppendUtf8(std::string& out, char32_t character);

}  // namespace tenfold
