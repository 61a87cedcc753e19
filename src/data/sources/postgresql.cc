#include "data/sources/postgresql.h"

#include "base/percent.h"
#include "data/parse.h"
#include "data/postgresql_client.h"
#include "data/sources/record_fields.h"

namespace tenfold::data {
namespace {

constexpr std::string_view kDefaultId = "id";
constexpr std::size_t kMaxPathBytes = 1024;
constexpr std::uint64_t kMaxPageBytes = 64u << 20;

std::vector<std::string_view> OwnKeys() {
  auto keys = RecordFieldKeys();
  keys.insert(keys.begin(), {"table", "query"});
  return keys;
}

/// A statement under construction: what comes from outside is a parameter or a quoted name.
struct Statement {
  std::string sql;
  PostgresqlParameters parameters;
  std::string Bind(std::string value) {
    parameters.emplace_back(std::move(value));
    return "$" + std::to_string(parameters.size());
  }
};

class PostgresqlSource : public Source {
 public:
  PostgresqlSource(std::string_view rest, const SourceSetup& setup)
      : place_(ParsePostgresqlUrl(rest, OwnKeys())), fields_(ParseRecordFields(place_.own, kDefaultId)), client_(place_, setup.secret("PGPASSWORD")) {
    const auto table = place_.own.find("table"), query = place_.own.find("query");
    if ((table == place_.own.end()) == (query == place_.own.end()))
      throw Error(Code::kInvalidArgument, "postgresql: the URL names either table= or query=", "url");
    url_ = place_.canonical + (place_.canonical.find('?') == std::string::npos ? "?" : "&");
    if (table != place_.own.end()) {
      from_ = QuoteSqlPath(table->second) + " AS documents";
      url_ += "table=" + PercentEncode(table->second);
    } else {
      // The line break ends a comment that the query may end with.
      from_ = "(" + query->second + "\n) AS documents";
      url_ += "query=" + PercentEncode(query->second);
    }
    url_ += fields_.ToQuery(kDefaultId);
    id_ = Column(fields_.id);
  }
  const std::string& url() const override { return url_; }

  SourcePage List(const Context& ctx, const std::string&, const std::string& page) override {
    ctx.Check();
    PostgresqlTransaction transaction(ctx, client_, PostgresqlTransaction::Mode::kReadOnly);
    const auto list = MakeList(page);
    const auto rows = client_.Run(ctx, list.sql, list.parameters, kMaxPageBytes);
    SourcePage out;
    const auto count = static_cast<std::size_t>(rows.rows());
    // One row more than the page was asked for: it says whether there is a next page, and shows an id that names two rows across the border.
    for (int row = 0; row < rows.rows(); ++row) {
      const auto id = rows.at(row, 0);
      if (!id) ThrowNullId();
      if (id->size() > kMaxPathBytes)
        throw Error(Code::kInvalidArgument,
                    "'" + fields_.id + "' holds a value of " + std::to_string(id->size()) + " bytes, limit " + std::to_string(kMaxPathBytes));
      if (row > 0 && id == rows.at(row - 1, 0))
        throw Error(Code::kInvalidArgument, "'" + fields_.id + "' names two rows '" + std::string(*id) + "'; choose an id= that is unique", "url");
      if (static_cast<std::size_t>(row) < fields_.page) out.items.push_back(MakeItem(rows, row));
    }
    if (count > fields_.page) {
      out.next = "after:" + out.items.back().path;
    } else {
      // Null sorts last and no comparison finds it: such rows would be left out unseen.
      if (client_.Run(ctx, "SELECT 1 FROM " + from_ + " WHERE " + id_ + " IS NULL LIMIT 1").rows() > 0) ThrowNullId();
    }
    transaction.Commit(ctx);
    return out;
  }

  SourceContent Read(const Context& ctx, const SourceItem& item) override {
    ctx.Check();
    Statement read;
    const auto text = fields_.text.empty() ? "documents_json::text" : "documents_text";
    std::string inner = fields_.text.empty() ? WholeRow(read) + " AS documents_json" : TextColumns() + " AS documents_text";
    const auto limit = std::to_string(kMaxDocumentBytes);
    read.sql = "SELECT octet_length(" + std::string(text) + "), CASE WHEN octet_length(" + text + ") <= " + limit + " THEN " + text + " END FROM (SELECT " +
               inner + " FROM " + from_ + " WHERE " + id_ + " = " + read.Bind(item.path) + " LIMIT 1) AS one";
    PostgresqlTransaction transaction(ctx, client_, PostgresqlTransaction::Mode::kReadOnly);
    const auto rows = client_.Run(ctx, read.sql, read.parameters);
    transaction.Commit(ctx);
    if (rows.rows() == 0) throw Error(Code::kNotFound, "row '" + item.path + "' is gone");
    const auto bytes = rows.at(0, 1);
    if (rows.at(0, 0) && !bytes) throw Error(Code::kResourceExhausted, "row '" + item.path + "' has " + rows.text(0, 0) + " bytes, limit " + limit);
    if (!fields_.text.empty()) return {std::string(bytes.value_or(std::string_view())), fields_.media_type};
    const auto row = ParseJson(bytes.value_or("{}"));
    return {ToMarkdown(row.as_object(), {fields_.access}), fields_.media_type};
  }

