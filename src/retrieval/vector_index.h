#pragma once
/// \file Vector search: one-bit codes scanned with SIMD, the best re-ranked with exact float vectors.
#include <cstdint>
#include <span>
#include <vector>

#include "retrieval/bm25_index.h"
#include "retrieval/bitmap.h"
#include "retrieval/metric.h"

namespace tenfold::retrieval {

/// Threads: any number of readers; writers exclude each other and readers (the caller locks).
/// Source: RaBitQ, Gao & Long, SIGMOD 2024, section 3: signs after a random rotation estimate the inner product without bias; here the
/// estimate only chooses what is re-ranked, so its error costs recall and never a wrong score.
class VectorIndex {
 public:
  /// `dim` is 1..4096.
  explicit VectorIndex(std::size_t dim, Metric metric = Metric::kCosine);
  /// Replaces what was in `row`. Under kCosine the vector's direction is kept, its length is not. Cost: O(dim log dim) for the rotation.
  void Put(std::uint32_t row, std::span<const float> vector);
  void Remove(std::uint32_t row);
  /// What was put in `row`, which must hold something: under kCosine scaled to length 1. Shape: [dim].
  std::span<const float> Get(std::uint32_t row) const { return std::span(vectors_).subspan(row * dim_, dim_); }
  /// The `k` rows most like `query`, best first, with the metric's exact value as score (kEuclidean: the negative squared distance). Shapes: query [dim]. Order: equal scores, lower row first.
  /// Cost: O(n) codes read once on the calling thread; under kDot and kEuclidean, for which the codes do not rank, O(n) vectors. Returns fewer than `k` only if fewer rows are allowed.
  std::vector<Hit> Search(std::span<const float> query, const Bitmap& filter, std::size_t k) const;

 private:
  void Rotate(std::span<const float> in, std::span<float> out) const;
  /// What the score of `row` is: the metric's value for `query`, which has length 1 under kCosine.
  float Score(std::uint32_t row, std::span<const float> query) const;
  std::vector<std::uint32_t> Candidates(std::span<const float> query, const Bitmap& filter, std::size_t count) const;
  const std::size_t dim_;
  const Metric metric_;
  const std::size_t words_;             // 64-bit words per code
  std::vector<float> signs_;            // of the rotation: three rounds of random signs and Hadamard
  std::vector<std::uint64_t> codes_;    // [rows, words_]
  std::vector<std::uint16_t> ones_;     // [rows], set bits of each code
  std::vector<float> vectors_;          // [rows, dim_], exact
  Bitmap present_;
};

}  // namespace tenfold::retrieval
