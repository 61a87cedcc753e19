#include "retrieval/index_delivery.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/log.h"
#include "retrieval/generations.h"

namespace tenfold::retrieval {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kFeedPage = 1000, kPage = 200;
// The cursor is also written when so many commits spoke of other things, lest the feed be trimmed past it.
constexpr data::Commit kMostUnsaved = 1024;
constexpr auto kFirstPause = 250ms, kLongestPause = std::chrono::milliseconds(30s);

/// As `chunks`, without what is large.
struct PassageKey {
  std::string id;
  std::string document;
  std::string generation;
};
TENFOLD_DESCRIBE(PassageKey, (id), (document), (generation))
TENFOLD_TABLE(PassageKey, "chunks", id)

bool IsOf(std::string_view generation, const std::string& id) { return (generation.empty() ? kFirstGeneration : generation) == id; }

}  // namespace

IndexDelivery::IndexDelivery(data::Store& store, Parts parts) : store_(store), parts_(std::move(parts)) {}

IndexDelivery::~IndexDelivery() { Stop(); }

void IndexDelivery::Start() {
  thread_ = std::thread([this] { Work(); });
}

void IndexDelivery::Stop(std::chrono::milliseconds drain) {
  if (!thread_.joinable()) return;
  {
    std::unique_lock lock(mutex_);
    if (drain.count() > 0) woken_.wait_for(lock, drain, [&] { return is_idle_ && !has_news_; });
    stopping_ = true;
  }
  cancellation_->Cancel();
  woken_.notify_all();
  thread_.join();
}

void IndexDelivery::Apply(std::span<const data::Change> changes, data::ReadTx&) {
  if (!ConcernsPassages(changes) && std::none_of(changes.begin(), changes.end(), [](const data::Change& change) { return change.table == "generations"; })) return;
  const std::lock_guard lock(mutex_);
  has_news_ = true;
  woken_.notify_all();
}

Context IndexDelivery::OneCall() const { return Context::System("index-delivery").WithCancellation(cancellation_).WithTimeout(60s); }

void IndexDelivery::Work() {
  for (;;) {
    auto next = std::chrono::steady_clock::time_point::max();
    const auto attempt = [&](const std::string& what, const std::function<bool()>& work) {
      auto& retry = retries_[what];
      if (std::chrono::steady_clock::now() >= retry.at) {
        if (work()) {
          retries_.erase(what);
          return;
        }
        retry.pause = retry.pause.count() ? std::min<std::chrono::milliseconds>(2 * retry.pause, kLongestPause) : kFirstPause;
        retry.at = std::chrono::steady_clock::now() + retry.pause;
      }
      next = std::min(next, retry.at);
    };
    for (const auto& engine : parts_.engines()) attempt(engine->options().generation, [&] { return Deliver(*engine); });
    attempt("removed", [&] { return TakeAwayRemoved(); });
    std::unique_lock lock(mutex_);
    is_idle_ = true;
    woken_.notify_all();
    const auto is_woken = [&] { return has_news_ || stopping_; };
    if (next == std::chrono::steady_clock::time_point::max()) woken_.wait(lock, is_woken);
    else woken_.wait_until(lock, next, is_woken);
    if (stopping_) return;
    has_news_ = is_idle_ = false;
  }
}

bool IndexDelivery::Deliver(EngineIndex& engine) {
  const auto& generation = engine.options().generation;
  try {
    const auto index = engine.Engine(OneCall());
    auto& cursor = CursorOf(engine);
    bool has_sent = false;
    while (SendPart(engine, *index, cursor)) has_sent = true;
    engine.SetRefused(cursor.refused);
    if (!engine.problem().empty() && engine.problem() != "behind") Log(LogLevel::kInfo, "the search index takes what it is given", {{"generation", generation}, {"index", engine.options().url}});
    engine.SetProblem("");
    if (has_sent || engine.chunks() == 0)
      for (const auto& one : index->Namespaces(OneCall()))
        if (one.name == engine.options().name_space) engine.SetChunks(static_cast<std::size_t>(one.records));
    return true;
  } catch (const Error& e) {
    if (e.code() == Code::kCancelled) return true;
    if (engine.problem() != e.message()) Log(LogLevel::kWarning, "the search index does not take what was written; it is tried again", {{"generation", generation}, {"index", engine.options().url}, {"error", e.message()}});
    engine.SetProblem(e.message());
    // What part of it was taken is not known: from what was last written down it is sent again.
    cursors_.erase(generation);
    return false;
  }
}

