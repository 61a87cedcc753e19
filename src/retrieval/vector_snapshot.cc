// The vector index as it lies in memory; blocks of codes in the order of their partitions, so that no address is saved.
#include <bit>

#include "retrieval/snapshot_file.h"
#include "retrieval/vector_index.h"

namespace tenfold::retrieval {

void FineCodes::Save(SnapshotWriter& to, const Bitmap& present) const {
  to.Put(std::uint64_t{records_.size()});
  to.Put(std::uint64_t{records_.stride()});
  for (std::size_t row = 0; row < records_.size(); ++row) {
    if (present.Test(row)) to.Write(records_.at(row), records_.stride());
    else to.WriteZeros(records_.stride());
  }
}

void FineCodes::Restore(SnapshotReader& from) {
  const auto rows = from.Get<std::uint64_t>(), stride = from.Get<std::uint64_t>();
  SnapshotReader::Check(stride == records_.stride() && rows <= from.left() / stride, "codes have another size");
  if (rows > 0) records_.Reach(rows - 1);
  records_.ForEachPiece([&](std::uint8_t* bytes, std::size_t size) { from.Read(bytes, size); });
}

void CodeList::Save(SnapshotWriter& to) const {
  to.Put(std::uint64_t{size_});
  const auto block_bytes = padded_ * kBlock / 8 + 3 * kBlock * sizeof(float);
  for (const auto* block : blocks_) to.Write(block, block_bytes);
}

void CodeList::Restore(SnapshotReader& from, CodeBlocks& blocks) {
  const auto size = from.Get<std::uint64_t>();
  const auto count = size / kBlock + (size % kBlock != 0);
  SnapshotReader::Check(count <= from.left() / blocks.block_bytes(), "a partition is longer than its section");
  blocks_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    blocks_.push_back(blocks.Take());
    from.Read(blocks_.back(), blocks.block_bytes());
  }
  size_ = size;
}

namespace {
struct PartitionTotals {
  std::uint64_t size, puts, next_refreshed, partitions;
};
}  // namespace

void VectorPartitions::Save(SnapshotWriter& to, const Bitmap& present) const {
  to.Put(PartitionTotals{size_, puts_, next_refreshed_, partitions_.size()});
  to.PutArray(free_);
  to.PutArray(centres_);
  to.PutArray(half_squares_);
  to.PutArray(middle_);
  to.PutArray(places_);
  to.PutArray(row_halves_);
  for (const auto& one : partitions_) one.Save(to);
  centre_codes_.Save(to);
  // Every partition has a centre.
  centre_fine_.Save(to, Bitmap(std::vector<std::uint64_t>(partitions_.size() / 64 + 1, ~std::uint64_t{0})));
  fine_.Save(to, present);
  to.PutArray(in_upper_.all_words());
  if (upper_) upper_->Save(to, in_upper_);
}

void VectorPartitions::Restore(SnapshotReader& from) {
  const auto totals = from.Get<PartitionTotals>();
  from.GetArray(free_);
  from.GetArray(centres_);
  from.GetArray(half_squares_);
  from.GetArray(middle_);
  from.GetArray(places_);
  from.GetArray(row_halves_);
  SnapshotReader::Check(totals.partitions > 0 && totals.partitions <= from.left() && centres_.size() == totals.partitions * padded_ && half_squares_.size() == totals.partitions && middle_.size() == padded_,
                        "partitions and their centres differ");
  partitions_.clear();
  partitions_.reserve(totals.partitions);
  for (std::size_t i = 0; i < totals.partitions; ++i) partitions_.emplace_back(padded_).Restore(from, blocks_);
  centre_codes_ = CodeList(padded_);
  centre_blocks_ = CodeBlocks(padded_);
  centre_codes_.Restore(from, centre_blocks_);
  centre_fine_.Restore(from);
  fine_.Restore(from);
  std::vector<std::uint64_t> in_upper;
  from.GetArray(in_upper);
  SnapshotReader::Check(in_upper.size() <= totals.partitions / 64 + 1, "there are more centres than partitions");
  in_upper_ = Bitmap(std::move(in_upper));
  if (in_upper_.count() > 0) {
    upper_ = std::make_unique<VectorPartitions>(UpperOf());
    upper_->Restore(from);
  }
  size_ = totals.size;
  puts_ = totals.puts;
  next_refreshed_ = totals.next_refreshed;
}

void VectorIndex::Save(SnapshotWriter& to) const {
  to.Put(std::uint64_t{dim_});
  to.Put(std::uint64_t{size_});
  to.PutArray(present_.all_words());
  to.Put(std::uint64_t{codes_ != nullptr});
  if (codes_) codes_->partitions.Save(to, present_);
  vectors_.Save(to);
}

void VectorIndex::Restore(SnapshotReader& from) {
  SnapshotReader::Check(from.Get<std::uint64_t>() == dim_, "vectors have another dimension");
  size_ = from.Get<std::uint64_t>();
  std::vector<std::uint64_t> present;
  from.GetArray(present);
  present_ = Bitmap(std::move(present));
  SnapshotReader::Check(present_.count() == size_, "there are not as many vectors as rows that have one");
  const auto has_codes = from.Get<std::uint64_t>();
  SnapshotReader::Check(has_codes == 1 || (has_codes == 0 && size_ <= kFew), "so many vectors have codes");
  codes_ = has_codes ? std::make_unique<Codes>(dim_, metric_) : nullptr;
  if (codes_) codes_->partitions.Restore(from);
  vectors_.Restore(from);
}

}  // namespace tenfold::retrieval
