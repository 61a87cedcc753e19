#include "retrieval/trec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <span>
#include <unordered_set>

#include "base/error.h"
#include "base/json.h"

namespace tenfold::retrieval {
namespace {

using Limits = CollectionLimits;

/// A file with the line one is at: counted only over what was passed since, so that a whole pass counts each line once.
class Place {
 public:
  Place(std::string_view file, std::string_view name) : file_(file), name_(name) {
    if (file.size() > Limits::kFileBytes) throw Error(Code::kResourceExhausted, std::string(name) + ": has " + std::to_string(file.size() >> 20) + " MB, limit " + std::to_string(Limits::kFileBytes >> 20) + " MB");
  }
  [[noreturn]] void Fail(std::size_t at, const std::string& problem, Code code = Code::kInvalidArgument) {
    throw Error(code, std::string(name_) + ":" + std::to_string(1 + std::count(file_.begin(), file_.begin() + static_cast<std::ptrdiff_t>(std::min(at, file_.size())), '\n')) + ": " + problem);
  }
  void CheckCount(std::size_t at, std::size_t count, std::size_t limit, const char* what) {
    if (count > limit) Fail(at, std::string("more than ") + std::to_string(limit) + " " + what, Code::kResourceExhausted);
  }
  void CheckBytes(std::size_t at, std::size_t bytes, std::size_t limit, const std::string& what) {
    if (bytes > limit) Fail(at, what + " has " + std::to_string(bytes) + " bytes, limit " + std::to_string(limit), Code::kResourceExhausted);
  }
  void CheckId(std::size_t at, const std::string& id, const char* where) {
    if (id.empty()) Fail(at, std::string("no id: ") + where + " is missing or empty");
    CheckBytes(at, id.size(), Limits::kIdBytes, "the id");
  }

 private:
  const std::string_view file_, name_;
};

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

/// `expected` is lower case.
bool StartsWith(std::string_view text, std::string_view expected) {
  return text.size() >= expected.size() && std::equal(expected.begin(), expected.end(), text.begin(), [](char a, char b) { return a == Lower(b); });
}

/// As it is if it is UTF-8, else each byte as the Latin-1 character that old collections mean by it.
std::string AsUtf8(std::string text) {
  if (IsUtf8(text)) return text;
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) out += c;
    else out += {static_cast<char>(0xc0 | byte >> 6), static_cast<char>(0x80 | (byte & 0x3f))};
  }
  return out;
}

/// A tag at `at`, which holds '<': "</name ...>" or "<name ...>". Nothing if it is only a smaller-than sign.
struct Tag {
  std::string name;  ///< lower case
  bool closes = false;
  std::size_t end = 0;  ///< after '>'
};
std::optional<Tag> TagAt(std::string_view file, std::size_t at) {
  constexpr std::size_t kMaxTagBytes = 1024;
  Tag tag;
  auto i = at + 1;
  if (i < file.size() && file[i] == '/') {
    tag.closes = true;
    ++i;
  }
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  if (i >= file.size() || !is_letter(Lower(file[i]))) return std::nullopt;
  for (; i < file.size() && tag.name.size() < 32 && (is_letter(Lower(file[i])) || (file[i] >= '0' && file[i] <= '9')); ++i) tag.name += Lower(file[i]);
  const auto close = file.substr(i, kMaxTagBytes).find_first_of("<>");
  if (close == std::string_view::npos || file[i + close] == '<') return std::nullopt;
  tag.end = i + close + 1;
  return tag;
}

/// A field's text: inner tags as a space, XML's five entities decoded, ends trimmed.
std::string FieldText(std::string_view field) {
  std::string out;
  for (std::size_t i = 0; i < field.size();) {
    if (field[i] == '<')
      if (const auto tag = TagAt(field, i)) {
        out += ' ';
        i = tag->end;
        continue;
      }
    static constexpr std::array<std::pair<std::string_view, char>, 5> kEntities{{{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}}};
    const auto entity = field[i] == '&' ? std::find_if(kEntities.begin(), kEntities.end(), [&](const auto& one) { return StartsWith(field.substr(i), one.first); }) : kEntities.end();
    out += entity != kEntities.end() ? entity->second : field[i];
    i += entity != kEntities.end() ? entity->first.size() : 1;
  }
  return AsUtf8(std::string(Trim(out)));
}

struct Field {
  std::string name;
  std::string_view text;
};
struct Element {
  std::size_t begin = 0;  ///< of its opening tag
  std::vector<Field> fields;
};

