// 10,000 generated Markdown files from a folder to a searchable, durable store: documents per second of the first sync without model time, and seconds of a
// sync that finds nothing new. Embeddings come from a table of random unit vectors by the text's hash, as a warm cache would give them. Usage: ingest_bench
// [FILES=10000] [FOLDER]. The folder is made in the temporary folder of the system if none is named.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <random>

#include "base/crypto.h"
#include "base/files.h"
#include "data/parse.h"
#include "data/sources/folder.h"
#include "retrieval/chunk_index.h"
#include "retrieval/ingest.h"

using namespace tenfold;
using Steady = std::chrono::steady_clock;

namespace {

class TableEmbedder : public models::Embedder {
 public:
  TableEmbedder() {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (auto& vector : table_) {
      vector.resize(dim());
      float norm = 0;
      for (auto& x : vector) x = normal(random), norm += x * x;
      for (auto& x : vector) x /= std::sqrt(norm);
    }
  }
  std::vector<std::vector<float>> Embed(const Context&, std::span<const std::string> texts, models::EmbedKind) override {
    std::vector<std::vector<float>> out;
    out.reserve(texts.size());
    for (const auto& text : texts) out.push_back(table_[std::hash<std::string>()(text) % table_.size()]);
    return out;
  }
  std::uint32_t dim() const override { return 384; }
  std::uint32_t max_tokens() const override { return 256; }
  std::string name() const override { return "table"; }
  std::uint32_t CountTokens(std::string_view text) override { return retrieval::EstimateTokens(text); }

 private:
  std::vector<std::vector<float>> table_{1024};
};

/// About 3 KB: a title, sections of paragraphs, a list, now and then a table. Words after Zipf, so that the word index is as loaded as with real text.
std::string MakeMarkdown(std::mt19937& random) {
  static const auto words = [] {
    std::vector<std::string> out;
    std::mt19937 letters(2);
    for (int i = 0; i < 20'000; ++i) {
      std::string word;
      for (int n = 3 + static_cast<int>(letters() % 8); n > 0; --n) word += static_cast<char>('a' + letters() % 26);
      out.push_back(word);
    }
    return out;
  }();
  std::uniform_real_distribution<double> uniform(0, 1);
  const auto word = [&] { return words[static_cast<std::size_t>(std::pow(20'000.0, uniform(random))) - 1]; };
  const auto sentence = [&](int length) {
    auto out = word();
    out[0] = static_cast<char>(out[0] - 32);
    for (int i = 1; i < length; ++i) out += " " + word();
    return out + ". ";
  };
  std::string out = "# " + word() + " " + word() + " " + word() + "\n\n";
  for (int section = 0; section < 4; ++section) {
    out += "## " + word() + " " + word() + "\n\n";
    for (int i = 0; i < 5; ++i) out += sentence(8 + static_cast<int>(random() % 10));
    out += "\n\n";
    if (section == 1)
      for (int i = 0; i < 4; ++i) out += "- " + sentence(6) + "\n";
    if (section == 2) {
      out += "| name | value |\n| --- | --- |\n";
      for (int i = 0; i < 4; ++i) out += "| " + word() + " | " + std::to_string(random() % 1000) + " |\n";
    }
    out += "\n";
  }
  return out;
}

double Seconds(Steady::time_point since) { return std::chrono::duration<double>(Steady::now() - since).count(); }

}  // namespace

int main(int argc, char** argv) {
  const int files = argc > 1 ? std::atoi(argv[1]) : 10'000;
  const TemporaryFolder temporary;
  const auto root = argc > 2 ? std::filesystem::path(argv[2]) : temporary.path() / "files";
  std::mt19937 random(3);
  std::uint64_t bytes = 0;
  for (int i = 0; i < files; ++i) {
    const auto folder = root / std::to_string(i / 100);
    std::filesystem::create_directories(folder);
    const auto text = MakeMarkdown(random);
    bytes += text.size();
    std::ofstream(folder / (std::to_string(i) + ".md"), std::ios::binary) << text;
  }
  std::printf("%d files, %.1f KB each\n", files, static_cast<double>(bytes) / files / 1024);
  auto tables = retrieval::IngestTables();
  for (auto& table : workflows::Runs::Tables()) tables.push_back(std::move(table));
  TableEmbedder embedder;
  retrieval::ChunkIndex index(embedder.dim());
  const auto store = data::OpenSqliteStore((temporary.path() / "store.db").string(), tables);
  store->Follow(index);
  const auto objects = data::OpenFileObjectStore(temporary.path() / "objects");
  retrieval::Originals originals(*store, *objects);
  workflows::Runs runs(*store, SystemClock(), {.threads = 1});
  retrieval::IngestOptions options;
  options.open_source = [](std::string_view url) { return data::OpenFolderSource(url.substr(7), {}); };
  options.parse = [](const Context& ctx, std::string_view text, std::string_view media_type) { return data::ParseBytes(ctx, text, media_type); };
  const auto shared = std::shared_ptr<models::Embedder>(&embedder, [](models::Embedder*) {});
  options.live = [shared] { return retrieval::GenerationTools{retrieval::kFirstGeneration, shared, {}, retrieval::EstimateTokens}; };
  options.originals = &originals;
  runs.Register("ingest", retrieval::MakeIngest(*store, options));
  runs.Resume();
  const auto ctx = Context::System("bench");
  const auto sync = [&](const char* what) {
    const auto cpu = [] {
      rusage used{};
      ::getrusage(RUSAGE_SELF, &used);
      return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    };
    const auto cpu_before = cpu();
    const auto begun = Steady::now();
    const auto run = runs.Await(ctx, runs.Start(ctx, {"ingest", ToJson(retrieval::IngestRequest{.url = "folder:" + root.string(), .label = "public"}), ""}));
    if (run.state != workflows::RunState::kFinished) return std::printf("%s: %s\n", what, run.error.c_str()), void();
    const auto seconds = Seconds(begun);
    const auto report = FromJson<retrieval::IngestReport>(run.output);
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    std::printf("%-28s %8.2f s %8.0f documents/s   %lld added, %lld changed, %lld unchanged, %lld chunks; %.1f s of CPU, peak memory %ld MB\n", what, seconds, files / seconds,
                static_cast<long long>(report.added), static_cast<long long>(report.changed), static_cast<long long>(report.unchanged),
                static_cast<long long>(report.chunks), cpu() - cpu_before, usage.ru_maxrss / 1024);
  };
  std::this_thread::sleep_for(std::chrono::seconds(4));  // the files rest: their times tell them apart
  sync("first sync");
  sync("nothing new");
  for (int i = 0; i < files; i += 100) std::ofstream(root / std::to_string(i / 100) / (std::to_string(i) + ".md"), std::ios::app) << "One more line.\n";
  sync("one in a hundred changed");
  return 0;
}
