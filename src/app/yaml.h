#pragma once
/// \file YAML files into JSON, with the line of every path, so that a wrong value can be pointed at.
#include <filesystem>
#include <map>
#include <string>

#include "base/describe.h"

namespace tenfold::app {

struct YamlFile {
  Json value;                        ///< null for an empty file
  std::map<std::string, int> lines;  ///< "server.listen" -> 3
};
/// Errors: kNotFound, kInvalidArgument "file.yaml:12: …".
YamlFile ReadYaml(const std::filesystem::path& file, std::uint64_t limit_bytes = 4u << 20);
/// Rethrows an error about a field with the file's name and the field's line in front.
[[noreturn]] void RethrowWithLine(const Error& error, const std::filesystem::path& file, const YamlFile& yaml);

/// Reads a described type from a file; unknown fields are refused. Errors: kNotFound, kInvalidArgument with file and line.
template <class T>
T LoadYaml(const std::filesystem::path& file) {
  const auto yaml = ReadYaml(file);
  T out{};
  if (yaml.value.is_null()) return out;
  try {
    FromJson(yaml.value, out, "", Unknown::kRefuse);
  } catch (const Error& e) {
    RethrowWithLine(e, file, yaml);
  }
  return out;
}

}  // namespace tenfold::app
