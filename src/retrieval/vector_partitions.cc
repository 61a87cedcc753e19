#include "retrieval/vector_partitions.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "retrieval/eight_floats.h"

namespace tenfold::retrieval {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();
// Of the partitions whose one-bit codes are near so many are compared by four bits.
constexpr std::size_t kPutCentres = 16;
constexpr double kCentreFactor = 1.5;
constexpr std::size_t kMinCentres = 12;
constexpr std::size_t kNeighbours = 4;
// What is put in among many partitions is compared with the centres in so many groups of theirs. A search looks at all centres: that costs less than the rows it would miss.
constexpr std::size_t kGroups = 24;
constexpr int kHalvings = 3;
// Centres lag behind what is put in, and rows behind the centres: each so many puts one partition after the other is looked through, of 70 rows more than once while the index
// doubles. Of its rows the third that lies farthest out is compared with the centres, as one that is put in: of 100,000 text embeddings 11 % were nearer to another centre than their own, two thirds
// of these among that third, and of these centres half were not among the 23 nearest to their own.
constexpr std::size_t kRefreshEvery = 48;
constexpr std::size_t kFarPart = 3;
// Records are fetched so many before they are needed.
constexpr std::size_t kAhead = 8;
constexpr std::size_t kBlocksAhead = 3;
// So many rows of a block that are good enough are looked up in a filter one by one, of more the whole block at once.
constexpr int kFewToLookUp = 10;

float HalfSquare(std::span<const float> vector) { return Dot(vector.data(), vector.data(), vector.size()) / 2; }

/// The allowed of a block's rows. Shape: rows [CodeList::kBlock].
std::uint32_t AllowedOf(const CodeList::AnyRow* rows, std::span<const std::uint64_t> allowed) {
  std::uint32_t out = 0;
#ifdef __AVX2__
  for (unsigned i = 0; i < CodeList::kBlock; i += 8) {
    const __m256i row = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows + i));
    const __m256i words = _mm256_i32gather_epi32(reinterpret_cast<const int*>(allowed.data()), _mm256_srli_epi32(row, 5), 4);
    // The row's bit goes to the top.
    const __m256i top = _mm256_sllv_epi32(words, _mm256_andnot_si256(row, _mm256_set1_epi32(31)));
    out |= static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(top))) << i;
  }
#else
  for (unsigned i = 0; i < CodeList::kBlock; ++i) out |= static_cast<std::uint32_t>(allowed[rows[i] / 64] >> rows[i] % 64 & 1) << i;
#endif
  return out;
}

/// Of those in `among`.
std::uint32_t AllowedOf(const CodeList::AnyRow* rows, std::span<const std::uint64_t> allowed, std::uint32_t among) {
  std::uint32_t out = 0;
  for (; among; among &= among - 1) {
    const auto i = static_cast<unsigned>(std::countr_zero(among));
    out |= static_cast<std::uint32_t>(allowed[rows[i] / 64] >> rows[i] % 64 & 1) << i;
  }
  return out;
}

}  // namespace

void VectorPartitions::Query::Build(std::span<const float> rotated) {
  tables.Build(rotated);
  fine.Build(rotated);
}

VectorPartitions::VectorPartitions(std::size_t padded, Metric metric, Limits limits)
    : padded_(padded), limits_(limits), metric_(metric), blocks_(padded), centre_blocks_(padded), centre_codes_(padded), centre_fine_(padded), fine_(padded) {
  Reset();
}

void VectorPartitions::Reset() {
  partitions_ = std::vector<CodeList>();
  blocks_ = CodeBlocks(padded_);
  centre_blocks_ = CodeBlocks(padded_);
  free_ = std::vector<std::uint32_t>();
  centres_ = std::vector<float>();
  half_squares_ = std::vector<float>();
  centre_codes_ = CodeList(padded_);
  centre_fine_ = FineCodes(padded_);
  fine_ = FineCodes(padded_);
  upper_.reset();
  in_upper_ = Bitmap();
  moved_ = std::vector<std::uint32_t>();
  middle_.assign(padded_, 0);
  places_ = std::vector<Place>();
  row_halves_ = std::vector<float>();
  size_ = puts_ = next_refreshed_ = 0;
  NewPartition();
}

