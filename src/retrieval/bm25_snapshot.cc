// The word index as it lies in memory. Its table of names is made anew when it is read: that costs less than to trust it.
#include <algorithm>

#include "retrieval/bm25_index.h"
#include "retrieval/snapshot_file.h"

namespace tenfold::retrieval {
namespace {

struct Totals {
  std::uint64_t rows, length, rows_ascend, dense;
  double bound_slope;
};
struct SavedTerm {
  std::uint32_t name, live, dense, postings;
  std::uint16_t name_bytes, most;
};

}  // namespace

void Bm25Index::Save(SnapshotWriter& to) const {
  to.Put(Totals{rows_, total_length_, rows_ascend_, dense_.size(), bound_slope_});
  to.PutArray(documents_);
  to.PutArray(sequences_);
  to.PutArray(document_of_row_);
  // Words that nobody has any more are kept in memory until Rewrite, but not here.
  auto names = names_;
  std::vector<SavedTerm> terms;
  terms.reserve(terms_.size());
  for (const auto& term : terms_) {
    if (term.live == 0) {
      std::fill_n(names.begin() + term.name, term.name_bytes, '\0');
      terms.push_back({0, 0, term.dense, 0, 0, 0});
    } else {
      terms.push_back({term.name, term.live, term.dense, static_cast<std::uint32_t>(term.postings.size()), term.name_bytes, term.most});
    }
  }
  to.PutText(names);
  to.PutArray(terms);
  for (const auto& term : terms_)
    if (term.live > 0) to.Write(term.postings.data(), term.postings.size() * sizeof(Posting));
  for (const auto& dense : dense_) {
    to.Put(std::uint64_t{dense.term});
    to.Put(std::uint64_t{dense.levels.windows()});
    for (std::size_t i = 0; i < dense.levels.windows(); ++i) {
      const auto* window = dense.levels.window(i);
      to.PutArray(std::span(window, window ? 1 : 0));
    }
  }
}

void Bm25Index::Restore(SnapshotReader& from) {
  static_assert(std::is_trivially_copyable_v<Posting> && sizeof(Posting) == 6 && sizeof(Document) == 16);
  const auto totals = from.Get<Totals>();
  from.GetArray(documents_);
  from.GetArray(sequences_);
  from.GetArray(document_of_row_);
  names_ = from.GetText();
  std::vector<SavedTerm> terms;
  from.GetArray(terms);
  terms_.resize(terms.size());
  for (std::size_t i = 0; i < terms.size(); ++i) {
    auto& term = terms_[i];
    term.name = terms[i].name;
    term.live = terms[i].live;
    SnapshotReader::Check(terms[i].dense == kNone || terms[i].dense < totals.dense, "a frequent word has no bounds");
    term.dense = terms[i].dense;
    term.name_bytes = terms[i].name_bytes;
    term.most = static_cast<std::uint8_t>(terms[i].most);
    SnapshotReader::Check(terms[i].postings <= from.left() / sizeof(Posting) && std::size_t{term.name} + term.name_bytes <= names_.size(), "a word is longer than its section");
    term.postings.resize(terms[i].postings);
    from.Read(term.postings.data(), term.postings.size() * sizeof(Posting));
  }
  SnapshotReader::Check(totals.dense <= terms_.size(), "more words are frequent than there are");
  dense_.reserve(totals.dense);
  for (std::size_t i = 0; i < totals.dense; ++i) {
    auto& dense = dense_.emplace_back(Dense{static_cast<std::uint32_t>(from.Get<std::uint64_t>()), {}});
    const auto windows = from.Get<std::uint64_t>();
    SnapshotReader::Check(windows <= documents_.size() / LevelWindow::kSize + 1, "a word is in more documents than there are");
    for (std::size_t number = 0; number < windows; ++number) {
      const auto count = from.GetCount(sizeof(LevelWindow));
      SnapshotReader::Check(count <= 1, "a word has more bounds than it has documents");
      if (count == 1) from.Read(dense.levels.Reach(level_memory_, number), sizeof(LevelWindow));
    }
  }
  rows_ = totals.rows;
  total_length_ = totals.length;
  rows_ascend_ = totals.rows_ascend != 0;
  bound_slope_ = totals.bound_slope;
  if (!terms_.empty()) GrowSlots();
}

}  // namespace tenfold::retrieval
