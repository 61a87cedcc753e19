// Weaviate's filters as ours. A text with tokenization "word" is compared by its words, as Weaviate does: `equal` holds where every word of the value occurs.
#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "retrieval/tokenize.h"
#include "serving/weaviate_messages.h"

namespace tenfold::serving {
namespace {

namespace pb = weaviate::v1;
using boost::json::string;
using retrieval::Filter;
using Op = Filter::Op;
using Type = WeaviateType;

constexpr std::size_t kMaxDepth = 16, kMaxConditions = 1000, kMaxValues = 10'000, kMaxPatternBytes = 256;

[[noreturn]] void Fail(const std::string& name, const std::string& problem) { throw Error(Code::kInvalidArgument, "filter on '" + name + "': " + problem, name); }
[[noreturn]] void Refuse(const std::string& name, const std::string& problem) { throw Error(Code::kUnimplemented, "filter on '" + name + "': " + problem, name); }

Filter Not(Filter part) { return {.op = Op::kNot, .parts = {std::move(part)}}; }
Filter Compare(Op op, std::string_view field, Json value) { return {.op = op, .field = std::string(field), .values = {std::move(value)}}; }

/// Every value that a condition carries, in one list.
std::vector<Json> ValuesOf(const pb::Filters& in) {
  std::vector<Json> out;
  switch (in.test_value_case()) {
    case pb::Filters::kValueText: out.emplace_back(string(in.value_text())); break;
    case pb::Filters::kValueInt: out.emplace_back(in.value_int()); break;
    case pb::Filters::kValueBoolean: out.emplace_back(in.value_boolean()); break;
    case pb::Filters::kValueNumber: out.emplace_back(in.value_number()); break;
    case pb::Filters::kValueTextArray:
      for (const auto& one : in.value_text_array().values()) out.emplace_back(string(one));
      break;
    case pb::Filters::kValueIntArray:
      for (const auto one : in.value_int_array().values()) out.emplace_back(one);
      break;
    case pb::Filters::kValueBooleanArray:
      for (const auto one : in.value_boolean_array().values()) out.emplace_back(one);
      break;
    case pb::Filters::kValueNumberArray:
      for (const auto one : in.value_number_array().values()) out.emplace_back(one);
      break;
    case pb::Filters::kValueGeo:
    case pb::Filters::TEST_VALUE_NOT_SET: break;
  }
  return out;
}
bool IsList(const pb::Filters& in) {
  const auto kind = in.test_value_case();
  return kind == pb::Filters::kValueTextArray || kind == pb::Filters::kValueIntArray || kind == pb::Filters::kValueBooleanArray || kind == pb::Filters::kValueNumberArray;
}

/// Milliseconds since 1970 of a time or of their number as a text.
double MillisecondsOf(const std::string& name, const Json& value) {
  if (value.is_number()) return value.to_number<double>();
  const std::string text(value.is_string() ? AsView(value.get_string()) : std::string_view());
  if (!text.empty() && text.find_first_not_of("0123456789") == std::string::npos && text.size() <= 15) return std::stod(text);
  const auto time = NormalTime(text);
  if (!time) Fail(name, "'" + text.substr(0, 64) + "' is no time of RFC 3339");
  const auto part = [&](std::size_t at, std::size_t count) { return std::stoi(time->substr(at, count)); };
  using namespace std::chrono;
  const sys_days day(year(part(0, 4)) / part(5, 2) / part(8, 2));
  return static_cast<double>(duration_cast<milliseconds>(day.time_since_epoch()).count()) + 1000.0 * (3600 * part(11, 2) + 60 * part(14, 2) + part(17, 2)) + part(20, 9) / 1e6;
}

class Reader {
 public:
  explicit Reader(const WeaviateClass& schema) : schema_(schema) {}

  Filter Read(const pb::Filters& in, std::size_t depth) {
    if (depth > kMaxDepth) Fail("filters", "is more than 16 levels deep");
    if (++conditions_ > kMaxConditions) Fail("filters", "has more than 1000 conditions");
    switch (in.operator_()) {
      case pb::Filters::OPERATOR_AND:
      case pb::Filters::OPERATOR_OR: {
        Filter out{.op = in.operator_() == pb::Filters::OPERATOR_AND ? Op::kAnd : Op::kOr};
        if (in.filters().empty()) Fail("filters", "joins no conditions");
        for (const auto& part : in.filters()) out.parts.push_back(Read(part, depth + 1));
        return out;
      }
      case pb::Filters::OPERATOR_NOT:
        if (in.filters_size() != 1) Fail("filters", "negates one condition");
        return Not(Read(in.filters(0), depth + 1));
      default: return Condition(in);
    }
  }

