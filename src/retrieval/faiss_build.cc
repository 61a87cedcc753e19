#include "retrieval/faiss_build.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <queue>
#include <random>

namespace tenfold::retrieval {
namespace {

constexpr std::size_t kMaxTraining = 16'384, kRounds = 10, kConstruction = 64;

float Apart(const float* a, const float* b, std::size_t dim) {
  float sum = 0;
  for (std::size_t i = 0; i < dim; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

class HnswBuilder {
 public:
  HnswBuilder(std::span<const float> vectors, std::size_t dim, Metric metric, std::size_t links) : vectors_(vectors), dim_(dim), metric_(metric), links_(links), n_(vectors.size() / dim), seen_(n_) {}

  HnswGraph Build() {
    std::mt19937_64 random(12345);
    graph_.levels.resize(n_);
    graph_.offsets.assign(1, 0);
    const double scale = 1 / std::log(static_cast<double>(links_));
    for (auto& level : graph_.levels) {
      const double u = (static_cast<double>(random() >> 11) + 1) / 9007199254740993.0;
      level = 1 + std::min(15, static_cast<int>(-std::log(u) * scale));
      graph_.offsets.push_back(graph_.offsets.back() + links_ * static_cast<std::size_t>(level + 1));
    }
    graph_.neighbours.assign(graph_.offsets.back(), -1);
    for (std::size_t row = 0; row < n_; ++row) Add(static_cast<std::int32_t>(row));
    return std::move(graph_);
  }

 private:
  using Near = std::pair<float, std::int32_t>;  // distance, row

  const float* Row(std::int32_t row) const { return vectors_.data() + static_cast<std::size_t>(row) * dim_; }
  float Distance(std::int32_t a, std::int32_t b) const {
    if (metric_ == Metric::kEuclidean) return Apart(Row(a), Row(b), dim_);
    float dot = 0;
    for (std::size_t i = 0; i < dim_; ++i) dot += Row(a)[i] * Row(b)[i];
    return -dot;
  }
  std::span<std::int32_t> Links(std::int32_t row, int layer) {
    const auto begin = graph_.offsets[static_cast<std::size_t>(row)] + (layer ? links_ * static_cast<std::size_t>(layer + 1) : 0);
    return {graph_.neighbours.data() + begin, layer ? links_ : 2 * links_};
  }

  /// The `most` nearest to `row` that a search from `entry` meets on a layer, nearest first.
  std::vector<Near> SearchLayer(std::int32_t row, Near entry, int layer, std::size_t most) {
    ++round_;
    std::priority_queue<Near, std::vector<Near>, std::greater<>> open;
    std::priority_queue<Near> best;
    const auto meet = [&](const Near& one) {
      seen_[static_cast<std::size_t>(one.second)] = round_;
      if (best.size() >= most && one.first >= best.top().first) return;
      open.push(one);
      best.push(one);
      if (best.size() > most) best.pop();
    };
    meet(entry);
    while (!open.empty() && (best.size() < most || open.top().first <= best.top().first)) {
      const auto at = open.top().second;
      open.pop();
      for (const auto next : Links(at, layer)) {
        if (next < 0) break;
        if (seen_[static_cast<std::size_t>(next)] != round_) meet({Distance(row, next), next});
      }
    }
    std::vector<Near> out(best.size());
    for (auto i = out.size(); i-- > 0; best.pop()) out[i] = best.top();
    return out;
  }

  /// Of candidates in order of distance those that are nearer to the row than to one that was chosen (the paper's algorithm 4).
  std::vector<std::int32_t> Choose(const std::vector<Near>& candidates, std::size_t most) const {
    std::vector<std::int32_t> chosen;
    for (const auto& [distance, row] : candidates) {
      if (chosen.size() >= most) break;
      if (std::all_of(chosen.begin(), chosen.end(), [&](std::int32_t other) { return Distance(row, other) > distance; })) chosen.push_back(row);
    }
    return chosen;
  }

  void Connect(std::int32_t from, std::int32_t to, int layer) {
    const auto links = Links(from, layer);
    const auto free = std::find(links.begin(), links.end(), -1);
    if (free != links.end()) {
      *free = to;
      return;
    }
    std::vector<Near> candidates{{Distance(from, to), to}};
    for (const auto one : links) candidates.emplace_back(Distance(from, one), one);
    std::sort(candidates.begin(), candidates.end());
    const auto chosen = Choose(candidates, links.size());
    std::fill(links.begin(), links.end(), -1);
    std::copy(chosen.begin(), chosen.end(), links.begin());
  }

  void Add(std::int32_t row) {
    const int level = graph_.levels[static_cast<std::size_t>(row)] - 1;
    if (graph_.entry < 0) {
      graph_.entry = row;
      graph_.top = level;
      return;
    }
    Near entry{Distance(row, graph_.entry), graph_.entry};
    for (int layer = graph_.top; layer > level; --layer) entry = SearchLayer(row, entry, layer, 1).front();
    for (int layer = std::min(level, graph_.top); layer >= 0; --layer) {
      const auto found = SearchLayer(row, entry, layer, kConstruction);
      entry = found.front();
      const auto chosen = Choose(found, layer ? links_ : 2 * links_);
      std::copy(chosen.begin(), chosen.end(), Links(row, layer).begin());
      for (const auto other : chosen) Connect(other, row, layer);
    }
    if (level > graph_.top) {
      graph_.entry = row;
      graph_.top = level;
    }
  }

  const std::span<const float> vectors_;
  const std::size_t dim_;
  const Metric metric_;
  const std::size_t links_, n_;
  HnswGraph graph_;
  std::vector<std::uint32_t> seen_;
  std::uint32_t round_ = 0;
};

}  // namespace

std::size_t NearestCentroid(std::span<const float> centroids, const float* vector, std::size_t dim) {
  std::size_t best = 0;
  float least = std::numeric_limits<float>::infinity();
  for (std::size_t c = 0; c * dim < centroids.size(); ++c)
    if (const float apart = Apart(centroids.data() + c * dim, vector, dim); apart < least) {
      least = apart;
      best = c;
    }
  return best;
}

std::vector<float> FindCentroids(std::span<const float> vectors, std::size_t dim, std::size_t k) {
  const auto all = vectors.size() / dim, n = std::min(all, std::max(kMaxTraining, k));
  const auto sample = [&](std::size_t i) { return vectors.data() + i * all / n * dim; };  // evenly spread
  std::mt19937_64 random(1234);
  std::vector<std::size_t> order(n);
  for (std::size_t i = 0; i < n; ++i) order[i] = i;
  for (auto i = n; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  std::vector<float> centroids(k * dim);
  for (std::size_t c = 0; c < k; ++c) std::copy_n(sample(order[c % n]), dim, centroids.begin() + static_cast<std::ptrdiff_t>(c * dim));
  std::vector<double> sums(k * dim);
  std::vector<std::size_t> counts(k);
  for (std::size_t round = 0; round < kRounds && k < n; ++round) {
    std::fill(sums.begin(), sums.end(), 0);
    std::fill(counts.begin(), counts.end(), 0);
    for (std::size_t i = 0; i < n; ++i) {
      const auto c = NearestCentroid(centroids, sample(i), dim);
      ++counts[c];
      for (std::size_t d = 0; d < dim; ++d) sums[c * dim + d] += sample(i)[d];
    }
    for (std::size_t c = 0; c < k; ++c) {
      // One without vectors begins again at some vector.
      if (!counts[c]) std::copy_n(sample(random() % n), dim, centroids.begin() + static_cast<std::ptrdiff_t>(c * dim));
      else
        for (std::size_t d = 0; d < dim; ++d) centroids[c * dim + d] = static_cast<float>(sums[c * dim + d] / static_cast<double>(counts[c]));
    }
  }
  return centroids;
}

HnswGraph BuildHnsw(std::span<const float> vectors, std::size_t dim, Metric metric, std::size_t links) { return HnswBuilder(vectors, dim, metric, links).Build(); }

}  // namespace tenfold::retrieval
