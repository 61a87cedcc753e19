#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>

#include "retrieval/bm25_index.h"
#include "retrieval/bm25_sums.h"

namespace tenfold::retrieval {
namespace {

// Documents whose bounds are added up side by side: 16 KB of sums stay in the first cache. Of a block the best is looked for.
constexpr std::uint32_t kWindow = LevelWindow::kSize, kGroup = LevelGroup::kSize, kBlock = 16;
// What float scores and the rounding of sums may lose.
constexpr double kSlack = 1e-6;
// Bounds are sums of 16 bits; each clause loses up to 16 units to rounding up. More clauses than any parsed query has are scored document by document.
constexpr std::size_t kMostClauses = 1024, kLost = 16;
// Postings that are added beyond the essential ones: so many times those, because a document that is found costs more than a posting.
constexpr std::size_t kMorePostings = 16;
// Documents lie all over the memory: so many are asked for before they are scored, and so many wait for that.
constexpr std::size_t kAhead = 10, kMostFound = 64;
// Levels are read in order: so many bytes before they are needed.
constexpr std::size_t kReadAhead = 256, kPostingLines = 6;

// Bytes of words that are looked at side by side.
using Places = std::uint8_t __attribute__((vector_size(64)));
using IsPlace = std::int8_t __attribute__((vector_size(64)));

}  // namespace

/// The `k` best, by score and then by row.
class Bm25Index::Best {
 public:
  explicit Best(std::size_t k) : k_(k) { hits_.reserve(std::min<std::size_t>(k, 4096) + 1); }
  /// Scores below it are not taken; those equal to it may be, if their row is lower.
  float threshold() const { return is_full() ? hits_.front().score : 0; }
  bool is_full() const { return hits_.size() == k_; }
  std::size_t size_wanted() const { return k_; }
  void Add(Hit hit) {
    if (hits_.size() == k_) {
      if (!IsBetter(hit, hits_.front())) return;
      std::pop_heap(hits_.begin(), hits_.end(), IsBetter);
      hits_.pop_back();
    }
    hits_.push_back(hit);
    std::push_heap(hits_.begin(), hits_.end(), IsBetter);
  }
  std::vector<Hit> Take() {
    std::sort(hits_.begin(), hits_.end(), IsBetter);
    return std::move(hits_);
  }

 private:
  static bool IsBetter(const Hit& a, const Hit& b) { return a.score != b.score ? a.score > b.score : a.row < b.row; }
  const std::size_t k_;
  std::vector<Hit> hits_;  // a heap with the worst in front
};

/// Exact scores. Of a short document the words are read, for a long one the clauses' postings are looked up. The sum is in the order of terms, so that it is the same either way.
class Bm25Index::Scorer {
 public:
  Scorer(const Bm25Index& index, std::span<const Clause> clauses) : index_(index), clauses_(clauses), norm_(index.NormNow()), counts_(clauses.size()), parts_(clauses.size()) {
    codes_.reserve(clauses.size());
    for (const auto& clause : clauses) {
      auto& code = codes_.emplace_back();
      auto left = clause.term;
      for (; left >= 0x80; left >>= 7) code.bytes[code.size++] = static_cast<std::uint8_t>(left | 0x80);
      code.bytes[code.size++] = static_cast<std::uint8_t>(left);
    }
  }
  std::span<const Clause> clauses() const { return clauses_; }
  /// Begins to load a document that will be scored soon.
  void Prefetch(std::uint32_t document) const {
    const auto* words = index_.sequences_.data() + index_.documents_[document].begin;
    for (std::size_t line = 0; line < 4; ++line) __builtin_prefetch(words + 64 * line);
  }
  double Score(std::uint32_t document) {
    const auto length = index_.documents_[document].length;
    if (length > clauses_.size() * kReadPerClause || !Read(document)) LookUp(document);
    // All are divided side by side; a clause that the document has not adds 0.
    const double norm = norm_.base + norm_.slope * length;
    for (std::size_t i = 0; i < clauses_.size(); ++i) parts_[i] = clauses_[i].weight * counts_[i] / (counts_[i] + norm);
    return std::accumulate(parts_.begin(), parts_.end(), 0.0);
  }

