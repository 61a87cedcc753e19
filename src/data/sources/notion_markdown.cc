#include "data/sources/notion_markdown.h"

#include <algorithm>

#include "data/parse.h"
#include "data/sources/http_source.h"

namespace tenfold::data {
namespace {

constexpr int kMaxDepth = 32;

const Json& Field(const Json& object, std::string_view key) {
  static const Json none;
  const auto* found = object.is_object() ? object.get_object().if_contains(boost::json::string_view(key.data(), key.size())) : nullptr;
  return found ? *found : none;
}
const JsonArray& List(const Json& value) {
  static const JsonArray none;
  return value.is_array() ? value.get_array() : none;
}
bool IsTrue(const Json& value) { return value.is_bool() && value.get_bool(); }

/// One line: what would begin a new block in Markdown is a blank here.
std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::string Indented(std::string_view text, std::string_view first, std::string_view further) {
  std::string out;
  bool begin = true;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    if (!line.empty() || begin || further.find('>') != std::string_view::npos) out += begin ? first : further;
    (out += line) += '\n';
    begin = false;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return begin ? std::string(first) + "\n" : out;
}

/// A fence longer than any run of backticks inside.
std::string Fenced(std::string_view text, std::string_view language) {
  std::size_t longest = 2, run = 0;
  for (const char c : text) longest = std::max(longest, run = c == '`' ? run + 1 : 0);
  const std::string fence(longest + 1, '`');
  return fence + OneLine(std::string(language)) + "\n" + std::string(text) + "\n" + fence + "\n";
}

/// The address of an image or a file: Notion's own ones expire within the hour, so they carry no link.
std::string FileUrl(const Json& file) { return TextOf(Field(file, "external"), "url"); }

class Writer {
 public:
  void Blocks(const JsonArray& blocks, const std::string& indent, int depth) {
    int number = 0;
    bool after_list = false;
    for (const auto& block : blocks) {
      if (out.size() > kMaxTextBytes) return;
      const auto type = TextOf(block, "type");
      number = type == "numbered_list_item" ? number + 1 : 0;
      const bool is_list = type == "bulleted_list_item" || type == "numbered_list_item" || type == "to_do";
      if (!out.empty() && !(is_list && after_list)) out += '\n';
      after_list = is_list;
      Block(block, type, number, indent, depth);
    }
  }
  std::string out;

 private:
  void Put(std::string_view text, const std::string& indent, std::string_view mark = "", std::string_view further = "") {
    out += Indented(text, indent + std::string(mark), indent + std::string(further));
  }

  void Block(const Json& block, std::string_view type, int number, const std::string& indent, int depth) {
    const auto& what = Field(block, type);
    const auto text = NotionRichTextToMarkdown(Field(what, "rich_text"));
    std::string inner = indent;
    if (type == "paragraph") {
      if (!text.empty()) Put(text, indent);
    } else if (type == "heading_1" || type == "heading_2" || type == "heading_3") {
      Put(std::string(static_cast<std::size_t>(type.back() - '0') + 1, '#') + " " + OneLine(text), indent);  // '#' alone is the page's title
    } else if (type == "bulleted_list_item" || type == "toggle") {
      Put(text, indent, "- ", "  ");
      inner += "  ";
    } else if (type == "numbered_list_item") {
      Put(text, indent, std::to_string(number) + ". ", "   ");
      inner += "   ";
    } else if (type == "to_do") {
      Put(text, indent, IsTrue(Field(what, "checked")) ? "- [x] " : "- [ ] ", "  ");
      inner += "  ";
    } else if (type == "quote" || type == "callout") {
      const auto icon = TextOf(Field(what, "icon"), "emoji");
      Put((icon.empty() ? "" : icon + " ") + text, indent, "> ", "> ");
      inner += "> ";
    } else if (type == "code") {
      Put(Fenced(NotionPlainText(Field(what, "rich_text")), TextOf(what, "language") == "plain text" ? "" : TextOf(what, "language")), indent);
    } else if (type == "equation") {
      Put("$$\n" + TextOf(what, "expression") + "\n$$", indent);
    } else if (type == "divider") {
      Put("---", indent);
    } else if (type == "child_page" || type == "child_database") {
      Put("[" + OneLine(TextOf(what, "title")) + "](https://www.notion.so/" + WithoutDashes(TextOf(block, "id")) + ")", indent);
      return;
    } else if (type == "bookmark" || type == "embed" || type == "link_preview") {
      const auto caption = NotionPlainText(Field(what, "caption"));
      Put("[" + OneLine(caption.empty() ? TextOf(what, "url") : caption) + "](" + TextOf(what, "url") + ")", indent);
    } else if (type == "image" || type == "file" || type == "pdf" || type == "video" || type == "audio") {
      auto name = NotionPlainText(Field(what, "caption"));
      if (name.empty()) name = TextOf(what, "name");
      if (name.empty()) name = type;
      const auto url = FileUrl(what);
      Put(url.empty() ? "[" + OneLine(name) + "]" : (type == "image" ? "![" : "[") + OneLine(name) + "](" + url + ")", indent);
    } else if (type == "table") {
      Table(block, indent);
      return;
    }
    // Kinds with nothing of their own (columns, synced blocks, unknown ones) still hold others.
    if (depth < kMaxDepth && !List(Field(block, "children")).empty()) Blocks(List(Field(block, "children")), inner, depth + 1);
  }

