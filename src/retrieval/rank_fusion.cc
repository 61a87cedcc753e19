#include "retrieval/rank_fusion.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <string_view>
#include <unordered_map>

#include "retrieval/reranker.h"

namespace tenfold::retrieval {
namespace {

constexpr std::size_t kMaxWindow = 10'000;
constexpr std::size_t kRerankedDepth = 200;

float Dot(std::span<const float> a, std::span<const float> b) {
  float sum = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) sum += a[i] * b[i];
  return sum;
}

struct Candidate {
  IndexHit hit;
  std::span<const float> vector;  ///< of a list
  HitExplanation why;
};

/// Highest score first, equal scores by id. Candidates are large: their places are sorted, and each is moved once.
void Sort(std::vector<Candidate>& candidates) {
  std::vector<const Candidate*> order;
  order.reserve(candidates.size());
  for (const auto& one : candidates) order.push_back(&one);
  std::sort(order.begin(), order.end(), [](const Candidate* a, const Candidate* b) { return a->hit.score != b->hit.score ? a->hit.score > b->hit.score : a->hit.id < b->hit.id; });
  std::vector<Candidate> sorted;
  sorted.reserve(order.size());
  for (const auto* one : order) sorted.push_back(std::move(candidates[static_cast<std::size_t>(one - candidates.data())]));
  candidates = std::move(sorted);
}

bool HasBoth(const IndexQuery& query) { return !query.text.empty() && !query.vector.empty(); }

float PartOf(Fusion fusion, float by_rank, float by_score) {
  switch (fusion) {
    case Fusion::kWeightedSum: return by_score;
    case Fusion::kReciprocalRank: return by_rank;
    case Fusion::kRanksAndScores: return 0.5f * (by_rank + by_score);
  }
  return 0;
}

/// Both lists as one, highest fused score first. Its vectors are the lists'.
std::vector<Candidate> Fuse(const IndexQuery& query, std::span<const ListedHit> words, std::span<const ListedHit> vectors) {
  std::vector<Candidate> found;
  found.reserve(words.size() + vectors.size());
  std::unordered_map<std::string_view, std::size_t> place;  // of an id of the lists in `found`
  place.reserve(words.size() + vectors.size());
  const bool both = HasBoth(query);
  const float vector_weight = both ? query.vector_weight : query.vector.empty() ? 0.0f : 1.0f;
  const auto take = [&](std::span<const ListedHit> list, float weight, bool is_vector) {
    const float best = list.empty() ? 0 : list.front().score, worst = list.empty() ? 0 : list.back().score;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const auto [at, is_new] = place.try_emplace(list[i].id, found.size());
      if (is_new) found.emplace_back().hit.id = list[i].id;
      auto& one = found[at->second];
      if (one.hit.group.empty()) one.hit.group = list[i].group;
      if (one.vector.empty()) one.vector = list[i].held.empty() ? std::span<const float>(list[i].vector) : list[i].held;
      (is_vector ? one.hit.vector_score : one.hit.bm25) = list[i].score;
      (is_vector ? one.why.vector_rank : one.why.word_rank) = static_cast<std::int64_t>(i) + 1;
      (is_vector ? one.why.vector_score : one.why.word_score) = list[i].score;
      const float by_rank = 61.0f / static_cast<float>(61 + i), by_score = best > worst ? (list[i].score - worst) / (best - worst) : 1.0f;
      if (!both) one.hit.score = list[i].score;
      else one.hit.score += weight * PartOf(query.fusion, by_rank, by_score);
    }
  };
  take(words, 1 - vector_weight, false);
  take(vectors, vector_weight, true);
  for (auto& one : found) one.why.fused = one.why.reranked = one.hit.score;
  Sort(found);
  return found;
}

void ByNeighbours(std::vector<Candidate>& ordered) {
  std::vector<float> scores;
  std::vector<std::span<const float>> vectors;
  for (const auto& one : ordered) {
    scores.push_back(one.hit.score);
    vectors.emplace_back(one.vector);
  }
  scores = RankByNeighbours(scores, vectors);
  for (std::size_t i = 0; i < ordered.size(); ++i) ordered[i].why.reranked = ordered[i].hit.score = scores[i];
  Sort(ordered);
}

/// Greedy maximal marginal relevance over the first `wanted`; relevance scaled to 0..1, likeness by cosine.
void Diversify(std::vector<Candidate>& ordered, std::size_t wanted, float diversity) {
  const float best = ordered.empty() ? 1 : ordered.front().hit.score, worst = ordered.empty() ? 0 : ordered.back().hit.score;
  const auto relevance = [&](const Candidate& one) { return best > worst ? (one.hit.score - worst) / (best - worst) : 1.0f; };
  for (std::size_t i = 1; i < std::min(wanted, ordered.size()); ++i) {
    auto chosen = i;
    float chosen_value = -1e9f;
    for (std::size_t j = i; j < ordered.size(); ++j) {
      float likeness = 0;
      for (std::size_t p = 0; p < i; ++p) {
        const float norm = std::sqrt(Dot(ordered[j].vector, ordered[j].vector) * Dot(ordered[p].vector, ordered[p].vector));
        if (norm > 0) likeness = std::max(likeness, Dot(ordered[j].vector, ordered[p].vector) / norm);
      }
      const float value = (1 - diversity) * relevance(ordered[j]) - diversity * likeness;
      if (value > chosen_value) {
        chosen_value = value;
        chosen = j;
      }
    }
    std::rotate(ordered.begin() + static_cast<std::ptrdiff_t>(i), ordered.begin() + static_cast<std::ptrdiff_t>(chosen), ordered.begin() + static_cast<std::ptrdiff_t>(chosen) + 1);
  }
}

}  // namespace

std::size_t DepthOf(const IndexQuery& query) {
  // As the embedded index: deep enough that what is second-rate in one list and first-rate in the other is seen, and more where something is taken away later or
  // is asked what was left out.
  const auto wanted = query.offset + query.k;
  return std::min(kMaxWindow, (HasBoth(query) || query.per_group || query.diversity > 0 || query.explain) ? std::max<std::size_t>(50, 4 * wanted) : wanted);
}

std::size_t VectorDepthOf(const IndexQuery& query) {
  if (query.diversity > 0) return kMaxWindow;
  return query.rerank == Rerank::kNeighbours && HasBoth(query) ? kRerankedDepth : 0;
}

IndexResult Combine(const IndexQuery& query, std::vector<ListedHit> words, std::vector<ListedHit> vectors) {
  auto ordered = Fuse(query, words, vectors);
  switch (query.rerank) {
    case Rerank::kNone: break;
    case Rerank::kNeighbours:
      if (HasBoth(query)) ByNeighbours(ordered);
  }
  const auto wanted = query.offset + query.k;
  if (query.diversity > 0) Diversify(ordered, wanted, query.diversity);
  IndexResult out;
  std::map<std::string, std::size_t> of_group;
  std::size_t kept = 0;
  for (auto& one : ordered) {
    if (query.per_group && !one.hit.group.empty() && ++of_group[one.hit.group] > query.per_group) one.why.cut = "per_group";
    else if (kept >= wanted) one.why.cut = "k";
    else if (kept++ >= query.offset) out.hits.push_back(query.explain ? one.hit : std::move(one.hit));
    else one.why.cut = "offset";
    if (query.explain) out.explanations.emplace_back(one.hit.id, one.why);
  }
  return out;
}

}  // namespace tenfold::retrieval
