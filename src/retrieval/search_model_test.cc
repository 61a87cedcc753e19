// Random adds, edits, removals, relabellings and metadata, a process that is killed in the middle of them, and after each commit and each kill: what every reader finds
// equals what a brute-force model of the acknowledged writes gives. TENFOLD_OPERATIONS says how many (a million takes some minutes: see docs/performance.md).
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "base/files.h"
#include "retrieval/chunk_index.h"
#include "retrieval/tokenize.h"

namespace tenfold::retrieval {
namespace {

constexpr std::size_t kDim = 8;

/// How many batches the store holds.
struct BatchCount {
  std::string id;
  std::int64_t batches = 0;
};
TENFOLD_DESCRIBE(BatchCount, (id), (batches))
TENFOLD_TABLE(BatchCount, "batch_counts", id, {})

struct Operation {
  enum class Kind { kPut, kDelete, kRelabel, kDescribe } kind;
  Document document;
  std::vector<Chunk> chunks;
};
using Batch = std::vector<Operation>;

/// The same batches for the same seed, in this process and in its child.
class Script {
 public:
  explicit Script(unsigned seed) : random_(seed) {}
  Batch Next() {
    Batch batch;
    for (auto n = 1 + Below(20); n > 0; --n) {
      Operation one;
      one.kind = std::array{Operation::Kind::kPut, Operation::Kind::kPut, Operation::Kind::kDelete, Operation::Kind::kRelabel, Operation::Kind::kDescribe}[Below(5)];
      one.document.id = "d" + std::to_string(Below(120));
      one.document.source = "s";
      one.document.title = Words(2);
      static const char* const kLabels[] = {"public", "internal", "group:hr,group:it", "user:ana", "user:ana,user:bob", "", "public,internal"};
      one.document.label = kLabels[Below(std::size(kLabels))];
      one.document.metadata = {{"year", static_cast<std::int64_t>(2000 + Below(10))}, {"kind", Below(2) ? "guide" : "note"}};
      if (one.kind == Operation::Kind::kPut)
        for (auto c = 1 + Below(3); c > 0; --c) {
          Chunk chunk;
          chunk.id = one.document.id + "/" + std::to_string(++made_);
          chunk.document = one.document.id;
          chunk.text = Words(3 + Below(8));
          if (Below(8)) chunk.embedding = Vector();
          one.chunks.push_back(std::move(chunk));
        }
      batch.push_back(std::move(one));
    }
    return batch;
  }

 private:
  std::size_t Below(std::size_t n) { return random_() % n; }
  std::string Words(std::size_t n) {
    std::string out;
    for (; n > 0; --n) out += "word" + std::to_string(Below(40)) + " ";
    return out;
  }
  std::vector<float> Vector() {
    std::vector<float> out(kDim);
    float squares = 0;
    for (auto& x : out) {
      x = static_cast<float>(Below(2001)) / 1000 - 1;
      squares += x * x;
    }
    for (auto& x : out) x /= std::sqrt(squares + 1e-12f);
    return out;
  }
  std::mt19937 random_;
  std::size_t made_ = 0;
};

/// What the store must hold.
class Model {
 public:
  void Apply(const Batch& batch) {
    for (const auto& one : batch) {
      const auto& id = one.document.id;
      const auto held = documents_.find(id);
      if (one.kind == Operation::Kind::kPut) documents_.insert_or_assign(id, Held{one.document, one.chunks});
      else if (held == documents_.end()) continue;
      else if (one.kind == Operation::Kind::kDelete) documents_.erase(held);
      else if (one.kind == Operation::Kind::kRelabel) held->second.document.label = one.document.label;
      else held->second.document.metadata = one.document.metadata;
    }
  }
  /// The same as rows of a store.
  void Write(data::WriteTx& tx, const Batch& batch) const {
    auto next = *this;
    for (const auto& one : batch) {
      const auto held = next.documents_.find(one.document.id);
      const bool is_held = held != next.documents_.end();
      if (one.kind == Operation::Kind::kPut) {
        if (is_held)
          for (const auto& chunk : held->second.chunks) tx.Delete<Chunk>(chunk.id);
        tx.Put(one.document);
        for (const auto& chunk : one.chunks) tx.Put(chunk);
      } else if (is_held && one.kind == Operation::Kind::kDelete) {
        tx.Delete<Document>(one.document.id);
      } else if (is_held) {
        auto document = held->second.document;
        if (one.kind == Operation::Kind::kRelabel) document.label = one.document.label;
        else document.metadata = one.document.metadata;
        tx.Put(document);
      }
      next.Apply({one});
    }
  }
  /// Chunk to BM25 (text) or cosine (vector) of all that `reader` may find and `filter` lets through.
  std::map<std::string, double> Find(const Principal& reader, std::string_view text, std::span<const float> vector, const Filter& filter) const {
    std::map<std::string, double> out;
    std::map<std::string, std::map<std::string, int>> counts;
    std::map<std::string, int> lengths;
    double total = 0;
    if (!text.empty())
      for (const auto& [id, held] : documents_)
        for (const auto& chunk : held.chunks) {
          auto& of_chunk = counts[chunk.id];
          for (const auto& word : Tokenize(held.document.title + "\n" + chunk.heading + "\n" + chunk.text)) {
            ++of_chunk[word];
            ++lengths[chunk.id];
          }
          total += lengths[chunk.id];
        }
    const double n = static_cast<double>(counts.size());
    for (const auto& [id, held] : documents_) {
      if (!reader.MayRead(held.document.label) || !filter.Matches(SearchedMetadata(held.document))) continue;
      for (const auto& chunk : held.chunks) {
        if (text.empty()) {
          double dot = 0;
          for (std::size_t d = 0; d < chunk.embedding.size(); ++d) dot += static_cast<double>(chunk.embedding[d]) * static_cast<double>(vector[d]);
          if (!chunk.embedding.empty()) out[chunk.id] = dot;
          continue;
        }
        double score = 0;
        for (const auto& word : Tokenize(text)) {
          double matching = 0;
          for (const auto& [other, words] : counts) matching += words.contains(word);
          const auto found = counts[chunk.id].find(word);
          if (found == counts[chunk.id].end()) continue;
          score += std::log(1 + (n - matching + 0.5) / (matching + 0.5)) * found->second / (found->second + kK1 * (1 - kB + kB * lengths[chunk.id] / (total / n)));
        }
        if (score > 0) out[chunk.id] = score;
      }
    }
    return out;
  }
  std::size_t documents() const { return documents_.size(); }

