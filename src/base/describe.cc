#include "base/describe.h"

#include <cctype>
#include <sstream>

namespace tenfold {
namespace {
std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string FormatLimit(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}
}  // namespace

std::optional<std::string> FindNearest(std::string_view name, const std::vector<std::string>& candidates) {
  std::optional<std::string> best;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const auto& candidate : candidates) {
    const auto distance = EditDistance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

namespace internal {

void ThrowField(const std::string& path, const std::string& problem) {
  throw Error(Code::kInvalidArgument, (path.empty() ? std::string("the body") : path) + ": " + problem, path);
}

void ThrowUnknown(const std::string& path, std::string_view name, const std::vector<std::string>& known) {
  std::string message = "unknown field '" + std::string(name.substr(0, 64)) + "'";
  if (const auto nearest = FindNearest(name, known)) message += ", did you mean '" + *nearest + "'";
  ThrowField(JoinPath(path, name.substr(0, 64)), message);
}

std::string EnumText(std::string_view enumerator) {
  std::string out;
  for (std::size_t i = enumerator.starts_with('k') ? 1 : 0; i < enumerator.size(); ++i) {
    const char c = enumerator[i];
    if (std::isupper(static_cast<unsigned char>(c))) {
      if (!out.empty()) out += '_';
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else {
      out += c;
    }
  }
  return out;
}

void CheckLength(const std::string& path, std::uint64_t size, const FieldRules& rules, std::string_view unit) {
  if (!rules.length) return;
  if (size < rules.length->min)
    ThrowField(path, "has " + std::to_string(size) + " " + std::string(unit) + ", needs at least " + std::to_string(rules.length->min));
  if (size > rules.length->max)
    ThrowField(path, "has " + std::to_string(size) + " " + std::string(unit) + ", limit " + std::to_string(rules.length->max));
}

void CheckRange(const std::string& path, double value, const FieldRules& rules) {
  if (rules.range && !(value >= rules.range->min && value <= rules.range->max))
    ThrowField(path, "is " + FormatLimit(value) + ", must be " + FormatLimit(rules.range->min) + " to " + FormatLimit(rules.range->max));
}

std::string JoinPath(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}

}  // namespace internal
}  // namespace tenfold
