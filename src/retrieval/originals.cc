#include "retrieval/originals.h"

#include <mutex>

#include "data/parse.h"
#include "retrieval/chunk_index.h"

namespace tenfold::retrieval {

std::string Originals::Keep(const Context& ctx, std::string_view bytes, const std::function<void(const std::string&)>& write) {
  const std::shared_lock lock(mutex_);
  auto id = objects_.Put(ctx, bytes);
  write(id);
  return id;
}

std::string Originals::Get(const Context& ctx, std::string_view id) { return objects_.Get(ctx, id, data::kMaxDocumentBytes); }

void Originals::Forget(const Context& ctx, std::span<const std::string> ids) {
  const std::unique_lock lock(mutex_);
  for (const auto& id : ids) {
    const auto named = store_.Read(ctx, [&](data::ReadTx& tx) { return tx.Count<Document>(data::Where("content_hash", id)); });
    if (named == 0) objects_.Delete(ctx, id);
  }
}

std::int64_t Originals::Collect(const Context& ctx) {
  std::vector<std::string> ids;
  objects_.List(ctx, [&](const std::string& id, std::uint64_t) { ids.push_back(id); });
  std::int64_t removed = 0;
  for (const auto& id : ids) {
    const std::unique_lock lock(mutex_);  // one at a time: ingestion goes on in between
    const auto named = store_.Read(ctx, [&](data::ReadTx& tx) { return tx.Count<Document>(data::Where("content_hash", id)); });
    if (named == 0 && objects_.Delete(ctx, id)) ++removed;
  }
  return removed;
}

workflows::RunFunction MakeCollect(Originals& originals) {
  return [&originals](workflows::RunContext& run) -> Json { return JsonObject{{"removed", originals.Collect(run.ctx())}}; };
}

}  // namespace tenfold::retrieval
