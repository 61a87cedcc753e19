// The local embedding engine: speed by precision, and what a precision costs in retrieval.
// Usage: embed_bench speed MODEL_FOLDER fp32|bf16|int8 THREADS PASSAGES.txt QUERIES.txt   (one text a line; all passages in one call, the best of 3; each query
// alone)
//        embed_bench quality MODEL_FOLDER CRANFIELD_FOLDER                                (nDCG@10 of exact dense retrieval, every precision against fp32, and its questions over documents embedded in fp32, as in a data folder that was made with another default)
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <numeric>
#include <string>

#include "base/files.h"
#include "models/bert_embedder.h"

using namespace tenfold;
using Steady = std::chrono::steady_clock;

namespace {

double Seconds(Steady::time_point since) { return std::chrono::duration<double>(Steady::now() - since).count(); }

std::vector<std::string> ReadLines(const char* path) {
  std::vector<std::string> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

models::Precision PrecisionOf(std::string_view name) {
  if (name == "fp32") return models::Precision::kFloat32;
  if (name == "bf16") return models::Precision::kBfloat16;
  if (name == "int8") return models::Precision::kInt8;
  throw Error(Code::kInvalidArgument, "precision: must be fp32, bf16 or int8");
}

void MeasureSpeed(const char* folder, std::string_view precision, std::uint32_t threads, const char* passages_path, const char* queries_path) {
  const auto ctx = Context::System("bench");
  const auto passages = ReadLines(passages_path), queries = ReadLines(queries_path);
  const auto embedder = models::OpenBertEmbedder(folder, {.precision = PrecisionOf(precision), .pooling = {}, .threads = threads});
  std::uint64_t tokens = 0;
  for (const auto& text : passages) tokens += std::min(embedder->CountTokens(text), embedder->max_tokens());
  double best = 1e9;
  for (int round = 0; round < 3; ++round) {
    const auto begun = Steady::now();
    embedder->Embed(ctx, passages, models::EmbedKind::kPassage);
    best = std::min(best, Seconds(begun));
  }
  std::vector<double> latencies;
  for (const auto& query : queries) {
    const auto begun = Steady::now();
    embedder->Embed(ctx, std::span(&query, 1), models::EmbedKind::kQuery);
    latencies.push_back(Seconds(begun) * 1e6);
  }
  std::sort(latencies.begin(), latencies.end());
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  std::printf("{\"texts_per_s\": %.1f, \"tokens_per_s\": %.0f, \"query_p50_us\": %.0f, \"query_p99_us\": %.0f, \"peak_rss_mb\": %ld}\n",
              static_cast<double>(passages.size()) / best, static_cast<double>(tokens) / best, latencies[latencies.size() / 2],
              latencies[latencies.size() * 99 / 100], usage.ru_maxrss / 1024);
}

struct Cranfield {
  std::vector<std::string> ids, documents, queries;
  std::vector<std::map<std::string, int>> relevant;  ///< of each query, by document
};

Cranfield ReadCranfield(const std::filesystem::path& folder) {
  Cranfield data;
  const auto xml = ReadFile(folder / "cran.all.1400.xml");
  const auto field = [&](std::size_t from, std::size_t to, const std::string& tag) {
    const auto begin = xml.find("<" + tag + ">", from);
    const auto end = xml.find("</" + tag + ">", begin);
    if (begin >= to || end >= to) return std::string();
    return xml.substr(begin + tag.size() + 2, end - begin - tag.size() - 2);
  };
  for (std::size_t at = xml.find("<doc>"); at != std::string::npos; at = xml.find("<doc>", at + 1)) {
    const auto end = std::min(xml.find("</doc>", at), xml.size());
    data.ids.push_back(field(at, end, "docno"));
    data.documents.push_back(field(at, end, "title") + " " + field(at, end, "text"));
  }
  std::map<std::string, std::size_t> places;
  std::ifstream queries(folder / "queries.tsv"), grades(folder / "qrels.tsv");
  for (std::string line; std::getline(queries, line);) {
    places[line.substr(0, line.find('\t'))] = data.queries.size();
    data.queries.push_back(line.substr(line.find('\t') + 1));
  }
  data.relevant.resize(data.queries.size());
  std::string query, document;
  for (int grade = 0; grades >> query >> document >> grade;)
    if (const auto found = places.find(query); found != places.end() && grade > 0) data.relevant[found->second][document] = grade;
  return data;
}

/// By query. Source: Järvelin & Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002; gain = grade, discount = log2(rank + 1).
std::vector<double> MeasureNdcg(const Cranfield& data, const std::vector<std::vector<float>>& documents, const std::vector<std::vector<float>>& queries) {
  std::vector<double> result;
  for (std::size_t q = 0; q < queries.size(); ++q) {
    if (data.relevant[q].empty()) continue;
    std::vector<std::pair<float, std::size_t>> scored;
    for (std::size_t d = 0; d < documents.size(); ++d)
      scored.emplace_back(-std::inner_product(queries[q].begin(), queries[q].end(), documents[d].begin(), 0.0f), d);
    std::partial_sort(scored.begin(), scored.begin() + 10, scored.end());
    std::vector<int> grades;
    for (const auto& [id, grade] : data.relevant[q]) grades.push_back(grade);
    std::sort(grades.rbegin(), grades.rend());
    double gain = 0, ideal = 0;
    for (std::size_t rank = 0; rank < 10; ++rank) {
      const auto found = data.relevant[q].find(data.ids[scored[rank].second]);
      if (found != data.relevant[q].end()) gain += found->second / std::log2(static_cast<double>(rank) + 2);
      if (rank < grades.size()) ideal += grades[rank] / std::log2(static_cast<double>(rank) + 2);
    }
    result.push_back(gain / ideal);
  }
  return result;
}

void MeasureQuality(const char* folder, const char* cranfield) {
  const auto ctx = Context::System("bench");
  const auto data = ReadCranfield(cranfield);
  std::vector<std::vector<float>> exact;
  double base = 0;
  for (const char* precision : {"fp32", "bf16", "int8"}) {
    const auto embedder = models::OpenBertEmbedder(folder, {.precision = PrecisionOf(precision), .pooling = {}, .threads = 2});
    const auto documents = embedder->Embed(ctx, data.documents, models::EmbedKind::kPassage),
               queries = embedder->Embed(ctx, data.queries, models::EmbedKind::kQuery);
    const auto by_query = MeasureNdcg(data, documents, queries);
    const double ndcg = std::accumulate(by_query.begin(), by_query.end(), 0.0) / static_cast<double>(by_query.size());
    if (exact.empty()) exact = documents, base = ndcg;
    const auto across = MeasureNdcg(data, exact, queries);
    const double mixed = std::accumulate(across.begin(), across.end(), 0.0) / static_cast<double>(across.size());
    double lowest = 1, sum = 0;
    for (std::size_t i = 0; i < documents.size(); ++i) {
      const double cosine = std::inner_product(documents[i].begin(), documents[i].end(), exact[i].begin(), 0.0);
      lowest = std::min(lowest, cosine);
      sum += cosine;
    }
    std::printf("%s: nDCG@10 %.4f (%zu queries), loss against fp32 %+.2f %%, its questions over fp32 documents %.4f, cosine with fp32 mean %.5f lowest %.5f\n", precision, ndcg, by_query.size(),
                (base - ndcg) / base * 100, mixed, sum / static_cast<double>(documents.size()), lowest);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 7 && std::string_view(argv[1]) == "speed")
    return MeasureSpeed(argv[2], argv[3], static_cast<std::uint32_t>(std::stoul(argv[4])), argv[5], argv[6]), 0;
  if (argc == 4 && std::string_view(argv[1]) == "quality") return MeasureQuality(argv[2], argv[3]), 0;
  std::fprintf(
      stderr,
      "usage: embed_bench speed MODEL_FOLDER fp32|bf16|int8 THREADS PASSAGES.txt QUERIES.txt\n       embed_bench quality MODEL_FOLDER CRANFIELD_FOLDER\n");
  return 2;
}
