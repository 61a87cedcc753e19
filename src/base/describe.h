#pragma once
/// \file One definition per type. From TENFOLD_DESCRIBE come JSON in and out with field paths, JSON Schema (tools, OpenAPI, forms)
/// and table columns (data/store.h). Boost.Describe supplies the members; the rules beside them are ours.
#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <algorithm>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace tenfold {

/// Bytes of a text, or items of a list: min..max, inclusive.
struct Length {
  std::uint64_t min = 0, max = std::numeric_limits<std::uint64_t>::max();
};
/// A number's value: min..max, inclusive.
struct Range {
  double min = 0, max = 0;
};
/// For people and models: what the field means.
struct Doc {
  std::string_view text;
};

/// What is said about one field beside its C++ type.
struct FieldRules {
  std::optional<Length> length;
  std::optional<Range> range;
  std::string_view doc;
  bool required = false;  ///< must be present; a field without a default value in spirit
};
/// Marks a field that must be present.
struct Required {};

namespace internal {
inline void AddRule(FieldRules& rules, Length rule) { rules.length = rule; }
inline void AddRule(FieldRules& rules, Range rule) { rules.range = rule; }
inline void AddRule(FieldRules& rules, Doc rule) { rules.doc = rule.text; }
inline void AddRule(FieldRules& rules, Required) { rules.required = true; }
template <class... Rules>
FieldRules MakeRules(Rules... rule) {
  FieldRules rules;
  (AddRule(rules, rule), ...);
  return rules;
}
}  // namespace internal

/// What to do with a member the type does not have: settings and files refuse it, protocols that demand tolerance ignore it.
enum class Unknown : std::uint8_t { kRefuse, kIgnore };

template <class T>
concept Described = boost::describe::has_describe_members<T>::value && !std::is_union_v<T>;

template <class T>
concept DescribedEnum = boost::describe::has_describe_enumerators<T>::value;