// What is put in and taken out.

void VectorPartitions::Append(std::uint32_t row, std::uint32_t partition, std::span<const float> rotated) {
  auto& codes = partitions_[partition];
  places_[row] = {partition, static_cast<std::uint32_t>(codes.size())};
  codes.Add(blocks_, row, rotated, CentreOf(partition), metric_ == Metric::kEuclidean ? row_halves_[row] : 0);
}

void VectorPartitions::Unlink(std::uint32_t row) {
  const auto place = places_[row];
  places_[partitions_[place.partition].Remove(blocks_, place.at)].at = place.at;
}

void VectorPartitions::Decode(std::uint32_t row, std::span<float> rotated) const {
  fine_.Decode(row, rotated);
  for (std::size_t i = 0; i < padded_; i += 8) Store(&rotated[i], Load(&rotated[i]) + Load(&middle_[i]));
}

void VectorPartitions::Put(std::uint32_t row, std::span<const float> rotated, const ExactOf& exact_of) {
  if (row >= places_.size()) places_.resize(row + std::size_t{1});
  if (metric_ == Metric::kEuclidean) {
    if (row >= row_halves_.size()) row_halves_.resize(row + std::size_t{1});
    row_halves_[row] = HalfSquare(rotated);
  }
  thread_local std::vector<float> off;
  off.resize(padded_);
  for (std::size_t i = 0; i < padded_; i += 8) Store(&off[i], Load(&rotated[i]) - Load(&middle_[i]));
  fine_.Put(row, off);
  std::uint32_t partition = 0;
  if (partitions_.size() > 1) {
    thread_local Query query;
    thread_local std::vector<Near> near;
    query.Build(rotated);
    Nearest(query, 1, By::kDistance, near);
    partition = near.front().partition;
  }
  ++size_;
  Append(row, partition, rotated);
  if (partitions_.size() > 1) {
    if (partitions_[partition].size() > kSplitFrom) Split(partition);
    if (++puts_ % kRefreshEvery == 0) Refresh(next_refreshed_ = (next_refreshed_ + 1) % partitions_.size());
  } else if (size_ > limits_.scan_all) {
    ChooseMiddle(exact_of);
    Split(partition);
  }
  UpdateUpper();
}

void VectorPartitions::Remove(std::uint32_t row) {
  Unlink(row);
  fine_.Clear(row);
  if (metric_ == Metric::kEuclidean) row_halves_[row] = 0;
  if (--size_ == 0) return Reset();
  if (const auto partition = places_[row].partition; partitions_[partition].size() < kMergeBelow && partitions() > 1) Merge(partition);
  UpdateUpper();
}

// Partitions.

std::uint32_t VectorPartitions::NewPartition() {
  if (!free_.empty()) {
    const auto partition = free_.back();
    free_.pop_back();
    return partition;
  }
  const auto partition = static_cast<std::uint32_t>(partitions_.size());
  partitions_.emplace_back(padded_);
  half_squares_.push_back(0);
  centres_.resize(centres_.size() + padded_);
  centre_codes_.Add(centre_blocks_, partition, CentreOf(partition), middle_);
  centre_fine_.Put(partition, CentreOf(partition));
  return partition;
}

void VectorPartitions::SetCentre(std::uint32_t partition, std::span<const float> centre) {
  std::copy(centre.begin(), centre.end(), centres_.begin() + static_cast<std::ptrdiff_t>(partition * padded_));
  centre_codes_.Replace(partition, centre, middle_);
  std::vector<float> off(centre.begin(), centre.end());
  for (std::size_t i = 0; i < padded_; ++i) off[i] -= middle_[i];
  centre_fine_.Put(partition, off);
  half_squares_[partition] = HalfSquare(centre);
  if (upper_) moved_.push_back(partition);
}

