// How a source is read, in one picture:
//
//   list pages (≤ 2 s ahead) ── unchanged ─────────────────────────── counted
//        │                  ├── other label, gone ── one commit, before anything is read
//        │                  └── new, changed ── read ── parse, chunk (pool) ── embed ── originals ── commit
//        └ the page's token is stored with the last commit of what it listed
//
// Three batches are on their way at once: one is being filled, one parsed, one committed.
#include "retrieval/sync.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "base/crypto.h"
#include "base/log.h"
#include "retrieval/embedding_owners.h"

namespace tenfold::retrieval {
namespace {

using namespace std::chrono_literals;

constexpr auto kParseTimeout = 25s;
constexpr auto kListAhead = 2s;
// A listing that was cut short goes on from its page only so long: what moved to a page before it meanwhile would be taken for removed.
constexpr auto kListingStaysGood = 1h;
constexpr auto kSlowBatch = 1s;  // what a kill may cost
constexpr std::size_t kMaxPending = 20'000;
constexpr std::size_t kMaxBatch = 1024;
constexpr std::size_t kMaxBatchBytes = 8u << 20;
constexpr std::size_t kMaxReported = 100;
constexpr std::size_t kMaxPlanned = 1000;
constexpr std::size_t kMaxPathBytes = 4096;
constexpr std::size_t kIdsAtOnce = 20'000;
constexpr int kMaxTroubles = 10;
constexpr std::int64_t kMaxAttempts = 3;

/// Of a document's id, the lowest bit free for `known`.
std::uint64_t SeenOf(std::string_view id, bool known) {
  std::uint64_t value = 0;
  std::from_chars(id.data(), id.data() + 16, value, 16);
  return (value & ~std::uint64_t{1}) | (known ? 1 : 0);
}

std::string AsUtf8(std::string text) {
  if (IsUtf8(text)) return text;
  for (auto& c : text)
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  return text;
}

/// The source, not the item, is the reason: it may be read another time.
bool IsTrouble(Code code) {
  switch (code) {
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
    case Code::kResourceExhausted:
    case Code::kUnauthenticated:
    case Code::kAborted:
      return true;
    case Code::kInvalidArgument:
    case Code::kNotFound:
    case Code::kAlreadyExists:
    case Code::kPermissionDenied:
    case Code::kFailedPrecondition:
    case Code::kCancelled:
    case Code::kDataLoss:
    case Code::kUnimplemented:
    case Code::kInternal:
      return false;
  }
  return false;
}

struct IdAndHash {
  std::string id;
  std::string content_hash;
};
TENFOLD_DESCRIBE(IdAndHash, (id), (content_hash))
TENFOLD_TABLE(IdAndHash, "documents", id)

struct ProblemId {
  std::string id;
};
TENFOLD_DESCRIBE(ProblemId, (id))
TENFOLD_TABLE(ProblemId, "source_problems", id)

}  // namespace

enum class Outcome : std::uint8_t { kRead, kSameBytes, kGone, kUnreadable, kTrouble };

struct Sync::Work {
  Pending pending;
  std::string bytes, media_type;
  Outcome outcome = Outcome::kRead;
  std::string problem;
  std::shared_ptr<const GenerationTools> tools;
  Document document;
  std::vector<Chunk> chunks;
  data::ParsedDocument parsed;  // without its text
  std::future<void> done;
};

struct Sync::Batch {
  std::shared_ptr<const GenerationTools> tools;
  std::vector<std::shared_ptr<Work>> works;
  std::size_t bytes = 0;
  bool last = false;
  SyncState state;
  std::vector<std::int8_t> seen;
  std::unique_ptr<Originals::Held> held;
  std::unique_ptr<data::PendingWrite> write;
};

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
  });
  pool_ = std::make_unique<ThreadPool>("parse", std::max<std::size_t>(1, options_.parse_threads), 3 * kMaxBatch);
}

