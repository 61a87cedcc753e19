#pragma once
/// \file A dense set of row numbers, 64 to a word, read inside scans.
#include <cstdint>
#include <vector>

namespace tenfold::retrieval {

/// Threads: as a vector. Rows past the end are not in the set.
class Bitmap {
 public:
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
  void Or(const Bitmap& other) {
    if (other.words_.size() > words_.size()) words_.resize(other.words_.size());
    for (std::size_t i = 0; i < other.words_.size(); ++i) words_[i] |= other.words_[i];
  }

 private:
  std::vector<std::uint64_t> words_;
};

}  // namespace tenfold::retrieval
