#pragma once
/// \file Vector search: partitions of one-bit codes, the nearest of them scanned with SIMD, the best re-ranked with four-bit codes and the best of those with exact float vectors.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "retrieval/bitmap.h"
#include "retrieval/bm25_index.h"
#include "retrieval/exact_vectors.h"
#include "retrieval/metric.h"
#include "retrieval/vector_partitions.h"

namespace tenfold::retrieval {

/// How much a search looks at. 0: what the index thinks right.
struct VectorEffort {
  std::size_t scan = 0;    ///< one-bit codes, at least
  std::size_t rerank = 0;  ///< four-bit codes, about
};

/// What a search looked at.
struct VectorWork {
  std::size_t scanned = 0, reranked = 0, exact = 0;  ///< one-bit codes, whole blocks of them; four-bit codes; vectors
};

/// What is guaranteed: scores are the metric's exact values; k rows are returned whenever k are allowed. Which rows: where no more than kFew are allowed or k is no less than
/// the allowed, exactly the best; else those among the best by estimate, of the whole index up to kScanAll rows and of the nearest partitions above. Then which of the true
/// best are found depends on the data and, above kScanAll rows, a little on the order of insertion: recall@10 on real text embeddings is in docs/performance.md
/// (bench/vector_peers). Under kDot rows much longer than the others are found worse by partitions, whose centres say nothing of lengths.
/// Memory: about 0.8 byte a dimension. The exact vectors are on the heap up to 4 MB, beyond in pages of a file (exact_vectors.h).
/// Threads: any number of readers; writers exclude each other and readers (the caller locks).
class VectorIndex {
 public:
  static constexpr std::size_t kFew = 384;                                 ///< allowed rows up to which each is looked at; an index of no more has no codes
  static constexpr std::size_t kScanAll = VectorPartitions::Limits().scan_all;  ///< rows up to which there is one partition
  static constexpr std::size_t kSplitFrom = VectorPartitions::kSplitFrom;  ///< rows of a partition, beyond which it is split

  static constexpr std::size_t kMaxDim = 4096;
  /// `dim` is 1..kMaxDim.
  explicit VectorIndex(std::size_t dim, Metric metric = Metric::kCosine);
  /// Replaces what was in `row`. Under kCosine the vector's direction is kept, its length is not.
  /// Cost: O(dim log dim) for the rotation and the one-bit codes of O(rows / kSplitFrom) centres; now and then a partition is split and its neighbours looked through.
  void Put(std::uint32_t row, std::span<const float> vector);
  /// Cost: O(dim). Nothing of it stays in memory or file.
  void Remove(std::uint32_t row);
  /// What was put in `row`, which must hold something: under kCosine scaled to length 1. Shape: [dim]. Until the next Put.
  std::span<const float> Get(std::uint32_t row) const { return vectors_.Get(row); }
  /// The `k` rows most like `query`, best first, with the metric's exact value as score (kEuclidean: the negative squared distance). Shapes: query [dim]. Order: equal scores, lower row first.
  /// Cost on the calling thread: the codes of about 40 sqrt(n) rows, and 2k exact vectors; with a filter no more, `work` says what it was. Returns fewer than `k` only if fewer rows are allowed.
  std::vector<Hit> Search(std::span<const float> query, const Bitmap& filter, std::size_t k, VectorEffort effort = {}, VectorWork* work = nullptr) const;
  std::size_t size() const { return size_; }
  std::size_t partitions() const { return codes_ ? codes_->partitions.partitions() : 1; }
  /// Bytes held on the heap, about.
  std::size_t bytes() const { return (codes_ ? codes_->partitions.bytes() : 0) + vectors_.heap_bytes() + present_.words() * 8; }
  /// Bytes of the file of exact vectors.
  std::size_t file_bytes() const { return vectors_.file_bytes(); }
  /// To be saved with: where the file of exact vectors lies from then on. Before the first Put.
  void SetSnapshot(std::shared_ptr<IndexSnapshot> snapshot) { vectors_.SetSnapshot(std::move(snapshot)); }
  void Save(SnapshotWriter& to) const;
  /// Into one that is empty. Errors: as SnapshotReader; then it is not to be used.
  void Restore(SnapshotReader& from);

 private:
  /// The metric's value for `query`, which has length 1 under kCosine.
  float Score(std::uint32_t row, std::span<const float> query) const;
  std::vector<Hit> SearchRows(std::span<const std::uint32_t> rows, std::span<const float> query, std::size_t k) const;
  std::vector<std::uint32_t> Candidates(std::span<const float> query, std::span<const std::uint64_t> allowed, std::size_t allowed_rows, std::size_t k, VectorEffort effort, VectorWork& work) const;

  /// What only more than kFew rows need: a tenth of them, say a tenant's ten, would take more memory for it than for their vectors.
  struct Codes {
    Codes(std::size_t dim, Metric metric) : rotation(dim), partitions(rotation.padded(), metric) {}
    const Rotation rotation;
    VectorPartitions partitions;
  };
  void Encode(std::uint32_t row);

  const std::size_t dim_;
  const Metric metric_;
  std::unique_ptr<Codes> codes_;  // from the first moment with more than kFew rows on, then of all of them
  ExactVectors vectors_;
  Bitmap present_;
  std::size_t size_ = 0;
};

}  // namespace tenfold::retrieval
