// Weaviate's aggregates as counts of values: the index counts how often each value of a property occurs among what is allowed, and sums, means, medians and modes follow from that.
#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "serving/weaviate_messages.h"

namespace tenfold::serving {
namespace {

namespace pb = weaviate::v1;
using retrieval::FacetCount;
using retrieval::Filter;
using retrieval::IndexQuery;
using Asked = pb::AggregateRequest::Aggregation;
using Told = pb::AggregateReply::Aggregations::Aggregation;
using Type = WeaviateType;

constexpr std::size_t kMostGroups = 100, kMostMetrics = 100, kMostValues = 1'000'000, kMostOccurrences = 10'000, kOccurrences = 5;

[[noreturn]] void Refuse(const std::string& field, const std::string& why) { throw Error(Code::kUnimplemented, field + ": " + why, field); }

const WeaviateProperty& PropertyOf(const WeaviateClass& schema, const std::string& name, const char* field) {
  const auto found = schema.properties.find(name);
  if (found == schema.properties.end()) throw Error(Code::kInvalidArgument, std::string(field) + ": no such prop with name '" + name.substr(0, 64) + "' found in class '" + schema.name + "'", field);
  return found->second;
}

/// The values of a property that have an order, ascending, and how often each occurs.
template <class T>
struct Distribution {
  std::vector<std::pair<T, std::int64_t>> values;
  std::int64_t count = 0;

