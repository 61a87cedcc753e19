#include "data/postgresql_client.h"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/url/parse.hpp>
#include <charconv>
#include <cstdlib>
#include <filesystem>

namespace tenfold::data {
namespace {

constexpr int kSliceMs = 50;
constexpr std::string_view kConnectionKeys[] = {"sslmode",          "sslrootcert",          "sslcert",         "sslkey",
                                                "application_name", "target_session_attrs", "channel_binding", "keepalives"};

[[noreturn]] void ThrowUrl(const std::string& problem) { throw Error(Code::kInvalidArgument, "postgresql: " + problem, "url"); }

bool IsThisMachine(std::string_view host) { return host.empty() || host.starts_with('/') || host == "localhost" || host == "::1" || host.starts_with("127."); }

Code CodeOfState(std::string_view state) {
  const auto is = [&](std::string_view prefix) { return state.starts_with(prefix); };
  if (is("28")) return Code::kUnauthenticated;
  if (is("42501")) return Code::kPermissionDenied;
  if (is("3D") || is("3F") || is("42P01") || is("42883") || is("42704")) return Code::kNotFound;
  if (is("42") || is("22") || is("0A")) return Code::kInvalidArgument;
  if (is("23505")) return Code::kAlreadyExists;
  if (is("40") || is("55P03")) return Code::kAborted;
  if (is("57014")) return Code::kDeadlineExceeded;
  if (is("53") || is("54")) return Code::kResourceExhausted;
  if (is("08") || is("57P") || is("58")) return Code::kUnavailable;
  return Code::kFailedPrecondition;
}

struct FreeConnection {
  void operator()(PGconn* connection) const {
    // PQfinish says goodbye to the server; a server that reads nothing must not hold us up.
    if (const int fd = PQsocket(connection); fd >= 0) ::shutdown(fd, SHUT_RDWR);
    PQfinish(connection);
  }
};

std::shared_ptr<void> Share(PGresult* result) {
  return {result, [](void* one) { PQclear(static_cast<PGresult*>(one)); }};
}
PGresult* Raw(const std::shared_ptr<void>& result) { return static_cast<PGresult*>(result.get()); }

std::uint64_t BytesOf(PGresult* result) {
  std::uint64_t bytes = 0;
  for (int row = 0; row < PQntuples(result); ++row)
    for (int column = 0; column < PQnfields(result); ++column) bytes += static_cast<std::uint64_t>(PQgetlength(result, row, column)) + 16;
  return bytes;
}

}  // namespace

PostgresqlPlace ParsePostgresqlUrl(std::string_view rest, const std::vector<std::string_view>& own_keys) {
  const auto text = "postgresql:" + std::string(rest);
  const auto parsed = boost::urls::parse_uri(text);
  if (!rest.starts_with("//") || !parsed) ThrowUrl("write postgresql://user@host:port/database");
  if (parsed->has_password()) ThrowUrl("a password is not part of a URL; put it into $PGPASSWORD");
  PostgresqlPlace place;
  auto& to = place.connection;
  if (parsed->has_authority() && !parsed->user().empty()) to["user"] = parsed->user();
  if (!parsed->host_address().empty()) to["host"] = parsed->host_address();
  if (parsed->has_port() && !parsed->port().empty()) to["port"] = parsed->port();
  auto database = std::string(parsed->path());
  database.erase(0, database.starts_with('/') ? 1 : 0);
  if (database.empty() || database.find('/') != std::string::npos) ThrowUrl("the URL names no database");
  to["dbname"] = database;
  for (const auto& parameter : parsed->params()) {
    const std::string key(parameter.key), value(parameter.value);
    const auto known = [&](const auto& list) { return std::find(std::begin(list), std::end(list), key) != std::end(list); };
    // A Unix socket's folder fits in no host part.
    const bool is_host = key == "host" && !to.contains("host");
    if (!is_host && !known(kConnectionKeys) && !known(own_keys)) {
      std::string names;
      for (const auto name : own_keys) names += std::string(name) + ", ";
      ThrowUrl("'" + key.substr(0, 64) + "' is no setting of this URL; there are " + names + "sslmode, sslrootcert");
    }
    if (!(known(own_keys) ? place.own : to).emplace(key, value).second) ThrowUrl("'" + key.substr(0, 64) + "' is given twice");
  }
  const auto get = [&](std::string_view key, std::string_view otherwise) {
    const auto found = to.find(key);
    return found == to.end() ? std::string(otherwise) : found->second;
  };
  const auto host = get("host", "localhost");
  if (!IsThisMachine(host) && !to.contains("sslmode")) to["sslmode"] = "verify-full";
  if (get("sslmode", "").starts_with("verify") && !to.contains("sslrootcert")) {
    const char* roots = std::getenv("SSL_CERT_FILE");
    to["sslrootcert"] = roots && *roots ? roots : "/etc/ssl/certs/ca-certificates.crt";
  }
  place.canonical =
      "postgresql://" + (to.contains("user") ? get("user", "") + "@" : "") + (host.starts_with('/') ? "" : host + ":" + get("port", "5432")) + "/" + database;
  if (host.starts_with('/')) place.canonical += "?host=" + host;
  return place;
}

int PostgresqlResult::rows() const { return PQntuples(Raw(result_)); }
int PostgresqlResult::columns() const { return PQnfields(Raw(result_)); }
std::string_view PostgresqlResult::column_name(int column) const {
  const char* name = PQfname(Raw(result_), column);
  return name ? name : "";
}
std::optional<std::string_view> PostgresqlResult::at(int row, int column) const {
  auto* const result = Raw(result_);
  if (row >= PQntuples(result) || column >= PQnfields(result) || PQgetisnull(result, row, column)) return std::nullopt;
  return std::string_view(PQgetvalue(result, row, column), static_cast<std::size_t>(PQgetlength(result, row, column)));
}
std::int64_t PostgresqlResult::touched() const {
  const std::string_view text = PQcmdTuples(Raw(result_));
  std::int64_t count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count;
}

struct PostgresqlClient::State {
  PostgresqlPlace place;
  std::string password;
  std::unique_ptr<PGconn, FreeConnection> connection;

