// The embedded Store: SQLite in WAL mode, one writer thread with group commit, a pool of readers.
//
// Group commit: callers queue their work; the writer runs all that wait in one SQLite transaction, each in its own savepoint so that one that throws
// takes nothing with it, and one fsync makes them durable together. With one caller this costs one fsync per write; with 32 about one per 32.
#include <sqlite3.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include "base/clock.h"
#include "base/log.h"
#include "data/store.h"

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

[[noreturn]] void ThrowSqlite(sqlite3* db, int rc, std::string_view doing) {
  const int extended = db ? sqlite3_extended_errcode(db) : rc;
  // After a failed fsync the kernel may have dropped the dirty pages: nothing said afterwards about durability would be true.
  TENFOLD_CHECK(extended != SQLITE_IOERR_FSYNC && extended != SQLITE_IOERR_DIR_FSYNC);
  const std::string message = std::string(doing) + ": " + (db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
  switch (rc & 0xff) {
    case SQLITE_FULL: throw Error(Code::kResourceExhausted, message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED: throw Error(Code::kUnavailable, message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: throw Error(Code::kDataLoss, message);
    case SQLITE_CONSTRAINT: throw Error(Code::kAlreadyExists, message);
    case SQLITE_NOMEM: throw Error(Code::kResourceExhausted, message);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM: throw Error(Code::kPermissionDenied, message);
    case SQLITE_IOERR: throw Error(Code::kUnavailable, message);
    default: throw Error(Code::kInternal, message);
  }
}

/// One SQLite handle with its prepared statements. Used by one thread at a time.
class Database {
 public:
  Database(const std::string& path, bool writer) {
    const int rc = sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    if (rc != SQLITE_OK) {
      const std::string message = "open store '" + path + "': " + (db_ ? sqlite3_errmsg(db_) : sqlite3_errstr(rc));
      sqlite3_close(db_);
      throw Error(Code::kPermissionDenied, message);
    }
    sqlite3_extended_result_codes(db_, 1);
    sqlite3_busy_timeout(db_, 5000);
    try {
      Run("PRAGMA journal_mode=WAL");
      Run("PRAGMA synchronous=FULL");
      Run("PRAGMA foreign_keys=OFF");
      Run(writer ? "PRAGMA cache_size=-16000" : "PRAGMA cache_size=-2000");
      Run("PRAGMA mmap_size=268435456");
      Run("PRAGMA wal_autocheckpoint=0");  // Checkpoints does it
      Run("PRAGMA temp_store=MEMORY");  // what a savepoint may have to undo is not written to a file
    } catch (...) {
      sqlite3_close(db_);  // a file that is no store: the destructor of what never was does not run
      throw;
    }
  }
  ~Database() {
    for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
    sqlite3_close(db_);
  }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void Run(const std::string& sql) {
    const int rc = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
    if (rc != SQLITE_OK) ThrowSqlite(db_, rc, "store");
  }

  /// Binds `values` from position 1 and calls `row` for each result row. The statement is reset afterwards whatever happens.
  template <class Row>
  void Query(const std::string& sql, std::span<const Value> values, Row&& row) {
    auto& statement = statements_[sql];
    if (!statement) {
      const int rc = sqlite3_prepare_v3(db_, sql.c_str(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
      if (rc != SQLITE_OK) ThrowSqlite(db_, rc, "store");
    }
    TENFOLD_CHECK(!sqlite3_stmt_busy(statement));  // the same query inside its own visit
    struct Reset {
      sqlite3_stmt* statement;
      ~Reset() {
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
      }
    } const reset{statement};
    for (std::size_t i = 0; i < values.size(); ++i) Bind(statement, static_cast<int>(i + 1), values[i]);
    for (;;) {
      const int rc = sqlite3_step(statement);
      if (rc == SQLITE_DONE) return;
      if (rc != SQLITE_ROW) ThrowSqlite(db_, rc, "store");
      row(statement);
    }
  }
  void Execute(const std::string& sql, std::span<const Value> values = {}) {
    Query(sql, values, [](sqlite3_stmt*) {});
  }
  std::int64_t QueryNumber(const std::string& sql, std::span<const Value> values = {}) {
    std::int64_t number = 0;
    Query(sql, values, [&](sqlite3_stmt* s) { number = sqlite3_column_int64(s, 0); });
    return number;
  }
  int changes() const { return sqlite3_changes(db_); }
  sqlite3* handle() const { return db_; }

 private:
  static void Bind(sqlite3_stmt* statement, int at, const Value& value) {
    // The values outlive the step, so SQLite need not copy them.
    if (const auto* number = std::get_if<std::int64_t>(&value)) sqlite3_bind_int64(statement, at, *number);
    else if (const auto* real = std::get_if<double>(&value)) sqlite3_bind_double(statement, at, *real);
    else if (const auto* text = std::get_if<std::string>(&value)) sqlite3_bind_text64(statement, at, text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
    else if (const auto* blob = std::get_if<Blob>(&value)) sqlite3_bind_blob64(statement, at, blob->bytes.data(), blob->bytes.size(), SQLITE_STATIC);
    else sqlite3_bind_null(statement, at);
  }

  sqlite3* db_ = nullptr;
  std::unordered_map<std::string, sqlite3_stmt*> statements_;
};

/// Moves what is committed from the log into the file, beside the writer: it took 7 % of the writer's processor time in ingest_bench, and its waits for the disk besides.
/// Threads: Notice is called by the writer.
class Checkpoints {
 public:
  explicit Checkpoints(const std::string& path) : db_(path, false), thread_([this] { Loop(); }) {}
  ~Checkpoints() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wanted_.notify_all();
    thread_.join();
  }
  Checkpoints(const Checkpoints&) = delete;
  Checkpoints& operator=(const Checkpoints&) = delete;

  /// `pages` are in the log after a commit. A log that grows though the disk is at work waits here: it is read as a whole after a crash.
  void Notice(int pages) {
    if (pages < kPages) return;
    {
      const std::lock_guard lock(mutex_);
      due_ = true;
    }
    wanted_.notify_all();
    if (pages >= kMostPages) Move();
  }

 private:
  static constexpr int kPages = 4000;         // 16 MB
  static constexpr int kMostPages = 48'000;  // 192 MB

  void Move() {
    const std::lock_guard lock(at_work_);
    const int rc = sqlite3_wal_checkpoint_v2(db_.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    if (rc == SQLITE_OK || rc == SQLITE_BUSY) return;
    try {
      ThrowSqlite(db_.handle(), rc, "move the log into the store");
    } catch (const Error& e) {  // a full disk: the log holds what the file does not, and the next commit tries again
      Log(LogLevel::kWarning, "the store's log stays as it is", {{"error", e.message()}});
    }
  }
  void Loop() {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        wanted_.wait(lock, [&] { return due_ || stopping_; });
        if (stopping_) return;
        due_ = false;
      }
      Move();
    }
  }

  Database db_;
  std::mutex at_work_;
  std::mutex mutex_;
  std::condition_variable wanted_;
  bool due_ = false, stopping_ = false;
  std::thread thread_;
};

Value ColumnValue(sqlite3_stmt* statement, int at) {
  const auto bytes = [&](const void* data) { return std::string(static_cast<const char*>(data), static_cast<std::size_t>(sqlite3_column_bytes(statement, at))); };
  switch (sqlite3_column_type(statement, at)) {
    case SQLITE_INTEGER: return sqlite3_column_int64(statement, at);
    case SQLITE_FLOAT: return sqlite3_column_double(statement, at);
    case SQLITE_TEXT: return bytes(sqlite3_column_text(statement, at));
    case SQLITE_BLOB: {
      const void* data = sqlite3_column_blob(statement, at);
      return Blob{data ? bytes(data) : std::string()};
    }
    default: return nullptr;
  }
}

std::string Quote(std::string_view name) { return "\"" + std::string(name) + "\""; }

std::string ColumnList(const Table& table) {
  std::string out;
  for (const auto& column : table.columns) out += (out.empty() ? "" : ",") + Quote(column.name);
  return out;
}

std::string WhereClause(const Query& query, std::vector<Value>& values) {
  std::string out;
  for (const auto& condition : query.where) {
    const char* op = "=";
    switch (condition.compare) {
      case Compare::kEqual: op = "="; break;
      case Compare::kLess: op = "<"; break;
      case Compare::kGreater: op = ">"; break;
      case Compare::kGreaterOrEqual: op = ">="; break;
    }
    out += (out.empty() ? " WHERE " : " AND ") + Quote(condition.field) + op + "?";
    values.push_back(condition.value);
  }
  return out;
}

class SqliteConnection : public Connection {
 public:
  SqliteConnection(Database& db, const std::vector<Table>& tables) : db_(db), tables_(tables) {}

  void Visit(const Table& table, const Query& query, const std::function<void(std::vector<Value>&)>& visit) override {
    std::vector<Value> values;
    const auto where = WhereClause(query, values);
    const auto sql = "SELECT " + ColumnList(table) + " FROM " + Quote(table.name) + where + " ORDER BY " + Quote(query.order.empty() ? table.key : query.order) +
                     (query.descending ? " DESC" : "") + " LIMIT ?";
    values.emplace_back(query.limit == Query::kNoLimit ? std::int64_t{-1} : static_cast<std::int64_t>(query.limit));
    std::vector<Value> row(table.columns.size());
    db_.Query(sql, values, [&](sqlite3_stmt* s) {
      for (std::size_t i = 0; i < row.size(); ++i) row[i] = ColumnValue(s, static_cast<int>(i));
      visit(row);
    });
  }

  std::int64_t Count(const Table& table, const Query& query) override {
    std::vector<Value> values;
    const auto where = WhereClause(query, values);
    return db_.QueryNumber("SELECT count(*) FROM " + Quote(table.name) + where, values);
  }

  void Upsert(const Table& table, std::span<const Value> row, bool replace) override {
    TENFOLD_CHECK(writing_);
    auto& sql = (replace ? replaces_ : inserts_)[&table];
    if (sql.empty()) {
      std::string marks;
      for (std::size_t i = 0; i < row.size(); ++i) marks += i ? ",?" : "?";
      sql = (replace ? "INSERT OR REPLACE INTO " : "INSERT INTO ") + Quote(table.name) + "(" + ColumnList(table) + ") VALUES(" + marks + ")";
    }
    std::size_t key = 0;
    while (table.columns[key].name != table.key) ++key;
    try {
      db_.Execute(sql, row);
    } catch (const Error& e) {
      if (e.code() != Code::kAlreadyExists) throw;
      throw Error(Code::kAlreadyExists, table.name + " '" + std::get<std::string>(row[key]) + "' already exists");
    }
    pending_.push_back({0, table.name, std::get<std::string>(row[key]), ChangeKind::kPut});
  }

  bool Remove(const Table& table, std::string_view key) override {
    TENFOLD_CHECK(writing_);
    const Value value = std::string(key);
    db_.Execute("DELETE FROM " + Quote(table.name) + " WHERE " + Quote(table.key) + "=?", {&value, 1});
    const bool removed = db_.changes() > 0;
    if (removed) pending_.push_back({0, table.name, std::string(key), ChangeKind::kDelete});
    for (const auto& child : tables_) {
      for (const auto& parent : child.parents) {
        if (parent.table != table.name) continue;
        std::vector<std::string> keys;
        db_.Query("SELECT " + Quote(child.key) + " FROM " + Quote(child.name) + " WHERE " + Quote(parent.field) + "=?", {&value, 1},
                  [&](sqlite3_stmt* s) { keys.push_back(std::get<std::string>(ColumnValue(s, 0))); });
        for (const auto& child_key : keys) Remove(child, child_key);
      }
    }
    return removed;
  }

  void set_writing(bool writing) { writing_ = writing; }
  std::vector<Change>& pending() { return pending_; }

 private:
  Database& db_;
  const std::vector<Table>& tables_;
  bool writing_ = false;
  std::vector<Change> pending_;
  std::unordered_map<const Table*, std::string> inserts_, replaces_;  // the tables live as long as the program
};

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
    for (std::size_t i = 0; i < kReaders; ++i) idle_.push_back(std::make_unique<Database>(path_, false));
    thread_ = std::thread([this] { WriteLoop(); });
  }

  ~SqliteStore() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    work_ready_.notify_all();
    thread_.join();
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
      db.Run("BEGIN");
      struct End {
        Database& db;
        ~End() { sqlite3_exec(db.handle(), "COMMIT", nullptr, nullptr, nullptr); }
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

  template <class F>
  void WithReader(F&& work) {
    std::unique_ptr<Database> db;
    {
      std::unique_lock lock(readers_mutex_);
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
    db_.Run("CREATE TABLE IF NOT EXISTS tenfold_meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID");
    db_.Run("INSERT OR IGNORE INTO tenfold_meta VALUES('commit',0),('format'," + std::to_string(kFormat) + ")");
    const auto format = db_.QueryNumber("SELECT value FROM tenfold_meta WHERE name='format'");
    if (format > kFormat)
      throw Error(Code::kFailedPrecondition, "store '" + path_ + "' has format " + std::to_string(format) + ", this program reads up to " + std::to_string(kFormat) + "; use a newer one");
    db_.Run("BEGIN IMMEDIATE");
    // The feed of a store from before it had `seq` starts anew: who follows it loads again.
    if (db_.QueryNumber("SELECT count(*) FROM pragma_table_info('tenfold_changes')") > 0 && db_.QueryNumber("SELECT count(*) FROM pragma_table_info('tenfold_changes') WHERE name='seq'") == 0)
      db_.Run("DROP TABLE tenfold_changes");
    db_.Run("CREATE TABLE IF NOT EXISTS tenfold_changes(number INTEGER NOT NULL, seq INTEGER NOT NULL, row_table TEXT NOT NULL, row_key TEXT NOT NULL, deleted INTEGER NOT NULL, PRIMARY KEY(number, seq)) WITHOUT ROWID");
    for (const auto& table : tables_) {
      std::string columns;
      for (const auto& column : table.columns) {
        static constexpr const char* kKinds[] = {"INTEGER", "REAL", "TEXT", "BLOB"};
        columns += (columns.empty() ? "" : ", ") + Quote(column.name) + " " + kKinds[static_cast<int>(column.kind)] + (column.name == table.key ? " PRIMARY KEY NOT NULL" : "");
      }
      db_.Run("CREATE TABLE IF NOT EXISTS " + Quote(table.name) + "(" + columns + ")");
      std::vector<std::string> present;
      db_.Query("SELECT name FROM pragma_table_info('" + table.name + "')", {}, [&](sqlite3_stmt* s) { present.push_back(std::get<std::string>(ColumnValue(s, 0))); });
      for (const auto& column : table.columns)
        if (std::find(present.begin(), present.end(), column.name) == present.end()) db_.Run("ALTER TABLE " + Quote(table.name) + " ADD COLUMN " + Quote(column.name));
      for (const auto& field : table.indexes)
        db_.Run("CREATE INDEX IF NOT EXISTS " + Quote(table.name + "_" + field) + " ON " + Quote(table.name) + "(" + Quote(field) + ")");
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
    std::vector<Job*> batch;
    for (;;) {
      batch.clear();
      {
        std::unique_lock lock(mutex_);
        work_ready_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;
        while (!queue_.empty() && batch.size() < kMaxBatch) {
          batch.push_back(queue_.front());
          queue_.pop_front();
        }
      }
      RunBatch(batch);
      {
        const std::lock_guard lock(mutex_);
        for (auto* job : batch) job->done = true;
      }
      job_done_.notify_all();
    }
  }

  void RunBatch(std::vector<Job*>& batch) {
    std::vector<Change> changes;
    Commit next = commit_.load();
    writer_.set_writing(true);
    try {
      db_.Execute("BEGIN IMMEDIATE");
      for (auto* job : batch) {
        db_.Execute("SAVEPOINT job");
        writer_.pending().clear();
        try {
          WriteTx tx(writer_, next);
          (*job->work)(tx);
          db_.Execute("RELEASE job");
        } catch (...) {
          job->error = std::current_exception();
          db_.Execute("ROLLBACK TO job");
          db_.Execute("RELEASE job");
          continue;
        }
        if (!writer_.pending().empty()) ++next;
        job->commit = next;
        std::int64_t seq = 0;
        for (auto& change : writer_.pending()) {
          change.commit = next;
          const Value values[] = {static_cast<std::int64_t>(next), ++seq, change.table, change.key, static_cast<std::int64_t>(change.kind == ChangeKind::kDelete)};
          db_.Execute("INSERT INTO tenfold_changes VALUES(?,?,?,?,?)", values);
          changes.push_back(std::move(change));
        }
      }
      const Value number = static_cast<std::int64_t>(next);
      db_.Execute("UPDATE tenfold_meta SET value=? WHERE name='commit'", {&number, 1});
      if (next / 4096 != commit_.load() / 4096 && next > kChangesKept) {
        const Value before = static_cast<std::int64_t>(next - kChangesKept);
        db_.Execute("DELETE FROM tenfold_changes WHERE number<?", {&before, 1});
      }
      db_.Execute("COMMIT");
    } catch (...) {
      const auto error = std::current_exception();
      sqlite3_exec(db_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
      for (auto* job : batch)
        if (!job->error) job->error = error;
      writer_.set_writing(false);
      return;
    }
    writer_.set_writing(false);
    commit_.store(next, std::memory_order_release);
    checkpoints_->Notice(pages_in_log_);
    if (changes.empty()) return;
    ReadTx tx(writer_, next);
    for (auto* follower : followers_) {
      try {
        follower->Apply(changes, tx);
      } catch (const std::exception& e) {
        // The commit stands; a follower that cannot follow must not serve what may be forbidden by now.
        Log(LogLevel::kError, "follower failed", {{"follower", follower->name()}, {"error", e.what()}});
        TENFOLD_CHECK(!"a follower lost its place");
      }
    }
  }

  const std::string path_;
  const std::vector<Table> tables_;
  Database db_;
  SqliteConnection writer_;
  std::uint64_t epoch_ = 0;
  int pages_in_log_ = 0;  // writer's thread only
  std::optional<Checkpoints> checkpoints_;
  std::atomic<Commit> commit_{0};
  std::vector<Follower*> followers_;  // writer's thread only

  std::mutex mutex_;
  std::condition_variable work_ready_, job_done_;
  std::deque<Job*> queue_;
  bool stopping_ = false;

  std::mutex readers_mutex_;
  std::condition_variable reader_idle_;
  std::vector<std::unique_ptr<Database>> idle_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Store> OpenSqliteStore(std::string_view path, std::vector<Table> tables) {
  return std::make_unique<SqliteStore>(std::string(path), std::move(tables));
}

}  // namespace tenfold::data
