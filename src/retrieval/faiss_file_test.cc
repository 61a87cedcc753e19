// FAISS itself (faiss-cpu, as scripts/fetch_servers installs it) writes what is read here and reads what is written here. Without it those two tests are left out and say so.
#include "retrieval/faiss_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>

#include "base/files.h"
#include "base/process.h"
#include "base/servers_testing.h"
#include "base/testing.h"
#include "retrieval/search_index_contract.h"

namespace tenfold::retrieval {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kDim = 16;

std::vector<float> RandomVectors(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(n * kDim);
  for (auto& x : out) x = normal(random);
  return out;
}

template <class T>
std::vector<T> ReadValues(const fs::path& file) {
  const auto bytes = ReadFile(file);
  std::vector<T> out(bytes.size() / sizeof(T));
  std::memcpy(out.data(), bytes.data(), out.size() * sizeof(T));
  return out;
}

/// Empty, or why FAISS is not to be had.
std::string RunFaiss(const char* what, const fs::path& folder) {
  const auto servers = FetchServers();
  if (servers.empty() || !fs::exists(servers / ".faiss-1.15.1")) return "scripts/fetch_servers cannot install faiss-cpu here";
  const auto result = RunProcess(Context::System("test").WithTimeout(std::chrono::seconds(120)), {{(servers / "bin/python").string(), TENFOLD_SOURCE_DIR "/tests/clients/faiss_files.py", what, folder.string()}, {"PATH=/usr/bin:/bin", "OMP_NUM_THREADS=1"}});
  if (result.exit_status != 0) throw Error(Code::kInternal, "faiss_files.py: " + result.errors);
  return {};
}

TEST(FaissFile, ReadsWhatFaissWrote) {
  const TemporaryFolder folder;
  if (const auto why = RunFaiss("write", folder.path()); !why.empty()) GTEST_SKIP() << why;
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    if (entry.path().extension() != ".index") continue;
    SCOPED_TRACE(entry.path().filename().string());
    ++files;
    const auto index = ReadFaissFile(ReadFile(entry.path()));
    auto file = entry.path();
    const auto ids = ReadValues<std::int64_t>(file.replace_extension(".ids"));
    const auto vectors = ReadValues<float>(file.replace_extension(".vectors"));
    EXPECT_EQ(index.dim, kDim);
    EXPECT_EQ(index.metric, file.stem().string().ends_with("ip") ? Metric::kDot : Metric::kEuclidean);
    ASSERT_EQ(index.ids.size(), ids.size());
    ASSERT_EQ(index.vectors.size(), vectors.size());
    std::map<std::int64_t, std::size_t> row_of;
    for (std::size_t i = 0; i < ids.size(); ++i) row_of[ids[i]] = i;
    const bool coded = index.kind == FaissKind::kPq || index.kind == FaissKind::kIvfPq;
    for (std::size_t i = 0; i < index.ids.size(); ++i) {
      ASSERT_TRUE(row_of.contains(index.ids[i]));
      for (std::size_t d = 0; d < kDim; ++d) ASSERT_NEAR(index.vectors[i * kDim + d], vectors[row_of[index.ids[i]] * kDim + d], coded ? 1e-5 : 0);
    }
  }
  EXPECT_EQ(files, 22u);
  EXPECT_EQ(CodeOf([&] { ReadFaissFile(ReadFile(folder.path() / "unknown.other")); }), Code::kUnimplemented);
  EXPECT_EQ(CodeOf([&] { ReadFaissFile(ReadFile(folder.path() / "metric.other")); }), Code::kUnimplemented);
  EXPECT_TRUE(ReadFaissFile(ReadFile(folder.path() / "empty.other")).ids.empty());
}

