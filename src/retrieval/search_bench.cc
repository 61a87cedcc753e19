// Search over 100,000 real text embeddings: recall@10 against an exact scan, queries per second on one thread, with and without a filter, and inserts
// in memory and into the store.
// Usage: search_bench TEXTS.txt MINILM_FOLDER. One text per line; the last 1,000 lines are the queries. Vectors are kept beside the file.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <thread>

#include "models/bert_embedder.h"
#include "base/files.h"
#include "data/store.h"
#include "retrieval/chunk_index.h"
#include "retrieval/vector_index.h"

using namespace tenfold;
using Steady = std::chrono::steady_clock;

namespace {
double Seconds(Steady::time_point since) { return std::chrono::duration<double>(Steady::now() - since).count(); }
}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: search_bench TEXTS.txt MINILM_FOLDER\n"), 2;
  std::vector<std::string> texts;
  std::ifstream in(argv[1]);
  for (std::string line; std::getline(in, line);) texts.push_back(line);
  constexpr std::size_t kDim = 384, kQueries = 1000;
  std::vector<float> all(texts.size() * kDim);
  const std::string kept = std::string(argv[1]) + ".vectors";
  if (std::filesystem::exists(kept) && std::filesystem::file_size(kept) == all.size() * sizeof(float)) {
    std::ifstream(kept, std::ios::binary).read(reinterpret_cast<char*>(all.data()), static_cast<std::streamsize>(all.size() * sizeof(float)));
  } else {
    const auto embedder = models::OpenBertEmbedder(argv[2], {.pooling = {}, .threads = std::max(1u, std::thread::hardware_concurrency())});
    const auto ctx = Context::System("bench");
    const auto begun = Steady::now();
    for (std::size_t at = 0; at < texts.size(); at += 256) {
      const auto vectors = embedder->Embed(ctx, std::span(texts).subspan(at, std::min<std::size_t>(256, texts.size() - at)), models::EmbedKind::kPassage);
      for (std::size_t i = 0; i < vectors.size(); ++i) std::copy(vectors[i].begin(), vectors[i].end(), all.begin() + static_cast<std::ptrdiff_t>((at + i) * kDim));
    }
    std::printf("embedded %zu texts in %.0f s\n", texts.size(), Seconds(begun));
    std::ofstream(kept, std::ios::binary).write(reinterpret_cast<const char*>(all.data()), static_cast<std::streamsize>(all.size() * sizeof(float)));
  }
  const std::size_t n = texts.size() - kQueries;
  const auto vector = [&](std::size_t i) { return std::span<const float>(all.data() + i * kDim, kDim); };

  retrieval::VectorIndex index(kDim);
  auto begun = Steady::now();
  for (std::size_t i = 0; i < n; ++i) index.Put(static_cast<std::uint32_t>(i), vector(i));
  std::printf("inserts in memory: %.0f k/s\n", static_cast<double>(n) / Seconds(begun) / 1000);

  std::mt19937 random(7);
  const auto run = [&](const char* what, double share) {
    retrieval::Bitmap allowed;
    std::vector<bool> in_filter(n);
    for (std::size_t i = 0; i < n; ++i)
      if (share >= 1 || std::uniform_real_distribution<>(0, 1)(random) < share) {
        allowed.Set(static_cast<std::uint32_t>(i));
        in_filter[i] = true;
      }
    std::vector<std::vector<retrieval::Hit>> found(kQueries);
    for (int warm = 0; warm < 50; ++warm) index.Search(vector(n), allowed, 10);
    const auto started = Steady::now();
    for (std::size_t q = 0; q < kQueries; ++q) found[q] = index.Search(vector(n + q), allowed, 10);
    const double seconds = Seconds(started);
    std::size_t right = 0, wanted = 0;
    for (std::size_t q = 0; q < kQueries; q += 5) {
      std::vector<std::pair<float, std::uint32_t>> exact;
      for (std::size_t i = 0; i < n; ++i)
        if (in_filter[i]) exact.emplace_back(std::inner_product(vector(i).begin(), vector(i).end(), vector(n + q).begin(), 0.0f), static_cast<std::uint32_t>(i));
      const auto k = std::min<std::size_t>(10, exact.size());
      std::partial_sort(exact.begin(), exact.begin() + static_cast<std::ptrdiff_t>(k), exact.end(), std::greater<>());
      wanted += k;
      for (std::size_t i = 0; i < k; ++i) right += std::any_of(found[q].begin(), found[q].end(), [&](const auto& hit) { return hit.row == exact[i].second; });
    }
    std::printf("%-14s recall@10 %.3f, %.0f queries/s on one thread\n", what, static_cast<double>(right) / static_cast<double>(wanted), static_cast<double>(kQueries) / seconds);
  };
  run("all", 1);
  run("filter 10 %", 0.1);
  run("filter 1 %", 0.01);

  // The whole way in: rows, vectors, words and change feed durable in the store, and found by a search, when a write returns.
  const TemporaryFolder folder;
  retrieval::ChunkIndex whole(kDim);
  const auto store = data::OpenSqliteStore((folder.path() / "store.db").string(), {data::TableOf<retrieval::Document>(), data::TableOf<retrieval::Chunk>()});
  store->Follow(whole);
  const auto ctx = Context::System("bench");
  for (const std::size_t per_write : {std::size_t{100}, std::size_t{1000}}) {
    constexpr std::size_t kChunks = 20'000;
    begun = Steady::now();
    for (std::size_t at = 0; at < kChunks; at += per_write)
      store->Write(ctx, [&](data::WriteTx& tx) {
        const auto document = "d" + std::to_string(per_write) + "/" + std::to_string(at);
        tx.Put(retrieval::Document{document, "bench", document, document, "public", "text/plain", "", "", 1, 0});
        for (std::size_t i = at; i < at + per_write; ++i)
          tx.Put(retrieval::Chunk{document + "/" + std::to_string(i), document, 0, static_cast<std::int64_t>(texts[i].size()), "", texts[i], {vector(i).begin(), vector(i).end()}, {}});
      });
    const double seconds = Seconds(begun);
    Principal reader;
    reader.labels = {"public"};
    const auto last = whole.Search(reader, {.text = texts[kChunks - 1], .vector = {vector(kChunks - 1).begin(), vector(kChunks - 1).end()}, .k = 1}).hits;
    std::printf("inserts visible and durable, %zu a write: %.1f k/s%s\n", per_write, kChunks / seconds / 1000, last.empty() || last[0].vector_score < 0.99 ? " BUT THE LAST ONE IS NOT FOUND" : "");
  }
  return 0;
}
