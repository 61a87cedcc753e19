#include "retrieval/bm25_index.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <set>

namespace tenfold::retrieval {
namespace {

Bitmap All(std::size_t rows) {
  Bitmap out;
  for (std::size_t i = 0; i < rows; ++i) out.Set(i);
  return out;
}

std::vector<std::uint32_t> RowsOf(const std::vector<Hit>& hits) {
  std::vector<std::uint32_t> out;
  for (const auto& hit : hits) out.push_back(hit.row);
  return out;
}

/// The formula in double over all texts, with phrases looked for word by word.
class Model {
 public:
  std::map<std::uint32_t, std::vector<std::string>> texts;
  std::vector<std::pair<double, std::uint32_t>> Search(const WordQuery& query, const Bitmap& filter) const {
    double total = 0;
    std::map<std::string, double> matching;
    for (const auto& [row, words] : texts) {
      total += static_cast<double>(words.size());
      for (const auto& word : std::set<std::string>(words.begin(), words.end())) ++matching[word];
    }
    const auto n = static_cast<double>(texts.size());
    std::vector<std::pair<double, std::uint32_t>> out;
    for (const auto& [row, words] : texts) {
      if (!filter.Test(row)) continue;
      const bool holds = std::all_of(query.phrases.begin(), query.phrases.end(), [&, all = &words](const auto& phrase) { return std::search(all->begin(), all->end(), phrase.begin(), phrase.end()) != all->end(); });
      double score = 0;
      for (const auto& word : query.words) {
        const auto count = static_cast<double>(std::count(words.begin(), words.end(), word));
        if (count > 0) score += std::log(1 + (n - matching[word] + 0.5) / (matching[word] + 0.5)) * count / (count + 1.2 * (0.25 + 0.75 * static_cast<double>(words.size()) / (total / n)));
      }
      if (score > 0 && holds) out.emplace_back(-score, row);
    }
    std::sort(out.begin(), out.end());
    return out;
  }
};

TEST(Bm25, EqualsLucenesFormulaThroughAddsAndRemovals) {
  std::mt19937 random(11);
  const auto below = [&](std::size_t n) { return random() % n; };
  Bm25Index index;
  Model model;
  std::size_t compared = 0, with_phrase = 0;
  for (int step = 0; step < 12'000; ++step) {
    const auto row = static_cast<std::uint32_t>(below(900));
    if (model.texts.contains(row)) {
      if (below(3)) continue;
      index.Remove(row);
      model.texts.erase(row);
    } else {
      // A few words are everywhere, most are rare; some texts are long.
      std::string text;
      for (auto n = 1 + below(below(20) ? 12 : 300); n > 0; --n) text += "w" + std::to_string(static_cast<int>(std::exp(static_cast<double>(below(1000)) / 1000 * 6))) + " ";
      index.Add(row, text);
      model.texts[row] = Tokenize(text);
    }
    if (step % 10) continue;
    std::string text;
    for (auto n = 1 + below(6); n > 0; --n) text += "w" + std::to_string(1 + below(below(2) ? 10 : 300)) + " ";
    if (below(4) == 0) text += "\"w" + std::to_string(1 + below(4)) + " w" + std::to_string(1 + below(4)) + "\"";
    const auto query = ParseWordQuery(text);
    Bitmap filter;
    const auto share = std::array{1u, 1u, 2u, 50u}[below(4)];
    for (std::uint32_t i = 0; i < 900; ++i)
      if (i % share == 0) filter.Set(i);
    const auto k = std::array{1u, 10u, 1000u}[below(3)];
    const auto hits = index.Search(query, filter, k);
    auto expected = model.Search(query, filter);
    ASSERT_EQ(hits.size(), std::min<std::size_t>(k, expected.size())) << text;
    for (std::size_t i = 0; i < hits.size(); ++i) {
      // Relative to the score, as a float holds it.
      ASSERT_NEAR(hits[i].score / -expected[i].first, 1, 1e-6) << text;
      const auto right = std::find_if(expected.begin(), expected.end(), [&](const auto& one) { return one.second == hits[i].row; });
      ASSERT_NE(right, expected.end());
      ASSERT_NEAR(hits[i].score / -right->first, 1, 1e-6);
      if (i > 0) ASSERT_TRUE(hits[i - 1].score > hits[i].score || (hits[i - 1].score == hits[i].score && hits[i - 1].row < hits[i].row));
    }
    compared += hits.size();
    with_phrase += !query.phrases.empty() && !hits.empty();
  }
  EXPECT_GT(compared, 10'000u);
  EXPECT_GT(with_phrase, 50u);
  EXPECT_EQ(index.rows(), model.texts.size());
}

TEST(Bm25, FindsExactlyTheBestAmongManyDocuments) {
  // Several windows, words of all frequencies, texts that get longer (so that the bounds are older than the average length), copies with equal scores, and rows out of order.
  std::mt19937 random(5);
  const auto below = [&](std::size_t n) { return random() % n; };
  Bm25Index index;
  Model model;
  constexpr std::uint32_t kRows = 18'000;
  std::vector<std::string> texts;
  const auto add = [&](std::uint32_t row) {
    std::string text;
    if (!texts.empty() && below(4) == 0) {
      text = texts[below(texts.size())];
    } else {
      for (auto n = 2 + below(4 + row / 2000); n > 0; --n) text += "w" + std::to_string(static_cast<int>(std::exp(static_cast<double>(below(1000)) / 1000 * 7))) + " ";
      texts.push_back(text);
    }
    index.Add(row, text);
    model.texts[row] = Tokenize(text);
  };
  for (std::uint32_t i = 0; i < kRows; ++i) add(i * 7 % kRows);
  for (int round = 0; round < 3; ++round) {
    for (int turn = 0; turn < 6; ++turn) {
      std::string text;
      for (auto n = 1 + below(8); n > 0; --n) text += "w" + std::to_string(1 + below(std::array{6u, 40u, 900u}[below(3)])) + " ";
      Bitmap filter;
      const auto share = std::array{1u, 1u, 3u, 40u}[below(4)];
      for (std::uint32_t i = 0; i < kRows; ++i)
        if (i % share == 0) filter.Set(i);
      const auto k = std::array{1u, 10u, 600u}[below(3)];
      const auto hits = index.Search(text, filter, k);
      const auto expected = model.Search(ParseWordQuery(text), filter);
      ASSERT_EQ(hits.size(), std::min<std::size_t>(k, expected.size())) << text;
      for (std::size_t i = 0; i < hits.size(); ++i) {
        ASSERT_NEAR(hits[i].score / -expected[i].first, 1, 1e-6) << text;
        if (i > 0) ASSERT_TRUE(hits[i - 1].score > hits[i].score || (hits[i - 1].score == hits[i].score && hits[i - 1].row < hits[i].row)) << text;
      }
      // Of copies with the last score, those of the lowest rows.
      if (hits.size() == k && k < expected.size() && expected[k - 1].first == expected[k].first) {
        for (std::size_t i = 0; i < k; ++i) ASSERT_EQ(hits[i].row, expected[i].second) << text;
      }
    }
    for (std::uint32_t i = 0; i < kRows; ++i)
      if (below(10) < static_cast<std::size_t>(round) * 2 + 1 && model.texts.erase(i) > 0) index.Remove(i);
    for (std::uint32_t i = 0; i < kRows; i += 3)
      if (!model.texts.contains(i)) add(i);
  }
}

TEST(Bm25, ForgetsWordsThatNobodyUses) {
  Bm25Index index;
  for (std::uint32_t i = 0; i < 2000; ++i) index.Add(i, "common word" + std::to_string(i));
  const auto full = index.bytes();
  for (std::uint32_t i = 0; i < 1990; ++i) index.Remove(i);
  EXPECT_LT(index.bytes(), full / 10);
  EXPECT_TRUE(index.Search("word7", All(2000), 5).empty());
  EXPECT_EQ(index.Search("common", All(2000), 50).size(), 10u);
  EXPECT_EQ(RowsOf(index.Search("word1995", All(2000), 5)), (std::vector<std::uint32_t>{1995}));
}

TEST(Bm25, CountsAWordAsOftenAsItIsAsked) {
  Bm25Index index;
  index.Add(0, "tent stove");
  index.Add(1, "tent pole");
  const auto once = index.Search("stove", All(2), 5), twice = index.Search("stove stove", All(2), 5);
  EXPECT_FLOAT_EQ(twice[0].score, 2 * once[0].score);
}

TEST(Bm25, RefusesRowsWithoutThePhrase) {
  Bm25Index index;
  index.Add(0, "A waterproof rain fly for the tent");
  index.Add(1, "The fly keeps rain out");
  index.Add(2, "Rain. Fly.");
  EXPECT_EQ(RowsOf(index.Search("\"rain fly\" tent", All(3), 5)), (std::vector<std::uint32_t>{0, 2}));
  EXPECT_EQ(index.Search("rain fly tent", All(3), 5).size(), 3u);
  EXPECT_TRUE(index.Search("\"fly waterproof\"", All(3), 5).empty());
  EXPECT_TRUE(index.Search("\"rain unicorn\" tent", All(3), 5).empty());
  EXPECT_EQ(index.Search("\"rain fly tent", All(3), 5).size(), 3u);  // no phrase: its quote has no partner
}

TEST(Bm25, FindsMisspeltWords) {
  Bm25Index index;
  index.Add(0, "sleeping mattress");
  index.Add(1, "camping stove");
  index.Add(2, "mattock");
  EXPECT_TRUE(index.Search("matress", All(3), 5).empty());
  EXPECT_EQ(RowsOf(index.Search("matress~", All(3), 5)), (std::vector<std::uint32_t>{0}));
  EXPECT_EQ(RowsOf(index.Search("stvoe~1", All(3), 5)), (std::vector<std::uint32_t>{1}));  // two neighbours swapped
  EXPECT_TRUE(index.Search("xtove~2", All(3), 5).empty());  // the first letter is right
  // What is written right is better than what is near.
  index.Add(3, "matress");
  EXPECT_EQ(RowsOf(index.Search("matress~", All(4), 5)), (std::vector<std::uint32_t>{3, 0}));
}

TEST(WordQuery, TakesAnythingForWords) {
  for (const auto* text : {"", "\"", "\"\"", "~", "~~~ \"~\" ~2", "a~3", "\"a\" \"b", "\xff\xfe~"}) {
    const auto query = ParseWordQuery(text);
    EXPECT_LE(query.fuzzy.size(), 1u) << text;
  }
  EXPECT_EQ(ParseWordQuery("tents~ at~ \"rain fly\"").fuzzy.size(), 1u);  // two letters are too few
  EXPECT_EQ(ParseWordQuery("tents~2").fuzzy.at(0).edits, 2u);
  EXPECT_EQ(ParseWordQuery("say \"rain fly\" now").words, (std::vector<std::string>{"say", "rain", "fli", "now"}));
  EXPECT_TRUE(ParseWordQuery(PlainWords("say \"rain fly\" now~")).phrases.empty());
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "\"x" + std::to_string(i) + "\" y" + std::to_string(i) + "~ ";
  EXPECT_EQ(ParseWordQuery(many).words.size(), 64u);
}

TEST(WithinEdits, CountsSwapsOnce) {
  std::size_t edits = 9;
  EXPECT_TRUE(WithinEdits(U"stove", U"stvoe", 1, edits));
  EXPECT_EQ(edits, 1u);
  EXPECT_TRUE(WithinEdits(U"stove", U"stoves", 1, edits));
  EXPECT_FALSE(WithinEdits(U"stove", U"stab", 1, edits));
  EXPECT_TRUE(WithinEdits(U"größe", U"grösse", 2, edits));
  EXPECT_EQ(edits, 2u);
  EXPECT_TRUE(WithinEdits(U"", U"", 0, edits));
}

TEST(Tokenize, KnowsLanguages) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(Tokenize("Die Häuser der Städte", Language::kGerman), (Words{"haus", "stadt"}));
  EXPECT_EQ(Tokenize("les chevaux mangeaient", Language::kFrench), (Words{"cheval", "mang"}));
  EXPECT_EQ(Tokenize("las canciones bonitas", Language::kSpanish), (Words{"cancion", "bonit"}));
  EXPECT_EQ(Tokenize("Книги о Москве", Language::kRussian), Tokenize("КНИГА Москва", Language::kRussian));
  EXPECT_EQ(Tokenize("running tents", Language::kNone), (Words{"running", "tents"}));
}

TEST(Tokenize, PairsCharactersOfWordsWithoutSpaces) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(Tokenize("東京都。犬"), (Words{"東京", "京都", "犬"}));
  EXPECT_EQ(Tokenize("Tent テント2人"), (Words{"tent", "テン", "ント", "2", "人"}));
  EXPECT_EQ(Tokenize("한국어"), (Words{"한국", "국어"}));
}

TEST(Tokenize, SplitsAtPunctuationOfAnyScriptAndFoldsCase) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(Tokenize("tent—stove “lamp”…rope", Language::kNone), (Words{"tent", "stove", "lamp", "rope"}));
  EXPECT_EQ(Tokenize("ＡＢＣ１２", Language::kNone), (Words{"abc12"}));
  EXPECT_EQ(Tokenize("ΑΘΉΝΑΣ Αθηνας", Language::kNone), (Words{"αθηνασ", "αθηνασ"}));
  EXPECT_EQ(Tokenize("ЁЖ еж", Language::kNone), (Words{"еж", "еж"}));
  EXPECT_EQ(Tokenize("cafe\xcc\x81 \xff\xfetent \xe2\x82", Language::kNone), (Words{"cafe", "tent"}));
  EXPECT_EQ(Tokenize("Łódź", Language::kNone), (Words{"lodz"}));
}

}  // namespace
}  // namespace tenfold::retrieval
