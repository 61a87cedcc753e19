#include "retrieval/vector_index.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"

namespace tenfold::retrieval {
namespace {

// How many times k is re-ranked and how many codes are scanned for each square root of the rows, measured by bench/vector_peers on 384-dimensional text embeddings; the
// floor holds the recall for small k.
constexpr std::size_t kRerankFactor = 8, kMinRerank = 96;
constexpr double kScanFactor = 80;
constexpr std::size_t kScanFloor = 4096, kScanPerResult = 64;
// Up to so many allowed rows are looked at one by one.
constexpr std::size_t kFew = 384;
// Of the partitions whose codes are near, so many times those that are wanted are compared exactly.
constexpr std::size_t kCentreFactor = 2, kMinCentres = 24, kPutCentres = 8;
constexpr std::size_t kNeighbours = 8;
constexpr int kHalvings = 5;

/// The `size` best of what is added. What is worse than the worst of an earlier full set is not even kept.
class Shortlist {
 public:
  struct Candidate {
    float estimate;
    std::uint32_t row;
  };
  explicit Shortlist(std::size_t size) : size_(size) { kept_.reserve(std::min<std::size_t>(2 * size, 8192)); }
  void Add(float estimate, std::uint32_t row) {
    if (estimate <= threshold_) return;
    kept_.push_back({estimate, row});
    if (kept_.size() == 2 * size_) Trim();
  }
  /// What is not above it is not taken.
  float threshold() const { return threshold_; }
  std::size_t size() const { return kept_.size(); }
  std::vector<Candidate> Take() {
    if (kept_.size() > size_) Trim();
    return std::move(kept_);
  }

