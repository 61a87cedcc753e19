#ifdef __AVX2__
#include <immintrin.h>
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "retrieval/bm25_index.h"

namespace tenfold::retrieval {
namespace {

// Documents whose bounds are added up side by side: 16 KB of sums stay in the first cache.
constexpr std::uint32_t kWindow = 8192, kGroup = 64;
// What float scores and the rounding of sums may lose.
constexpr double kSlack = 1e-6;
// Bounds are sums of 16 bits; each clause loses up to two units to rounding up. More clauses than any parsed query has are scored document by document.
constexpr std::size_t kMostClauses = 4096;
// What is added beyond the essential: so many times their postings, and so many dense parts, because a document that is found costs more than a window of one.
constexpr std::size_t kMorePostings = 16, kMoreDense = 1;
// Documents lie all over the memory: so many are asked for before they are scored.
constexpr std::size_t kAhead = 10;
// Bounds are read in order: so many bytes before they are needed.
constexpr std::size_t kReadAhead = 1024, kPostingLines = 6;

/// A byte of bounds times a weight in 256ths, rounded up, and 0 only of 0.
inline std::uint16_t Scaled(std::uint8_t bound, std::uint16_t weight) {
  const auto shifted = static_cast<std::uint16_t>(bound << 8);
  return static_cast<std::uint16_t>((std::uint32_t{shifted} * std::uint32_t{weight} >> 16) + (bound != 0));
}

/// Adds bytes of bounds, scaled.
void AddScaled(const std::uint8_t* bounds, std::size_t size, std::uint16_t weight, std::uint16_t* sums) {
  std::size_t i = 0;
#ifdef __AVX2__
  const auto weights = _mm256_set1_epi16(static_cast<short>(weight)), one = _mm256_set1_epi16(1);
  for (; i + 16 <= size; i += 16) {
    auto* sum = reinterpret_cast<__m256i*>(sums + i);
    const auto wide = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bounds + i)));
    const auto scaled = _mm256_add_epi16(_mm256_mulhi_epu16(_mm256_slli_epi16(wide, 8), weights), _mm256_min_epu16(wide, one));
    _mm256_storeu_si256(sum, _mm256_add_epi16(_mm256_loadu_si256(sum), scaled));
  }
#endif
  for (; i < size; ++i) sums[i] = static_cast<std::uint16_t>(sums[i] + Scaled(bounds[i], weight));
}

#ifdef __AVX2__
/// Which of 16 sums are `least` or more: bit 2 * i for the one at i.
inline std::uint32_t AtLeast(__m256i sums, std::uint32_t least) {
  const auto is_one = _mm256_cmpeq_epi16(_mm256_max_epu16(sums, _mm256_set1_epi16(static_cast<short>(least))), sums);
  return static_cast<std::uint32_t>(_mm256_movemask_epi8(is_one)) & 0x55555555u;
}

/// Sums of 64 documents, which stay in registers while one part after the other is added: half the instructions of adding each part to the sums in memory.
class GroupSums {
 public:
  explicit GroupSums(std::size_t begin) { std::fill(std::begin(sums_), std::end(sums_), _mm256_set1_epi16(static_cast<short>(begin))); }
  /// Scaled as AddScaled does, but rounded down, which takes less than one of each part.
  void Add(const std::uint8_t* bounds, std::int16_t weight) {
    AddAll(bounds, _mm256_set1_epi16(weight), [](__m256i) { return _mm256_setzero_si256(); });
  }
  /// The same as AddScaled.
  void AddUp(const std::uint8_t* bounds, std::int16_t weight) {
    AddAll(bounds, _mm256_set1_epi16(weight), [](__m256i wide) { return _mm256_min_epu16(wide, _mm256_set1_epi16(1)); });
  }
  /// Those of documents 16 * block and on, in order, with what was added for them elsewhere.
  __m256i With(std::size_t block, const std::uint16_t* more) const {
    const auto first = sums_[block & 2], second = sums_[(block & 2) + 1];
    const auto ordered = block & 1 ? _mm256_permute2x128_si256(first, second, 0x31) : _mm256_permute2x128_si256(first, second, 0x20);
    return _mm256_add_epi16(ordered, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(more + 16 * block)));
  }

 private:
  template <class F>
  void AddAll(const std::uint8_t* bounds, __m256i weight, F&& more) {
    const auto zero = _mm256_setzero_si256();
    for (std::size_t half = 0; half < 2; ++half) {
      const auto bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bounds + 32 * half));
      for (std::size_t part = 0; part < 2; ++part) {
        const auto wide = part ? _mm256_unpackhi_epi8(zero, bytes) : _mm256_unpacklo_epi8(zero, bytes);
        auto& sum = sums_[2 * half + part];
        sum = _mm256_add_epi16(sum, _mm256_add_epi16(_mm256_mulhi_epu16(wide, weight), more(wide)));
      }
    }
  }
  __m256i sums_[4];  // of each 32 documents 0..7 and 16..23, then 8..15 and 24..31: as bytes are unpacked
};
#endif

