#pragma once
/// \file Described rows in SQL, and the rows of one batch of writes as they stand at its end.
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "data/sqlite_database.h"
#include "data/store.h"

namespace tenfold::data {

/// What a batch of writes left of the rows it touched, so that followers do not read back from SQLite what was just written: in ingest_bench that was a fifth of what
/// following a commit took. Rows beyond kMostBytes are not held: they are read from the store. Threads: one at a time.
class WrittenRows {
 public:
  static constexpr std::size_t kMostBytes = 64u << 20;
  /// `table` outlives this. The newest word on a row is the one that counts.
  void Put(const Table& table, const std::string& key, std::vector<Value> row);
  void Remove(const Table& table, const std::string& key);
  /// What it is now is not known here.
  void Forget(const Table& table, const std::string& key);

  enum class Known : std::uint8_t { kNo, kRemoved, kRow };
  /// Fills `row` with the columns of `table`, which may be fewer than were written, when it is kRow.
  Known Get(const Table& table, const std::string& key, std::vector<Value>& row) const;

 private:
  struct Row {
    const Table* table = nullptr;  ///< the columns of `values`; null: removed
    std::vector<Value> values;
    std::size_t bytes = 0;
  };
  using Rows = std::unordered_map<std::string, Row>;
  Rows& RowsOf(const std::string& table);

  std::vector<std::pair<std::string, Rows>> tables_;  // few
  std::size_t bytes_ = 0;
};

/// A row that changed in the transaction under way.
struct PendingChange {
  Change change;
  const Table* table = nullptr;
  std::vector<Value> row;  ///< empty if it was removed, or nobody asked for it
};

/// Threads: one at a time, as its Database.
class SqliteConnection : public Connection {
 public:
  SqliteConnection(Database& db, const std::vector<Table>& tables) : db_(db), tables_(tables) {}

  void Visit(const Table& table, const Query& query, const std::function<void(std::vector<Value>&)>& visit) override;
  std::int64_t Count(const Table& table, const Query& query) override;
  void Upsert(const Table& table, std::vector<Value> row, bool replace) override;
  bool Remove(const Table& table, std::string_view key) override;

  void set_writing(bool writing) { writing_ = writing; }
  /// Whether pending() holds the rows themselves, up to WrittenRows::kMostBytes.
  void set_keep_rows(bool keep) { keep_rows_ = keep; }
  /// Reads by key are answered from these if they know; null: none. They must agree with what the connection sees.
  void set_written(const WrittenRows* rows) { written_ = rows; }
  std::vector<PendingChange>& pending() { return pending_; }
  void ClearPending() {
    pending_.clear();
    pending_bytes_ = 0;
  }

 private:
  Database& db_;
  const std::vector<Table>& tables_;
  bool writing_ = false, keep_rows_ = false;
  const WrittenRows* written_ = nullptr;
  std::vector<PendingChange> pending_;
  std::size_t pending_bytes_ = 0;
  std::unordered_map<const Table*, std::string> inserts_, replaces_;  // the tables live as long as the program
};

}  // namespace tenfold::data