 private:
  std::string NameOf(const pb::Filters& in) const {
    if (in.has_target()) {
      if (in.target().target_case() != pb::FilterTarget::kProperty) Refuse("reference", "references between objects are not kept");
      return in.target().property();
    }
    if (in.on_size() != 1) Refuse("reference", "references between objects are not kept");
    return in.on(0);
  }

  Filter Condition(const pb::Filters& in) {
    auto name = NameOf(in);
    auto values = ValuesOf(in);
    if (values.size() > kMaxValues) Fail(name, "has more than 10000 values");
    if (name == "_id" || name == "id") {
      for (auto& value : values)
        if (const auto id = value.is_string() ? NormalUuid(AsView(value.get_string())) : std::nullopt) value = string(*id);
        else Fail(name, "an id is a UUID");
      return Plain(in, kWeaviateId, name, values);
    }
    if (name == "_creationTimeUnix" || name == "_lastUpdateTimeUnix") {
      for (auto& value : values) value = MillisecondsOf(name, value);
      return Plain(in, name == "_creationTimeUnix" ? kWeaviateCreated : kWeaviateUpdated, name, values);
    }
    if (name.starts_with("len(")) Refuse(name, "lengths are not kept");
    name = WeaviatePropertyName(name);
    const auto found = schema_.properties.find(name);
    if (found == schema_.properties.end()) Fail(name, "no such prop with name '" + name.substr(0, 64) + "' found in class '" + schema_.name + "'");
    if (in.operator_() == pb::Filters::OPERATOR_IS_NULL) return IsNull(in, name);
    switch (found->second.type) {
      case Type::kText:
      case Type::kTexts: return found->second.by_words ? Words(in, name, values) : Plain(in, name, name, values);
      case Type::kPlace: return Within(in, name);
      case Type::kObject:
      case Type::kObjects: Refuse(name, "objects inside of objects are not compared");
      default: break;
    }
    for (auto& value : values) value = Kept(found->second.type, value, name);
    const bool is_range = in.operator_() >= pb::Filters::OPERATOR_GREATER_THAN && in.operator_() <= pb::Filters::OPERATOR_LESS_THAN_EQUAL;
    if (is_range && (found->second.type == Type::kInts || found->second.type == Type::kNumbers || found->second.type == Type::kBooleans)) Refuse(name, "elements of lists of numbers are equal or not, and stand in no order");
    return Plain(in, name, name, values);
  }

  /// As metadata keeps it, an element of a list where the property is one. Numbers of both kinds are taken for either.
  static Json Kept(Type type, const Json& value, const std::string& name) {
    if (const bool is_list = type == Type::kInts || type == Type::kNumbers || type == Type::kBooleans || type == Type::kDates || type == Type::kUuids; is_list) return KeepWeaviateValue(type, JsonArray{value}, name)->get_array()[0];
    if (type == Type::kInt && value.is_number()) return value;  // 1.5 is no whole number, and yet something to compare with
    return *KeepWeaviateValue(type, value, name);
  }

  static Filter IsNull(const pb::Filters& in, const std::string& name) {
    if (in.test_value_case() != pb::Filters::kValueBoolean) Fail(name, "is none: says true or false");
    // A long text is no metadata; its name is in $texts.
    Filter exists{.op = Op::kOr, .parts = {Compare(Op::kExists, name, true), Compare(Op::kEqual, kWeaviateTexts, string(name))}};
    return in.value_boolean() ? Not(std::move(exists)) : exists;
  }

  static Filter Within(const pb::Filters& in, const std::string& name) {
    if (in.operator_() != pb::Filters::OPERATOR_WITHIN_GEO_RANGE || !in.has_value_geo()) Fail(name, "is a place, which is within a distance of another or not");
    const auto& geo = in.value_geo();
    if (!(std::abs(geo.latitude()) <= 90) || !(std::abs(geo.longitude()) <= 180) || !(geo.distance() >= 0)) Fail(name, "latitude is -90 to 90, longitude -180 to 180, distance 0 or more");
    return {.op = Op::kWithin, .field = name, .values = {geo.latitude(), geo.longitude(), geo.distance()}};
  }