void Sync::StartListing(data::WriteTx& tx, std::string from) {
  for (const auto& row : tx.Find<SyncSeen>(data::Where("source", source_id_))) tx.Delete<SyncSeen>(row.id);
  state_.listing = true;
  state_.from = std::move(from);
  state_.page.clear();
  state_.begun_us = ToMicros(ctx_.clock().Now());
}

void Sync::CheckMine(data::WriteTx& tx) const {
  const auto state = tx.Get<SyncState>(source_id_);
  if (!state) throw Error(Code::kAborted, "the source was removed while it was read");
  if (state->run != run_.id()) throw Error(Code::kAborted, "run " + state->run + " reads this source now");
}

void Sync::ListStretch() {
  const auto begun = std::chrono::steady_clock::now();
  if (next_page_.empty() && !state_.from.empty() && !request_.dry_run) {
    // What failed before is tried again, though it did not change since.
    for (const auto& problem : store_.Read(system_, [&](data::ReadTx& tx) {
           auto query = data::Where("source", source_id_);
           query.limit = kMaxPending;
           return tx.Find<SourceProblem>(query);
         })) {
      auto item = FromJson<data::SourceItem>(problem.item, Unknown::kIgnore);
      item.problem.clear();
      item.removed = false;
      Decide({std::move(item)}, Named::kBefore);
    }
  }
  do {
    ctx_.Check();
    data::SourcePage page;
    try {
      page = source_->List(ctx_, state_.from, next_page_);
    } catch (const Error& e) {
      if (e.code() != Code::kFailedPrecondition || (state_.from.empty() && next_page_.empty())) throw;
      // The cursor or the page is too old. From the start, whole; what was done stays done.
      next_page_.clear();
      for (auto* list : {&relabel_, &remove_}) list->clear();
      pending_.clear();
      pending_at_.clear();
      unread_.clear();
      seen_.clear();
      seen_kept_ = 0;
      seen_rows_ = 0;
      listed_ = done_ = 0;
      must_look_ = true;
      report_.unchanged = 0;
      state_.from.clear();
      if (!request_.dry_run)
        store_.Write(system_, [&](data::WriteTx& tx) {
          CheckMine(tx);
          StartListing(tx, "");
          tx.Put(state_);
        });
      continue;
    }
    if (!page.next.empty() && page.next == next_page_) throw Error(Code::kInternal, "the source's page names itself as the next");
    Decide(std::move(page.items), Named::kNow);
    next_page_ = std::move(page.next);
    if (next_page_.empty()) {
      listed_all_ = true;
      new_cursor_ = std::move(page.cursor);
    }
  } while (!listed_all_ && pending_.size() < kMaxPending && std::chrono::steady_clock::now() - begun < kListAhead);
}

void Sync::Decide(std::vector<data::SourceItem> items, Named named) {
  store_.Read(system_, [&](data::ReadTx& tx) {
    for (auto& item : items) DecideOne(tx, std::move(item), named);
  });
}

