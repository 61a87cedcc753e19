#include "retrieval/word_query.h"

#include <algorithm>
#include <array>

namespace tenfold::retrieval {
namespace {

constexpr std::size_t kMaxWords = 64, kMaxPhrases = 16, kMaxFuzzy = 8;

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::size_t AutomaticEdits(std::size_t characters) { return characters < 3 ? 0 : characters < 6 ? 1 : 2; }

class Parser {
 public:
  Parser(WordQuery& out) : out_(out) {}
  void Plain(std::string_view text) {
    // Only a tilde behind a word, before a space or the end, is more than a separator.
    for (std::size_t at = 0; at < text.size();) {
      while (at < text.size() && IsSpace(text[at])) ++at;
      auto end = at;
      while (end < text.size() && !IsSpace(text[end])) ++end;
      const auto word = text.substr(at, end - at);
      std::size_t edits = 0;
      const auto tilde = word.rfind('~');
      const bool is_fuzzy = tilde != std::string_view::npos && tilde > 0 && (tilde + 1 == word.size() || (tilde + 2 == word.size() && (word.back() == '1' || word.back() == '2')));
      if (is_fuzzy && tilde + 2 == word.size()) edits = static_cast<std::size_t>(word.back() - '0');
      Add(is_fuzzy ? word.substr(0, tilde) : word);
      if (is_fuzzy)
        for (auto& folded : FoldedWords(word.substr(0, tilde))) {
          const auto allowed = edits ? edits : AutomaticEdits(ToCodePoints(folded).size());
          if (allowed > 0 && out_.fuzzy.size() < kMaxFuzzy) out_.fuzzy.push_back({std::move(folded), allowed});
        }
      at = end;
    }
  }
  void Phrase(std::string_view text) {
    const auto before = out_.words.size();
    Add(text);
    if (out_.words.size() > before && out_.phrases.size() < kMaxPhrases) out_.phrases.emplace_back(out_.words.begin() + static_cast<std::ptrdiff_t>(before), out_.words.end());
  }

 private:
  void Add(std::string_view text) {
    ForEachWord(text, [&](std::string_view stem) {
      if (out_.words.size() < kMaxWords) out_.words.emplace_back(stem);
    }, out_.language);
  }
  WordQuery& out_;
};

}  // namespace

WordQuery ParseWordQuery(std::string_view text, Language language) {
  WordQuery out;
  out.language = language;
  Parser parser(out);
  for (std::size_t at = 0; at < text.size();) {
    const auto open = text.find('"', at);
    const auto close = open == std::string_view::npos ? open : text.find('"', open + 1);
    parser.Plain(text.substr(at, close == std::string_view::npos ? std::string_view::npos : open - at));
    if (close == std::string_view::npos) break;
    parser.Phrase(text.substr(open + 1, close - open - 1));
    at = close + 1;
  }
  return out;
}

std::string PlainWords(std::string text) {
  for (auto& c : text)
    if (c == '"' || c == '~') c = ' ';
  return text;
}

std::u32string ToCodePoints(std::string_view text) {
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto first = static_cast<unsigned char>(text[at]);
    const std::size_t bytes = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 1;
    char32_t code = first < 0x80 ? first : bytes == 1 ? 0xfffd : first & (0x7fu >> bytes);
    std::size_t i = 1;
    for (; i < bytes && at + i < text.size() && (static_cast<unsigned char>(text[at + i]) & 0xc0) == 0x80; ++i) code = code << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3f);
    out += i == bytes ? code : 0xfffd;
    at += i;
  }
  return out;
}

bool WithinEdits(std::u32string_view a, std::u32string_view b, std::size_t limit, std::size_t& edits) {
  constexpr std::size_t kLongest = 64;
  if (a.size() > kLongest || b.size() > kLongest) return false;
  if ((a.size() > b.size() ? a.size() - b.size() : b.size() - a.size()) > limit) return false;
  std::array<std::size_t, kLongest + 1> before{}, last{}, row{};
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    auto least = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t differs = a[i - 1] != b[j - 1];
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + differs});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
      least = std::min(least, row[j]);
    }
    if (least > limit) return false;
    before = last;
    last = row;
  }
  edits = last[b.size()];
  return edits <= limit;
}

}  // namespace tenfold::retrieval
