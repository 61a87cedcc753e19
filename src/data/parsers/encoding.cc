// Any encoding to UTF-8. The conversions are glibc's; what is ours is the choice. Names that come from outside are looked up in a closed list,
// for iconv opens a module by name. Source of the labels and of what they really mean: WHATWG Encoding Standard, "Names and labels".
#include <iconv.h>

#include <array>
#include <cerrno>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "data/parsers/text.h"

namespace tenfold::data::parsers {
namespace {

constexpr std::size_t kSample = 64u << 10;

/// iconv's name for a label, "" for one that is not known.
std::string_view IconvName(std::string_view label) {
  struct Row {
    std::string_view label, name;
  };
  static constexpr Row kRows[] = {
      {"utf8", "UTF-8"}, {"usascii", "CP1252"}, {"ascii", "CP1252"}, {"ansix3.41968", "CP1252"}, {"iso88591", "CP1252"}, {"latin1", "CP1252"}, {"l1", "CP1252"},
      {"iso88592", "ISO-8859-2"}, {"latin2", "ISO-8859-2"}, {"iso88593", "ISO-8859-3"}, {"iso88594", "ISO-8859-4"}, {"iso88595", "ISO-8859-5"},
      {"iso88596", "ISO-8859-6"}, {"iso88597", "ISO-8859-7"}, {"iso88598", "ISO-8859-8"}, {"iso88598i", "ISO-8859-8"}, {"iso88599", "CP1254"}, {"latin5", "CP1254"},
      {"iso885910", "ISO-8859-10"}, {"iso885911", "CP874"}, {"iso885913", "ISO-8859-13"}, {"iso885914", "ISO-8859-14"}, {"iso885915", "ISO-8859-15"},
      {"latin9", "ISO-8859-15"}, {"iso885916", "ISO-8859-16"}, {"windows874", "CP874"}, {"tis620", "CP874"}, {"windows1250", "CP1250"}, {"cp1250", "CP1250"},
      {"windows1251", "CP1251"}, {"cp1251", "CP1251"}, {"windows1252", "CP1252"}, {"cp1252", "CP1252"}, {"windows1253", "CP1253"}, {"cp1253", "CP1253"},
      {"windows1254", "CP1254"}, {"cp1254", "CP1254"}, {"windows1255", "CP1255"}, {"cp1255", "CP1255"}, {"windows1256", "CP1256"}, {"cp1256", "CP1256"},
      {"windows1257", "CP1257"}, {"cp1257", "CP1257"}, {"windows1258", "CP1258"}, {"cp1258", "CP1258"}, {"koi8r", "KOI8-R"}, {"koi8u", "KOI8-U"},
      {"ibm437", "CP437"}, {"cp437", "CP437"}, {"ibm850", "CP850"}, {"cp850", "CP850"}, {"ibm866", "CP866"}, {"cp866", "CP866"}, {"macintosh", "MACINTOSH"},
      {"macroman", "MACINTOSH"}, {"shiftjis", "CP932"}, {"sjis", "CP932"}, {"xsjis", "CP932"}, {"mskanji", "CP932"}, {"windows31j", "CP932"}, {"cp932", "CP932"},
      {"eucjp", "EUC-JP-MS"}, {"xeucjp", "EUC-JP-MS"}, {"iso2022jp", "ISO-2022-JP"}, {"euckr", "CP949"}, {"ksc56011987", "CP949"}, {"cp949", "CP949"},
      {"gb2312", "GB18030"}, {"gbk", "GB18030"}, {"cp936", "GB18030"}, {"gb18030", "GB18030"}, {"big5", "BIG5-HKSCS"}, {"big5hkscs", "BIG5-HKSCS"}, {"cp950", "BIG5-HKSCS"},
      {"utf16", "UTF-16LE"}, {"utf16le", "UTF-16LE"}, {"utf16be", "UTF-16BE"}, {"utf32", "UTF-32LE"}, {"utf32le", "UTF-32LE"}, {"utf32be", "UTF-32BE"}};
  std::string plain;
  for (const char c : Lower(label.substr(0, 40)))
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.') plain += c;
  for (const auto& row : kRows)
    if (row.label == plain) return row.name;
  return {};
}

enum class Broken : std::uint8_t { kRefuse, kReplace };

/// Nothing if a byte has no meaning and `broken` says to refuse it, or if this system lacks the conversion. A sequence cut off at the end counts as none.
std::optional<std::string> Convert(std::string_view bytes, std::string_view from, Broken broken) {
  const iconv_t how = ::iconv_open("UTF-8", std::string(from).c_str());
  if (how == reinterpret_cast<iconv_t>(-1)) return std::nullopt;
  struct Closer {
    iconv_t how;
    ~Closer() { ::iconv_close(how); }
  } const closer{how};
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 2);
  std::array<char, 16384> buffer;
  char* in = const_cast<char*>(bytes.data());
  std::size_t left = bytes.size();
  while (left > 0) {
    char* to = buffer.data();
    std::size_t room = buffer.size();
    const auto rc = ::iconv(how, &in, &left, &to, &room);
    const int error = errno;
    out.append(buffer.data(), buffer.size() - room);
    if (rc != static_cast<std::size_t>(-1) || error == E2BIG) continue;
    if (error == EINVAL) {  // cut off in the middle of a character
      if (broken == Broken::kReplace) AppendUtf8(out, 0xfffd);
      break;
    }
    if (broken == Broken::kRefuse) return std::nullopt;
    AppendUtf8(out, 0xfffd);
    ++in;
    --left;
  }
  return out;
}

/// Code points of UTF-8 that is known to be well formed.
template <class F>
void EachCharacter(std::string_view text, F&& take) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    char32_t c = size == 1 ? lead : lead & (0x7f >> size);
    for (std::size_t k = 1; k < size && i + k < text.size(); ++k) c = c << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3f);
    take(c);
    i += size;
  }
}

