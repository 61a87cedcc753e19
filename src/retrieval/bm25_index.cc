#include "retrieval/bm25_index.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/error.h"

namespace tenfold::retrieval {
namespace {

constexpr double kK1 = 1.2, kB = 0.75;
// A term has four bits a document once it has so many postings and one in so many documents.
constexpr std::size_t kDenseFrom = 1024, kDenseShare = 32;
constexpr std::size_t kRewriteFrom = 256;
constexpr std::size_t kMaxExpansions = 50;

/// The most that a document can have of a word with weight 1, in 255ths and rounded up.
std::uint8_t BoundOf(double count, double norm) { return static_cast<std::uint8_t>(std::ceil(count / (count + norm) * 255)); }

}  // namespace

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
    if (terms_[i].name_bytes == 0) continue;
    auto at = std::hash<std::string_view>{}(NameOf(terms_[i])) & (slots_.size() - 1);
    while (slots_[at] != kNone) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = i;
  }
}

std::uint32_t Bm25Index::CountIn(std::uint32_t term, std::uint32_t document) const {
  std::uint32_t count = 0;
  ForEachTermOf(document, [&](std::uint32_t one) { count += one == term; });
  return count;
}

// What is put in and taken out.

void Bm25Index::DropDense(std::uint32_t term) {
  const auto at = terms_[term].dense;
  if (at == kNone) return;
  dense_[at].levels.Clear(level_memory_);
  if (at + 1 != dense_.size()) {
    dense_[at] = std::move(dense_.back());
    terms_[dense_[at].term].dense = at;
  }
  dense_.pop_back();
  terms_[term].dense = kNone;
}

void Bm25Index::ReviewDense(std::uint32_t index) {
  auto& term = terms_[index];
  // A term that has one keeps it until it is half as frequent, so that none comes and goes.
  const auto share = term.dense == kNone ? kDenseShare : 2 * kDenseShare;
  if (term.postings.size() < kDenseFrom || term.postings.size() * share < documents_.size()) return DropDense(index);
  if (term.dense != kNone) return;
  term.dense = static_cast<std::uint32_t>(dense_.size());
  auto& levels = dense_.emplace_back(Dense{index, {}}).levels;
  for (const auto& posting : term.postings)
    if (documents_[posting.document()].row != kNone) levels.Set(level_memory_, posting.document(), posting.bound);
}

void Bm25Index::RenewBounds(Term& term) {
  term.most = 0;
  for (auto& posting : term.postings) {
    const auto& [begin, length, row] = documents_[posting.document()];
    if (row == kNone) continue;
    const double count = posting.count == kMore ? length : posting.count;  // no word occurs more often than there are words
    posting.bound = BoundOf(count, kK1 * (1 - kB) + bound_slope_ * length);
    term.most = std::max(term.most, posting.bound);
  }
}

void Bm25Index::RenewBounds() {
  bound_slope_ = NormNow().slope;
  dense_.clear();
  level_memory_ = LevelMemory();
  for (std::uint32_t i = 0; i < terms_.size(); ++i) {
    terms_[i].dense = kNone;
    RenewBounds(terms_[i]);
    ReviewDense(i);
  }
}

