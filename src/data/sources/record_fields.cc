#include "data/sources/record_fields.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <charconv>

#include "base/error.h"
#include "base/percent.h"
#include "base/utf8.h"

namespace tenfold::data {
namespace {

constexpr std::size_t kMaxMetadataFields = 32, kMaxMetadataBytes = 4096, kMaxPage = 10'000, kShortText = 120;
constexpr std::string_view kDefaultMediaType = "text/markdown";

std::vector<std::string> SplitNames(std::string_view names, std::string_view key) {
  std::vector<std::string> out;
  while (!names.empty()) {
    const auto comma = std::min(names.find(','), names.size());
    if (comma == 0) throw Error(Code::kInvalidArgument, std::string(key) + "= lists an empty name; write a,b", "url");
    out.emplace_back(names.substr(0, comma));
    names.remove_prefix(std::min(comma + 1, names.size()));
  }
  return out;
}

std::string JoinNames(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ",") + name;
  return out;
}

}  // namespace

const std::vector<std::string_view>& RecordFieldKeys() {
  static const std::vector<std::string_view> kKeys{"id", "text", "title", "updated", "access", "link", "metadata", "media_type", "page"};
  return kKeys;
}

RecordFields ParseRecordFields(const std::map<std::string, std::string, std::less<>>& query, std::string_view default_id) {
  const auto get = [&](std::string_view key, std::string_view otherwise = {}) {
    const auto found = query.find(key);
    return found == query.end() ? std::string(otherwise) : found->second;
  };
  RecordFields out;
  out.id = get("id", default_id);
  if (out.id.empty()) throw Error(Code::kInvalidArgument, "id= must name the field that names a record", "url");
  out.text = SplitNames(get("text"), "text");
  out.title = get("title");
  out.updated = get("updated");
  out.access = get("access");
  out.link = get("link");
  out.metadata = SplitNames(get("metadata"), "metadata");
  if (out.metadata.size() > kMaxMetadataFields)
    throw Error(Code::kInvalidArgument, "metadata= names " + std::to_string(out.metadata.size()) + " fields, limit " + std::to_string(kMaxMetadataFields),
                "url");
  out.media_type = get("media_type", kDefaultMediaType);
  if (out.media_type.find('/') == std::string::npos) throw Error(Code::kInvalidArgument, "media_type= is written as text/html", "url");
  if (out.text.empty() && out.media_type != kDefaultMediaType)
    throw Error(Code::kInvalidArgument, "media_type= says what text= holds; name that field too", "url");
  if (const auto page = get("page"); !page.empty()) {
    const auto parsed = std::from_chars(page.data(), page.data() + page.size(), out.page);
    if (parsed.ec != std::errc() || parsed.ptr != page.data() + page.size() || out.page < 1 || out.page > kMaxPage)
      throw Error(Code::kInvalidArgument, "page= is a number from 1 to " + std::to_string(kMaxPage), "url");
  }
  return out;
}

// page= is left out: it changes how often the source is asked, not what it is.
std::string RecordFields::ToQuery(std::string_view default_id) const {
  std::string out;
  const auto add = [&](std::string_view key, const std::string& value, std::string_view otherwise = {}) {
    if (value != otherwise) out += "&" + std::string(key) + "=" + PercentEncode(value, ",");
  };
  add("access", access);
  add("id", id, default_id);
  add("link", link);
  add("media_type", media_type, kDefaultMediaType);
  add("metadata", JoinNames(metadata));
  add("text", JoinNames(text));
  add("title", title);
  add("updated", updated);
  return out;
}

std::string AccessOf(const Json& value) {
  std::string out;
  const auto add = [&](const Json& one) {
    if (!one.is_string()) throw Error(Code::kInvalidArgument, "its access is neither a text nor a list of texts");
    std::string_view rest = AsView(one.get_string());
    while (!rest.empty()) {
      const auto comma = std::min(rest.find(','), rest.size());
      auto label = rest.substr(0, comma);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      while (label.starts_with(' ')) label.remove_prefix(1);
      while (label.ends_with(' ')) label.remove_suffix(1);
      if (label == "*") throw Error(Code::kInvalidArgument, "its access holds '*', which is no label of a document");
      if (!label.empty()) out += (out.empty() ? "" : ",") + std::string(label);
    }
  };
  if (value.is_null()) return out;
  if (value.is_array()) {
    for (const auto& one : value.get_array()) add(one);
  } else {
    add(value);
  }
  if (out.size() > kMaxMetadataBytes) throw Error(Code::kInvalidArgument, "its access is longer than " + std::to_string(kMaxMetadataBytes) + " bytes");
  return out;
}

JsonObject FlatMetadata(const JsonObject& record) {
  JsonObject out;
  for (const auto& [key, value] : record) {
    if (value.is_null()) continue;
    if (value.is_string()) {
      out[key] = CutUtf8(AsView(value.get_string()), kMaxMetadataBytes);
    } else if (value.is_array() && std::all_of(value.get_array().begin(), value.get_array().end(), [](const auto& one) { return one.is_string(); }) &&
               ToText(value).size() <= kMaxMetadataBytes) {
      out[key] = value;
    } else if (value.is_structured()) {
      out[key] = CutUtf8(ToText(value), kMaxMetadataBytes);
    } else {
      out[key] = value;
    }
  }
  return out;
}

std::string ToPlainText(const Json& value) {
  if (value.is_null()) return {};
  return value.is_string() ? std::string(AsView(value.get_string())) : ToText(value);
}

std::string ToMarkdown(const JsonObject& record, const std::vector<std::string>& skip) {
  std::string out;
  for (const auto& [key, value] : record) {
    const std::string name(key);
    if (value.is_null() || std::find(skip.begin(), skip.end(), name) != skip.end()) continue;
    const bool scalars =
        value.is_array() && std::none_of(value.get_array().begin(), value.get_array().end(), [](const auto& one) { return one.is_structured(); });
    if (value.is_structured() && !scalars) {
      out += "## " + name + "\n\n```json\n" + ToPrettyText(value) + "\n```\n\n";
      continue;
    }
    std::string text;
    if (scalars) {
      for (const auto& one : value.get_array()) text += (text.empty() ? "" : ", ") + ToPlainText(one);
    } else {
      text = ToPlainText(value);
    }
    if (text.empty()) continue;
    if (text.size() > kShortText || text.find('\n') != std::string::npos) out += "## " + name + "\n\n" + text + "\n\n";
    else out += "**" + name + ":** " + text + "\n\n";
  }
  return out;
}

}  // namespace tenfold::data
