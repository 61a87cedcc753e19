#include "retrieval/filter.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/describe.h"
#include "base/error.h"
#include "retrieval/metadata_columns.h"
#include "retrieval/tokenize.h"

namespace tenfold::retrieval {
namespace {

using Op = Filter::Op;

constexpr std::size_t kMaxDepth = 16, kMaxConditions = 1000, kMaxValues = 10'000, kMaxFieldBytes = 512, kMaxPatternBytes = 256;

struct Operator {
  std::string_view name;
  Op op;
};
constexpr Operator kComparisons[] = {{"$eq", Op::kEqual},  {"$ne", Op::kNotEqual}, {"$lt", Op::kLess},   {"$lte", Op::kLessOrEqual}, {"$gt", Op::kGreater}, {"$gte", Op::kGreaterOrEqual},
                                     {"$in", Op::kIn},     {"$nin", Op::kNotIn},   {"$exists", Op::kExists}, {"$within", Op::kWithin},
                                     {"$like", Op::kLike}, {"$like_word", Op::kLikeWord}};
constexpr Operator kConnectives[] = {{"$and", Op::kAnd}, {"$or", Op::kOr}, {"$not", Op::kNot}};

bool IsScalar(const Json& value) { return value.is_string() || value.is_number() || value.is_bool(); }

/// Negative, 0 or positive; nothing if they are of two kinds.
std::optional<int> Compare(const Json& a, const Json& b) {
  if (a.is_string() && b.is_string()) return AsView(a.get_string()).compare(AsView(b.get_string()));
  if (a.is_bool() && b.is_bool()) return static_cast<int>(a.get_bool()) - static_cast<int>(b.get_bool());
  if (!a.is_number() || !b.is_number()) return std::nullopt;
  const auto x = a.to_number<double>(), y = b.to_number<double>();
  return x < y ? -1 : x > y ? 1 : 0;
}

bool Holds(Op op, const Json& value, const JsonArray& values) {
  switch (op) {
    case Op::kEqual:
    case Op::kIn: return std::any_of(values.begin(), values.end(), [&](const Json& one) { return Compare(value, one) == 0; });
    case Op::kLess:
    case Op::kLessOrEqual:
    case Op::kGreater:
    case Op::kGreaterOrEqual: {
      if (value.is_bool()) return false;  // true is not more than false
      const auto order = Compare(value, values.at(0));
      if (!order) return false;
      return op == Op::kLess ? *order < 0 : op == Op::kLessOrEqual ? *order <= 0 : op == Op::kGreater ? *order > 0 : *order >= 0;
    }
    case Op::kWithin: {
      const auto* point = value.if_object();
      const auto* latitude = point ? point->if_contains("lat") : nullptr;
      const auto* longitude = point ? point->if_contains("lon") : nullptr;
      if (!latitude || !longitude || !latitude->is_number() || !longitude->is_number()) return false;
      return MetresBetween(values.at(0).to_number<double>(), values.at(1).to_number<double>(), latitude->to_number<double>(), longitude->to_number<double>()) <= values.at(2).to_number<double>();
    }
    case Op::kLike: return value.is_string() && values.at(0).is_string() && MatchesPattern(AsView(values.at(0).get_string()), AsView(value.get_string()));
    case Op::kLikeWord: return value.is_string() && values.at(0).is_string() && HasWordLike(AsView(values.at(0).get_string()), AsView(value.get_string()));
    case Op::kAnd:
    case Op::kOr:
    case Op::kNot:
    case Op::kNotEqual:
    case Op::kNotIn:
    case Op::kExists: return false;
  }
  return false;
}

class Parser {
 public:
  Filter Parse(const Json& json, const std::string& path, std::size_t depth) {
    if (depth > kMaxDepth) Fail(path, "is more than 16 levels deep");
    const auto* object = json.if_object();
    if (!object) Fail(path, "must be an object such as {\"year\": {\"$gte\": 2020}}");
    Filter out;
    for (const auto& [key, value] : *object) {
      const std::string name(key);
      const auto where = path + "." + name;
      if (name.starts_with('$')) out.parts.push_back(ParseConnective(name, value, where, depth));
      else ParseField(name, value, where, depth, out.parts);
    }
    return Unwrapped(std::move(out));
  }

