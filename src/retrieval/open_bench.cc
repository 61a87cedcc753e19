// Opening an index of many passages: from the store's rows, and from its snapshot; how long the snapshot takes to write, and how long a write of the store waits meanwhile.
// Usage: open_bench TEXTS.txt VECTORS FOLDER [PASSAGES]. VECTORS: 384 floats for each line of TEXTS.txt, as search_bench leaves them. Passages are the lines again and again, ten to a
// document, the vectors after the first round with noise of 0.3 of their length. FOLDER is made, and removed at the end; a million passages need 8 GB there and 4 GB of memory.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "data/store.h"
#include "retrieval/chunk_index.h"
#include "retrieval/index_snapshot.h"

using namespace tenfold;
using namespace tenfold::retrieval;
namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;

namespace {

constexpr std::size_t kDim = 384, kPerDocument = 10;
const SnapshotKeeper::Options kOnlyWhenTold{std::chrono::hours(24), std::chrono::hours(24)};

double Seconds(Steady::time_point since) { return std::chrono::duration<double>(Steady::now() - since).count(); }

struct Texts {
  std::vector<std::string> lines;
  std::vector<float> vectors;
  std::vector<float> Vector(std::size_t i) const {
    const auto* from = &vectors[i % lines.size() * kDim];
    std::vector<float> out(from, from + kDim);
    if (i < lines.size()) return out;
    std::minstd_rand random(static_cast<unsigned>(i));
    std::normal_distribution<float> noise(0, 0.3f / std::sqrt(static_cast<float>(kDim)));
    for (auto& x : out) x += noise(random);
    return out;
  }
};

std::unique_ptr<data::Store> OpenStore(const fs::path& folder) {
  return data::OpenSqliteStore((folder / "store.db").string(), {data::TableOf<Document>(), data::TableOf<Chunk>()});
}

void Fill(const fs::path& folder, const Texts& texts, std::size_t passages) {
  const auto store = OpenStore(folder);
  const auto ctx = Context::System("bench");
  constexpr std::size_t kPerWrite = 2000;
  for (std::size_t at = 0; at < passages; at += kPerWrite)
    store->Write(ctx, [&](data::WriteTx& tx) {
      for (auto i = at; i < std::min(passages, at + kPerWrite); ++i) {
        const auto document = "d" + std::to_string(i / kPerDocument);
        if (i % kPerDocument == 0) {
          Document row;
          row.id = document;
          row.source = "folder";
          row.uri = "glosses/" + document + ".md";
          row.title = texts.lines[i % texts.lines.size()].substr(0, 24);
          row.label = i / kPerDocument % 4 ? "public" : "staff";
          row.media_type = "text/markdown";
          row.metadata = {{"year", static_cast<std::int64_t>(2000 + i / kPerDocument % 25)}};
          tx.Put(row);
        }
        Chunk chunk;
        chunk.id = document + "/" + std::to_string(i % kPerDocument);
        chunk.document = document;
        chunk.text = texts.lines[i % texts.lines.size()];
        chunk.embedding = texts.Vector(i);
        tx.Put(chunk);
      }
    });
}

/// A program that has the store open and its index loaded.
struct Opened {
  explicit Opened(const fs::path& folder) : keeper(folder / "index", kOnlyWhenTold), snapshot(keeper.Open(kFirstGeneration)), index(kDim, kFirstGeneration, Language::kEnglish, snapshot), store(OpenStore(folder)) {
    const auto begun = Steady::now();
    const auto used = std::clock();
    store->Follow(index);
    seconds = Seconds(begun);
    processor = static_cast<double>(std::clock() - used) / CLOCKS_PER_SEC;
  }
  SnapshotKeeper keeper;
  std::shared_ptr<IndexSnapshot> snapshot;
  ChunkIndex index;
  std::unique_ptr<data::Store> store;
  double seconds = 0, processor = 0;  ///< waited, and used by all threads
};

std::string Answers(const ChunkIndex& index, const Texts& texts) {
  Principal reader;
  reader.labels = {"public"};
  std::string out;
  for (std::size_t i = 0; i < 50; ++i)
    for (const auto& hit : index.Search(reader, {.text = texts.lines[i * 997 % texts.lines.size()], .vector = texts.Vector(i * 997 % texts.lines.size()), .k = 10}).hits) out += hit.id + " " + std::to_string(hit.score) + "\n";
  return out;
}

void DropFromCache(const fs::path& folder) {
  ::sync();
  for (const auto& entry : fs::directory_iterator(folder)) {
    const int file = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    ::close(file);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return std::fprintf(stderr, "usage: open_bench TEXTS.txt VECTORS FOLDER [PASSAGES]\n"), 2;
  Texts texts;
  std::ifstream in(argv[1]);
  for (std::string line; std::getline(in, line);) texts.lines.push_back(line);
  const auto rows = std::min<std::size_t>(texts.lines.size(), fs::file_size(argv[2]) / kDim / sizeof(float));
  texts.lines.resize(rows);
  texts.vectors.resize(rows * kDim);
  std::ifstream(argv[2], std::ios::binary).read(reinterpret_cast<char*>(texts.vectors.data()), static_cast<std::streamsize>(texts.vectors.size() * sizeof(float)));
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const fs::path folder = argv[3];
  const std::size_t passages = argc > 4 ? std::stoul(argv[4]) : 1'000'000;
  fs::create_directories(folder);

  auto begun = Steady::now();
  Fill(folder, texts, passages);
  std::printf("%zu passages of %zu texts written to the store in %.0f s, %.0f bytes each\n", passages, rows, Seconds(begun), static_cast<double>(fs::file_size(folder / "store.db")) / static_cast<double>(passages));
  std::string expected;
  {
    Opened from_rows(folder);
    std::printf("open from the store's rows: %.2f s (%.0f passages/s)\n", from_rows.seconds, static_cast<double>(passages) / from_rows.seconds);
    expected = Answers(from_rows.index, texts);
    // A write that puts one document, again and again, while the snapshot is written.
    std::atomic<bool> is_written{false};
    double longest = 0, usual = 0;
    std::thread writer([&] {
      std::vector<double> waits;
      while (!is_written) {
        const auto since = Steady::now();
        from_rows.store->Write(Context::System("bench"), [&](data::WriteTx& tx) {
          Document row;
          row.id = "other";
          tx.Put(row);
        });
        waits.push_back(Seconds(since));
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
      std::sort(waits.begin(), waits.end());
      longest = waits.back();
      usual = waits[waits.size() / 2];
    });
    begun = Steady::now();
    from_rows.keeper.WriteNow();
    const double seconds = Seconds(begun);
    is_written = true;
    writer.join();
    std::printf("snapshot written in %.2f s, fsync included; a write of the store waited %.3f s at most, %.4f s as a rule\n", seconds, longest, usual);
    if (!from_rows.snapshot->is_written()) return std::printf("IT WAS NOT WRITTEN\n"), 1;
  }
  for (const auto& entry : fs::directory_iterator(folder / "index"))
    std::printf("%s: %.0f MB, %.0f bytes a passage\n", entry.path().filename().c_str(), static_cast<double>(entry.file_size()) / 1e6, static_cast<double>(entry.file_size()) / static_cast<double>(passages));
  for (int round = 0; round < 6; ++round) {
    const bool is_cold = round == 5;
    if (is_cold) DropFromCache(folder / "index");
    Opened opened(folder);
    if (!opened.snapshot->is_written() || opened.index.chunks() != passages) return std::printf("IT WAS NOT RESTORED\n"), 1;
    std::printf("open from the snapshot%s: %.3f s, %.3f s of processor time\n", is_cold ? ", its files not in memory" : "", opened.seconds, opened.processor);
    if (!is_cold && Answers(opened.index, texts) != expected) return std::printf("IT ANSWERS OTHERWISE\n"), 1;
  }
  // Each part by itself, on one thread. Last: without Restore the file of vectors goes with the shard.
  {
    const SnapshotFile file(folder / "index" / "g1.index", WhatOf("chunks g1 384 english"));
    SnapshotKeeper keeper(folder / "index", kOnlyWhenTold);
    IndexShard shard(kDim, Metric::kCosine);
    shard.SetSnapshot(keeper.Open("g1"));
    for (const auto part : IndexShard::kParts) {
      begun = Steady::now();
      const auto used = std::clock();
      auto section = file.Section(static_cast<std::size_t>(part));
      const auto bytes = section.left();
      shard.Restore(part, section);
      section.Finish();
      static constexpr const char* kNames[] = {"names and metadata", "words", "vectors"};
      std::printf("%s: %.0f MB in %.3f s, %.3f s of processor time\n", kNames[static_cast<std::size_t>(part)], static_cast<double>(bytes) / 1e6, Seconds(begun), static_cast<double>(std::clock() - used) / CLOCKS_PER_SEC);
    }
  }
  fs::remove_all(folder);
  return 0;
}
