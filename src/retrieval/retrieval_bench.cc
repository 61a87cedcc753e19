// Whole retrieval over 100,000 passages in a store: embed the question, both scans, fuse, re-rank, filter by reader, fetch and pack the passages; where its time goes.
// Usage: retrieval_bench TEXTS.txt MINILM_FOLDER|- [fp32|int8]; - leaves the model out and measures the rest three times over. One text a line, the last 1,000 are the questions; TEXTS.txt.vectors beside it as search_bench or bench/vector_peers keeps
// them. Ten texts make a document, every fifth document is hidden from the reader. Times are of the one thread that asks: the clock's, and the processor's, which other work on the
// machine disturbs less.
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>

#include "base/files.h"
#include "data/store.h"
#include "models/bert_embedder.h"
#include "retrieval/chunk_index.h"
#include "retrieval/retriever.h"

using namespace tenfold;
using Steady = std::chrono::steady_clock;

namespace {

constexpr std::size_t kDim = 384, kQueries = 1000, kPerDocument = 10, kPerWrite = 1000;

double CpuMillis() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

/// Gives the vector it was told, as if the model took no time.
class Ready : public models::Embedder {
 public:
  std::vector<std::vector<float>> Embed(const Context&, std::span<const std::string> texts, models::EmbedKind) override { return {texts.size(), next}; }
  std::uint32_t dim() const override { return kDim; }
  std::uint32_t max_tokens() const override { return 256; }
  std::string name() const override { return "ready"; }
  std::uint32_t CountTokens(std::string_view text) override { return retrieval::EstimateTokens(text); }
  std::vector<float> next;
};

template <class F>
void Measure(const char* what, std::size_t count, F&& ask) {
  std::vector<double> wall, cpu;
  for (std::size_t i = 0; i < 50; ++i) ask(i);
  for (std::size_t i = 0; i < count; ++i) {
    const auto begun = Steady::now();
    const auto cpu_begun = CpuMillis();
    ask(i);
    cpu.push_back(CpuMillis() - cpu_begun);
    wall.push_back(std::chrono::duration<double, std::milli>(Steady::now() - begun).count());
  }
  std::sort(wall.begin(), wall.end());
  std::sort(cpu.begin(), cpu.end());
  std::printf("%-52s clock p50 %6.3f p99 %7.3f ms   processor p50 %6.3f p99 %7.3f ms\n", what, wall[count / 2], wall[count * 99 / 100], cpu[count / 2], cpu[count * 99 / 100]);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: retrieval_bench TEXTS.txt MINILM_FOLDER|- [fp32|int8]\n"), 2;
  std::vector<std::string> texts;
  std::ifstream in(argv[1]);
  for (std::string line; std::getline(in, line);) texts.push_back(line);
  std::vector<float> all(texts.size() * kDim);
  std::ifstream(std::string(argv[1]) + ".vectors", std::ios::binary).read(reinterpret_cast<char*>(all.data()), static_cast<std::streamsize>(all.size() * sizeof(float)));
  const auto vector = [&](std::size_t i) { return std::vector<float>(all.begin() + static_cast<std::ptrdiff_t>(i * kDim), all.begin() + static_cast<std::ptrdiff_t>((i + 1) * kDim)); };
  const std::size_t n = texts.size() - kQueries;

  const TemporaryFolder folder;
  const auto index = std::make_shared<retrieval::ChunkIndex>(kDim);
  const auto store = data::OpenSqliteStore((folder.path() / "store.db").string(), {data::TableOf<retrieval::Document>(), data::TableOf<retrieval::Chunk>()});
  store->Follow(*index);
  const auto system = Context::System("bench");
  for (std::size_t at = 0; at < n; at += kPerWrite)
    store->Write(system, [&](data::WriteTx& tx) {
      for (std::size_t first = at; first < std::min(n, at + kPerWrite); first += kPerDocument) {
        const auto id = "d" + std::to_string(first);
        retrieval::Document document{.id = id, .source = "bench", .uri = id + ".txt", .title = {}, .label = first / kPerDocument % 5 ? "public" : "hidden", .media_type = "text/plain", .content_hash = {}, .text = {}};
        std::vector<retrieval::Chunk> chunks;
        for (std::size_t i = first; i < std::min(n, first + kPerDocument); ++i) {
          auto& chunk = chunks.emplace_back();
          chunk.id = id + "/" + std::to_string(i);
          chunk.document = id;
          chunk.begin_byte = static_cast<std::int64_t>(document.text.size());
          document.text += texts[i] + "\n";
          chunk.end_byte = static_cast<std::int64_t>(document.text.size()) - 1;
          chunk.text = texts[i];
          chunk.embedding = vector(i);
        }
        tx.Put(document);
        for (const auto& chunk : chunks) tx.Put(chunk);
      }
    });
  std::printf("%zu passages of %zu documents\n", index->chunks(), n / kPerDocument);

  Principal principal;
  principal.labels = {"public"};
  Context::Parts parts;
  parts.principal = std::make_shared<const Principal>(std::move(principal));
  const Context reader(std::move(parts));
  const auto ready = std::make_shared<Ready>();
  models::BertOptions options;
  if (argc > 3) options.precision = std::string_view(argv[3]) == "int8" ? models::Precision::kInt8 : models::Precision::kFloat32;
  const bool has_model = std::string_view(argv[2]) != "-";
  const std::shared_ptr<models::Embedder> model = has_model ? models::OpenBertEmbedder(argv[2], options) : nullptr;
  const retrieval::Retriever with_ready(*store, [&] { return retrieval::OpenIndex{retrieval::kFirstGeneration, index, ready}; });
  const retrieval::Retriever with_model(*store, [&] { return retrieval::OpenIndex{retrieval::kFirstGeneration, index, model}; });
  std::size_t found = 0;
  const auto retrieve = [&](const retrieval::Retriever& from, std::size_t i) {
    ready->next = vector(n + i);
    const auto answer = from.Retrieve(reader, texts[n + i], {.k = 10, .documents = {}});
    found += answer.passages.size();
    for (const auto& passage : answer.passages)
      if (std::stoul(passage.document.substr(1)) / kPerDocument % 5 == 0) std::printf("A HIDDEN PASSAGE WAS FOUND: %s\n", passage.chunk.c_str());
  };
  for (int round = 0; round < (has_model ? 1 : 3); ++round) {
    Measure("both scans, fused and re-ranked (the index alone)", kQueries, [&](std::size_t i) { found += index->Search(reader.principal(), retrieval::HybridQuery(texts[n + i], vector(n + i), 10)).hits.size(); });
    Measure("the whole without embedding                 bar 0.7", kQueries, [&](std::size_t i) { retrieve(with_ready, i); });
  }
  if (!has_model) return found == 0;
  Measure("embedding the question", 200, [&](std::size_t i) { model->Embed(system, std::span(&texts[n + i], 1), models::EmbedKind::kQuery); });
  Measure("the whole with embedding                    bar 2.0", 200, [&](std::size_t i) { retrieve(with_model, i); });
  return found == 0;
}
