// What is new or changed: read, parsed and cut in a pool, embedded, committed in batches. See the picture in sync.cc.
#include <algorithm>
#include <filesystem>

#include "base/crypto.h"
#include "retrieval/sync.h"
#include "retrieval/sync_batch.h"

namespace tenfold::retrieval {
namespace {

using namespace std::chrono_literals;

constexpr auto kParseTimeout = 25s;
constexpr auto kSlowBatch = 1s;  // what a kill may cost
constexpr std::size_t kMaxBatchBytes = 8u << 20;
constexpr std::size_t kCommitsAtOnce = 2;  // one is written while the index takes in the one before
constexpr int kMaxTroubles = 10;
constexpr std::int64_t kMaxAttempts = 3;

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

}  // namespace

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
  SettleAll();
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
    // Not a packaged_task: that keeps its function, so the work would hold the task that holds the work, for ever if nobody asks for the outcome.
    auto done = std::make_shared<std::promise<void>>();
    work->done = done->get_future();
    pool_->Submit([this, work, done] {
      try {
        Build(*work);
        done->set_value();
      } catch (...) {
        done->set_exception(std::current_exception());
      }
    });
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
  while (committing_.size() >= kCommitsAtOnce) SettleOne();
  ++state_.batches;
  has_documents_ = true;
  batch->last = last && !listed_all_;
  if (batch->last) {
    state_.page = next_page_;
    batch->seen = TakeSeen();
  }
  batch->state = StateNow();
  auto& on = *committing_.emplace_back(std::move(batch));
  on.write = store_.BeginWrite(system_, [this, &on](data::WriteTx& tx) { WriteBatch(tx, on); });
  // A batch is as large as a second allows: what is not committed is done again after a kill. One that takes an eighth of it costs little beside what it holds, and is
  // soon handed on to who waits for it.
  const auto now = ctx_.clock().Now();
  const auto took = now - batch_begun_;
  if (took < kSlowBatch / 8) batch_limit_ = std::min(kMaxBatch, batch_limit_ * 2);
  else if (took > kSlowBatch) batch_limit_ = std::max<std::size_t>(1, batch_limit_ / 2);
  batch_begun_ = now;
}

void Sync::WriteBatch(data::WriteTx& tx, const Batch& batch) const {
  if (CheckMine(tx).batches + 1 != batch.state.batches) throw Error(Code::kAborted, "the batch before this one was not committed");
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

void Sync::SettleAll() {
  while (!committing_.empty()) SettleOne();
  redo_ = false;
}

void Sync::SettleOne() {
  const auto batch = std::move(committing_.front());
  committing_.pop_front();
  try {
    batch->write->Wait();
  } catch (const Error& e) {
    // Another generation became live while this batch was made: its passages are made again for that one. So were those of the batch before, and this one refused to be
    // written without it.
    auto tools = ToolsNow();
    const bool is_live = tools->id == batch->tools->id;
    if (e.code() != Code::kAborted || (is_live && !redo_)) throw;
    redo_ = true;
    if (!is_live) MakeAgain(*batch, std::move(tools));
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

void Sync::MakeAgain(Batch& batch, std::shared_ptr<const GenerationTools> tools) {
  batch.tools = std::move(tools);
  std::vector<ToEmbed> to_embed;
  for (auto& work : batch.works) {
    if (work->outcome != Outcome::kRead) continue;
    work->chunks = MakeChunks(work->document, *batch.tools);
    to_embed.push_back({&work->document, work->chunks});
  }
  EmbedAll(ctx_, *batch.tools, to_embed);
}

}  // namespace tenfold::retrieval
