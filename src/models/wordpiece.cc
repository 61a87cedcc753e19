#include "models/wordpiece.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "base/error.h"
#include "base/utf8.h"

namespace tenfold::models {
namespace {

struct CodeRange {
  std::uint32_t first, last;
};
struct FoldRun {
  std::uint32_t first, last, step;
  std::int32_t delta;
};
struct LongFold {
  std::uint32_t from;
  std::uint32_t to[4];
};
#include "models/wordpiece_tables.inc"

constexpr std::size_t kMaxWordCharacters = 100;  // longer words are [UNK], as in the original
constexpr std::size_t kMaxVocabulary = 1'000'000;

template <std::size_t N>
bool Contains(const CodeRange (&ranges)[N], std::uint32_t code) {
  const auto* after = std::upper_bound(std::begin(ranges), std::end(ranges), code, [](std::uint32_t c, const CodeRange& r) { return c < r.first; });
  return after != std::begin(ranges) && code <= std::prev(after)->last;
}

/// The next code point, or 0 for a malformed byte (which is then dropped like NUL).
std::uint32_t NextCode(std::string_view text, std::size_t& at) {
  const auto lead = static_cast<unsigned char>(text[at++]);
  if (lead < 0x80) return lead;
  const int more = lead >= 0xF0 && lead < 0xF5 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC2 ? 1 : 0;
  if (more == 0 || lead >= 0xF5 || at + static_cast<std::size_t>(more) > text.size()) return 0;
  std::uint32_t code = lead & (0x3Fu >> more);
  for (int i = 0; i < more; ++i) {
    const auto next = static_cast<unsigned char>(text[at + static_cast<std::size_t>(i)]);
    if ((next & 0xC0) != 0x80) return 0;
    code = code << 6 | (next & 0x3Fu);
  }
  const bool overlong = (more == 2 && code < 0x800) || (more == 3 && code < 0x10000);
  if (overlong || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return 0;
  at += static_cast<std::size_t>(more);
  return code;
}

struct Folded {
  std::array<std::uint32_t, 4> codes{};
  std::size_t count = 1;
};

/// Accents off, case down. Hangul syllables fall apart into their letters by arithmetic (Unicode 3.12).
Folded Fold(std::uint32_t code) {
  Folded out;
  out.codes[0] = code;
  if (code >= 0xAC00 && code <= 0xD7A3) {
    const std::uint32_t s = code - 0xAC00;
    out.codes = {0x1100 + s / 588, 0x1161 + s % 588 / 28, 0x11A7 + s % 28, 0};
    out.count = s % 28 ? 3 : 2;
    return out;
  }
  const auto* run = std::upper_bound(std::begin(kFolds), std::end(kFolds), code, [](std::uint32_t c, const FoldRun& r) { return c < r.first; });
  if (run != std::begin(kFolds)) {
    --run;
    if (code <= run->last && (code - run->first) % run->step == 0) {
      out.codes[0] = static_cast<std::uint32_t>(static_cast<std::int64_t>(code) + run->delta);
      return out;
    }
  }
  const auto* wide = std::lower_bound(std::begin(kLongFolds), std::end(kLongFolds), code, [](const LongFold& f, std::uint32_t c) { return f.from < c; });
  if (wide != std::end(kLongFolds) && wide->from == code) {
    std::copy(std::begin(wide->to), std::end(wide->to), out.codes.begin());
    out.count = static_cast<std::size_t>(std::find(out.codes.begin(), out.codes.end(), 0u) - out.codes.begin());
  }
  return out;
}

}  // namespace

WordPiece::WordPiece(std::string_view vocabulary) {
  while (!vocabulary.empty()) {
    const auto end = std::min(vocabulary.find('\n'), vocabulary.size());
    auto line = vocabulary.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (size_ == kMaxVocabulary) throw Error(Code::kInvalidArgument, "vocabulary has more than a million lines");
    ids_.emplace(line, static_cast<std::int32_t>(size_++));
    vocabulary.remove_prefix(std::min(end + 1, vocabulary.size()));
  }
  const auto special = [&](std::string_view token) {
    const auto found = ids_.find(token);
    if (found == ids_.end()) throw Error(Code::kInvalidArgument, "vocabulary lacks " + std::string(token));
    return found->second;
  };
  cls_ = special("[CLS]");
  sep_ = special("[SEP]");
  unknown_ = special("[UNK]");
}

void WordPiece::EncodeWord(std::string_view word, std::size_t characters, std::vector<std::int32_t>& ids) const {
  if (word.empty()) return;
  if (characters > kMaxWordCharacters) return ids.push_back(unknown_);
  const std::size_t first = ids.size();
  std::string piece;
  for (std::size_t at = 0; at < word.size();) {
    std::size_t end = word.size();
    piece.assign(at == 0 ? "" : "##").append(word.substr(at));
    auto found = ids_.find(piece);
    while (found == ids_.end() && end > at) {
      do {
        --end;
        piece.pop_back();
      } while (end > at && (static_cast<unsigned char>(word[end]) & 0xC0) == 0x80);
      if (end > at) found = ids_.find(piece);
    }
    if (end == at) {
      ids.resize(first);
      return ids.push_back(unknown_);
    }
    ids.push_back(found->second);
    at = end;
  }
}

std::vector<std::int32_t> WordPiece::Encode(std::string_view text, std::size_t max_tokens) const {
  std::vector<std::int32_t> ids{cls_};
  const std::size_t room = std::max<std::size_t>(max_tokens, 2) - 1;
  std::string word;
  std::size_t characters = 0;
  const auto end_word = [&] {
    EncodeWord(word, characters, ids);
    word.clear();
    characters = 0;
  };
  for (std::size_t at = 0; at < text.size() && ids.size() < room;) {
    const std::uint32_t code = NextCode(text, at);
    if (code < 0x80) {  // most text, without the tables
      const bool letter = (code >= 'a' && code <= 'z') || (code >= '0' && code <= '9');
      const bool capital = code >= 'A' && code <= 'Z';
      if (letter || capital) {
        // A word past the limit is [UNK] whatever follows; not keeping it bounds memory.
        if (++characters <= kMaxWordCharacters) word.push_back(static_cast<char>(capital ? code + 32 : code));
        continue;
      }
      if (code == ' ' || code == '\t' || code == '\n' || code == '\r') {
        end_word();
        continue;
      }
      if (code < ' ' || code == 0x7F) continue;
      end_word();
      const char mark = static_cast<char>(code);
      EncodeWord({&mark, 1}, 1, ids);
      continue;
    }
    if (Contains(kSpace, code)) {
      end_word();
      continue;
    }
    if (Contains(kDrop, code)) continue;
    const bool ideograph = Contains(kIdeograph, code);
    if (ideograph) end_word();
    const Folded folded = Fold(code);
    for (std::size_t i = 0; i < folded.count; ++i) {
      const std::uint32_t c = folded.codes[i];
      const bool alone = Contains(kPunctuation, c);
      if (alone) end_word();
      if (++characters <= kMaxWordCharacters) AppendUtf8(word, c);
      if (alone) end_word();
    }
    if (ideograph) end_word();
  }
  end_word();
  if (ids.size() > room) ids.resize(room);
  ids.push_back(sep_);
  return ids;
}

}  // namespace tenfold::models
