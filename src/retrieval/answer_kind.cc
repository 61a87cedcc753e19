#include "retrieval/answer_kind.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "retrieval/tokenize.h"

namespace tenfold::retrieval {
namespace {

/// Words in order, to be searched in halves: a question has a hundred sentences looked through.
template <std::size_t kSize>
consteval std::array<std::string_view, kSize> Sorted(const std::string_view (&words)[kSize]) {
  auto out = std::to_array(words);
  std::ranges::sort(out);
  return out;
}
template <std::size_t kSize>
bool OneOf(std::string_view word, const std::array<std::string_view, kSize>& list) {
  return std::ranges::binary_search(list, word);
}

/// Words that ask for a figure wherever they stand. Folded, as all here.
constexpr auto kAlone = Sorted({"wann", "wieviel", "wieviele", "wanneer", "hoeveel", "combien", "quanto", "quanta", "quanti", "quante",
                               "quantos", "quantas", "cuanto", "cuanta", "cuantos", "cuantas"});
/// Words that do at the start or behind one of kBeforeWhen; elsewhere they begin a clause ("what happens when it rains").
constexpr auto kWhen = Sorted({"when", "quand", "quando", "cuando"});
constexpr auto kBeforeWhen = Sorted({"until", "till", "since", "by", "from", "a", "da", "ate", "depuis", "desde", "entro", "hasta"});
/// Words that do with one of their own before them.
constexpr auto kAfterHow = Sorted({"long", "many", "much", "often", "old", "far", "heavy", "big", "large", "high", "late", "early", "soon", "fast"});
constexpr auto kAfterWie = Sorted({"viel", "viele", "lange", "oft", "schwer", "alt"});
constexpr auto kAfterHoe = Sorted({"lang", "veel", "vaak", "zwaar", "oud"});
constexpr auto kAfterWhat = Sorted({"time", "date", "day", "price", "percentage"});
/// Written out: two to twelve and what else is common. Not those that are common words of another language here as well: "one", "due", "sei", "elf".
constexpr auto kNumbers = Sorted({
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "twenty", "thirty", "hundred", "thousand", "once", "twice", "half",
    "zwei", "drei", "vier", "funf", "sechs", "sieben", "acht", "neun", "zehn", "zwolf", "hundert", "tausend", "einmal", "zweimal",
    "twee", "drie", "vijf", "zes", "zeven", "negen", "tien", "twaalf", "honderd", "duizend",
    "deux", "trois", "quatre", "cinq", "sept", "huit", "neuf", "dix", "douze", "cent", "mille",
    "tre", "quattro", "cinque", "sette", "otto", "nove", "dieci", "dodici", "cento",
    "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "doce", "cien",
    "dois", "duas", "quatro", "sete", "oito", "dez", "doze", "cem"});

}  // namespace

bool AsksForFigure(std::string_view question) {
  const auto words = FoldedWords(question);
  bool what = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i], before = i ? std::string_view(words[i - 1]) : std::string_view();
    if (OneOf(word, kAlone)) return true;
    if (OneOf(word, kWhen) && (i == 0 || OneOf(before, kBeforeWhen))) return true;
    if ((before == "how" && OneOf(word, kAfterHow)) || (before == "wie" && OneOf(word, kAfterWie)) || (before == "hoe" && OneOf(word, kAfterHoe))) return true;
    if ((before == "what" || before == "which") && OneOf(word, kAfterWhat)) return true;
    if (what && (word == "cost" || word == "costs")) return true;
    what |= word == "what";
  }
  return false;
}

bool HasFigure(std::string_view sentence) {
  if (std::any_of(sentence.begin(), sentence.end(), [](char c) { return c >= '0' && c <= '9'; })) return true;
  bool found = false;
  ForEachWord(sentence, [&](std::string_view word) { found |= OneOf(word, kNumbers); }, Language::kNone);
  return found;
}

}  // namespace tenfold::retrieval
