#include "data/records.h"

#include <algorithm>

#include "data/parse.h"

namespace tenfold::data {

bool MaySee(const Principal& reader, const Record& record) {
  if (reader.role >= Role::kAgent) return true;
  return reader.role == Role::kCustomer && !reader.customer.empty() && record.owner == reader.customer;
}

std::optional<Record> FindRecord(ReadTx& tx, const Principal& reader, std::string_view collection, std::string_view key) {
  auto record = tx.Get<Record>(std::string(collection) + "/" + std::string(key));
  if (!record || !MaySee(reader, *record)) return std::nullopt;
  return record;
}

std::vector<Record> FindRecords(ReadTx& tx, const Principal& reader, std::string_view collection, std::string_view field, std::string_view value) {
  Query query = Where("collection", std::string(collection));
  // The owner is a condition of the query, not a filter after it: rows of others are never read.
  if (reader.role < Role::kAgent) query.where.push_back({"owner", Compare::kEqual, Value(reader.customer.empty() ? std::string("\x01nobody") : reader.customer)});
  auto records = tx.Find<Record>(query);
  std::erase_if(records, [&](const Record& record) {
    if (!MaySee(reader, record)) return true;
    if (field.empty()) return false;
    const auto* found = record.fields.if_contains(field);
    return !found || !found->is_string() || AsView(found->get_string()) != value;
  });
  return records;
}

std::size_t ImportCsv(WriteTx& tx, std::string_view csv, std::string_view collection, const std::vector<std::string>& key_columns, std::string_view owner_column) {
  const auto rows = ReadCsv(csv);
  if (rows.empty()) throw Error(Code::kInvalidArgument, std::string(collection) + ": there is no header line");
  const auto column = [&](std::string_view name) {
    const auto at = std::find(rows[0].begin(), rows[0].end(), name);
    if (at == rows[0].end()) throw Error(Code::kInvalidArgument, std::string(collection) + ":1: there is no column '" + std::string(name) + "'");
    return static_cast<std::size_t>(at - rows[0].begin());
  };
  std::vector<std::size_t> keys;
  for (const auto& name : key_columns) keys.push_back(column(name));
  const auto owner = owner_column.empty() ? std::string::npos : column(owner_column);
  for (std::size_t r = 1; r < rows.size(); ++r) {
    if (rows[r].size() != rows[0].size())
      throw Error(Code::kInvalidArgument, std::string(collection) + ":" + std::to_string(r + 1) + ": has " + std::to_string(rows[r].size()) + " cells, the header has " + std::to_string(rows[0].size()));
    Record record;
    record.collection = collection;
    for (const auto key : keys) record.key += (record.key.empty() ? "" : "/") + rows[r][key];
    record.id = record.collection + "/" + record.key;
    if (owner != std::string::npos) record.owner = rows[r][owner];
    for (std::size_t c = 0; c < rows[r].size(); ++c) record.fields[rows[0][c]] = rows[r][c];
    tx.Put(record);
  }
  return rows.size() - 1;
}

}  // namespace tenfold::data