  /// Any or all of the values, or none of them, as the operator says, by `one` for each.
  template <class F>
  static Filter Several(const pb::Filters& in, const std::string& name, const std::vector<Json>& values, F&& one) {
    const auto op = in.operator_();
    Filter out{.op = op == pb::Filters::OPERATOR_CONTAINS_ALL ? Op::kAnd : Op::kOr};
    if (values.empty()) Fail(name, "has no values");
    for (const auto& value : values) out.parts.push_back(one(value));
    return op == pb::Filters::OPERATOR_CONTAINS_NONE ? Not(std::move(out)) : out;
  }
  static const Json& Only(const pb::Filters& in, const std::string& name, const std::vector<Json>& values) {
    if (values.size() != 1 || IsList(in)) Fail(name, "this operator takes one value; contains_any, contains_all and contains_none take several");
    return values[0];
  }
  static std::string Pattern(const std::string& name, const Json& value) {
    if (!value.is_string()) Fail(name, "like takes a text");
    const auto text = AsView(value.get_string());
    if (text.empty() || text.size() > kMaxPatternBytes) Fail(name, "a pattern has 1 to 256 bytes");
    return std::string(text);
  }

  /// By whole values.
  static Filter Plain(const pb::Filters& in, std::string_view field, const std::string& name, const std::vector<Json>& values) {
    switch (in.operator_()) {
      case pb::Filters::OPERATOR_EQUAL: return Compare(Op::kEqual, field, Only(in, name, values));
      case pb::Filters::OPERATOR_NOT_EQUAL: return Compare(Op::kNotEqual, field, Only(in, name, values));
      case pb::Filters::OPERATOR_GREATER_THAN: return Compare(Op::kGreater, field, Only(in, name, values));
      case pb::Filters::OPERATOR_GREATER_THAN_EQUAL: return Compare(Op::kGreaterOrEqual, field, Only(in, name, values));
      case pb::Filters::OPERATOR_LESS_THAN: return Compare(Op::kLess, field, Only(in, name, values));
      case pb::Filters::OPERATOR_LESS_THAN_EQUAL: return Compare(Op::kLessOrEqual, field, Only(in, name, values));
      case pb::Filters::OPERATOR_LIKE: return Compare(Op::kLike, field, string(Pattern(name, Only(in, name, values))));
      case pb::Filters::OPERATOR_CONTAINS_ANY:
      case pb::Filters::OPERATOR_CONTAINS_NONE:
        if (values.empty()) Fail(name, "has no values");
        return {.op = in.operator_() == pb::Filters::OPERATOR_CONTAINS_ANY ? Op::kIn : Op::kNotIn, .field = std::string(field), .values = JsonArray(values.begin(), values.end())};
      case pb::Filters::OPERATOR_CONTAINS_ALL: return Several(in, name, values, [&](const Json& value) { return Compare(Op::kEqual, field, value); });
      default: Refuse(name, "operator " + pb::Filters::Operator_Name(in.operator_()) + " does not go with it");
    }
  }

  static Filter AllWords(const std::string& name, const std::vector<std::string>& patterns) {
    Filter out;
    for (const auto& pattern : patterns) out.parts.push_back(Compare(Op::kLikeWord, name, string(pattern)));
    return patterns.empty() ? Filter{.op = Op::kOr} : out;  // without a word nothing is equal
  }
  static Filter HasWords(const std::string& name, const Json& value) {
    if (!value.is_string()) Fail(name, "is a text");
    return AllWords(name, retrieval::FoldedWords(AsView(value.get_string())));
  }
  static Filter LikeWords(const std::string& name, const std::string& pattern) {
    // Words are split where a text's are, with the two wildcards as letters.
    std::vector<std::string> patterns(1);
    for (const char c : retrieval::FoldText(pattern)) {
      const auto byte = static_cast<unsigned char>(c);
      if (std::isalnum(byte) || byte >= 0x80 || c == '*' || c == '?') patterns.back() += c;
      else if (!patterns.back().empty()) patterns.emplace_back();
    }
    std::erase(patterns, std::string());
    return AllWords(name, patterns);
  }

  static Filter Words(const pb::Filters& in, const std::string& name, const std::vector<Json>& values) {
    switch (in.operator_()) {
      case pb::Filters::OPERATOR_EQUAL: return HasWords(name, Only(in, name, values));
      case pb::Filters::OPERATOR_NOT_EQUAL: return Not(HasWords(name, Only(in, name, values)));
      case pb::Filters::OPERATOR_LIKE: return LikeWords(name, Pattern(name, Only(in, name, values)));
      case pb::Filters::OPERATOR_CONTAINS_ANY:
      case pb::Filters::OPERATOR_CONTAINS_ALL:
      case pb::Filters::OPERATOR_CONTAINS_NONE: return Several(in, name, values, [&](const Json& value) { return HasWords(name, value); });
      default: return Plain(in, name, name, values);
    }
  }

  const WeaviateClass& schema_;
  std::size_t conditions_ = 0;
};

}  // namespace

Filter ReadWeaviateFilter(const WeaviateClass& schema, const pb::Filters& filters) { return Reader(schema).Read(filters, 1); }

}  // namespace tenfold::serving
