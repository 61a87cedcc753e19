#pragma once
/// \file One connection to PostgreSQL: parameters apart from text, server errors as codes, every wait bounded by the Context. libpq stays in
/// postgresql_client.cc.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"

namespace tenfold::data {

/// Where a database is, from "//user@host:port/database?key=value&…", as libpq's connection URIs. Keys that are no connection setting are the back end's own.
/// A host that is not this machine is reached over TLS with a verified certificate (system's roots or $SSL_CERT_FILE), unless `sslmode=` says otherwise.
struct PostgresqlPlace {
  std::map<std::string, std::string, std::less<>> connection;  ///< libpq keywords
  std::map<std::string, std::string, std::less<>> own;         ///< decoded; each at most once
  /// "postgresql://user@host:port/database", without a secret.
  std::string canonical;
};
/// `rest` is the URL behind "postgresql:". Errors: kInvalidArgument for a bad URL, a password in it, an unknown key (`own_keys` are known) or one given twice.
PostgresqlPlace ParsePostgresqlUrl(std::string_view rest, const std::vector<std::string_view>& own_keys);

/// Text values; nothing is SQL's NULL.
using PostgresqlParameters = std::vector<std::optional<std::string>>;

/// Rows of one statement, as text. Cheap to move.
class PostgresqlResult {
 public:
  explicit PostgresqlResult(std::shared_ptr<void> result) : result_(std::move(result)) {}
  int rows() const;
  int columns() const;
  std::string_view column_name(int column) const;
  /// Nothing if NULL. Good as long as this is.
  std::optional<std::string_view> at(int row, int column) const;
  /// Empty if NULL.
  std::string text(int row, int column) const { return std::string(at(row, column).value_or(std::string_view())); }
  /// How many rows an INSERT, UPDATE or DELETE touched.
  std::int64_t touched() const;

 private:
  std::shared_ptr<void> result_;
};

/// Connects at the first use and again after a connection was lost. Threads: one at a time.
/// Errors of every call, by SQLSTATE: kUnauthenticated (28), kPermissionDenied (42501), kNotFound (no such database, schema, table or function),
/// kInvalidArgument (other 42, 22), kAlreadyExists (23505), kFailedPrecondition (other 23, 25 and what has no better code), kAborted (40, 55P03),
/// kResourceExhausted (53, 54), kUnavailable (08, 57P, 58, no connection), kDeadlineExceeded (57014 or the Context's), kCancelled. Messages hold the server's
/// primary message, which names tables and columns, never its details, which hold values.
class PostgresqlClient {
 public:
  PostgresqlClient(PostgresqlPlace place, std::string password);
  ~PostgresqlClient();
  PostgresqlClient(const PostgresqlClient&) = delete;
  PostgresqlClient& operator=(const PostgresqlClient&) = delete;

  /// One statement with $1, $2, … A wait that the Context ends closes the connection, upon which the server (14 or newer) stops the statement within two
  /// seconds. Cost: one round trip; the whole result lies in memory, so say LIMIT or use Stream(). Errors: also kResourceExhausted beyond `limit_bytes` of
  /// values.
  PostgresqlResult Run(const Context& ctx, const std::string& sql, const PostgresqlParameters& parameters = {}, std::uint64_t limit_bytes = 256u << 20);
  /// The same row by row; each is given alone, in the server's order. What `visit` throws ends the statement and the connection.
  void Stream(const Context& ctx, const std::string& sql, const PostgresqlParameters& parameters,
              const std::function<void(const PostgresqlResult& row)>& visit);
  /// Several statements without parameters and results in one round trip, such as "BEGIN; SET LOCAL …".
  void RunScript(const Context& ctx, const std::string& sql);
  const std::string& canonical() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Rolled back unless committed. The server's own limit on each statement in it is what the Context has left.
class PostgresqlTransaction {
 public:
  enum class Mode : std::uint8_t { kReadOnly, kReadWrite };
  PostgresqlTransaction(const Context& ctx, PostgresqlClient& client, Mode mode);
  ~PostgresqlTransaction();
  PostgresqlTransaction(const PostgresqlTransaction&) = delete;
  PostgresqlTransaction& operator=(const PostgresqlTransaction&) = delete;
  void Commit(const Context& ctx);

 private:
  PostgresqlClient& client_;
  bool open_ = true;
};

/// A name as SQL quotes it: my"table -> "my""table". Errors: kInvalidArgument if empty, longer than 63 bytes or with a zero byte.
std::string QuoteSqlName(std::string_view name);
/// "schema.table" -> "schema"."table".
std::string QuoteSqlPath(std::string_view path);

}  // namespace tenfold::data
