// What a source lists against what is stored: unchanged, new, changed, gone. See the picture in sync.cc.
#include <algorithm>
#include <charconv>

#include "retrieval/sync.h"
#include "retrieval/sync_batch.h"

namespace tenfold::retrieval {
namespace {

using namespace std::chrono_literals;

constexpr auto kListAhead = 2s;
constexpr std::size_t kMaxPending = 20'000;
constexpr std::size_t kIdsAtOnce = 20'000;

/// Of a document's id, the lowest bit free for `known`.
std::uint64_t SeenOf(std::string_view id, bool known) {
  std::uint64_t value = 0;
  std::from_chars(id.data(), id.data() + 16, value, 16);
  return (value & ~std::uint64_t{1}) | (known ? 1 : 0);
}

struct IdAndHash {
  std::string id;
  std::string content_hash;
};
TENFOLD_DESCRIBE(IdAndHash, (id), (content_hash))
TENFOLD_TABLE(IdAndHash, "documents", id)

}  // namespace

void Sync::StartListing(data::WriteTx& tx, std::string from) {
  for (const auto& row : tx.Find<SyncSeen>(data::Where("source", source_id_))) tx.Delete<SyncSeen>(row.id);
  state_.listing = true;
  state_.from = std::move(from);
  state_.page.clear();
  state_.begun_us = ToMicros(ctx_.clock().Now());
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
  auto head = has_documents_ ? tx.Get<DocumentHead>(id) : std::nullopt;
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

}  // namespace tenfold::retrieval