void Bm25Index::Add(std::uint32_t row, std::string_view text) {
  if (row >= document_of_row_.size()) document_of_row_.resize(row + 1, kNone);
  TENFOLD_CHECK(document_of_row_[row] == kNone);
  thread_local std::vector<std::uint32_t> words;
  words.clear();
  ForEachWord(text, [&](std::string_view word) { words.push_back(FindOrAdd(word)); }, language_);
  if (words.empty()) return;
  const auto document = static_cast<std::uint32_t>(documents_.size());
  const auto length = static_cast<std::uint32_t>(words.size());
  rows_ascend_ = rows_ascend_ && (document == 0 || documents_.back().row == kNone || documents_.back().row < row);
  documents_.push_back({sequences_.size(), length, row});
  document_of_row_[row] = document;
  for (auto word : words) {
    for (; word >= 0x80; word >>= 7) sequences_.push_back(static_cast<std::uint8_t>(word | 0x80));
    sequences_.push_back(static_cast<std::uint8_t>(word));
  }
  total_length_ += length;
  ++rows_;
  std::sort(words.begin(), words.end());
  const double norm = kK1 * (1 - kB) + bound_slope_ * length;
  for (std::size_t at = 0; at < words.size();) {
    auto end = at;
    while (end < words.size() && words[end] == words[at]) ++end;
    auto& term = terms_[words[at]];
    ++term.live;
    auto& posting = term.postings.emplace_back(document, static_cast<std::uint32_t>(end - at));
    posting.bound = BoundOf(static_cast<double>(end - at), norm);
    term.most = std::max(term.most, posting.bound);
    if (term.dense != kNone) dense_[term.dense].levels.Set(level_memory_, document, posting.bound);
    else if (term.postings.size() >= kDenseFrom && std::has_single_bit(term.postings.size())) ReviewDense(words[at]);
    at = end;
  }
  // Bounds stay right when the average length moves (see Scan), but not tight.
  if (const auto slope = NormNow().slope; slope < bound_slope_ / 1.05 || slope > bound_slope_ * 1.2) RenewBounds();
  else if (document >= kDenseFrom && std::has_single_bit(document))
    for (std::uint32_t i = 0; i < terms_.size(); ++i) ReviewDense(i);
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
  auto& gone = documents_[document];
  std::fill(sequences_.begin() + static_cast<std::ptrdiff_t>(gone.begin), sequences_.begin() + static_cast<std::ptrdiff_t>(EndOf(document)), std::uint8_t{0});
  total_length_ -= gone.length;
  gone.length = 0;
  gone.row = kNone;
  document_of_row_[row] = kNone;
  --rows_;
  if (const auto removed = documents_.size() - rows_; rows_ == 0 || (removed >= kRewriteFrom && removed * 4 > documents_.size())) Rewrite();
}

void Bm25Index::Rewrite() {
  // Documents in order of their rows, terms that somebody uses, and nothing else.
  Bm25Index fresh(language_);
  std::vector<std::uint32_t> documents;
  for (const auto document : document_of_row_)
    if (document != kNone) documents.push_back(document);
  std::vector<std::uint32_t> new_term(terms_.size(), kNone), new_document(documents_.size(), kNone);
  for (std::uint32_t i = 0; i < terms_.size(); ++i)
    if (terms_[i].live > 0) new_term[i] = fresh.FindOrAdd(NameOf(terms_[i]));
  fresh.document_of_row_.assign(document_of_row_.size(), kNone);
  for (const auto document : documents) {
    const auto& old = documents_[document];
    new_document[document] = fresh.document_of_row_[old.row] = static_cast<std::uint32_t>(fresh.documents_.size());
    fresh.documents_.push_back({fresh.sequences_.size(), old.length, old.row});
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
      const auto document = new_document[posting.document()];
      if (document == kNone) continue;
      term.postings.push_back(posting);
      term.postings.back().low = static_cast<std::uint16_t>(document);
      term.postings.back().high = static_cast<std::uint16_t>(document >> 16);
    }
    if (!rows_ascend_) std::sort(term.postings.begin(), term.postings.end(), [](const Posting& a, const Posting& b) { return a.document() < b.document(); });
  }
  names_ = std::move(fresh.names_);
  terms_ = std::move(fresh.terms_);
  slots_ = std::move(fresh.slots_);
  documents_ = std::move(fresh.documents_);
  sequences_ = std::move(fresh.sequences_);
  document_of_row_ = std::move(fresh.document_of_row_);
  rows_ascend_ = true;
  RenewBounds();
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
    if (!out.empty() && out.back().term == term) out.back().weight += weight;
    else out.push_back({term, weight});
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
    if (documents_[posting.document()].row != kNone && std::all_of(phrases.begin(), phrases.end(), [&](const auto& phrase) { return HoldsPhrase(posting.document(), phrase); })) out.push_back(posting.document());
  return out;
}

std::size_t Bm25Index::bytes() const {
  std::size_t out = level_memory_.bytes() + names_.capacity() + terms_.capacity() * sizeof(Term) + slots_.capacity() * 4 + documents_.capacity() * sizeof(Document) + sequences_.capacity() + document_of_row_.capacity() * 4;
  for (const auto& term : terms_) out += term.postings.capacity() * sizeof(Posting);
  for (const auto& dense : dense_) out += sizeof(Dense) + dense.levels.windows() * sizeof(LevelWindow*);
  return out;
}

}  // namespace tenfold::retrieval