 private:
  static constexpr std::size_t kReadPerClause = 64;  // words that are read in the time of one look-up
  /// A term as in sequences_.
  struct Code {
    std::array<std::uint8_t, 5> bytes{};
    std::size_t size = 0;
  };
  /// False if it cannot.
  bool Read(std::uint32_t document) {
    // Each clause's bytes are looked for at 64 places at once. A word begins where the byte before has no bit that says it goes on; so does the first of a document.
    constexpr std::size_t kPlaces = sizeof(Places);
    const auto begin = index_.documents_[document].begin, end = index_.EndOf(document);
    if (begin == 0 || end + kPlaces + std::tuple_size_v<decltype(Code::bytes)> > index_.sequences_.size()) return false;
    std::fill(counts_.begin(), counts_.end(), 0);
    for (auto at = begin; at < end; at += kPlaces) {
      const auto* bytes = index_.sequences_.data() + at;
      Places before, first, second, more;
      std::memcpy(&before, bytes - 1, kPlaces);
      std::memcpy(&first, bytes, kPlaces);
      std::memcpy(&second, bytes + 1, kPlaces);
      auto starts = BitsOf<std::uint64_t>(before < 0x80);
      if (end - at < kPlaces) starts &= (std::uint64_t{1} << (end - at)) - 1;
      for (std::size_t i = 0; i < codes_.size(); ++i) {
        const auto& code = codes_[i];
        IsPlace same = first == code.bytes[0];
        if (code.size > 1) same &= second == code.bytes[1];
        for (std::size_t j = 2; j < code.size; ++j) {
          std::memcpy(&more, bytes + j, kPlaces);
          same &= more == code.bytes[j];
        }
        counts_[i] += static_cast<std::uint32_t>(std::popcount(BitsOf<std::uint64_t>(same) & starts));
      }
    }
    return true;
  }
  void LookUp(std::uint32_t document) {
    for (std::size_t i = 0; i < clauses_.size(); ++i) {
      const auto& term = index_.terms_[clauses_[i].term];
      counts_[i] = 0;
      if (term.dense != kNone && index_.dense_[term.dense].levels.at(document) == 0) continue;
      const auto at = std::lower_bound(term.postings.begin(), term.postings.end(), document, [](const Posting& one, std::uint32_t d) { return one.document() < d; });
      if (at != term.postings.end() && at->document() == document) counts_[i] = at->count == kMore ? index_.CountIn(clauses_[i].term, document) : at->count;
    }
  }

  const Bm25Index& index_;
  const std::span<const Clause> clauses_;
  const Norm norm_;
  std::vector<Code> codes_;
  std::vector<std::uint32_t> counts_;
  std::vector<double> parts_;
};

/// Goes over all documents for the best. What a document can have at most is a sum of 16 bits: of each clause a part in `unit_`ths of a score, rounded up.
class Bm25Index::Scan {
 public:
  Scan(const Bm25Index& index, Scorer& scorer, const Bitmap& filter, Best& best) : index_(index), scorer_(scorer), filter_(filter), best_(best), room_(RoomOfThread()) {
    // A bound that was computed with another slope s holds times s / slope: (tf + base + s * length) / (tf + base + slope * length) is at most that.
    const auto slope = index.NormNow().slope;
    const double stretch = std::max(1.0, slope > 0 ? index.bound_slope_ / slope : 1.0);
    double sum = 0;
    for (const auto& clause : scorer.clauses()) sum += clause.weight;
    unit_ = static_cast<double>(65535 - kLost * scorer.clauses().size()) / (sum * stretch) * 255 / 256;
    for (const auto& clause : scorer.clauses()) {
      const auto& term = index.terms_[clause.term];
      const auto weight = static_cast<std::uint16_t>(std::ceil(clause.weight * stretch * unit_ * 256 / 255));
      const auto step = static_cast<std::uint16_t>((weight * Levels::kStep + 255) / 256);
      const auto* dense = term.dense == kNone ? nullptr : &index.dense_[term.dense].levels;
      parts_.push_back({&term, dense, weight, step, static_cast<std::uint16_t>(dense ? Levels::LevelOf(term.most) * step : Scaled(term.most, weight))});
    }
    std::sort(parts_.begin(), parts_.end(), [](const Part& a, const Part& b) { return a.most > b.most; });
  }
  void Run() {
    if (!room_.is_clean) std::fill(room_.sums.begin(), room_.sums.end(), std::uint16_t{0});
    room_.found.clear();
    SplitParts();
    const auto end = static_cast<std::uint32_t>(index_.documents_.size());
    for (std::uint32_t first = 0; first < end; first += kWindow) {
      if (!adds_dense_) {  // on to where there is something
        auto next = end;
        for (const auto& part : std::span(parts_).first(essential_))
          if (part.at < part.term->postings.size()) next = std::min(next, part.term->postings[part.at].document());
        if (next == end) break;
        first = next & ~(kWindow - 1);
      }
      first_ = first;
      size_ = std::min(kWindow, end - first);
      room_.is_clean = false;
      AddPostings();
      const auto before = room_.found.size();
      const bool is_first = least_ == 1;
      if (adds_dense_ || touched_ > size_ / 32) FindBySums();
      else FindByPostings();
      if (!is_first) Refine(before);
      room_.is_clean = true;
      if (!best_.is_full() || room_.found.size() >= kMostFound) ScoreFound();
    }
    ScoreFound();
  }

