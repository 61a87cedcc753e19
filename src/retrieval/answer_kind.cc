#include "retrieval/answer_kind.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "retrieval/tokenize.h"

namespace tenfold::retrieval {
namespace {

template <std::size_t kSize>
bool OneOf(std::string_view word, const std::array<std::string_view, kSize>& list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

/// Words that ask for a figure wherever they stand. Folded, as all here.
constexpr auto kAlone = std::to_array<std::string_view>({"wann", "wieviel", "wieviele", "wanneer", "hoeveel", "combien", "quanto", "quanta", "quanti", "quante",
                                                  "quantos", "quantas", "cuanto", "cuanta", "cuantos", "cuantas"});
/// Words that do at the start or behind one of kBeforeWhen; elsewhere they begin a clause ("what happens when it rains").
constexpr auto kWhen = std::to_array<std::string_view>({"when", "quand", "quando", "cuando"});
constexpr auto kBeforeWhen = std::to_array<std::string_view>({"until", "till", "since", "by", "from", "a", "da", "ate", "depuis", "desde", "entro", "hasta"});
/// Words that do with one of their own before them.
constexpr auto kAfterHow = std::to_array<std::string_view>({"long", "many", "much", "often", "old", "far", "heavy", "big", "large", "high", "late", "early", "soon", "fast"});
constexpr auto kAfterWie = std::to_array<std::string_view>({"viel", "viele", "lange", "oft", "schwer", "alt"});
constexpr auto kAfterHoe = std::to_array<std::string_view>({"lang", "veel", "vaak", "zwaar", "oud"});
constexpr auto kAfterWhat = std::to_array<std::string_view>({"time", "date", "day", "price", "percentage"});
/// Written out: two to twelve and what else is common. "One" and its like are articles as well.
constexpr auto kNumbers = std::to_array<std::string_view>({
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "twenty", "thirty", "hundred", "thousand", "once", "twice", "half",
    "zwei", "drei", "vier", "funf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwolf", "hundert", "tausend", "einmal", "zweimal",
    "twee", "drie", "vijf", "zes", "zeven", "negen", "tien", "twaalf", "honderd", "duizend",
    "deux", "trois", "quatre", "cinq", "sept", "huit", "neuf", "dix", "douze", "cent", "mille",
    "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove", "dieci", "dodici", "cento",
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
  const auto words = FoldedWords(sentence);
  return std::any_of(words.begin(), words.end(), [](const std::string& word) { return OneOf(word, kNumbers); });
}

}  // namespace tenfold::retrieval
