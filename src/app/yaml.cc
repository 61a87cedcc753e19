#include "app/yaml.h"

#include <yaml-cpp/yaml.h>

#include "base/files.h"

namespace tenfold::app {
namespace {

/// YAML to JSON, remembering on which line each path stands. Depth is bounded as in ParseJson.
Json Convert(const YAML::Node& node, const std::string& path, std::map<std::string, int>& lines, int depth = 0) {
  if (depth > 32) throw Error(Code::kInvalidArgument, "is nested deeper than 32 levels", path);
  lines[path] = node.Mark().line + 1;
  if (node.IsMap()) {
    JsonObject out;
    for (const auto& entry : node) {
      const auto key = entry.first.as<std::string>();
      const auto where = path.empty() ? key : path + "." + key;
      out[key] = Convert(entry.second, where, lines, depth + 1);
      lines[where] = entry.first.Mark().line + 1;
    }
    return out;
  }
  if (node.IsSequence()) {
    JsonArray out;
    for (std::size_t i = 0; i < node.size(); ++i) out.push_back(Convert(node[i], path + "[" + std::to_string(i) + "]", lines, depth + 1));
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

YamlFile ReadYaml(const std::filesystem::path& file, std::uint64_t limit_bytes) {
  YamlFile out;
  try {
    const auto yaml = YAML::Load(ReadFile(file, limit_bytes));
    if (!yaml.IsNull()) out.value = Convert(yaml, "", out.lines);
  } catch (const YAML::Exception& e) {
    throw Error(Code::kInvalidArgument, file.filename().string() + ":" + std::to_string(e.mark.line + 1) + ": " + e.msg);
  }
  return out;
}

void RethrowWithLine(const Error& error, const std::filesystem::path& file, const YamlFile& yaml) {
  const auto line = yaml.lines.find(error.param());
  throw Error(error.code(), file.filename().string() + ":" + std::to_string(line == yaml.lines.end() ? 1 : line->second) + ": " + error.message(), error.param());
}

}  // namespace tenfold::app
