#include "data/sqlite_database.h"

#include "base/log.h"

namespace tenfold::data {

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

std::string QuoteSql(std::string_view name) { return "\"" + std::string(name) + "\""; }

std::string ColumnList(const Table& table) {
  std::string out;
  for (const auto& column : table.columns) out += (out.empty() ? "" : ",") + QuoteSql(column.name);
  return out;
}

std::string SelectOf(const Table& table) { return "SELECT " + ColumnList(table) + " FROM " + QuoteSql(table.name); }

Database::Database(const std::string& path, bool writer) {
  const int rc = sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (rc != SQLITE_OK) {
    const std::string message = "open store '" + path + "': " + (db_ ? sqlite3_errmsg(db_) : sqlite3_errstr(rc));
    sqlite3_close(db_);
    throw Error(Code::kPermissionDenied, message);
  }
  sqlite3_extended_result_codes(db_, 1);
  sqlite3_busy_timeout(db_, 5000);
  try {
    // Of a new file. A passage with its vectors is a little more than 4 kB: in pages of 8 kB ingest_bench took 15 % less processor time, in 16 kB more again.
    Run("PRAGMA page_size=8192");
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

void Database::Bind(sqlite3_stmt* statement, int at, const Value& value) {
  // The values outlive the step, so SQLite need not copy them.
  if (const auto* number = std::get_if<std::int64_t>(&value)) sqlite3_bind_int64(statement, at, *number);
  else if (const auto* real = std::get_if<double>(&value)) sqlite3_bind_double(statement, at, *real);
  else if (const auto* text = std::get_if<std::string>(&value)) sqlite3_bind_text64(statement, at, text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
  else if (const auto* blob = std::get_if<Blob>(&value)) sqlite3_bind_blob64(statement, at, blob->bytes.data(), blob->bytes.size(), SQLITE_STATIC);
  else sqlite3_bind_null(statement, at);
}

void Checkpoints::Move() {
  const std::lock_guard lock(at_work_);
  const int rc = sqlite3_wal_checkpoint_v2(db_.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (rc == SQLITE_OK || rc == SQLITE_BUSY) return;
  try {
    ThrowSqlite(db_.handle(), rc, "move the log into the store");
  } catch (const Error& e) {  // a full disk: the log holds what the file does not, and the next commit tries again
    Log(LogLevel::kWarning, "the store's log stays as it is", {{"error", e.message()}});
  }
}

void Checkpoints::Loop() {
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

}  // namespace tenfold::data