 private:
  void Trim() {
    std::nth_element(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(size_ - 1), kept_.end(), [](const Candidate& a, const Candidate& b) { return a.estimate > b.estimate; });
    threshold_ = kept_[size_ - 1].estimate;
    kept_.resize(size_);
  }
  std::size_t size_;
  float threshold_ = -std::numeric_limits<float>::infinity();
  std::vector<Candidate> kept_;
};

std::vector<float> ToLengthOne(std::span<const float> vector) {
  double squares = 0;
  for (const float x : vector) squares += static_cast<double>(x) * static_cast<double>(x);
  const auto scale = squares > 0 ? static_cast<float>(1 / std::sqrt(squares)) : 0.0f;
  std::vector<float> out(vector.begin(), vector.end());
  for (auto& x : out) x *= scale;
  return out;
}

bool IsBetter(const Hit& a, const Hit& b) { return a.score != b.score ? a.score > b.score : a.row < b.row; }

}  // namespace

VectorIndex::VectorIndex(std::size_t dim, Metric metric) : dim_(dim), metric_(metric), rotation_(dim), centre_codes_(rotation_.padded()), middle_(rotation_.padded()) {
  TENFOLD_CHECK(dim >= 1 && dim <= 4096);
  NewPartition();
}

// What is put in and taken out.

void VectorIndex::Append(std::uint32_t row, std::uint32_t partition, std::span<const float> rotated) {
  const auto padded = rotation_.padded();
  auto& codes = partitions_[partition].codes;
  places_[row] = {partition, static_cast<std::uint32_t>(codes.size())};
  codes.Add(row, rotated, std::span(rotated_centres_).subspan(partition * padded, padded));
}

void VectorIndex::Unlink(std::uint32_t row) {
  const auto place = places_[row];
  const auto moved = partitions_[place.partition].codes.Remove(place.at);
  places_[moved].at = place.at;
}

void VectorIndex::Move(std::uint32_t row, std::uint32_t partition) {
  Unlink(row);
  std::vector<float> rotated(rotation_.padded());
  rotation_.Apply(Get(row), rotated);
  Append(row, partition, rotated);
}

void VectorIndex::Put(std::uint32_t row, std::span<const float> vector) {
  if (vector.size() != dim_) throw Error(Code::kInvalidArgument, "the vector has " + std::to_string(vector.size()) + " dimensions, the index " + std::to_string(dim_));
  std::vector<float> scaled;
  if (metric_ == Metric::kCosine) vector = scaled = ToLengthOne(vector);
  if (present_.Test(row)) Remove(row);
  if ((row + 1) * dim_ > vectors_.size()) {
    vectors_.resize((row + 1) * dim_);
    places_.resize(row + 1);
  }
  std::copy(vector.begin(), vector.end(), vectors_.begin() + static_cast<std::ptrdiff_t>(row * dim_));
  present_.Set(row);
  ++size_;
  if (metric_ != Metric::kCosine) return;
  thread_local std::vector<float> rotated;
  rotated.resize(rotation_.padded());
  rotation_.Apply(vector, rotated);
  std::uint32_t partition = 0;
  if (size_ == 1) {  // no partition holds anything; one is not given up
    while (std::find(free_.begin(), free_.end(), partition) != free_.end()) ++partition;
  } else if (partitions_.size() > 1) {
    thread_local CodeTables tables;
    tables.Build(rotated);
    partition = Nearest(vector, tables, 8, true).front().partition;
  }
  Append(row, partition, rotated);
  if (partitions_[partition].codes.size() > (partitions() == 1 ? kScanAll : kSplitFrom)) Split(partition);
}

void VectorIndex::Remove(std::uint32_t row) {
  if (!present_.Test(row)) return;
  present_.Clear(row);
  --size_;
  if (metric_ == Metric::kCosine) {
    Unlink(row);
    if (const auto partition = places_[row].partition; partitions_[partition].codes.size() < kMergeBelow && partitions() > 1) Merge(partition);
  }
  // Nothing of it stays in memory.
  std::fill_n(vectors_.begin() + static_cast<std::ptrdiff_t>(row * dim_), dim_, 0.0f);
}

// Partitions.

std::uint32_t VectorIndex::NewPartition() {
  if (!free_.empty()) {
    const auto partition = free_.back();
    free_.pop_back();
    return partition;
  }
  const auto partition = static_cast<std::uint32_t>(partitions_.size());
  partitions_.emplace_back(rotation_.padded());
  half_squares_.push_back(0);
  centres_.resize(centres_.size() + dim_);
  rotated_centres_.resize(rotated_centres_.size() + rotation_.padded());
  centre_codes_.Add(partition, std::span(rotated_centres_).last(rotation_.padded()), middle_);
  return partition;
}

void VectorIndex::SetCentre(std::uint32_t partition, std::span<const float> centre) {
  const auto padded = rotation_.padded();
  std::copy(centre.begin(), centre.end(), centres_.begin() + static_cast<std::ptrdiff_t>(partition * dim_));
  const auto rotated = std::span(rotated_centres_).subspan(partition * padded, padded);
  rotation_.Apply(centre, rotated);
  centre_codes_.Replace(partition, rotated, middle_);
  half_squares_[partition] = Dot(centre.data(), centre.data(), dim_) / 2;
}

void VectorIndex::RecodeCentres() {
  // The codes of the centres are relative to their middle, which moves while the first partitions come.
  const auto padded = rotation_.padded();
  std::fill(middle_.begin(), middle_.end(), 0.0f);
  for (std::size_t i = 0; i < rotated_centres_.size(); ++i) middle_[i % padded] += rotated_centres_[i] / static_cast<float>(partitions_.size());
  for (std::size_t p = 0; p < partitions_.size(); ++p) centre_codes_.Replace(p, std::span(rotated_centres_).subspan(p * padded, padded), middle_);
  middle_of_ = partitions_.size();
}

void VectorIndex::Halve(std::span<const std::uint32_t> rows, std::span<float> centres, std::vector<bool>& is_second) const {
  // Two means that begin far from each other. If one side gets too little, the half on either side of the middle is taken: partitions stay balanced.
  const auto far_from = [&](std::uint32_t row) {
    auto best = rows.front();
    float least = std::numeric_limits<float>::infinity();
    for (const auto one : rows)
      if (const float dot = Dot(Get(one).data(), Get(row).data(), dim_); dot < least) least = dot, best = one;
    return best;
  };
  // Of very many a sample shows where the halves are.
  std::vector<std::uint32_t> sample;
  const auto every = std::max<std::size_t>(1, rows.size() / 1024);
  for (std::size_t i = 0; i < rows.size(); i += every) sample.push_back(rows[i]);
  const auto first = far_from(rows.front()), second = far_from(first);
  const auto c0 = centres.first(dim_), c1 = centres.last(dim_);
  std::copy_n(Get(first).begin(), dim_, c0.begin());
  std::copy_n(Get(second).begin(), dim_, c1.begin());
  const auto lean = [&](std::uint32_t row, float middle) { return Dot(Get(row).data(), c1.data(), dim_) - Dot(Get(row).data(), c0.data(), dim_) - middle; };
  const auto middle_now = [&] { return (Dot(c1.data(), c1.data(), dim_) - Dot(c0.data(), c0.data(), dim_)) / 2; };
  std::vector<float> leans(sample.size());
  for (int round = 0; round < kHalvings; ++round) {
    const float middle = middle_now();
    std::size_t seconds = 0;
    for (std::size_t i = 0; i < sample.size(); ++i) seconds += (leans[i] = lean(sample[i], middle)) > 0;
    float cut = 0;
    if (std::min(seconds, sample.size() - seconds) * 4 < sample.size()) {
      auto sorted = leans;
      std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2), sorted.end());
      cut = sorted[sorted.size() / 2];
    }
    std::vector<float> sums(2 * dim_);
    std::size_t counts[2] = {};
    for (std::size_t i = 0; i < sample.size(); ++i) {
      const std::size_t side = leans[i] > cut;
      ++counts[side];
      const auto vector = Get(sample[i]);
      for (std::size_t d = 0; d < dim_; ++d) sums[side * dim_ + d] += vector[d];
    }
    if (counts[0] == 0 || counts[1] == 0) break;  // all the same
    for (std::size_t i = 0; i < sums.size(); ++i) centres[i] = sums[i] / static_cast<float>(counts[i / dim_]);
  }
  const float middle = middle_now();
  std::vector<float> all(rows.size());
  std::size_t seconds = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) seconds += (all[i] = lean(rows[i], middle)) > 0;
  is_second.assign(rows.size(), false);
  if (std::min(seconds, rows.size() - seconds) * 8 >= rows.size()) {
    for (std::size_t i = 0; i < rows.size(); ++i) is_second[i] = all[i] > 0;
  } else {
    std::vector<std::size_t> order(rows.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(order.size() / 2), order.end(), [&](std::size_t a, std::size_t b) { return all[a] != all[b] ? all[a] < all[b] : a < b; });
    for (std::size_t i = order.size() / 2; i < order.size(); ++i) is_second[order[i]] = true;
  }
}

