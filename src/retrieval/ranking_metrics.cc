#include "retrieval/ranking_metrics.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "base/error.h"

namespace tenfold::retrieval {
namespace {

int GradeOf(const Judgements& judged, std::string_view document) {
  const auto found = judged.find(document);
  return found == judged.end() ? 0 : std::max(0, found->second);
}

double Discount(std::size_t place) { return 1 / std::log2(static_cast<double>(place) + 2); }

/// 0..n-1, each as likely to within n / 2^64. std::uniform_int_distribution differs between standard libraries, and an interval must not.
std::size_t Draw(std::mt19937_64& random, std::size_t n) { return static_cast<std::size_t>(static_cast<unsigned __int128>(random()) * n >> 64); }

}  // namespace

bool HasRelevant(const Judgements& judged) {
  return std::any_of(judged.begin(), judged.end(), [](const auto& one) { return one.second > 0; });
}

double NdcgAt(std::span<const std::string> ranking, const Judgements& judged, std::size_t k) {
  double gained = 0, ideal = 0;
  for (std::size_t i = 0; i < std::min(k, ranking.size()); ++i) gained += GradeOf(judged, ranking[i]) * Discount(i);
  std::vector<int> grades;
  for (const auto& [document, grade] : judged)
    if (grade > 0) grades.push_back(grade);
  std::sort(grades.begin(), grades.end(), std::greater<>());
  for (std::size_t i = 0; i < std::min(k, grades.size()); ++i) ideal += grades[i] * Discount(i);
  return ideal > 0 ? gained / ideal : 0;
}

double ReciprocalRankAt(std::span<const std::string> ranking, const Judgements& judged, std::size_t k) {
  for (std::size_t i = 0; i < std::min(k, ranking.size()); ++i)
    if (GradeOf(judged, ranking[i]) > 0) return 1 / static_cast<double>(i + 1);
  return 0;
}

double RecallAt(std::span<const std::string> ranking, const Judgements& judged, std::size_t k) {
  std::size_t found = 0, relevant = 0;
  for (std::size_t i = 0; i < std::min(k, ranking.size()); ++i) found += GradeOf(judged, ranking[i]) > 0;
  for (const auto& [document, grade] : judged) relevant += grade > 0;
  return relevant ? static_cast<double>(found) / static_cast<double>(relevant) : 0;
}

Interval BootstrapMean(std::span<const double> values, std::uint64_t seed, std::size_t samples) {
  Interval out;
  if (values.empty()) return out;
  for (const double value : values) out.mean += value;
  out.mean /= static_cast<double>(values.size());
  out.low = out.high = out.mean;
  if (values.size() < 2 || samples == 0) return out;
  std::mt19937_64 random(seed);
  std::vector<double> means(samples);
  for (auto& mean : means) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += values[Draw(random, values.size())];
    mean = sum / static_cast<double>(values.size());
  }
  std::sort(means.begin(), means.end());
  const auto at = [&](double share) { return means[std::min(samples - 1, static_cast<std::size_t>(share * static_cast<double>(samples)))]; };
  out.low = at(0.025);
  out.high = at(0.975);
  return out;
}

Interval BootstrapDifference(std::span<const double> before, std::span<const double> after, std::uint64_t seed, std::size_t samples) {
  TENFOLD_CHECK(before.size() == after.size());
  std::vector<double> differences(before.size());
  for (std::size_t i = 0; i < before.size(); ++i) differences[i] = after[i] - before[i];
  return BootstrapMean(differences, seed, samples);
}

}  // namespace tenfold::retrieval