 private:
  [[noreturn]] static void Fail(const std::string& path, const std::string& problem) { throw Error(Code::kInvalidArgument, path + ": " + problem, path); }
  [[noreturn]] static void FailUnknown(const std::string& path, const std::string& name) {
    std::vector<std::string> known;
    for (const auto& one : kComparisons) known.emplace_back(one.name);
    for (const auto& one : kConnectives) known.emplace_back(one.name);
    const auto nearest = FindNearest(name, known);
    Fail(path, "no operator '" + name.substr(0, 64) + "'" + (nearest ? ", did you mean '" + *nearest + "'" : "; there are $eq $ne $gt $gte $lt $lte $in $nin $exists $within $like $like_word, and $and $or $not"));
  }
  void Count(const std::string& path) {
    if (++conditions_ > kMaxConditions) Fail(path, "the filter has more than 1000 conditions");
  }
  /// A conjunction of one is that one.
  static Filter Unwrapped(Filter filter) {
    if (filter.op != Op::kAnd || filter.parts.size() != 1) return filter;
    auto only = std::move(filter.parts.front());
    return only;
  }

  Filter ParseConnective(const std::string& name, const Json& value, const std::string& path, std::size_t depth) {
    const auto found = std::find_if(std::begin(kConnectives), std::end(kConnectives), [&](const Operator& one) { return one.name == name; });
    if (found == std::end(kConnectives)) {
      if (std::any_of(std::begin(kComparisons), std::end(kComparisons), [&](const Operator& one) { return one.name == name; })) Fail(path, "belongs inside a field: {\"field\": {\"" + name + "\": ...}}");
      FailUnknown(path, name);
    }
    Count(path);
    Filter out{.op = found->op};
    if (found->op == Op::kNot) {
      out.parts.push_back(Parse(value, path, depth + 1));
      return out;
    }
    const auto* list = value.if_array();
    if (!list || list->empty()) Fail(path, "must be a list of one or more conditions");
    for (std::size_t i = 0; i < list->size(); ++i) out.parts.push_back(Parse((*list)[i], path + "[" + std::to_string(i) + "]", depth + 1));
    return out;
  }

  void ParseField(const std::string& field, const Json& value, const std::string& path, std::size_t depth, std::vector<Filter>& out) {
    if (field.empty() || field.size() > kMaxFieldBytes) Fail(path, "a key has 1 to 512 bytes");
    const auto* object = value.if_object();
    if (!object) {  // {"field": value} is equality
      if (!IsScalar(value)) Fail(path, "must be a text, a number, true, false or an object of operators; for one of several values say {\"$in\": [...]}");
      Count(path);
      out.push_back({.op = Op::kEqual, .field = field, .values = {value}});
      return;
    }
    if (object->empty()) Fail(path, "has no operator");
    for (const auto& [key, operand] : *object) {
      const std::string name(key);
      const auto where = path + "." + name;
      Count(where);
      if (name == "$not") {
        if (depth + 1 > kMaxDepth) Fail(where, "is more than 16 levels deep");
        Filter inner;
        ParseField(field, operand, where, depth + 1, inner.parts);
        out.push_back({.op = Op::kNot, .parts = {Unwrapped(std::move(inner))}});
        continue;
      }
      const auto found = std::find_if(std::begin(kComparisons), std::end(kComparisons), [&](const Operator& one) { return one.name == name; });
      if (found == std::end(kComparisons)) FailUnknown(where, name);
      out.push_back({.op = found->op, .field = field, .values = ParseValues(found->op, operand, where)});
    }
  }

  static JsonArray ParseValues(Op op, const Json& operand, const std::string& path) {
    switch (op) {
      case Op::kEqual:
      case Op::kNotEqual:
        if (!IsScalar(operand)) Fail(path, "must be a text, a number, true or false");
        return {operand};
      case Op::kLess:
      case Op::kLessOrEqual:
      case Op::kGreater:
      case Op::kGreaterOrEqual:
        if (!operand.is_number() && !operand.is_string()) Fail(path, "must be a number or a text, such as a time by RFC 3339");
        return {operand};
      case Op::kIn:
      case Op::kNotIn: {
        const auto* list = operand.if_array();
        if (!list) Fail(path, "must be a list");
        if (list->size() > kMaxValues) Fail(path, "has " + std::to_string(list->size()) + " values, at most 10000 are allowed");
        for (std::size_t i = 0; i < list->size(); ++i)
          if (!IsScalar((*list)[i])) Fail(path + "[" + std::to_string(i) + "]", "must be a text, a number, true or false");
        return *list;
      }
      case Op::kExists:
        if (!operand.is_bool()) Fail(path, "must be true or false");
        return {operand};
      case Op::kWithin: {
        const auto* circle = operand.if_object();
        JsonArray out;
        for (const char* name : {"lat", "lon", "metres"}) {
          const auto* value = circle ? circle->if_contains(name) : nullptr;
          if (!value || !value->is_number()) Fail(path, "must be {\"lat\": degrees, \"lon\": degrees, \"metres\": radius}");
          out.push_back(*value);
        }
        if (circle->size() != 3) Fail(path, "has other keys than lat, lon and metres");
        if (std::abs(out[0].to_number<double>()) > 90 || std::abs(out[1].to_number<double>()) > 180 || out[2].to_number<double>() < 0) Fail(path, "lat is -90 to 90, lon -180 to 180, metres 0 or more");
        return out;
      }
      case Op::kLike:
      case Op::kLikeWord:
        if (!operand.is_string() || operand.get_string().empty() || operand.get_string().size() > kMaxPatternBytes) Fail(path, "must be a text of 1 to 256 bytes, in which '*' is any run of characters and '?' one");
        return {operand};
      case Op::kAnd:
      case Op::kOr:
      case Op::kNot: break;
    }
    return {};
  }

