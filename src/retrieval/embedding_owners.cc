#include "retrieval/embedding_owners.h"

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/log.h"

namespace tenfold::retrieval {
namespace {

/// As `documents`, without the text.
struct DocumentVersion {
  std::string id;
  std::int64_t version = 0;
};
TENFOLD_DESCRIBE(DocumentVersion, (id), (version))
TENFOLD_TABLE(DocumentVersion, "documents", id)

constexpr std::size_t kPage = 10'000;

/// A follower must not fail: what could not be overwritten is told, and tried again when the program starts.
template <class Work>
void Try(Work&& work) {
  try {
    work();
  } catch (const Error& e) {
    Log(LogLevel::kError, "embeddings of removed documents could not be overwritten", {{"error", e.message()}});
  }
}

}  // namespace

models::TextOwner OwnerOf(const std::string& document, std::int64_t version) {
  return {models::EmbeddingCache::OwnerOf(document), static_cast<std::uint32_t>(version)};
}

void ForgetUnowned(data::ReadTx& tx, models::EmbeddingCache& cache) {
  if (cache.empty()) return;
  std::unordered_map<std::uint64_t, std::uint32_t> versions;
  data::Query page{{{"id", data::Compare::kGreater, data::Value(std::string())}}, "id", false, kPage};
  for (;;) {
    const auto rows = tx.Find<DocumentVersion>(page);
    for (const auto& row : rows) {
      const auto owner = OwnerOf(row.id, row.version);
      versions[owner.id] = owner.version;
    }
    if (rows.size() < kPage) break;
    page.where.front().value = data::Value(rows.back().id);
  }
  cache.KeepOnly([&](std::uint64_t owner) {
    const auto found = versions.find(owner);
    return found == versions.end() ? 0 : found->second;
  });
}

void EmbeddingOwners::Load(data::ReadTx& tx) {
  Try([&] { ForgetUnowned(tx, cache_); });
}

void EmbeddingOwners::Apply(std::span<const data::Change> changes, data::ReadTx& tx) {
  std::unordered_set<std::string> changed;
  for (const auto& change : changes)
    if (change.table == "documents") changed.insert(change.key);
  if (changed.empty() || cache_.empty()) return;
  std::vector<models::TextOwner> older;
  for (const auto& id : changed) {
    const auto row = tx.Get<DocumentVersion>(id);
    older.push_back(row ? OwnerOf(id, row->version) : OwnerOf(id, 0));
  }
  Try([&] { cache_.Forget(older); });
}

}  // namespace tenfold::retrieval
