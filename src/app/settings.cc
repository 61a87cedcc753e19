#include "app/settings.h"

#include <yaml-cpp/yaml.h>

#include <map>

#include "base/files.h"

namespace tenfold::app {
namespace {

/// YAML to JSON, remembering on which line each path stands.
Json Convert(const YAML::Node& node, const std::string& path, std::map<std::string, int>& lines) {
  lines[path] = node.Mark().line + 1;
  if (node.IsMap()) {
    JsonObject out;
    for (const auto& entry : node) {
      const auto key = entry.first.as<std::string>();
      const auto where = path.empty() ? key : path + "." + key;
      out[key] = Convert(entry.second, where, lines);
      lines[where] = entry.first.Mark().line + 1;
    }
    return out;
  }
  if (node.IsSequence()) {
    JsonArray out;
    for (std::size_t i = 0; i < node.size(); ++i) out.push_back(Convert(node[i], path + "[" + std::to_string(i) + "]", lines));
    return out;
  }
  if (node.IsNull()) return nullptr;
  const auto text = node.Scalar();
  std::int64_t number = 0;
  double real = 0;
  bool flag = false;
  if (node.Tag() != "!") {  // unquoted
    if (YAML::convert<std::int64_t>::decode(node, number)) return number;
    if (YAML::convert<double>::decode(node, real)) return real;
    if (YAML::convert<bool>::decode(node, flag)) return flag;
  }
  return Json(boost::json::string(text));
}

}  // namespace

Settings LoadSettings(const std::filesystem::path& file) {
  Settings settings;
  if (!std::filesystem::exists(file)) return settings;
  std::map<std::string, int> lines;
  const auto name = file.filename().string();
  try {
    const auto yaml = YAML::Load(ReadFile(file, 1u << 20));
    if (yaml.IsNull()) return settings;
    FromJson(Convert(yaml, "", lines), settings, "", Unknown::kRefuse);
  } catch (const YAML::Exception& e) {
    throw Error(Code::kInvalidArgument, name + ":" + std::to_string(e.mark.line + 1) + ": " + e.msg);
  } catch (const Error& e) {
    const auto line = lines.find(e.param());
    throw Error(e.code(), name + ":" + std::to_string(line == lines.end() ? 1 : line->second) + ": " + e.message(), e.param());
  }
  return settings;
}

std::string DefaultSettingsFile() {
  std::string out = "# Tenfold's settings. A line left out keeps the value shown here.\n";
  const Settings defaults;
  ForEachField(defaults, [&](std::string_view section, const auto& values) {
    out += "\n" + std::string(section) + ":\n";
    ForEachField(values, [&](std::string_view field, const auto& value) {
      const auto rules = TenfoldRules(&values, field);
      out += "  " + std::string(field) + ": " + ToText(ToJson(value)) + "  # " + std::string(rules.doc) + "\n";
    });
  });
  return out;
}

}  // namespace tenfold::app
