#pragma once
/// \file Lexical search: BM25 over postings, with phrases and misspelt words.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "retrieval/bitmap.h"
#include "retrieval/bm25_levels.h"
#include "retrieval/huge_pages.h"
#include "retrieval/word_query.h"

namespace tenfold::retrieval {

class SnapshotWriter;
class SnapshotReader;

/// A row and how well it fits; higher is better.
struct Hit {
  std::uint32_t row = 0;
  float score = 0;
};

/// Scores: the sum over the query's words, each as often as asked, of idf * tf / (tf + k1 * (1 - b + b * length / average length)), k1 = 1.2, b = 0.75,
/// idf = ln(1 + (N - n + 0.5) / (n + 0.5)), over the rows that are there. That is Lucene's BM25Similarity with lengths that are not rounded to a byte.
/// A misspelt word counts for the words near it with a weight of 1 - edits / characters and the idf of the most frequent of them. Words of a phrase score as words.
/// Threads: any number of readers; writers exclude each other and readers (the caller locks).
/// Search adds up what each document can have at most, window by window, in 16 bits. Frequent words have four bits for each document, so that many are added at once;
/// others their postings, and once `k` documents are found, long ones that together cannot lift a document above the worst of them are left out (MaxScore). Only documents
/// that may be among the best are scored exactly, from the words they hold.
/// Sources: Robertson & Zaragoza, "The Probabilistic Relevance Framework", 2009; Turtle & Flood, "Query evaluation: strategies and optimizations", 1995 (MaxScore).
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
  /// Nothing of what was removed is saved, names of words that only it had included.
  void Save(SnapshotWriter& to) const;
  /// Into one that is empty. Errors: as SnapshotReader; then it is not to be used.
  void Restore(SnapshotReader& from);

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  static constexpr std::uint8_t kMore = 0xff;
  /// Documents are numbered in the order of Add and never renumbered but by Rewrite, so that postings are appended. In halves: six bytes instead of eight.
  struct Posting {
    Posting() = default;
    Posting(std::uint32_t document, std::uint32_t times) : low(static_cast<std::uint16_t>(document)), high(static_cast<std::uint16_t>(document >> 16)), count(static_cast<std::uint8_t>(times < kMore ? times : kMore)) {}
    std::uint32_t document() const { return low | std::uint32_t{high} << 16; }
    std::uint16_t low = 0, high = 0;
    std::uint8_t count = 0;  ///< kMore: so many or more, see CountIn
    std::uint8_t bound = 0;  ///< tf / (tf + norm) in 255ths, rounded up; with bound_slope_ in the norm
  };
  struct Term {
    std::vector<Posting> postings;  ///< ascending; those of removed documents stay until Rewrite
    std::uint32_t name = 0;         ///< in names_
    std::uint32_t live = 0;         ///< documents
    std::uint32_t dense = kNone;    ///< in dense_, of a frequent term
    std::uint16_t name_bytes = 0;   ///< 0: of a snapshot, and nobody's; it is found by no name
    std::uint8_t most = 0;          ///< no posting's bound is greater
  };
  /// The bounds of a frequent term's postings, by document.
  struct Dense {
    std::uint32_t term;
    Levels levels;
  };
  /// Together, because what is scored needs all of it.
  struct Document {
    std::uint64_t begin;   ///< of its words in sequences_
    std::uint32_t length;  ///< words
    std::uint32_t row;     ///< kNone: removed
  };
  /// A term of a query.
  struct Clause {
    std::uint32_t term;
    double weight;  ///< idf, as often as asked
  };
  struct Norm {
    double base, slope;  ///< k1 * (1 - b), k1 * b / average length
  };
  class Best;
  class Scorer;
  class Scan;

  std::string_view NameOf(const Term& term) const { return std::string_view(names_).substr(term.name, term.name_bytes); }
  const Term* Find(std::string_view name) const;
  std::uint32_t FindOrAdd(std::string_view name);
  void GrowSlots();
  void Rewrite();
  /// The bounds of all postings anew, for the average length as it is now.
  void RenewBounds();
  void RenewBounds(Term& term);
  /// Gives a term a Dense if it is frequent, and takes it away if not.
  void ReviewDense(std::uint32_t term);
  void DropDense(std::uint32_t term);
  /// Calls `visit(term)` for the words of a document in their order.
  template <class F>
  void ForEachTermOf(std::uint32_t document, F&& visit) const;
  std::uint64_t EndOf(std::uint32_t document) const { return document + 1 < documents_.size() ? documents_[document + 1].begin : sequences_.size(); }
  std::uint32_t CountIn(std::uint32_t term, std::uint32_t document) const;

  double InverseFrequency(std::size_t matching) const;
  Norm NormNow() const;
  std::vector<Clause> ClausesOf(const WordQuery& query) const;
  void AddFuzzy(const WordQuery::Fuzzy& fuzzy, std::vector<std::pair<std::uint32_t, double>>& weights) const;
  /// Live documents that hold every phrase, ascending; nothing if the query has none.
  std::optional<std::vector<std::uint32_t>> WithPhrases(const WordQuery& query) const;
  bool HoldsPhrase(std::uint32_t document, std::span<const std::uint32_t> phrase) const;
  const Language language_;
  std::string names_;
  std::vector<Term> terms_;
  LevelMemory level_memory_;
  std::vector<Dense> dense_;
  std::vector<std::uint32_t> slots_;  // open addressing by hash of the name; kNone: free
  HugeVector<Document> documents_;
  HugeVector<std::uint8_t> sequences_;         // terms of each document in order, seven bits a byte: to remove it, to score it and to check phrases
  std::vector<std::uint32_t> document_of_row_;  // kNone: free
  std::size_t rows_ = 0;
  std::uint64_t total_length_ = 0;
  double bound_slope_ = 0;   // the Norm::slope that the bounds were computed with
  bool rows_ascend_ = true;  // with the documents' numbers
};

template <class F>
void Bm25Index::ForEachTermOf(std::uint32_t document, F&& visit) const {
  const auto* at = sequences_.data() + documents_[document].begin;
  for (auto left = documents_[document].length; left > 0; --left) {
    std::uint32_t term = *at++;
    if (term & 0x80) {
      term &= 0x7f;
      for (unsigned shift = 7;; shift += 7) {
        term |= (*at & 0x7fu) << shift;
        if (!(*at++ & 0x80)) break;
      }
    }
    visit(term);
  }
}

}  // namespace tenfold::retrieval