/// The same of sums in memory.
inline std::uint32_t AtLeast(const std::uint16_t* sums, std::uint32_t least) {
#ifdef __AVX2__
  return AtLeast(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums)), least);
#else
  std::uint32_t out = 0;
  for (std::uint32_t i = 0; i < 16; ++i) out |= std::uint32_t{sums[i] >= least} << 2 * i;
  return out;
#endif
}

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
  Scorer(const Bm25Index& index, std::span<const Clause> clauses) : index_(index), clauses_(clauses), norm_(index.NormNow()), counts_(clauses.size()) {
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
    const double norm = norm_.base + norm_.slope * length;
    double score = 0;
    for (std::size_t i = 0; i < clauses_.size(); ++i)
      if (const double count = counts_[i]; count > 0) score += clauses_[i].weight * count / (count + norm);
    return score;
  }

 private:
  static constexpr std::size_t kReadPerClause = 64;  // words that are read in the time of one look-up
  /// A term as in sequences_.
  struct Code {
    std::array<std::uint8_t, 5> bytes{};
    std::size_t size = 0;
  };
  /// False if it cannot.
  bool Read([[maybe_unused]] std::uint32_t document) {
#ifdef __AVX2__
    // Each clause's bytes are looked for at 32 places at once. A word begins where the byte before has no bit that says it goes on; so does the first of a document.
    constexpr std::size_t kPlaces = 32;
    const auto begin = index_.documents_[document].begin, end = index_.EndOf(document);
    if (begin == 0 || end + kPlaces + std::tuple_size_v<decltype(Code::bytes)> > index_.sequences_.size()) return false;
    std::fill(counts_.begin(), counts_.end(), 0);
    for (auto at = begin; at < end; at += kPlaces) {
      const auto* bytes = index_.sequences_.data() + at;
      const auto load = [&](std::ptrdiff_t by) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + by)); };
      auto starts = ~static_cast<std::uint32_t>(_mm256_movemask_epi8(load(-1)));
      if (end - at < kPlaces) starts &= (1u << (end - at)) - 1;
      const auto first = load(0), second = load(1);
      for (std::size_t i = 0; i < codes_.size(); ++i) {
        const auto& code = codes_[i];
        auto same = _mm256_cmpeq_epi8(first, _mm256_set1_epi8(static_cast<char>(code.bytes[0])));
        if (code.size > 1) same = _mm256_and_si256(same, _mm256_cmpeq_epi8(second, _mm256_set1_epi8(static_cast<char>(code.bytes[1]))));
        for (std::size_t j = 2; j < code.size; ++j) same = _mm256_and_si256(same, _mm256_cmpeq_epi8(load(static_cast<std::ptrdiff_t>(j)), _mm256_set1_epi8(static_cast<char>(code.bytes[j]))));
        counts_[i] += static_cast<std::uint32_t>(std::popcount(static_cast<std::uint32_t>(_mm256_movemask_epi8(same)) & starts));
      }
    }
    return true;
#else
    return false;