void VectorPartitions::UpdateUpper() {
  if (!upper_) {
    if (partitions() <= limits_.flat_centres) return;
    upper_ = std::make_unique<VectorPartitions>(UpperOf());
    moved_.resize(partitions_.size());
    std::iota(moved_.begin(), moved_.end(), 0u);
  }
  const auto exact_of = [&](std::uint32_t partition, std::span<float> out) { std::ranges::copy(CentreOf(partition), out.begin()); };
  for (const auto partition : moved_) {
    if (in_upper_.Test(partition)) upper_->Remove(partition);
    in_upper_.Clear(partition);
    if (std::ranges::find(free_, partition) != free_.end()) continue;
    upper_->Put(partition, CentreOf(partition), exact_of);
    in_upper_.Set(partition);
  }
  moved_.clear();
}

void VectorPartitions::ChooseMiddle(const ExactOf& exact_of) {
  // The one partition's centre is 0, so its one-bit codes do not change. Four-bit codes are made from exact vectors alone: what is made from codes again and again wears out.
  const auto& codes = partitions_.front();
  std::vector<float> rotated(padded_);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    exact_of(codes.row(i), rotated);
    for (std::size_t d = 0; d < padded_; ++d) middle_[d] += rotated[d] / static_cast<float>(codes.size());
  }
  for (std::size_t i = 0; i < codes.size(); ++i) {
    exact_of(codes.row(i), rotated);
    for (std::size_t d = 0; d < padded_; ++d) rotated[d] -= middle_[d];
    fine_.Put(codes.row(i), rotated);
  }
  SetCentre(0, std::vector<float>(padded_));
}

void VectorPartitions::Halve(std::span<const float> vectors, std::span<float> centres, std::vector<bool>& is_second) const {
  // Two means that begin far from each other. If one side gets too little, the half on either side of the middle is taken: partitions stay balanced.
  const auto size = vectors.size() / padded_;
  const auto vector = [&](std::size_t i) { return &vectors[i * padded_]; };
  const auto far_from = [&](std::size_t from) {
    std::size_t best = 0;
    float most = -1;
    for (std::size_t i = 0; i < size; ++i)
      if (const float distance = SquaredDistance(vector(i), vector(from), padded_); distance > most) most = distance, best = i;
    return best;
  };
  // Of very many a sample shows where the halves are.
  const auto every = std::max<std::size_t>(1, size / 1024), sampled = (size + every - 1) / every;
  const auto first = far_from(0), second = far_from(first);
  float *c0 = centres.data(), *c1 = c0 + padded_;
  std::copy_n(vector(first), padded_, c0);
  std::copy_n(vector(second), padded_, c1);
  std::vector<float> towards(padded_), leans(size), sums;
  // How much nearer a vector is to the second centre: half the difference of the squares.
  const auto lean_all = [&](std::size_t step) {
    for (std::size_t d = 0; d < padded_; ++d) towards[d] = c1[d] - c0[d];
    const float middle = (Dot(c1, c1, padded_) - Dot(c0, c0, padded_)) / 2;
    std::size_t seconds = 0;
    for (std::size_t i = 0; i < size; i += step) seconds += (leans[i / step] = Dot(vector(i), towards.data(), padded_) - middle) > 0;
    return seconds;
  };
  for (int round = 0; round < kHalvings; ++round) {
    const auto seconds = lean_all(every);
    float cut = 0;
    if (std::min(seconds, sampled - seconds) * 4 < sampled) {
      std::vector<float> sorted(leans.begin(), leans.begin() + static_cast<std::ptrdiff_t>(sampled));
      std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sampled / 2), sorted.end());
      cut = sorted[sampled / 2];
    }
    sums.assign(2 * padded_, 0);
    std::size_t counts[2] = {};
    for (std::size_t i = 0; i < sampled; ++i) {
      const std::size_t side = leans[i] > cut;
      ++counts[side];
      const float* from = vector(i * every);
      float* to = &sums[side * padded_];
      for (std::size_t d = 0; d < padded_; d += 8) Store(to + d, Load(to + d) + Load(from + d));
    }
    if (counts[0] == 0 || counts[1] == 0) break;  // all the same
    for (std::size_t i = 0; i < sums.size(); ++i) centres[i] = sums[i] / static_cast<float>(counts[i / padded_]);
  }
  const auto seconds = lean_all(1);
  is_second.assign(size, false);
  if (std::min(seconds, size - seconds) * 8 >= size) {
    for (std::size_t i = 0; i < size; ++i) is_second[i] = leans[i] > 0;
  } else {
    std::vector<std::size_t> order(size);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(size / 2), order.end(), [&](std::size_t a, std::size_t b) { return leans[a] != leans[b] ? leans[a] < leans[b] : a < b; });
    for (std::size_t i = size / 2; i < size; ++i) is_second[order[i]] = true;
  }
}