void Sync::DecideOne(data::ReadTx& tx, data::SourceItem item, Named named) {
  ++listed_;
  const auto id = DocumentIdOf(source_id_, item.path);
  if (!IsUtf8(item.path) || item.path.size() > kMaxPathBytes)
    item.problem = "its name is not UTF-8, or longer than " + std::to_string(kMaxPathBytes) + " bytes";
  auto head = tx.Get<DocumentHead>(id);
  const bool had_problem = problem_ids_.contains(id);
  if (item.removed) {
    ++done_;
    if (had_problem) healed_.push_back(id);
    if (!head) return;
    ++report_.removed;
    remove_.emplace_back(id, head->content_hash);
    Plan(item.path, "remove");
    return;
  }
  if (state_.from.empty()) seen_.push_back(SeenOf(id, head.has_value()));
  if (item.access.empty()) item.access = access_;
  if (!item.problem.empty()) {
    ++done_;
    AddProblem(item, item.problem);
    unread_.push_back({id, source_id_, AsUtf8(item.path.substr(0, kMaxPathBytes)), AsUtf8(item.problem), ToMicros(ctx_.clock().Now()), 0, nullptr});
    if (IsUtf8(item.path)) unread_.back().item = ToJson(item);
    // A text that can no longer be read must not answer questions from its old form.
    if (head) remove_.emplace_back(id, head->content_hash);
    return;
  }
  if (named == Named::kNow && head && head->label != item.access) {
    relabel_.emplace_back(id, item.access);
    ++report_.relabelled;
    Plan(item.path, "relabel");
  }
  if (head && head->fingerprint == item.fingerprint + chunk_mark_ && options_.originals->Has(tx, id, head->content_hash)) {
    ++done_;
    // After a kill the page is listed again; what this run did before is no news.
    const auto edge = resumed_ ? tx.Get<LineageEdge>("parsed/" + id) : std::nullopt;
    if (!edge || edge->run != run_.id()) ++report_.unchanged;
    if (had_problem) healed_.push_back(id);
    return;
  }
  if (request_.dry_run) {
    ++done_;
    ++(head ? report_.changed : report_.added);
    Plan(item.path, head ? "change" : "add");
    return;
  }
  // What is tried again as it was named long ago may be named anew.
  if (const auto [at, first] = pending_at_.emplace(id, pending_.size()); first) pending_.push_back({std::move(item), id, std::move(head)});
  else pending_[at->second].item = std::move(item);
}

void Sync::FindAbsent() {
  std::sort(seen_.begin(), seen_.end());
  std::int64_t known = 0;
  for (std::size_t i = 0; i < seen_.size(); ++i)
    if ((seen_[i] & 1) && (i == 0 || seen_[i - 1] != seen_[i])) ++known;
  const auto is_seen = [&](std::string_view id) {
    const auto at = std::lower_bound(seen_.begin(), seen_.end(), SeenOf(id, false));
    return at != seen_.end() && (*at | 1) == SeenOf(id, true);
  };
  for (const auto& id : problem_ids_)
    if (!is_seen(id)) healed_.push_back(id);
  store_.Read(system_, [&](data::ReadTx& tx) {
    // Most often nothing is gone, and counting says so.
    if (!must_look_ && tx.Count<Document>(data::Where("source", source_id_)) == known) return;
    data::Query query = data::Where("source", source_id_);
    query.order = "id";
    query.limit = kIdsAtOnce;
    query.where.push_back({"id", data::Compare::kGreater, data::Value(std::string())});
    for (;;) {
      const auto rows = tx.Find<IdAndHash>(query);
      for (const auto& row : rows) {
        if (is_seen(row.id)) continue;
        remove_.emplace_back(row.id, row.content_hash);
        ++report_.removed;
        if (request_.dry_run) Plan(tx.Get<DocumentHead>(row.id)->uri, "remove");
      }
      if (rows.size() < kIdsAtOnce) return;
      query.where.back().value = data::Value(rows.back().id);
    }
  });
}

SyncState Sync::StateNow() const {
  auto state = state_;
  state.report = ToJson(report_);
  return state;
}

void Sync::PutProgress(data::WriteTx& tx, const std::vector<std::int8_t>& seen) const {
  if (!seen.empty()) tx.Put(SyncSeen{source_id_ + "/" + std::to_string(seen_rows_), source_id_, seen});
}

