// Vectors of a file: `vector_bench VECTORS rows queries dim [seconds]`, for bench/vector_peers to compare: recall@10 and queries per second on one thread by how much is
// scanned, with and without filters, inserts, removals and bytes. The file holds rows and then queries as floats.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <random>
#include <string>

#include "retrieval/vector_index.h"

using namespace tenfold;

namespace {
/// Of the processor's time: what else runs on the machine counts less.
double Now() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }
double Seconds(double since) { return Now() - since; }
/// On the heap; pages of files are not counted.
std::size_t ResidentBytes() {
  std::ifstream in("/proc/self/status");
  for (std::string word; in >> word;)
    if (word == "RssAnon:") {
      std::size_t kilobytes = 0;
      in >> kilobytes;
      return kilobytes * 1024;
    }
  return 0;
}
}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::printf("run bench/vector_peers\n");
    return 0;
  }
  const auto n = static_cast<std::size_t>(std::atoll(argv[2])), asked = static_cast<std::size_t>(std::atoll(argv[3])), dim = static_cast<std::size_t>(std::atoll(argv[4]));
  const double least = argc > 5 ? std::atof(argv[5]) : 1;
  std::vector<float> all((n + asked) * dim);
  std::ifstream(argv[1], std::ios::binary).read(reinterpret_cast<char*>(all.data()), static_cast<std::streamsize>(all.size() * sizeof(float)));
  const auto vector = [&](std::size_t i) { return std::span<const float>(all.data() + i * dim, dim); };
  const auto before = ResidentBytes();
  retrieval::VectorIndex index(dim);
  auto begun = Now();
  for (std::size_t i = 0; i < n; ++i) index.Put(static_cast<std::uint32_t>(i), vector(i));
  std::printf("inserts_per_second %.0f\n", static_cast<double>(n) / Seconds(begun));
  std::printf("bytes_per_vector %.0f\nfile_bytes_per_vector %.0f\nresident_per_vector %.0f\npartitions %zu\n", static_cast<double>(index.bytes()) / static_cast<double>(n), static_cast<double>(index.file_bytes()) / static_cast<double>(n), static_cast<double>(ResidentBytes() - before) / static_cast<double>(n), index.partitions());

  std::mt19937 random(7);
  const auto run = [&](const char* what, double share, std::span<const retrieval::VectorEffort> efforts) {
    retrieval::Bitmap allowed;
    std::vector<std::uint32_t> rows;
    for (std::size_t i = 0; i < n; ++i)
      if (share >= 1 || std::uniform_real_distribution<>(0, 1)(random) < share) {
        allowed.Set(i);
        rows.push_back(static_cast<std::uint32_t>(i));
      }
    const auto k = std::min<std::size_t>(10, rows.size());
    std::vector<std::vector<std::pair<float, std::uint32_t>>> exact(asked);
    std::vector<std::pair<float, std::uint32_t>> scored(rows.size());
    for (std::size_t q = 0; q < asked; ++q) {
      for (std::size_t i = 0; i < rows.size(); ++i) scored[i] = {-retrieval::Dot(vector(rows[i]).data(), vector(n + q).data(), dim), rows[i]};
      const auto end = scored.begin() + static_cast<std::ptrdiff_t>(k);
      std::partial_sort(scored.begin(), end, scored.end());
      exact[q].assign(scored.begin(), end);
    }
    for (const auto& effort : efforts) {
      std::size_t right = 0, done = 0;
      for (std::size_t q = 0; q < asked; ++q)
        for (const auto& hit : index.Search(vector(n + q), allowed, 10, effort)) right += std::any_of(exact[q].begin(), exact[q].end(), [&](const auto& one) { return one.second == hit.row; });
      const auto started = Now();
      do
        for (std::size_t q = 0; q < asked; ++q, ++done) index.Search(vector(n + q), allowed, 10, effort);
      while (Seconds(started) < least);
      std::printf("%s scan %zu rerank %zu recall %.4f queries_per_second %.0f\n", what, effort.scan, effort.rerank, static_cast<double>(right) / static_cast<double>(asked * k), static_cast<double>(done) / Seconds(started));
      std::fflush(stdout);
    }
  };
  std::vector<retrieval::VectorEffort> efforts{{}};
  const double more = std::max(1.0, std::sqrt(static_cast<double>(n) / 100'000));
  for (const double scan : {2500, 3000, 3500, 4000, 5000, 6000, 8000, 10000, 12000, 14000, 16000})
    for (const std::size_t rerank : {40, 64, 100}) efforts.push_back({static_cast<std::size_t>(scan * more), rerank});
  run("all", 1, efforts);
  run("tenth", 0.1, std::span(efforts).first(1));
  run("percent", 0.01, std::span(efforts).first(1));
  run("permille", 0.001, std::span(efforts).first(1));
  begun = Now();
  const auto removed = std::min<std::size_t>(n, 50'000);
  for (std::size_t i = 0; i < removed; ++i) index.Remove(static_cast<std::uint32_t>(i * 7 % n));
  std::printf("removals_per_second %.0f\n", static_cast<double>(removed) / Seconds(begun));
  return 0;
}