void VectorPartitions::Split(std::uint32_t partition) {
  std::vector<std::uint32_t> to_split{partition}, rows;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> made;
  std::vector<float> centres(2 * padded_), vectors;
  std::vector<bool> is_second;
  while (!to_split.empty()) {
    const auto old = to_split.back();
    to_split.pop_back();
    rows.resize(partitions_[old].size());
    vectors.resize(rows.size() * padded_);
    for (std::size_t i = 0; i < rows.size(); ++i) fine_.Prefetch(rows[i] = partitions_[old].row(i));
    for (std::size_t i = 0; i < rows.size(); ++i) Decode(rows[i], std::span(vectors).subspan(i * padded_, padded_));
    Halve(vectors, centres, is_second);
    const auto other = NewPartition();
    SetCentre(old, std::span(centres).first(padded_));
    SetCentre(other, std::span(centres).last(padded_));
    partitions_[old].Clear(blocks_);
    for (std::size_t i = 0; i < rows.size(); ++i) Append(rows[i], is_second[i] ? other : old, std::span(vectors).subspan(i * padded_, padded_));
    made.emplace_back(old, other);
    for (const auto one : {old, other})
      if (partitions_[one].size() > kSplitFrom) to_split.push_back(one);
  }
  if (partitions() <= 2) return;
  for (const auto& [first, second] : made) MoveNeighbours(first, second);
}

/// Partitions near each other, for how near rows are to their centres.
struct VectorPartitions::Neighbourhood {
  struct Centre {
    FineQuery query;
    float less = 0;
    std::uint32_t partition = 0;
  };
  std::vector<Centre> centres;
  std::size_t size = 0;

  void Add(const VectorPartitions& of, std::uint32_t partition) {
    if (size == centres.size()) centres.emplace_back();
    auto& one = centres[size++];
    const auto centre = of.CentreOf(partition);
    one.partition = partition;
    one.query.Build(centre);
    // A row's inner product with a centre is that of its code and that of the middle.
    one.less = of.half_squares_[partition] - Dot(centre.data(), of.middle_.data(), of.padded_);
  }
  float Closeness(const VectorPartitions& of, std::uint32_t row, std::size_t centre) const { return of.fine_.Estimate(row, centres[centre].query) - centres[centre].less; }
  /// Which of the first `among` centres is nearer than the row's own, or its own.
  std::size_t Best(const VectorPartitions& of, std::uint32_t row, std::size_t own, std::size_t among) const {
    auto best = own;
    float most = Closeness(of, row, own);
    for (std::size_t other = 0; other < among; ++other)
      if (const float one = other == own ? most : Closeness(of, row, other); one > most) most = one, best = other;
    return best;
  }
};

