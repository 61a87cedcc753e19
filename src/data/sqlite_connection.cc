#include "data/sqlite_connection.h"

#include <algorithm>
#include <cmath>

namespace tenfold::data {
namespace {

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
    out += (out.empty() ? " WHERE " : " AND ") + QuoteSql(condition.field) + op + "?";
    values.push_back(condition.value);
  }
  return out;
}

/// The key that `query` asks for, if that is all it asks.
const Value* KeyAskedFor(const Table& table, const Query& query) {
  return query.where.size() == 1 && query.where[0].compare == Compare::kEqual && query.where[0].field == table.key && query.limit > 0 ? &query.where[0].value : nullptr;
}

std::size_t BytesOf(std::span<const Value> row) {
  std::size_t out = 128 + row.size() * sizeof(Value);
  for (const auto& value : row) {
    if (const auto* text = std::get_if<std::string>(&value)) out += text->size();
    else if (const auto* blob = std::get_if<Blob>(&value)) out += blob->bytes.size();
  }
  return out;
}

}  // namespace

WrittenRows::Rows& WrittenRows::RowsOf(const std::string& table) {
  for (auto& [name, rows] : tables_)
    if (name == table) return rows;
  return tables_.emplace_back(table, Rows()).second;
}

void WrittenRows::Put(const Table& table, const std::string& key, std::vector<Value> row) {
  auto& rows = RowsOf(table.name);
  const auto bytes = BytesOf(row);
  auto& held = rows[key];
  bytes_ -= held.bytes;
  if (bytes_ + bytes > kMostBytes) {
    rows.erase(key);
    return;
  }
  for (auto& value : row)
    if (const auto* real = std::get_if<double>(&value); real && std::isnan(*real)) value = nullptr;  // as SQLite keeps it
  bytes_ += bytes;
  held = {&table, std::move(row), bytes};
}

void WrittenRows::Remove(const Table& table, const std::string& key) {
  auto& held = RowsOf(table.name)[key];
  bytes_ -= held.bytes;
  held = {};
}

void WrittenRows::Forget(const Table& table, const std::string& key) {
  auto& rows = RowsOf(table.name);
  const auto held = rows.find(key);
  if (held == rows.end()) return;
  bytes_ -= held->second.bytes;
  rows.erase(held);
}

WrittenRows::Known WrittenRows::Get(const Table& table, const std::string& key, std::vector<Value>& row) const {
  const auto of_table = std::find_if(tables_.begin(), tables_.end(), [&](const auto& one) { return one.first == table.name; });
  if (of_table == tables_.end()) return Known::kNo;
  const auto found = of_table->second.find(key);
  if (found == of_table->second.end()) return Known::kNo;
  const auto& [columns, values, bytes] = found->second;
  if (!columns) return Known::kRemoved;
  row.resize(table.columns.size());
  for (std::size_t i = 0, from = 0; i < row.size(); ++i) {
    // Most often the same columns, or some of them in their order.
    const auto& wanted = table.columns[i].name;
    std::size_t tried = 0;
    while (tried < values.size() && columns->columns[from].name != wanted) from = from + 1 < values.size() ? from + 1 : 0, ++tried;
    if (tried == values.size()) row[i] = nullptr;  // REPLACE leaves what it does not name empty
    else row[i] = values[from];
  }
  return Known::kRow;
}

void SqliteConnection::Visit(const Table& table, const Query& query, const std::function<void(std::vector<Value>&)>& visit) {
  std::vector<Value> row(table.columns.size());
  const auto give = [&](sqlite3_stmt* s) {
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = ColumnValue(s, static_cast<int>(i));
    visit(row);
  };
  if (const auto* key = KeyAskedFor(table, query)) {
    if (const auto* text = std::get_if<std::string>(key); text && written_) {
      const auto known = written_->Get(table, *text, row);
      if (known == WrittenRows::Known::kRow) visit(row);
      if (known != WrittenRows::Known::kNo) return;
    }
    return db_.QueryByKey(table, *key, give);
  }
  std::vector<Value> values;
  const auto where = WhereClause(query, values);
  const auto sql = SelectOf(table) + where + " ORDER BY " + QuoteSql(query.order.empty() ? table.key : query.order) + (query.descending ? " DESC" : "") + " LIMIT ?";
  values.emplace_back(query.limit == Query::kNoLimit ? std::int64_t{-1} : static_cast<std::int64_t>(query.limit));
  db_.Query(sql, values, give);
}

std::int64_t SqliteConnection::Count(const Table& table, const Query& query) {
  std::vector<Value> values;
  const auto where = WhereClause(query, values);
  return db_.QueryNumber("SELECT count(*) FROM " + QuoteSql(table.name) + where, values);
}

void SqliteConnection::Upsert(const Table& table, std::vector<Value> row, bool replace) {
  TENFOLD_CHECK(writing_);
  auto& sql = (replace ? replaces_ : inserts_)[&table];
  if (sql.empty()) {
    std::string marks;
    for (std::size_t i = 0; i < row.size(); ++i) marks += i ? ",?" : "?";
    sql = (replace ? "INSERT OR REPLACE INTO " : "INSERT INTO ") + QuoteSql(table.name) + "(" + ColumnList(table) + ") VALUES(" + marks + ")";
  }
  std::size_t at = 0;
  while (table.columns[at].name != table.key) ++at;
  auto key = std::get<std::string>(row[at]);
  try {
    db_.Execute(sql, row);
  } catch (const Error& e) {
    if (e.code() != Code::kAlreadyExists) throw;
    throw Error(Code::kAlreadyExists, table.name + " '" + key + "' already exists");
  }
  auto& pending = pending_.emplace_back(PendingChange{{0, table.name, std::move(key), ChangeKind::kPut}, &table, {}});
  if (!keep_rows_ || pending_bytes_ > WrittenRows::kMostBytes) return;
  pending_bytes_ += BytesOf(row);
  pending.row = std::move(row);
}

bool SqliteConnection::Remove(const Table& table, std::string_view key) {
  TENFOLD_CHECK(writing_);
  const Value value = std::string(key);
  db_.Execute("DELETE FROM " + QuoteSql(table.name) + " WHERE " + QuoteSql(table.key) + "=?", {&value, 1});
  const bool removed = db_.changes() > 0;
  if (removed) pending_.push_back({{0, table.name, std::string(key), ChangeKind::kDelete}, &table, {}});
  for (const auto& child : tables_) {
    for (const auto& parent : child.parents) {
      if (parent.table != table.name) continue;
      std::vector<std::string> keys;
      db_.Query("SELECT " + QuoteSql(child.key) + " FROM " + QuoteSql(child.name) + " WHERE " + QuoteSql(parent.field) + "=?", {&value, 1},
                [&](sqlite3_stmt* s) { keys.push_back(std::get<std::string>(ColumnValue(s, 0))); });
      for (const auto& child_key : keys) Remove(child, child_key);
    }
  }
  return removed;
}

}  // namespace tenfold::data
