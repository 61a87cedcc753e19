#include "app/settings.h"

#include "app/yaml.h"

namespace tenfold::app {

Settings LoadSettings(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return {};
  return LoadYaml<Settings>(file);
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