IndexCursor& IndexDelivery::CursorOf(const EngineIndex& engine) {
  const auto& options = engine.options();
  const auto known = cursors_.find(options.generation);
  if (known != cursors_.end() && known->second.name_space == options.name_space) return known->second;
  auto row = store_.Read(OneCall(), [&](data::ReadTx& tx) { return tx.Get<IndexCursor>(options.generation); });
  if (!row || row->name_space != options.name_space) {
    row = IndexCursor{options.generation, options.url, options.name_space, static_cast<std::int64_t>(options.dim), static_cast<std::int64_t>(store_.commit())};
    Save(*row);
  }
  saved_[options.generation] = static_cast<data::Commit>(row->commit);
  return cursors_[options.generation] = std::move(*row);
}

void IndexDelivery::Save(const IndexCursor& cursor) {
  store_.Write(OneCall(), [&](data::WriteTx& tx) { tx.Put(cursor); });
  saved_[cursor.generation] = static_cast<data::Commit>(cursor.commit);
}

bool IndexDelivery::SendPart(EngineIndex& engine, SearchIndex& index, IndexCursor& cursor) {
  OneCall().Check();
  if (!cursor.whole) return SendChanges(engine, index, cursor);
  SendPage(engine, index, cursor);
  return true;
}

bool IndexDelivery::SendChanges(EngineIndex& engine, SearchIndex& index, IndexCursor& cursor) {
  const auto newest = store_.commit();
  std::vector<data::Change> changes;
  for (auto limit = kFeedPage;; limit *= 4) {
    try {
      changes = store_.ChangesSince(OneCall(), static_cast<data::Commit>(cursor.commit), limit);
    } catch (const Error& e) {
      if (e.code() != Code::kFailedPrecondition) throw;
      cursor.whole = true;  // the feed does not reach back so far: what both hold is compared
      cursor.after.clear();
      cursor.refused = 0;
      cursor.commit = static_cast<std::int64_t>(newest);
      Save(cursor);
      return true;
    }
    if (changes.size() < limit) break;
    // Whole commits alone: the last may go on. One that is larger than the page needs a larger page.
    const auto last = changes.back().commit;
    if (changes.front().commit == last) continue;
    std::erase_if(changes, [&](const data::Change& change) { return change.commit == last; });
    break;
  }
  if (!changes.empty()) cursor.commit = static_cast<std::int64_t>(changes.back().commit);
  if (ConcernsPassages(changes)) {
    std::vector<std::string> chunks;
    std::set<std::string> named;
    store_.Read(OneCall(), [&](data::ReadTx& tx) {
      for (const auto& change : changes) {
        if (change.table == "chunks" && named.insert(change.key).second) chunks.push_back(change.key);
        if (change.table != "documents" || change.kind != data::ChangeKind::kPut) continue;
        // Its readers or metadata may be others now, which each of its passages carries.
        for (const auto& one : tx.Find<PassageKey>(data::Where("document", change.key)))
          if (named.insert(one.id).second) chunks.push_back(one.id);
      }
    });
    Send(index, cursor, chunks);
    Save(cursor);
  } else if (static_cast<data::Commit>(cursor.commit) > saved_[cursor.generation] + kMostUnsaved) {
    Save(cursor);
  }
  engine.SetDelivered(changes.empty() ? newest : static_cast<data::Commit>(cursor.commit));
  return !changes.empty();
}

void IndexDelivery::SendPage(EngineIndex& engine, SearchIndex& index, IndexCursor& cursor) {
  const auto page = store_.Read(OneCall(), [&](data::ReadTx& tx) { return tx.Find<PassageKey>({{{"id", data::Compare::kGreater, data::Value(cursor.after)}}, "", false, 5 * kPage}); });
  std::vector<std::string> wanted;
  for (const auto& one : page)
    if (IsOf(one.generation, cursor.generation)) wanted.push_back(one.id);
  // What the engine holds there and the store does not is from before the feed was trimmed.
  std::vector<IndexChange> foreign;
  for (auto after = cursor.after;;) {
    const auto ids = index.List(OneCall(), cursor.name_space, "", after, kPage);
    const auto end = page.empty() ? ids.end() : std::upper_bound(ids.begin(), ids.end(), page.back().id);
    for (auto id = ids.begin(); id != end; ++id)
      if (!std::binary_search(wanted.begin(), wanted.end(), *id)) foreign.push_back({IndexChange::Kind::kDelete, {.id = *id}});
    if (ids.size() < kPage || end != ids.end()) break;
    after = ids.back();
  }
  Send(index, cursor, wanted);
  for (std::size_t at = 0; at < foreign.size(); at += kPage) Write(index, cursor, std::span(foreign).subspan(at, std::min(kPage, foreign.size() - at)));
  cursor.whole = !page.empty();
  cursor.after = page.empty() ? "" : page.back().id;
  Save(cursor);
  if (!cursor.whole) engine.SetDelivered(static_cast<data::Commit>(cursor.commit));
}