void Sync::CommitListed() {
  const bool nothing_to_read = pending_.empty() && !listed_all_;
  if (relabel_.empty() && remove_.empty() && unread_.empty() && healed_.empty() && !nothing_to_read) return;
  auto seen = nothing_to_read ? TakeSeen() : std::vector<std::int8_t>();
  if (nothing_to_read) state_.page = next_page_;
  const auto state = StateNow();
  store_.Write(system_, [&](data::WriteTx& tx) {
    CheckMine(tx);
    for (const auto& [id, hash] : remove_) tx.Delete<Document>(id);
    for (const auto& [id, label] : relabel_)
      if (auto document = tx.Get<Document>(id)) {
        document->label = label;  // at once, before any slow parsing: a text made internal is internal from this commit on
        tx.Put(*document);
      }
    for (auto row : unread_) {
      const auto old = tx.Get<SourceProblem>(row.id);
      row.attempts = old ? old->attempts + 1 : 1;
      tx.Put(row);
    }
    for (const auto& id : healed_) tx.Delete<SourceProblem>(id);
    if (nothing_to_read) PutProgress(tx, seen);
    tx.Put(state);
  });
  if (!seen.empty()) ++seen_rows_;
  std::vector<std::string> forgotten;
  for (auto& [id, hash] : remove_) forgotten.push_back(std::move(hash));
  must_look_ |= !remove_.empty();
  relabel_.clear();
  remove_.clear();
  unread_.clear();
  healed_.clear();
  options_.originals->Forget(system_, forgotten);
}

std::vector<std::int8_t> Sync::TakeSeen() {
  const auto* begin = reinterpret_cast<const std::int8_t*>(seen_.data() + seen_kept_);
  std::vector<std::int8_t> out(begin, begin + (seen_.size() - seen_kept_) * sizeof(std::uint64_t));
  seen_kept_ = seen_.size();
  return out;
}

std::shared_ptr<const GenerationTools> Sync::ToolsNow() const {
  auto tools = options_.live();
  if (chunk_options_) tools.chunks = *chunk_options_;
  return std::make_shared<const GenerationTools>(std::move(tools));
}

std::unique_ptr<Sync::Batch> Sync::MakeBatch() const {
  auto batch = std::make_unique<Batch>();
  batch->tools = ToolsNow();
  return batch;
}

void Sync::WorkOff() {
  filling_ = MakeBatch();
  batch_begun_ = ctx_.clock().Now();
  for (auto& one : pending_) {
    ctx_.Check();
    Start(std::move(one));
    if (filling_->works.size() < batch_limit_ && filling_->bytes < kMaxBatchBytes && ctx_.clock().Now() - batch_begun_ < kSlowBatch) continue;
    if (parsing_) Commit(std::move(parsing_), false);
    parsing_ = std::move(filling_);
    filling_ = MakeBatch();
    RestIfLate();
  }
  pending_.clear();
  pending_at_.clear();
  if (parsing_) Commit(std::move(parsing_), filling_->works.empty());
  if (!filling_->works.empty()) Commit(std::move(filling_), true);
  Settle();
}

void Sync::Start(Pending pending) {
  auto work = std::make_shared<Work>();
  work->pending = std::move(pending);
  work->tools = filling_->tools;
  const auto& item = work->pending.item;
  try {
    auto content = source_->Read(ctx_, item);
    troubles_ = 0;
    if (content.bytes.size() > data::kMaxDocumentBytes)
      throw Error(Code::kInvalidArgument, std::to_string(content.bytes.size()) + " bytes, limit " + std::to_string(data::kMaxDocumentBytes));
    work->bytes = std::move(content.bytes);
    work->media_type = !content.media_type.empty() ? content.media_type
                       : !item.media_type.empty()  ? item.media_type
                                                   : std::string(data::MediaTypeOf(item.path));
    filling_->bytes += work->bytes.size();
    auto job = std::make_shared<std::packaged_task<void()>>([this, work] { Build(*work); });
    work->done = job->get_future();
    pool_->Submit([job] { (*job)(); });
  } catch (const Error& e) {
    if (ctx_.done()) throw;
    if (IsTrouble(e.code()) && ++troubles_ >= kMaxTroubles)
      throw Error(e.code(), std::to_string(kMaxTroubles) + " items in a row could not be read; the last one: " + e.message());
    work->outcome = e.code() == Code::kNotFound ? Outcome::kGone : IsTrouble(e.code()) ? Outcome::kTrouble : Outcome::kUnreadable;
    work->problem = e.message();
  }
  filling_->works.push_back(std::move(work));
}

