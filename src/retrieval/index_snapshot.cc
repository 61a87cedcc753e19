#include "retrieval/index_snapshot.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/files.h"
#include "base/log.h"

namespace tenfold::retrieval {
namespace {

namespace fs = std::filesystem;
// What a start catches up on in some tenths of a second.
constexpr std::size_t kOwnBehind = 5000, kOwnAtTheEnd = 1000;
// Of the whole feed, which keeps 200,000 commits (data/store_sqlite.cc): beyond it an index is loaded anew.
constexpr std::size_t kAllBehind = 100'000, kAllAtTheEnd = 50'000;
constexpr std::string_view kIndex = ".index", kWriting = ".writing", kVectors = ".vectors";

/// The name of the index that a file is of; empty if it is none of ours. `number`: of a file of vectors.
std::string_view IndexOf(std::string_view file, std::uint64_t* number = nullptr) {
  const auto name = file.substr(0, file.find('.')), rest = file.substr(name.size());
  if (name.empty() || !std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; })) return {};
  if (rest == kIndex || rest == kWriting) return name;
  if (!rest.ends_with(kVectors) || rest.size() < kVectors.size() + 2) return {};
  std::uint64_t read = 0;
  const auto digits = rest.substr(1, rest.size() - kVectors.size() - 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), read);
  if (error != std::errc() || end != digits.data() + digits.size()) return {};
  if (number) *number = read;
  return name;
}

template <class F>
void ForEachFile(const fs::path& folder, F&& visit) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) names.push_back(at->path().filename().string());
  for (const auto& name : names) visit(name);
}

bool IsVectors(std::string_view file) { return file.ends_with(kVectors); }

}  // namespace

void IndexSnapshot::Attach(std::string_view settings, Save save) {
  const std::lock_guard lock(saving_);
  save_ = std::move(save);
  what_ = WhatOf(settings);
}

void IndexSnapshot::Detach() {
  const std::lock_guard lock(saving_);
  save_ = nullptr;
}

void IndexSnapshot::RemoveVectorFiles(const std::set<std::string>& but) {
  ForEachFile(folder_, [&](const std::string& file) {
    if (IsVectors(file) && IndexOf(file) == name_ && !but.contains(file)) ::unlink((folder_ / file).c_str());
  });
}

fs::path IndexSnapshot::NewVectorFile() {
  const std::lock_guard lock(mutex_);
  return folder_ / (name_ + "." + std::to_string(next_file_++) + std::string(kVectors));
}

fs::path IndexSnapshot::UseVectorFile(const std::string& name) {
  std::uint64_t number = 0;
  SnapshotReader::Check(IsVectors(name) && IndexOf(name, &number) == name_ && number < (std::uint64_t{1} << 62), "a file of vectors has another's name");
  const std::lock_guard lock(mutex_);
  SnapshotReader::Check(used_.insert(name).second, "two have one file of vectors");
  next_file_ = std::max(next_file_, number + 1);
  return folder_ / name;
}

std::optional<data::Commit> IndexSnapshot::Restore(data::History& history, const std::function<void(const SnapshotFile&)>& load) {
  keeper_.set_epoch(history.epoch());
  ::unlink(Writing().c_str());
  std::string why;
  try {
    const SnapshotFile file(File(), what_);
    if (!history.Holds(file.header().commit, file.header().epoch)) throw Error(Code::kFailedPrecondition, "it is not of this store's history, or too old");
    load(file);
    const std::lock_guard lock(mutex_);
    is_written_ = has_any_ = true;
    RemoveVectorFiles(used_);
    return file.header().commit;
  } catch (const Error& e) {
    if (e.code() != Code::kNotFound || fs::exists(File())) why = e.message();
  } catch (const std::exception& e) {  // a length that no memory can hold
    why = e.what();
  }
  const std::lock_guard lock(mutex_);
  used_.clear();
  ::unlink(File().c_str());
  RemoveVectorFiles({});
  if (!why.empty()) Log(LogLevel::kWarning, "an index is loaded from the store, because its snapshot cannot be used", {{"index", name_}, {"why", why}});
  return std::nullopt;
}

void IndexSnapshot::Forget() {
  if (!has_any_.load()) return;
  {
    const std::lock_guard lock(mutex_);
    if (is_written_) ::unlink(File().c_str());
    if (is_in_the_making_) ::unlink(Writing().c_str());
    is_written_ = has_any_ = is_in_the_making_ = false;
    if (own_ == 0) first_change_ = Clock::now();
    last_change_ = Clock::now();
    ++own_;
  }
  keeper_.Notice();
}

void IndexSnapshot::Changed(std::size_t own, std::size_t all) {
  bool is_news = false;
  {
    const std::lock_guard lock(mutex_);
    const bool was_behind = IsBehind(own_, all_);
    all_ += all;
    if (own > 0) {
      last_change_ = Clock::now();
      if (own_ == 0) first_change_ = last_change_;
      own_ += own;
    }
    is_news = !was_behind && IsBehind(own_, all_);
  }
  if (is_news) keeper_.Notice();
}

bool IndexSnapshot::IsBehind(std::size_t own, std::size_t all) const { return is_written_ ? own >= kOwnBehind || all >= kAllBehind : own > 0; }

bool IndexSnapshot::IsWaiting() {
  const std::lock_guard lock(mutex_);
  return !is_closed_ && IsBehind(own_, all_);
}