  void Table(const Json& table, const std::string& indent) {
    std::size_t width = 0, row = 0;
    for (const auto& line : List(Field(table, "children"))) width = std::max(width, List(Field(Field(line, "table_row"), "cells")).size());
    width = std::min<std::size_t>(width, 200);
    for (const auto& line : List(Field(table, "children"))) {
      const auto& cells = List(Field(Field(line, "table_row"), "cells"));
      std::string text = "|";
      for (std::size_t i = 0; i < width; ++i) {
        auto cell = i < cells.size() ? OneLine(NotionRichTextToMarkdown(cells[i])) : std::string();
        for (std::size_t at = 0; (at = cell.find('|', at)) != std::string::npos; at += 2) cell.insert(at, "\\");
        text += " " + cell + " |";
      }
      Put(text, indent);
      if (row++ == 0) {
        std::string rule = "|";
        for (std::size_t i = 0; i < width; ++i) rule += " --- |";
        Put(rule, indent);
      }
      if (out.size() > kMaxTextBytes) return;
    }
  }

  static std::string WithoutDashes(std::string id) {
    std::erase(id, '-');
    return id;
  }
};

void AddNames(const JsonArray& list, JsonArray& out) {
  for (const auto& one : list)
    if (const auto name = TextOf(one, "name"); !name.empty()) out.emplace_back(name);
}

/// null if it is empty or of a kind without a flat form.
Json PropertyValue(const Json& property, int depth) {
  const auto type = TextOf(property, "type");
  const auto& value = Field(property, type);
  const auto text_or_null = [](std::string text) { return text.empty() ? Json() : Json(std::move(text)); };
  if (type == "rich_text") return text_or_null(NotionPlainText(value));
  if (type == "number" || type == "checkbox") return value.is_number() || value.is_bool() ? value : Json();
  if (type == "select" || type == "status" || type == "created_by" || type == "last_edited_by") return text_or_null(TextOf(value, "name"));
  if (type == "url" || type == "email" || type == "phone_number" || type == "created_time" || type == "last_edited_time" || type == "string")
    return text_or_null(TextOf(property, type));
  if (type == "boolean") return value.is_bool() ? value : Json();
  if (type == "date") {
    const auto start = TextOf(value, "start"), end = TextOf(value, "end");
    return text_or_null(end.empty() ? start : start + "/" + end);
  }
  if (type == "unique_id") {
    const auto& number = Field(value, "number");
    const auto prefix = TextOf(value, "prefix");
    return number.is_int64() ? Json((prefix.empty() ? "" : prefix + "-") + std::to_string(number.get_int64())) : Json();
  }
  if ((type == "formula" || type == "rollup") && depth < 2) return PropertyValue(value, depth + 1);
  JsonArray list;
  if (type == "multi_select" || type == "people" || type == "files") AddNames(List(value), list);
  if (type == "relation")
    for (const auto& one : List(value))
      if (auto id = TextOf(one, "id"); !id.empty()) list.emplace_back((std::erase(id, '-'), id));
  if (type == "array" && depth < 2)
    for (const auto& one : List(value))
      if (auto inner = PropertyValue(one, depth + 1); inner.is_string()) list.push_back(std::move(inner));
  return list.empty() ? Json() : Json(std::move(list));
}

}  // namespace

std::string NotionPlainText(const Json& rich_text) {
  std::string out;
  for (const auto& piece : List(rich_text)) out += TextOf(piece, "plain_text");
  return out;
}

std::string NotionRichTextToMarkdown(const Json& rich_text) {
  std::string out;
  for (const auto& piece : List(rich_text)) {
    auto text = TextOf(piece, "plain_text");
    if (TextOf(piece, "type") == "equation") {
      out += "$" + TextOf(Field(piece, "equation"), "expression") + "$";
      continue;
    }
    // Marks stand at words: a blank inside them would make them text.
    const auto begin = text.find_first_not_of(" \n\t"), end = text.find_last_not_of(" \n\t");
    if (begin == std::string::npos) {
      out += text;
      continue;
    }
    const auto before = text.substr(0, begin), after = text.substr(end + 1);
    text = text.substr(begin, end - begin + 1);
    const auto& marks = Field(piece, "annotations");
    if (IsTrue(Field(marks, "code"))) text = text.find('`') == std::string::npos ? "`" + text + "`" : "`` " + text + " ``";
    if (IsTrue(Field(marks, "italic"))) text = "*" + text + "*";
    if (IsTrue(Field(marks, "bold"))) text = "**" + text + "**";
    if (IsTrue(Field(marks, "strikethrough"))) text = "~~" + text + "~~";
    if (auto href = TextOf(piece, "href"); !href.empty()) {
      if (href.starts_with('/')) href = "https://www.notion.so" + href;
      text = "[" + text + "](" + href + ")";
    }
    out += before + text + after;
  }
  return out;
}

std::string NotionBlocksToMarkdown(const Json& blocks) {
  Writer writer;
  writer.Blocks(List(blocks), "", 0);
  return std::move(writer.out);
}

JsonObject NotionProperties(const Json& properties) {
  JsonObject out;
  if (!properties.is_object()) return out;
  for (const auto& [name, property] : properties.get_object())
    if (TextOf(property, "type") != "title")
      if (auto value = PropertyValue(property, 0); !value.is_null()) out[name] = std::move(value);
  return out;
}

std::string NotionTitle(const Json& properties) {
  if (properties.is_object())
    for (const auto& [name, property] : properties.get_object())
      if (TextOf(property, "type") == "title") return NotionPlainText(Field(property, "title"));
  return {};
}

}  // namespace tenfold::data
