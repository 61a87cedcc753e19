#pragma once
/// \file Sets of row numbers: dense ones, 64 rows to a word, read inside scans; and ones that are lists until a bitmap is smaller.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

namespace tenfold::retrieval {

/// Threads: as a vector. Rows past the end are not in the set.
class Bitmap {
 public:
  Bitmap() = default;
  /// Bit `row % 64` of word `row / 64` is a row's.
  explicit Bitmap(std::vector<std::uint64_t> words) : words_(std::move(words)) {}
  const std::vector<std::uint64_t>& all_words() const { return words_; }
  void Set(std::size_t row) {
    if (row / 64 >= words_.size()) words_.resize(row / 64 + 1);
    words_[row / 64] |= std::uint64_t{1} << row % 64;
  }
  void Clear(std::size_t row) {
    if (row / 64 < words_.size()) words_[row / 64] &= ~(std::uint64_t{1} << row % 64);
  }
  bool Test(std::size_t row) const { return row / 64 < words_.size() && (words_[row / 64] >> row % 64 & 1); }
  std::uint64_t word(std::size_t index) const { return index < words_.size() ? words_[index] : 0; }
  std::size_t words() const { return words_.size(); }
  std::size_t count() const {
    std::size_t n = 0;
    for (const auto word : words_) n += static_cast<std::size_t>(std::popcount(word));
    return n;
  }
  void Or(const Bitmap& other) {
    if (other.words_.size() > words_.size()) words_.resize(other.words_.size());
    for (std::size_t i = 0; i < other.words_.size(); ++i) words_[i] |= other.words_[i];
  }
  void And(const Bitmap& other) {
    if (words_.size() > other.words_.size()) words_.resize(other.words_.size());
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
  }
  void AndNot(const Bitmap& other) {
    for (std::size_t i = 0; i < std::min(words_.size(), other.words_.size()); ++i) words_[i] &= ~other.words_[i];
  }
  bool MeetsAny(const Bitmap& other) const {
    for (std::size_t i = 0; i < std::min(words_.size(), other.words_.size()); ++i)
      if (words_[i] & other.words_[i]) return true;
    return false;
  }
  /// Calls `visit(row)` for every row, ascending.
  template <class F>
  void ForEach(F&& visit) const {
    for (std::size_t i = 0; i < words_.size(); ++i)
      for (auto left = words_[i]; left != 0; left &= left - 1) visit(static_cast<std::uint32_t>(i * 64 + static_cast<std::size_t>(std::countr_zero(left))));
  }

 private:
  std::vector<std::uint64_t> words_;
};

/// A set of which there are many, most of them small: four bytes a row as a sorted list, or a bit for each row up to the last once that is less.
/// Threads: as a vector. Cost: Add of a row beyond the last is O(1), of others O(size) while it is a list.
class RowSet {
 public:
  /// For snapshots: `to` has PutArray and Put, `from` GetArray and Get (snapshot_file.h).
  template <class Writer>
  void Save(Writer& to) const {
    to.Put(std::uint64_t{is_dense_});
    if (is_dense_) to.PutArray(dense_.all_words());
    else to.PutArray(sparse_);
  }
  template <class Reader>
  static RowSet Load(Reader& from) {
    RowSet out;
    out.is_dense_ = from.template Get<std::uint64_t>() != 0;
    if (out.is_dense_) {
      std::vector<std::uint64_t> words;
      from.GetArray(words);
      out.dense_ = Bitmap(std::move(words));
      out.size_ = out.dense_.count();
    } else {
      from.GetArray(out.sparse_);
      out.size_ = out.sparse_.size();
    }
    return out;
  }
  /// False if it was there.
  bool Add(std::uint32_t row) {
    if (is_dense_) {
      if (dense_.Test(row)) return false;
      dense_.Set(row);
      ++size_;
      return true;
    }
    const auto at = sparse_.empty() || sparse_.back() < row ? sparse_.end() : std::lower_bound(sparse_.begin(), sparse_.end(), row);
    if (at != sparse_.end() && *at == row) return false;
    sparse_.insert(at, row);
    ++size_;
    if (size_ > kLongestList && size_ * 32 > sparse_.back()) {
      for (const auto one : sparse_) dense_.Set(one);
      sparse_ = {};
      is_dense_ = true;
    }
    return true;
  }
  void Remove(std::uint32_t row) {
    if (is_dense_) {
      if (dense_.Test(row)) --size_;
      dense_.Clear(row);
      return;
    }
    const auto at = std::lower_bound(sparse_.begin(), sparse_.end(), row);
    if (at == sparse_.end() || *at != row) return;
    sparse_.erase(at);
    --size_;
  }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  void AddTo(Bitmap& out) const {
    if (is_dense_) out.Or(dense_);
    else for (const auto row : sparse_) out.Set(row);
  }
  std::size_t CountIn(const Bitmap& allowed) const {
    std::size_t n = 0;
    ForEach([&](std::uint32_t row) { n += allowed.Test(row); });
    return n;
  }
  bool MeetsAny(const Bitmap& rows) const { return is_dense_ ? dense_.MeetsAny(rows) : std::any_of(sparse_.begin(), sparse_.end(), [&](std::uint32_t row) { return rows.Test(row); }); }
  template <class F>
  void ForEach(F&& visit) const {
    if (is_dense_) dense_.ForEach(visit);
    else for (const auto row : sparse_) visit(row);
  }

 private:
  static constexpr std::size_t kLongestList = 64;
  std::vector<std::uint32_t> sparse_;
  Bitmap dense_;
  std::size_t size_ = 0;
  bool is_dense_ = false;
};

}  // namespace tenfold::retrieval
