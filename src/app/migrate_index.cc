#include "app/migrate_index.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>

#include "base/crypto.h"
#include "base/files.h"
#include "retrieval/backends/remote.h"

namespace tenfold::app {
namespace {

using retrieval::IndexChange;
using retrieval::IndexRecord;
using retrieval::SearchIndex;

constexpr std::size_t kPage = 200, kMaxQueries = 10'000, kOwnQueries = 100, kHits = 10;

/// How far a namespace is copied.
struct Progress {
  std::string from, to, name_space;
  std::string after = {};     // the last id that was copied
  std::int64_t copied = 0;
  bool target_was_empty = false;
  bool is_copied = false;
};
TENFOLD_DESCRIBE(Progress, (from), (to), (name_space), (after), (copied), (target_was_empty), (is_copied))

/// Held as long as one run works on a migration.
class Lock {
 public:
  explicit Lock(const std::filesystem::path& file) : fd_(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    if (fd_ < 0) throw Error(Code::kPermissionDenied, "'" + file.string() + "' cannot be written");
    if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
    ::close(fd_);
    throw Error(Code::kFailedPrecondition, "this migration is under way in another process");
  }
  ~Lock() { ::close(fd_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  const int fd_;
};

bool SameValue(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return a.to_number<double>() == b.to_number<double>();
  if (const auto *x = a.if_object(), *y = b.if_object(); x && y)
    return x->size() == y->size() && std::all_of(x->begin(), x->end(), [&](const auto& one) { return y->contains(one.key()) && SameValue(one.value(), y->at(one.key())); });
  return a == b;
}

/// A target may keep floats in another precision and, under cosine, directions alone.
bool SameVector(const std::vector<float>& a, const std::vector<float>& b, retrieval::Metric metric) {
  if (a.size() != b.size()) return false;
  double apart = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  const double scale = metric == retrieval::Metric::kCosine && aa > 0 && bb > 0 ? std::sqrt(aa / bb) : 1;
  for (std::size_t i = 0; i < a.size(); ++i) apart += std::pow(a[i] - scale * b[i], 2);
  return apart <= 1e-6 * aa;
}

bool Same(const IndexRecord& a, const IndexRecord& b, retrieval::Metric metric) {
  return a.group == b.group && a.title == b.title && a.heading == b.heading && a.text == b.text && retrieval::LabelsOf(a.access) == retrieval::LabelsOf(b.access) && SameValue(Json(a.metadata), Json(b.metadata)) && SameVector(a.vector, b.vector, metric);
}

void Put(const Context& ctx, SearchIndex& to, const std::string& name_space, std::vector<IndexRecord> records) {
  std::vector<IndexChange> changes;
  for (auto& record : records) changes.push_back({IndexChange::Kind::kPut, std::move(record)});
  if (!changes.empty()) to.Write(ctx, name_space, changes);
}

/// One call of a back end has a minute.
Context OneCall(const Context& ctx) { return ctx.WithTimeout(std::chrono::seconds(60)); }

void CopyPages(const Context& ctx, SearchIndex& from, SearchIndex& to, Progress& progress, const std::filesystem::path& file, const std::function<void(std::string_view)>& say) {
  const auto save = [&] { WriteFileAtomically(file, ToPrettyText(ToJson(progress)) + "\n"); };
  while (!progress.is_copied) {
    ctx.Check();
    const auto ids = from.List(OneCall(ctx), progress.name_space, "", progress.after, kPage);
    Put(OneCall(ctx), to, progress.name_space, from.Fetch(OneCall(ctx), progress.name_space, ids));
    if (!ids.empty()) progress.after = ids.back();
    progress.copied += static_cast<std::int64_t>(ids.size());
    progress.is_copied = ids.size() < kPage;
    save();
    say("copied " + std::to_string(progress.copied) + " records of '" + progress.name_space + "'\n");
  }
}

/// The ids of a namespace in order, a page at a time.
class Ids {
 public:
  Ids(const Context& ctx, SearchIndex& index, const std::string& name_space) : ctx_(ctx), index_(index), name_space_(name_space) { Read(""); }
  /// Nothing at the end.
  const std::string* id() const { return at_ < page_.size() ? &page_[at_] : nullptr; }
  void Next() {
    if (++at_ < page_.size() || page_.size() < kPage) return;
    const auto last = page_.back();
    Read(last);
  }

 private:
  void Read(const std::string& after) {
    page_ = index_.List(OneCall(ctx_), name_space_, "", after, kPage);
    at_ = 0;
  }
  const Context& ctx_;
  SearchIndex& index_;
  const std::string& name_space_;
  std::vector<std::string> page_;
  std::size_t at_ = 0;
};

/// Puts right what was changed meanwhile.
void Correct(const Context& ctx, SearchIndex& from, SearchIndex& to, const Progress& progress, MigrationReport& report) {
  std::vector<std::string> both;
  const auto compare = [&] {
    const auto wanted = from.Fetch(OneCall(ctx), progress.name_space, both), held = to.Fetch(OneCall(ctx), progress.name_space, both);
    std::map<std::string_view, const IndexRecord*> by_id;
    for (const auto& record : held) by_id[record.id] = &record;
    std::vector<IndexRecord> again;
    for (const auto& record : wanted)
      if (const auto found = by_id.find(record.id); found == by_id.end() || !Same(record, *found->second, from.metric())) again.push_back(record);
    report.corrected += static_cast<std::int64_t>(again.size());
    Put(OneCall(ctx), to, progress.name_space, std::move(again));
    both.clear();
  };
  Ids source(ctx, from, progress.name_space), target(ctx, to, progress.name_space);
  std::vector<IndexChange> gone;
  while (source.id() || target.id()) {
    ctx.Check();
    if (source.id() && (!target.id() || *source.id() <= *target.id())) {
      ++report.records;
      if (target.id() && *target.id() == *source.id()) target.Next();
      both.push_back(*source.id());
      source.Next();
      if (both.size() == kPage) compare();
    } else {
      if (progress.target_was_empty) gone.push_back({IndexChange::Kind::kDelete, {.id = *target.id()}});
      else ++report.foreign;
      target.Next();
    }
  }
  if (!both.empty()) compare();
  for (std::size_t at = 0; at < gone.size(); at += kPage) to.Write(OneCall(ctx), progress.name_space, std::span(gone).subspan(at, std::min(kPage, gone.size() - at)));
  report.removed = static_cast<std::int64_t>(gone.size());
}

std::int64_t Median(std::vector<std::int64_t> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void CompareFound(const Context& ctx, SearchIndex& from, SearchIndex& to, const MigrationPlan& plan, MigrationReport& report) {
  std::vector<retrieval::IndexQuery> queries;
  for (const auto& one : plan.queries)
    if (one.name_space.empty() || one.name_space == report.name_space) queries.push_back({.text = one.text, .vector = one.vector, .k = kHits, .filter = one.filter.is_null() ? retrieval::Filter{} : retrieval::ParseFilter(one.filter)});
  if (plan.queries.empty())
    for (auto& record : from.Fetch(OneCall(ctx), report.name_space, from.List(OneCall(ctx), report.name_space, "", "", kOwnQueries)))
      if (!record.vector.empty()) queries.push_back({.vector = std::move(record.vector), .k = kHits});
  std::vector<std::int64_t> took_from, took_to;
  double sum = 0;
  report.worst = queries.empty() ? 0 : 1;
  const auto ask = [&](SearchIndex& index, const retrieval::IndexQuery& query, std::vector<std::int64_t>& took) {
    const auto begin = std::chrono::steady_clock::now();
    std::set<std::string> ids;
    for (auto& hit : index.Search(OneCall(ctx), report.name_space, query).hits) ids.insert(std::move(hit.id));
    took.push_back(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin).count());
    return ids;
  };
  for (const auto& query : queries) {
    const auto a = ask(from, query, took_from), b = ask(to, query, took_to);
    const auto shared = std::count_if(a.begin(), a.end(), [&](const auto& id) { return b.contains(id); });
    // What the source finds nothing for must find nothing in the target too.
    const double overlap = a.empty() ? b.empty() : static_cast<double>(shared) / static_cast<double>(a.size());
    sum += overlap;
    report.worst = std::min(report.worst, overlap);
  }
  report.queries = static_cast<std::int64_t>(queries.size());
  report.overlap = queries.empty() ? 0 : sum / static_cast<double>(queries.size());
  report.p50_us_from = Median(std::move(took_from));
  report.p50_us_to = Median(std::move(took_to));
}

}  // namespace

std::vector<RecordedQuery> ReadRecordedQueries(const std::filesystem::path& file) {
  const auto text = ReadFile(file);
  std::vector<RecordedQuery> out;
  std::size_t number = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const auto line = rest.substr(0, end);
    rest.remove_prefix(std::min(rest.size(), end + 1));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    Within(file.string() + ":" + std::to_string(number), [&] {
      const auto json = ParseJson(line);
      const auto* fields = json.if_object();
      if (!fields) throw Error(Code::kInvalidArgument, "must be an object with \"text\" or \"vector\"");
      RecordedQuery query;
      for (const auto& [key, value] : *fields) {
        if (key == "text" && value.is_string()) query.text = AsView(value.get_string());
        else if (key == "namespace" && value.is_string()) query.name_space = AsView(value.get_string());
        else if (key == "filter" && value.is_object()) query.filter = value;
        else if (key == "vector" && value.is_array()) query.vector = FromJson<std::vector<float>>(value);
        else throw Error(Code::kInvalidArgument, "'" + std::string(key) + "' is not a field of a query, or not of its type; there are text, vector, filter and namespace");
      }
      if (query.text.empty() && query.vector.empty()) throw Error(Code::kInvalidArgument, "a query has a text or a vector");
      if (!query.filter.is_null()) retrieval::ParseFilter(query.filter);
      out.push_back(std::move(query));
      if (out.size() > kMaxQueries) throw Error(Code::kInvalidArgument, "more than 10000 queries");
    });
  }
  if (out.empty()) throw Error(Code::kInvalidArgument, "'" + file.string() + "' holds no query");
  return out;
}

MigrationReport MigrateIndex(const Context& ctx, SearchIndex& from, SearchIndex& to, const MigrationPlan& plan, const std::function<void(std::string_view)>& say) {
  std::filesystem::create_directories(plan.folder);
  const auto name = Sha256Hex(plan.from + "\n" + plan.to + "\n" + plan.name_space).substr(0, 24);
  const Lock lock(plan.folder / (name + ".lock"));
  const auto file = plan.folder / (name + ".json");
  Progress progress{.from = plan.from, .to = plan.to, .name_space = plan.name_space};
  if (std::filesystem::exists(file)) {
    progress = Within("'" + file.string() + "'", [&] { return FromJson<Progress>(ParseJson(ReadFile(file))); });
  } else {
    progress.target_was_empty = to.List(OneCall(ctx), plan.name_space, "", "", 1).empty();
    // Written before the first record is: a run that is killed during its first page does not take that page for somebody else's.
    WriteFileAtomically(file, ToPrettyText(ToJson(progress)) + "\n");
  }
  MigrationReport report{.name_space = plan.name_space, .resumed_at = progress.copied};
  CopyPages(ctx, from, to, progress, file, say);
  report.copied = progress.copied;
  Correct(ctx, from, to, progress, report);
  CompareFound(ctx, from, to, plan, report);
  return report;
}

namespace {

std::filesystem::path NamesFile(const std::filesystem::path& home) { return home / "index_names.json"; }

std::map<std::string, std::string> ReadNames(const std::filesystem::path& home) {
  if (!std::filesystem::exists(NamesFile(home))) return {};
  return Within("'" + NamesFile(home).string() + "'", [&] { return FromJson<std::map<std::string, std::string>>(ParseJson(ReadFile(NamesFile(home)))); });
}

}  // namespace

std::string ResolveIndexUrl(const std::filesystem::path& home, std::string_view url) {
  if (!url.starts_with("alias:")) return std::string(url);
  const auto names = ReadNames(home);
  if (const auto found = names.find(std::string(url.substr(6))); found != names.end()) return found->second;
  std::string known;
  for (const auto& [name, target] : names) known += (known.empty() ? "" : ", ") + name;
  throw Error(Code::kNotFound, "no index is called '" + std::string(url.substr(6)) + "'" + (known.empty() ? "; 'tenfold migrate index A B --switch NAME' names one" : "; there are " + known));
}

void SwitchIndexName(const std::filesystem::path& home, const std::string& name, const std::string& from, const std::string& to) {
  if (name.empty() || name.size() > 64 || !std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_'; }))
    throw Error(Code::kInvalidArgument, "the name of an index has 1 to 64 letters, digits, '-' and '_'");
  std::filesystem::create_directories(home);
  const Lock lock(home / "index_names.lock");
  auto names = ReadNames(home);
  if (const auto found = names.find(name); found != names.end() && found->second != from && found->second != to)
    throw Error(Code::kFailedPrecondition, "'" + name + "' stands for '" + found->second + "', not for the index that was copied");
  names[name] = to;
  WriteFileAtomically(NamesFile(home), ToPrettyText(ToJson(names)) + "\n");
}

}  // namespace tenfold::app