  /// What went wrong, in `what` libpq said; the connection is given up where it is of no more use.
  [[noreturn]] void ThrowConnection(std::string_view doing) {
    // With verbose errors the state stands in the text; libpq has no other way to say it of a connection that failed.
    const std::string said = connection ? PQerrorMessage(connection.get()) : "out of memory";
    const bool no_password = connection && (PQconnectionNeedsPassword(connection.get()) || said.find("password authentication failed") != std::string::npos);
    connection.reset();
    auto code = Code::kUnavailable;
    auto line = said.substr(0, said.find('\n'));
    for (const std::string_view severity : {"FATAL:  ", "ERROR:  "})
      if (const auto at = said.find(severity); at != std::string::npos && said.size() > at + severity.size() + 7 && said[at + severity.size() + 5] == ':') {
        code = CodeOfState(std::string_view(said).substr(at + severity.size(), 5));
        line = said.substr(at + severity.size() + 7, said.find('\n', at) - at - severity.size() - 7);
      }
    if (no_password)
      throw Error(Code::kUnauthenticated, std::string(doing) + " '" + place.canonical + "': the password is missing or wrong; it is taken from $PGPASSWORD");
    throw Error(code, std::string(doing) + " '" + place.canonical + "': " + line);
  }

  [[noreturn]] void ThrowResult(PGresult* result) {
    const auto field = [&](int which) {
      const char* text = PQresultErrorField(result, which);
      return std::string(text ? text : "");
    };
    const auto state = field(PG_DIAG_SQLSTATE);
    auto message = field(PG_DIAG_MESSAGE_PRIMARY);
    if (state.empty() || PQstatus(connection.get()) == CONNECTION_BAD) {
      if (message.empty()) {
        message = PQresultErrorMessage(result);
        message = message.substr(0, message.find('\n'));
      }
      connection.reset();
      throw Error(state.empty() ? Code::kUnavailable : CodeOfState(state), "'" + place.canonical + "': " + message);
    }
    throw Error(CodeOfState(state), "'" + place.canonical + "': " + message);
  }

