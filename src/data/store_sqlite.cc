// The embedded Store: SQLite in WAL mode, one writer thread with group commit, a pool of readers.
//
// Group commit: callers queue their work; the writer runs all that wait in one SQLite transaction, each in its own savepoint so that one that throws
// takes nothing with it, and one fsync makes them durable together. With one caller this costs one fsync per write; with 32 about one per 32.
// Followers are told beside the writer (store_followers.h), and callers after them.
#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "data/sqlite_connection.h"
#include "data/sqlite_database.h"
#include "data/store.h"
#include "data/store_followers.h"

namespace tenfold::data {
namespace {

constexpr std::size_t kMaxQueuedWrites = 4096;
constexpr std::size_t kMaxBatch = 512;
constexpr std::size_t kReaders = 8;
constexpr std::int64_t kFormat = 1;
constexpr Commit kChangesKept = 200'000;
constexpr std::int64_t kEpochsKept = 1000;
// A follower that would have to catch up on more loads anew: a change costs about what a row does.
constexpr std::size_t kMostCaughtUp = 500'000;

/// As Store::ChangesSince. `limit` may be Query::kNoLimit.
std::vector<Change> ChangesAfter(Database& db, Commit seen, std::size_t limit) {
  const auto oldest = static_cast<Commit>(db.QueryNumber("SELECT coalesce(min(number),0) FROM tenfold_changes"));
  const auto newest = static_cast<Commit>(db.QueryNumber("SELECT value FROM tenfold_meta WHERE name='commit'"));
  if (seen < newest && (oldest == 0 || seen + 1 < oldest)) throw Error(Code::kFailedPrecondition, "changes since commit " + std::to_string(seen) + " were trimmed");
  std::vector<Change> out;
  const Value values[] = {static_cast<std::int64_t>(seen), limit == Query::kNoLimit ? std::int64_t{-1} : static_cast<std::int64_t>(limit)};
  db.Query("SELECT number,row_table,row_key,deleted FROM tenfold_changes WHERE number>? ORDER BY number,seq LIMIT ?", values, [&](sqlite3_stmt* s) {
    out.push_back({static_cast<Commit>(sqlite3_column_int64(s, 0)), std::get<std::string>(ColumnValue(s, 1)), std::get<std::string>(ColumnValue(s, 2)),
                   sqlite3_column_int64(s, 3) ? ChangeKind::kDelete : ChangeKind::kPut});
  });
  return out;
}

/// Each opening of a store for writing is an epoch with a number by chance, kept in the store with the commit it began at. So two stores that were once the same, and have
/// been opened since, differ in their epochs, whatever their commits are; and no file is written that a copy of the store could lack.
class SqliteHistory : public History {
 public:
  SqliteHistory(Database& db, std::uint64_t epoch, Commit now) : db_(db), epoch_(epoch), now_(now) {}
  std::uint64_t epoch() const override { return epoch_; }
  bool Holds(Commit commit, std::uint64_t epoch) override {
    if (commit > now_) return false;
    const Value token = static_cast<std::int64_t>(epoch);
    std::int64_t number = -1;
    Commit begin = 0, end = now_;
    db_.Query("SELECT number,begun_at FROM tenfold_epochs WHERE token=?", {&token, 1}, [&](sqlite3_stmt* s) {
      number = sqlite3_column_int64(s, 0);
      begin = static_cast<Commit>(sqlite3_column_int64(s, 1));
    });
    if (number < 0) return false;
    const Value after = number;
    db_.Query("SELECT begun_at FROM tenfold_epochs WHERE number>? ORDER BY number LIMIT 1", {&after, 1}, [&](sqlite3_stmt* s) { end = static_cast<Commit>(sqlite3_column_int64(s, 0)); });
    if (commit < begin || commit > end) return false;
    if (commit == now_) return true;
    if (static_cast<Commit>(db_.QueryNumber("SELECT coalesce(min(number),0) FROM tenfold_changes")) > commit + 1) return false;
    const Value values[] = {static_cast<std::int64_t>(commit), static_cast<std::int64_t>(kMostCaughtUp + 1)};
    const auto since = db_.QueryNumber("SELECT count(*) FROM (SELECT 1 FROM tenfold_changes WHERE number>? LIMIT ?)", values);
    return since > 0 && since <= static_cast<std::int64_t>(kMostCaughtUp);
  }