#endif
  }
  void LookUp(std::uint32_t document) {
    for (std::size_t i = 0; i < clauses_.size(); ++i) {
      const auto& term = index_.terms_[clauses_[i].term];
      counts_[i] = 0;
      if (term.dense != kNone) {
        const auto& bounds = index_.dense_[term.dense].bounds;
        if (document >= bounds.size() || bounds[document] == 0) continue;
      }
      const auto at = std::lower_bound(term.postings.begin(), term.postings.end(), document, [](const Posting& one, std::uint32_t d) { return one.document() < d; });
      if (at != term.postings.end() && at->document() == document) counts_[i] = at->count == kMore ? index_.CountIn(clauses_[i].term, document) : at->count;
    }
  }

  const Bm25Index& index_;
  const std::span<const Clause> clauses_;
  const Norm norm_;
  std::vector<Code> codes_;
  std::vector<std::uint32_t> counts_;
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
    unit_ = static_cast<double>(65535 - 2 * scorer.clauses().size()) / (sum * stretch) * 255 / 256;
    for (const auto& clause : scorer.clauses()) {
      const auto& term = index.terms_[clause.term];
      const auto weight = static_cast<std::uint16_t>(std::ceil(clause.weight * stretch * unit_ * 256 / 255));
      parts_.push_back({&term, term.dense == kNone ? nullptr : &index.dense_[term.dense], weight, Scaled(term.most, weight)});
    }
    std::sort(parts_.begin(), parts_.end(), [](const Part& a, const Part& b) { return a.most > b.most; });
  }
  void Run() {
    if (!room_.is_clean) std::fill(room_.sums.begin(), room_.sums.end(), std::uint16_t{0});
    const auto end = static_cast<std::uint32_t>(index_.documents_.size());
    for (std::uint32_t first = 0; first < end; first += kWindow) {
      least_ = Least();
      SplitParts();
      if (!adds_dense_) {  // on to where there is something
        auto next = end;
        for (const auto& part : std::span(parts_).first(essential_))
          if (part.at < part.term->postings.size()) next = std::min(next, part.term->postings[part.at].document());
        if (next == end) return;
        first = next & ~(kWindow - 1);
      }
      first_ = first;
      size_ = std::min(kWindow, end - first);
      room_.found.clear();
      room_.is_clean = false;
      AddPostings();
      if (adds_dense_ || touched_ > size_ / 32) FindBySums();
      else FindByPostings();
      room_.is_clean = true;
    }
  }

 private:
  /// How a part is counted in a window.
  enum class Use { kAdded, kBlocks, kMost };
  struct Part {
    const Term* term;
    const Dense* dense;
    std::uint16_t weight;
    std::uint16_t most;    ///< of a document
    Use use = Use::kAdded;
    std::size_t from = 0;  ///< postings of this window: from..at
    std::size_t at = 0;
  };
  struct Found {
    std::uint32_t document;
    std::uint32_t sum;
  };
  /// A dense part in a window: its bounds from the window's first document on.
  struct Stream {
    const std::uint8_t* bounds;
    std::int16_t weight;
  };
  struct Streams {
    std::vector<Stream> added, others;
    std::vector<std::uint8_t> padded;
    std::vector<std::uint32_t> promising;  ///< groups of the window, by their first document: sums hold what was added
  };
  struct Room {
    std::vector<std::uint16_t> sums = std::vector<std::uint16_t>(kWindow);  // zero between windows
    bool is_clean = true;  // not if a window ended in an exception
    std::vector<std::uint16_t> rests = std::vector<std::uint16_t>(kWindow / kBlock);
    std::vector<std::uint16_t> maxima;
    std::vector<Found> found;
    Streams streams;
  };
  static Room& RoomOfThread() {
    thread_local Room room;
    return room;
  }

  /// Documents with a lower sum are not among the best.
  std::uint32_t Least() const { return std::max<std::uint32_t>(1, static_cast<std::uint32_t>(best_.threshold() * (1 - kSlack) * unit_)); }
  /// The last parts that together cannot reach `least_` are not essential: no document is found without one of the others.
  void SplitParts() {
    std::uint32_t rest = 0;
    auto essential = parts_.size();
    while (essential > 0 && rest + parts_[essential - 1].most < least_) rest += parts_[--essential].most;
    adds_dense_ = false;
    std::size_t cost = 0;
    for (std::size_t i = 0; i < essential; ++i) {
      auto& part = parts_[i];
      part.use = Use::kAdded;
      adds_dense_ = adds_dense_ || part.dense;
      cost += part.dense ? part.dense->bounds.size() / kBlock : part.term->postings.size();
    }
    // Postings are read in a hundredth of the time that a document is scored in: others that have not many more of them are added as well.
    auto allowed = cost * kMorePostings;
    std::size_t more = kMoreDense;
    for (auto i = essential; i < parts_.size(); ++i) {
      auto& part = parts_[i];
      if (part.dense) {
        part.use = adds_dense_ && more > 0 ? Use::kAdded : Use::kBlocks;
        more -= part.use == Use::kAdded;
      } else {
        part.use = part.term->postings.size() <= allowed ? Use::kAdded : Use::kMost;
        if (part.use == Use::kAdded) allowed -= part.term->postings.size();
      }
    }
    rest_ = rest_by_blocks_ = 0;
    for (const auto& part : parts_)
      if (part.use != Use::kAdded) (part.use == Use::kMost ? rest_ : rest_by_blocks_) += part.most;
    essential_ = essential;
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
  /// Adds a part of `size` documents or blocks.
  static void AddBytes(const std::vector<std::uint8_t>& bytes, std::size_t first, std::size_t size, std::uint16_t weight, std::uint16_t* sums) {
    if (first < bytes.size()) AddScaled(bytes.data() + first, std::min(size, bytes.size() - first), weight, sums);
  }
  void FindByPostings() {
    auto* sums = room_.sums.data();
    const auto rest = rest_ + rest_by_blocks_;
    for (const auto& part : parts_)
      for (auto at = part.from; at < part.at; ++at) {
        const auto document = part.term->postings[at].document();
        auto& sum = sums[document - first_];
        if (sum + rest >= least_ && sum != 0) room_.found.push_back({document, sum + rest});
        sum = 0;
      }
    Refine([](const Part& part, std::uint32_t) { return part.most; });
    ScoreFound();
  }
  void FindBySums() {
    auto* sums = room_.sums.data();
    auto* rests = room_.rests.data();
    const auto blocks = (size_ + kBlock - 1) / kBlock;
    std::fill_n(rests, (size_ + kGroup - 1) / kGroup * (kGroup / kBlock), static_cast<std::uint16_t>(rest_));
    for (const auto& part : parts_) {
      if (part.use != Use::kBlocks) continue;
      AddBytes(part.dense->blocks, first_ / kBlock, blocks, part.weight, rests);
      const auto* next = part.dense->blocks.data() + (first_ + kWindow) / kBlock;
      for (std::size_t line = 0; line < kWindow / kBlock; line += 64) __builtin_prefetch(next + line);
    }
#ifdef __AVX2__
    FindStreams();
    if (best_.is_full() && least_ > rest_ + parts_.size()) {
      FindByGroups();
      if (touched_ > 0) std::fill_n(sums, (blocks * kBlock + kGroup - 1) / kGroup * kGroup, std::uint16_t{0});
      else for (const auto at : room_.streams.promising) std::fill_n(sums + at, kGroup, std::uint16_t{0});
      return ScoreFound();
    }
    AddStreams();
#else
    for (const auto& part : parts_)
      if (part.use == Use::kAdded && part.dense) AddBytes(part.dense->bounds, first_, size_, part.weight, sums);
#endif
    if (least_ == 1 && best_.size_wanted() < blocks) {
      // The first window: the documents of the most promising blocks give a threshold that spares most of the others.
      auto& maxima = room_.maxima;
      maxima.resize(blocks);
      for (std::size_t block = 0; block < blocks; ++block) maxima[block] = *std::max_element(sums + block * kBlock, sums + (block + 1) * kBlock);
      const auto kth = maxima.begin() + static_cast<std::ptrdiff_t>(best_.size_wanted() - 1);
      std::nth_element(maxima.begin(), kth, maxima.end(), std::greater<>());
      least_ = std::max<std::uint32_t>(1, *kth);
      Collect(blocks);
      for (const auto& one : room_.found) sums[one.document - first_] = 0;  // not twice
      ScoreFound();
      room_.found.clear();
      least_ = Least();
    }
    Collect(blocks);
    std::fill_n(sums, (size_ + kGroup - 1) / kGroup * kGroup, std::uint16_t{0});
    Refine([](const Part& part, std::uint32_t document) { return document / kBlock < part.dense->blocks.size() ? Scaled(part.dense->blocks[document / kBlock], part.weight) : std::uint16_t{0}; });
    ScoreFound();
  }
#ifdef __AVX2__
  /// The dense parts in this window.
  void FindStreams() {
    auto& [added, others, padded, promising] = room_.streams;
    added.clear();
    others.clear();
    const auto groups = (size_ + kGroup - 1) / kGroup;
    padded.resize(parts_.size() * kWindow);
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const auto& part = parts_[i];
      if (!part.dense || part.dense->bounds.size() <= first_) continue;
      const auto* bounds = part.dense->bounds.data() + first_;
      if (const auto left = part.dense->bounds.size() - first_; left < groups * kGroup) {  // its end, with zeros after it
        auto* copy = padded.data() + i * kWindow;
        std::fill(std::copy_n(bounds, left, copy), copy + groups * kGroup, std::uint8_t{0});
        bounds = copy;
      }
      (part.use == Use::kAdded ? added : others).push_back({bounds, static_cast<std::int16_t>(part.weight)});
    }
  }
  /// The added ones to the sums.
  void AddStreams() {
    auto* sums = room_.sums.data();
    for (std::uint32_t at = 0; at < size_; at += kGroup) {
      GroupSums found(0);
      for (const auto& [bounds, weight] : room_.streams.added) found.AddUp(bounds + at, weight);
      for (std::size_t block = 0; block < kGroup / kBlock; ++block) _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + at + block * kBlock), found.With(block, sums + at));
    }
  }
  /// Goes over the window 64 documents at a time: what the parts that are added give, with the maxima of the others' blocks; where that is enough for one, the others' own bounds too.
  void FindByGroups() {
    auto& [added, others, padded, promising] = room_.streams;
    const auto groups = (size_ + kGroup - 1) / kGroup;
    auto* sums = room_.sums.data();
    const auto* rests = room_.rests.data();
    promising.clear();
    // Nothing of this stays in a cache from one query to the next: what comes is asked for before it is needed, over the ends of pages, where the processor's own reading ahead stops.
    for (std::size_t group = 0; group < groups; ++group) {
      const auto at = group * kGroup;
      // Each part's rounding down takes less than one.
      GroupSums found(added.size());
      for (const auto& [bounds, weight] : added) {
        __builtin_prefetch(bounds + at + kReadAhead);
        found.Add(bounds + at, weight);
      }
      std::uint32_t any = 0;
      __m256i all[kGroup / kBlock];
      for (std::size_t block = 0; block < kGroup / kBlock; ++block) any |= AtLeast(all[block] = found.With(block, sums + at), least_ - rests[at / kBlock + block]);
      if (any == 0) continue;
      promising.push_back(static_cast<std::uint32_t>(at));
      for (std::size_t block = 0; block < kGroup / kBlock; ++block) _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + at + block * kBlock), all[block]);
      for (const auto& other : others) __builtin_prefetch(other.bounds + at);
    }
    const auto rest = rest_ + static_cast<std::uint32_t>(others.size());
    for (const auto at : promising) {
      GroupSums found(0);
      for (const auto& [bounds, weight] : others) found.Add(bounds + at, weight);
      for (std::size_t block = 0; block < kGroup / kBlock; ++block) {
        const auto all = found.With(block, sums + at);
        auto left = AtLeast(all, least_ - rest);
        if (left == 0) continue;
        alignas(32) std::uint16_t each[kBlock];
        _mm256_store_si256(reinterpret_cast<__m256i*>(each), all);
        for (; left != 0; left &= left - 1) {
          const auto i = static_cast<std::uint32_t>(std::countr_zero(left)) / 2, document = static_cast<std::uint32_t>(at + block * kBlock) + i;
          if (document >= size_) continue;
          room_.found.push_back({first_ + document, each[i] + rest});
          __builtin_prefetch(&index_.documents_[first_ + document]);
        }
      }
    }
  }
