#pragma once
/// \file The contract of every search index: records with a vector, words, metadata and readers, in namespaces; hybrid search inside a filter.
/// Back ends by URL (app/backends.cc): embedded: (retrieval/embedded_index.cc), postgresql: (pgvector), pinecone:, weaviate:. Contract test: search_index_contract_test.cc.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/describe.h"
#include "retrieval/filter.h"
#include "retrieval/metric.h"

namespace tenfold::retrieval {

/// What can be found. Its words are those of `title`, `heading` and `text`.
struct IndexRecord {
  std::string id = {};            ///< unique in its namespace; 1..512 bytes
  std::string group = {};         ///< what it is a part of, its document; may be empty
  std::string access = {};        ///< labels that may find it, as in Principal::MayRead
  std::string title = {};
  std::string heading = {};
  std::string text = {};
  std::vector<float> vector = {}; ///< [dim], or empty: found by words alone
  JsonObject metadata = {};       ///< flat: texts, numbers, true or false, lists of texts, points {lat, lon}
};
TENFOLD_DESCRIBE(IndexRecord, (id), (group), (access), (title), (heading), (text), (vector), (metadata))

/// One change. A batch of them takes effect at once: no search sees half of it.
struct IndexChange {
  enum class Kind : std::uint8_t { kPut, kDelete, kSetAccess, kSetMetadata, kMerge };
  Kind kind = Kind::kPut;
  IndexRecord record;  ///< kPut: all of it; kDelete: id; kSetAccess: id and access; kSetMetadata: id and the whole metadata; kMerge: id, a vector if it is to be replaced, and the metadata to add
};

/// How the two scans become one list.
enum class Fusion : std::uint8_t {
  kWeightedSum,     ///< of both scores, each scaled by the scores of its own list
  kReciprocalRank,  ///< of ranks. Source: Cormack, Clarke & Büttcher, SIGIR 2009
  kRanksAndScores,  ///< the mean of the two: ranks say where both lists agree, scores by how much one leads
};
BOOST_DESCRIBE_ENUM(Fusion, kWeightedSum, kReciprocalRank, kRanksAndScores)

/// What is done to the fused list's head, of words and vectors together.
enum class Rerank : std::uint8_t {
  kNone,
  kNeighbours,  ///< by how good those are that resemble it: reranker.h. Back ends that do not give their vectors back leave the list as it is
};
BOOST_DESCRIBE_ENUM(Rerank, kNone, kNeighbours)

struct FacetCount {
  Json value;
  std::int64_t count = 0;
};
TENFOLD_DESCRIBE(FacetCount, (value), (count))

struct IndexQuery {
  std::string text = {};               ///< words; empty: vectors alone. Quoted phrases must occur; a word with '~' at its end is matched with up to two edits
  std::vector<float> vector = {};      ///< [dim]; empty: words alone. Both empty: records in order of id
  std::size_t k = 10;             ///< 1..10,000
  std::size_t offset = 0;         ///< of paging; offset + k at most 10,000
  Filter filter = {};
  std::optional<std::vector<std::string>> groups = {};  ///< only records of these groups
  Fusion fusion = Fusion::kReciprocalRank;
  float vector_weight = 0.5f;     ///< 0..1, of the vector's list; the rest is that of words
  Rerank rerank = Rerank::kNone;
  float diversity = 0;            ///< 0..1: maximal marginal relevance with lambda = 1 - diversity. Source: Carbonell & Goldstein, SIGIR 1998
  std::size_t per_group = 0;      ///< at most so many records of one group; 0: no limit
  std::vector<std::string> facets = {};  ///< metadata keys whose values are counted over everything that is allowed
  std::size_t facet_values = 100;        ///< of each key at most, 1..1,000,000
  bool explain = false;
};

/// How a hit came to its place.
struct HitExplanation {
  std::int64_t word_rank = 0;    ///< from 1; 0: not in that list
  std::int64_t vector_rank = 0;
  double word_score = 0;         ///< BM25
  double vector_score = 0;       ///< by the metric
  double fused = 0;              ///< of both lists
  double reranked = 0;           ///< after IndexQuery::rerank; without it as fused
  std::string cut;               ///< empty, or why it is not among the hits: "per_group", "k", or "offset" for what an earlier page shows
};
TENFOLD_DESCRIBE(HitExplanation, (word_rank), (vector_rank), (word_score), (vector_score), (fused), (reranked), (cut))

struct IndexHit {
  std::string id;
  std::string group;
  float score = 0;         ///< what the list is ordered by, highest first; of a query without words the metric's own (kEuclidean: the negative squared distance)
  float vector_score = 0;  ///< 0 without a vector
  float bm25 = 0;
};

struct IndexResult {
  std::vector<IndexHit> hits;  ///< best first; equal scores by id
  std::map<std::string, std::vector<FacetCount>> facets;  ///< most frequent first, at most `facet_values` a key
  std::vector<std::pair<std::string, HitExplanation>> explanations;  ///< with `explain`: every candidate of both lists by its id, in the order of the final list
  std::int64_t readable = 0;  ///< with `explain`, of the embedded index: records that the reader may find
  std::int64_t allowed = 0;   ///< of them those that filter and groups let through: no other was a candidate
  std::string notice = {};    ///< empty, or why this was found otherwise than asked, or in less than there is
};

struct NamespaceInfo {
  std::string name;
  std::int64_t records = 0;
};
TENFOLD_DESCRIBE(NamespaceInfo, (name), (records))

/// One collection. Threads: safe from any thread; searches run side by side.
/// Rights: a search finds only records whose access `ctx.principal()` may read; Fetch and List leave the others out. Writes need no right here: the caller decides.
class SearchIndex {
 public:
  virtual ~SearchIndex() = default;
  virtual std::size_t dim() const = 0;  ///< 0: words alone
  virtual Metric metric() const = 0;
  /// False: `IndexQuery::text` alone is refused with kUnimplemented, and beside a vector it is not used.
  virtual bool has_words() const { return true; }
  /// Visible when it returns, and durable if the back end keeps anything itself. Errors: kInvalidArgument with the record's number (wrong length, NaN, a zero vector
  /// under kCosine, metadata over 40 KB or not flat), kUnavailable.
  virtual void Write(const Context& ctx, std::string_view name_space, std::span<const IndexChange> changes) = 0;
  /// Exactly min(k, allowed) hits if there is a vector; with words alone only records that hold one of them. Errors: kInvalidArgument (dim, k), kUnavailable.
  virtual IndexResult Search(const Context& ctx, std::string_view name_space, const IndexQuery& query) = 0;
  /// In the order of `ids`; those that are not there are left out.
  virtual std::vector<IndexRecord> Fetch(const Context& ctx, std::string_view name_space, std::span<const std::string> ids) = 0;
  /// Ids that begin with `prefix`, after `after`, ascending.
  virtual std::vector<std::string> List(const Context& ctx, std::string_view name_space, std::string_view prefix, std::string_view after, std::size_t limit) = 0;
  virtual std::vector<NamespaceInfo> Namespaces(const Context& ctx) = 0;
  virtual void DeleteNamespace(const Context& ctx, std::string_view name_space) = 0;
};

/// What a record becomes by a change of a part of it (kSetAccess, kSetMetadata, kMerge).
void ApplyPart(const IndexChange& change, IndexRecord& record);
/// Throws as SearchIndex::Write and Search promise.
void CheckChanges(std::span<const IndexChange> changes, std::size_t dim, Metric metric);
void CheckQuery(const IndexQuery& query, std::size_t dim);

}  // namespace tenfold::retrieval