void Sync::Build(Work& work) const {
  const auto& item = work.pending.item;
  const auto& head = work.pending.head;
  try {
    ctx_.Check();
    auto& document = work.document;
    document.content_hash = Sha256Hex(work.bytes);
    if (!IsUtf8(ToText(item.metadata)) || !IsUtf8(item.title) || !IsUtf8(item.link))
      throw Error(Code::kInvalidArgument, "what the source says of it is not UTF-8");
    // Touched, moved or fetched anew, but the same: its passages stay.
    if (head && head->content_hash == document.content_hash && head->fingerprint.ends_with(chunk_mark_) && (item.title.empty() || item.title == head->title) &&
        (chunk_mark_.empty() ? head->fingerprint.find('\n') == std::string::npos : true)) {
      work.outcome = Outcome::kSameBytes;
      return;
    }
    work.parsed = options_.parse(ctx_.WithTimeout(kParseTimeout), work.bytes, work.media_type);
    document.id = work.pending.id;
    document.source = source_id_;
    document.uri = item.path;
    document.title = !item.title.empty() ? item.title : !work.parsed.title.empty() ? work.parsed.title : std::filesystem::path(item.path).stem().string();
    document.label = item.access;
    document.media_type = work.parsed.media_type;
    document.text = std::move(work.parsed.text);
    document.version = head ? head->version + 1 : 1;
    document.updated_us = ToMicros(ctx_.clock().Now());
    document.link = item.link;
    document.fingerprint = item.fingerprint + chunk_mark_;
    document.metadata = std::move(work.parsed.metadata);
    for (const auto& [name, value] : item.metadata) document.metadata[name] = value;
    work.chunks = MakeChunks(document, *work.tools);
  } catch (const Error& e) {
    if (ctx_.done()) throw;
    work.outcome = e.code() == Code::kUnavailable ? Outcome::kTrouble : Outcome::kUnreadable;
    work.problem = e.message();
  } catch (const std::exception& e) {
    work.outcome = Outcome::kUnreadable;
    work.problem = "its parsing failed: " + std::string(e.what());
  }
}

void Sync::Commit(std::unique_ptr<Batch> batch, bool last) {
  for (auto& work : batch->works)
    if (work->done.valid()) work->done.get();
  std::vector<ToEmbed> to_embed;
  std::vector<std::string_view> bytes;
  for (auto& work : batch->works) {
    const auto& head = work->pending.head;
    switch (work->outcome) {
      case Outcome::kRead:
        report_.chunks += static_cast<std::int64_t>(work->chunks.size());
        ++(head ? report_.changed : report_.added);
        to_embed.push_back({&work->document, work->chunks});
        bytes.push_back(work->bytes);
        break;
      case Outcome::kSameBytes:
        ++report_.unchanged;
        bytes.push_back(work->bytes);  // the original may be what was missing
        break;
      case Outcome::kGone:
        if (head) ++report_.removed;
        break;
      case Outcome::kUnreadable:
      case Outcome::kTrouble:
        AddProblem(work->pending.item, work->problem);
        break;
    }
    must_look_ |= head && work->outcome != Outcome::kRead && work->outcome != Outcome::kSameBytes;
  }
  done_ += static_cast<std::int64_t>(batch->works.size());
  EmbedAll(ctx_, *batch->tools, to_embed);
  batch->held = options_.originals->Keep(system_, bytes);
  Settle();
  batch->last = last && !listed_all_;
  if (batch->last) {
    state_.page = next_page_;
    batch->seen = TakeSeen();
  }
  batch->state = StateNow();
  committing_ = std::move(batch);
  committing_->write = store_.BeginWrite(system_, [this, on = committing_.get()](data::WriteTx& tx) { WriteBatch(tx, *on); });
  // A batch is as large as a second allows: what is not committed is done again after a kill.
  const auto now = ctx_.clock().Now();
  const auto took = now - batch_begun_;
  if (took < kSlowBatch / 4) batch_limit_ = std::min(kMaxBatch, batch_limit_ * 2);
  else if (took > kSlowBatch) batch_limit_ = std::max<std::size_t>(1, batch_limit_ / 2);
  batch_begun_ = now;
}