void IndexDelivery::Send(SearchIndex& index, IndexCursor& cursor, const std::vector<std::string>& chunks) {
  struct Shared {
    std::string label, title;
    JsonObject metadata;
  };
  for (std::size_t at = 0; at < chunks.size(); at += kPage) {
    std::vector<IndexChange> changes;
    store_.Read(OneCall(), [&](data::ReadTx& tx) {
      std::unordered_map<std::string, std::optional<Shared>> documents;
      for (const auto& id : std::span(chunks).subspan(at, std::min(kPage, chunks.size() - at))) {
        auto chunk = tx.Get<Chunk>(id);
        if (chunk && !IsOf(chunk->generation, cursor.generation)) continue;
        const auto known = chunk ? documents.find(chunk->document) : documents.end();
        std::optional<Shared> shared;
        if (known != documents.end()) {
          shared = known->second;
        } else if (chunk) {
          if (const auto document = tx.Get<Document>(chunk->document)) shared = Shared{document->label, document->title, SearchedMetadata(*document)};
          documents.emplace(chunk->document, shared);
        }
        if (!shared) {
          changes.push_back({IndexChange::Kind::kDelete, {.id = id}});
          continue;
        }
        auto record = RecordOf(*chunk, shared->label, shared->title, shared->metadata);
        if (record.vector.size() != static_cast<std::size_t>(cursor.dim)) record.vector.clear();  // made by another model: found by words, as in memory
        changes.push_back({IndexChange::Kind::kPut, std::move(record)});
      }
    });
    Write(index, cursor, changes);
  }
}

void IndexDelivery::Write(SearchIndex& index, IndexCursor& cursor, std::span<const IndexChange> changes) {
  if (changes.empty()) return;
  const auto is_refusal = [](const Error& e) { return e.code() == Code::kInvalidArgument || e.code() == Code::kUnimplemented; };
  try {
    index.Write(OneCall(), cursor.name_space, changes);
    return;
  } catch (const Error& e) {
    if (!is_refusal(e)) throw;
  }
  // One of them will never be taken: the others are, one by one, and no older form of it stays.
  for (const auto& change : changes) {
    try {
      index.Write(OneCall(), cursor.name_space, {&change, 1});
    } catch (const Error& e) {
      if (!is_refusal(e)) throw;
      ++cursor.refused;
      cursor.refusal = change.record.id + ": " + e.message();
      Log(LogLevel::kError, "the search index refuses a passage: it will not be found", {{"generation", cursor.generation}, {"passage", change.record.id}, {"error", e.message()}});
      if (change.kind == IndexChange::Kind::kDelete) continue;
      const IndexChange gone{IndexChange::Kind::kDelete, {.id = change.record.id}};
      index.Write(OneCall(), cursor.name_space, {&gone, 1});
    }
  }
}

bool IndexDelivery::TakeAwayRemoved() {
  try {
    const auto removed = store_.Read(OneCall(), [](data::ReadTx& tx) {
      auto rows = tx.Find<IndexCursor>();
      std::erase_if(rows, [&](const IndexCursor& row) {
        const auto generation = tx.Get<Generation>(row.generation);
        return generation && generation->name_space == row.name_space;
      });
      return rows;
    });
    for (const auto& row : removed) {
      parts_.open(OneCall(), row.url, static_cast<std::size_t>(row.dim))->DeleteNamespace(OneCall(), row.name_space);
      store_.Write(OneCall(), [&](data::WriteTx& tx) {
        if (const auto now = tx.Get<IndexCursor>(row.generation); now && now->name_space == row.name_space) tx.Delete<IndexCursor>(row.generation);
      });
      cursors_.erase(row.generation);
    }
    return true;
  } catch (const Error& e) {
    if (e.code() == Code::kCancelled) return true;
    Log(LogLevel::kWarning, "the records of a removed generation are still in its search index; it is tried again", {{"error", e.message()}});
    return false;
  }
}

}  // namespace tenfold::retrieval
