#include "retrieval/reranker.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "base/error.h"
#include "retrieval/eight_floats.h"

namespace tenfold::retrieval {
namespace {

/// Vectors behind each other, each filled up with zeros to whole vectors of eight, so that their products are added up side by side. For one thread.
struct Gathered {
  std::vector<float> values;
  std::size_t stride = 0;
  const float* at(std::size_t i) const { return values.data() + i * stride; }
};

constexpr std::size_t kRows = 4, kColumns = 2;

/// Products of four vectors with two: eight sums stay in registers, and each number that is loaded is used more than once.
inline void Multiply(const Gathered& of, std::size_t row, std::size_t column, float (&out)[kRows][kColumns]) {
  Eight sums[kRows][kColumns] = {};
  for (std::size_t d = 0; d < of.stride; d += 8) {
    const Eight first = Load(of.at(column) + d), second = Load(of.at(column + 1) + d);
    for (std::size_t r = 0; r < kRows; ++r) {
      const Eight one = Load(of.at(row + r) + d);
      sums[r][0] += one * first;
      sums[r][1] += one * second;
    }
  }
  for (std::size_t r = 0; r < kRows; ++r)
    for (std::size_t c = 0; c < kColumns; ++c) out[r][c] = Sum(sums[r][c]);
}

/// [n, n] cosines; 0 for opposites, for what has no vector and for a vector with itself.
std::vector<float> LikenessOf(std::span<const std::span<const float>> vectors) {
  const auto n = vectors.size(), rows = (n + kRows - 1) / kRows * kRows;
  thread_local Gathered of;
  std::size_t longest = 0;
  for (const auto& one : vectors) longest = std::max(longest, one.size());
  of.stride = (longest + 7) / 8 * 8;
  of.values.resize(rows * of.stride);
  const auto prefetch = [&](std::size_t i) {
    for (std::size_t d = 0; d < vectors[i].size(); d += 16) __builtin_prefetch(vectors[i].data() + d);
  };
  constexpr std::size_t kAhead = 3;  // they lie anywhere in memory
  for (std::size_t i = 0; i < std::min(kAhead, n); ++i) prefetch(i);
  for (std::size_t i = 0; i < rows; ++i) {
    if (i + kAhead < n) prefetch(i + kAhead);
    float* to = of.values.data() + i * of.stride;
    const auto size = i < n ? vectors[i].size() : 0;
    if (size) std::copy_n(vectors[i].data(), size, to);
    std::fill(to + size, to + of.stride, 0.0f);
  }
  std::vector<float> out(n * n, 0.0f), scales(n, 0.0f);
  float products[kRows][kColumns];
  // A tile below the diagonal is the one above it; those on it give the lengths first.
  const auto each = [&](std::size_t row, std::size_t column, auto&& visit) {
    Multiply(of, row, column, products);
    for (std::size_t r = 0; r < kRows; ++r)
      for (std::size_t c = 0; c < kColumns; ++c)
        if (row + r < n && column + c < n) visit(row + r, column + c, products[r][c]);
  };
  for (std::size_t row = 0; row < n; row += kRows)
    for (std::size_t column = row; column < rows; column += kColumns)
      each(row, column, [&](std::size_t i, std::size_t j, float product) {
        if (i == j) scales[i] = product > 0 ? 1 / std::sqrt(product) : 0;
        else if (i < j) out[i * n + j] = product;
      });
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = i + 1; j < n; ++j) out[j * n + i] = out[i * n + j] = std::max(0.0f, out[i * n + j] * scales[i] * scales[j]);
  return out;
}

/// The places of a row's numbers, largest first: how many are larger, counted for eight at once. No comparison is a branch that the processor would have to guess.
class Ranks {
 public:
  /// False if the first `count` are not told apart because some are equal.
  bool Find(std::span<const float> row, std::size_t count) {
    const auto eights = (row.size() + 7) / 8;
    padded_.assign(eights * 8, -1.0f);
    std::copy(row.begin(), row.end(), padded_.begin());
    larger_.assign(eights, EightBits{});
    for (const float one : row) {
      const Eight all = {one, one, one, one, one, one, one, one};
      for (std::size_t e = 0; e < eights; ++e) larger_[e] -= all > Load(&padded_[8 * e]);
    }
    order_.assign(row.size(), kNobody);
    for (std::size_t j = 0; j < row.size(); ++j) order_[static_cast<std::size_t>(larger_[j / 8][j % 8])] = static_cast<std::uint32_t>(j);
    used_ = std::min(count, row.size());
    for (std::size_t place = 0; place < used_; ++place)
      if (order_[place] == kNobody) return false;
    // The last place's equals would stand behind it: none is to be chosen between.
    return used_ == row.size() || order_[used_] != kNobody;
  }
  /// After Find: those above 0 with their scores, best first, and how many.
  std::size_t Best(std::span<const float> row, std::span<const float> scores, std::span<std::pair<float, float>> out) const {
    std::size_t count = 0;
    for (; count < used_ && row[order_[count]] > 0; ++count) out[count] = {row[order_[count]], scores[order_[count]]};
    return count;
  }

 private:
  static constexpr std::uint32_t kNobody = 0xffffffff;
  std::vector<float> padded_;
  std::vector<EightBits> larger_;
  std::vector<std::uint32_t> order_;
  std::size_t used_ = 0;
};

/// The same for rows with equal numbers, of which the higher scores count. `out` has room for one more than `most`.
std::size_t BestOfEqual(std::span<const float> row, std::span<const float> scores, std::size_t most, std::span<std::pair<float, float>> out) {
  std::size_t count = 0;
  for (std::size_t j = 0; j < row.size(); ++j) {
    const std::pair one(row[j], scores[j]);
    if (one.first <= 0 || (count == most && one <= out[count - 1])) continue;
    auto at = count;
    for (; at > 0 && out[at - 1] < one; --at) out[at] = out[at - 1];
    out[at] = one;
    count = std::min(count + 1, most);
  }
  return count;
}

}  // namespace

std::vector<float> RankByNeighbours(std::span<const float> scores, std::span<const std::span<const float>> vectors, const NeighbourRanking& options) {
  TENFOLD_CHECK(scores.size() == vectors.size());
  std::vector<float> out(scores.begin(), scores.end());
  const auto n = std::min(scores.size(), options.window);
  if (n < 3) return out;  // of two, each is the other's only neighbour: nothing to learn
  const auto likeness = LikenessOf(vectors.first(n));
  std::vector<std::pair<float, float>> near(options.neighbours + 1);
  Ranks ranks;
  for (std::size_t i = 0; i < n && options.neighbours > 0; ++i) {
    const auto row = std::span(likeness).subspan(i * n, n);
    const auto count = ranks.Find(row, options.neighbours) ? ranks.Best(row, scores, near) : BestOfEqual(row, scores, options.neighbours, near);
    float sum = 0, weights = 0;
    for (std::size_t j = 0; j < count; ++j) {
      sum += near[j].first * near[j].second;
      weights += near[j].first;
    }
    if (weights > 0) out[i] = (1 - options.weight) * scores[i] + options.weight * sum / weights;
  }
  return out;
}

}  // namespace tenfold::retrieval