 private:
  Database& db_;
  const std::uint64_t epoch_;
  const Commit now_;
};

class SqliteStore : public Store {
 public:
  SqliteStore(std::string path, std::vector<Table> tables) : path_(std::move(path)), tables_(std::move(tables)), db_(path_, true), writer_(db_, tables_) {
    Migrate();
    commit_ = static_cast<Commit>(db_.QueryNumber("SELECT value FROM tenfold_meta WHERE name='commit'"));
    sqlite3_wal_hook(
        db_.handle(),
        [](void* pages, sqlite3*, const char*, int in_log) {
          *static_cast<int*>(pages) = in_log;
          return SQLITE_OK;
        },
        &pages_in_log_);
    checkpoints_.emplace(path_);
    following_.emplace(path_, tables_, db_);
    idle_.push_back(std::make_unique<Database>(path_, false));
    thread_ = std::thread([this] { WriteLoop(); });
    pthread_setname_np(thread_.native_handle(), "store writer");
  }

  ~SqliteStore() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    work_ready_.notify_all();
    thread_.join();
    following_.reset();
  }

  Commit Write(const Context& ctx, const std::function<void(WriteTx&)>& work) override {
    ctx.Check();
    Job job{&work, {}, 0, false};
    Queue(job);
    return WaitFor(job);
  }

  std::unique_ptr<PendingWrite> BeginWrite(const Context& ctx, std::function<void(WriteTx&)> work) override {
    ctx.Check();
    auto begun = std::make_unique<Begun>(*this, std::move(work));
    Queue(begun->job);
    begun->queued = true;
    return begun;
  }

  Commit commit() const override { return commit_.load(std::memory_order_acquire); }

  std::vector<Change> ChangesSince(const Context& ctx, Commit seen, std::size_t limit) override {
    ctx.Check();
    std::vector<Change> out;
    WithReader([&](Database& db) { out = ChangesAfter(db, seen, limit); });
    return out;
  }

  void Follow(Follower& follower) override {
    // As a job of the writer: nothing is committed between Load and the first Apply.
    const std::function<void(WriteTx&)> work = [&](WriteTx& tx) {
      following_->WaitUntilIdle();  // one follower may look at another
      SqliteHistory history(db_, epoch_, tx.commit());
      const auto reached = follower.Restore(history, tx);
      if (!reached) follower.Load(tx);
      else if (const auto changes = ChangesAfter(db_, *reached, Query::kNoLimit); !changes.empty()) follower.Apply(changes, tx);
      followers_.push_back(&follower);
    };
    Write(Context::System("follow"), work);
  }

  Commit Backup(const Context& ctx, const std::string& path) override {
    ctx.Check();
    Commit at = 0;
    WithReader([&](Database& db) {
      const Value target = path;
      db.Execute("VACUUM INTO ?", {&target, 1});
    });
    Database copy(path, false);
    at = static_cast<Commit>(copy.QueryNumber("SELECT value FROM tenfold_meta WHERE name='commit'"));
    return at;
  }

  void CheckIntegrity(const Context& ctx) override {
    ctx.Check();
    WithReader([&](Database& db) {
      db.Query("PRAGMA integrity_check(1)", {}, [&](sqlite3_stmt* s) {
        const auto finding = std::get<std::string>(ColumnValue(s, 0));
        if (finding != "ok") throw Error(Code::kDataLoss, "store '" + path_ + "': " + finding);
      });
    });
  }