void VectorIndex::Split(std::uint32_t partition) {
  std::vector<std::uint32_t> to_split{partition};
  std::vector<std::pair<std::uint32_t, std::uint32_t>> made;
  std::vector<float> centres(2 * dim_), rotated(rotation_.padded());
  while (!to_split.empty()) {
    const auto old = to_split.back();
    to_split.pop_back();
    const auto rows = partitions_[old].codes.rows();
    std::vector<bool> is_second;
    Halve(rows, centres, is_second);
    const auto other = NewPartition();
    SetCentre(old, std::span(centres).first(dim_));
    SetCentre(other, std::span(centres).last(dim_));
    partitions_[old].codes.Clear();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rotation_.Apply(Get(rows[i]), rotated);
      Append(rows[i], is_second[i] ? other : old, rotated);
    }
    made.emplace_back(old, other);
    for (const auto one : {old, other})
      if (partitions_[one].codes.size() > kSplitFrom) to_split.push_back(one);
  }
  if (partitions_.size() > middle_of_ * 2) RecodeCentres();
  if (partitions() <= 2) return;
  CodeTables tables;
  for (const auto& [first, second] : made) {
    tables.Build(std::span(rotated_centres_).subspan(first * rotation_.padded(), rotation_.padded()));
    std::vector<std::uint32_t> near;
    for (const auto& one : Nearest(CentreOf(first), tables, kNeighbours + 2, true))
      if (one.partition != first && one.partition != second) near.push_back(one.partition);
    MoveNeighbours(first, second, near);
  }
}

void VectorIndex::MoveNeighbours(std::uint32_t first, std::uint32_t second, std::span<const std::uint32_t> near) {
  const auto closeness = [&](std::uint32_t row, std::uint32_t partition) { return Dot(Get(row).data(), CentreOf(partition).data(), dim_) - half_squares_[partition]; };
  std::vector<std::pair<std::uint32_t, std::uint32_t>> moves;
  for (const auto partition : near)
    for (const auto row : partitions_[partition].codes.rows()) {
      const float one = closeness(row, first), two = closeness(row, second);
      if (std::max(one, two) > closeness(row, partition)) moves.emplace_back(row, one > two ? first : second);
    }
  for (const auto partition : {first, second})
    for (const auto row : partitions_[partition].codes.rows()) {
      auto best = partition;
      float most = closeness(row, partition);
      for (const auto other : near)
        if (const float one = closeness(row, other); one > most) most = one, best = other;
      if (best != partition) moves.emplace_back(row, best);
    }
  // A partition may get a little more than it should: the next Put splits it. Far more would make it slow.
  for (const auto& [row, to] : moves)
    if (partitions_[to].codes.size() < kSplitFrom && partitions_[places_[row].partition].codes.size() > kMergeBelow) Move(row, to);
}