  void Wait(const Context& ctx, short events) {
    for (;;) {
      if (ctx.done()) {
        connection.reset();
        ctx.Check();
      }
      pollfd wait{PQsocket(connection.get()), events, 0};
      if (::poll(&wait, 1, kSliceMs) > 0) return;
    }
  }

  void Connect(const Context& ctx) {
    ctx.Check();
    if (connection && PQstatus(connection.get()) == CONNECTION_OK) return;
    std::vector<const char*> keys, values;
    const auto add = [&](const char* key, const char* value) {
      keys.push_back(key);
      values.push_back(value);
    };
    for (const auto& [key, value] : place.connection) add(key.c_str(), value.c_str());
    if (!password.empty()) add("password", password.c_str());
    add("passfile", "/dev/null/none");  // what the machine's user keeps for psql is not ours to use
    add("client_encoding", "UTF8");
    if (!place.connection.contains("application_name")) add("application_name", "tenfold");
    add(nullptr, nullptr);
    connection.reset(PQconnectStartParams(keys.data(), values.data(), 0));
    if (!connection || PQstatus(connection.get()) == CONNECTION_BAD) ThrowConnection("connect to");
    PQsetErrorVerbosity(connection.get(), PQERRORS_VERBOSE);
    PQsetNoticeProcessor(connection.get(), [](void*, const char*) {}, nullptr);
    for (auto step = PGRES_POLLING_WRITING; step != PGRES_POLLING_OK; step = PQconnectPoll(connection.get())) {
      if (step == PGRES_POLLING_FAILED) ThrowConnection("connect to");
      Wait(ctx, step == PGRES_POLLING_READING ? POLLIN : POLLOUT);
    }
    if (PQsetnonblocking(connection.get(), 1) != 0) ThrowConnection("connect to");
    // A statement whose reader has left is stopped; before version 14 the server only notices when it answers.
    if (PQserverVersion(connection.get()) >= 140000) Script(ctx, "SET client_connection_check_interval = '2s'");
  }

  void Flush(const Context& ctx) {
    for (int left; (left = PQflush(connection.get())) != 0;) {
      if (left < 0) ThrowConnection("send to");
      // A server that sends before it reads on must be listened to.
      Wait(ctx, POLLOUT | POLLIN);
      if (!PQconsumeInput(connection.get())) ThrowConnection("read from");
    }
  }

  /// The next result, null behind the last.
  PGresult* Next(const Context& ctx) {
    while (PQisBusy(connection.get())) {
      Wait(ctx, POLLIN);
      if (!PQconsumeInput(connection.get())) ThrowConnection("read from");
    }
    return PQgetResult(connection.get());
  }