 protected:
  void ReadWith(const Context& ctx, const std::function<void(ReadTx&)>& work) override {
    ctx.Check();
    WithReader([&](Database& db) {
      db.Execute("BEGIN");
      struct End {
        Database& db;
        ~End() {
          try {
            db.Execute("COMMIT");
          } catch (const std::exception&) {  // of reads alone there is nothing to lose
            sqlite3_exec(db.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
          }
        }
      } const end{db};
      const auto at = static_cast<Commit>(db.QueryNumber("SELECT value FROM tenfold_meta WHERE name='commit'"));
      SqliteConnection connection(db, tables_);
      ReadTx tx(connection, at);
      work(tx);
    });
  }

 private:
  struct Job {
    const std::function<void(WriteTx&)>* work;
    std::exception_ptr error;
    Commit commit;
    bool done;
  };

  /// A handle reads the whole schema when it is opened, 1 to 2 ms, so most are when somebody waits for them.
  void OpenReader(std::unique_lock<std::mutex>& lock) {
    ++readers_;
    lock.unlock();
    std::unique_ptr<Database> opened;
    try {
      opened = std::make_unique<Database>(path_, false);
    } catch (const Error& e) {  // no file handle left, say: those there are serve
      Log(LogLevel::kWarning, "the store reads with fewer handles", {{"error", e.message()}});
    }
    lock.lock();
    if (opened) idle_.push_back(std::move(opened));
    else --readers_;
  }

  template <class F>
  void WithReader(F&& work) {
    std::unique_ptr<Database> db;
    {
      std::unique_lock lock(readers_mutex_);
      if (idle_.empty() && readers_ < kReaders) OpenReader(lock);
      reader_idle_.wait(lock, [&] { return !idle_.empty(); });
      db = std::move(idle_.back());
      idle_.pop_back();
    }
    struct GiveBack {
      SqliteStore& store;
      std::unique_ptr<Database>& db;
      ~GiveBack() {
        {
          const std::lock_guard lock(store.readers_mutex_);
          store.idle_.push_back(std::move(db));
        }
        store.reader_idle_.notify_one();
      }
    } const give_back{*this, db};
    work(*db);
  }

  void Migrate() {
    db_.Run("BEGIN IMMEDIATE");  // all of it in one: each transaction of a new file waits for the disk
    db_.Run("CREATE TABLE IF NOT EXISTS tenfold_meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID");
    db_.Run("INSERT OR IGNORE INTO tenfold_meta VALUES('commit',0),('format'," + std::to_string(kFormat) + ")");
    const auto format = db_.QueryNumber("SELECT value FROM tenfold_meta WHERE name='format'");
    if (format > kFormat)
      throw Error(Code::kFailedPrecondition, "store '" + path_ + "' has format " + std::to_string(format) + ", this program reads up to " + std::to_string(kFormat) + "; use a newer one");
    // The feed of a store from before it had `seq` starts anew: who follows it loads again.
    if (db_.QueryNumber("SELECT count(*) FROM pragma_table_info('tenfold_changes')") > 0 && db_.QueryNumber("SELECT count(*) FROM pragma_table_info('tenfold_changes') WHERE name='seq'") == 0)
      db_.Run("DROP TABLE tenfold_changes");
    db_.Run("CREATE TABLE IF NOT EXISTS tenfold_changes(number INTEGER NOT NULL, seq INTEGER NOT NULL, row_table TEXT NOT NULL, row_key TEXT NOT NULL, deleted INTEGER NOT NULL, PRIMARY KEY(number, seq)) WITHOUT ROWID");
    for (const auto& table : tables_) {
      std::string columns;
      for (const auto& column : table.columns) {
        static constexpr const char* kKinds[] = {"INTEGER", "REAL", "TEXT", "BLOB"};
        columns += (columns.empty() ? "" : ", ") + QuoteSql(column.name) + " " + kKinds[static_cast<int>(column.kind)] + (column.name == table.key ? " PRIMARY KEY NOT NULL" : "");
      }
      db_.Run("CREATE TABLE IF NOT EXISTS " + QuoteSql(table.name) + "(" + columns + ")");
      std::vector<std::string> present;
      db_.Query("SELECT name FROM pragma_table_info('" + table.name + "')", {}, [&](sqlite3_stmt* s) { present.push_back(std::get<std::string>(ColumnValue(s, 0))); });
      for (const auto& column : table.columns)
        if (std::find(present.begin(), present.end(), column.name) == present.end()) db_.Run("ALTER TABLE " + QuoteSql(table.name) + " ADD COLUMN " + QuoteSql(column.name));
      std::vector<std::string> unused;  // what no table of this program asks for is not kept up to date for nobody
      const Value name = table.name;
      db_.Query("SELECT name FROM sqlite_master WHERE type='index' AND sql IS NOT NULL AND tbl_name=?", {&name, 1}, [&](sqlite3_stmt* s) {
        auto index = std::get<std::string>(ColumnValue(s, 0));
        if (std::none_of(table.indexes.begin(), table.indexes.end(), [&](const auto& field) { return index == table.name + "_" + field; })) unused.push_back(std::move(index));
      });
      for (const auto& index : unused) db_.Run("DROP INDEX " + QuoteSql(index));
      for (const auto& field : table.indexes)
        db_.Run("CREATE INDEX IF NOT EXISTS " + QuoteSql(table.name + "_" + field) + " ON " + QuoteSql(table.name) + "(" + QuoteSql(field) + ")");
    }
    db_.Run("CREATE TABLE IF NOT EXISTS tenfold_epochs(number INTEGER PRIMARY KEY, token INTEGER NOT NULL, begun_at INTEGER NOT NULL)");
    epoch_ = SystemRandom().Next();
    const Value token = static_cast<std::int64_t>(epoch_), kept = kEpochsKept;
    db_.Execute("INSERT INTO tenfold_epochs(token,begun_at) SELECT ?,value FROM tenfold_meta WHERE name='commit'", {&token, 1});
    db_.Execute("DELETE FROM tenfold_epochs WHERE number<=(SELECT max(number) FROM tenfold_epochs)-?", {&kept, 1});
    db_.Run("COMMIT");
  }

  void Queue(Job& job) {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= kMaxQueuedWrites) throw Error(Code::kResourceExhausted, "the store has " + std::to_string(kMaxQueuedWrites) + " writes waiting");
    if (stopping_) throw Error(Code::kUnavailable, "the store is closing");
    queue_.push_back(&job);
    work_ready_.notify_one();
  }

