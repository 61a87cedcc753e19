#pragma once
/// \file One transactional store for all that must agree. Rows are described structs; SQL stays inside the back end.
/// Back ends: sqlite: (data/store_sqlite.cc). Contract: store_test.cc.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "base/context.h"
#include "base/describe.h"

namespace tenfold::data {

/// Number of a durable write; rises by one per write that changed something. 0 is the empty store.
using Commit = std::uint64_t;

/// A column's value as the back end keeps it. Lists of floats and of bytes are kept as bytes, other lists and objects as JSON text.
struct Blob {
  std::string bytes;
};
using Value = std::variant<std::nullptr_t, std::int64_t, double, std::string, Blob>;

enum class ColumnKind : std::uint8_t { kInteger, kReal, kText, kBlob };
struct Column {
  std::string name;
  ColumnKind kind;
};

/// Rows of this table go when the row of `table` they point to with `field` goes. Declared on the child.
struct Parent {
  std::string table;
  std::string field;
};

/// A table, made from a described type by `TableOf<T>()`.
struct Table {
  std::string name;
  std::string key;  ///< the field that names a row; a text
  std::vector<std::string> indexes;
  std::vector<Parent> parents;
  std::vector<Column> columns;
};

/// Beside the type: TENFOLD_TABLE(Chunk, "chunks", id, {"document"}, {{"documents", "document"}})
#define TENFOLD_TABLE(Type, name, key, ...) \
  [[maybe_unused]] inline ::tenfold::data::Table TenfoldTable(const Type*) { return ::tenfold::data::internal::MakeTable(name, #key __VA_OPT__(, ) __VA_ARGS__); }

namespace internal {
inline Table MakeTable(std::string name, std::string key, std::vector<std::string> indexes = {}, std::vector<Parent> parents = {}) {
  return {std::move(name), std::move(key), std::move(indexes), std::move(parents), {}};
}

/// Lists that are kept as bytes.
template <class T>
inline constexpr bool kIsBytes = std::same_as<T, std::vector<float>> || std::same_as<T, std::vector<std::int8_t>>;

template <class T>
constexpr ColumnKind KindOf() {
  if constexpr (tenfold::internal::kIsOptional<T>) return KindOf<typename T::value_type>();
  else if constexpr (DescribedEnum<T>) return ColumnKind::kText;
  else if constexpr (std::integral<T>) return ColumnKind::kInteger;
  else if constexpr (std::floating_point<T>) return ColumnKind::kReal;
  else if constexpr (kIsBytes<T>) return ColumnKind::kBlob;
  else return ColumnKind::kText;
}

template <class T>
Value ToValue(const T& field) {
  if constexpr (tenfold::internal::kIsOptional<T>) return field ? ToValue(*field) : Value(nullptr);
  else if constexpr (DescribedEnum<T>) return Value(std::string(AsView(ToJson(field).get_string())));
  else if constexpr (std::integral<T>) return Value(static_cast<std::int64_t>(field));
  else if constexpr (std::floating_point<T>) return Value(static_cast<double>(field));
  else if constexpr (kIsBytes<T>)
    return Value(Blob{std::string(reinterpret_cast<const char*>(field.data()), field.size() * sizeof(typename T::value_type))});
  else if constexpr (std::same_as<T, std::string>) return Value(field);
  else return Value(ToText(ToJson(field)));
}

template <class T>
void FromValue(const Value& value, T& field) {
  if constexpr (tenfold::internal::kIsOptional<T>) {
    if (std::holds_alternative<std::nullptr_t>(value)) field.reset();
    else FromValue(value, field.emplace());
  } else if (std::holds_alternative<std::nullptr_t>(value)) {
    field = T{};  // a column younger than the row
  } else if constexpr (DescribedEnum<T>) {
    FromJson(Json(boost::json::string(std::get<std::string>(value))), field, "", Unknown::kRefuse);
  } else if constexpr (std::integral<T>) {
    field = static_cast<T>(std::get<std::int64_t>(value));
  } else if constexpr (std::floating_point<T>) {
    field = static_cast<T>(std::holds_alternative<double>(value) ? std::get<double>(value) : static_cast<double>(std::get<std::int64_t>(value)));
  } else if constexpr (kIsBytes<T>) {
    const auto& bytes = std::get<Blob>(value).bytes;
    field.resize(bytes.size() / sizeof(typename T::value_type));
    std::copy_n(bytes.data(), field.size() * sizeof(typename T::value_type), reinterpret_cast<char*>(field.data()));
  } else if constexpr (std::same_as<T, std::string>) {
    field = std::get<std::string>(value);
  } else {
    FromJson(ParseJson(std::get<std::string>(value)), field, "", Unknown::kIgnore);
  }
}
}  // namespace internal

/// The table of a described type, columns included. Built once per type.
template <class T>
const Table& TableOf() {
  static const Table table = [] {
    auto made = TenfoldTable(static_cast<const T*>(nullptr));
    const T sample{};
    ForEachField(sample, [&](std::string_view name, const auto& field) {
      made.columns.push_back({std::string(name), internal::KindOf<std::remove_cvref_t<decltype(field)>>()});
    });
    return made;
  }();
  return table;
}

enum class Compare : std::uint8_t { kEqual, kLess, kGreater, kGreaterOrEqual };
struct Condition {
  std::string field;
  Compare compare;
  Value value;
};

/// Rows that meet all conditions, ordered by `order` (the key if empty), at most `limit`.
struct Query {
  static constexpr std::size_t kNoLimit = static_cast<std::size_t>(-1);
  std::vector<Condition> where;
  std::string order;
  bool descending = false;
  std::size_t limit = kNoLimit;
};
inline Query Where(std::string field, std::string value) { return {{{std::move(field), Compare::kEqual, Value(std::move(value))}}, "", false, Query::kNoLimit}; }

/// The back end's half of a transaction.
class Connection {
 public:
  virtual ~Connection() = default;
  /// Calls `visit` with the values of each row, which it may take.
  virtual void Visit(const Table& table, const Query& query, const std::function<void(std::vector<Value>&)>& visit) = 0;
  virtual std::int64_t Count(const Table& table, const Query& query) = 0;
  /// Errors: kAlreadyExists if present and not `replace`.
  virtual void Upsert(const Table& table, std::vector<Value> row, bool replace) = 0;
  /// Returns the keys removed, children's included in the change feed.
  virtual bool Remove(const Table& table, std::string_view key) = 0;
};

/// A snapshot: sees exactly the commits up to `commit()`. Valid only inside the call it was given to.
class ReadTx {
 public:
  ReadTx(Connection& connection, Commit commit) : connection_(connection), commit_(commit) {}
  Commit commit() const { return commit_; }

  template <class T>
  std::optional<T> Get(std::string_view key) {
    const auto& table = TableOf<T>();
    auto rows = Find<T>(Where(table.key, std::string(key)));
    if (rows.empty()) return std::nullopt;
    return std::move(rows.front());
  }
  /// Errors: kResourceExhausted beyond kMostFound rows, of which none is left out silently: read them by ForEach().
  template <class T>
  std::vector<T> Find(const Query& query = {}) {
    std::vector<T> out;
    ForEach<T>(query, [&](T& row) {
      if (out.size() == kMostFound) throw Error(Code::kResourceExhausted, "more than " + std::to_string(kMostFound) + " rows of '" + TableOf<T>().name + "' at once");
      out.push_back(std::move(row));
    });
    return out;
  }
  static constexpr std::size_t kMostFound = 1'000'000;
  /// Calls `visit(row)` for each, reading as it goes: memory for one row, however many there are. `visit` may read other tables or by key, not write.
  template <class T, class F>
  void ForEach(const Query& query, F&& visit) {
    connection_.Visit(TableOf<T>(), query, [&](std::vector<Value>& values) {
      T row{};
      std::size_t i = 0;
      ForEachField(row, [&](std::string_view, auto& field) { internal::FromValue(values[i++], field); });
      visit(row);
    });
  }
  template <class T>
  std::int64_t Count(const Query& query = {}) {
    return connection_.Count(TableOf<T>(), query);
  }

 protected:
  Connection& connection_;
  Commit commit_;
};

class WriteTx : public ReadTx {
 public:
  using ReadTx::ReadTx;
  template <class T>
  void Put(const T& row) {
    Write(row, true);
  }
  /// Errors: kAlreadyExists.
  template <class T>
  void Add(const T& row) {
    Write(row, false);
  }
  /// Children declared on their types go with it. False if there was none.
  template <class T>
  bool Delete(std::string_view key) {
    return connection_.Remove(TableOf<T>(), key);
  }

 private:
  template <class T>
  void Write(const T& row, bool replace) {
    std::vector<Value> values;
    values.reserve(TableOf<T>().columns.size());
    ForEachField(row, [&](std::string_view, const auto& field) { values.push_back(internal::ToValue(field)); });
    connection_.Upsert(TableOf<T>(), std::move(values), replace);
  }
};

enum class ChangeKind : std::uint8_t { kPut, kDelete };
BOOST_DESCRIBE_ENUM(ChangeKind, kPut, kDelete)
/// One row that changed, in the order of writing.
struct Change {
  Commit commit = 0;
  std::string table;
  std::string key;
  ChangeKind kind = ChangeKind::kPut;
};
TENFOLD_DESCRIBE(Change, (commit), (table), (key), (kind))

/// What a follower that keeps something beside the store asks before it goes on from there.
class History {
 public:
  virtual ~History() = default;
  /// A number by chance of this opening of the store: to be kept with what is kept now.
  virtual std::uint64_t epoch() const = 0;
  /// Whether this very store was at `commit` in the opening `epoch`, and what changed since is known and not too much. False for a copy that went another way, such as a
  /// restored backup, even if its commits have the same numbers.
  virtual bool Holds(Commit commit, std::uint64_t epoch) = 0;
};

/// An index, cache or watcher that follows the store. Called after the commit is durable and before it is acknowledged, so that a caller who wrote finds what they
/// wrote. Calls come one after the other in the order of commits, from the writer's thread or one beside it, while later commits may be under way: what `tx` reads is the
/// commit of the call. Must be quick and must not write; one that throws ends the program.
class Follower {
 public:
  virtual ~Follower() = default;
  virtual std::string name() const = 0;
  /// From what it kept to the commit that it returns, which `history` holds, or to tx.commit(); or nothing, then Load follows. The next Apply brings what changed after that commit.
  /// Errors: none because of what it kept; that is passed over.
  virtual std::optional<Commit> Restore(History& history, ReadTx& tx) {
    static_cast<void>(history), static_cast<void>(tx);
    return std::nullopt;
  }
  /// From nothing to `tx.commit()`. Called once, before the first Apply.
  virtual void Load(ReadTx& tx) = 0;
  /// A row is to be read from `tx`, in which it may have changed again since: what is in `changes` may come twice after Restore, and the same row more than once.
  virtual void Apply(std::span<const Change> changes, ReadTx& tx) = 0;
};

/// A write on its way. Threads: one at a time.
class PendingWrite {
 public:
  /// Waits until the write is done, if nobody has.
  virtual ~PendingWrite() = default;
  /// Returns after it is durable and followed. Errors: those of Store::Write.
  virtual Commit Wait() = 0;
};

/// Threads: every method is safe from any thread; Write and Read block the calling thread.
class Store {
 public:
  virtual ~Store() = default;
  /// Runs `work` in one transaction and returns after it is durable and followed. Many callers share one fsync.
  /// Errors: kResourceExhausted (disk or queue full), kCancelled, kDeadlineExceeded before it began; any throw of `work` rolls back and is rethrown.
  virtual Commit Write(const Context& ctx, const std::function<void(WriteTx&)>& work) = 0;
  /// The same without waiting: the caller goes on while the disk is at work. Writes happen in the order in which they were begun.
  virtual std::unique_ptr<PendingWrite> BeginWrite(const Context& ctx, std::function<void(WriteTx&)> work) = 0;
  template <class F>
  auto Read(const Context& ctx, F&& work) -> std::invoke_result_t<F, ReadTx&> {
    using R = std::invoke_result_t<F, ReadTx&>;
    if constexpr (std::is_void_v<R>) {
      ReadWith(ctx, [&](ReadTx& tx) { work(tx); });
    } else {
      std::optional<R> result;
      ReadWith(ctx, [&](ReadTx& tx) { result.emplace(work(tx)); });
      return std::move(*result);
    }
  }
  /// The newest durable commit.
  virtual Commit commit() const = 0;
  /// What changed after `seen`, oldest first. Errors: kFailedPrecondition if that was trimmed; load again.
  virtual std::vector<Change> ChangesSince(const Context& ctx, Commit seen, std::size_t limit) = 0;
  /// Restores or loads `follower`, then keeps it up to date. It must outlive the store.
  virtual void Follow(Follower& follower) = 0;
  /// A consistent copy at one commit, while others write. Returns that commit.
  virtual Commit Backup(const Context& ctx, const std::string& path) = 0;
  /// Errors: kDataLoss with the first finding.
  virtual void CheckIntegrity(const Context& ctx) = 0;

 protected:
  virtual void ReadWith(const Context& ctx, const std::function<void(ReadTx&)>& work) = 0;
};

/// Opens "sqlite:<path>", creating it, its tables and columns younger than the file.
/// Errors: kUnavailable if another process has it, kDataLoss if it is not a store, kFailedPrecondition if it was written by a newer program.
std::unique_ptr<Store> OpenSqliteStore(std::string_view path, std::vector<Table> tables);

}  // namespace tenfold::data
