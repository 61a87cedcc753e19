// What many small tenants cost: 10,000 namespaces of ten rows each, against the same 100,000 rows in one.
// Usage: tenant_bench TEXTS.txt, one text a line and TEXTS.txt.vectors beside it as search_bench or bench/vector_peers keeps them. Bytes are those that malloc holds.
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>

#include "retrieval/index_shard.h"

using namespace tenfold;
using Steady = std::chrono::steady_clock;

namespace {

constexpr std::size_t kDim = 384, kRows = 100'000, kTenants = 10'000;

double MegabytesHeld() {
  const auto now = ::mallinfo2();
  return static_cast<double>(now.uordblks + now.hblkhd) / 1e6;
}

struct Rows {
  std::vector<std::string> texts;
  std::vector<float> vectors;  // [texts, kDim]
  retrieval::IndexRecord At(std::size_t i) const {
    const auto* vector = vectors.data() + i * kDim;
    return {.id = "doc-" + std::to_string(i), .group = "doc-" + std::to_string(i), .access = "public", .text = texts[i], .vector = {vector, vector + kDim}};
  }
};

Rows ReadRows(const std::string& path) {
  Rows out;
  std::ifstream lines(path), vectors(path + ".vectors", std::ios::binary);
  for (std::string line; out.texts.size() < kRows && std::getline(lines, line);) out.texts.push_back(line);
  out.vectors.resize(kRows * kDim);
  vectors.read(reinterpret_cast<char*>(out.vectors.data()), static_cast<std::streamsize>(out.vectors.size() * sizeof(float)));
  if (out.texts.size() < kRows || !vectors) throw std::runtime_error("needs 100,000 lines in " + path + " and as many vectors of 384 dimensions beside it");
  return out;
}

void Measure(const Rows& rows, std::size_t tenants) {
  const auto held = MegabytesHeld();
  const auto begun = Steady::now();
  std::vector<retrieval::IndexShard> shards;
  shards.reserve(tenants);
  for (std::size_t t = 0; t < tenants; ++t) {
    shards.emplace_back(kDim, retrieval::Metric::kCosine);
    for (std::size_t i = 0; i < kRows / tenants; ++i) shards.back().Put(rows.At(t * (kRows / tenants) + i));
  }
  const auto took = std::chrono::duration<double>(Steady::now() - begun).count();
  const auto bytes = (MegabytesHeld() - held) * 1e6 / static_cast<double>(kRows);
  std::vector<double> micros;
  Principal reader;
  reader.labels = {"public"};
  for (std::size_t i = 0; i < 1'000; ++i) {
    const auto row = i * 97 % kRows;
    const auto record = rows.At(row);
    const auto asked = Steady::now();
    const auto found = shards[row / (kRows / tenants)].Search(reader, {.text = record.text, .vector = record.vector, .k = 10});
    micros.push_back(std::chrono::duration<double, std::micro>(Steady::now() - asked).count());
    if (std::none_of(found.hits.begin(), found.hits.end(), [&](const auto& hit) { return hit.id == record.id; })) throw std::runtime_error("the row asked for was not found");
  }
  std::nth_element(micros.begin(), micros.begin() + 500, micros.end());
  std::printf("%6zu namespaces of %6zu rows: %7.0f bytes a row beside its exact vector's file, %6.1f k rows/s written, a search p50 %7.1f us\n", tenants, kRows / tenants, bytes, static_cast<double>(kRows) / took / 1e3, micros[500]);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) throw std::runtime_error("usage: tenant_bench TEXTS.txt");
  const auto rows = ReadRows(argv[1]);
  Measure(rows, 1);
  Measure(rows, kTenants);
} catch (const std::exception& e) {
  std::fprintf(stderr, "tenant_bench: %s\n", e.what());
  return 1;
}
