#include "retrieval/bm25_index.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "retrieval/tokenize.h"

namespace tenfold::retrieval {
namespace {

float InverseFrequency(std::size_t rows, std::size_t matching) {
  const auto n = static_cast<float>(rows), m = static_cast<float>(std::min(matching, rows));
  return std::log(1 + (n - m + 0.5f) / (m + 0.5f));
}

}  // namespace
namespace {
constexpr float kK1 = 1.2f, kB = 0.75f;
}

void Bm25Index::Add(std::uint32_t row, std::string_view text) {
  if (row >= lengths_.size()) {
    lengths_.resize(row + 1);
    words_of_row_.resize(row + 1);
  }
  TENFOLD_CHECK(lengths_[row] == 0);
  std::map<std::string, std::uint32_t> counts;
  std::uint32_t length = 0;
  for (auto& word : Tokenize(text)) {
    ++counts[std::move(word)];
    ++length;
  }
  lengths_[row] = std::max(1u, length);
  total_length_ += lengths_[row];
  ++rows_;
  auto& words = words_of_row_[row];
  for (const auto& [word, count] : counts) {
    terms_[word].postings.push_back({row, count});
    words.push_back(word);
  }
}

void Bm25Index::Remove(std::uint32_t row) {
  if (row >= lengths_.size() || lengths_[row] == 0) return;
  total_length_ -= lengths_[row];
  lengths_[row] = 0;
  --rows_;
  for (const auto& word : words_of_row_[row]) {
    const auto term = terms_.find(word);
    auto& postings = term->second.postings;
    postings.erase(std::remove_if(postings.begin(), postings.end(), [&](const Posting& p) { return p.row == row; }), postings.end());
    if (postings.empty()) terms_.erase(term);
  }
  words_of_row_[row].clear();
}

double Bm25Index::Weight(const std::string& word) const {
  const auto term = terms_.find(word);
  return InverseFrequency(rows_, term == terms_.end() ? 0 : term->second.postings.size());
}

std::vector<Hit> Bm25Index::Search(std::string_view query, const Bitmap& filter, std::size_t k) const {
  auto words = Tokenize(query);
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  thread_local std::vector<float> scores;
  thread_local std::vector<std::uint32_t> touched;
  scores.resize(std::max(scores.size(), lengths_.size()));
  touched.clear();
  const float average = rows_ ? static_cast<float>(total_length_) / static_cast<float>(rows_) : 1;
  for (const auto& word : words) {
    const auto term = terms_.find(word);
    if (term == terms_.end()) continue;
    const float idf = InverseFrequency(rows_, term->second.postings.size());
    for (const auto& posting : term->second.postings) {
      if (!filter.Test(posting.row)) continue;
      const auto count = static_cast<float>(posting.count);
      const float norm = kK1 * (1 - kB + kB * static_cast<float>(lengths_[posting.row]) / average);
      if (scores[posting.row] == 0) touched.push_back(posting.row);
      scores[posting.row] += idf * count * (kK1 + 1) / (count + norm);
    }
  }
  std::vector<Hit> hits;
  hits.reserve(touched.size());
  for (const auto row : touched) {
    hits.push_back({row, scores[row]});
    scores[row] = 0;
  }
  const auto better = [](const Hit& a, const Hit& b) { return a.score != b.score ? a.score > b.score : a.row < b.row; };
  const auto keep = std::min(k, hits.size());
  std::partial_sort(hits.begin(), hits.begin() + static_cast<std::ptrdiff_t>(keep), hits.end(), better);
  hits.resize(keep);
  return hits;
}

}  // namespace tenfold::retrieval