/// Calls `take` with each <`name`>…</`name`> of the file and its fields among `known`. A field ends at its closing tag, at the next field's opening tag where the closing one is
/// left out (as TREC's topics do), or with the element.
void ForEachElement(Place& place, std::string_view file, std::string_view name, std::span<const std::string_view> known, const std::function<void(const Element&)>& take) {
  const auto is_known = [&](const std::string& field) { return std::find(known.begin(), known.end(), field) != known.end(); };
  Element element;
  bool inside = false, any = false;
  std::string open;            // the field we are in
  std::size_t field_begin = 0;
  const auto end_field = [&](std::size_t at) {
    if (!open.empty()) element.fields.push_back({open, file.substr(field_begin, at - field_begin)});
    open.clear();
  };
  for (auto at = file.find('<'); at != std::string_view::npos; at = file.find('<', at)) {
    const auto tag = TagAt(file, at);
    if (!tag) {
      ++at;
      continue;
    }
    if (tag->name == name && !tag->closes) {
      if (inside) place.Fail(at, "<" + std::string(name) + "> inside the one before, which has no </" + std::string(name) + ">");
      inside = any = true;
      element = {at, {}};
    } else if (tag->name == name) {
      if (!inside) place.Fail(at, "</" + std::string(name) + "> without <" + std::string(name) + ">");
      end_field(at);
      inside = false;
      take(element);
    } else if (inside && tag->closes && tag->name == open) {
      end_field(at);
    } else if (inside && !tag->closes && is_known(tag->name)) {
      end_field(at);
      open = tag->name;
      field_begin = tag->end;
    }
    at = tag->end;
  }
  if (inside) place.Fail(element.begin, "<" + std::string(name) + "> has no end");
  if (!any) place.Fail(0, "holds no <" + std::string(name) + ">");
}

/// Calls `take` with each line that is not blank, without its end.
void ForEachLine(std::string_view file, const std::function<void(std::size_t at, std::string_view line)>& take) {
  for (std::size_t at = 0; at < file.size();) {
    const auto end = std::min(file.find('\n', at), file.size());
    auto line = file.substr(at, end - at);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (!Trim(line).empty()) take(at, line);
    at = end + 1;
  }
}

/// The object of a line of JSON.
JsonObject ObjectOf(Place& place, std::size_t at, std::string_view line) {
  place.CheckBytes(at, line.size(), 2 * Limits::kDocumentBytes, "the line");
  try {
    auto json = ParseJson(line);
    if (!json.is_object()) place.Fail(at, "is not a JSON object");
    return std::move(json.get_object());
  } catch (const Error& e) {
    place.Fail(at, e.message());
  }
}

std::string TextOf(Place& place, std::size_t at, const JsonObject& object, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const auto* found = object.if_contains(name); found && !found->is_null()) {
      if (found->is_string()) return std::string(Trim(AsView(found->get_string())));
      if (found->is_int64() || found->is_uint64()) return ToText(*found);
      place.Fail(at, std::string("'") + name + "' must be a text");
    }
  return {};
}

char FirstOf(std::string_view& file) {
  if (file.starts_with("\xef\xbb\xbf")) file.remove_prefix(3);
  const auto first = Trim(file.substr(0, std::min<std::size_t>(file.size(), 1 << 16)));
  return first.empty() ? '\0' : first.front();
}

std::vector<std::string_view> Columns(std::string_view line, bool tabs) {
  std::vector<std::string_view> out;
  for (std::size_t at = 0; at <= line.size() && out.size() < 8;) {
    if (!tabs)
      while (at < line.size() && IsSpace(line[at])) ++at;
    if (!tabs && at == line.size()) break;
    auto end = at;
    while (end < line.size() && !(tabs ? line[end] == '\t' : IsSpace(line[end]))) ++end;
    out.push_back(Trim(line.substr(at, end - at)));
    at = end + 1;
  }
  return out;
}

std::optional<int> GradeOf(std::string_view text) {
  int grade = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), grade);
  if (error != std::errc() || end != text.data() + text.size() || grade < -1000 || grade > 1000) return std::nullopt;
  return grade;
}

}  // namespace

void ParseCollection(std::string_view file, std::string_view name, const std::function<void(CollectionDocument&&)>& take) {
  Place place(file, name);
  std::unordered_set<std::string> seen;
  const auto give = [&](std::size_t at, CollectionDocument&& document, const char* where) {
    place.CheckId(at, document.id, where);
    place.CheckBytes(at, document.title.size() + document.text.size(), Limits::kDocumentBytes, "document '" + document.id + "'");
    if (!seen.insert(document.id).second) place.Fail(at, "document '" + document.id + "' is there twice");
    place.CheckCount(at, seen.size(), Limits::kDocuments, "documents");
    take(std::move(document));
  };
  const char first = FirstOf(file);
  if (first == '<') {
    static constexpr std::string_view kFields[] = {"docno", "title", "headline", "hl", "ti", "text"};
    ForEachElement(place, file, "doc", kFields, [&](const Element& element) {
      CollectionDocument document;
      for (const auto& field : element.fields) {
        auto& into = field.name == "docno" ? document.id : field.name == "text" ? document.text : document.title;
        if (field.name == "docno" && !into.empty()) place.Fail(element.begin, "the document has two <docno>");
        if (!into.empty()) into += '\n';
        into += FieldText(field.text);
      }
      give(element.begin, std::move(document), "<docno>");
    });
  } else if (first == '{') {
    ForEachLine(file, [&](std::size_t at, std::string_view line) {
      const auto object = ObjectOf(place, at, line);
      give(at, {TextOf(place, at, object, {"_id", "id"}), TextOf(place, at, object, {"title"}), TextOf(place, at, object, {"text", "contents"})}, "'_id'");
    });
  } else {
    place.Fail(0, "is no collection: begins neither with '<' (<DOC><DOCNO>…) nor with '{' (a JSON object a line, as BEIR's corpus.jsonl)");
  }
  if (seen.empty()) place.Fail(0, "holds no document");
}

