#include "retrieval/tokenize.h"

#include <libstemmer.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>

#include "base/utf8.h"

namespace tenfold::retrieval {
namespace {

// U+00C0..U+017F to ASCII, one entry per code point. Source: Unicode 15 canonical decompositions, and the usual spellings of ligatures.
constexpr std::string_view kFold =
    "aaaaaaaceeeeiiiidnooooo*ouuuuytsaaaaaaaceeeeiiiidnooooo/ouuuuyty"
    "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";

struct LanguageWords {
  const char* stemmer;  ///< of libstemmer; null: words stay as they are
  std::string_view stop_words;
};
/// In the order of Language. Stop words are few on purpose: what BM25 weighs near nothing need not be named. Languages without a list lose no word.
constexpr LanguageWords kLanguages[] = {
    {"english",
     " a an and are as at be but by can do does for from had has have how i if in into is it its me my no not of on or our so that the their there they this to was we will with you "},
    {"danish", " af at de den der det en er et for har i med og om på som til var "},
    {"dutch", " aan als bij dat de die een en er het hij ik in is met niet of om op te van voor was wat ze zijn "},
    {"finnish", " ei en että hän ja jos kun ne niin oli on se tai "},
    {"french", " au aux avec ce ces dans de des du elle en est et eux il je la le les leur lui ma mais me ne nos notre nous on ou par pas pour qu que qui sa se ses son sur ta te tu un une vos votre vous "},
    {"german",
     " aber als am an auch auf aus bei bin bis bist da das dass dem den der des die ein eine einem einen einer eines er es für haben hat ich ihr im in ist ja kann mit nach nicht noch oder sich sie sind so über um und uns "
     "von vor war was wenn wie wir wird zu zum zur "},
    {"hungarian", " a az és egy ez hogy is nem van "},
    {"italian", " a al alla che ci con da dal dei del della di e è gli ha i il in io la le lo ma mi ne nel non o per più se si su un una "},
    {"norwegian", " av at de den der det du en er et for har i jeg med og om på som til var "},
    {"portuguese", " a ao as com da das de do dos e em é eu foi mais mas na nas no nos não o os ou para pela pelo por que se sem um uma "},
    {"romanian", " a al ale am ar ca ce cu de din este în la mai nu o pe și sau se un una "},
    {"russian", " а без бы в во вот да для до его ее если же за и из или к как на не но о об от по при с со так то что это я "},
    {"spanish", " a al como con de del el ella en entre es esta este la las le lo los me mi más no nos o para pero por que se si sin su sus te un una y ya "},
    {"swedish", " att av de den det du en ett för har i jag med men och om på som till var är "},
    {"turkish", " bir bu da de için ile mi ne o ve "},
    {nullptr, ""},
};
static_assert(std::size(kLanguages) == static_cast<std::size_t>(Language::kNone) + 1);

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

/// Stems of the words met last, one per slot: texts repeat their words, and a stem costs ten times a look-up. For one thread.
class Stems {
 public:
  explicit Stems(Language language)
      : words_(kLanguages[static_cast<std::size_t>(language)]), folds_late_(language != Language::kEnglish), stemmer_(words_.stemmer ? sb_stemmer_new(words_.stemmer, "UTF_8") : nullptr), slots_(kSlots) {}
  /// Empty for a stop word and for what is longer than any word. Valid until the next call.
  std::string_view Find(std::string_view word) {
    if (word.empty() || word.size() > 64) return {};
    auto& slot = slots_[std::hash<std::string_view>{}(word) % kSlots];
    if (slot.word == word) return slot.stem;
    slot.word = word;
    slot.stem.clear();
    if (words_.stop_words.find(" " + slot.word + " ") != std::string_view::npos) return {};
    slot.stem = word;
    if (stemmer_) {
      const auto* stem = sb_stemmer_stem(stemmer_.get(), reinterpret_cast<const sb_symbol*>(word.data()), static_cast<int>(word.size()));
      slot.stem.assign(reinterpret_cast<const char*>(stem), static_cast<std::size_t>(sb_stemmer_length(stemmer_.get())));
    }
    // The rules of most languages read the accents, so these go last; English ones are folded before.
    if (folds_late_) {
      FoldInto(slot.stem, folded_);
      slot.stem = folded_;
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
  const LanguageWords& words_;
  const bool folds_late_;
  std::unique_ptr<sb_stemmer, Free> stemmer_;
  std::vector<Slot> slots_;
  std::string folded_;
};

Stems& StemsOf(Language language) {
  thread_local std::array<std::unique_ptr<Stems>, std::size(kLanguages)> stems;
  auto& one = stems[static_cast<std::size_t>(language)];
  if (!one) one = std::make_unique<Stems>(language);
  return *one;
}

struct Character {
  char32_t code = 0;        ///< 0 for bytes that are not UTF-8
  std::size_t bytes = 1;
};

Character Decode(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u; };
  const auto first = byte(0);
  const std::size_t bytes = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (bytes == 0 || first > 0xf4) return {};
  if (bytes == 1) return {first, 1};
  char32_t code = first & (0x7fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3f);
  }
  return {code, bytes};
}

enum class Kind { kSeparator, kWord, kPaired, kMark };

/// What a character is to a word. Source: the blocks of Unicode 15; punctuation and symbols of blocks that hold both are taken one by one where they are common.
Kind KindOf(char32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? Kind::kWord : Kind::kSeparator;
  if (c < 0xc0) return c == 0xaa || c == 0xb5 || c == 0xba ? Kind::kWord : Kind::kSeparator;
  if (c == 0xd7 || c == 0xf7) return Kind::kSeparator;
  if (c >= 0x300 && c <= 0x36f) return Kind::kMark;
  if (c >= 0x2000 && c <= 0x2bff) return Kind::kSeparator;
  if (c >= 0x3000 && c <= 0x303f) return c >= 0x3005 && c <= 0x3007 ? Kind::kPaired : Kind::kSeparator;
  if ((c >= 0x3040 && c <= 0x30ff && c != 0x30fb) || (c >= 0x31f0 && c <= 0x31ff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x4e00 && c <= 0x9fff) || (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
      (c >= 0xff66 && c <= 0xff9d) || (c >= 0x20000 && c <= 0x2ffff))
    return Kind::kPaired;
  if (c == 0x30fb || (c >= 0xfe30 && c <= 0xfe4f) || (c >= 0xff01 && c <= 0xff0f) || (c >= 0xff1a && c <= 0xff20) || (c >= 0xff3b && c <= 0xff40) || (c >= 0xff5b && c <= 0xff65) || (c >= 0xfff0 && c <= 0xffff) ||
      (c >= 0x1f000 && c <= 0x1faff) || (c >= 0xe000 && c <= 0xf8ff) || c == 0x37e || c == 0x387 || (c >= 0x589 && c <= 0x58a) || c == 0x5be || c == 0x60c || c == 0x61b || c == 0x61f || c == 0x6d4 || (c >= 0x964 && c <= 0x965))
    return Kind::kSeparator;
  return Kind::kWord;
}

/// Lower case of a letter; ones with an accent lose it if `fold`.
void AppendLower(char32_t c, bool fold, std::string& out) {
  if (c >= 0xff10 && c <= 0xff5a) c -= 0xfee0;  // full width
  if (c < 0x80) {
    out += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : static_cast<char>(c);
  } else if (c >= 0xc0 && c - 0xc0 < kFold.size()) {
    if (fold) out += kFold[c - 0xc0];
    else if (c <= 0xde) AppendUtf8(out, c + 0x20);
    else if (c >= 0x100 && c != 0x130 && c != 0x131 && c != 0x138 && c != 0x149 && c != 0x178 && c != 0x17f) AppendUtf8(out, c >= 0x139 && c <= 0x148 ? c + (c & 1) : c >= 0x179 && c <= 0x17e ? c + (c & 1) : c | 1);
    else if (c == 0x130) out += 'i';
    else AppendUtf8(out, c);
  } else if (c >= 0x218 && c <= 0x21b) {  // Romanian
    if (fold) out += c < 0x21a ? 's' : 't';
    else AppendUtf8(out, c | 1);
  } else if (c >= 0x386 && c <= 0x3ce) {  // Greek, without its accents
    static constexpr std::pair<char32_t, char32_t> kAccents[] = {{0x386, 0x3b1}, {0x388, 0x3b5}, {0x389, 0x3b7}, {0x38a, 0x3b9}, {0x38c, 0x3bf}, {0x38e, 0x3c5}, {0x38f, 0x3c9}, {0x390, 0x3b9}, {0x3aa, 0x3b9}, {0x3ab, 0x3c5},
                                                                 {0x3ac, 0x3b1}, {0x3ad, 0x3b5}, {0x3ae, 0x3b7}, {0x3af, 0x3b9}, {0x3b0, 0x3c5}, {0x3c2, 0x3c3}, {0x3ca, 0x3b9}, {0x3cb, 0x3c5}, {0x3cc, 0x3bf}, {0x3cd, 0x3c5}, {0x3ce, 0x3c9}};
    const auto at = std::find_if(std::begin(kAccents), std::end(kAccents), [&](const auto& one) { return one.first == c; });
    AppendUtf8(out, at != std::end(kAccents) ? at->second : c >= 0x391 && c <= 0x3a9 ? c + 32 : c);
  } else if (c >= 0x400 && c <= 0x52f) {  // Cyrillic
    if (c <= 0x40f) c += 80;
    else if (c <= 0x42f) c += 32;
    else if (c >= 0x460 && (c <= 0x481 || c >= 0x48a) && (c < 0x4c0 || c > 0x4cf)) c |= 1;
    if (c == 0x451) c = 0x435;  // ё is written е
    AppendUtf8(out, c);
  } else if (c >= 0x531 && c <= 0x556) {  // Armenian
    AppendUtf8(out, c + 48);
  } else {
    AppendUtf8(out, c);
  }
}

/// Words in lower case, with the parts of a compound and then the compound; pairs of characters as words of their own.
template <class Visit>
void SplitWords(std::string_view text, bool fold, Visit&& visit) {
  thread_local std::string part, whole, pair;
  part.clear();
  whole.clear();
  bool is_compound = false;
  std::size_t end_of_pairs = text.size();  // where the last character of a run ended
  const auto flush = [&] {
    if (!part.empty()) visit(std::string_view(part), false);
    if (is_compound && !part.empty()) visit(std::string_view(whole), false);
    part.clear();
    whole.clear();
    is_compound = false;
  };
  for (std::size_t at = 0; at < text.size();) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (c < 0x80) {
      if (KindOf(c) == Kind::kWord) {
        const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : static_cast<char>(c);
        part += lower;
        whole += lower;
      } else if (c == '-' && !part.empty() && at + 1 < text.size() && KindOf(Decode(text, at + 1).code) == Kind::kWord) {
        visit(std::string_view(part), false);
        part.clear();
        whole += '-';
        is_compound = true;
      } else {
        flush();
      }
      ++at;
      continue;
    }
    const auto [code, bytes] = Decode(text, at);
    switch (KindOf(code)) {
      case Kind::kSeparator: flush(); break;
      case Kind::kMark: break;
      case Kind::kWord: {
        const auto begin = whole.size();
        AppendLower(code, fold, whole);
        part.append(whole, begin);
        break;
      }
      case Kind::kPaired: {
        flush();
        // A run of n characters gives n - 1 pairs; one alone gives itself.
        const auto next = at + bytes < text.size() ? Decode(text, at + bytes) : Character{0, 1};
        const bool has_next = KindOf(next.code) == Kind::kPaired;
        if (has_next || end_of_pairs != at) {
          pair.assign(text.substr(at, bytes + (has_next ? next.bytes : 0)));
          visit(std::string_view(pair), true);
        }
        end_of_pairs = at + bytes;
        break;
      }
    }
    at += bytes;
  }
  flush();
}

}  // namespace

std::string FoldText(std::string_view text) {
  std::string out;
  FoldInto(text, out);
  return out;
}

void ForEachWord(std::string_view text, const std::function<void(std::string_view stem)>& visit, Language language) {
  auto& stems = StemsOf(language);
  SplitWords(text, language == Language::kEnglish || language == Language::kNone, [&](std::string_view word, bool is_pair) {
    if (is_pair) visit(word);
    else if (const auto stem = stems.Find(word); !stem.empty()) visit(stem);
  });
}

std::vector<std::string> Tokenize(std::string_view text, Language language) {
  std::vector<std::string> out;
  ForEachWord(text, [&](std::string_view stem) { out.emplace_back(stem); }, language);
  return out;
}

std::vector<std::string> FoldedWords(std::string_view text) {
  std::vector<std::string> out;
  SplitWords(text, true, [&](std::string_view word, bool) { out.emplace_back(word); });
  return out;
}

}  // namespace tenfold::retrieval