/// TENFOLD_DESCRIBE(SearchRequest, (query, Length{1, 8192}), (k, Range{1, 1000}), (filter)) — beside the type, in its namespace.
#define TENFOLD_FIELD_NAME_(name, ...) name
#define TENFOLD_FIELD_NAME(field) TENFOLD_FIELD_NAME_ field
#define TENFOLD_FIELD_RULES_I(name, ...) if (field == #name) return ::tenfold::internal::MakeRules(__VA_ARGS__);
#define TENFOLD_FIELD_RULES(field) TENFOLD_FIELD_RULES_I field
#define TENFOLD_PARENS ()
#define TENFOLD_EXPAND(...) TENFOLD_EXPAND3(TENFOLD_EXPAND3(TENFOLD_EXPAND3(__VA_ARGS__)))
#define TENFOLD_EXPAND3(...) TENFOLD_EXPAND2(TENFOLD_EXPAND2(TENFOLD_EXPAND2(__VA_ARGS__)))
#define TENFOLD_EXPAND2(...) TENFOLD_EXPAND1(TENFOLD_EXPAND1(TENFOLD_EXPAND1(__VA_ARGS__)))
#define TENFOLD_EXPAND1(...) __VA_ARGS__
#define TENFOLD_NAMES(...) __VA_OPT__(TENFOLD_EXPAND(TENFOLD_NAMES_STEP(__VA_ARGS__)))
#define TENFOLD_NAMES_STEP(a, ...) TENFOLD_FIELD_NAME(a) __VA_OPT__(, TENFOLD_NAMES_AGAIN TENFOLD_PARENS(__VA_ARGS__))
#define TENFOLD_NAMES_AGAIN() TENFOLD_NAMES_STEP
#define TENFOLD_RULES(...) __VA_OPT__(TENFOLD_EXPAND(TENFOLD_RULES_STEP(__VA_ARGS__)))
#define TENFOLD_RULES_STEP(a, ...) TENFOLD_FIELD_RULES(a) __VA_OPT__(TENFOLD_RULES_AGAIN TENFOLD_PARENS(__VA_ARGS__))
#define TENFOLD_RULES_AGAIN() TENFOLD_RULES_STEP
#define TENFOLD_DESCRIBE_STRUCT(Type, ...) BOOST_DESCRIBE_STRUCT(Type, (), (__VA_ARGS__))
#define TENFOLD_DESCRIBE(Type, ...)                                                                     \
  TENFOLD_DESCRIBE_STRUCT(Type, TENFOLD_NAMES(__VA_ARGS__))                                             \
  [[maybe_unused]] inline ::tenfold::FieldRules TenfoldRules([[maybe_unused]] const Type*, [[maybe_unused]] std::string_view field) { \
    TENFOLD_RULES(__VA_ARGS__)                                                                          \
    return {};                                                                                          \
  }                                                                                                     \
  [[maybe_unused]] inline constexpr std::string_view TenfoldTypeName(const Type*) { return #Type; }

/// Calls `visit(name, member)` for each described member of `object`, in order.
template <class T, class Visit>
  requires Described<std::remove_const_t<T>>
void ForEachField(T& object, Visit&& visit) {
  using Members = boost::describe::describe_members<std::remove_const_t<T>, boost::describe::mod_public>;
  boost::mp11::mp_for_each<Members>([&](auto descriptor) { visit(std::string_view(descriptor.name), object.*descriptor.pointer); });
}

/// The candidate nearest to `name` by edit distance, if near enough to be a slip of the fingers.
std::optional<std::string> FindNearest(std::string_view name, const std::vector<std::string>& candidates);

namespace internal {
[[noreturn]] void ThrowField(const std::string& path, const std::string& problem);
[[noreturn]] void ThrowUnknown(const std::string& path, std::string_view name, const std::vector<std::string>& known);
std::string EnumText(std::string_view enumerator);  // kNotFound -> not_found
void CheckLength(const std::string& path, std::uint64_t size, const FieldRules& rules, std::string_view unit);
void CheckRange(const std::string& path, double value, const FieldRules& rules);
std::string JoinPath(const std::string& path, std::string_view name);

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <class T>
inline constexpr bool kIsMap = false;
template <class T>
inline constexpr bool kIsMap<std::map<std::string, T>> = true;
}  // namespace internal

/// Reads `from` into `out`, naming the field path of what is wrong. Errors: kInvalidArgument.
template <class T>
void FromJson(const Json& from, T& out, const std::string& path, Unknown unknown, const FieldRules& rules = {}) {
  using internal::ThrowField;
  if constexpr (std::same_as<T, Json>) {
    out = from;
  } else if constexpr (std::same_as<T, JsonObject>) {
    if (!from.is_object()) ThrowField(path, "must be an object");
    out = from.get_object();
  } else if constexpr (std::same_as<T, JsonArray>) {
    if (!from.is_array()) ThrowField(path, "must be a list");
    internal::CheckLength(path, from.get_array().size(), rules, "items");
    out = from.get_array();
  } else if constexpr (internal::kIsOptional<T>) {
    if (from.is_null()) out.reset();
    else FromJson(from, out.emplace(), path, unknown, rules);
  } else if constexpr (std::same_as<T, bool>) {
    if (!from.is_bool()) ThrowField(path, "must be true or false");
    out = from.get_bool();
  } else if constexpr (DescribedEnum<T>) {
    if (!from.is_string()) ThrowField(path, "must be a string");
    std::string known;
    bool found = false;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>([&](auto e) {
      const auto text = internal::EnumText(e.name);
      known += (known.empty() ? "" : ", ") + text;
      if (AsView(from.get_string()) == text) {
        out = e.value;
        found = true;
      }
    });
    if (!found) ThrowField(path, "must be one of: " + known);
  } else if constexpr (std::integral<T>) {
    const bool whole = from.is_int64() || from.is_uint64() ||
                       (from.is_double() && from.get_double() == static_cast<double>(static_cast<std::int64_t>(from.get_double())));
    if (!whole) ThrowField(path, "must be a whole number");
    const double value = from.is_int64() ? static_cast<double>(from.get_int64()) : from.is_uint64() ? static_cast<double>(from.get_uint64()) : from.get_double();
    if (value < static_cast<double>(std::numeric_limits<T>::min()) || value > static_cast<double>(std::numeric_limits<T>::max()))
      ThrowField(path, "is out of range");
    internal::CheckRange(path, value, rules);
    out = from.is_int64() ? static_cast<T>(from.get_int64()) : from.is_uint64() ? static_cast<T>(from.get_uint64()) : static_cast<T>(from.get_double());
  } else if constexpr (std::floating_point<T>) {
    if (!from.is_number()) ThrowField(path, "must be a number");
    out = static_cast<T>(from.is_double() ? from.get_double() : from.is_int64() ? static_cast<double>(from.get_int64()) : static_cast<double>(from.get_uint64()));
    internal::CheckRange(path, static_cast<double>(out), rules);
  } else if constexpr (std::same_as<T, std::string>) {
    if (!from.is_string()) ThrowField(path, "must be a string");
    out = std::string(AsView(from.get_string()));
    internal::CheckLength(path, out.size(), rules, "bytes");
  } else if constexpr (internal::kIsVector<T>) {
    if (!from.is_array()) ThrowField(path, "must be a list");
    internal::CheckLength(path, from.get_array().size(), rules, "items");
    out.clear();
    for (std::size_t i = 0; i < from.get_array().size(); ++i) {
      typename T::value_type item{};
      FromJson(from.get_array()[i], item, path + "[" + std::to_string(i) + "]", unknown);
      out.push_back(std::move(item));
    }
  } else if constexpr (internal::kIsMap<T>) {
    if (!from.is_object()) ThrowField(path, "must be an object");
    out.clear();
    for (const auto& [key, value] : from.get_object()) FromJson(value, out[std::string(key)], internal::JoinPath(path, key), unknown);
  } else {
    static_assert(Described<T>, "a field must be a described type, a scalar, a string, a list, a map or JSON");
    if (!from.is_object()) ThrowField(path, "must be an object");
    std::vector<std::string> known;
    ForEachField(out, [&](std::string_view name, auto& member) {
      known.emplace_back(name);
      const auto field_rules = TenfoldRules(static_cast<const T*>(nullptr), name);
      const auto where = internal::JoinPath(path, name);
      const auto* value = from.get_object().if_contains(name);
      if (value && !(value->is_null() && unknown == Unknown::kIgnore)) FromJson(*value, member, where, unknown, field_rules);
      else if (field_rules.required) ThrowField(where, "is required");
    });
    if (unknown == Unknown::kRefuse)
      for (const auto& [key, value] : from.get_object())
        if (std::find(known.begin(), known.end(), std::string_view(key)) == known.end()) internal::ThrowUnknown(path, key, known);
  }
}

/// Errors: kInvalidArgument, with the field path as `param()`.
template <class T>
T FromJson(const Json& from, Unknown unknown = Unknown::kRefuse) {
  T out{};
  FromJson(from, out, "", unknown);
  return out;
}

template <class T>
Json ToJson(const T& value) {
  if constexpr (std::same_as<T, Json>) {
    return value;
  } else if constexpr (std::same_as<T, JsonObject> || std::same_as<T, JsonArray> || std::same_as<T, bool> || std::integral<T> || std::floating_point<T>) {
    return Json(value);
  } else if constexpr (std::same_as<T, std::string> || std::same_as<T, std::string_view>) {
    return Json(boost::json::string(value));
  } else if constexpr (DescribedEnum<T>) {
    std::string text;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>([&](auto e) {
      if (e.value == value) text = internal::EnumText(e.name);
    });
    return Json(boost::json::string(text));
  } else if constexpr (internal::kIsOptional<T>) {
    return value ? ToJson(*value) : Json(nullptr);
  } else if constexpr (internal::kIsVector<T>) {
    JsonArray out;
    out.reserve(value.size());
    for (const auto& item : value) out.push_back(ToJson<typename T::value_type>(item));
    return out;
  } else if constexpr (internal::kIsMap<T>) {
    JsonObject out;
    for (const auto& [key, item] : value) out[key] = ToJson(item);
    return out;
  } else {
    static_assert(Described<T>);
    JsonObject out;
    ForEachField(value, [&](std::string_view name, const auto& member) {
      using Member = std::remove_cvref_t<decltype(member)>;
      if constexpr (internal::kIsOptional<Member>) {
        if (member) out[name] = ToJson(*member);  // absent, not null
      } else {
        out[name] = ToJson(member);
      }
    });
    return out;
  }
}

/// JSON Schema of `T`. Source: JSON Schema 2020-12, the subset OpenAPI 3.1 and constrained decoding share.
template <class T>
Json SchemaOf(const FieldRules& rules = {}) {
  JsonObject out;
  if constexpr (internal::kIsOptional<T>) {
    return SchemaOf<typename T::value_type>(rules);
  } else if constexpr (std::same_as<T, Json>) {
    // any value
  } else if constexpr (std::same_as<T, JsonObject>) {
    out["type"] = "object";
  } else if constexpr (std::same_as<T, JsonArray>) {
    out["type"] = "array";
  } else if constexpr (std::same_as<T, bool>) {
    out["type"] = "boolean";
  } else if constexpr (DescribedEnum<T>) {
    out["type"] = "string";
    JsonArray values;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>([&](auto e) { values.emplace_back(internal::EnumText(e.name)); });
    out["enum"] = std::move(values);
  } else if constexpr (std::integral<T> || std::floating_point<T>) {
    out["type"] = std::integral<T> ? "integer" : "number";
    if (rules.range) {
      out["minimum"] = rules.range->min;
      out["maximum"] = rules.range->max;
    }
  } else if constexpr (std::same_as<T, std::string>) {
    out["type"] = "string";
    if (rules.length) {
      if (rules.length->min > 0) out["minLength"] = rules.length->min;
      if (rules.length->max < std::numeric_limits<std::uint64_t>::max()) out["maxLength"] = rules.length->max;
    }
  } else if constexpr (internal::kIsVector<T>) {
    out["type"] = "array";
    out["items"] = SchemaOf<typename T::value_type>();
    if (rules.length && rules.length->max < std::numeric_limits<std::uint64_t>::max()) out["maxItems"] = rules.length->max;
  } else if constexpr (internal::kIsMap<T>) {
    out["type"] = "object";
    out["additionalProperties"] = SchemaOf<typename T::mapped_type>();
  } else {
    static_assert(Described<T>);
    out["type"] = "object";
    JsonObject properties;
    JsonArray required;
    T sample{};
    ForEachField(sample, [&](std::string_view name, auto& member) {
      const auto field_rules = TenfoldRules(static_cast<const T*>(nullptr), name);
      properties[name] = SchemaOf<std::remove_cvref_t<decltype(member)>>(field_rules);
      if (field_rules.required) required.emplace_back(boost::json::string(name));
    });
    out["properties"] = std::move(properties);
    if (!required.empty()) out["required"] = std::move(required);
    out["additionalProperties"] = false;
  }
  if (!rules.doc.empty()) out["description"] = boost::json::string(rules.doc);
  return out;
}

}  // namespace tenfold