struct Script {
  double kana = 0, hangul = 0, han = 0, other = 0, common = 0;
  double all() const { return kana + hangul + han + other; }
};

/// Of the characters beyond ASCII, what they are. `common`: the characters that make a fifth of any Chinese text.
Script ScriptOf(std::string_view utf8) {
  static constexpr std::u32string_view kCommon = U"的一是不了在人有我他這这中大來来上國国個个到說说們们為为子和你地出也時时年得就那要下以生會会自着去之過过家學学對对可她里後后能多沒没";
  Script out;
  EachCharacter(utf8, [&](char32_t c) {
    if (c < 0x80) return;
    if (c >= 0x3040 && c < 0x3100) ++out.kana;
    else if (c >= 0xac00 && c < 0xd7a4) ++out.hangul;
    else if ((c >= 0x4e00 && c < 0xa000) || (c >= 0x3000 && c < 0x3040) || (c >= 0xff00 && c < 0xff61)) ++out.han;
    else ++out.other;
    if (kCommon.find(c) != std::u32string_view::npos) ++out.common;
  });
  return out;
}

/// What bytes that are no UTF-8 are most likely. A guess: the strict decoding must succeed and what comes out must look like its language.
std::string_view GuessCharset(std::string_view bytes) {
  auto sample = bytes.substr(0, kSample);
  if (sample.size() < bytes.size())
    if (const auto line = sample.rfind('\n'); line != std::string_view::npos && line > 0) sample = sample.substr(0, line);
  std::size_t high = 0, beside = 0, upper_half = 0, lower_half = 0;
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const auto is_high = [&](std::size_t at) { return at < sample.size() && static_cast<unsigned char>(sample[at]) >= 0x80; };
    if (!is_high(i)) continue;
    ++high;
    if (is_high(i + 1) || (i > 0 && is_high(i - 1))) ++beside;
    const auto c = static_cast<unsigned char>(sample[i]);
    if (c >= 0xe0) ++upper_half;
    else if (c >= 0xc0) ++lower_half;
  }
  if (high == 0) return "CP1252";
  for (const std::string_view japanese : {"CP932", "EUC-JP-MS"})
    if (const auto text = Convert(sample, japanese, Broken::kRefuse)) {
      const auto script = ScriptOf(*text);
      if (script.kana > 0 && script.kana >= 0.2 * script.all() && script.other <= 0.05 * script.all()) return japanese;
    }
  // In a text of letters with accents, those stand alone among ASCII letters; in all that follows they stand side by side.
  if (static_cast<double>(beside) < 0.5 * static_cast<double>(high)) return "CP1252";
  if (const auto text = Convert(sample, "CP949", Broken::kRefuse)) {
    const auto script = ScriptOf(*text);
    if (script.hangul > 0 && script.hangul >= 0.85 * script.all()) return "CP949";
  }
  std::string_view best;
  double most = 0;
  for (const std::string_view chinese : {"GB18030", "BIG5-HKSCS"})
    if (const auto text = Convert(sample, chinese, Broken::kRefuse)) {
      const auto script = ScriptOf(*text);
      if (script.other <= 0.1 * script.all() && script.common > most && script.common >= 0.02 * script.all()) {
        most = script.common;
        best = chinese;
      }
    }
  if (!best.empty()) return best;
  // Cyrillic letters fill 0xc0..0xff in both; the small ones, which are many more, are the upper half in one and the lower half in the other.
  if (static_cast<double>(beside) >= 0.7 * static_cast<double>(high) && static_cast<double>(upper_half + lower_half) >= 0.8 * static_cast<double>(high))
    return upper_half > lower_half ? "CP1251" : "KOI8-R";
  return "CP1252";
}

