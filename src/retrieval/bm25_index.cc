#include "retrieval/bm25_index.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"

namespace tenfold::retrieval {
namespace {

constexpr double kK1 = 1.2, kB = 0.75;
// Documents whose bounds are added up side by side: 16 KB of sums stay in the first cache.
constexpr std::uint32_t kWindow = 4096;
// A term has a byte a document once it has so many postings and one in so many documents: then the bytes are not more than the postings.
constexpr std::size_t kBoundsFrom = 512, kBoundsShare = 8;
// Bounds are sums of floats: what they may lose by it.
constexpr float kSlack = 1e-5f;
constexpr std::size_t kRewriteFrom = 256;
constexpr std::size_t kMaxExpansions = 50;

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

// The terms.

const Bm25Index::Term* Bm25Index::Find(std::string_view name) const {
  if (slots_.empty()) return nullptr;
  for (auto at = std::hash<std::string_view>{}(name) & (slots_.size() - 1); slots_[at] != kNone; at = (at + 1) & (slots_.size() - 1))
    if (NameOf(terms_[slots_[at]]) == name) return &terms_[slots_[at]];
  return nullptr;
}

std::uint32_t Bm25Index::FindOrAdd(std::string_view name) {
  if (terms_.size() * 4 >= slots_.size() * 3) GrowSlots();
  auto at = std::hash<std::string_view>{}(name) & (slots_.size() - 1);
  for (; slots_[at] != kNone; at = (at + 1) & (slots_.size() - 1))
    if (NameOf(terms_[slots_[at]]) == name) return slots_[at];
  slots_[at] = static_cast<std::uint32_t>(terms_.size());
  auto& term = terms_.emplace_back();
  term.name = static_cast<std::uint32_t>(names_.size());
  term.name_bytes = static_cast<std::uint16_t>(name.size());
  names_ += name;
  return slots_[at];
}

void Bm25Index::GrowSlots() {
  slots_.assign(std::max<std::size_t>(16, std::bit_ceil(terms_.size() + 1) * 2), kNone);
  for (std::uint32_t i = 0; i < terms_.size(); ++i) {
    auto at = std::hash<std::string_view>{}(NameOf(terms_[i])) & (slots_.size() - 1);
    while (slots_[at] != kNone) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = i;
  }
}

template <class F>
void Bm25Index::ForEachTermOf(std::uint32_t document, F&& visit) const {
  const auto* at = sequences_.data() + sequence_of_document_[document];
  for (auto left = lengths_[document]; left > 0; --left) {
    std::uint32_t term = 0;
    for (unsigned shift = 0;; shift += 7) {
      term |= (*at & 0x7fu) << shift;
      if (!(*at++ & 0x80)) break;
    }
    visit(term);
  }
}

std::uint32_t Bm25Index::CountIn(std::uint32_t term, std::uint32_t document) const {
  std::uint32_t count = 0;
  ForEachTermOf(document, [&](std::uint32_t one) { count += one == term; });
  return count;
}

// What is put in and taken out.

void Bm25Index::RaiseBound(Term& term, const Posting& posting) const {
  if (posting.document >= term.bounds.size()) term.bounds.resize(posting.document + 1);
  const double count = posting.count == kMore ? lengths_[posting.document] : posting.count;  // no word occurs more often than there are words
  const double most = count / (count + kK1 * (1 - kB) + bound_slope_ * lengths_[posting.document]);
  term.bounds[posting.document] = static_cast<std::uint8_t>(std::ceil(most * 255));
}

void Bm25Index::KeepBounds(Term& term) {
  term.bounds.clear();
  if (term.postings.size() < kBoundsFrom || term.postings.size() * kBoundsShare < row_of_document_.size()) return;
  for (const auto& posting : term.postings)
    if (row_of_document_[posting.document] != kNone) RaiseBound(term, posting);
}

void Bm25Index::Add(std::uint32_t row, std::string_view text) {
  if (row >= document_of_row_.size()) document_of_row_.resize(row + 1, kNone);
  TENFOLD_CHECK(document_of_row_[row] == kNone);
  thread_local std::vector<std::uint32_t> words;
  words.clear();
  ForEachWord(text, [&](std::string_view word) { words.push_back(FindOrAdd(word)); }, language_);
  if (words.empty()) return;
  const auto document = static_cast<std::uint32_t>(row_of_document_.size());
  const auto length = static_cast<std::uint32_t>(words.size());
  rows_ascend_ = rows_ascend_ && (document == 0 || row_of_document_.back() == kNone || row_of_document_.back() < row);
  row_of_document_.push_back(row);
  document_of_row_[row] = document;
  lengths_.push_back(length);
  sequence_of_document_.push_back(sequences_.size());
  for (auto word : words) {
    for (; word >= 0x80; word >>= 7) sequences_.push_back(static_cast<std::uint8_t>(word | 0x80));
    sequences_.push_back(static_cast<std::uint8_t>(word));
  }
  total_length_ += length;
  ++rows_;
  std::sort(words.begin(), words.end());
  for (std::size_t at = 0; at < words.size();) {
    auto end = at;
    while (end < words.size() && words[end] == words[at]) ++end;
    const auto count = static_cast<std::uint32_t>(end - at);
    auto& term = terms_[words[at]];
    ++term.live;
    term.postings.push_back({document, static_cast<std::uint16_t>(std::min<std::uint32_t>(count, kMore)), static_cast<std::uint16_t>(std::min<std::uint32_t>(length, kMore))});
    if (!term.bounds.empty()) RaiseBound(term, term.postings.back());
    else if (term.postings.size() >= kBoundsFrom && std::has_single_bit(term.postings.size())) KeepBounds(term);
    at = end;
  }
  // Bounds stay right when the average length moves (see SearchAll), but not tight.
  if (const auto slope = NormNow().slope; slope < bound_slope_ / 1.05 || slope > bound_slope_ * 1.2) {
    bound_slope_ = slope;
    for (auto& term : terms_)
      if (!term.bounds.empty()) KeepBounds(term);
  }
}

void Bm25Index::Remove(std::uint32_t row) {
  if (row >= document_of_row_.size() || document_of_row_[row] == kNone) return;
  const auto document = document_of_row_[row];
  thread_local std::vector<std::uint32_t> words;
  words.clear();
  ForEachTermOf(document, [&](std::uint32_t word) { words.push_back(word); });
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  for (const auto word : words) --terms_[word].live;
  const auto end = document + 1 < sequence_of_document_.size() ? sequence_of_document_[document + 1] : sequences_.size();
  std::fill(sequences_.begin() + static_cast<std::ptrdiff_t>(sequence_of_document_[document]), sequences_.begin() + static_cast<std::ptrdiff_t>(end), std::uint8_t{0});
  total_length_ -= lengths_[document];
  lengths_[document] = 0;
  row_of_document_[document] = kNone;
  document_of_row_[row] = kNone;
  --rows_;
  if (const auto removed = row_of_document_.size() - rows_; rows_ == 0 || (removed >= kRewriteFrom && removed * 4 > row_of_document_.size())) Rewrite();
}

void Bm25Index::Rewrite() {
  // Documents in order of their rows, terms that somebody uses, and nothing else.
  Bm25Index fresh(language_);
  std::vector<std::uint32_t> documents;
  for (const auto document : document_of_row_)
    if (document != kNone) documents.push_back(document);
  std::vector<std::uint32_t> new_term(terms_.size(), kNone), new_document(row_of_document_.size(), kNone);
  for (std::uint32_t i = 0; i < terms_.size(); ++i)
    if (terms_[i].live > 0) new_term[i] = fresh.FindOrAdd(NameOf(terms_[i]));
  fresh.document_of_row_.assign(document_of_row_.size(), kNone);
  for (const auto document : documents) {
    const auto row = row_of_document_[document];
    new_document[document] = fresh.document_of_row_[row] = static_cast<std::uint32_t>(fresh.row_of_document_.size());
    fresh.row_of_document_.push_back(row);
    fresh.lengths_.push_back(lengths_[document]);
    fresh.sequence_of_document_.push_back(fresh.sequences_.size());
    ForEachTermOf(document, [&](std::uint32_t word) {
      word = new_term[word];
      for (; word >= 0x80; word >>= 7) fresh.sequences_.push_back(static_cast<std::uint8_t>(word | 0x80));
      fresh.sequences_.push_back(static_cast<std::uint8_t>(word));
    });
  }
  for (std::uint32_t i = 0; i < terms_.size(); ++i) {
    if (new_term[i] == kNone) continue;
    auto& term = fresh.terms_[new_term[i]];
    term.live = terms_[i].live;
    term.postings.reserve(term.live);
    for (auto posting : terms_[i].postings) {
      posting.document = new_document[posting.document];
      if (posting.document != kNone) term.postings.push_back(posting);
    }
    if (!rows_ascend_) std::sort(term.postings.begin(), term.postings.end(), [](const Posting& a, const Posting& b) { return a.document < b.document; });
  }
  names_ = std::move(fresh.names_);
  terms_ = std::move(fresh.terms_);
  slots_ = std::move(fresh.slots_);
  row_of_document_ = std::move(fresh.row_of_document_);
  lengths_ = std::move(fresh.lengths_);
  sequence_of_document_ = std::move(fresh.sequence_of_document_);
  sequences_ = std::move(fresh.sequences_);
  document_of_row_ = std::move(fresh.document_of_row_);
  rows_ascend_ = true;
  bound_slope_ = NormNow().slope;
  for (auto& term : terms_) KeepBounds(term);
}

// Scores.

double Bm25Index::InverseFrequency(std::size_t matching) const {
  const auto n = static_cast<double>(rows_), m = static_cast<double>(std::min(matching, rows_));
  return std::log(1 + (n - m + 0.5) / (m + 0.5));
}

double Bm25Index::Weight(std::string_view word) const {
  const auto* term = Find(word);
  return InverseFrequency(term ? term->live : 0);
}

Bm25Index::Norm Bm25Index::NormNow() const { return {kK1 * (1 - kB), rows_ ? kK1 * kB * static_cast<double>(rows_) / static_cast<double>(total_length_) : 0}; }

double Bm25Index::Part(const Clause& clause, const Posting& posting, Norm norm) const {
  const double count = posting.count == kMore ? CountIn(static_cast<std::uint32_t>(clause.term - terms_.data()), posting.document) : posting.count;
  const double length = posting.length == kMore ? lengths_[posting.document] : posting.length;
  return clause.weight * count / (count + norm.base + norm.slope * length);
}

void Bm25Index::MoveTo(Clause& clause, std::uint32_t document) {
  const auto& postings = clause.term->postings;
  // Galloping: the next one asked for is near.
  std::size_t step = 1, low = clause.at;
  while (low + step < postings.size() && postings[low + step].document < document) {
    low += step;
    step *= 2;
  }
  const auto end = std::min(postings.size(), low + step + 1);
  const auto begin = postings.begin();
  clause.at = static_cast<std::size_t>(std::lower_bound(begin + static_cast<std::ptrdiff_t>(low), begin + static_cast<std::ptrdiff_t>(end), document, [](const Posting& one, std::uint32_t d) { return one.document < d; }) - begin);
}

double Bm25Index::PartOf(Clause& clause, std::uint32_t document, Norm norm) const {
  MoveTo(clause, document);
  const auto& postings = clause.term->postings;
  return clause.at < postings.size() && postings[clause.at].document == document ? Part(clause, postings[clause.at], norm) : 0;
}

void Bm25Index::AddFuzzy(const WordQuery::Fuzzy& fuzzy, std::vector<std::pair<std::uint32_t, double>>& weights) const {
  const auto word = ToCodePoints(fuzzy.word);
  if (word.empty()) return;
  // Terms are stems, so the word's own stem may be nearer than the word.
  std::u32string stem;
  ForEachWord(fuzzy.word, [&](std::string_view one) { stem = ToCodePoints(one); }, language_);
  struct Near {
    std::size_t edits;
    std::uint32_t live, term;
  };
  std::vector<Near> found;
  for (std::uint32_t i = 0; i < terms_.size(); ++i) {
    if (terms_[i].live == 0) continue;
    const auto name = NameOf(terms_[i]);
    if (name[0] != fuzzy.word[0] || name.size() > fuzzy.word.size() + 4 * fuzzy.edits) continue;  // the first letter is taken to be right
    const auto other = ToCodePoints(name);
    std::size_t edits = 0, of_stem = 0;
    const bool is_near = WithinEdits(word, other, fuzzy.edits, edits);
    if (!stem.empty() && WithinEdits(stem, other, fuzzy.edits, of_stem) && (!is_near || of_stem < edits)) found.push_back({of_stem, terms_[i].live, i});
    else if (is_near) found.push_back({edits, terms_[i].live, i});
  }
  std::sort(found.begin(), found.end(), [](const Near& a, const Near& b) { return a.edits != b.edits ? a.edits < b.edits : a.live != b.live ? a.live > b.live : a.term < b.term; });
  if (found.size() > kMaxExpansions) found.resize(kMaxExpansions);
  std::uint32_t most = 0;
  for (const auto& one : found) most = std::max(most, one.live);
  const double idf = InverseFrequency(most);
  for (const auto& one : found) {
    // The word itself is among the query's words.
    if (one.edits > 0) weights.emplace_back(one.term, idf * (1 - static_cast<double>(one.edits) / static_cast<double>(std::max(word.size(), one.edits + 1))));
  }
}

std::vector<Bm25Index::Clause> Bm25Index::ClausesOf(const WordQuery& query) const {
  std::vector<std::pair<std::uint32_t, double>> weights;
  for (const auto& word : query.words)
    if (const auto* term = Find(word); term && term->live > 0) weights.emplace_back(static_cast<std::uint32_t>(term - terms_.data()), InverseFrequency(term->live));
  for (const auto& fuzzy : query.fuzzy) AddFuzzy(fuzzy, weights);
  // In the order of terms, so that a document's score is the same sum whatever was asked first.
  std::sort(weights.begin(), weights.end());
  std::vector<Clause> out;
  for (const auto& [term, weight] : weights) {
    if (!out.empty() && out.back().term == &terms_[term]) out.back().weight += weight;
    else out.push_back({&terms_[term], weight});
  }
  return out;
}

// Phrases.

bool Bm25Index::HoldsPhrase(std::uint32_t document, std::span<const std::uint32_t> phrase) const {
  thread_local std::vector<std::uint32_t> words;
  words.clear();
  ForEachTermOf(document, [&](std::uint32_t word) { words.push_back(word); });
  return std::search(words.begin(), words.end(), phrase.begin(), phrase.end()) != words.end();
}

std::optional<std::vector<std::uint32_t>> Bm25Index::WithPhrases(const WordQuery& query) const {
  if (query.phrases.empty()) return std::nullopt;
  std::vector<std::vector<std::uint32_t>> phrases;
  const Term* rarest = nullptr;
  for (const auto& words : query.phrases) {
    auto& phrase = phrases.emplace_back();
    for (const auto& word : words) {
      const auto* term = Find(word);
      if (!term || term->live == 0) return std::vector<std::uint32_t>();
      phrase.push_back(static_cast<std::uint32_t>(term - terms_.data()));
      if (!rarest || term->postings.size() < rarest->postings.size()) rarest = term;
    }
  }
  std::vector<std::uint32_t> out;
  for (const auto& posting : rarest->postings)
    if (row_of_document_[posting.document] != kNone && std::all_of(phrases.begin(), phrases.end(), [&](const auto& phrase) { return HoldsPhrase(posting.document, phrase); })) out.push_back(posting.document);
  return out;
}

// Search.

void Bm25Index::SearchIn(std::span<const std::uint32_t> documents, std::vector<Clause>& clauses, const Bitmap& filter, Best& best) const {
  const auto norm = NormNow();
  for (const auto document : documents) {
    const auto row = row_of_document_[document];
    if (row == kNone || !filter.Test(row)) continue;
    double score = 0;
    for (auto& clause : clauses) score += PartOf(clause, document, norm);
    if (score > 0) best.Add({row, static_cast<float>(score)});
  }
}

void Bm25Index::AddBounds(Clause& clause, Norm norm, double stretch, std::uint32_t first, std::span<float> sums) const {
  const auto& bounds = clause.term->bounds;
  if (!bounds.empty()) {
    const auto unit = static_cast<float>(clause.weight * stretch / 255);
    const std::size_t size = std::min(sums.size(), bounds.size() > first ? bounds.size() - first : 0);
    const auto* bound = bounds.data() + first;
    for (std::size_t i = 0; i < size; ++i) sums[i] += unit * static_cast<float>(bound[i]);
    return;
  }
  const auto& postings = clause.term->postings;
  const auto weight = static_cast<float>(clause.weight), base = static_cast<float>(norm.base), slope = static_cast<float>(norm.slope);
  const auto part = [&](const Posting& posting) {
    const auto count = static_cast<float>(posting.count);
    return posting.count != kMore && posting.length != kMore ? weight * count / (count + base + slope * static_cast<float>(posting.length)) : weight;
  };
  // Eight divisions side by side cost as much as one.
  constexpr std::size_t kStep = 8;
  while (clause.at + kStep <= postings.size() && postings[clause.at + kStep - 1].document - first < sums.size()) {
    float parts[kStep];
    for (std::size_t j = 0; j < kStep; ++j) parts[j] = part(postings[clause.at + j]);
    for (std::size_t j = 0; j < kStep; ++j) sums[postings[clause.at + j].document - first] += parts[j];
    clause.at += kStep;
  }
  for (; clause.at < postings.size() && postings[clause.at].document - first < sums.size(); ++clause.at) sums[postings[clause.at].document - first] += part(postings[clause.at]);
}

void Bm25Index::SearchAll(std::vector<Clause>& clauses, const Bitmap& filter, Best& best) const {
  const auto norm = NormNow();
  // A bound that was computed with another slope s holds times s / slope: (tf + base + s * length) / (tf + base + slope * length) is at most that.
  const double stretch = std::max(1.0, norm.slope > 0 ? bound_slope_ / norm.slope : 1.0);
  auto ahead = clauses;  // `clauses` follow, with the exact scores
  const bool is_dense = std::any_of(clauses.begin(), clauses.end(), [](const Clause& one) { return !one.term->bounds.empty(); });
  thread_local std::vector<float> sums, order;
  thread_local std::vector<std::uint32_t> found;
  const auto end = static_cast<std::uint32_t>(row_of_document_.size());
  const auto find = [&](float least) {
    found.clear();
    constexpr std::size_t kStep = 16;
    std::size_t i = 0;
    for (; i + kStep <= sums.size(); i += kStep) {
      int any = 0;
      for (std::size_t j = 0; j < kStep; ++j) any |= sums[i + j] >= least;
      if (any)
        for (std::size_t j = 0; j < kStep; ++j)
          if (sums[i + j] >= least) found.push_back(static_cast<std::uint32_t>(i + j));
    }
    for (; i < sums.size(); ++i)
      if (sums[i] >= least) found.push_back(static_cast<std::uint32_t>(i));
  };
  const auto is_allowed = [&](std::uint32_t document) {
    const auto row = row_of_document_[document];
    return row != kNone && filter.Test(row);
  };
  constexpr float kSomething = 1e-30f;
  for (std::uint32_t first = 0; first < end; first += kWindow) {
    if (!is_dense) {  // on to where there is something
      auto next = end;
      for (const auto& clause : ahead)
        if (clause.at < clause.term->postings.size()) next = std::min(next, clause.term->postings[clause.at].document);
      if (next == end) return;
      first = next & ~(kWindow - 1);
    }
    sums.assign(std::min(kWindow, end - first), 0.0f);
    for (auto& clause : ahead) AddBounds(clause, norm, stretch, first, sums);
    const auto score = [&](std::vector<Clause>& exact) {
      for (const auto place : found) {
        if (sums[place] < best.threshold() * (1 - kSlack) || !is_allowed(first + place)) continue;
        double sum = 0;
        for (auto& clause : exact) sum += PartOf(clause, first + place, norm);
        if (sum > 0) best.Add({row_of_document_[first + place], static_cast<float>(sum)});
      }
    };
    if (!best.is_full()) {
      // Those that promise most give a threshold that spares most of the others.
      find(kSomething);
      order.clear();
      for (const auto place : found)
        if (is_allowed(first + place)) order.push_back(sums[place]);
      if (order.size() > 2 * best.size_wanted()) {
        std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(best.size_wanted() - 1), order.end(), std::greater<>());
        find(order[best.size_wanted() - 1]);
        auto early = clauses;
        score(early);
        for (const auto place : found) sums[place] = 0;  // not twice
      }
    }
    find(std::max(kSomething, best.threshold() * (1 - kSlack)));
    score(clauses);
  }
}

std::vector<Hit> Bm25Index::Search(const WordQuery& query, const Bitmap& filter, std::size_t k) const {
  auto clauses = ClausesOf(query);
  if (clauses.empty() || k == 0) return {};
  Best best(k);
  if (const auto documents = WithPhrases(query)) {
    SearchIn(*documents, clauses, filter, best);
    return best.Take();
  }
  // A few allowed rows are looked up; many are met on the way.
  std::size_t postings = 0;
  for (const auto& clause : clauses) postings += clause.term->postings.size();
  constexpr std::size_t kLookUp = 16;  // a look-up costs as much as reading so many postings
  if (filter.count() * clauses.size() * kLookUp < postings) {
    std::vector<std::uint32_t> documents;
    filter.ForEach([&](std::uint32_t row) {
      if (row < document_of_row_.size() && document_of_row_[row] != kNone) documents.push_back(document_of_row_[row]);
    });
    if (!rows_ascend_) std::sort(documents.begin(), documents.end());
    SearchIn(documents, clauses, filter, best);
  } else {
    SearchAll(clauses, filter, best);
  }
  return best.Take();
}

std::size_t Bm25Index::bytes() const {
  std::size_t out = names_.capacity() + terms_.capacity() * sizeof(Term) + slots_.capacity() * 4 + row_of_document_.capacity() * 4 + lengths_.capacity() * 4 + sequence_of_document_.capacity() * 8 + sequences_.capacity() + document_of_row_.capacity() * 4;
  for (const auto& term : terms_) out += term.postings.capacity() * sizeof(Posting) + term.bounds.capacity();
  return out;
}

}  // namespace tenfold::retrieval
