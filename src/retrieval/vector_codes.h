#pragma once
/// \file One-bit codes of vectors, 32 side by side, and the sum of a query over the set bits of 32 codes at once.
/// Source: RaBitQ, Gao & Long, SIGMOD 2024, section 3: signs after a random rotation estimate the inner product without bias. Tables of four dimensions that stay in
/// registers: Quick ADC, Andre, Kermarrec & Le Scouarnec, ICMR 2017.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tenfold::retrieval {

/// A fixed random orthogonal map. Cost: O(dim log dim). Threads: any.
class Rotation {
 public:
  explicit Rotation(std::size_t dim);
  std::size_t padded() const { return padded_; }  ///< dim rounded up to 64
  /// Shapes: in [dim], out [padded]. Lengths and inner products stay.
  void Apply(std::span<const float> in, std::span<float> out) const;

 private:
  std::size_t padded_;
  std::size_t power_;         // the largest power of two that is not above padded_
  std::vector<float> signs_;  // [rounds, padded_]
};

/// What a query adds to the estimate of a code: 16 sums for each four dimensions, in 31 steps so that eight fit a byte.
struct CodeTables {
  std::vector<std::uint8_t> sums;  ///< [padded / 4, 16]
  float step = 0, base = 0;        ///< the query over the code's signs is base + step * the sum of the tables' entries
  /// Shape: rotated [padded].
  void Build(std::span<const float> rotated);
};

/// Codes of vectors relative to one centre. A code's place changes only when one before it is removed: the last one takes the place.
/// Threads: any number of readers; writers exclude each other and readers.
class CodeList {
 public:
  static constexpr std::size_t kBlock = 32;
  explicit CodeList(std::size_t padded) : padded_(padded) {}
  std::size_t size() const { return rows_.size(); }
  std::uint32_t row(std::size_t place) const { return rows_[place]; }
  const std::vector<std::uint32_t>& rows() const { return rows_; }
  /// Shapes: rotated, centre [padded].
  void Add(std::uint32_t row, std::span<const float> rotated, std::span<const float> centre);
  void Replace(std::size_t place, std::span<const float> rotated, std::span<const float> centre);
  /// Nothing of it stays in memory. Returns the row that now has its place, or the removed one if that was the last.
  std::uint32_t Remove(std::size_t place);
  void Clear();
  /// Estimates of the inner products of the block's vectors with the query less those of the centre. Shape: out [kBlock]; past the end nothing that means anything.
  void Estimate(std::size_t block, const CodeTables& query, float* out) const;
  std::size_t bytes() const { return rows_.capacity() * 4 + codes_.capacity() + (scales_.capacity() + offsets_.capacity()) * sizeof(float); }

 private:
  const std::size_t padded_;
  std::vector<std::uint32_t> rows_;
  std::vector<std::uint8_t> codes_;  // [blocks, padded / 8, kBlock]: a byte is four dimensions in its low and the next four in its high half
  std::vector<float> scales_, offsets_;
};

/// Bit i: estimates[i] is above the threshold. Shape: estimates [CodeList::kBlock].
std::uint32_t Above(const float* estimates, float threshold);

/// Shapes: a, b [dim].
float Dot(const float* a, const float* b, std::size_t dim);
float SquaredDistance(const float* a, const float* b, std::size_t dim);

}  // namespace tenfold::retrieval