/// UTF-16 without a mark: mostly Latin text, so every second byte is zero.
std::string_view Utf16ByZeros(std::string_view bytes) {
  const auto sample = bytes.substr(0, 4096);
  std::size_t even = 0, odd = 0;
  for (std::size_t i = 0; i < sample.size(); ++i)
    if (sample[i] == '\0') ++(i % 2 ? odd : even);
  const auto pairs = sample.size() / 2;
  if (pairs < 2) return {};
  if (odd * 10 >= pairs * 7 && even * 10 < pairs) return "UTF-16LE";
  if (even * 10 >= pairs * 7 && odd * 10 < pairs) return "UTF-16BE";
  return {};
}

bool LooksBinary(std::string_view text) {
  std::size_t control = 0;
  const auto sample = text.substr(0, kSample);
  for (const unsigned char c : sample)
    if (c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != '\v' && c != 0x1b) ++control;
  return control * 20 > sample.size();
}

std::string WithoutZeros(std::string text) {
  std::erase(text, '\0');
  return text;
}

}  // namespace

std::string DecodeText(std::string_view bytes, std::string_view charset) {
  struct Mark {
    std::string_view bytes, name;
  };
  static constexpr Mark kMarks[] = {{std::string_view("\xff\xfe\0\0", 4), "UTF-32LE"}, {std::string_view("\0\0\xfe\xff", 4), "UTF-32BE"}, {"\xff\xfe", "UTF-16LE"}, {"\xfe\xff", "UTF-16BE"}};
  if (bytes.starts_with("\xef\xbb\xbf")) bytes.remove_prefix(3);
  const auto convert = [&](std::string_view name) {
    auto out = Convert(bytes, name, Broken::kReplace);
    if (!out) throw Error(Code::kUnavailable, "this system cannot convert " + std::string(name) + "; install Debian's libc-bin and libc6 with their gconv modules");
    return WithoutZeros(std::move(*out));
  };
  for (const auto& mark : kMarks)
    if (bytes.starts_with(mark.bytes)) {
      bytes.remove_prefix(mark.bytes.size());
      return convert(mark.name);
    }
  const auto declared = IconvName(charset);
  if (bytes.find('\0') != std::string_view::npos) {
    if (declared.starts_with("UTF-16") || declared.starts_with("UTF-32")) return convert(declared);
    if (const auto wide = Utf16ByZeros(bytes); !wide.empty()) return convert(wide);
    throw Error(Code::kInvalidArgument, "the file is binary, not text");
  }
  const bool shifts = bytes.find("\x1b$B") != std::string_view::npos || bytes.find("\x1b$@") != std::string_view::npos;
  if (IsUtf8(bytes) && !shifts && declared != "ISO-2022-JP") {
    if (LooksBinary(bytes)) throw Error(Code::kInvalidArgument, "the file is binary, not text");
    return std::string(bytes);
  }
  if (LooksBinary(bytes)) throw Error(Code::kInvalidArgument, "the file is binary, not text");
  if (!declared.empty() && declared != "UTF-8") return convert(declared);
  if (shifts && IsUtf8(bytes)) return convert("ISO-2022-JP");
  // Said to be UTF-8 and nearly so: a byte or two that a program broke must not turn all the others into another encoding.
  if (declared == "UTF-8") {
    const auto replaced = convert("UTF-8");
    std::size_t bad = 0, letters = 0;
    EachCharacter(replaced, [&](char32_t c) { ++(c == 0xfffd ? bad : letters); });
    if (bad * 50 < letters) return replaced;
  }
  return convert(GuessCharset(bytes));
}

}  // namespace tenfold::data::parsers
