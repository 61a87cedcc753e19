#pragma once
/// \file SQLite as the embedded store uses it: one handle with its statements, and the thread that moves the log into the file.
#include <sqlite3.h>

#include <condition_variable>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "data/store.h"

namespace tenfold::data {

/// `rc` as an Error. A failed fsync ends the program: nothing said afterwards about durability would be true.
[[noreturn]] void ThrowSqlite(sqlite3* db, int rc, std::string_view doing);

std::string QuoteSql(std::string_view name);
std::string ColumnList(const Table& table);
/// "SELECT columns FROM table".
std::string SelectOf(const Table& table);

/// One SQLite handle with its prepared statements. Used by one thread at a time.
class Database {
 public:
  Database(const std::string& path, bool writer);
  ~Database() {
    for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
    for (auto& [table, statement] : by_key_) sqlite3_finalize(statement);
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
    Step(Prepared(statements_[sql], sql), values, std::forward<Row>(row));
  }
  /// The row of `table` whose key `value` is. Its statement is found by the table's address, which lives as long as the program: writing and hashing the SQL took as long as reading the row.
  template <class Row>
  void QueryByKey(const Table& table, const Value& value, Row&& row) {
    auto& statement = by_key_[&table];
    if (!statement) Prepared(statement, SelectOf(table) + " WHERE " + QuoteSql(table.key) + "=?");
    Step(statement, {&value, 1}, std::forward<Row>(row));
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
  sqlite3_stmt* Prepared(sqlite3_stmt*& statement, const std::string& sql) {
    if (!statement) {
      const int rc = sqlite3_prepare_v3(db_, sql.c_str(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
      if (rc != SQLITE_OK) ThrowSqlite(db_, rc, "store");
    }
    return statement;
  }
  template <class Row>
  void Step(sqlite3_stmt* statement, std::span<const Value> values, Row&& row) {
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
  static void Bind(sqlite3_stmt* statement, int at, const Value& value);

  sqlite3* db_ = nullptr;
  std::unordered_map<std::string, sqlite3_stmt*> statements_;
  std::unordered_map<const Table*, sqlite3_stmt*> by_key_;
};

/// Moves what is committed from the log into the file, beside the writer: it took 7 % of the writer's processor time in ingest_bench, and its waits for the disk besides.
/// Threads: Notice and ShortenIfLong are called by the writer.
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

  /// `pages` are in the log after a commit. It is moved each time so many have come: pages that change again and again are written, and the disk waited for, once for them.
  void Notice(int pages) {
    if (pages < noticed_) noticed_ = 0;  // it has begun anew
    if (pages < noticed_ + kPages) return;
    noticed_ = pages;
    {
      const std::lock_guard lock(mutex_);
      due_ = true;
    }
    wanted_.notify_all();
  }
  /// Before a write. A long log is moved whole, with nobody of the store's own reading from it (`let_go` sees to that), so that the write begins it anew: writes that follow
  /// one another closely would lengthen it for ever, and it is read as a whole after a crash.
  template <class F>
  void ShortenIfLong(int pages, F&& let_go) {
    if (pages < kLongPages) again_at_ = kLongPages;
    if (pages < again_at_) return;
    let_go();
    Move();
    again_at_ = pages + kPages;  // for as long as somebody else reads from it
  }

 private:
  static constexpr int kPages = 2000;      // 16 MB
  static constexpr int kLongPages = 8000;  // 64 MB

  void Move();
  void Loop();

  Database db_;
  std::mutex at_work_;
  std::mutex mutex_;
  std::condition_variable wanted_;
  int noticed_ = 0, again_at_ = kLongPages;  // writer's thread only
  bool due_ = false, stopping_ = false;
  std::thread thread_;
};

Value ColumnValue(sqlite3_stmt* statement, int at);

}  // namespace tenfold::data
