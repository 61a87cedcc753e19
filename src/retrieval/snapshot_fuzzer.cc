// What lies behind the checksums of a snapshot, which are always right here: any bytes are a part of an index or refused, and what is one is saved to the same bytes again and again. The first byte
// chooses the part, and whether the rest is one or says what is changed in one that was saved.
#include <cstdlib>
#include <cstring>
#include <random>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "retrieval/collections.h"
#include "retrieval/index_shard.h"

namespace {

using namespace tenfold;
using namespace tenfold::retrieval;
namespace fs = std::filesystem;

constexpr std::uint32_t kDim = 8;

const fs::path& Folder() {
  static const TemporaryFolder folder;
  return folder.path();
}

/// A snapshot of one section that `put` writes. Its name is free again when it goes.
class OneSection {
 public:
  template <class F>
  OneSection(const char* name, F&& put) : writer_(Folder() / name) {
    writer_.Begin();
    put(writer_);
    writer_.Finish({});
    file_.emplace(Folder() / name, 0);
  }
  SnapshotReader Open() const { return file_->Section(0); }
  std::string bytes() const { return BytesOf(*file_); }
  static std::string BytesOf(const SnapshotFile& file) {
    auto from = file.Section(0);
    std::string out(from.left(), '\0');
    from.Read(out.data(), out.size());
    from.Finish();
    return out;
  }

 private:
  SnapshotWriter writer_;
  std::optional<SnapshotFile> file_;
};

IndexRecord MakeRecord(int number) {
  std::mt19937 random(static_cast<unsigned>(number));
  IndexRecord out{.id = "id" + std::to_string(number), .group = number % 3 ? "group" + std::to_string(number / 4) : "", .access = number % 2 ? "public" : "staff,user:a@example.com", .text = "common words and word" + std::to_string(number % 50)};
  if (number % 7)
    for (std::uint32_t i = 0; i < kDim; ++i) out.vector.push_back(static_cast<float>(random() % 2000) - 999.5f);
  out.metadata = {{"year", number % 20}, {"open", number % 2 == 0}, {"tags", JsonArray{"a" + std::to_string(number % 5), "b"}}, {"none", JsonArray{}}, {"at", JsonObject{{"lat", number % 90}, {"lon", 7.5}}}};
  return out;
}

IndexShard NewShard() { return IndexShard(kDim, Metric::kCosine); }

std::string SavedPart(IndexShard::Part part, int records) {
  auto shard = NewShard();
  for (int i = 0; i < records; ++i) shard.Put(MakeRecord(i));
  for (int i = 0; i < records; i += 9) shard.Remove("id" + std::to_string(i));
  return OneSection("made", [&](SnapshotWriter& to) { shard.Save(part, to); }).bytes();
}

/// Collections read themselves from a file that their keeper knows.
class Tenants : public data::History {
 public:
  Tenants() : keeper_(Folder() / "index", {std::chrono::hours(24), std::chrono::hours(24)}), store_(data::OpenSqliteStore((Folder() / "store.db").string(), Collections::Tables())), collections_(*store_, &keeper_) {
    SetLogLevel(LogLevel::kError);
    store_->Follow(collections_);
    for (const char* name : {"one", "two"}) {
      collections_.Create(ctx_, {.name = name, .dim = kDim});
      std::vector<IndexChange> changes;
      for (int i = 0; i < 12; ++i) changes.push_back({IndexChange::Kind::kPut, MakeRecord(i)});
      for (const char* space : {"", "tenant"}) collections_.Open(ctx_, name)->Write(ctx_, space, changes);
    }
    keeper_.WriteNow();
    saved_ = OneSection::BytesOf(SnapshotFile(File(), WhatOf("collections")));
  }
  ~Tenants() override { store_.reset(); }
  const std::string& saved() const { return saved_; }
  void Restore(std::string_view section) {
    {
      SnapshotWriter writer(Folder() / "index" / "next");
      writer.Begin();
      writer.Write(section.data(), section.size());
      writer.Finish({WhatOf("collections"), 1, 1});
      writer.MoveTo(File());
    }
    store_->Read(ctx_, [&](data::ReadTx& tx) { collections_.Restore(*this, tx); });
  }

 private:
  static fs::path File() { return Folder() / "index" / "collections.index"; }
  std::uint64_t epoch() const override { return 1; }
  bool Holds(data::Commit, std::uint64_t) override { return true; }

  const Context ctx_ = Context::System("fuzz");
  SnapshotKeeper keeper_;
  std::unique_ptr<data::Store> store_;
  Collections collections_;
  std::string saved_;
};

/// Positions and what stands there instead.
std::string Changed(std::string section, std::string_view changes) {
  struct Change {
    std::uint32_t at;
    std::uint8_t size, bytes[8];
  } __attribute__((packed));
  for (; changes.size() >= sizeof(Change); changes.remove_prefix(sizeof(Change))) {
    Change one;
    std::memcpy(&one, changes.data(), sizeof one);
    const auto at = one.at % section.size();
    std::memcpy(section.data() + at, one.bytes, std::min<std::size_t>(one.size % 8 + 1, section.size() - at));
  }
  return section;
}

/// Nothing if it is refused.
std::optional<std::string> SavedAgain(IndexShard::Part part, std::string_view section) {
  const OneSection given("given", [&](SnapshotWriter& to) { to.Write(section.data(), section.size()); });
  auto shard = NewShard();
  try {
    auto from = given.Open();
    shard.Restore(part, from);
    from.Finish();
  } catch (const Error& e) {
    if (e.code() != Code::kDataLoss) std::abort();
    return std::nullopt;
  }
  return OneSection("again", [&](SnapshotWriter& to) { shard.Save(part, to); }).bytes();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto number = data[0] % 4;
  const bool is_large = data[0] & 4, is_change = data[0] & 8;
  if (number == 3) {
    static Tenants tenants;
    tenants.Restore(is_change ? Changed(tenants.saved(), rest) : std::string(rest));
    return 0;
  }
  const auto part = IndexShard::kParts[number];
  static const std::string saved[3][2] = {{SavedPart(IndexShard::kParts[0], 10), SavedPart(IndexShard::kParts[0], 500)}, {SavedPart(IndexShard::kParts[1], 10), SavedPart(IndexShard::kParts[1], 500)}, {SavedPart(IndexShard::kParts[2], 10), SavedPart(IndexShard::kParts[2], 500)}};
  const auto once = SavedAgain(part, is_change ? Changed(saved[number][is_large], rest) : std::string(rest));
  if (once && SavedAgain(part, *once) != once) std::abort();
  return 0;
}