  /// The writer always finishes a job it has seen, so its caller waits for it even past its deadline: an answer must be true.
  Commit WaitFor(Job& job) {
    std::unique_lock lock(mutex_);
    job_done_.wait(lock, [&] { return job.done; });
    if (job.error) std::rethrow_exception(job.error);
    return job.commit;
  }

  struct Begun : PendingWrite {
    Begun(SqliteStore& s, std::function<void(WriteTx&)> w) : store(s), work(std::move(w)) {}
    ~Begun() override {
      if (!queued) return;
      std::unique_lock lock(store.mutex_);
      store.job_done_.wait(lock, [&] { return job.done; });
    }
    Commit Wait() override { return store.WaitFor(job); }
    SqliteStore& store;
    const std::function<void(WriteTx&)> work;
    Job job{&work, {}, 0, false};
    bool queued = false;
  };

  void WriteLoop() {
    for (;;) {
      std::vector<Job*> batch;
      {
        std::unique_lock lock(mutex_);
        work_ready_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;
        while (!queue_.empty() && batch.size() < kMaxBatch) {
          batch.push_back(queue_.front());
          queue_.pop_front();
        }
      }
      checkpoints_->ShortenIfLong(pages_in_log_, [&] { following_->WaitUntilIdle(); });
      auto written = RunBatch(batch);
      checkpoints_->Notice(pages_in_log_);
      written.followers = followers_;
      written.acknowledge = [this, batch = std::move(batch)] {
        {
          const std::lock_guard lock(mutex_);
          for (auto* job : batch) job->done = true;
        }
        job_done_.notify_all();
      };
      following_->Take(std::move(written));
    }
  }