 private:
  static constexpr double kK1 = 1.2, kB = 0.75;
  struct Held {
    Document document;
    std::vector<Chunk> chunks;
  };
  std::map<std::string, Held> documents_;
};

std::vector<Principal> Readers() {
  std::vector<Principal> out;
  for (const auto& [user, labels] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"", {}}, {"ana", {"public"}}, {"bob", {"public", "internal"}}, {"eve", {"group:it"}}, {"mallory", {"user:"}}, {"root", {"*"}}, {"", {"public", "group:hr"}}}) {
    auto& one = out.emplace_back();
    one.user = user;
    one.labels = labels;
  }
  return out;
}

/// Empty, or what differs.
std::string Difference(const ChunkIndex& index, const Model& model, const Principal& reader, std::mt19937& random) {
  IndexQuery query{.k = 10'000};
  if (random() % 2) {
    query.text = "word" + std::to_string(random() % 44) + " word" + std::to_string(random() % 44);
  } else {
    for (std::size_t d = 0; d < kDim; ++d) query.vector.push_back(d == random() % kDim ? 1.0f : 0.1f);
    float squares = 0;
    for (const float x : query.vector) squares += x * x;
    for (auto& x : query.vector) x /= std::sqrt(squares);
  }
  if (random() % 3 == 0) query.filter = ParseFilter(JsonObject{{"year", JsonObject{{"$gte", 2004}}}, {"kind", JsonObject{{"$ne", "note"}}}});
  const auto expected = model.Find(reader, query.text, query.vector, query.filter);
  const auto found = index.Search(reader, query);
  std::map<std::string, double> scores;
  for (const auto& hit : found.hits) scores[hit.id] = hit.score;
  const auto said = "reader '" + reader.user + "', text '" + query.text + "': ";
  for (const auto& [id, score] : scores) {
    const auto right = expected.find(id);
    if (right == expected.end()) return said + id + " was found and must not be";
    if (std::abs(right->second - score) > 2e-4) return said + id + " scores " + std::to_string(score) + ", not " + std::to_string(right->second);
  }
  for (const auto& [id, score] : expected)
    if (!scores.contains(id)) return said + id + " was not found";
  for (std::size_t i = 1; i < found.hits.size(); ++i)
    if (found.hits[i - 1].score < found.hits[i].score) return said + "out of order";
  return {};
}

std::unique_ptr<data::Store> OpenStore(const std::filesystem::path& folder) {
  return data::OpenSqliteStore((folder / "store.db").string(), {data::TableOf<Document>(), data::TableOf<Chunk>(), data::TableOf<BatchCount>()});
}

std::int64_t BatchesIn(data::Store& store) {
  return store.Read(Context::System("test"), [](data::ReadTx& tx) {
    const auto row = tx.Get<BatchCount>("all");
    return row ? row->batches : 0;
  });
}

/// The child: one batch a commit, each said on `acknowledged`, each followed by a search. Never returns.
[[noreturn]] void WriteUntilKilled(const std::filesystem::path& folder, Script script, Model model, std::int64_t at, int acknowledged) {
  const auto ctx = Context::System("test");
  SnapshotKeeper keeper(folder / "index", {std::chrono::hours(24), std::chrono::hours(24)});
  ChunkIndex index(kDim, kFirstGeneration, Language::kEnglish, keeper.Open(kFirstGeneration));
  const auto store = OpenStore(folder);
  store->Follow(index);
  std::mt19937 random(static_cast<unsigned>(at));
  const auto readers = Readers();
  for (;;) {
    const auto batch = script.Next();
    store->Write(ctx, [&](data::WriteTx& tx) {
      model.Write(tx, batch);
      tx.Put(BatchCount{"all", at + 1});
    });
    model.Apply(batch);
    ++at;
    const auto difference = Difference(index, model, readers[random() % readers.size()], random);
    if (!difference.empty()) {
      std::fprintf(stderr, "batch %lld: %s\n", static_cast<long long>(at), difference.c_str());
      ::_exit(3);
    }
    if (at % 4 == 0) keeper.WriteNow();  // so that kills meet snapshots that are written, forgotten and in the making
    if (::write(acknowledged, &at, sizeof at) != sizeof at) ::_exit(4);
  }
}

TEST(Search, EqualsABruteForceModelThroughChangesAndKills) {
  const char* asked = std::getenv("TENFOLD_OPERATIONS");
  const std::int64_t operations = asked ? std::atoll(asked) : 20'000;
  constexpr unsigned kSeed = 20261126;
  constexpr std::int64_t kOperationsPerBatch = 10;  // on average 10.5
  const TemporaryFolder folder;
  std::mt19937 random(kSeed);
  Script script(kSeed);
  Model model;
  std::int64_t replayed = 0, kills = 0, acknowledged = 0, restored = 0;
  // Longer, where no kill happened to come after a snapshot.
  while (replayed * kOperationsPerBatch < operations || (restored == 0 && replayed * kOperationsPerBatch < 8 * operations)) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(ends[0]);
      WriteUntilKilled(folder.path(), script, model, replayed, ends[1]);
    }
    ::close(ends[1]);
    // Killed at some moment of the batch after these.
    const auto until = replayed + 1 + static_cast<std::int64_t>(random() % 400);
    std::int64_t last = replayed;
    while (last < until && ::read(ends[0], &last, sizeof last) == sizeof last) acknowledged = last;
    ::usleep(random() % 1500);
    ::kill(child, SIGKILL);
    while (::read(ends[0], &last, sizeof last) == sizeof last) acknowledged = last;
    ::close(ends[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "the writer ended by itself with status " << WEXITSTATUS(status);
    ++kills;
    SnapshotKeeper keeper(folder.path() / "index", {std::chrono::hours(24), std::chrono::hours(24)});
    const auto snapshot = keeper.Open(kFirstGeneration);
    ChunkIndex index(kDim, kFirstGeneration, Language::kEnglish, snapshot);
    const bool has_snapshot = std::filesystem::exists(folder.path() / "index" / "g1.index");
    const auto store = OpenStore(folder.path());
    store->Follow(index);
    restored += has_snapshot;
    if (has_snapshot && index.commit() != store->commit()) ADD_FAILURE() << "a snapshot was not caught up with";
    const auto held = BatchesIn(*store);
    ASSERT_GE(held, acknowledged) << "an acknowledged write is lost";
    ASSERT_LE(held, acknowledged + 1);
    for (; replayed < held; ++replayed) model.Apply(script.Next());
    for (const auto& reader : Readers())
      for (int i = 0; i < 4; ++i) ASSERT_EQ(Difference(index, model, reader, random), "");
  }
  EXPECT_GT(kills, operations / 4000);
  EXPECT_GT(restored, 0) << "no kill left a snapshot to go on from";
  EXPECT_GT(model.documents(), 20u);
  if (asked) std::printf("%lld operations in %lld commits, %lld kills\n", static_cast<long long>(replayed * kOperationsPerBatch), static_cast<long long>(replayed), static_cast<long long>(kills));
}

}  // namespace
}  // namespace tenfold::retrieval
