#pragma once
/// \file Lexical search: BM25 over postings, with phrases and misspelt words.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "retrieval/bitmap.h"
#include "retrieval/word_query.h"

namespace tenfold::retrieval {

/// A row and how well it fits; higher is better.
struct Hit {
  std::uint32_t row = 0;
  float score = 0;
};

/// Scores: the sum over the query's words, each as often as asked, of idf * tf / (tf + k1 * (1 - b + b * length / average length)), k1 = 1.2, b = 0.75,
/// idf = ln(1 + (N - n + 0.5) / (n + 0.5)), over the rows that are there. That is Lucene's BM25Similarity with lengths that are not rounded to a byte.
/// A misspelt word counts for the words near it with a weight of 1 - edits / characters and the idf of the most frequent of them. Words of a phrase score as words.
/// Threads: any number of readers; writers exclude each other and readers (the caller locks).
/// Search adds up what each document can have at most, window by window: for frequent terms from a byte a document, so that sixteen are added at once, for others from
/// their postings. Only documents that may be among the best are scored exactly.
/// Source: Robertson & Zaragoza, "The Probabilistic Relevance Framework", 2009.
class Bm25Index {
 public:
  explicit Bm25Index(Language language = Language::kEnglish) : language_(language) {}
  /// `row` must be free. A text without words leaves it free. Cost: O(words).
  void Add(std::uint32_t row, std::string_view text);
  /// Cost: O(words of the row); once a quarter is removed, what remains is written anew.
  void Remove(std::uint32_t row);
  /// Best first; equal scores, lower row first. Only rows in `filter`. A row holds one of the words and all the phrases. Empty if no word of `query` is known.
  std::vector<Hit> Search(const WordQuery& query, const Bitmap& filter, std::size_t k) const;
  std::vector<Hit> Search(std::string_view query, const Bitmap& filter, std::size_t k) const { return Search(ParseWordQuery(query, language_), filter, k); }
  std::size_t rows() const { return rows_; }
  Language language() const { return language_; }
  /// Inverse document frequency of a word as Tokenize gives it; that of a word nobody used if unknown.
  double Weight(std::string_view word) const;
  /// Bytes held, about.
  std::size_t bytes() const;

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  static constexpr std::uint16_t kMore = 0xffff;
  /// Documents are numbered in the order of Add and never renumbered but by Rewrite, so that postings are appended.
  struct Posting {
    std::uint32_t document;
    std::uint16_t count;   ///< kMore: too many for it, see CountIn
    std::uint16_t length;  ///< of the document; kMore: see lengths_
  };
  struct Term {
    std::vector<Posting> postings;  ///< ascending; those of removed documents stay until Rewrite
    std::vector<std::uint8_t> bounds;  ///< of a frequent term, by document: tf / (tf + norm) in 255ths, rounded up; documents past the end have none
    std::uint32_t name = 0;         ///< in names_
    std::uint32_t live = 0;         ///< documents
    std::uint16_t name_bytes = 0;
  };
  /// A term of a query.
  struct Clause {
    const Term* term;
    double weight;       ///< idf, as often as asked
    std::size_t at = 0;  ///< postings before it were passed
  };
  struct Norm {
    double base, slope;  ///< k1 * (1 - b), k1 * b / average length
  };
  class Best;

  std::string_view NameOf(const Term& term) const { return std::string_view(names_).substr(term.name, term.name_bytes); }
  const Term* Find(std::string_view name) const;
  std::uint32_t FindOrAdd(std::string_view name);
  void GrowSlots();
  void Rewrite();
  void KeepBounds(Term& term);
  void RaiseBound(Term& term, const Posting& posting) const;
  /// Calls `visit(term)` for the words of a document in their order.
  template <class F>
  void ForEachTermOf(std::uint32_t document, F&& visit) const;
  std::uint32_t CountIn(std::uint32_t term, std::uint32_t document) const;

  double InverseFrequency(std::size_t matching) const;
  Norm NormNow() const;
  double Part(const Clause& clause, const Posting& posting, Norm norm) const;
  static void MoveTo(Clause& clause, std::uint32_t document);
  /// The clause's part of the document's score; moves the clause on, so documents must ascend.
  double PartOf(Clause& clause, std::uint32_t document, Norm norm) const;
  std::vector<Clause> ClausesOf(const WordQuery& query) const;
  void AddFuzzy(const WordQuery::Fuzzy& fuzzy, std::vector<std::pair<std::uint32_t, double>>& weights) const;
  /// Live documents that hold every phrase, ascending; nothing if the query has none.
  std::optional<std::vector<std::uint32_t>> WithPhrases(const WordQuery& query) const;
  bool HoldsPhrase(std::uint32_t document, std::span<const std::uint32_t> phrase) const;
  void SearchIn(std::span<const std::uint32_t> documents, std::vector<Clause>& clauses, const Bitmap& filter, Best& best) const;
  void SearchAll(std::vector<Clause>& clauses, const Bitmap& filter, Best& best) const;
  /// Adds to sums[0..size) what documents first.. can have at most of the clause, and moves it on.
  void AddBounds(Clause& clause, Norm norm, double stretch, std::uint32_t first, std::span<float> sums) const;

  const Language language_;
  std::string names_;
  std::vector<Term> terms_;
  std::vector<std::uint32_t> slots_;  // open addressing by hash of the name; kNone: free
  std::vector<std::uint32_t> row_of_document_;  // kNone: removed
  std::vector<std::uint32_t> lengths_;          // words per document
  std::vector<std::uint64_t> sequence_of_document_;  // where its words begin in sequences_
  std::vector<std::uint8_t> sequences_;         // terms of each document in order, seven bits a byte: to remove it and to check phrases
  std::vector<std::uint32_t> document_of_row_;  // kNone: free
  std::size_t rows_ = 0;
  std::uint64_t total_length_ = 0;
  double bound_slope_ = 0;   // the Norm::slope that the terms' bounds were computed with
  bool rows_ascend_ = true;  // with the documents' numbers
};

}  // namespace tenfold::retrieval