bool IndexSnapshot::IsDue(Clock::time_point now, std::chrono::milliseconds quiet, std::chrono::milliseconds latest) {
  const std::lock_guard lock(mutex_);
  return !is_closed_ && IsBehind(own_, all_) && (now - last_change_ >= quiet || now - first_change_ >= latest);
}

bool IndexSnapshot::IsWorthWritingAtTheEnd() {
  const std::lock_guard lock(mutex_);
  return !is_closed_ && (is_written_ ? own_ >= kOwnAtTheEnd || all_ >= kAllAtTheEnd : own_ > 0);
}

void IndexSnapshot::Write() {
  const std::lock_guard saving(saving_);
  if (!save_ || keeper_.epoch() == 0) return;
  try {
    WriteWith(save_);
  } catch (const std::exception& e) {
    Log(LogLevel::kWarning, "the snapshot of an index could not be written; the next start loads the index from the store", {{"index", name_}, {"error", e.what()}});
    const std::lock_guard lock(mutex_);
    is_in_the_making_ = false;
    has_any_ = is_written_.load();
    first_change_ = last_change_ = Clock::now();  // as if it had just changed: tried again after the same time
  }
}

void IndexSnapshot::WriteWith(const Save& save) {
  SnapshotWriter writer(Writing());
  std::size_t own = 0, all = 0;
  {
    const std::lock_guard lock(mutex_);
    if (is_closed_) return;
    is_in_the_making_ = has_any_ = true;
    own = own_;
    all = all_;
  }
  const auto commit = save(writer);
  if (commit) {
    writer.Finish({what_, *commit, keeper_.epoch()});
    writer.Sync();
  }
  {
    const std::lock_guard lock(mutex_);
    const bool is_good = std::exchange(is_in_the_making_, false);
    if (is_good && commit) {
      writer.MoveTo(File());
      is_written_ = true;
    }
    has_any_ = is_written_.load();
    if (is_good) {
      own_ -= std::min(own, own_);
      all_ -= std::min(all, all_);
      first_change_ = last_change_;
    }
    if (!is_good || !commit) return;
  }
  SyncFolder(folder_);
}

void IndexSnapshot::Close() {
  const std::lock_guard lock(mutex_);
  is_closed_ = true;
  ::unlink(File().c_str());
  ::unlink(Writing().c_str());
  is_written_ = has_any_ = is_in_the_making_ = false;
  RemoveVectorFiles({});
}

// The keeper.

SnapshotKeeper::SnapshotKeeper(fs::path folder, Options options) : folder_(std::move(folder)), options_(options) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) throw Error(Code::kPermissionDenied, "create folder '" + folder_.string() + "': " + error.message());
  fs::permissions(folder_, fs::perms::owner_all, error);
  thread_ = std::thread([this] { Work(); });
}

SnapshotKeeper::~SnapshotKeeper() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  noticed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<IndexSnapshot> SnapshotKeeper::Open(const std::string& name) {
  TENFOLD_CHECK(IndexOf(name + std::string(kIndex)) == name);
  const std::lock_guard lock(mutex_);
  auto made = std::make_shared<IndexSnapshot>(folder_, name, *this);
  snapshots_[name] = made;
  return made;
}

void SnapshotKeeper::Remove(const std::string& name) {
  std::shared_ptr<IndexSnapshot> found;
  {
    const std::lock_guard lock(mutex_);
    if (const auto at = snapshots_.find(name); at != snapshots_.end()) {
      found = at->second.lock();
      snapshots_.erase(at);
    }
  }
  if (found) found->Close();
}

void SnapshotKeeper::KeepOnly(std::string_view prefix, const std::set<std::string>& names) {
  ForEachFile(folder_, [&](const std::string& file) {
    const auto name = IndexOf(file);
    if (!name.empty() && name.starts_with(prefix) && !names.contains(std::string(name))) ::unlink((folder_ / file).c_str());
  });
}

std::vector<std::shared_ptr<IndexSnapshot>> SnapshotKeeper::Snapshots() {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<IndexSnapshot>> out;
  for (const auto& [name, held] : snapshots_)
    if (auto one = held.lock()) out.push_back(std::move(one));
  return out;
}

void SnapshotKeeper::Notice() {
  {
    const std::lock_guard lock(mutex_);
    has_news_ = true;
  }
  noticed_.notify_all();
}

void SnapshotKeeper::Work() {
  const auto step = std::min<std::chrono::milliseconds>(options_.quiet / 4 + std::chrono::milliseconds(1), std::chrono::milliseconds(1000));
  for (bool is_waiting = false;;) {
    {
      std::unique_lock lock(mutex_);
      if (is_waiting) noticed_.wait_for(lock, step, [&] { return is_ending_; });
      else noticed_.wait(lock, [&] { return is_ending_ || has_news_; });
      if (is_ending_) return;
      has_news_ = false;
    }
    is_waiting = false;
    for (const auto& one : Snapshots()) {
      if (one->IsDue(IndexSnapshot::Clock::now(), options_.quiet, options_.latest)) one->Write();
      is_waiting = is_waiting || one->IsWaiting();
    }
  }
}

void SnapshotKeeper::Finish() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  noticed_.notify_all();
  if (thread_.joinable()) thread_.join();
  WriteNow();
}

void SnapshotKeeper::WriteNow() {
  for (const auto& one : Snapshots())
    if (one->IsWorthWritingAtTheEnd()) one->Write();
}

}  // namespace tenfold::retrieval