  void Send(const Context& ctx, const std::string& sql, const PostgresqlParameters& parameters) {
    Connect(ctx);
    if (parameters.size() > 65'535) throw Error(Code::kInvalidArgument, "a statement takes at most 65535 parameters, not " + std::to_string(parameters.size()));
    std::vector<const char*> values;
    for (const auto& parameter : parameters) {
      if (parameter && parameter->find('\0') != std::string::npos) throw Error(Code::kInvalidArgument, "PostgreSQL keeps no text with a zero byte");
      values.push_back(parameter ? parameter->c_str() : nullptr);
    }
    if (!PQsendQueryParams(connection.get(), sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(), nullptr, nullptr, 0))
      ThrowConnection("send to");
  }

  /// All results are taken, so that the connection can go on, before the first error is thrown.
  void Script(const Context& ctx, const std::string& sql) {
    if (!PQsendQuery(connection.get(), sql.c_str())) ThrowConnection("send to");
    Flush(ctx);
    std::shared_ptr<void> failed;
    while (auto* const raw = Next(ctx)) {
      auto result = Share(raw);
      if (const auto status = PQresultStatus(raw); !failed && status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) failed = std::move(result);
    }
    if (failed) ThrowResult(Raw(failed));
  }
};

PostgresqlClient::PostgresqlClient(PostgresqlPlace place, std::string password) : state_(new State{std::move(place), std::move(password), nullptr}) {}
PostgresqlClient::~PostgresqlClient() = default;
const std::string& PostgresqlClient::canonical() const { return state_->place.canonical; }

PostgresqlResult PostgresqlClient::Run(const Context& ctx, const std::string& sql, const PostgresqlParameters& parameters, std::uint64_t limit_bytes) {
  state_->Send(ctx, sql, parameters);
  state_->Flush(ctx);
  std::shared_ptr<void> first, failed;
  while (auto* const raw = state_->Next(ctx)) {
    auto result = Share(raw);
    const auto status = PQresultStatus(raw);
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
      state_->connection.reset();
      throw Error(Code::kInvalidArgument, "COPY is not run here");
    }
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) failed = std::move(result);
    else first = std::move(result);
  }
  if (failed) state_->ThrowResult(Raw(failed));
  if (!first) state_->ThrowConnection("read from");
  if (BytesOf(Raw(first)) > limit_bytes)
    throw Error(Code::kResourceExhausted, "'" + canonical() + "': the rows are larger than " + std::to_string(limit_bytes) + " bytes");
  return PostgresqlResult(std::move(first));
}

void PostgresqlClient::Stream(const Context& ctx, const std::string& sql, const PostgresqlParameters& parameters,
                              const std::function<void(const PostgresqlResult&)>& visit) {
  state_->Send(ctx, sql, parameters);
  PQsetSingleRowMode(state_->connection.get());
  state_->Flush(ctx);
  std::shared_ptr<void> failed;
  try {
    while (auto* const raw = state_->Next(ctx)) {
      auto result = Share(raw);
      const auto status = PQresultStatus(raw);
      if (status == PGRES_SINGLE_TUPLE) visit(PostgresqlResult(std::move(result)));
      else if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) failed = std::move(result);
    }
  } catch (...) {
    state_->connection.reset();  // rows that nobody wants are still under way
    throw;
  }
  if (failed) state_->ThrowResult(Raw(failed));
}

void PostgresqlClient::RunScript(const Context& ctx, const std::string& sql) {
  state_->Connect(ctx);
  state_->Script(ctx, sql);
}

PostgresqlTransaction::PostgresqlTransaction(const Context& ctx, PostgresqlClient& client, Mode mode) : client_(client) {
  auto script = std::string("BEGIN ISOLATION LEVEL REPEATABLE READ") + (mode == Mode::kReadOnly ? " READ ONLY" : " READ WRITE");
  if (ctx.deadline() != TimePoint::max()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(ctx.deadline() - ctx.clock().Now()).count();
    script += "; SET LOCAL statement_timeout = " + std::to_string(std::clamp<std::int64_t>(left, 1, 86'400'000));
  }
  client_.RunScript(ctx, script);
}
PostgresqlTransaction::~PostgresqlTransaction() {
  if (!open_) return;
  try {
    client_.RunScript(Context::System("rollback").WithTimeout(std::chrono::seconds(2)), "ROLLBACK");
  } catch (const Error&) {
    // The connection is lost or closed by now, and with it the transaction.
  }
}
void PostgresqlTransaction::Commit(const Context& ctx) {
  client_.RunScript(ctx, "COMMIT");
  open_ = false;
}

std::string QuoteSqlName(std::string_view name) {
  if (name.empty() || name.size() > 63 || name.find('\0') != std::string_view::npos)
    throw Error(Code::kInvalidArgument, "'" + std::string(name.substr(0, 64)) + "' is no name of a table or column: 1 to 63 bytes");
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}
std::string QuoteSqlPath(std::string_view path) {
  const auto dot = path.find('.');
  return dot == std::string_view::npos ? QuoteSqlName(path) : QuoteSqlName(path.substr(0, dot)) + "." + QuoteSqlName(path.substr(dot + 1));
}

}  // namespace tenfold::data
