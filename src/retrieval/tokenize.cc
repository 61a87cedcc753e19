#include "retrieval/tokenize.h"

#include <libstemmer.h>

#include <algorithm>
#include <memory>

namespace tenfold::retrieval {
namespace {

// U+00C0..U+017F to ASCII, one entry per code point. Source: Unicode 15 canonical decompositions, and the usual spellings of ligatures.
constexpr std::string_view kFold =
    "aaaaaaaceeeeiiiidnooooo*ouuuuytsaaaaaaaceeeeiiiidnooooo/ouuuuyty"
    "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";

constexpr std::string_view kStopWords[] = {"a",  "an", "and",  "are", "as",   "at",   "be", "but", "by",   "can", "do",    "does", "for", "from", "had", "has",
                                            "have", "how", "i",  "if",  "in",   "into", "is", "it",  "its",  "me",  "my",    "no",   "not", "of",   "on",  "or",
                                            "our",  "so",  "that", "the", "their", "there", "they", "this", "to", "was", "we", "will", "with", "you"};

/// Stems of the words met last, one per slot: texts repeat their words, and a stem costs ten times a look-up.
class Stems {
 public:
  Stems() : stemmer_(sb_stemmer_new("english", "UTF_8")), slots_(kSlots) {}
  /// Empty for a stop word and for what is longer than any word. Valid until the next call.
  std::string_view Find(std::string_view word) {
    if (word.empty() || word.size() > 64) return {};
    auto& slot = slots_[std::hash<std::string_view>{}(word) % kSlots];
    if (slot.word == word) return slot.stem;
    slot.word = word;
    slot.stem.clear();
    if (std::find(std::begin(kStopWords), std::end(kStopWords), word) == std::end(kStopWords)) {
      const auto* stem = sb_stemmer_stem(stemmer_.get(), reinterpret_cast<const sb_symbol*>(word.data()), static_cast<int>(word.size()));
      slot.stem.assign(reinterpret_cast<const char*>(stem), static_cast<std::size_t>(sb_stemmer_length(stemmer_.get())));
    }
    return slot.stem;
  }

 private:
  static constexpr std::size_t kSlots = 4096;
  struct Free {
    void operator()(sb_stemmer* s) const { sb_stemmer_delete(s); }
  };
  struct Slot {
    std::string word, stem;
  };
  std::unique_ptr<sb_stemmer, Free> stemmer_;
  std::vector<Slot> slots_;
};

}  // namespace

namespace {
void FoldInto(std::string_view text, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      out += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : static_cast<char>(c);
    } else if (c >= 0xc3 && c <= 0xc5 && i + 1 < text.size()) {
      const unsigned code = (c & 0x1fu) << 6 | (static_cast<unsigned char>(text[i + 1]) & 0x3fu);
      if (code >= 0xc0 && code - 0xc0 < kFold.size()) out += kFold[code - 0xc0];
      else out.append(text.substr(i, 2));
      ++i;
    } else {
      out += static_cast<char>(c);
    }
  }
}
}  // namespace

std::string FoldText(std::string_view text) {
  std::string out;
  FoldInto(text, out);
  return out;
}

void ForEachWord(std::string_view text, const std::function<void(std::string_view stem)>& visit) {
  thread_local Stems stems;
  thread_local std::string folded;
  FoldInto(text, folded);
  const auto add = [&](std::string_view word) {
    if (const auto stem = stems.Find(word); !stem.empty()) visit(stem);
  };
  const auto is_word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (static_cast<unsigned char>(c) & 0x80); };
  for (std::size_t i = 0; i < folded.size();) {
    if (!is_word(folded[i])) {
      ++i;
      continue;
    }
    std::size_t end = i;
    std::size_t parts = 0, part = i;
    const std::size_t begin = i;
    for (;;) {
      while (end < folded.size() && is_word(folded[end])) ++end;
      add(std::string_view(folded).substr(part, end - part));
      ++parts;
      if (end + 1 < folded.size() && folded[end] == '-' && is_word(folded[end + 1])) part = ++end;
      else break;
    }
    if (parts > 1) add(std::string_view(folded).substr(begin, end - begin));
    i = end;
  }
}

std::vector<std::string> Tokenize(std::string_view text) {
  std::vector<std::string> out;
  ForEachWord(text, [&](std::string_view stem) { out.emplace_back(stem); });
  return out;
}

}  // namespace tenfold::retrieval
