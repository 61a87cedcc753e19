#include "data/parsers/office.h"

#include <charconv>
#include <cmath>

#include "base/utf8.h"
#include "data/parsers/text.h"

namespace tenfold::data::parsers {

void LoadXml(pugi::xml_document& out, std::string_view xml, std::string_view name) {
  const auto parsed = out.load_buffer(xml.data(), xml.size());
  if (!parsed) throw Error(parsed.status == pugi::status_out_of_memory ? Code::kResourceExhausted : Code::kInvalidArgument, "'" + std::string(name) + "' in the file is not XML: " + parsed.description());
}

void LoadPart(pugi::xml_document& out, const ZipFile& zip, std::string_view part) { LoadXml(out, zip.Get(part), part); }

std::string ResolvePart(std::string_view from, std::string_view target) {
  if (target.starts_with('/')) return std::string(target.substr(1));
  std::vector<std::string_view> parts;
  const auto add = [&](std::string_view path) {
    while (!path.empty()) {
      const auto end = std::min(path.find('/'), path.size());
      const auto part = path.substr(0, end);
      path.remove_prefix(std::min(end + 1, path.size()));
      if (part == ".." && !parts.empty()) parts.pop_back();
      else if (!part.empty() && part != "." && part != "..") parts.push_back(part);
    }
  };
  const auto slash = from.rfind('/');
  if (slash != std::string_view::npos) add(from.substr(0, slash));
  add(target);
  std::string out;
  for (const auto part : parts) out.append(out.empty() ? "" : "/").append(part);
  return out;
}

std::map<std::string, Relation> ReadRelations(const ZipFile& zip, std::string_view part) {
  std::map<std::string, Relation> out;
  const auto slash = part.rfind('/');
  const auto folder = slash == std::string_view::npos ? std::string_view() : part.substr(0, slash + 1);
  const auto* xml = zip.Find(std::string(folder) + "_rels/" + std::string(part.substr(folder.size())) + ".rels");
  if (!xml) return out;
  pugi::xml_document document;
  LoadXml(document, *xml, part);
  for (const auto& one : document.document_element().children()) {
    if (AttributeNamed(one, "TargetMode") == "External") continue;
    const auto type = AttributeNamed(one, "Type");
    const auto at = type.rfind('/');
    out[std::string(AttributeNamed(one, "Id"))] = {std::string(at == std::string_view::npos ? type : type.substr(at + 1)), ResolvePart(part, AttributeNamed(one, "Target"))};
  }
  return out;
}

void ReadCoreProperties(const ZipFile& zip, JsonObject& metadata, std::string& title) {
  const auto* xml = zip.Find("docProps/core.xml");
  if (!xml) return;
  pugi::xml_document document;
  try {
    LoadXml(document, *xml, "docProps/core.xml");
  } catch (const Error&) {
    return;  // what the file says of itself is worth less than what it says
  }
  static constexpr std::pair<std::string_view, const char*> kKept[] = {{"creator", "author"}, {"created", "created"}, {"modified", "modified"}, {"subject", "subject"}, {"keywords", "keywords"}, {"language", "language"}};
  for (const auto& one : document.document_element().children()) {
    const std::string_view value = Trim(one.text().get());
    if (value.empty() || !IsUtf8(value)) continue;
    if (LocalName(one) == "title") title = CutUtf8(value, 200);
    for (const auto& [theirs, ours] : kKept)
      if (LocalName(one) == theirs) metadata[ours] = std::string(CutUtf8(value, 500));
  }
}

std::string_view LocalName(const pugi::xml_node& node) {
  const std::string_view name = node.name();
  const auto colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

pugi::xml_node ChildNamed(const pugi::xml_node& node, std::string_view local) {
  for (const auto& child : node.children())
    if (LocalName(child) == local) return child;
  return {};
}

namespace {
pugi::xml_node FindWithin(const pugi::xml_node& node, std::string_view local, int depth) {
  if (depth > 64) return {};
  for (const auto& child : node.children()) {
    if (LocalName(child) == local) return child;
    if (const auto found = FindWithin(child, local, depth + 1)) return found;
  }
  return {};
}
}  // namespace

pugi::xml_node FindBelow(const pugi::xml_node& node, std::string_view local) { return FindWithin(node, local, 0); }

std::string_view AttributeNamed(const pugi::xml_node& node, std::string_view local) {
  for (const auto& attribute : node.attributes()) {
    const std::string_view name = attribute.name();
    const auto colon = name.find(':');
    if ((colon == std::string_view::npos ? name : name.substr(colon + 1)) == local) return attribute.value();
  }
  return {};
}

double NumberOf(std::string_view text, double otherwise) {
  double out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && std::isfinite(out) ? out : otherwise;
}

}  // namespace tenfold::data::parsers