  std::size_t conditions_ = 0;
};

/// Where the character that begins at `at` ends, by UTF-8.
std::size_t NextCharacter(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;) ++at;
  return at;
}

}  // namespace

bool MatchesPattern(std::string_view pattern, std::string_view text) {
  // After a mismatch the last '*' takes one character more: earlier ones need not be tried again.
  std::size_t p = 0, t = 0;
  std::optional<std::size_t> star;
  std::size_t retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && pattern[p] == '?') {
      ++p;
      t = NextCharacter(text, t);
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p, ++t;
    } else if (star) {
      p = *star + 1;
      t = retry = NextCharacter(text, retry);
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

bool HasWordLike(std::string_view pattern, std::string_view text) {
  const auto words = FoldedWords(text);
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) { return MatchesPattern(pattern, word); });
}

bool Filter::Matches(const JsonObject& metadata) const {
  switch (op) {
    case Op::kAnd: return std::all_of(parts.begin(), parts.end(), [&](const Filter& part) { return part.Matches(metadata); });
    case Op::kOr: return std::any_of(parts.begin(), parts.end(), [&](const Filter& part) { return part.Matches(metadata); });
    case Op::kNot: return !parts.at(0).Matches(metadata);
    default: break;
  }
  const auto* found = metadata.if_contains(field);
  if (found && found->is_null()) found = nullptr;
  if (op == Op::kExists) return (found != nullptr) == values.at(0).as_bool();
  const bool is_negated = op == Op::kNotEqual || op == Op::kNotIn;
  if (!found) return is_negated;
  const auto positive = op == Op::kNotEqual ? Op::kEqual : op == Op::kNotIn ? Op::kIn : op;
  const auto* list = found->if_array();
  const bool holds = list ? std::any_of(list->begin(), list->end(), [&](const Json& one) { return Holds(positive, one, values); }) : Holds(positive, *found, values);
  return holds != is_negated;
}

Filter ParseFilter(const Json& json, std::string_view path) { return Parser().Parse(json, std::string(path), 1); }

std::vector<std::string> FieldsOf(const Filter& filter) {
  std::vector<std::string> out;
  if (!filter.field.empty() && filter.op != Op::kExists) out.push_back(filter.field);
  for (const auto& part : filter.parts)
    for (auto& name : FieldsOf(part)) out.push_back(std::move(name));
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

Json FilterJson(const Filter& filter) {
  const auto field = [&](std::string_view op, Json operand) { return JsonObject{{filter.field, JsonObject{{op, std::move(operand)}}}}; };
  for (const auto& one : kComparisons) {
    if (one.op != filter.op) continue;
    if (filter.op == Op::kIn || filter.op == Op::kNotIn) return field(one.name, filter.values);
    if (filter.op == Op::kWithin) return field(one.name, JsonObject{{"lat", filter.values.at(0)}, {"lon", filter.values.at(1)}, {"metres", filter.values.at(2)}});
    return field(one.name, filter.values.at(0));
  }
  if (filter.op == Op::kNot) return JsonObject{{"$not", FilterJson(filter.parts.at(0))}};
  if (filter.parts.empty()) return filter.op == Op::kAnd ? JsonObject{} : JsonObject{{"$not", JsonObject{}}};  // what holds for everything, or for nothing
  JsonArray parts;
  for (const auto& part : filter.parts) parts.push_back(FilterJson(part));
  return JsonObject{{filter.op == Op::kAnd ? "$and" : "$or", std::move(parts)}};
}

}  // namespace tenfold::retrieval