#endif
  void Collect(std::size_t blocks) {
    const auto* sums = room_.sums.data();
    const auto* rests = room_.rests.data();
    for (std::size_t block = 0; block < blocks; ++block)
      for (auto left = AtLeast(sums + block * kBlock, least_ - rests[block]); left != 0; left &= left - 1) {
        const auto at = static_cast<std::uint32_t>(block) * kBlock + static_cast<std::uint32_t>(std::countr_zero(left)) / 2;
        room_.found.push_back({first_ + at, std::uint32_t{sums[at]} + rests[block]});
      }
  }
  /// What is found, with the documents' own bounds of the parts that are counted by blocks in the place of what was added for them.
  template <class Added>
  void Refine(Added&& added) {
    auto& found = room_.found;
    for (const auto& part : parts_) {
      if (part.use != Use::kBlocks) continue;
      const auto& bounds = part.dense->bounds;
      std::size_t kept = 0;
      for (auto one : found) {
        one.sum = one.sum - added(part, one.document) + (one.document < bounds.size() ? Scaled(bounds[one.document], part.weight) : 0u);
        found[kept] = one;
        kept += one.sum >= least_;
      }
      found.resize(kept);
    }
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
  std::uint32_t rest_ = 0, rest_by_blocks_ = 0;  // the most of all parts that are counted so
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