 private:
  /// How a part is counted in a window: kMost, that no document has more of it.
  enum class Use { kAdded, kMost };
  struct Part {
    const Term* term;
    const Levels* dense;
    std::uint16_t weight;
    std::uint16_t step;    ///< of a level
    std::uint16_t most;    ///< of a document
    Use use = Use::kAdded;
    std::size_t from = 0;  ///< postings of this window: from..at
    std::size_t at = 0;
  };
  struct Found {
    std::uint32_t document;
    std::uint32_t sum;
  };
  struct Room {
    HugeVector<std::uint16_t> sums = HugeVector<std::uint16_t>(kWindow);  // zero between windows
    bool is_clean = true;  // not if a window ended in an exception
    std::vector<std::uint16_t> maxima;
    std::vector<Found> found;
    struct Stream {
      const LevelWindow* levels;
      std::uint16_t step;
    };
    std::vector<Stream> streams;  // the dense parts in this window
  };
  static Room& RoomOfThread() {
    thread_local Room room;
    return room;
  }
  /// A bound times a weight in 256ths, rounded up, and 0 only of 0.
  static std::uint16_t Scaled(std::uint8_t bound, std::uint16_t weight) { return static_cast<std::uint16_t>((std::uint32_t{bound} * weight >> 8) + (bound != 0)); }