void VectorIndex::Merge(std::uint32_t partition) {
  const auto rows = partitions_[partition].codes.rows();
  partitions_[partition].codes.Clear();
  free_.push_back(partition);
  SetCentre(partition, std::vector<float>(dim_));
  std::vector<float> rotated(rotation_.padded());
  CodeTables tables;
  for (const auto row : rows) {
    rotation_.Apply(Get(row), rotated);
    std::uint32_t to = 0;
    tables.Build(rotated);
    to = Nearest(Get(row), tables, 8, true).front().partition;
    Append(row, to, rotated);
  }
}

std::vector<VectorIndex::Near> VectorIndex::Nearest(std::span<const float> vector, const CodeTables& tables, std::size_t count, bool is_distance) const {
  // The middle's own part is the same for all.
  Shortlist shortlist(std::max(is_distance ? kPutCentres : kMinCentres, count * (is_distance ? 1 : kCentreFactor)));
  float estimates[CodeList::kBlock];
  for (std::size_t first = 0; first < partitions_.size(); first += CodeList::kBlock) {
    centre_codes_.Estimate(first / CodeList::kBlock, tables, estimates);
    const auto size = std::min(partitions_.size() - first, CodeList::kBlock);
    if (is_distance)
      for (std::size_t i = 0; i < size; ++i) estimates[i] -= half_squares_[first + i];
    auto good = Above(estimates, shortlist.threshold());
    if (size < CodeList::kBlock) good &= (std::uint32_t{1} << size) - 1;
    for (; good; good &= good - 1) {
      const auto i = static_cast<std::size_t>(std::countr_zero(good));
      if (partitions_[first + i].codes.size() > 0) shortlist.Add(estimates[i], static_cast<std::uint32_t>(first + i));
    }
  }
  const auto better = [](const Near& a, const Near& b) { return a.score != b.score ? a.score > b.score : a.partition < b.partition; };
  std::vector<Near> out;
  for (const auto& one : shortlist.Take()) out.push_back({one.estimate, one.row});
  for (auto& one : out) one.score = Dot(vector.data(), CentreOf(one.partition).data(), dim_) - (is_distance ? half_squares_[one.partition] : 0);
  std::sort(out.begin(), out.end(), better);
  if (out.size() > count) out.resize(count);
  return out;
}

// Search.

float VectorIndex::Score(std::uint32_t row, std::span<const float> query) const {
  const float* vector = &vectors_[row * dim_];
  return metric_ == Metric::kEuclidean ? -SquaredDistance(vector, query.data(), dim_) : Dot(vector, query.data(), dim_);
}

std::vector<Hit> VectorIndex::SearchRows(std::span<const std::uint32_t> rows, std::span<const float> query, std::size_t k) const {
  std::vector<Hit> hits;
  hits.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    // The rows lie anywhere in memory: the one after next is fetched while this one is computed.
    if (i + 2 < rows.size())
      for (std::size_t at = 0; at < dim_; at += 16) __builtin_prefetch(&vectors_[rows[i + 2] * dim_ + at]);
    hits.push_back({rows[i], Score(rows[i], query)});
  }
  const auto keep = std::min(k, hits.size());
  std::partial_sort(hits.begin(), hits.begin() + static_cast<std::ptrdiff_t>(keep), hits.end(), IsBetter);
  hits.resize(keep);
  return hits;
}

std::vector<std::uint32_t> VectorIndex::FewCandidates(std::span<const float> query, std::vector<std::uint32_t> rows, std::size_t count) const {
  // Of each the partition's centre says how likely it is; the estimate of the centre is enough.
  thread_local CodeTables tables;
  thread_local std::vector<float> rotated, of_partition;
  rotated.resize(rotation_.padded());
  rotation_.Apply(query, rotated);
  tables.Build(rotated);
  of_partition.resize(centre_codes_.size() + CodeList::kBlock);
  for (std::size_t first = 0; first < partitions_.size(); first += CodeList::kBlock) centre_codes_.Estimate(first / CodeList::kBlock, tables, &of_partition[first]);
  if (rows.size() > count) {
    const auto score = [&](std::uint32_t row) { return of_partition[places_[row].partition]; };
    std::nth_element(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count - 1), rows.end(), [&](std::uint32_t a, std::uint32_t b) { return score(a) > score(b); });
    rows.resize(count);
  }
  return rows;
}

