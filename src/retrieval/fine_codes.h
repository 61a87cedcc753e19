#pragma once
/// \file Four-bit codes of vectors: what re-ranks, and what partitions are split and joined by. A tenth of the exact vector's memory, an inner product to about 0.005 of the lengths.
/// Source: Extended RaBitQ, Gao et al., "Practical and Asymptotically Optimal Quantization of High-Dimensional Vectors in Euclidean Space", SIGMOD 2025: a grid of several bits
/// after a random rotation, scaled so that the inner product is estimated without bias; the grid's step is that of a normal distribution instead of searched for each vector.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "retrieval/bitmap.h"
#include "retrieval/records.h"

namespace tenfold::retrieval {

class SnapshotWriter;
class SnapshotReader;

/// A query in 8 bits.
struct FineQuery {
  std::vector<std::int8_t> steps;  ///< [padded]
  float step = 0, base = 0;        ///< the query over a code is step * the sum of products + base
  /// Shape: rotated [padded].
  void Build(std::span<const float> rotated);
};

/// Codes by row. Threads: any number of readers; writers exclude each other and readers.
class FineCodes {
 public:
  /// `padded` is a multiple of 64.
  explicit FineCodes(std::size_t padded) : padded_(padded), records_(padded / 2 + sizeof(float)) {}
  /// Shape: rotated [padded], relative to what the caller likes.
  void Put(std::uint32_t row, std::span<const float> rotated);
  /// Nothing of it stays in memory. As the next ones, for rows that were put.
  void Clear(std::uint32_t row);
  /// The inner product of what was put with the query.
  float Estimate(std::uint32_t row, const FineQuery& query) const;
  /// What was put, about. Shape: out [padded].
  void Decode(std::uint32_t row, std::span<float> out) const;
  void Prefetch(std::uint32_t row) const {
    const auto* from = records_.at(row);
    for (std::size_t at = 0; at < records_.stride(); at += 64) __builtin_prefetch(from + at);
  }
  std::size_t bytes() const { return records_.bytes(); }
  /// Of rows that are not in `present` zeros: memory that was never written is nobody's to see.
  void Save(SnapshotWriter& to, const Bitmap& present) const;
  void Restore(SnapshotReader& from);

 private:
  std::size_t padded_;
  Records records_;  // for each 64 dimensions 32 bytes with the first 32 in their low halves; then the factor
};

}  // namespace tenfold::retrieval