  /// Documents with a lower sum are not among the best.
  std::uint32_t Least() const { return std::max<std::uint32_t>(1, static_cast<std::uint32_t>(best_.threshold() * (1 - kSlack) * unit_)); }
  /// The last parts that together cannot reach `least_` are not essential: no document is found without one of the others.
  void SplitParts() {
    least_ = Least();
    std::uint32_t rest = 0;
    auto essential = parts_.size();
    while (essential > 0 && rest + parts_[essential - 1].most < least_) rest += parts_[--essential].most;
    essential_ = essential;
    adds_dense_ = std::any_of(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(essential), [](const Part& part) { return part.dense; });
    std::size_t cost = 0;
    for (const auto& part : std::span(parts_).first(essential)) cost += part.dense ? part.dense->windows() * kWindow / kBlock : part.term->postings.size();
    // Postings are read in a hundredth of the time that a document is scored in: others that have not many more of them are added as well, and levels where levels are added.
    auto allowed = cost * kMorePostings;
    rest_ = 0;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      auto& part = parts_[i];
      const bool is_added = i < essential || (part.dense ? adds_dense_ : part.term->postings.size() <= allowed);
      part.use = is_added ? Use::kAdded : Use::kMost;
      if (!is_added) rest_ += part.most;
      else if (i >= essential && !part.dense) allowed -= part.term->postings.size();
    }
  }
  void AddPostings() {
    touched_ = 0;
    auto* sums = room_.sums.data();
    for (auto& part : parts_) {
      part.from = part.at;
      if (part.use != Use::kAdded || part.dense) continue;
      const auto& postings = part.term->postings;
      const auto begin = postings.begin() + static_cast<std::ptrdiff_t>(part.at);
      if (begin != postings.end() && begin->document() < first_) part.at = static_cast<std::size_t>(std::lower_bound(begin, postings.end(), first_, [](const Posting& one, std::uint32_t d) { return one.document() < d; }) - postings.begin());
      part.from = part.at;
      for (; part.at < postings.size() && postings[part.at].document() - first_ < size_; ++part.at) sums[postings[part.at].document() - first_] += Scaled(postings[part.at].bound, part.weight);
      touched_ += part.at - part.from;
      const auto* next = postings.data() + part.at;  // of the next window
      for (std::size_t line = 0; line < kPostingLines; ++line) __builtin_prefetch(reinterpret_cast<const char*>(next) + 64 * line);
    }
  }
  void FindByPostings() {
    auto* sums = room_.sums.data();
    for (const auto& part : parts_)
      for (auto at = part.from; at < part.at; ++at) {
        const auto document = part.term->postings[at].document();
        auto& sum = sums[document - first_];
        if (sum + rest_ >= least_ && sum != 0) room_.found.push_back({document, sum + rest_});
        sum = 0;
      }
  }
  /// What was found from `from` on, with the documents' own levels in the place of the most that any has.
  void Refine(std::size_t from) {
    for (const auto& part : parts_) {
      if (part.use == Use::kAdded || !part.dense) continue;
      auto kept = from;
      for (auto at = from; at < room_.found.size(); ++at) {
        auto one = room_.found[at];
        one.sum = one.sum - part.most + part.dense->at(one.document) * part.step;
        room_.found[kept] = one;
        kept += one.sum >= least_;
      }
      room_.found.resize(kept);
    }
  }
  void FindBySums() {
    FindStreams();
    auto* sums = room_.sums.data();
    const auto groups = (size_ + kGroup - 1) / kGroup;
    if (least_ > 1) {
      const auto least = static_cast<std::uint16_t>(least_ - rest_);
      for (std::uint32_t group = 0; group < groups; ++group) {
        const auto found = SumsOf(group);
        if (found.AnyAtLeast(least)) {
          found.Store(sums + group * kGroup);
          Collect(found, group, least_, rest_);
        }
        std::fill_n(sums + group * kGroup, kGroup, std::uint16_t{0});
      }
    } else {
      for (std::uint32_t group = 0; group < groups; ++group) SumsOf(group).Store(sums + group * kGroup);
      FindFirst(groups);
      std::fill_n(sums, groups * kGroup, std::uint16_t{0});
    }
  }
  /// Nothing is known yet: the documents of the most promising blocks give a threshold that spares most of the others.
  void FindFirst(std::size_t groups) {
    auto* sums = room_.sums.data();
    const auto collect = [&](std::uint32_t least) {  // all parts were added
      for (std::uint32_t group = 0; group < groups; ++group) Collect(GroupSums(sums + group * kGroup), group, least, 0);
    };
    if (auto& maxima = room_.maxima; best_.size_wanted() < groups * kGroup / kBlock) {
      maxima.resize(groups * kGroup / kBlock);
      for (std::size_t block = 0; block < maxima.size(); ++block) maxima[block] = MostOf(sums + block * kBlock);
      const auto kth = maxima.begin() + static_cast<std::ptrdiff_t>(best_.size_wanted() - 1);
      std::nth_element(maxima.begin(), kth, maxima.end(), std::greater<>());
      collect(std::max<std::uint32_t>(1, *kth));
      for (const auto& one : room_.found) sums[one.document - first_] = 0;  // not twice
      ScoreFound();
    }
    collect(least_);
  }
  void FindStreams() {
    room_.streams.clear();
    for (const auto& part : parts_) {
      if (!part.dense || part.use != Use::kAdded) continue;
      if (const auto* levels = part.dense->window(first_ / kWindow)) room_.streams.push_back({levels, part.step});
      // Nothing of this stays in a cache from one query to the next: what comes is asked for before it is needed, over the ends of pages too, where the processor's own reading ahead stops.
      if (const auto* next = reinterpret_cast<const char*>(part.dense->window(first_ / kWindow + 1)))
        for (std::size_t at = 0; at < kReadAhead; at += 64) __builtin_prefetch(next + at);
    }
  }
  GroupSums SumsOf(std::uint32_t group) const {
    GroupSums found(room_.sums.data() + group * kGroup);
    for (const auto& [levels, step] : room_.streams) {
      const auto& one = levels->groups[group];
      __builtin_prefetch(reinterpret_cast<const char*>(&one) + kReadAhead);
      found.Add(one, step);
    }
    return found;
  }
  /// Those whose sums, which are stored, and the rest are at least `least`.
  void Collect(const GroupSums& found, std::uint32_t group, std::uint32_t least, std::uint32_t rest) {
    found.ForEachAtLeast(static_cast<std::uint16_t>(least - rest), [&](std::uint32_t at) {
      const auto in_window = group * kGroup + at;
      if (in_window >= size_) return;
      room_.found.push_back({first_ + in_window, room_.sums[in_window] + rest});
      __builtin_prefetch(&index_.documents_[first_ + in_window]);
    });
  }
  void ScoreFound() {
    auto& found = room_.found;
    std::erase_if(found, [&](const Found& one) {
      const auto row = index_.documents_[one.document].row;
      return row == kNone || !filter_.Test(row);
    });
    const auto is_more = [](const Found& a, const Found& b) { return a.sum > b.sum; };
    std::size_t at = 0;
    const auto score = [&](const Found& one) {
      const auto sum = scorer_.Score(one.document);
      if (sum > 0) best_.Add({index_.documents_[one.document].row, static_cast<float>(sum)});
    };
    if (const auto k = best_.size_wanted(); !best_.is_full() && found.size() > 2 * k) {
      // Those that promise most give a threshold that spares most of the others.
      std::nth_element(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(k), found.end(), is_more);
      for (; at < k; ++at) score(found[at]);
      const auto least = Least();
      found.erase(std::remove_if(found.begin() + static_cast<std::ptrdiff_t>(k), found.end(), [&](const Found& one) { return one.sum < least; }), found.end());
    }
    std::sort(found.begin() + static_cast<std::ptrdiff_t>(at), found.end(), is_more);
    for (auto soon = at; soon < std::min(at + kAhead, found.size()); ++soon) scorer_.Prefetch(found[soon].document);
    for (; at < found.size() && found[at].sum >= Least(); ++at) {
      if (at + kAhead < found.size()) scorer_.Prefetch(found[at + kAhead].document);
      score(found[at]);
    }
    found.clear();
    SplitParts();
  }