std::vector<std::uint32_t> VectorIndex::Candidates(std::span<const float> query, const Bitmap& filter, std::size_t allowed, std::size_t k, VectorEffort effort) const {
  thread_local CodeTables tables;
  thread_local std::vector<float> rotated;
  rotated.resize(rotation_.padded());
  rotation_.Apply(query, rotated);
  tables.Build(rotated);
  const auto rerank = std::min(allowed, std::max(effort.rerank ? std::max(effort.rerank, k) : std::max(kMinRerank, k * kRerankFactor), std::size_t{1}));
  // Where a part is allowed the best of them lie further out.
  const double sparse = std::pow(static_cast<double>(size_) / static_cast<double>(allowed), 0.25);
  auto scan = effort.scan ? effort.scan : std::max(kScanFloor, static_cast<std::size_t>(kScanFactor * std::sqrt(static_cast<double>(size_))));
  if (!effort.scan) scan = static_cast<std::size_t>(static_cast<double>(std::max(scan, kScanPerResult * k)) * sparse);
  const bool is_all = allowed == size_;
  Shortlist shortlist(rerank);
  float estimates[CodeList::kBlock];
  std::size_t seen = 0, scanned = 0;
  const auto scan_partition = [&](std::uint32_t partition, float centre) {
    const auto& codes = partitions_[partition].codes;
    scanned += codes.size();
    for (std::size_t first = 0; first < codes.size(); first += CodeList::kBlock) {
      codes.Estimate(first / CodeList::kBlock, tables, estimates);
      const float threshold = shortlist.threshold() - centre;
      const auto size = std::min(codes.size() - first, CodeList::kBlock);
      auto good = Above(estimates, threshold);
      if (size < CodeList::kBlock) good &= (std::uint32_t{1} << size) - 1;
      for (; good; good &= good - 1) {
        const auto i = static_cast<std::size_t>(std::countr_zero(good));
        const auto row = codes.row(first + i);
        if (!is_all && !filter.Test(row)) continue;
        ++seen;
        shortlist.Add(estimates[i] + centre, row);
      }
    }
  };
  const auto average = std::max<std::size_t>(1, size_ / partitions());
  auto wanted = std::min(partitions(), scan / average + 2);
  std::size_t done = 0;
  for (;;) {
    const auto near = Nearest(query, tables, wanted, false);
    for (; done < near.size() && (scanned < scan || seen < rerank); ++done) scan_partition(near[done].partition, near[done].score);
    // `seen` counts what was above the threshold when it came: at first everything, so too few are never returned.
    if ((scanned >= scan && seen >= rerank) || near.size() == partitions()) break;
    // The nearest are the same again, in the same order, only more of them if all are compared exactly.
    wanted = partitions();
    shortlist = Shortlist(rerank);
    done = seen = scanned = 0;
  }
  std::vector<std::uint32_t> rows;
  for (const auto& one : shortlist.Take()) rows.push_back(one.row);
  return rows;
}

std::vector<Hit> VectorIndex::Search(std::span<const float> query, const Bitmap& filter, std::size_t k, VectorEffort effort) const {
  if (query.size() != dim_) throw Error(Code::kInvalidArgument, "the query has " + std::to_string(query.size()) + " dimensions, the index " + std::to_string(dim_));
  if (k == 0) return {};
  std::vector<float> scaled;
  if (metric_ == Metric::kCosine) query = scaled = ToLengthOne(query);
  std::size_t allowed = 0;
  for (std::size_t block = 0; block < present_.words(); ++block) allowed += static_cast<std::size_t>(std::popcount(present_.word(block) & filter.word(block)));
  const auto few = std::max(kFew, size_ / 50);
  if (metric_ == Metric::kCosine && allowed > few && k < allowed) return SearchRows(Candidates(query, filter, allowed, k, effort), query, k);
  std::vector<std::uint32_t> rows;
  rows.reserve(allowed);
  for (std::size_t block = 0; block < present_.words(); ++block)
    for (auto left = present_.word(block) & filter.word(block); left; left &= left - 1) rows.push_back(static_cast<std::uint32_t>(block * 64 + static_cast<std::size_t>(std::countr_zero(left))));
  if (metric_ == Metric::kCosine && partitions() > 1 && rows.size() > kFew && k < allowed)
    rows = FewCandidates(query, std::move(rows), std::max({kFew, effort.rerank, k * kRerankFactor, rows.size() / 4}));
  return SearchRows(rows, query, k);
}

std::size_t VectorIndex::bytes() const {
  std::size_t out = (centres_.capacity() + rotated_centres_.capacity() + vectors_.capacity()) * sizeof(float) + places_.capacity() * sizeof(Place) + centre_codes_.bytes() + present_.words() * 8;
  for (const auto& one : partitions_) out += sizeof one + one.codes.bytes();
  return out;
}

}  // namespace tenfold::retrieval
