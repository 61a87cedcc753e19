#pragma once
/// \file Lexical search: BM25 over postings.
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "retrieval/bitmap.h"

namespace tenfold::retrieval {

/// A row and how well it fits; higher is better.
struct Hit {
  std::uint32_t row = 0;
  float score = 0;
};

/// Threads: any number of readers; writers exclude each other and readers (the caller locks).
/// Source: Robertson & Zaragoza, "The Probabilistic Relevance Framework", 2009; idf as in Lucene (never negative).
class Bm25Index {
 public:
  /// `row` must be free. Cost: O(words).
  void Add(std::uint32_t row, std::string_view text);
  /// Cost: O(words of the row), and the postings of those words are compacted when half are dead.
  void Remove(std::uint32_t row);
  /// Best first; equal scores, lower row first. Only rows in `filter`. Empty if no word of `query` is known.
  std::vector<Hit> Search(std::string_view query, const Bitmap& filter, std::size_t k) const;
  std::size_t rows() const { return rows_; }
  /// Inverse document frequency of a word as Tokenize gives it; that of a word nobody used if unknown.
  double Weight(const std::string& word) const;

 private:
  struct Posting {
    std::uint32_t row;
    std::uint32_t count;
  };
  struct Term {
    std::vector<Posting> postings;
  };
  std::unordered_map<std::string, Term> terms_;
  std::vector<std::uint32_t> lengths_;                    // words per row; 0 free
  std::vector<std::vector<std::string>> words_of_row_;    // to find postings again at Remove
  std::size_t rows_ = 0;
  std::uint64_t total_length_ = 0;
};

}  // namespace tenfold::retrieval