void Sync::WriteBatch(data::WriteTx& tx, const Batch& batch) const {
  CheckMine(tx);
  Generations::CheckLive(tx, batch.tools->id);
  for (const auto& work : batch.works) {
    const auto& id = work->pending.id;
    switch (work->outcome) {
      case Outcome::kRead:
        if (work->pending.head) tx.Delete<Document>(id);
        tx.Put(work->document);
        for (const auto& chunk : work->chunks) tx.Put(chunk);
        Generations::MarkDone(tx, batch.tools->id, id);
        Originals::PutSmall(tx, id, work->bytes);
        if (!work->parsed.layout.empty()) tx.Put(DocumentLayout{id, work->parsed.layout, work->parsed.pages});
        tx.Put(LineageEdge{"parsed/" + id, source_id_, id, "parsed", run_.id()});
        break;
      case Outcome::kSameBytes:
        if (auto document = tx.Get<Document>(id)) {
          const auto& item = work->pending.item;
          document->fingerprint = item.fingerprint + chunk_mark_;
          document->label = item.access;
          document->link = item.link;
          for (const auto& [name, value] : item.metadata) document->metadata[name] = value;
          tx.Put(*document);
          Originals::PutSmall(tx, id, work->bytes);
        }
        break;
      case Outcome::kGone:
        tx.Delete<Document>(id);
        break;
      case Outcome::kUnreadable:
      case Outcome::kTrouble: {
        const auto old = tx.Get<SourceProblem>(id);
        SourceProblem row{
            id, source_id_, work->pending.item.path, AsUtf8(work->problem), batch.state.begun_us, old ? old->attempts + 1 : 1, ToJson(work->pending.item)};
        row.at_us = ToMicros(ctx_.clock().Now());
        // A text that can no longer be read must not answer questions from its old form.
        if (work->outcome == Outcome::kUnreadable || row.attempts >= kMaxAttempts) tx.Delete<Document>(id);
        tx.Put(row);
        continue;
      }
    }
    if (problem_ids_.contains(id)) tx.Delete<SourceProblem>(id);
  }
  if (batch.last) PutProgress(tx, batch.seen);
  tx.Put(batch.state);
}

void Sync::Settle() {
  if (!committing_) return;
  const auto batch = std::move(committing_);
  try {
    batch->write->Wait();
  } catch (const Error& e) {
    // Another generation became live while this batch was made: its passages are made again for that one.
    auto tools = ToolsNow();
    if (e.code() != Code::kAborted || tools->id == batch->tools->id) throw;
    batch->tools = std::move(tools);
    std::vector<ToEmbed> to_embed;
    for (auto& work : batch->works) {
      if (work->outcome != Outcome::kRead) continue;
      work->chunks = MakeChunks(work->document, *batch->tools);
      to_embed.push_back({&work->document, work->chunks});
    }
    EmbedAll(ctx_, *batch->tools, to_embed);
    store_.Write(system_, [&](data::WriteTx& tx) { WriteBatch(tx, *batch); });
  }
  batch->held.reset();
  if (!batch->seen.empty()) ++seen_rows_;
  std::vector<std::string> forgotten;
  for (const auto& work : batch->works)
    if (work->pending.head && work->outcome != Outcome::kSameBytes && work->pending.head->content_hash != work->document.content_hash)
      forgotten.push_back(work->pending.head->content_hash);
  options_.originals->Forget(system_, forgotten);
  Tell(batch->works.empty() ? "" : AsUtf8(batch->works.back()->pending.item.path));
}

void Sync::RestIfLate() {
  if (ctx_.clock().Now() < rest_at_) return;
  if (parsing_) Commit(std::move(parsing_), false);
  Settle();
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