  void Add(T value, std::int64_t times) {
    values.emplace_back(std::move(value), times);
    count += times;
  }
  void Sort() { std::sort(values.begin(), values.end()); }
  const T& At(std::int64_t place) const {
    for (const auto& [value, times] : values)
      if ((place -= times) < 0) return value;
    return values.back().first;
  }
  /// The most frequent; of equals the least.
  const T& Mode() const {
    return std::max_element(values.begin(), values.end(), [](const auto& a, const auto& b) { return a.second < b.second; })->first;
  }
  double Sum() const {
    double out = 0;
    for (const auto& [value, times] : values) out += static_cast<double>(value) * static_cast<double>(times);
    return out;
  }
  double Median() const { return (static_cast<double>(At((count - 1) / 2)) + static_cast<double>(At(count / 2))) / 2; }
};

Distribution<double> NumbersOf(std::span<const FacetCount> counts) {
  Distribution<double> out;
  for (const auto& one : counts)
    if (one.value.is_number()) out.Add(one.value.to_number<double>(), one.count);
  out.Sort();
  return out;
}

void TellNumbers(const Asked::Number& asked, std::span<const FacetCount> counts, Told::Number& out) {
  const auto all = NumbersOf(counts);
  if (asked.count()) out.set_count(all.count);
  if (asked.type()) out.set_type("number");
  if (all.count == 0) return;
  if (asked.sum()) out.set_sum(all.Sum());
  if (asked.mean()) out.set_mean(all.Sum() / static_cast<double>(all.count));
  if (asked.median()) out.set_median(all.Median());
  if (asked.mode()) out.set_mode(all.Mode());
  if (asked.maximum()) out.set_maximum(all.values.back().first);
  if (asked.minimum()) out.set_minimum(all.values.front().first);
}

void TellIntegers(const Asked::Integer& asked, std::span<const FacetCount> counts, Told::Integer& out) {
  const auto all = NumbersOf(counts);
  const auto whole = [](double value) { return static_cast<std::int64_t>(value); };
  if (asked.count()) out.set_count(all.count);
  if (asked.type()) out.set_type("int");
  if (all.count == 0) return;
  if (asked.sum()) {
    const auto sum = all.Sum();
    if (std::abs(sum) >= 9.2e18) throw Error(Code::kResourceExhausted, "sum: is beyond 64 bits; ask for the mean and the count", "sum");
    out.set_sum(whole(sum));
  }
  if (asked.mean()) out.set_mean(all.Sum() / static_cast<double>(all.count));
  if (asked.median()) out.set_median(all.Median());
  if (asked.mode()) out.set_mode(whole(all.Mode()));
  if (asked.maximum()) out.set_maximum(whole(all.values.back().first));
  if (asked.minimum()) out.set_minimum(whole(all.values.front().first));
}

void TellTexts(const Asked::Text& asked, std::span<const FacetCount> counts, Told::Text& out) {
  std::int64_t count = 0;
  for (const auto& one : counts) count += one.count;
  if (asked.count()) out.set_count(count);
  if (asked.type()) out.set_type("text");
  if (!asked.top_occurences()) return;
  const std::size_t limit = asked.has_top_occurences_limit() ? asked.top_occurences_limit() : kOccurrences;
  if (limit > kMostOccurrences) throw Error(Code::kInvalidArgument, "top_occurrences: at most " + std::to_string(kMostOccurrences) + " are told", "top_occurrences");
  for (const auto& one : counts.first(std::min(limit, counts.size()))) {
    auto& item = *out.mutable_top_occurences()->add_items();
    item.set_value(std::string(one.value.is_string() ? AsView(one.value.get_string()) : std::string_view()));
    item.set_occurs(one.count);
  }
}

void TellBooleans(const Asked::Boolean& asked, std::span<const FacetCount> counts, Told::Boolean& out) {
  std::int64_t of[2] = {0, 0};
  for (const auto& one : counts)
    if (one.value.is_bool()) of[one.value.get_bool()] += one.count;
  const auto count = of[0] + of[1];
  if (asked.count()) out.set_count(count);
  if (asked.type()) out.set_type("boolean");
  if (asked.total_true()) out.set_total_true(of[1]);
  if (asked.total_false()) out.set_total_false(of[0]);
  if (count == 0) return;
  if (asked.percentage_true()) out.set_percentage_true(static_cast<double>(of[1]) / static_cast<double>(count));
  if (asked.percentage_false()) out.set_percentage_false(static_cast<double>(of[0]) / static_cast<double>(count));
}

/// Kept times are texts in whose order they are moments. Of two moments in the middle the earlier is the median: it is one that is there.
void TellDates(const Asked::Date& asked, std::span<const FacetCount> counts, Told::Date& out) {
  Distribution<std::string> all;
  for (const auto& one : counts)
    if (one.value.is_string()) all.Add(std::string(AsView(one.value.get_string())), one.count);
  all.Sort();
  if (asked.count()) out.set_count(all.count);
  if (asked.type()) out.set_type("date");
  if (all.count == 0) return;
  const auto shown = [](const std::string& kept) {
    const auto json = ShowWeaviateValue(Type::kDate, Json(std::string_view(kept)));
    return std::string(AsView(json.as_string()));
  };
  if (asked.median()) out.set_median(shown(all.At((all.count - 1) / 2)));
  if (asked.mode()) out.set_mode(shown(all.Mode()));
  if (asked.maximum()) out.set_maximum(shown(all.values.back().first));
  if (asked.minimum()) out.set_minimum(shown(all.values.front().first));
}

/// Which kinds of aggregates a property's values have.
void CheckKind(const Asked& asked, const std::string& name, const WeaviateProperty& property) {
  bool fits = false;
  switch (asked.aggregation_case()) {
    case Asked::kInt: fits = property.type == Type::kInt; break;
    case Asked::kNumber: fits = property.type == Type::kNumber || property.type == Type::kInt; break;
    case Asked::kText: fits = property.type == Type::kText || property.type == Type::kTexts || property.type == Type::kUuid || property.type == Type::kUuids; break;
    case Asked::kBoolean: fits = property.type == Type::kBoolean; break;
    case Asked::kDate: fits = property.type == Type::kDate; break;
    case Asked::kReference: Refuse("return_metrics", "references between objects are not kept");
    case Asked::AGGREGATION_NOT_SET: throw Error(Code::kInvalidArgument, "return_metrics: says nothing of what is asked about '" + name.substr(0, 64) + "'", "return_metrics");
  }
  if (fits) return;
  if (property.type == Type::kInts || property.type == Type::kNumbers || property.type == Type::kBooleans || property.type == Type::kDates) Refuse("return_metrics", "lists of numbers, times or true and false, as '" + name + "' is, have no aggregates");
  throw Error(Code::kInvalidArgument, "return_metrics: '" + name + "' has values of another type", "return_metrics");
}

pb::AggregateReply::Aggregations Tell(const pb::AggregateRequest& request, const retrieval::IndexResult& found) {
  pb::AggregateReply::Aggregations out;
  for (const auto& asked : request.aggregations()) {
    const auto name = WeaviatePropertyName(asked.property());
    const auto& counts = found.facets.at(name);
    if (counts.size() >= kMostValues) throw Error(Code::kResourceExhausted, "return_metrics: '" + name + "' has " + std::to_string(kMostValues) + " different values or more; filter first", "return_metrics");
    auto& told = *out.add_aggregations();
    told.set_property(name);
    switch (asked.aggregation_case()) {
      case Asked::kInt: TellIntegers(asked.int_(), counts, *told.mutable_int_()); break;
      case Asked::kNumber: TellNumbers(asked.number(), counts, *told.mutable_number()); break;
      case Asked::kText: TellTexts(asked.text(), counts, *told.mutable_text()); break;
      case Asked::kBoolean: TellBooleans(asked.boolean(), counts, *told.mutable_boolean()); break;
      case Asked::kDate: TellDates(asked.date(), counts, *told.mutable_date()); break;
      default: break;  // CheckKind refused it
    }
  }
  return out;
}

}  // namespace

pb::AggregateReply AggregateWeaviate(const Context& ctx, WeaviateObjects& on, const pb::AggregateRequest& request) {
  const auto started = std::chrono::steady_clock::now();
  if (request.search_case() != pb::AggregateRequest::SEARCH_NOT_SET) Refuse("aggregate", "objects are counted by filter, not by what a search finds");
  if (request.has_object_limit()) Refuse("object_limit", "goes with a search, and objects are counted by filter");
  if (static_cast<std::size_t>(request.aggregations_size()) > kMostMetrics) throw Error(Code::kInvalidArgument, "return_metrics: at most " + std::to_string(kMostMetrics) + " are told", "return_metrics");
  const auto from = on.Open(ctx, request.collection(), request.tenant());
  IndexQuery query{.k = 1, .filter = request.has_filters() ? ReadWeaviateFilter(from.schema, request.filters()) : Filter(), .facet_values = kMostValues, .explain = true};
  for (const auto& asked : request.aggregations()) {
    const auto name = WeaviatePropertyName(asked.property());
    CheckKind(asked, name, PropertyOf(from.schema, name, "return_metrics"));
    query.facets.push_back(name);
  }
  pb::AggregateReply reply;
  const auto took = [&] { reply.set_took(std::chrono::duration<float>(std::chrono::steady_clock::now() - started).count()); };
  if (!request.has_group_by()) {
    const auto found = from.index->Search(ctx, from.name_space, query);
    auto& single = *reply.mutable_single_result();
    single.set_objects_count(found.allowed);
    if (!query.facets.empty()) *single.mutable_aggregations() = Tell(request, found);
    took();
    return reply;
  }
  const auto name = WeaviatePropertyName(request.group_by().property());
  const auto& property = PropertyOf(from.schema, name, "group_by");
  const IndexQuery of_groups{.k = 1, .filter = query.filter, .facets = {name}, .facet_values = std::min<std::size_t>(kMostGroups, request.has_limit() ? std::max(request.limit(), 1u) : kMostGroups)};
  auto& groups = *reply.mutable_grouped_results();
  const auto of_values = from.index->Search(ctx, from.name_space, of_groups);
  for (const auto& value : of_values.facets.at(name)) {
    ctx.Check();
    auto& group = *groups.add_groups();
    group.set_objects_count(value.count);
    if (!query.facets.empty()) {
      auto within = query;
      Filter is_value{.op = Filter::Op::kEqual, .field = name, .values = {value.value}};
      within.filter = request.has_filters() ? Filter{.op = Filter::Op::kAnd, .parts = {query.filter, std::move(is_value)}} : std::move(is_value);
      *group.mutable_aggregations() = Tell(request, from.index->Search(ctx, from.name_space, within));
    }
    auto& by = *group.mutable_grouped_by();
    by.add_path(name);
    if (value.value.is_bool()) by.set_boolean(value.value.get_bool());
    else if (property.type == Type::kInt) by.set_int_(value.value.to_number<std::int64_t>());
    else if (value.value.is_number()) by.set_number(value.value.to_number<double>());
    else by.set_text(std::string(AsView(value.value.as_string())));
  }
  took();
  return reply;
}

}  // namespace tenfold::serving
