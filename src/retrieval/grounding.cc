// Source: word overlap with a window, in the spirit of ROUGE-L precision (Lin, 2004), hardened by exact agreement of numbers: a small model's typical fault is
// a fluent sentence with a wrong figure.
#include "retrieval/grounding.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "retrieval/chunker.h"
#include "retrieval/tokenize.h"

namespace tenfold::retrieval {
namespace {

constexpr double kSupported = 0.6;

struct Source {
  std::vector<std::set<std::string>> sentences;  // words of each sentence
  std::vector<ChunkSpan> spans;                  // where each stands
  std::set<std::string> words, numbers;
};

/// Digits with inner '.', ',' and ':' ("1,250.50", "14:00"), and number words up to twelve as digits.
std::set<std::string> NumbersOf(std::string_view text) {
  static const std::map<std::string, std::string, std::less<>> kWords{{"two", "2"}, {"three", "3"}, {"four", "4"}, {"five", "5"}, {"six", "6"}, {"seven", "7"}, {"eight", "8"}, {"nine", "9"}, {"ten", "10"}, {"eleven", "11"}, {"twelve", "12"}, {"thirty", "30"}, {"sixty", "60"}};
  std::set<std::string> out;
  for (std::size_t i = 0; i < text.size();) {
    if (std::isdigit(static_cast<unsigned char>(text[i]))) {
      std::string number;
      while (i < text.size() && (std::isdigit(static_cast<unsigned char>(text[i])) || ((text[i] == '.' || text[i] == ',' || text[i] == ':') && i + 1 < text.size() && std::isdigit(static_cast<unsigned char>(text[i + 1]))))) {
        if (text[i] != ',' || !(i + 3 < text.size() && std::isdigit(static_cast<unsigned char>(text[i + 3])))) number += text[i];
        ++i;
      }
      if (number.ends_with(".00")) number.resize(number.size() - 3);
      out.insert(number);
    } else if (std::isalpha(static_cast<unsigned char>(text[i]))) {
      std::string word;
      while (i < text.size() && std::isalpha(static_cast<unsigned char>(text[i]))) word += static_cast<char>(std::tolower(static_cast<unsigned char>(text[i++])));
      if (const auto found = kWords.find(word); found != kWords.end()) out.insert(found->second);
    } else {
      ++i;
    }
  }
  return out;
}

bool Negates(std::string_view text) {
  const auto folded = " " + FoldText(text) + " ";
  for (const char* word : {" not ", " no ", " never ", " cannot ", "n't ", " without ", " neither ", " nor ", " none ", " except ", " unless ", " exclud", " only ", "n’t "})
    if (folded.find(word) != std::string::npos) return true;
  return false;
}

std::string WithoutMarkers(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '[') {
      auto end = i + 1;
      while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end]))) ++end;
      if (end > i + 1 && end < text.size() && text[end] == ']') {
        i = end;
        if (out.ends_with(' ')) out.pop_back();
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

bool IsFactual(std::string_view sentence, const std::vector<std::string>& words) {
  if (words.empty() || sentence.ends_with('?')) return false;
  const auto folded = FoldText(sentence.substr(0, 60));
  for (const char* start : {"hello", "hi ", "thank", "you're welcome", "i hope", "let me know", "please let", "if you have any", "feel free", "sure", "of course", "i'm sorry", "sorry"})
    if (folded.starts_with(start) && words.size() < 10) return false;
  return true;
}

Source Read(std::string_view text) {
  Source source;
  for (const auto& span : SplitSentences(text)) {
    auto words = Tokenize(text.substr(span.begin, span.end - span.begin));
    source.sentences.emplace_back(words.begin(), words.end());
    source.spans.push_back(span);
    source.words.insert(words.begin(), words.end());
  }
  source.numbers = NumbersOf(text);
  return source;
}

struct Stretch {
  double share = 0;  // of the words that it holds
  std::size_t first = 0, last = 0;  // sentences
};

/// The best stretch of three sentences: a claim stitched together from all over the document is not what the document says.
Stretch FindStretch(const std::set<std::string>& words, const Source& source) {
  std::size_t best = 0, at = 0;
  for (std::size_t i = 0; i < source.sentences.size(); ++i) {
    std::size_t found = 0;
    for (const auto& word : words) {
      bool here = false;
      for (std::size_t j = i; j < std::min(i + 3, source.sentences.size()); ++j) here = here || source.sentences[j].contains(word);
      found += here;
    }
    // Of equal stretches the later start has fewer sentences before the first that counts.
    if (found > best || (found == best && best > 0 && i == at + 1)) {
      best = found;
      at = i;
    }
  }
  if (best == 0) return {};
  Stretch out{static_cast<double>(best) / static_cast<double>(words.size()), at, at};
  // No longer than it must be: sentences at its end that add no word are not part of it.
  std::set<std::string> held;
  for (std::size_t j = at; j < std::min(at + 3, source.sentences.size()); ++j) {
    const auto before = held.size();
    for (const auto& word : words)
      if (source.sentences[j].contains(word)) held.insert(word);
    if (held.size() > before) out.last = j;
  }
  return out;
}

}  // namespace

Grounding ScoreGrounding(std::string_view answer, std::span<const std::string> sources) {
  std::vector<Source> read;
  for (const auto& source : sources) read.push_back(Read(source));
  Grounding out;
  const auto text = WithoutMarkers(answer);
  std::size_t supported = 0;
  for (const auto& span : SplitSentences(text)) {
    SentenceSupport support;
    support.text = text.substr(span.begin, span.end - span.begin);
    const auto tokens = Tokenize(support.text);
    if (!IsFactual(support.text, tokens)) continue;
    const std::set<std::string> words(tokens.begin(), tokens.end());
    const auto numbers = NumbersOf(support.text);
    const bool negates = Negates(support.text);
    for (std::size_t s = 0; s < read.size(); ++s) {
      const auto stretch = FindStretch(words, read[s]);
      const bool numbers_agree = std::all_of(numbers.begin(), numbers.end(), [&](const auto& number) { return read[s].numbers.contains(number); });
      const bool negation_agrees = !negates || Negates(sources[s]);
      // A source that disagrees on a number can still be named as the nearest, never as support.
      const double score = numbers_agree && negation_agrees ? stretch.share : std::min(stretch.share, 0.4);
      if (score > support.score) {
        support.score = score;
        support.source = static_cast<std::int64_t>(s);
        support.begin = static_cast<std::int64_t>(read[s].spans[stretch.first].begin);
        support.end = static_cast<std::int64_t>(read[s].spans[stretch.last].end);
      }
    }
    support.supported = support.score >= kSupported;
    supported += support.supported;
    out.sentences.push_back(std::move(support));
  }
  if (!out.sentences.empty()) out.score = static_cast<double>(supported) / static_cast<double>(out.sentences.size());
  return out;
}

}  // namespace tenfold::retrieval
