// How a source is read, in one picture:
//
//   list pages (≤ 2 s ahead) ── unchanged ─────────────────────────── counted
//        │                  ├── other label, gone ── one commit, before anything is read
//        │                  └── new, changed ── read ── parse, chunk (pool) ── embed ── originals ── commit
//        └ the page's token is stored with the last commit of what it listed
//
// Four batches are on their way at once: one is being filled, one parsed, one written, and one that is durable is being taken in by the index.
// sync_listing.cc lists and settles what needs no reading, sync_batches.cc reads, parses, embeds and commits; here is the run that calls both.
#include "retrieval/sync.h"

#include <algorithm>
#include <cstring>

#include "base/crypto.h"
#include "base/log.h"
#include "retrieval/embedding_owners.h"
#include "retrieval/sync_batch.h"

namespace tenfold::retrieval {
namespace {

using namespace std::chrono_literals;

// A listing that was cut short goes on from its page only so long: what moved to a page before it meanwhile would be taken for removed.
constexpr auto kListingStaysGood = 1h;
constexpr std::size_t kMaxReported = 100;
constexpr std::size_t kMaxPlanned = 1000;

struct ProblemId {
  std::string id;
};
TENFOLD_DESCRIBE(ProblemId, (id))
TENFOLD_TABLE(ProblemId, "source_problems", id)

}  // namespace

std::string AsUtf8(std::string text) {
  if (IsUtf8(text)) return text;
  for (auto& c : text)
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  return text;
}

Sync::Sync(data::Store& store, const IngestOptions& options, workflows::RunContext& run)
    : store_(store),
      options_(options),
      run_(run),
      ctx_(run.ctx()),
      system_(Context::System("ingest")),
      request_(FromJson<IngestRequest>(run.input(), Unknown::kIgnore)) {
  const auto now = ctx_.clock().Now();
  rest_at_ = now + std::min<TimePoint::duration>(options.rest_after, (ctx_.deadline() - now) / 2);
}

Sync::~Sync() = default;

void Sync::ForgetUncommitted() noexcept {
  committing_.clear();  // waits for them
  try {
    if (const auto tools = ToolsNow(); tools->cache) store_.Read(system_, [&](data::ReadTx& tx) { ForgetUnowned(tx, *tools->cache); });
  } catch (const std::exception& e) {
    Log(LogLevel::kError, "embeddings of a run that failed are forgotten with the next start only", {{"error", e.what()}});
  }
}

IngestReport Sync::Run() {
  source_ = options_.open_source(request_.url);
  source_id_ = SourceIdOf(source_->url());
  struct Guard {
    Sync& sync;
    bool armed = true;
    ~Guard() {
      if (armed) sync.ForgetUncommitted();
    }
  } guard{*this};
  try {
    auto report = RunUnguarded();
    guard.armed = false;
    return report;
  } catch (const Error& e) {
    if (request_.dry_run || (e.code() == Code::kCancelled && ctx_.done())) throw;
    Log(LogLevel::kWarning, "a source was not read to its end", {{"source", source_->url()}, {"error", e.message()}});
    try {
      store_.Write(system_, [&](data::WriteTx& tx) {
        auto row = tx.Get<Source>(source_id_);
        if (!row || row->last_run != run_.id()) return;
        // Nobody keeps a source that was never there.
        if (made_source_ && row->scanned_us == 0 && tx.Count<Document>(data::Where("source", source_id_)) == 0) {
          tx.Delete<Source>(source_id_);
          return;
        }
        row->error = AsUtf8(e.message());
        tx.Put(*row);
      });
    } catch (const Error&) {  // a full disk, say: the first error is the one to tell
    }
    throw;
  }
}

IngestReport Sync::RunUnguarded() {
  Begin();
  do {
    ListStretch();
    if (listed_all_ && state_.from.empty()) FindAbsent();
    if (!request_.dry_run) {
      CommitListed();
      WorkOff();
      if (!listed_all_) RestIfLate();
    } else {
      pending_.clear();
      pending_at_.clear();
    }
    Tell("");
  } while (!listed_all_);
  if (!request_.dry_run) Finish();
  return report_;
}

void Sync::Begin() {
  report_.source = source_id_;
  report_.dry_run = request_.dry_run;
  const auto now = ToMicros(ctx_.clock().Now());
  const auto begin = [&](data::ReadTx& tx, Source& row) {
    if (const auto old = tx.Get<Source>(source_id_)) row = *old;
    else made_source_ = true;
    row.id = source_id_;
    row.url = source_->url();
    if (row.owner.empty()) row.owner = ctx_.principal().user;
    if (!request_.label.empty()) row.label = request_.label;
    if (request_.chunks) row.chunks = ToJson(*request_.chunks);
    if (!row.chunks.is_null()) {
      chunk_options_ = FromJson<ChunkOptions>(row.chunks, Unknown::kIgnore);
      chunk_mark_ = "\n" + Sha256Hex(ToText(row.chunks)).substr(0, 8);
    }
    row.last_run = run_.id();
    row.error.clear();
    access_ = row.label.empty() ? LabelOfUser(row.owner) : row.label;
    state_ = tx.Get<SyncState>(source_id_).value_or(SyncState());
    state_.source = source_id_;
  };
  const auto settings = [&] { return access_ + "\n" + chunk_mark_; };
  const auto from_where = [&] {
    const bool whole = request_.full || state_.cursor.empty() || state_.settings != settings() ||
                       now - state_.whole_us > std::chrono::microseconds(options_.whole_every).count();
    return whole ? std::string() : state_.cursor;
  };
  if (request_.dry_run) {
    Source row;
    store_.Read(system_, [&](data::ReadTx& tx) { begin(tx, row); });
    state_.from = from_where();
  } else {
    bool resumed = false;
    store_.Write(system_, [&](data::WriteTx& tx) {
      Source row;
      begin(tx, row);
      tx.Put(row);
      const bool mine = state_.run == run_.id();
      if (mine && !state_.report.is_null()) report_ = FromJson<IngestReport>(state_.report, Unknown::kIgnore);
      if (!mine) state_.parts = 0;
      state_.run = run_.id();
      // Another run's listing is not taken over: what changed on its first pages meanwhile would be missed.
      resumed = state_.listing && mine && now - state_.begun_us < std::chrono::microseconds(kListingStaysGood).count();
      if (!resumed) {
        const auto from = from_where();
        state_.settings = settings();
        StartListing(tx, from);
      }
      tx.Put(state_);
      if (resumed && state_.from.empty())
        for (const auto& row_of_seen : tx.Find<SyncSeen>(data::Where("source", source_id_))) {
          const auto before = seen_.size();
          seen_.resize(before + row_of_seen.items.size() / sizeof(std::uint64_t));
          std::memcpy(seen_.data() + before, row_of_seen.items.data(), (seen_.size() - before) * sizeof(std::uint64_t));
          ++seen_rows_;
        }
      seen_kept_ = seen_.size();
    });
    must_look_ = resumed_ = resumed;
    next_page_ = state_.page;
    // Where the run rested before: the events up to there are told.
    for (std::int64_t part = 1; part <= state_.parts; ++part) run_.Step("part:" + std::to_string(part), {}, [](const Context&) { return Json(nullptr); });
  }
  store_.Read(system_, [&](data::ReadTx& tx) {
    for (auto& one : tx.Find<ProblemId>(data::Where("source", source_id_))) problem_ids_.insert(std::move(one.id));
    auto any = data::Where("source", source_id_);
    any.order = "source";  // by the index alone
    any.limit = 1;
    has_documents_ = !tx.Find<DocumentHead>(any).empty();
  });
  pool_ = std::make_unique<ThreadPool>("parse", std::max<std::size_t>(1, options_.parse_threads), 3 * kMaxBatch);
}

SyncState Sync::CheckMine(data::WriteTx& tx) const {
  auto state = tx.Get<SyncState>(source_id_);
  if (!state) throw Error(Code::kAborted, "the source was removed while it was read");
  if (state->run != run_.id()) throw Error(Code::kAborted, "run " + state->run + " reads this source now");
  return std::move(*state);
}

SyncState Sync::StateNow() const {
  auto state = state_;
  state.report = ToJson(report_);
  return state;
}

void Sync::RestIfLate() {
  if (ctx_.clock().Now() < rest_at_) return;
  if (parsing_) Commit(std::move(parsing_), false);
  SettleAll();
  ++state_.parts;
  store_.Write(system_, [&](data::WriteTx& tx) {
    CheckMine(tx);
    tx.Put(StateNow());
  });
  run_.Step("part:" + std::to_string(state_.parts), {}, [](const Context&) { return Json(nullptr); });
  run_.SleepUntil(ctx_.clock().Now() + 1ms);
}

void Sync::Finish() {
  const bool whole = state_.from.empty();
  const auto now = ToMicros(ctx_.clock().Now());
  store_.Write(system_, [&](data::WriteTx& tx) {
    CheckMine(tx);
    for (const auto& row : tx.Find<SyncSeen>(data::Where("source", source_id_))) tx.Delete<SyncSeen>(row.id);
    state_.listing = false;
    state_.page.clear();
    state_.cursor = new_cursor_;
    if (whole) state_.whole_us = now;
    state_.report = nullptr;
    tx.Put(state_);
    auto problems = data::Where("source", source_id_);
    report_.problem_count = tx.Count<SourceProblem>(problems);
    problems.order = "path";
    problems.limit = kMaxReported;
    report_.problems.clear();
    for (auto& row : tx.Find<SourceProblem>(problems)) report_.problems.push_back({std::move(row.path), std::move(row.problem)});
    if (auto row = tx.Get<Source>(source_id_)) {
      row->scanned_us = now;
      row->report = ToJson(report_);
      row->error.clear();
      tx.Put(*row);
    }
  });
}

void Sync::AddProblem(const data::SourceItem& item, const std::string& problem) {
  ++report_.problem_count;
  if (report_.problems.size() < kMaxReported) report_.problems.push_back({AsUtf8(item.path.substr(0, kMaxPathBytes)), AsUtf8(problem)});
}

void Sync::Plan(const std::string& path, const char* change) {
  if (request_.dry_run && report_.plan.size() < kMaxPlanned) report_.plan.push_back({path, change});
}

void Sync::Tell(const std::string& path) {
  run_.Emit("stage", JsonObject{{"done", done_}, {"total", listed_all_ ? Json(listed_) : Json(nullptr)}, {"path", path}});
}

}  // namespace tenfold::retrieval