TEST(FaissFile, IsSearchedByFaissAsByBruteForce) {
  const TemporaryFolder folder;
  const auto vectors = RandomVectors(1500, 1), queries = RandomVectors(40, 2);
  const std::string query_bytes(reinterpret_cast<const char*>(queries.data()), queries.size() * sizeof(float));
  const std::vector<std::pair<const char*, FaissKind>> kinds{{"flat", FaissKind::kFlat}, {"ivf_flat", FaissKind::kIvfFlat}, {"pq", FaissKind::kPq}, {"ivf_pq", FaissKind::kIvfPq}, {"hnsw", FaissKind::kHnswFlat}};
  const std::vector<std::pair<const char*, Metric>> metrics{{"l2", Metric::kEuclidean}, {"ip", Metric::kDot}, {"cosine", Metric::kCosine}};
  for (const auto& [name, kind] : kinds)
    for (const auto& [metric_name, metric] : metrics) {
      const auto file = folder.path() / (std::string(name) + "_" + metric_name);
      WriteFileAtomically(file.string() + ".index", WriteFaissFile(vectors, kDim, {.kind = kind, .metric = metric, .links = 16}));
      WriteFileAtomically(file.string() + ".queries", query_bytes);
    }
  if (const auto why = RunFaiss("search", folder.path()); !why.empty()) GTEST_SKIP() << why;
  for (const auto& [name, kind] : kinds)
    for (const auto& [metric_name, metric] : metrics) {
      const auto file = folder.path() / (std::string(name) + "_" + metric_name);
      SCOPED_TRACE(file.filename().string());
      // What the file holds, which of codes is near what was put in.
      const auto held = ReadFaissFile(ReadFile(file.string() + ".index"));
      EXPECT_EQ(held.kind, kind);
      const bool euclidean = held.metric == Metric::kEuclidean;
      std::map<std::int64_t, const float*> of_id;
      for (std::size_t i = 0; i < held.ids.size(); ++i) of_id[held.ids[i]] = held.vectors.data() + i * kDim;
      ASSERT_EQ(of_id.size(), 1500u);
      const auto score = [&](const float* a, const float* b) {
        double sum = 0;
        for (std::size_t d = 0; d < kDim; ++d) sum += euclidean ? std::pow(static_cast<double>(a[d]) - b[d], 2) : static_cast<double>(a[d]) * b[d];
        return sum;
      };
      const auto found = ReadValues<std::int64_t>(file.string() + ".found");
      const auto scores = ReadValues<float>(file.string() + ".scores");
      ASSERT_EQ(found.size(), 400u);
      std::size_t same = 0;
      double error = 0, size = 0;
      for (std::size_t q = 0; q < 40; ++q) {
        std::vector<double> best;
        for (const auto& [id, vector] : of_id) best.push_back(score(queries.data() + q * kDim, vector));
        if (euclidean) std::sort(best.begin(), best.end());
        else std::sort(best.begin(), best.end(), std::greater<>());
        for (std::size_t i = 0; i < 10; ++i) {
          ASSERT_TRUE(of_id.contains(found[q * 10 + i]));
          // FAISS's score is that of the very vector that is read here.
          EXPECT_NEAR(scores[q * 10 + i], score(queries.data() + q * kDim, of_id[found[q * 10 + i]]), 2e-3);
          same += std::abs(scores[q * 10 + i] - best[i]) < 2e-3;
        }
      }
      // A graph is searched by approximation, everything else with all its lists.
      if (kind == FaissKind::kHnswFlat) EXPECT_GE(same, 396u);
      else EXPECT_EQ(same, 400u);
      // Codes are near what was put in: 8 bits for 4 numbers of a normal distribution leave about a tenth of the variance.
      if (metric == Metric::kCosine) continue;
      for (std::size_t i = 0; i < 1500; ++i)
        for (std::size_t d = 0; d < kDim; ++d) {
          const double was = vectors[i * kDim + d], is = of_id[static_cast<std::int64_t>(i)][d];
          error += (was - is) * (was - is);
          size += was * was;
        }
      const bool coded = kind == FaissKind::kPq || kind == FaissKind::kIvfPq;
      EXPECT_LE(error / size, coded ? 0.2 : 0);
    }
}

TEST(FaissFile, IsTheSameForTheSameVectorsAndReadsItselfBack) {
  const auto vectors = RandomVectors(300, 4);
  for (const auto kind : {FaissKind::kFlat, FaissKind::kIvfFlat, FaissKind::kPq, FaissKind::kIvfPq, FaissKind::kHnswFlat}) {
    const auto bytes = WriteFaissFile(vectors, kDim, {.kind = kind});
    EXPECT_EQ(bytes, WriteFaissFile(vectors, kDim, {.kind = kind}));
    const auto index = ReadFaissFile(bytes);
    EXPECT_EQ(index.kind, kind);
    EXPECT_EQ(index.ids.size(), 300u);
    // One vector alone is an index as well.
    EXPECT_EQ(ReadFaissFile(WriteFaissFile({vectors.begin(), vectors.begin() + kDim}, kDim, {.kind = kind})).ids.size(), 1u);
    // Cut anywhere it is refused.
    for (std::size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 400) EXPECT_EQ(CodeOf([&] { ReadFaissFile(std::string_view(bytes).substr(0, size)); }), Code::kInvalidArgument) << size;
    EXPECT_EQ(CodeOf([&] { ReadFaissFile(bytes + "x"); }), Code::kInvalidArgument);
  }
}

TEST(FaissFile, RefusesWhatCannotBe) {
  EXPECT_EQ(CodeOf([] { WriteFaissFile({}, kDim, {}); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([] { WriteFaissFile({1, 2, 3}, 2, {}); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([] { WriteFaissFile({1, NAN}, 2, {}); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([] { WriteFaissFile({0, 0}, 2, {.metric = Metric::kCosine}); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([] { WriteFaissFile({1, 2, 3}, 3, {.kind = FaissKind::kPq, .sub_vectors = 2}); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([] { ReadFaissFile("\x7f" "ELF, which is none"); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([] { ReadFaissFile("IxSQ, which is none that is read"); }), Code::kUnimplemented);
  // Two bytes of code for each vector of 16 numbers: what they stand for has a limit.
  const auto bytes = WriteFaissFile(RandomVectors(300, 4), kDim, {.kind = FaissKind::kPq, .sub_vectors = 2});
  EXPECT_EQ(CodeOf([&] { ReadFaissFile(bytes, 1000); }), Code::kResourceExhausted);
}

}  // namespace
}  // namespace tenfold::retrieval
