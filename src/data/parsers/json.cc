#include <charconv>

#include "base/utf8.h"
#include "data/parsers/parsers.h"
#include "data/parsers/text.h"

namespace tenfold::data::parsers {
namespace {

constexpr std::size_t kMaxColumns = 64;
constexpr int kDeepestHeading = 6;

bool IsScalar(const Json& value) { return !value.is_object() && !value.is_array(); }

bool IsFlat(const Json& value) {
  return value.is_object() && !value.get_object().empty() && std::all_of(value.get_object().begin(), value.get_object().end(), [](const auto& field) { return IsScalar(field.value()); });
}

std::string ScalarText(const Json& value) {
  if (value.is_null()) return "";
  if (!value.is_string()) return ToText(value);
  std::string out(AsView(value.get_string()));
  std::erase(out, '\0');
  return out;
}

/// Columns in the order they are first seen; nothing if the list is no table.
std::vector<std::string_view> ColumnsOf(const JsonArray& list) {
  std::vector<std::string_view> columns;
  for (const auto& item : list) {
    if (!IsFlat(item)) return {};
    for (const auto& field : item.get_object())
      if (const std::string_view key = field.key(); std::find(columns.begin(), columns.end(), key) == columns.end()) {
        if (columns.size() == kMaxColumns) return {};
        columns.push_back(key);
      }
  }
  return columns;
}

class Writer {
 public:
  void Write(const Json& value, const std::string& path, int level) {
    CheckTextSize(out.size());
    if (value.is_object()) WriteObject(value.get_object(), path, level);
    else if (value.is_array()) WriteList(value.get_array(), path, level);
    else Line(path, ScalarText(value));
  }
  std::string out;

 private:
  void Line(const std::string& path, const std::string& text) {
    if (text.empty()) return;
    if (!path.empty()) out.append(path).append(": ");
    out.append(text).append("\n");
  }
  /// Under a heading names begin anew; too deep for one they are joined by dots.
  std::string Open(const std::string& path, std::string_view name, int level) {
    if (level > kDeepestHeading) return path.empty() ? std::string(name) : path + "." + std::string(name);
    out.append("\n").append(static_cast<std::size_t>(level), '#').append(" ").append(Trim(CollapseSpaces(name))).append("\n\n");
    return {};
  }
  void WriteObject(const JsonObject& object, const std::string& path, int level) {
    const auto name = [&](std::string_view key) { return path.empty() ? std::string(key) : path + "." + std::string(key); };
    // What is said of the object itself comes before what it holds.
    for (const auto& field : object) {
      const auto& value = field.value();
      if (IsScalar(value)) Line(name(field.key()), ScalarText(value));
      else if (value.is_array() && std::all_of(value.get_array().begin(), value.get_array().end(), IsScalar)) Line(name(field.key()), Joined(value.get_array()));
    }
    for (const auto& field : object) {
      const auto& value = field.value();
      if (IsScalar(value) || (value.is_array() && std::all_of(value.get_array().begin(), value.get_array().end(), IsScalar))) continue;
      Write(value, Open(path, field.key(), level), level + 1);
    }
  }
  static std::string Joined(const JsonArray& list) {
    std::string text;
    for (const auto& item : list) text.append(text.empty() ? "" : ", ").append(ScalarText(item));
    return text;
  }
  void WriteList(const JsonArray& list, const std::string& path, int level) {
    if (const auto columns = ColumnsOf(list); !columns.empty()) {
      std::vector<std::string> row(columns.begin(), columns.end());
      for (auto& cell : row) cell = Cell(cell);
      AppendRow(out, row);
      for (const auto& item : list) {
        for (std::size_t i = 0; i < columns.size(); ++i) {
          const auto* value = item.get_object().if_contains(columns[i]);
          row[i] = value ? Cell(ScalarText(*value)) : "";
        }
        AppendRow(out, row);
        CheckTextSize(out.size());
      }
      return;
    }
    std::int64_t number = 0;
    for (const auto& item : list) {
      ++number;
      if (IsScalar(item)) {
        out.append("- ").append(ScalarText(item)).append("\n");
        CheckTextSize(out.size());
        continue;
      }
      std::string name = std::to_string(number);
      if (item.is_object())
        for (const char* key : {"title", "name", "id"})
          if (const auto* value = item.get_object().if_contains(key); value && value->is_string() && !value->get_string().empty()) {
            name = ScalarText(*value);
            break;
          }
      Write(item, Open(path, CutUtf8(name, 200), level), level + 1);
    }
  }
};

ParsedDocument FromValue(const Json& value, std::string_view media_type) {
  Writer writer;
  writer.Write(value, "", 1);
  ParsedDocument out{"", Tidy(writer.out), std::string(media_type)};
  if (value.is_object())
    for (const char* key : {"title", "name"})
      if (const auto* title = value.get_object().if_contains(key); out.title.empty() && title && title->is_string()) out.title = CutUtf8(Trim(ScalarText(*title)), 200);
  return out;
}

}  // namespace

ParsedDocument ParseJsonDocument(std::string_view bytes, std::string_view charset) { return FromValue(Within("the JSON", [&] { return ParseJson(DecodeText(bytes, charset)); }), kJson); }

ParsedDocument ParseJsonLines(std::string_view bytes, std::string_view charset) {
  const auto text = DecodeText(bytes, charset);
  JsonArray items;
  std::size_t number = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const auto line = Trim(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++number;
    if (!line.empty()) items.push_back(Within("line " + std::to_string(number), [&] { return ParseJson(line); }));
  }
  return FromValue(Json(std::move(items)), kJsonLines);
}

}  // namespace tenfold::data::parsers
