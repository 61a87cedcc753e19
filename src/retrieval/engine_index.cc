#include "retrieval/engine_index.h"

#include <algorithm>

namespace tenfold::retrieval {
namespace {

using namespace std::chrono_literals;

// A commit is in a near engine some milliseconds after it is acknowledged; who cannot wait longer than this is told what is missing.
constexpr auto kDeliveryWait = 300ms;
constexpr auto kSearchTimeout = 10s;

/// Whether a search that failed so may be answered otherwise: the engine is away, not the question wrong.
bool IsAway(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
    case Code::kUnimplemented:
    case Code::kCancelled: return false;
    default: return true;
  }
}

}  // namespace

bool ConcernsPassages(std::span<const data::Change> changes) {
  return std::any_of(changes.begin(), changes.end(), [](const data::Change& change) { return change.table == "chunks" || change.table == "documents"; });
}

EngineIndex::EngineIndex(EngineOptions options)
    : options_(std::move(options)), words_(options_.falls_back_to_words ? std::make_unique<ChunkIndex>(0, options_.generation) : nullptr) {}

std::shared_ptr<SearchIndex> EngineIndex::Engine(const Context& ctx) const {
  {
    const std::lock_guard lock(mutex_);
    if (engine_) return engine_;
  }
  auto opened = options_.open(ctx);
  const std::lock_guard lock(mutex_);
  if (!engine_) engine_ = std::move(opened);
  return engine_;
}

bool EngineIndex::AwaitDelivery(const Context& ctx) const {
  std::unique_lock lock(mutex_);
  const auto needed = needed_;
  const auto has_all = [&] { return delivered_ >= needed; };
  if (!has_all() && problem_.empty()) changed_.wait_for(lock, kDeliveryWait, [&] { return has_all() || !problem_.empty() || ctx.done(); });
  return has_all();
}

IndexResult EngineIndex::Search(const Context& ctx, const IndexQuery& query) const {
  ctx.Check();
  CheckQuery(query, options_.dim);
  const bool has_all = AwaitDelivery(ctx);
  try {
    const auto limited = ctx.WithTimeout(kSearchTimeout);
    auto out = Engine(limited)->Search(limited, options_.name_space, query);
    if (!has_all) out.notice = "the search index " + options_.url + " has not got the newest changes yet";
    return out;
  } catch (const Error& e) {
    ctx.Check();
    if (!IsAway(e.code())) throw;
    if (!words_ || query.text.empty())
      throw Error(Code::kUnavailable, "the search index " + options_.url + " does not answer: " + e.message() + (words_ ? "" : "; with 'retrieval.index_fallback: words' words alone would be searched meanwhile"));
    return SearchWords(ctx, query, e.message());
  }
}

IndexResult EngineIndex::SearchWords(const Context& ctx, IndexQuery query, const std::string& why) const {
  query.vector.clear();
  auto out = words_->Search(ctx, query);
  // On the scale of a fused list, as who asked with a vector expects.
  if (const float best = out.hits.empty() ? 0 : out.hits.front().score; best > 0)
    for (auto& hit : out.hits) hit.score /= best;
  out.notice = "found by words alone: the search index " + options_.url + " does not answer: " + why;
  return out;
}

data::Commit EngineIndex::commit() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

std::size_t EngineIndex::chunks() const { return words_ ? words_->chunks() : chunks_.load(); }

std::string EngineIndex::problem() const {
  const std::lock_guard lock(mutex_);
  return !problem_.empty() ? problem_ : delivered_ < needed_ ? "behind" : "";
}

void EngineIndex::Load(data::ReadTx& tx) {
  if (words_) words_->Load(tx);
  const std::lock_guard lock(mutex_);
  seen_ = needed_ = tx.commit();
}

void EngineIndex::Apply(std::span<const data::Change> changes, data::ReadTx& tx) {
  if (words_) words_->Apply(changes, tx);
  const std::lock_guard lock(mutex_);
  seen_ = tx.commit();
  // A new one is filled from the start: until then it lacks all.
  if (needed_ == 0 || ConcernsPassages(changes)) needed_ = seen_;
}

void EngineIndex::SetDelivered(data::Commit commit) {
  const std::lock_guard lock(mutex_);
  delivered_ = commit;
  changed_.notify_all();
}

void EngineIndex::SetProblem(const std::string& problem) {
  const std::lock_guard lock(mutex_);
  problem_ = problem;
  changed_.notify_all();
}

}  // namespace tenfold::retrieval
