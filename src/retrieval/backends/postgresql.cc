#include "retrieval/backends/postgresql.h"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>

#include "data/postgresql_client.h"
#include "retrieval/backends/remote.h"
#include "retrieval/tokenize.h"

namespace tenfold::retrieval {
namespace {

constexpr std::size_t kConnections = 4;
constexpr std::size_t kMostRows = 500, kMostBytes = 16u << 20;  // of one INSERT

std::string Number(double value) {
  char text[40];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

std::string VectorText(std::span<const float> vector) {
  std::string out = "[";
  for (const float x : vector) {
    char text[24];
    out += (out.size() > 1 ? "," : "") + std::string(text, std::to_chars(text, text + sizeof text, x).ptr);
  }
  return out + "]";
}

void AddQuoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

/// A one-dimensional array literal of texts.
std::string ArrayText(const std::vector<std::string>& texts) {
  std::string out = "{";
  for (const auto& text : texts) {
    if (out.size() > 1) out += ',';
    AddQuoted(out, text);
  }
  return out + "}";
}

/// Columns of many rows, each an array literal that grows.
class Columns {
 public:
  explicit Columns(std::size_t count) : literals_(count) {}
  void Add(std::initializer_list<std::optional<std::string>> row) {
    auto literal = literals_.begin();
    for (const auto& value : row) {
      *literal += rows_ ? ',' : '{';
      if (value) AddQuoted(*literal, *value);
      else *literal += "NULL";
      bytes_ += value ? value->size() : 4;
      ++literal;
    }
    ++rows_;
  }
  std::size_t bytes() const { return bytes_; }
  void BindTo(data::PostgresqlParameters& parameters) {
    for (auto& literal : literals_) parameters.emplace_back(literal + "}");
  }

 private:
  std::vector<std::string> literals_;
  std::size_t rows_ = 0, bytes_ = 0;
};

/// Stems in their order, each quoted, so that nothing in them is an operator of to_tsvector or to_tsquery.
std::vector<std::string> Stems(std::string_view text) {
  std::vector<std::string> out;
  ForEachWord(text, [&](std::string_view stem) { out.emplace_back(stem); });
  return out;
}

std::string LexemeText(const std::string& stem) {
  std::string out = "'";
  for (const char c : stem) {
    if (c == '\'' || c == '\\') out += c;
    out += c;
  }
  return out + "'";
}

/// A tsvector literal: 'stem':1,4 'other':2
std::string TsVector(std::string_view text) {
  std::map<std::string, std::vector<std::size_t>> places;
  std::size_t at = 0;
  for (auto& stem : Stems(text)) {
    ++at;
    if (auto& list = places[std::move(stem)]; at < 16'384 && list.size() < 255) list.push_back(at);  // what a tsvector can hold
  }
  std::string out;
  for (const auto& [stem, list] : places) {
    out += (out.empty() ? "" : " ") + LexemeText(stem);
    for (std::size_t i = 0; i < list.size(); ++i) out += (i ? "," : ":") + std::to_string(list[i]);
  }
  return out;
}

std::string TsQuery(std::string_view text) {
  std::string out;
  for (const auto& stem : Stems(text)) out += (out.empty() ? "" : " | ") + LexemeText(stem);
  return out;
}

/// A statement being written: its text and the values of its $n.
class Statement {
 public:
  std::string text;
  data::PostgresqlParameters parameters;
  std::string Bind(std::string value) {
    parameters.emplace_back(std::move(value));
    return "$" + std::to_string(parameters.size());
  }
};

/// A filter as a condition over the column `metadata` (jsonb). Absent fields make a comparison NULL, so each is closed with COALESCE: NOT is then exact.
std::string ConditionOf(const Filter& filter, Statement& statement) {
  using Op = Filter::Op;
  const auto json = [&](const Json& value) { return statement.Bind(ToText(value)) + "::jsonb"; };
  const auto field = [&] { return "metadata->" + statement.Bind(filter.field); };
  const auto equal = [&](const Json& value) {
    // A list holds what one of its elements is: jsonb's @> of a list and a scalar says just that, and of two scalars that they are equal.
    return "COALESCE(" + field() + " @> " + json(value) + ", false)";
  };
  const auto any = [&] {
    std::string out = "(false";
    for (const auto& value : filter.values) out += " OR " + equal(value);
    return out + ")";
  };
  const auto compare = [&](const char* op) {
    const auto& value = filter.values.at(0);
    if (value.is_number()) return "COALESCE(CASE WHEN jsonb_typeof(" + field() + ") = 'number' THEN (metadata->>" + statement.Bind(filter.field) + ")::float8 " + op + " " + statement.Bind(Number(value.to_number<double>())) + "::float8 END, false)";
    if (value.is_string()) {
      const auto name = statement.Bind(filter.field), text = statement.Bind(std::string(AsView(value.get_string())));
      return "COALESCE(CASE jsonb_typeof(metadata->" + name + ") WHEN 'string' THEN (metadata->>" + name + ") COLLATE \"C\" " + op + " " + text + " WHEN 'array' THEN EXISTS (SELECT 1 FROM jsonb_array_elements_text(metadata->" + name +
             ") AS one WHERE one COLLATE \"C\" " + op + " " + text + ") END, false)";
    }
    return std::string("false");
  };
  switch (filter.op) {
    case Op::kAnd:
    case Op::kOr: {
      std::string out = filter.op == Op::kAnd ? "(true" : "(false";
      for (const auto& part : filter.parts) out += (filter.op == Op::kAnd ? " AND " : " OR ") + ConditionOf(part, statement);
      return out + ")";
    }
    case Op::kNot: return "(NOT " + ConditionOf(filter.parts.at(0), statement) + ")";
    case Op::kEqual: return equal(filter.values.at(0));
    case Op::kNotEqual: return "(NOT " + equal(filter.values.at(0)) + ")";
    case Op::kIn: return any();
    case Op::kNotIn: return "(NOT " + any() + ")";
    case Op::kExists: return std::string(filter.values.at(0).as_bool() ? "" : "NOT ") + "(metadata ? " + statement.Bind(filter.field) + ")";
    case Op::kLess: return compare("<");
    case Op::kLessOrEqual: return compare("<=");
    case Op::kGreater: return compare(">");
    case Op::kGreaterOrEqual: return compare(">=");
    case Op::kLike:
    case Op::kLikeWord: throw Error(Code::kUnimplemented, "filter: patterns are not pushed down to PostgreSQL ('" + filter.field + "')");
    case Op::kWithin: {
      // Great-circle distance on a sphere of 6,371,008.8 m, the haversine formula, as Filter::Matches.
      const auto lat = "radians((metadata->" + statement.Bind(filter.field) + "->>'lat')::float8)", lon = "radians((metadata->" + statement.Bind(filter.field) + "->>'lon')::float8)";
      const auto lat0 = "radians(" + statement.Bind(Number(filter.values.at(0).to_number<double>())) + "::float8)", lon0 = "radians(" + statement.Bind(Number(filter.values.at(1).to_number<double>())) + "::float8)";
      return "COALESCE(CASE WHEN jsonb_typeof(" + field() + ") = 'object' THEN 2 * 6371008.8 * asin(least(1, sqrt(pow(sin((" + lat + " - " + lat0 + ") / 2), 2) + cos(" + lat0 + ") * cos(" + lat + ") * pow(sin((" + lon + " - " + lon0 +
             ") / 2), 2)))) <= " + statement.Bind(Number(filter.values.at(2).to_number<double>())) + "::float8 END, false)";
    }
  }
  return "false";
}

/// Connections, lent to one call each.
class Connections {
 public:
  Connections(data::PostgresqlPlace place, std::string password) : place_(std::move(place)), password_(std::move(password)) {}
  struct GiveBack {
    Connections* to;
    void operator()(data::PostgresqlClient* client) const {
      const std::lock_guard lock(to->mutex_);
      --to->lent_;
      to->free_.emplace_back(client);
      to->returned_.notify_one();
    }
  };
  /// Waits for one. Errors: kCancelled, kDeadlineExceeded.
  std::unique_ptr<data::PostgresqlClient, GiveBack> Lend(const Context& ctx) {
    std::unique_lock lock(mutex_);
    while (free_.empty() && lent_ >= kConnections) {
      ctx.Check();
      returned_.wait_for(lock, std::chrono::milliseconds(50));
    }
    std::unique_ptr<data::PostgresqlClient> client;
    if (free_.empty()) {
      client = std::make_unique<data::PostgresqlClient>(place_, password_);
    } else {
      client = std::move(free_.back());
      free_.pop_back();
    }
    ++lent_;
    return {client.release(), GiveBack{this}};
  }

 private:
  const data::PostgresqlPlace place_;
  const std::string password_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<data::PostgresqlClient>> free_;
  std::size_t lent_ = 0;
};

class PostgresqlIndex : public SearchIndex {
 public:
  PostgresqlIndex(const Context& ctx, data::PostgresqlPlace place, const PostgresqlIndexOptions& options) : options_(options), table_(TableIn(place)), connections_(std::move(place), options.password) {
    const auto lease = connections_.Lend(ctx);
    auto& client = *lease;
    try {
      client.Run(ctx, "CREATE EXTENSION IF NOT EXISTS vector");
    } catch (const Error& e) {
      if (client.Run(ctx, "SELECT 1 FROM pg_extension WHERE extname = 'vector'").rows() == 0)
        throw Error(Code::kFailedPrecondition, "postgresql: the extension 'vector' (pgvector) is not there and cannot be made: " + e.message());
    }
    // Two processes that make the table at the same time wait for each other.
    data::PostgresqlTransaction transaction(ctx, client, data::PostgresqlTransaction::Mode::kReadWrite);
    client.Run(ctx, "SELECT pg_advisory_xact_lock(hashtext($1))", {{table_}});
    client.Run(ctx, "CREATE TABLE IF NOT EXISTS " + table_ + " (name_space text NOT NULL COLLATE \"C\", id text NOT NULL COLLATE \"C\", grp text NOT NULL, access text[] NOT NULL, title text NOT NULL, heading text NOT NULL, body text NOT NULL, embedding vector" +
                        (options_.dim ? "(" + std::to_string(options_.dim) + ")" : std::string()) + ", words tsvector NOT NULL, metadata jsonb NOT NULL, PRIMARY KEY (name_space, id))");
    const auto typed = client.Run(ctx, "SELECT atttypmod FROM pg_attribute WHERE attrelid = $1::regclass AND attname = 'embedding'", {{table_}});
    if (typed.rows() == 1 && options_.dim && typed.text(0, 0) != std::to_string(options_.dim)) throw Error(Code::kInvalidArgument, "postgresql: the vectors of " + table_ + " have " + typed.text(0, 0) + " dimensions, " + std::to_string(options_.dim) + " are needed");
    const auto suffix = [&](const char* what) { return data::QuoteSqlName("tf_" + std::to_string(std::hash<std::string>{}(table_) % 1'000'000'000) + what); };
    client.Run(ctx, "CREATE INDEX IF NOT EXISTS " + suffix("_words") + " ON " + table_ + " USING gin (words)");
    client.Run(ctx, "CREATE INDEX IF NOT EXISTS " + suffix("_meta") + " ON " + table_ + " USING gin (metadata jsonb_path_ops)");
    client.Run(ctx, "CREATE INDEX IF NOT EXISTS " + suffix("_grp") + " ON " + table_ + " (name_space, grp)");
    transaction.Commit(ctx);
  }

  std::size_t dim() const override { return options_.dim; }
  Metric metric() const override { return options_.metric; }

  void Write(const Context& ctx, std::string_view name_space, std::span<const IndexChange> changes) override {
    CheckChanges(changes, options_.dim, options_.metric);
    const auto lease = connections_.Lend(ctx);
    auto& client = *lease;
    data::PostgresqlTransaction transaction(ctx, client, data::PostgresqlTransaction::Mode::kReadWrite);
    const std::string where = " WHERE name_space = $1 AND id = $2";
    for (std::size_t at = 0; at < changes.size(); ++at) {
      const auto& change = changes[at];
      const auto& record = change.record;
      const data::PostgresqlParameters key{std::string(name_space), record.id};
      auto parameters = key;
      switch (change.kind) {
        case IndexChange::Kind::kPut:
          at += PutMany(ctx, client, name_space, changes.subspan(at)) - 1;
          break;
        case IndexChange::Kind::kDelete: client.Run(ctx, "DELETE FROM " + table_ + where, key); break;
        case IndexChange::Kind::kSetAccess:
          parameters.emplace_back(ArrayText(LabelsOf(record.access)));
          client.Run(ctx, "UPDATE " + table_ + " SET access = $3::text[]" + where, parameters);
          break;
        case IndexChange::Kind::kSetMetadata:
          parameters.emplace_back(ToText(record.metadata));
          client.Run(ctx, "UPDATE " + table_ + " SET metadata = $3::jsonb" + where, parameters);
          break;
        case IndexChange::Kind::kMerge:
          parameters.emplace_back(ToText(record.metadata));
          parameters.push_back(record.vector.empty() ? std::nullopt : std::optional(VectorText(record.vector)));
          client.Run(ctx, "UPDATE " + table_ + " SET metadata = metadata || $3::jsonb, embedding = coalesce($4::vector, embedding)" + where, parameters);
          break;
      }
    }
    transaction.Commit(ctx);
  }

  IndexResult Search(const Context& ctx, std::string_view name_space, const IndexQuery& query) override {
    CheckQuery(query, options_.dim);
    const auto lease = connections_.Lend(ctx);
    auto& client = *lease;
    // One snapshot for both lists and the facets: nobody is found in one state and counted in another.
    data::PostgresqlTransaction transaction(ctx, client, data::PostgresqlTransaction::Mode::kReadOnly);
    client.RunScript(ctx, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    IndexResult out;
    const std::string vector_column = query.diversity > 0 ? ", embedding" : "";
    out = CombineDeepEnough(query, [&](std::size_t depth) {
      BothLists lists;
      const auto limit = std::to_string(depth);
      if (query.text.empty() && query.vector.empty()) {
        Statement statement;
        const auto where = WhereOf(ctx.principal(), name_space, query, statement);
        lists.words = HitsOf(client.Run(ctx, "SELECT id, grp, 0" + vector_column + " FROM " + table_ + where + " ORDER BY id LIMIT " + limit, statement.parameters));
      }
      if (const auto asked = TsQuery(query.text); !asked.empty()) {
        Statement statement;
        const auto where = WhereOf(ctx.principal(), name_space, query, statement);
        const auto terms = statement.Bind(asked) + "::tsquery";
        lists.words = HitsOf(client.Run(ctx, "SELECT id, grp, ts_rank_cd(words, " + terms + ", 1)" + vector_column + " FROM " + table_ + where + " AND words @@ " + terms + " ORDER BY 3 DESC, id LIMIT " + limit, statement.parameters));
      }
      if (!query.vector.empty()) {
        Statement statement;
        const auto where = WhereOf(ctx.principal(), name_space, query, statement);
        lists.vectors = HitsOf(client.Run(ctx, "SELECT id, grp, " + ScoreOf(statement.Bind(VectorText(query.vector))) + vector_column + " FROM " + table_ + where + " AND embedding IS NOT NULL ORDER BY 3 DESC, id LIMIT " + limit, statement.parameters));
      }
      return lists;
    });
    for (const auto& facet : query.facets) {
      Statement statement;
      const auto where = WhereOf(ctx.principal(), name_space, query, statement);
      const auto field = "metadata->" + statement.Bind(facet);
      const auto rows = client.Run(ctx, "SELECT value, count(*) FROM " + table_ + " CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(" + field + ") WHEN 'array' THEN " + field + " ELSE jsonb_build_array(" + field + ") END) AS value" + where + " AND metadata ? " +
                                            statement.Bind(facet) + " AND jsonb_typeof(value) <> 'object' GROUP BY value ORDER BY 2 DESC, value::text LIMIT " + std::to_string(query.facet_values),
                                   statement.parameters);
      auto& counts = out.facets[facet];
      for (int r = 0; r < rows.rows(); ++r) counts.push_back({ParseJson(rows.text(r, 0)), std::stoll(rows.text(r, 1))});
    }
    return out;
  }

  std::vector<IndexRecord> Fetch(const Context& ctx, std::string_view name_space, std::span<const std::string> ids) override {
    const auto lease = connections_.Lend(ctx);
    auto& client = *lease;
    const auto rows = client.Run(ctx, "SELECT t.id, grp, array_to_string(access, ','), title, heading, body, embedding, metadata FROM " + table_ + " t JOIN unnest($2::text[]) WITH ORDINALITY AS asked(id, place) ON t.id = asked.id WHERE name_space = $1 ORDER BY place",
                                 {std::string(name_space), ArrayText({ids.begin(), ids.end()})});
    std::vector<IndexRecord> out;
    for (int r = 0; r < rows.rows(); ++r) {
      IndexRecord record{rows.text(r, 0), rows.text(r, 1), rows.text(r, 2), rows.text(r, 3), rows.text(r, 4), rows.text(r, 5), {}, ParseJson(rows.text(r, 7)).as_object()};
      if (!ctx.principal().MayRead(record.access)) continue;
      if (const auto vector = rows.at(r, 6)) record.vector = VectorOf(*vector);
      out.push_back(std::move(record));
    }
    return out;
  }

  std::vector<std::string> List(const Context& ctx, std::string_view name_space, std::string_view prefix, std::string_view after, std::size_t limit) override {
    const auto lease = connections_.Lend(ctx);
    auto& client = *lease;
    Statement statement;
    auto where = WhereOf(ctx.principal(), name_space, {}, statement);
    if (!prefix.empty()) where += " AND starts_with(id, " + statement.Bind(std::string(prefix)) + ")";
    if (!after.empty()) where += " AND id > " + statement.Bind(std::string(after));
    const auto rows = client.Run(ctx, "SELECT id FROM " + table_ + where + " ORDER BY id LIMIT " + std::to_string(limit), statement.parameters);
    std::vector<std::string> out;
    for (int r = 0; r < rows.rows(); ++r) out.push_back(rows.text(r, 0));
    return out;
  }

  std::vector<NamespaceInfo> Namespaces(const Context& ctx) override {
    const auto lease = connections_.Lend(ctx);
    auto& client = *lease;
    const auto rows = client.Run(ctx, "SELECT name_space, count(*) FROM " + table_ + " GROUP BY name_space ORDER BY name_space");
    std::vector<NamespaceInfo> out;
    for (int r = 0; r < rows.rows(); ++r) out.push_back({rows.text(r, 0), std::stoll(rows.text(r, 1))});
    return out;
  }

  void DeleteNamespace(const Context& ctx, std::string_view name_space) override {
    const auto lease = connections_.Lend(ctx);
    lease->Run(ctx, "DELETE FROM " + table_ + " WHERE name_space = $1", {std::string(name_space)});
  }

 private:
  /// The puts that `changes` begins with, in one statement, which may name a row once. Returns how many.
  std::size_t PutMany(const Context& ctx, data::PostgresqlClient& client, std::string_view name_space, std::span<const IndexChange> changes) {
    Columns columns(9);
    std::set<std::string_view> ids;
    for (const auto& change : changes) {
      const auto& record = change.record;
      if (change.kind != IndexChange::Kind::kPut || ids.size() == kMostRows || columns.bytes() > kMostBytes || !ids.insert(record.id).second) break;
      columns.Add({record.id, record.group, ArrayText(LabelsOf(record.access)), record.title, record.heading, record.text, record.vector.empty() ? std::nullopt : std::optional(VectorText(record.vector)),
                   TsVector(record.title + "\n" + record.heading + "\n" + record.text), ToText(record.metadata)});
    }
    data::PostgresqlParameters parameters{std::string(name_space)};
    columns.BindTo(parameters);
    client.Run(ctx,
               "INSERT INTO " + table_ +
                   " SELECT $1, id, grp, access::text[], title, heading, body, embedding::vector, words::tsvector, metadata::jsonb FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])"
                   " AS row(id, grp, access, title, heading, body, embedding, words, metadata) ON CONFLICT (name_space, id) DO UPDATE SET grp = EXCLUDED.grp, access = EXCLUDED.access, title = EXCLUDED.title, heading = EXCLUDED.heading, "
                   "body = EXCLUDED.body, embedding = EXCLUDED.embedding, words = EXCLUDED.words, metadata = EXCLUDED.metadata",
               parameters);
    return ids.size();
  }

  /// " WHERE …" of namespace, readers, groups and filter: what does not pass is never scored.
  std::string WhereOf(const Principal& reader, std::string_view name_space, const IndexQuery& query, Statement& statement) const {
    auto out = " WHERE name_space = " + statement.Bind(std::string(name_space));
    if (const auto labels = LabelsToMatch(reader)) out += " AND access && " + statement.Bind(ArrayText(*labels)) + "::text[]";
    if (query.groups) out += " AND grp = ANY(" + statement.Bind(ArrayText(*query.groups)) + "::text[])";
    if (!query.filter.is_all()) out += " AND " + ConditionOf(query.filter, statement);
    return out;
  }

  std::string ScoreOf(const std::string& vector) const {
    switch (options_.metric) {
      case Metric::kCosine: return "1 - COALESCE(NULLIF(embedding <=> " + vector + "::vector, 'NaN'::float8), 1)";
      case Metric::kDot: return "-(embedding <#> " + vector + "::vector)";
      case Metric::kEuclidean: return "-pow(embedding <-> " + vector + "::vector, 2)";
    }
    return "0";
  }

  static std::vector<float> VectorOf(std::string_view text) {
    std::vector<float> out;
    for (const char *at = text.data() + 1, *end = text.data() + text.size() - 1; at < end; ++at) {
      float x = 0;
      at = std::from_chars(at, end, x).ptr;
      out.push_back(x);
    }
    return out;
  }

  static std::vector<ListedHit> HitsOf(const data::PostgresqlResult& rows) {
    std::vector<ListedHit> out;
    for (int r = 0; r < rows.rows(); ++r) {
      ListedHit hit{rows.text(r, 0), rows.text(r, 1)};
      hit.score = std::strtof(rows.text(r, 2).c_str(), nullptr);
      if (rows.columns() > 3)
        if (const auto vector = rows.at(r, 3)) hit.vector = VectorOf(*vector);
      out.push_back(std::move(hit));
    }
    return out;
  }

  static std::string TableIn(const data::PostgresqlPlace& place) {
    const auto table = place.own.find("table");
    return data::QuoteSqlPath(table == place.own.end() ? "tenfold_records" : table->second);
  }

  const PostgresqlIndexOptions options_;
  const std::string table_;
  Connections connections_;
};

}  // namespace

std::unique_ptr<SearchIndex> OpenPostgresqlIndex(const Context& ctx, std::string_view url, const PostgresqlIndexOptions& options) {
  return std::make_unique<PostgresqlIndex>(ctx, data::ParsePostgresqlUrl(url, {"table"}), options);
}

}  // namespace tenfold::retrieval
