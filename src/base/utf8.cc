#include "base/utf8.h"

#include "base/json.h"

namespace tenfold {

void AppendUtf8(std::string& out, char32_t c) {
  if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) c = 0xfffd;
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

std::string_view CutUtf8(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
  return text.substr(0, most);
}

std::string MendUtf8(std::string text) {
  if (IsUtf8(text)) return text;
  std::string out;
  for (std::string_view left = text; !left.empty();) {
    std::size_t length = 1;
    while (length <= 4 && length <= left.size() && !IsUtf8(left.substr(0, length))) ++length;
    const bool is_character = length <= 4 && length <= left.size();
    if (is_character) out += left.substr(0, length);
    else AppendUtf8(out, 0xfffd);
    left.remove_prefix(is_character ? length : 1);
  }
  return out;
}

}  // namespace tenfold
