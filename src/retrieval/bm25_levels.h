#pragma once
/// \file Four bits for each document: what it can have at most of one frequent word.
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include "retrieval/bm25_sums.h"
#include "retrieval/records.h"

namespace tenfold::retrieval {

/// Documents whose levels lie side by side.
struct LevelWindow {
  static constexpr std::uint32_t kSize = 8192;
  std::array<LevelGroup, kSize / LevelGroup::kSize> groups;
};

/// Windows of levels, of all words. Threads: as a vector.
class LevelMemory {
 public:
  /// Zeros.
  LevelWindow* Take() {
    if (!free_.empty()) {
      auto* window = free_.back();
      free_.pop_back();
      return new (window) LevelWindow{};
    }
    const auto number = records_.size();
    records_.Reach(number);
    return new (records_.at(number)) LevelWindow{};
  }
  void Give(LevelWindow* window) { free_.push_back(window); }
  std::size_t bytes() const { return records_.bytes() + free_.capacity() * sizeof(LevelWindow*); }

 private:
  Records records_{sizeof(LevelWindow) + 64};  // not a power of two: the same place of many words' windows, which is read at once, would fall into the same few lines of a cache
  std::vector<LevelWindow*> free_;
};

/// The levels of one word by document. Threads: as a vector.
class Levels {
 public:
  /// What a level stands for, of bounds in 255ths.
  static constexpr std::uint32_t kStep = 17;
  static std::uint32_t LevelOf(std::uint8_t bound) { return (bound + kStep - 1) / kStep; }

  /// Null where no document has the word.
  const LevelWindow* window(std::size_t number) const { return number < windows_.size() ? windows_[number] : nullptr; }
  std::size_t windows() const { return windows_.size(); }
  std::uint32_t at(std::uint32_t document) const {
    const auto* levels = window(document / LevelWindow::kSize);
    return levels ? levels->groups[document % LevelWindow::kSize / LevelGroup::kSize].at(document % LevelGroup::kSize) : 0;
  }
  void Set(LevelMemory& from, std::uint32_t document, std::uint8_t bound) {
    Reach(from, document / LevelWindow::kSize)->groups[document % LevelWindow::kSize / LevelGroup::kSize].Set(document % LevelGroup::kSize, LevelOf(bound));
  }
  LevelWindow* Reach(LevelMemory& from, std::size_t number) {
    if (number >= windows_.size()) windows_.resize(number + 1, nullptr);
    if (!windows_[number]) windows_[number] = from.Take();
    return windows_[number];
  }
  void Clear(LevelMemory& to) {
    for (auto* window : windows_)
      if (window) to.Give(window);
    windows_.clear();
  }

 private:
  std::vector<LevelWindow*> windows_;
};

}  // namespace tenfold::retrieval