  const Bm25Index& index_;
  Scorer& scorer_;
  const Bitmap& filter_;
  Best& best_;
  Room& room_;
  double unit_ = 1;
  std::vector<Part> parts_;      // those that a document can have most of first
  std::size_t essential_ = 0;    // the first of them: a document without one is not among the best
  bool adds_dense_ = false;
  std::uint32_t rest_ = 0;       // the most of all parts that are not added
  std::uint32_t least_ = 1;
  std::uint32_t first_ = 0, size_ = 0;  // the window
  std::size_t touched_ = 0;      // postings in it
};

std::vector<Hit> Bm25Index::Search(const WordQuery& query, const Bitmap& filter, std::size_t k) const {
  const auto clauses = ClausesOf(query);
  if (clauses.empty() || k == 0) return {};
  Best best(k);
  Scorer scorer(*this, clauses);
  const auto score = [&](std::uint32_t document) {
    if (const auto row = documents_[document].row; row != kNone && filter.Test(row))
      if (const auto sum = scorer.Score(document); sum > 0) best.Add({row, static_cast<float>(sum)});
  };
  if (const auto documents = WithPhrases(query)) {
    for (const auto document : *documents) score(document);
    return best.Take();
  }
  // A few allowed rows are looked up; many are met on the way.
  std::size_t postings = 0;
  for (const auto& clause : clauses) postings += terms_[clause.term].postings.size();
  constexpr std::size_t kLookUp = 16;  // a look-up costs as much as reading so many postings
  if (clauses.size() > kMostClauses || filter.count() * clauses.size() * kLookUp < postings) {
    filter.ForEach([&](std::uint32_t row) {
      if (row < document_of_row_.size() && document_of_row_[row] != kNone) score(document_of_row_[row]);
    });
  } else {
    Scan(*this, scorer, filter, best).Run();
  }
  return best.Take();
}

}  // namespace tenfold::retrieval
