#pragma once
/// \file Vector search: partitions of one-bit codes, the nearest of them scanned with SIMD, the best re-ranked with exact float vectors.
#include <cstdint>
#include <span>
#include <vector>

#include "retrieval/bm25_index.h"
#include "retrieval/bitmap.h"
#include "retrieval/metric.h"
#include "retrieval/vector_codes.h"

namespace tenfold::retrieval {

/// How much a search looks at. 0: what the index thinks right.
struct VectorEffort {
  std::size_t scan = 0;    ///< codes, at least
  std::size_t rerank = 0;  ///< vectors, at least
};

/// What is guaranteed: scores are the metric's exact values; k rows are returned whenever k are allowed. Which rows: under kDot and kEuclidean, and where no more than
/// 384 are allowed or k is no less than the allowed, exactly the best; under kCosine else those among the best by estimate, of the whole index up to kScanAll rows and of
/// the nearest partitions above. Then which of the true best are found depends on the data and, above kScanAll rows, a little on the order of insertion:
/// recall@10 on real text embeddings is in docs/performance.md (bench/vector_peers).
/// Threads: any number of readers; writers exclude each other and readers (the caller locks).
/// Source: codes: vector_codes.h. Partitions that are split, merged and whose neighbours are moved when they grow: SPFresh, Xu et al., SOSP 2023.
class VectorIndex {
 public:
  /// `dim` is 1..4096.
  explicit VectorIndex(std::size_t dim, Metric metric = Metric::kCosine);
  /// Replaces what was in `row`. Under kCosine the vector's direction is kept, its length is not.
  /// Cost: O(dim log dim) for the rotation and the nearest of O(sqrt) centres; now and then one partition, of at most kSplitFrom rows, is split and its neighbours looked through.
  void Put(std::uint32_t row, std::span<const float> vector);
  /// Cost: O(dim). Nothing of it stays in memory.
  void Remove(std::uint32_t row);
  /// What was put in `row`, which must hold something: under kCosine scaled to length 1. Shape: [dim].
  std::span<const float> Get(std::uint32_t row) const { return std::span(vectors_).subspan(row * dim_, dim_); }
  /// The `k` rows most like `query`, best first, with the metric's exact value as score (kEuclidean: the negative squared distance). Shapes: query [dim]. Order: equal scores, lower row first.
  /// Cost on the calling thread: kCosine: about 80 sqrt(n) codes; kDot and kEuclidean: O(n) vectors. Returns fewer than `k` only if fewer rows are allowed.
  std::vector<Hit> Search(std::span<const float> query, const Bitmap& filter, std::size_t k, VectorEffort effort = {}) const;
  std::size_t size() const { return size_; }
  std::size_t partitions() const { return partitions_.size() - free_.size(); }
  /// Bytes held, about.
  std::size_t bytes() const;

  static constexpr std::size_t kScanAll = 8192;   ///< rows up to which there is one partition
  static constexpr std::size_t kSplitFrom = 256;  ///< rows of a partition, beyond which it is split
  static constexpr std::size_t kMergeBelow = 24;  ///< rows of a partition that removals left, below which it is given up

 private:
  struct Partition {
    explicit Partition(std::size_t padded) : codes(padded) {}
    CodeList codes;
  };
  struct Place {
    std::uint32_t partition = 0, at = 0;
  };
  struct Near {
    float score;  // inner product with the centre, exact or estimated
    std::uint32_t partition;
  };

  std::span<const float> CentreOf(std::size_t partition) const { return std::span(centres_).subspan(partition * dim_, dim_); }
  /// The metric's value for `query`, which has length 1 under kCosine.
  float Score(std::uint32_t row, std::span<const float> query) const;
  /// The `count` partitions that seem nearest, best first by `score`: exact inner products with the query, less half the centre's square if `is_distance`.
  std::vector<Near> Nearest(std::span<const float> vector, const CodeTables& tables, std::size_t count, bool is_distance) const;
  void Append(std::uint32_t row, std::uint32_t partition, std::span<const float> rotated);
  void Unlink(std::uint32_t row);
  void Move(std::uint32_t row, std::uint32_t partition);
  std::uint32_t NewPartition();
  void SetCentre(std::uint32_t partition, std::span<const float> centre);
  void Split(std::uint32_t partition);
  void Halve(std::span<const std::uint32_t> rows, std::span<float> centres, std::vector<bool>& is_second) const;
  void MoveNeighbours(std::uint32_t first, std::uint32_t second, std::span<const std::uint32_t> near);
  void Merge(std::uint32_t partition);
  void RecodeCentres();

  std::vector<Hit> SearchRows(std::span<const std::uint32_t> rows, std::span<const float> query, std::size_t k) const;
  std::vector<std::uint32_t> Candidates(std::span<const float> query, const Bitmap& filter, std::size_t allowed, std::size_t k, VectorEffort effort) const;
  std::vector<std::uint32_t> FewCandidates(std::span<const float> query, std::vector<std::uint32_t> rows, std::size_t count) const;

  const std::size_t dim_;
  const Metric metric_;
  const Rotation rotation_;
  std::vector<Partition> partitions_;
  std::vector<std::uint32_t> free_;      // partitions that hold nothing
  std::vector<float> centres_;           // [partitions, dim_]
  std::vector<float> rotated_centres_;   // [partitions, padded]
  std::vector<float> half_squares_;      // of the centres' lengths
  CodeList centre_codes_;                // of the centres, relative to middle_; the place is the partition
  std::vector<float> middle_;            // [padded], rotated
  std::vector<Place> places_;            // [rows]
  std::vector<float> vectors_;           // [rows, dim_], exact
  Bitmap present_;
  std::size_t size_ = 0;
  std::size_t middle_of_ = 0;            // partitions when middle_ was computed
};

}  // namespace tenfold::retrieval
