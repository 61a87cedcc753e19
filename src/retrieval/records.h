#pragma once
/// \file Records of equal size by number, which never move as they grow: pieces of memory, each as large as all before it.
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "retrieval/huge_pages.h"

namespace tenfold::retrieval {

/// Large pieces lie in huge pages. What is not written yet takes no memory. Threads: as a vector.
class Records {
 public:
  /// `stride_bytes` is a multiple of four.
  explicit Records(std::size_t stride_bytes) : stride_(stride_bytes) {}
  Records(Records&& other) noexcept : stride_(other.stride_), size_(std::exchange(other.size_, 0)), pieces_(std::exchange(other.pieces_, {})) {}
  Records& operator=(Records&& other) noexcept {
    std::swap(stride_, other.stride_);
    std::swap(size_, other.size_);
    std::swap(pieces_, other.pieces_);
    return *this;
  }
  ~Records() {
    for (std::size_t piece = 0; piece < pieces_.size(); ++piece)
      if (pieces_[piece]) std::free(pieces_[piece] + FirstOf(piece) * stride_);
  }
  std::uint8_t* at(std::size_t number) { return pieces_[PieceOf(number)] + number * stride_; }
  const std::uint8_t* at(std::size_t number) const { return pieces_[PieceOf(number)] + number * stride_; }
  std::size_t stride() const { return stride_; }
  /// One more than the greatest number there is room for that was asked for.
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return size_ * stride_; }
  /// Calls `visit(bytes, size)` for the memory of all of them, in order.
  template <class F>
  void ForEachPiece(F&& visit) {
    for (std::size_t number = 0; number < size_;) {
      const auto end = std::min(size_, kFirst << PieceOf(number));
      visit(at(number), (end - number) * stride_);
      number = end;
    }
  }
  /// Makes room. What is in it is not said.
  void Reach(std::size_t number) {
    if (number < size_) return;
    for (auto piece = size_ ? PieceOf(size_ - 1) : 0; piece <= PieceOf(number); ++piece) {
      if (pieces_[piece]) continue;
      pieces_[piece] = static_cast<std::uint8_t*>(AllocateHuge((piece == 0 ? kFirst : FirstOf(piece)) * stride_)) - FirstOf(piece) * stride_;
    }
    size_ = number + 1;
  }

 private:
  static constexpr std::size_t kFirst = 8;
  static std::size_t PieceOf(std::size_t number) { return static_cast<std::size_t>(std::bit_width(number / kFirst)); }
  static std::size_t FirstOf(std::size_t piece) { return piece == 0 ? 0 : kFirst << (piece - 1); }

  std::size_t stride_, size_ = 0;
  std::array<std::uint8_t*, 30> pieces_{};  // where number 0 would be
};

}  // namespace tenfold::retrieval
