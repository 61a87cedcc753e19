#include "base/json.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/error.h"

namespace tenfold {

Json ParseJson(std::string_view text) {
  boost::json::parse_options options;
  options.max_depth = 32;
  boost::json::stream_parser parser({}, options);
  boost::json::error_code error;
  const auto used = parser.write_some(text.data(), text.size(), error);
  if (!error && used < text.size()) throw Error(Code::kInvalidArgument, "JSON has extra text at byte " + std::to_string(used));
  if (!error) parser.finish(error);
  if (error) throw Error(Code::kInvalidArgument, "JSON is invalid at byte " + std::to_string(used) + ": " + error.message());
  return parser.release();
}

std::string ToText(const Json& value) { return boost::json::serialize(value); }

namespace {
void AppendPretty(std::string& out, const Json& value, std::size_t indent) {
  const auto newline = [&](std::size_t depth) {
    out += '\n';
    out.append(depth * 2, ' ');
  };
  if (value.is_object() && !value.get_object().empty()) {
    out += '{';
    bool first = true;
    for (const auto& [key, member] : value.get_object()) {
      if (!first) out += ',';
      first = false;
      newline(indent + 1);
      out += boost::json::serialize(boost::json::string(key)) + ": ";
      AppendPretty(out, member, indent + 1);
    }
    newline(indent);
    out += '}';
  } else if (value.is_array() && !value.get_array().empty()) {
    out += '[';
    bool first = true;
    for (const auto& item : value.get_array()) {
      if (!first) out += ',';
      first = false;
      newline(indent + 1);
      AppendPretty(out, item, indent + 1);
    }
    newline(indent);
    out += ']';
  } else {
    out += boost::json::serialize(value);
  }
}
}  // namespace

std::string ToPrettyText(const Json& value) {
  std::string out;
  AppendPretty(out, value, 0);
  return out;
}

bool IsUtf8(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    const unsigned char c = *p;
    if (c < 0x80) {
      ++p;
      continue;
    }
    const int length = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (length == 0 || end - p < length) return false;
    // The second byte's range excludes overlong forms, surrogates and values past U+10FFFF (Unicode 15, table 3-7).
    const unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high) return false;
    for (int i = 2; i < length; ++i)
      if ((p[i] & 0xc0) != 0x80) return false;
    p += length;
  }
  return true;
}

}  // namespace tenfold
