#pragma once
/// \file The codes of an index in partitions of like vectors: one bit a dimension to scan the nearest partitions with, four to re-rank with and to keep the partitions by.
/// Source: partitions that are split, merged and whose neighbours are moved when they grow: SPFresh, Xu et al., SOSP 2023.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "retrieval/bitmap.h"
#include "retrieval/fine_codes.h"
#include "retrieval/metric.h"
#include "retrieval/vector_codes.h"

namespace tenfold::retrieval {

/// Vectors are rotated ones here. What is sought is the greatest inner product with the query, under kEuclidean less half the vector's square: that is the nearest.
/// Threads: any number of readers; writers exclude each other and readers (the caller locks).
class VectorPartitions {
 public:
  static constexpr std::size_t kSplitFrom = 96;  ///< rows of a partition, beyond which it is split
  static constexpr std::size_t kMergeBelow = 8;  ///< rows of a partition that removals left, below which it is given up
  struct Limits {
    std::size_t scan_all = 8192;      ///< rows up to which there is one partition
    std::size_t flat_centres = 2048;  ///< partitions up to which a row that is put in is compared with all centres; of more the centres lie in partitions too
  };

  struct Query {
    CodeTables tables;
    FineQuery fine;
    void Build(std::span<const float> rotated);
  };
  /// Writes the exact vector of a row, rotated.
  using ExactOf = std::function<void(std::uint32_t row, std::span<float> rotated)>;

  VectorPartitions(std::size_t padded, Metric metric, Limits limits);
  VectorPartitions(std::size_t padded, Metric metric) : VectorPartitions(padded, metric, Limits()) {}
  /// `row` is not there. Cost: the codes of all centres, or of those near if there are many; now and then a partition is split and its neighbours looked through; once, when
  /// there are too many rows for one partition, all are coded again.
  void Put(std::uint32_t row, std::span<const float> rotated, const ExactOf& exact_of);
  /// `row` is there. Nothing of it stays in memory.
  void Remove(std::uint32_t row);
  std::size_t size() const { return size_; }
  std::size_t partitions() const { return partitions_.size() - free_.size(); }
  std::size_t bytes() const;
  /// `present`: the rows that are there.
  void Save(SnapshotWriter& to, const Bitmap& present) const;
  /// Into one that is empty.
  void Restore(SnapshotReader& from);

  struct Effort {
    std::size_t scan;    ///< one-bit codes, at least
    std::size_t rerank;  ///< four-bit codes, about
    std::size_t keep;    ///< rows returned, about
    std::size_t enough;  ///< allowed rows that are met, at least, if there are so many: else more partitions are scanned
  };
  /// The best by estimate of the rows whose bit is set in `allowed`, in no order: `keep` and not many more, or fewer if fewer are allowed, or if lengths are such that estimates are not finite.
  /// `allowed` has a bit for every row; empty: all are. `scanned`, `reranked`: one-bit codes, in whole blocks, and four-bit codes that were looked at.
  std::vector<std::uint32_t> Search(const Query& query, std::span<const std::uint64_t> allowed, Effort effort, std::size_t& scanned, std::size_t& reranked) const;
  /// The same of `rows`, which are there.
  std::vector<std::uint32_t> Best(const Query& query, std::span<const std::uint32_t> rows, std::size_t keep) const;

 private:
  struct Place {
    std::uint32_t partition = 0, at = 0;
  };

  std::span<const float> CentreOf(std::size_t partition) const { return std::span(centres_).subspan(partition * padded_, padded_); }
  struct Near {
    float score;  // <centre - middle, query>
    std::uint32_t partition;
  };
  enum class By : std::uint8_t { kDistance, kSought };
  /// About `count` partitions, at least, of those that seem nearest by their distance or by what is sought; in no order, only the best is first. At least one, if any row is there.
  void Nearest(const Query& query, std::size_t count, By by, std::vector<Near>& out) const;
  /// The blocks of these partitions. Until the next call on this thread.
  std::span<const CodeList::Block> BlocksOf(std::span<const Near> near) const;
  /// The allowed rows of these partitions. Returns how many codes were looked at.
  std::size_t Scan(const Query& query, std::span<const Near> near, std::span<const std::uint64_t> allowed, Shortlist& out) const;
  void Append(std::uint32_t row, std::uint32_t partition, std::span<const float> rotated);
  void Unlink(std::uint32_t row);
  void Decode(std::uint32_t row, std::span<float> rotated) const;
  std::uint32_t NewPartition();
  void SetCentre(std::uint32_t partition, std::span<const float> centre);
  void ChooseMiddle(const ExactOf& exact_of);
  void Split(std::uint32_t partition);
  void Halve(std::span<const float> vectors, std::span<float> centres, std::vector<bool>& is_second) const;
  struct Neighbourhood;
  /// `first`, `second`, and those near the first, `count` in all, about. Until the next call on this thread.
  Neighbourhood& Around(std::uint32_t first, std::uint32_t second, std::size_t count) const;
  /// Rows to partitions.
  void MoveAll(std::span<const std::pair<std::uint32_t, std::uint32_t>> moves);
  /// Rows that are nearer to a new centre than to their own, or were in a new partition and are nearer to a neighbour's.
  void MoveNeighbours(std::uint32_t first, std::uint32_t second);
  /// The centre becomes the mean of its rows, and of those farthest out the ones that are nearer to another centre move there.
  void Refresh(std::uint32_t partition);
  void Merge(std::uint32_t partition);
  void Reset();
  /// Tells the index of the centres which have changed, and makes it once there are so many.
  void UpdateUpper();
  VectorPartitions UpperOf() const { return {padded_, Metric::kCosine, {limits_.flat_centres / 2, limits_.flat_centres}}; }

  const std::size_t padded_;
  const Limits limits_;
  const Metric metric_;
  CodeBlocks blocks_, centre_blocks_;
  std::vector<CodeList> partitions_;
  std::vector<std::uint32_t> free_;   // partitions that hold nothing
  std::vector<float> centres_;        // [partitions, padded]
  std::vector<float> half_squares_;   // of the centres' lengths
  CodeList centre_codes_;             // of the centres, relative to middle_; the place is the partition
  FineCodes centre_fine_;             // the same
  FineCodes fine_;                    // of the rows, relative to middle_
  std::unique_ptr<VectorPartitions> upper_;  // of the centres, by partition; of many. It lags behind while a row is put in or taken out
  Bitmap in_upper_;                   // partitions
  std::vector<std::uint32_t> moved_;  // partitions whose centres upper_ does not know yet
  std::vector<float> middle_;         // [padded]; 0 until the first split
  std::vector<Place> places_;         // [rows]
  std::vector<float> row_halves_;     // [rows], half the squares of their lengths; kEuclidean
  std::size_t size_ = 0, puts_ = 0;
  std::size_t next_refreshed_ = 0;    // partition
};

}  // namespace tenfold::retrieval
