#include "retrieval/metadata_columns.h"

#include <cmath>
#include <numbers>
#include <numeric>

namespace tenfold::retrieval {
double MetresBetween(double latitude_a, double longitude_a, double latitude_b, double longitude_b) {
  constexpr double kEarthRadius = 6'371'008.8, kRadian = std::numbers::pi / 180;
  const double up = std::sin((latitude_b - latitude_a) * kRadian / 2), across = std::sin((longitude_b - longitude_a) * kRadian / 2);
  const double h = up * up + std::cos(latitude_a * kRadian) * std::cos(latitude_b * kRadian) * across * across;
  return 2 * kEarthRadius * std::asin(std::min(1.0, std::sqrt(h)));
}

void MetadataColumns::AddValue(Column& column, std::uint32_t row, const Json& value, std::vector<Entry>& entries) {
  using Kind = Entry::Kind;
  if (value.is_string()) {
    const auto [at, is_new] = column.texts.try_emplace(std::string(AsView(value.get_string())));
    if (at->second.Add(row)) entries.push_back({&column, Kind::kText, &at->first});
  } else if (value.is_number()) {
    const double number = value.to_number<double>();
    const auto [at, is_new] = column.numbers.try_emplace(number == 0 ? 0.0 : number);  // -0 is 0
    if (at->second.Add(row)) entries.push_back({&column, Kind::kNumber, &at->first});
  } else if (value.is_bool()) {
    column.booleans[value.get_bool()].Add(row);
    entries.push_back({&column, Kind::kBoolean, value.get_bool() ? &column : nullptr});
  } else if (const auto* point = value.if_object()) {
    column.points.insert_or_assign(row, Point{point->at("lat").to_number<double>(), point->at("lon").to_number<double>()});
    entries.push_back({&column, Kind::kPoint, nullptr});
  }
}

void MetadataColumns::Put(std::uint32_t row, const JsonObject& metadata) {
  Remove(row);
  std::vector<Entry> entries;
  for (const auto& [key, value] : metadata) {
    if (value.is_null()) continue;
    auto at = columns_.find(std::string_view(key.data(), key.size()));
    if (at == columns_.end()) at = columns_.try_emplace(std::string(key)).first;
    auto& column = at->second;
    column.present.Add(row);
    if (const auto* list = value.if_array()) {
      entries.push_back({&column, Entry::Kind::kList, nullptr});
      for (const auto& one : *list) AddValue(column, row, one, entries);
    } else {
      AddValue(column, row, value, entries);
    }
  }
  if (!entries.empty()) {
    entries.shrink_to_fit();
    if (row >= entries_of_row_.size()) entries_of_row_.resize(row + std::size_t{1});
    entries_of_row_[row] = std::move(entries);
  }
}

void MetadataColumns::Remove(std::uint32_t row) {
  bool had_any = false;
  ForEachEntry(row, [&](const Entry& entry) {
    const auto& [column, kind, value] = entry;
    had_any = true;
    column->present.Remove(row);
    switch (kind) {
      case Entry::Kind::kText: {
        const auto at = column->texts.find(*static_cast<const std::string*>(value));
        at->second.Remove(row);
        if (at->second.empty()) column->texts.erase(at);
        break;
      }
      case Entry::Kind::kNumber: {
        const auto at = column->numbers.find(*static_cast<const double*>(value));
        at->second.Remove(row);
        if (at->second.empty()) column->numbers.erase(at);
        break;
      }
      case Entry::Kind::kBoolean: column->booleans[value != nullptr].Remove(row); break;
      case Entry::Kind::kPoint: column->points.erase(row); break;
      case Entry::Kind::kList: break;
    }
  });
  if (!had_any) return;
  restored_.rows.Clear(row);
  if (row < entries_of_row_.size()) entries_of_row_[row] = std::vector<Entry>();
  // What nobody uses any more is not kept: keys come from outside.
  std::erase_if(columns_, [](const auto& one) { return one.second.present.empty(); });
}

void MetadataColumns::AddEqual(const Column& column, const Json& value, Bitmap& out) {
  if (value.is_string()) {
    if (const auto at = column.texts.find(AsView(value.get_string())); at != column.texts.end()) at->second.AddTo(out);
  } else if (value.is_number()) {
    if (const auto at = column.numbers.find(value.to_number<double>()); at != column.numbers.end()) at->second.AddTo(out);
  } else if (value.is_bool()) {
    column.booleans[value.get_bool()].AddTo(out);
  }
}

namespace {
/// Calls `visit` with each entry of an ordered map that stands to `bound` as `op` says.
template <class Map, class Key, class F>
void ForRange(const Map& map, Filter::Op op, const Key& bound, F&& visit) {
  const bool is_below = op == Filter::Op::kLess || op == Filter::Op::kLessOrEqual;
  const auto begin = is_below ? map.begin() : op == Filter::Op::kGreater ? map.upper_bound(bound) : map.lower_bound(bound);
  const auto end = !is_below ? map.end() : op == Filter::Op::kLess ? map.lower_bound(bound) : map.upper_bound(bound);
  for (auto at = begin; at != end; ++at) visit(at->second);
}
}  // namespace

void MetadataColumns::AddRange(const Column& column, Filter::Op op, const Json& value, Bitmap& out) {
  const auto add = [&](const RowSet& rows) { rows.AddTo(out); };
  if (value.is_string()) ForRange(column.texts, op, AsView(value.get_string()), add);
  else if (value.is_number()) ForRange(column.numbers, op, value.to_number<double>(), add);
}

void MetadataColumns::AddWithin(const Column& column, const JsonArray& values, Bitmap& out) {
  const double latitude = values.at(0).to_number<double>(), longitude = values.at(1).to_number<double>(), metres = values.at(2).to_number<double>();
  for (const auto& [row, point] : column.points)
    if (MetresBetween(latitude, longitude, point.latitude, point.longitude) <= metres) out.Set(row);
}

void MetadataColumns::AddLike(const Column& column, Filter::Op op, const Json& pattern, Bitmap& out) {
  if (!pattern.is_string()) return;
  const auto text = AsView(pattern.get_string());
  const auto prefix = op == Filter::Op::kLike ? text.substr(0, text.find_first_of("*?")) : std::string_view();
  for (auto at = column.texts.lower_bound(prefix); at != column.texts.end() && std::string_view(at->first).starts_with(prefix); ++at)
    if (op == Filter::Op::kLike ? MatchesPattern(text, at->first) : HasWordLike(text, at->first)) at->second.AddTo(out);
}

Bitmap MetadataColumns::Select(const Filter& filter, const Bitmap& present) const {
  using Op = Filter::Op;
  const auto column = [&]() -> const Column* {
    const auto at = columns_.find(filter.field);
    return at == columns_.end() ? nullptr : &at->second;
  };
  Bitmap out;
  bool is_negated = false;
  switch (filter.op) {
    case Op::kAnd:
      out = present;
      for (const auto& part : filter.parts) out.And(Select(part, out));
      return out;
    case Op::kOr:
      for (const auto& part : filter.parts) out.Or(Select(part, present));
      return out;
    case Op::kNot:
      out = present;
      out.AndNot(Select(filter.parts.at(0), present));
      return out;
    case Op::kNotEqual:
    case Op::kNotIn: is_negated = true; [[fallthrough]];
    case Op::kEqual:
    case Op::kIn:
      if (const auto* of = column())
        for (const auto& value : filter.values) AddEqual(*of, value, out);
      break;
    case Op::kLess:
    case Op::kLessOrEqual:
    case Op::kGreater:
    case Op::kGreaterOrEqual:
      if (const auto* of = column()) AddRange(*of, filter.op, filter.values.at(0), out);
      break;
    case Op::kExists:
      is_negated = !filter.values.at(0).as_bool();
      if (const auto* of = column()) of->present.AddTo(out);
      break;
    case Op::kWithin:
      if (const auto* of = column()) AddWithin(*of, filter.values, out);
      break;
    case Op::kLike:
    case Op::kLikeWord:
      if (const auto* of = column()) AddLike(*of, filter.op, filter.values.at(0), out);
      break;
  }
  if (is_negated) {
    auto all = present;
    all.AndNot(out);
    return all;
  }
  out.And(present);
  return out;
}

bool MetadataColumns::HasIn(std::string_view key, const Bitmap& rows) const {
  const auto column = columns_.find(key);
  return column != columns_.end() && column->second.present.MeetsAny(rows);
}

std::vector<FacetCount> MetadataColumns::Count(std::string_view key, const Bitmap& allowed, std::size_t limit) const {
  std::vector<FacetCount> out;
  const auto found = columns_.find(key);
  if (found == columns_.end()) return out;
  const auto add = [&](Json value, const RowSet& rows) {
    if (const auto count = rows.CountIn(allowed)) out.push_back({std::move(value), static_cast<std::int64_t>(count)});
  };
  // False, true, numbers, texts, each in order, which stays for equal counts.
  for (const bool value : {false, true}) add(value, found->second.booleans[value]);
  for (const auto& [value, rows] : found->second.numbers) add(value, rows);
  for (const auto& [value, rows] : found->second.texts) add(Json(std::string_view(value)), rows);
  std::vector<std::size_t> order(out.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return out[a].count != out[b].count ? out[a].count > out[b].count : a < b; });
  order.resize(std::min(limit, order.size()));
  std::vector<FacetCount> best;
  for (const auto at : order) best.push_back(std::move(out[at]));
  return best;
}

}  // namespace tenfold::retrieval