  WrittenBatch RunBatch(std::vector<Job*>& batch) {
    WrittenBatch out;
    out.commit = commit_.load();
    writer_.set_writing(true);
    writer_.set_keep_rows(!followers_.empty());
    try {
      db_.Execute("BEGIN IMMEDIATE");
      for (auto* job : batch) RunJob(*job, batch.size() == 1, out);
      if (out.commit != commit_.load()) {
        const Value number = static_cast<std::int64_t>(out.commit);
        db_.Execute("UPDATE tenfold_meta SET value=? WHERE name='commit'", {&number, 1});
      }
      if (out.commit / 4096 != commit_.load() / 4096 && out.commit > kChangesKept) {
        const Value before = static_cast<std::int64_t>(out.commit - kChangesKept);
        db_.Execute("DELETE FROM tenfold_changes WHERE number<?", {&before, 1});
      }
      db_.Execute("COMMIT");
      commit_.store(out.commit, std::memory_order_release);
    } catch (...) {
      const auto error = std::current_exception();
      sqlite3_exec(db_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
      for (auto* job : batch)
        if (!job->error) job->error = error;
      out = {};
    }
    writer_.set_writing(false);
    writer_.ClearPending();
    return out;
  }

  /// One that is `alone` in its transaction needs no savepoint: for that SQLite would keep every page it changes as it was.
  void RunJob(Job& job, bool alone, WrittenBatch& out) {
    if (!alone) db_.Execute("SAVEPOINT job");
    writer_.ClearPending();
    try {
      WriteTx tx(writer_, out.commit);
      (*job.work)(tx);
      if (!alone) db_.Execute("RELEASE job");
    } catch (...) {
      job.error = std::current_exception();
      if (alone) throw;
      db_.Execute("ROLLBACK TO job");
      db_.Execute("RELEASE job");
      return;
    }
    if (!writer_.pending().empty()) ++out.commit;
    job.commit = out.commit;
    std::int64_t seq = 0;
    for (auto& [change, table, row] : writer_.pending()) {
      change.commit = out.commit;
      const Value values[] = {static_cast<std::int64_t>(out.commit), ++seq, change.table, change.key, static_cast<std::int64_t>(change.kind == ChangeKind::kDelete)};
      db_.Execute("INSERT INTO tenfold_changes VALUES(?,?,?,?,?)", values);
      if (change.kind == ChangeKind::kDelete) out.rows.Remove(*table, change.key);
      else if (row.empty()) out.rows.Forget(*table, change.key);
      else out.rows.Put(*table, change.key, std::move(row));
      out.changes.push_back(std::move(change));
    }
  }

  const std::string path_;
  const std::vector<Table> tables_;
  Database db_;
  SqliteConnection writer_;
  std::uint64_t epoch_ = 0;
  int pages_in_log_ = 0;  // writer's thread only
  std::optional<Checkpoints> checkpoints_;
  std::optional<StoreFollowing> following_;
  std::atomic<Commit> commit_{0};
  std::vector<Follower*> followers_;  // writer's thread only

  std::mutex mutex_;
  std::condition_variable work_ready_, job_done_;
  std::deque<Job*> queue_;
  bool stopping_ = false;

  std::mutex readers_mutex_;
  std::condition_variable reader_idle_;
  std::vector<std::unique_ptr<Database>> idle_;
  std::size_t readers_ = 1;  // idle or at work
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Store> OpenSqliteStore(std::string_view path, std::vector<Table> tables) {
  return std::make_unique<SqliteStore>(std::string(path), std::move(tables));
}

}  // namespace tenfold::data
