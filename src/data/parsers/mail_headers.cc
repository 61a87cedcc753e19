#include <array>
#include <charconv>
#include <ctime>

#include "base/error.h"
#include "data/parsers/mail.h"
#include "data/parsers/text.h"

namespace tenfold::data::parsers {
namespace {

constexpr std::size_t kMaxHeaders = 1000;
constexpr std::size_t kMaxHeaderBytes = 1u << 20;
constexpr std::size_t kMaxParameters = 100;

int Hex(char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1; }

/// Text in some encoding that must not fail: a header is worth keeping without it.
std::string AsText(std::string_view bytes, std::string_view charset) {
  try {
    return DecodeText(bytes, charset);
  } catch (const Error&) {
    return {};
  }
}

std::string DecodePercent(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && Hex(text[i + 1]) >= 0 && Hex(text[i + 2]) >= 0) {
      out += static_cast<char>(Hex(text[i + 1]) * 16 + Hex(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

std::string DecodeBase64(std::string_view text) {
  static constexpr auto kValues = [] {
    std::array<signed char, 256> out{};
    out.fill(-1);
    constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (std::size_t i = 0; i < kAlphabet.size(); ++i) out[static_cast<unsigned char>(kAlphabet[i])] = static_cast<signed char>(i);
    return out;
  }();
  std::string out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  int count = 0;
  for (const unsigned char c : text) {
    if (c == '=') break;
    if (kValues[c] < 0) continue;
    bits = bits << 6 | static_cast<std::uint32_t>(kValues[c]);
    if ((count += 6) < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xff);
  }
  return out;
}

std::string DecodeQuotedPrintable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '=') {
      out += text[i];
      continue;
    }
    // "=" at the end of a line goes on with the next, blanks after it or not.
    auto end = i + 1;
    while (end < text.size() && (text[end] == ' ' || text[end] == '\t' || text[end] == '\r')) ++end;
    if (end >= text.size() || text[end] == '\n') {
      i = end;
    } else if (i + 2 < text.size() && Hex(text[i + 1]) >= 0 && Hex(text[i + 2]) >= 0) {
      out += static_cast<char>(Hex(text[i + 1]) * 16 + Hex(text[i + 2]));
      i += 2;
    } else {
      out += '=';
    }
  }
  return out;
}

std::string DecodeHeader(std::string_view value) {
  // =?charset?Q?text?= ; blanks between two such words are none. Bytes of one character may be split over two words of the same charset.
  std::string out, waiting, waiting_charset;
  const auto flush = [&] {
    out += AsText(waiting, waiting_charset);
    waiting.clear();
  };
  for (std::size_t at = 0; at < value.size();) {
    const auto begin = value.find("=?", at);
    const auto first = begin == std::string_view::npos ? begin : value.find('?', begin + 2);
    const auto second = first == std::string_view::npos ? first : value.find('?', first + 1);
    const auto end = second == std::string_view::npos ? second : value.find("?=", second + 1);
    const bool word = end != std::string_view::npos && second == first + 2 && first - begin < 60;
    if (!word) {
      // What only looks like the begin of a word is text.
      const auto upto = begin == std::string_view::npos ? value.size() : begin + 2;
      flush();
      out += AsText(value.substr(at, upto - at), {});
      at = upto;
      continue;
    }
    const auto between = value.substr(at, begin - at);
    const auto charset = Lower(value.substr(begin + 2, first - begin - 2));
    if (waiting.empty() || !Trim(between).empty()) {
      flush();
      out += AsText(between, {});
    }
    if (charset != waiting_charset) flush();
    waiting_charset = charset.substr(0, charset.find('*'));
    auto text = std::string(value.substr(second + 1, end - second - 1));
    if ((value[first + 1] | 0x20) == 'b') {
      waiting += DecodeBase64(text);
    } else {
      for (auto& c : text)
        if (c == '_') c = ' ';
      waiting += DecodeQuotedPrintable(text);
    }
    at = end + 2;
  }
  flush();
  std::erase(out, '\0');
  return std::string(Trim(CollapseSpaces(out)));
}

std::string MailDate(std::string_view text) {
  // [Tue, ] 24 Nov 2026 10:00[:00] (+0100 | GMT)
  if (const auto comma = text.find(','); comma != std::string_view::npos) text.remove_prefix(comma + 1);
  const std::string copy(Trim(text.substr(0, 100)));
  std::tm tm{};
  const char* rest = ::strptime(copy.c_str(), "%d %b %Y %H:%M:%S", &tm);
  if (!rest) {
    tm = {};
    rest = ::strptime(copy.c_str(), "%d %b %Y %H:%M", &tm);
  }
  if (!rest) return {};
  const auto zone = Trim(rest);
  std::int64_t offset = 0;
  if (zone.size() >= 5 && (zone[0] == '+' || zone[0] == '-')) {
    int digits = 0;
    std::from_chars(zone.data() + 1, zone.data() + 5, digits);
    offset = (digits / 100 * 60 + digits % 100) * 60 * (zone[0] == '-' ? -1 : 1);
  }
  std::tm utc{};
  const auto seconds = static_cast<std::time_t>(::timegm(&tm) - offset);
  if (!::gmtime_r(&seconds, &utc) || utc.tm_year < 0 || utc.tm_year > 8000) return {};
  char buffer[32];
  return std::string(buffer, ::strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%SZ", &utc));
}

std::string_view MailPart::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

MailPart ReadPart(std::string_view bytes) {
  MailPart out;
  std::size_t used = 0;
  while (!bytes.empty()) {
    const auto end = std::min(bytes.find('\n'), bytes.size());
    auto line = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) break;
    if ((used += line.size()) > kMaxHeaderBytes || out.headers.size() > kMaxHeaders) throw Error(Code::kResourceExhausted, "the message has more than " + std::to_string(kMaxHeaders) + " headers or 1 MB of them");
    if ((line[0] == ' ' || line[0] == '\t') && !out.headers.empty()) {
      out.headers.back().second.append(" ").append(Trim(line));
      continue;
    }
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;  // "From " of a mailbox, or broken
    out.headers.emplace_back(Lower(Trim(line.substr(0, colon))), Trim(line.substr(colon + 1)));
  }
  out.body = bytes;
  return out;
}

std::string_view MailValue::parameter(std::string_view name) const {
  for (const auto& [key, raw] : parameters)
    if (key == name) return raw;
  return {};
}

MailValue ReadMailValue(std::string_view text) {
  MailValue out;
  const auto semicolon = std::min(text.find(';'), text.size());
  out.value = Lower(Trim(text.substr(0, semicolon)));
  text.remove_prefix(semicolon);
  struct Piece {
    std::string bytes;
    bool extended = false;
  };
  std::map<std::string, std::map<int, Piece>> pieces;  // name*0, name*1, …
  for (std::size_t count = 0; !text.empty() && count < kMaxParameters; ++count) {
    text.remove_prefix(1);
    const auto equals = std::min(text.find('='), text.size());
    auto name = Lower(text.substr(0, equals));
    if (const auto before = name.rfind(';'); before != std::string::npos) name.erase(0, before + 1);  // one without a value
    name = Trim(std::string(name));
    text.remove_prefix(std::min(equals + 1, text.size()));
    while (!text.empty() && (text[0] == ' ' || text[0] == '\t')) text.remove_prefix(1);
    std::string value;
    if (text.starts_with('"')) {
      std::size_t i = 1;
      for (; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) ++i;
        value += text[i];
      }
      text.remove_prefix(std::min(i + 1, text.size()));
      text.remove_prefix(std::min(text.find(';'), text.size()));
    } else {
      const auto end = std::min(text.find(';'), text.size());
      value = Trim(text.substr(0, end));
      text.remove_prefix(end);
    }
    bool extended = false;
    int number = 0;
    if (name.ends_with('*')) {
      extended = true;
      name.pop_back();
    }
    if (const auto star = name.find('*'); star != std::string::npos) {
      std::from_chars(name.data() + star + 1, name.data() + name.size(), number);
      name.resize(star);
    }
    pieces[name][number] = {std::move(value), extended};
  }
  for (const auto& [name, parts] : pieces) {
    std::string bytes, charset;
    bool extended = false;
    for (const auto& [number, piece] : parts) {
      std::string_view value = piece.bytes;
      if (piece.extended && !extended && bytes.empty()) {
        const auto quote = value.find('\'');
        const auto second = quote == std::string_view::npos ? quote : value.find('\'', quote + 1);
        if (second != std::string_view::npos) {
          charset = value.substr(0, quote);
          value.remove_prefix(second + 1);
        }
      }
      extended = extended || piece.extended;
      bytes += piece.extended ? DecodePercent(value) : std::string(value);
    }
    out.parameters.emplace_back(name, extended ? AsText(bytes, charset) : DecodeHeader(bytes));
  }
  return out;
}

}  // namespace tenfold::data::parsers