 private:
  [[noreturn]] void ThrowNullId() const {
    throw Error(Code::kInvalidArgument, "'" + fields_.id + "' is null in some rows, which then have no name; choose another id=, or a query= without them",
                "url");
  }

  static std::string Column(const std::string& name) { return "documents." + QuoteSqlName(name); }
  /// SQL's NULL where there is no such column.
  static std::string Optional(const std::string& name, const std::string& as) { return name.empty() ? "NULL" : as + "(" + Column(name) + ")"; }
  std::string TextColumns() const {
    std::string out = "concat_ws(E'\\n\\n'";
    for (const auto& name : fields_.text) out += ", " + Column(name);
    return out + ")";
  }
  /// Who may read is not part of what there is to read.
  std::string WholeRow(Statement& to) const {
    return fields_.access.empty() ? "to_jsonb(documents)" : "(to_jsonb(documents) - " + to.Bind(fields_.access) + "::text)";
  }

  Statement MakeList(const std::string& page) const {
    Statement list;
    std::string hashed;
    if (fields_.text.empty()) {
      hashed = WholeRow(list) + "::text";
    } else {
      hashed = "ROW(" + TextColumns();
      for (const auto& name : {fields_.title, fields_.link})
        if (!name.empty()) hashed += ", " + Column(name);
      for (const auto& name : fields_.metadata) hashed += ", " + Column(name);
      hashed += ")::text";
    }
    auto fingerprint = "encode(sha256(convert_to(" + hashed + ", 'UTF8')), 'hex')";
    if (!fields_.updated.empty()) fingerprint = "coalesce(" + Column(fields_.updated) + "::text, " + fingerprint + ")";
    std::string metadata = "NULL";
    if (!fields_.metadata.empty()) {
      metadata.clear();
      for (const auto& name : fields_.metadata) metadata += (metadata.empty() ? "jsonb_build_object(" : ", ") + list.Bind(name) + "::text, " + Column(name);
      metadata += ")::text";
    }
    const auto cut = [](const std::string& name, int length) {
      return name.empty() ? std::string("NULL") : "left(" + Column(name) + "::text, " + std::to_string(length) + ")";
    };
    list.sql = "SELECT " + id_ + "::text, " + fingerprint + ", " + Optional(fields_.access, "to_jsonb") + "::text, " + cut(fields_.title, 1000) + ", " +
               cut(fields_.link, 2000) + ", " + metadata + " FROM " + from_;
    if (!page.empty()) {
      if (!page.starts_with("after:")) throw Error(Code::kInvalidArgument, "page: not one of this source's");
      list.sql += " WHERE " + id_ + " > " + list.Bind(page.substr(6));
    }
    list.sql += " ORDER BY " + id_ + " LIMIT " + std::to_string(fields_.page + 1);
    return list;
  }

  SourceItem MakeItem(const PostgresqlResult& rows, int row) const {
    SourceItem item;
    item.path = rows.text(row, 0);
    item.fingerprint = rows.text(row, 1);
    item.title = rows.text(row, 3);
    item.link = rows.text(row, 4);
    item.media_type = fields_.media_type;
    try {
      if (const auto access = rows.at(row, 2)) item.access = AccessOf(ParseJson(*access));
      if (const auto metadata = rows.at(row, 5)) item.metadata = FlatMetadata(ParseJson(*metadata).as_object());
    } catch (const Error& e) {
      item.problem = e.message();
    }
    return item;
  }

  const PostgresqlPlace place_;
  const RecordFields fields_;
  PostgresqlClient client_;
  std::string url_, from_, id_;
};

}  // namespace

std::unique_ptr<Source> OpenPostgresqlSource(std::string_view rest, const SourceSetup& setup) { return std::make_unique<PostgresqlSource>(rest, setup); }

}  // namespace tenfold::data
