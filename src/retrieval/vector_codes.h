#pragma once
/// \file One-bit codes of vectors, 32 side by side, and the sum of a query over the set bits of 32 codes at once.
/// Source: RaBitQ, Gao & Long, SIGMOD 2024, section 3: signs after a random rotation estimate the inner product without bias. Tables of four dimensions that stay in
/// registers: Quick ADC, Andre, Kermarrec & Le Scouarnec, ICMR 2017.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "retrieval/records.h"

namespace tenfold::retrieval {

class SnapshotWriter;
class SnapshotReader;

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
  std::vector<float> signs_;  // [rounds, power_], divided by the root of power_
};

/// What a query adds to the estimate of a code: 16 sums for each four dimensions, in 31 steps so that eight fit a byte.
struct CodeTables {
  std::vector<std::uint8_t> sums;   ///< [padded / 4, 16]
  std::vector<std::uint8_t> pairs;  ///< AVX-512 alone: [padded / 16, 2, 64], of two bytes of a code at once the low halves' tables, each twice, then the high halves'
  float step = 0, base = 0;        ///< the query over the code's signs is base + step * the sum of the tables' entries
  /// Shape: rotated [padded].
  void Build(std::span<const float> rotated);
};

/// Memory of 32 codes each, for many lists. Threads: as a vector.
class CodeBlocks {
 public:
  static constexpr std::size_t kBlock = 32;
  explicit CodeBlocks(std::size_t padded) : records_(padded * kBlock / 8 + 3 * kBlock * sizeof(float)) {}
  /// Zeros, and minus infinity as each code's offset: what is no vector is never among the best.
  std::uint8_t* Take();
  /// Nothing of what was in it stays.
  void Give(std::uint8_t* block);
  std::size_t bytes() const { return records_.bytes() + free_.capacity() * sizeof(std::uint8_t*); }
  std::size_t block_bytes() const { return records_.stride(); }

 private:
  void Empty(std::uint8_t* block);
  Records records_;
  std::vector<std::uint8_t*> free_;
};

/// Codes of vectors relative to one centre. A code's place changes only when one before it is removed: the last one takes the place.
/// Threads: any number of readers; writers, of any list of the same blocks, exclude each other and readers.
class CodeList {
 public:
  static constexpr std::size_t kBlock = CodeBlocks::kBlock;
  // Of a block's bytes.
  using AnyFloat [[gnu::may_alias]] = float;
  using AnyRow [[gnu::may_alias]] = std::uint32_t;
  explicit CodeList(std::size_t padded) : padded_(padded) {}
  std::size_t size() const { return size_; }
  std::size_t blocks() const { return blocks_.size(); }
  std::uint32_t row(std::size_t place) const { return rows(place / kBlock)[place % kBlock]; }
  /// Shape: [kBlock]; past the end 0.
  const AnyRow* rows(std::size_t block) const { return Rows(blocks_[block]); }
  /// Shapes: rotated, centre [padded]. `less` is taken off each estimate.
  void Add(CodeBlocks& from, std::uint32_t row, std::span<const float> rotated, std::span<const float> centre, float less = 0);
  void Replace(std::size_t place, std::span<const float> rotated, std::span<const float> centre, float less = 0);
  /// Nothing of it stays in memory. Returns the row that now has its place, or the removed one if that was the last.
  std::uint32_t Remove(CodeBlocks& to, std::size_t place);
  void Clear(CodeBlocks& to);
  /// A block of any list of the same `padded`, to look at blocks of many lists in a row. Holds until the list changes.
  struct Block {
    const std::uint8_t* codes;
    float more;
  };
  Block block(std::size_t number, float more) const { return {blocks_[number], more}; }
  /// Estimates of the inner products of the block's vectors with the query, less those of the centre, plus `more`. Shape: out [kBlock]; past the end minus infinity.
  /// Returns which are at least `threshold`, which is above minus infinity: bit i for out[i].
  static std::uint32_t Estimate(const Block& block, const CodeTables& query, float threshold, float* out);
  static const AnyRow* Rows(const Block& block, std::size_t padded) { return reinterpret_cast<const AnyRow*>(block.codes + padded * kBlock / 8 + 2 * kBlock * sizeof(float)); }
  /// Brings a block near: blocks lie here and there, so the processor does not see them coming.
  static void Prefetch(const Block& block, std::size_t padded) {
    for (std::size_t at = 0; at < padded * kBlock / 8 + 3 * kBlock * sizeof(float); at += 64) __builtin_prefetch(block.codes + at);
  }
  std::size_t bytes() const { return blocks_.capacity() * sizeof(std::uint8_t*); }
  void Save(SnapshotWriter& to) const;
  /// Into one that is empty.
  void Restore(SnapshotReader& from, CodeBlocks& blocks);

 private:
  // A block: [padded / 8, kBlock] bytes, each four dimensions in its low and the next four in its high half; then kBlock scales, offsets and rows.
  AnyFloat* Scales(std::uint8_t* block) const { return reinterpret_cast<AnyFloat*>(block + padded_ * kBlock / 8); }
  AnyRow* Rows(std::uint8_t* block) const { return reinterpret_cast<AnyRow*>(block + padded_ * kBlock / 8 + 2 * kBlock * sizeof(float)); }

  std::size_t padded_;
  std::size_t size_ = 0;
  std::vector<std::uint8_t*> blocks_;
};

/// Bit i: values[i] is no less than the threshold. Shape: values [CodeList::kBlock].
std::uint32_t AtLeast(const float* values, float threshold);
/// What at least `count` of the values reach, and not many more unless they are nearly equal: minus infinity if there are fewer that are finite.
float Threshold(std::span<const float> values, std::size_t count);

/// About the `size` best of what is added, by estimate. What is worse than what `size` others reach is not even kept. Threads: one.
class Shortlist {
 public:
  /// Forgets all.
  void Begin(std::size_t size);
  /// What is not as good is not taken.
  float threshold() const { return threshold_; }
  /// How many were good enough when they came. At first everything is: less than `size` only if no more were there.
  std::size_t added() const { return added_; }
  /// The estimates whose bit is set in `good`. Shapes: estimates, rows [CodeList::kBlock].
  void Add(const float* estimates, const CodeList::AnyRow* rows, std::uint32_t good);
  void Add(float estimate, std::uint32_t row);
  /// At least `size` if as many were added, and not many more. In no order.
  std::span<const std::uint32_t> Take();

 private:
  void Trim();
  std::size_t size_ = 0, held_ = 0, trim_at_ = 0, added_ = 0;
  float threshold_ = 0;
  std::vector<float> estimates_;
  std::vector<std::uint32_t> rows_;
};

/// Shapes: a, b [dim].
float Dot(const float* a, const float* b, std::size_t dim);
float SquaredDistance(const float* a, const float* b, std::size_t dim);

}  // namespace tenfold::retrieval