VectorPartitions::Neighbourhood& VectorPartitions::Around(std::uint32_t first, std::uint32_t second, std::size_t count) const {
  thread_local Neighbourhood around;
  thread_local Query query;
  thread_local std::vector<Near> near;
  query.Build(CentreOf(first));
  Nearest(query, count, By::kDistance, near);
  around.size = 0;
  around.Add(*this, first);
  around.Add(*this, second);
  for (const auto& one : near)
    if (one.partition != first && one.partition != second) around.Add(*this, one.partition);
  return around;
}

void VectorPartitions::MoveAll(std::span<const std::pair<std::uint32_t, std::uint32_t>> moves) {
  // A partition may get a little more than it should: the next Put splits it. Far more would make it slow.
  thread_local std::vector<float> rotated;
  rotated.resize(padded_);
  for (const auto& [row, to] : moves)
    if (partitions_[to].size() < kSplitFrom && partitions_[places_[row].partition].size() > kMergeBelow) {
      Unlink(row);
      Decode(row, rotated);
      Append(row, to, rotated);
    }
}

void VectorPartitions::MoveNeighbours(std::uint32_t first, std::uint32_t second) {
  const auto& around = Around(first, second, kNeighbours + 2);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> moves;
  for (std::size_t c = 0; c < around.size; ++c) {
    const auto& codes = partitions_[around.centres[c].partition];
    for (std::size_t i = 0; i < codes.size(); ++i) {
      if (i + kAhead < codes.size()) fine_.Prefetch(codes.row(i + kAhead));
      const auto row = codes.row(i);
      // Those of the new partitions may be nearer to any, those of the others only to the new ones.
      if (const auto best = around.Best(*this, row, c, c < 2 ? around.size : 2); best != c) moves.emplace_back(row, around.centres[best].partition);
    }
  }
  MoveAll(moves);
}

void VectorPartitions::Refresh(std::uint32_t partition) {
  auto& codes = partitions_[partition];
  const auto size = codes.size();
  if (size == 0) return;
  thread_local std::vector<float> vectors, mean;
  vectors.resize(size * padded_);
  mean.assign(padded_, 0);
  for (std::size_t i = 0; i < size; ++i) fine_.Prefetch(codes.row(i));
  for (std::size_t i = 0; i < size; ++i) {
    float* vector = &vectors[i * padded_];
    Decode(codes.row(i), std::span(vector, padded_));
    for (std::size_t d = 0; d < padded_; d += 8) Store(&mean[d], Load(&mean[d]) + Load(vector + d));
  }
  for (auto& x : mean) x /= static_cast<float>(size);
  SetCentre(partition, mean);
  for (std::size_t i = 0; i < size; ++i)
    codes.Replace(i, std::span(vectors).subspan(i * padded_, padded_), mean, metric_ == Metric::kEuclidean ? row_halves_[codes.row(i)] : 0);
  thread_local std::vector<float> distances, sorted;
  distances.resize(size);
  for (std::size_t i = 0; i < size; ++i) {
    const float distance = SquaredDistance(&vectors[i * padded_], mean.data(), padded_);
    distances[i] = std::isfinite(distance) ? distance : 0;  // what is not a number cannot be sorted
  }
  sorted = distances;
  const auto far = sorted.begin() + static_cast<std::ptrdiff_t>(size - 1 - size / kFarPart);
  std::nth_element(sorted.begin(), far, sorted.end());
  thread_local Query query;
  thread_local std::vector<Near> near;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> moves;
  for (std::size_t i = 0; i < size; ++i) {
    if (distances[i] <= *far) continue;
    query.Build(std::span(vectors).subspan(i * padded_, padded_));
    Nearest(query, 1, By::kDistance, near);
    if (near.front().partition != partition) moves.emplace_back(codes.row(i), near.front().partition);
  }
  MoveAll(moves);
}

