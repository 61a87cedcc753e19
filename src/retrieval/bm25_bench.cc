// BM25 on token lists of a file: `bm25_bench documents queries results [seconds]`. One document or query a line; queries per second on one thread, and what was found,
// for bench/bm25_peers to compare.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "retrieval/bm25_index.h"

using namespace tenfold;

namespace {
/// Of the processor's time: what else runs on the machine counts less.
double Now() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }
double Seconds(double begun) { return Now() - begun; }
std::vector<std::string> Lines(const char* path) {
  std::vector<std::string> out;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) out.push_back(line);
  return out;
}
}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "tokens") {  // the words of each line, as the index takes them
    for (const auto& line : Lines(argv[2])) {
      std::string out;
      for (const auto& word : retrieval::Tokenize(line)) out += (out.empty() ? "" : " ") + word;
      std::puts(out.c_str());
    }
    return 0;
  }
  if (argc < 4) {
    std::printf("run bench/bm25_peers\n");
    return 0;
  }
  const auto documents = Lines(argv[1]), queries = Lines(argv[2]);
  const double least = argc > 4 ? std::atof(argv[4]) : 2;
  retrieval::Bm25Index index;
  retrieval::Bitmap all;
  auto begun = Now();
  for (std::uint32_t i = 0; i < documents.size(); ++i) {
    index.Add(i, documents[i]);
    all.Set(i);
  }
  std::printf("index_seconds %.3f\nbytes %zu\n", Seconds(begun), index.bytes());
  std::ofstream results(argv[3]);
  for (const auto& query : queries) {
    for (const auto& hit : index.Search(query, all, 10)) results << hit.row << ":" << std::scientific << hit.score << " ";
    results << "\n";
  }
  std::size_t asked = 0;
  begun = Now();
  do
    for (const auto& query : queries) asked += !index.Search(query, all, 10).empty();
  while (Seconds(begun) < least);
  std::printf("queries_per_second %.1f\n", static_cast<double>(asked) / Seconds(begun));
  begun = Now();
  constexpr std::uint32_t kRemoved = 20'000;
  for (std::uint32_t i = 0; i < kRemoved && i < documents.size(); ++i) index.Remove(i * 7 % static_cast<std::uint32_t>(documents.size()));
  std::printf("removals_per_second %.0f\n", kRemoved / Seconds(begun));
  return 0;
}
