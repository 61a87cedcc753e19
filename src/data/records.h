#pragma once
/// \file Business records (customers, orders, tickets) as rows with an owner, so that rights are part of every look-up.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/store.h"

namespace tenfold::data {

struct Record {
  std::string id;          ///< collection + "/" + key
  std::string collection;  ///< "orders"
  std::string key;         ///< "LF-20417"
  std::string owner;       ///< the customer whose record it is; empty: staff only
  JsonObject fields;       ///< column -> text, as imported
};
TENFOLD_DESCRIBE(Record, (id), (collection), (key), (owner), (fields))
TENFOLD_TABLE(Record, "records", id, {"collection", "owner"})

/// Deny by default: staff see all records, a customer their own. Another customer's record does not exist for them.
bool MaySee(const Principal& reader, const Record& record);
std::optional<Record> FindRecord(ReadTx& tx, const Principal& reader, std::string_view collection, std::string_view key);
/// Records of a collection that `reader` may see and whose `field` is `value`; all of them if `field` is empty.
std::vector<Record> FindRecords(ReadTx& tx, const Principal& reader, std::string_view collection, std::string_view field = {}, std::string_view value = {});

/// Puts every row of a CSV text with a header line. `key_column` names the row; `owner_column` may be empty. Returns the number of rows.
/// Errors: kInvalidArgument with the line.
std::size_t ImportCsv(WriteTx& tx, std::string_view csv, std::string_view collection, const std::vector<std::string>& key_columns, std::string_view owner_column);

}  // namespace tenfold::data