void VectorPartitions::Merge(std::uint32_t partition) {
  std::vector<std::uint32_t> rows(partitions_[partition].size());
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = partitions_[partition].row(i);
  partitions_[partition].Clear(blocks_);
  free_.push_back(partition);
  std::vector<float> rotated(padded_);
  SetCentre(partition, rotated);
  Query query;
  std::vector<Near> near;
  for (const auto row : rows) {
    Decode(row, rotated);
    query.Build(rotated);
    Nearest(query, 1, By::kDistance, near);
    Append(row, near.front().partition, rotated);
  }
}

void VectorPartitions::Nearest(const Query& query, std::size_t count, By by, std::vector<Near>& out) const {
  const bool is_distance = by == By::kDistance, has_less = is_distance || metric_ == Metric::kEuclidean;
  const auto compared = std::max(is_distance ? kPutCentres : kMinCentres, is_distance ? count : static_cast<std::size_t>(static_cast<double>(count) * kCentreFactor));
  thread_local std::vector<CodeList::Block> blocks;
  blocks.clear();
  const bool is_grouped = is_distance && upper_;
  if (is_grouped) {
    thread_local std::vector<Near> groups;
    upper_->Nearest(query, kGroups, by, groups);
    const auto found = upper_->BlocksOf(groups);
    blocks.assign(found.begin(), found.end());
  } else {
    for (std::size_t block = 0; block < centre_codes_.blocks(); ++block) blocks.push_back(centre_codes_.block(block, 0));
  }
  thread_local std::vector<float> scores;
  scores.resize(blocks.size() * CodeList::kBlock);
  for (std::size_t block = 0; block < blocks.size(); ++block) {
    if (block + kBlocksAhead < blocks.size()) CodeList::Prefetch(blocks[block + kBlocksAhead], padded_);
    float* estimates = &scores[block * CodeList::kBlock];
    CodeList::Estimate(blocks[block], query.tables, 0, estimates);
    if (!has_less) continue;
    const auto* rows = CodeList::Rows(blocks[block], padded_);
    for (std::size_t i = 0; i < CodeList::kBlock; ++i) estimates[i] -= half_squares_[rows[i]];
  }
  if (!is_grouped)
    for (const auto partition : free_) scores[partition] = kNone;
  const auto threshold = compared < scores.size() ? Threshold(scores, compared) : kNone;
  out.clear();
  for (std::size_t block = 0; block < blocks.size(); ++block)
    for (auto good = AtLeast(&scores[block * CodeList::kBlock], threshold); good; good &= good - 1) {
      const auto at = static_cast<std::size_t>(std::countr_zero(good)), place = block * CodeList::kBlock + at;
      const auto partition = CodeList::Rows(blocks[block], padded_)[at];
      // Past the end of a block is nothing. Of vectors that are too long for estimates all partitions are near.
      if ((is_grouped ? scores[place] == kNone : place >= partitions_.size()) || partitions_[partition].size() == 0) continue;
      centre_fine_.Prefetch(partition);
      out.push_back({0, partition});
    }
  const auto order = [&](const Near& one) { return one.score - (has_less ? half_squares_[one.partition] : 0); };
  scores.resize(out.size());
  std::size_t best = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i].score = centre_fine_.Estimate(out[i].partition, query.fine);
    if ((scores[i] = order(out[i])) > scores[best]) best = i;
  }
  if (out.empty()) {  // lengths are such that no estimate is a number
    const auto any = std::find_if(partitions_.begin(), partitions_.end(), [](const CodeList& one) { return one.size() > 0; });
    if (any != partitions_.end()) out.push_back({0, static_cast<std::uint32_t>(any - partitions_.begin())});
    return;
  }
  if (count < out.size()) {
    const auto least = count == 1 ? scores[best] : Threshold(scores, count);
    std::size_t kept = 0;
    const auto first = out[best].partition;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      out[kept] = out[i];
      kept += scores[i] >= least;
    }
    out.resize(std::max<std::size_t>(kept, 1));
    best = static_cast<std::size_t>(std::find_if(out.begin(), out.end(), [&](const Near& one) { return one.partition == first; }) - out.begin()) % out.size();
  }
  std::swap(out.front(), out[best]);
}

