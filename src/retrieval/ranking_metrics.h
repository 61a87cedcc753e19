#pragma once
/// \file How good a ranking is, and how sure one may be that it is better than another: nDCG@k, MRR@k, recall@k, bootstrap intervals.
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace tenfold::retrieval {

/// What was judged for one query, by document: above 0 relevant, the more the better; 0 and below judged and not relevant. What is absent was not judged and
/// counts as not relevant.
using Judgements = std::map<std::string, int, std::less<>>;

bool HasRelevant(const Judgements& judged);

/// Of the first `k` of `ranking` (best first, each document once). All are 0..1, and 0 for a query without relevant documents: leave such queries out of a mean.
/// Gain is the grade, discount log2(rank + 1), ideal the judged grades in falling order: as trec_eval's ndcg_cut.
/// Source: Järvelin & Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002 (with the discount of Burges et al., ICML 2005, from rank 1 on).
double NdcgAt(std::span<const std::string> ranking, const Judgements& judged, std::size_t k);
/// 1 / rank of the first relevant one, 0 if there is none among the first `k`. Its mean is MRR@k. Source: Voorhees, TREC-8 question answering track, 1999.
double ReciprocalRankAt(std::span<const std::string> ranking, const Judgements& judged, std::size_t k);
/// Share of all relevant documents among the first `k`.
double RecallAt(std::span<const std::string> ranking, const Judgements& judged, std::size_t k);

/// A mean over queries and the interval that holds it with 95 % confidence.
struct Interval {
  double mean = 0;
  double low = 0;
  double high = 0;
};

inline constexpr std::size_t kBootstrapSamples = 10'000;

/// The percentile interval of the mean of `values`, one a query, over `samples` resamplings of the queries. For the difference of two rankings give the differences query
/// by query: resampling them together is the paired bootstrap. The same values and `seed` give the same interval on every machine. Of fewer than two values: low = high = mean.
/// Cost: O(samples * values). Source: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13; for retrieval, Sakai, SIGIR 2006.
Interval BootstrapMean(std::span<const double> values, std::uint64_t seed, std::size_t samples = kBootstrapSamples);
/// BootstrapMean of `after[i] - before[i]`. Both have one value for each query, in the same order.
Interval BootstrapDifference(std::span<const double> before, std::span<const double> after, std::uint64_t seed, std::size_t samples = kBootstrapSamples);

}  // namespace tenfold::retrieval
