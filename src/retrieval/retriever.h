#pragma once
/// \file A question to passages the asker may read, and to the sentences of them that answer best.
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/store.h"
#include "models/embedder.h"
#include "models/reranker.h"
#include "retrieval/chunker.h"
#include "retrieval/document.h"
#include "retrieval/passage_index.h"

namespace tenfold::retrieval {

/// A passage found for a question, with all its pedigree needs.
struct FoundPassage {
  std::string chunk;
  std::string document;
  std::string uri;
  std::string title;
  std::string heading;
  std::int64_t version = 0;
  std::string source;
  std::int64_t begin = 0;  ///< bytes of the document's text
  std::int64_t end = 0;
  std::string text;
  double score = 0;   ///< fused, 0..1
  double cosine = 0;  ///< -1..1; 0 without an embedder
  double bm25 = 0;
};
TENFOLD_DESCRIBE(FoundPassage, (chunk), (document), (uri), (title), (heading), (version), (source), (begin), (end), (text), (score), (cosine), (bm25))

/// One sentence of a found passage.
struct Evidence {
  std::int64_t passage = 0;  ///< index into Retrieved::passages
  std::int64_t begin = 0;    ///< bytes of the passage's text
  std::int64_t end = 0;
  std::string text;          ///< as ReadSentences gives it
  double score = 0;          ///< cosine with the question mixed with the share of its words that occur; 0..1
};
TENFOLD_DESCRIBE(Evidence, (passage), (begin), (end), (text), (score))

/// One that was looked at, and how it came to its place.
struct ExplainedCandidate {
  std::string chunk;
  std::string document;
  std::string uri;
  std::string title;
  HitExplanation why;
  std::optional<double> relevance = {};  ///< what the re-ranking model said of it, 0..1; nothing if it was not asked
};
TENFOLD_DESCRIBE(ExplainedCandidate, (chunk), (document), (uri), (title), (why), (relevance))

struct Retrieved {
  std::vector<FoundPassage> passages;  ///< best first
  std::vector<Evidence> evidence;      ///< best first
  double support = 0;                  ///< how likely the passages answer the question at all, 0..1: the larger of the first and the mean of the other two below
  double passage_cosine = 0;           ///< of the best passage
  double sentence_cosine = 0;          ///< of the best sentence
  double coverage = 0;                 ///< weighted share of the question's words in the best passage
  std::int64_t commit = 0;
  std::map<std::string, std::vector<FacetCount>> facets = {};
  std::vector<ExplainedCandidate> candidates = {};  ///< with RetrieveOptions::explain: in the order of the list, the passages and what was cut
  std::int64_t readable = 0;  ///< with explain: passages that the caller may read
  std::int64_t allowed = 0;   ///< with explain: of them those that `documents` and `filter` let through
  std::string reranker = {};  ///< the model that re-ranked the head of the list; empty: none did
  std::string notice = {};    ///< empty, or why the answer was found otherwise than the settings say
};
TENFOLD_DESCRIBE(Retrieved, (passages), (evidence), (support), (passage_cosine), (sentence_cosine), (coverage), (commit), (facets), (candidates), (readable), (allowed), (reranker), (notice))

struct RetrieveOptions {
  std::size_t k = 4;
  std::optional<std::vector<std::string>> documents = {};  ///< only these
  bool with_evidence = false;
  /// Groups of words that mean the same here, each "rucksack, backpack": a question with one is searched for with all.
  std::span<const std::string> synonyms = {};
  /// Whether they are embedded with the question as well, or used for words alone.
  bool embed_synonyms = true;
  std::string focus = {};  ///< if given, sentences are ranked by it instead of the query
  Filter filter = {};      ///< of SearchedMetadata
  std::size_t offset = 0;  ///< of paging; not together with evidence, which reorders
  std::size_t per_document = 0;  ///< at most so many passages of one document; 0: no limit
  float diversity = 0;     ///< as IndexQuery::diversity
  std::vector<std::string> facets = {};  ///< as IndexQuery::facets
  bool explain = false;
};

/// A model that reads the question with each of the first passages and puts them in the order of what it says.
struct HeadReranking {
  std::shared_ptr<models::Reranker> model = nullptr;  ///< null: nobody does
  std::size_t passages = 10;                          ///< of the fused list; what comes after them stays behind them
  std::chrono::milliseconds limit{1000};               ///< then the order of the list stands
};

/// The query for `k` passages as the retriever asks it of its index: how both lists are fused and re-ranked is chosen here, for whoever measures or compares searches too.
/// An empty `vector` searches words alone.
IndexQuery HybridQuery(std::string text, std::vector<float> vector, std::size_t k);

/// Threads: safe; the calling thread computes.
class Retriever {
 public:
  /// `index` says what is searched, anew for each question.
  Retriever(data::Store& store, std::function<OpenIndex()> index, HeadReranking reranking = {});
  /// Only what the caller may read, as of one commit. With a re-ranking model (and no diversity, which is an order of its own) the score of a passage that it read is what it said of it. A model that
  /// fails or takes too long is not asked for ten seconds; the list then keeps its order, and `notice` says so. Errors: kCancelled, kDeadlineExceeded.
  Retrieved Retrieve(const Context& ctx, const std::string& query, const RetrieveOptions& options) const;

 private:
  /// What is known of a found passage beside it.
  struct Candidate {
    std::vector<PassageSentence> sentences = {};
    std::vector<std::int8_t> codes = {};
    std::optional<double> relevance = {};  ///< as the re-ranking model has it
  };
  /// Reads the hits' passages in their order; leaves out what is not there any more or not the caller's, and says how many those were.
  std::size_t Join(const Context& ctx, const IndexResult& result, const RetrieveOptions& options, float unit, Retrieved& out, std::vector<Candidate>& found) const;
  /// Puts out.passages and `found` in the model's order. Leaves both as they are if the model fails.
  void RerankHead(const Context& ctx, const std::string& query, Retrieved& out, std::vector<Candidate>& found) const;
  /// The passages from `offset` on, at most `k`.
  static void KeepPage(std::size_t offset, std::size_t k, Retrieved& out, std::vector<Candidate>& found);
  /// Keeps the best `k` of out.passages by passage and sentence scores; fills evidence and support.
  static void Rank(const PassageIndex& index, const std::string& query, std::span<const float> embedding, const std::string& focus, std::span<const float> focus_embedding, const std::vector<Candidate>& candidates, std::size_t k, Retrieved& out);
  data::Store& store_;
  const std::function<OpenIndex()> index_;
  const HeadReranking reranking_;
  mutable std::atomic<std::int64_t> asks_again_us_ = 0;  ///< until then the model is left alone
};

/// `query` with what its words are also called here. Whole words, any case.
std::string WithSynonyms(const std::string& query, std::span<const std::string> groups);
/// What the embedder reads for a chunk and for one of its sentences: the title says what "it" is.
std::string TextToEmbed(const std::string& title, const std::string& heading, std::string_view text);
/// -127..127 of a unit vector's components, and back as a dot product with a float vector.
void AppendQuantised(std::span<const float> vector, std::vector<std::int8_t>& out);
float DotQuantised(std::span<const float> a, std::span<const std::int8_t> b);

}  // namespace tenfold::retrieval