// Search.

std::vector<std::uint32_t> VectorPartitions::Best(const Query& query, std::span<const std::uint32_t> rows, std::size_t keep) const {
  if (rows.size() <= keep) return {rows.begin(), rows.end()};
  thread_local Shortlist best;
  best.Begin(keep);
  for (std::size_t i = 0; i < std::min(kAhead, rows.size()); ++i) fine_.Prefetch(rows[i]);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i + kAhead < rows.size()) fine_.Prefetch(rows[i + kAhead]);
    best.Add(fine_.Estimate(rows[i], query.fine) - (metric_ == Metric::kEuclidean ? row_halves_[rows[i]] : 0), rows[i]);
  }
  const auto out = best.Take();
  return {out.begin(), out.end()};
}

std::span<const CodeList::Block> VectorPartitions::BlocksOf(std::span<const Near> near) const {
  thread_local std::vector<CodeList::Block> blocks;
  blocks.clear();
  for (const auto& one : near) {
    const auto& codes = partitions_[one.partition];
    for (std::size_t block = 0; block < codes.blocks(); ++block) blocks.push_back(codes.block(block, one.score));
  }
  return blocks;
}

std::size_t VectorPartitions::Scan(const Query& query, std::span<const Near> near, std::span<const std::uint64_t> allowed, Shortlist& out) const {
  const auto blocks = BlocksOf(near);
  alignas(32) float estimates[CodeList::kBlock];
  for (std::size_t i = 0; i < std::min(kBlocksAhead, blocks.size()); ++i) CodeList::Prefetch(blocks[i], padded_);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (i + kBlocksAhead < blocks.size()) CodeList::Prefetch(blocks[i + kBlocksAhead], padded_);
    auto good = CodeList::Estimate(blocks[i], query.tables, std::max(out.threshold(), std::numeric_limits<float>::lowest()), estimates);
    if (good == 0) continue;
    const auto* rows = CodeList::Rows(blocks[i], padded_);
    // Most blocks have few that are good enough: these are looked up one by one.
    if (!allowed.empty()) good = std::popcount(good) > kFewToLookUp ? good & AllowedOf(rows, allowed) : AllowedOf(rows, allowed, good);
    out.Add(estimates, rows, good);
  }
  return blocks.size() * CodeList::kBlock;
}

std::vector<std::uint32_t> VectorPartitions::Search(const Query& query, std::span<const std::uint64_t> allowed, Effort effort, std::size_t& scanned, std::size_t& reranked) const {
  thread_local std::vector<Near> near;
  thread_local Shortlist shortlist;
  const auto rerank = std::max(effort.rerank, effort.keep);
  auto wanted = std::min(partitions(), effort.scan / std::max<std::size_t>(1, size_ / partitions()) + 1);
  for (;; wanted = std::min(partitions(), wanted * 4)) {
    shortlist.Begin(rerank);
    Nearest(query, wanted, By::kSought, near);
    scanned += Scan(query, near, allowed, shortlist);
    if (shortlist.added() >= effort.enough || wanted >= partitions()) break;
  }
  const auto rows = shortlist.Take();
  reranked = rows.size();
  return Best(query, rows, effort.keep);
}

std::size_t VectorPartitions::bytes() const {
  std::size_t out = (centres_.capacity() + half_squares_.capacity() + row_halves_.capacity()) * sizeof(float) + places_.capacity() * sizeof(Place) + blocks_.bytes() + centre_blocks_.bytes() + centre_codes_.bytes() + centre_fine_.bytes() + fine_.bytes();
  for (const auto& one : partitions_) out += sizeof one + one.bytes();
  return out + (upper_ ? sizeof *upper_ + upper_->bytes() : 0);
}

}  // namespace tenfold::retrieval
