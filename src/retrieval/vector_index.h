#pragma once
/// \file Vector search: one-bit codes scanned with SIMD, the best re-ranked with exact float vectors.
#include <cstdint>
#include <span>
#include <vector>

#include "retrieval/bm25_index.h"
#include "retrieval/bitmap.h"

namespace tenfold::retrieval {

/// Threads: any number of readers; writers exclude each other and readers (the caller locks).
/// Source: RaBitQ, Gao & Long, SIGMOD 2024, section 3: signs after a random rotation estimate the inner product without bias; here the
/// estimate only chooses what is re-ranked, so its error costs recall and never a wrong score.
class VectorIndex {
 public:
  /// `dim` is 1..4096.
  explicit VectorIndex(std::size_t dim);
  /// Replaces what was in `row`. `vector` [dim] has length 1. Cost: O(dim²) for the rotation.
  void Put(std::uint32_t row, std::span<const float> vector);
  void Remove(std::uint32_t row);
  /// The `k` rows most like `query`, best first, exact cosine as score. Shapes: query [dim]. Order: equal scores, lower row first.
  /// Cost: O(n) codes read once on the calling thread. Returns fewer than `k` only if fewer rows are allowed.
  std::vector<Hit> Search(std::span<const float> query, const Bitmap& filter, std::size_t k) const;

 private:
  void Rotate(std::span<const float> in, std::span<float> out) const;
  const std::size_t dim_;
  const std::size_t words_;             // 64-bit words per code
  std::vector<float> signs_;            // of the rotation: three rounds of random signs and Hadamard
  std::vector<std::uint64_t> codes_;    // [rows, words_]
  std::vector<std::uint16_t> ones_;     // [rows], set bits of each code
  std::vector<float> vectors_;          // [rows, dim_], exact
  Bitmap present_;
};

}  // namespace tenfold::retrieval