std::vector<Topic> ParseTopics(std::string_view file, std::string_view name) {
  Place place(file, name);
  std::vector<Topic> out;
  std::set<std::string, std::less<>> seen;
  const auto give = [&](std::size_t at, Topic&& topic, const char* where) {
    place.CheckId(at, topic.id, where);
    if (topic.text.empty()) place.Fail(at, "topic '" + topic.id + "' has no text");
    place.CheckBytes(at, topic.text.size(), Limits::kTopicBytes, "topic '" + topic.id + "'");
    if (!seen.insert(topic.id).second) place.Fail(at, "topic '" + topic.id + "' is there twice");
    place.CheckCount(at, seen.size(), Limits::kTopics, "topics");
    out.push_back(std::move(topic));
  };
  const char first = FirstOf(file);
  if (first == '<') {
    static constexpr std::string_view kFields[] = {"num", "title", "desc", "narr", "query", "question"};
    ForEachElement(place, file, "top", kFields, [&](const Element& element) {
      Topic topic;
      const auto without = [](std::string text, std::string_view label) { return StartsWith(text, label) ? std::string(Trim(std::string_view(text).substr(label.size()))) : text; };
      for (const auto& field : element.fields) {
        if (field.name == "num" && topic.id.empty()) topic.id = without(FieldText(field.text), "number:");
        else if ((field.name == "title" || field.name == "query" || field.name == "question") && topic.text.empty()) topic.text = without(FieldText(field.text), "topic:");
      }
      std::replace_if(topic.text.begin(), topic.text.end(), IsSpace, ' ');
      give(element.begin, std::move(topic), "<num>");
    });
  } else if (first == '{') {
    ForEachLine(file, [&](std::size_t at, std::string_view line) {
      const auto object = ObjectOf(place, at, line);
      give(at, {TextOf(place, at, object, {"_id", "id"}), TextOf(place, at, object, {"text", "query"})}, "'_id'");
    });
  } else {
    ForEachLine(file, [&](std::size_t at, std::string_view line) {
      const auto tab = line.find('\t');
      if (tab == std::string_view::npos) place.Fail(at, "is not a topic: id TAB text");
      give(at, {AsUtf8(std::string(Trim(line.substr(0, tab)))), AsUtf8(std::string(Trim(line.substr(tab + 1))))}, "the first column");
    });
  }
  if (out.empty()) place.Fail(0, "holds no topic");
  return out;
}

Qrels ParseQrels(std::string_view file, std::string_view name) {
  Place place(file, name);
  FirstOf(file);  // drops a byte order mark
  Qrels out;
  std::size_t count = 0, columns = 0;
  bool first = true;
  ForEachLine(file, [&](std::size_t at, std::string_view line) {
    // Ids of a tab-separated file may hold spaces; TREC's do not.
    const auto cells = Columns(line, std::count(line.begin(), line.end(), '\t') == 2);
    const bool header = std::exchange(first, false) && (cells.size() == 3 || cells.size() == 4) && !GradeOf(cells.back());
    if (header) return;
    if (cells.size() != 3 && cells.size() != 4) place.Fail(at, "has " + std::to_string(cells.size()) + " columns; a judgement is topic, document, grade or topic, iteration, document, grade");
    if (columns == 0) columns = cells.size();
    if (cells.size() != columns) place.Fail(at, "has " + std::to_string(cells.size()) + " columns, the lines before " + std::to_string(columns));
    const auto grade = GradeOf(cells.back());
    if (!grade) place.Fail(at, "the grade '" + std::string(cells.back().substr(0, 32)) + "' is not a whole number from -1000 to 1000");
    auto topic = AsUtf8(std::string(cells[0])), document = AsUtf8(std::string(cells[columns - 2]));
    place.CheckId(at, topic, "the topic's column");
    place.CheckId(at, document, "the document's column");
    place.CheckCount(at, ++count, Limits::kJudgements, "judgements");
    const auto [there, is_new] = out[topic].emplace(document, *grade);
    if (!is_new && there->second != *grade) place.Fail(at, "document '" + document + "' is judged twice for topic '" + topic + "': " + std::to_string(there->second) + " and " + std::to_string(*grade));
  });
  if (out.empty()) place.Fail(0, "holds no judgement");
  return out;
}

}  // namespace tenfold::retrieval
