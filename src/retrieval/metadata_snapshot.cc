// The columns of metadata by value, in a snapshot and compared with what is put again. What a row has is not saved: it is what the values' rows say.
#include <algorithm>
#include <limits>

#include "retrieval/metadata_columns.h"
#include "retrieval/snapshot_file.h"

namespace tenfold::retrieval {

bool MetadataColumns::FindValue(const Column& column, std::uint32_t row, const Json& value, std::vector<Entry>& entries) {
  using Kind = Entry::Kind;
  auto* held = const_cast<Column*>(&column);  // as an address, to compare
  if (value.is_string()) {
    const auto at = column.texts.find(AsView(value.get_string()));
    if (at == column.texts.end()) return false;
    entries.push_back({held, Kind::kText, &at->first});
  } else if (value.is_number()) {
    const auto at = column.numbers.find(value.to_number<double>());
    if (at == column.numbers.end()) return false;
    entries.push_back({held, Kind::kNumber, &at->first});
  } else if (value.is_bool()) {
    entries.push_back({held, Kind::kBoolean, value.get_bool() ? held : nullptr});
  } else if (const auto* point = value.if_object()) {
    const auto at = column.points.find(row);
    if (at == column.points.end() || at->second.latitude != point->at("lat").to_number<double>() || at->second.longitude != point->at("lon").to_number<double>()) return false;
    entries.push_back({held, Kind::kPoint, nullptr});
  }
  return true;
}

bool MetadataColumns::Holds(std::uint32_t row, const JsonObject& metadata) const {
  std::vector<Entry> wanted;
  for (const auto& [key, value] : metadata) {
    if (value.is_null()) continue;
    const auto at = columns_.find(std::string_view(key.data(), key.size()));
    if (at == columns_.end()) return false;
    if (const auto* list = value.if_array()) {
      wanted.push_back({const_cast<Column*>(&at->second), Entry::Kind::kList, nullptr});
      for (const auto& one : *list)
        if (!FindValue(at->second, row, one, wanted)) return false;
    } else if (!FindValue(at->second, row, value, wanted)) {
      return false;
    }
  }
  std::vector<Entry> held;
  ForEachEntry(row, [&](const Entry& one) { held.push_back(one); });
  // That a value stands in a list is not kept in a snapshot, and filters do not see it: the mark counts where the list is empty.
  for (auto* entries : {&wanted, &held}) {
    std::sort(entries->begin(), entries->end());
    std::vector<Entry> told;
    for (const auto& one : *entries)
      if (told.empty() || (one != told.back() && (one.kind != Entry::Kind::kList || one.column != told.back().column))) told.push_back(one);
    entries->swap(told);
  }
  return wanted == held;
}

void MetadataColumns::Save(SnapshotWriter& to) const {
  to.Put(std::uint64_t{columns_.size()});
  for (const auto& [name, column] : columns_) {
    to.PutText(name);
    column.present.Save(to);
    for (const auto& rows : column.booleans) rows.Save(to);
    to.Put(std::uint64_t{column.points.size()});
    for (const auto& [row, point] : column.points) {
      to.Put(std::uint64_t{row});
      to.Put(point);
    }
    to.Put(std::uint64_t{column.numbers.size()});
    for (const auto& [number, rows] : column.numbers) {
      to.Put(number);
      rows.Save(to);
    }
    to.Put(std::uint64_t{column.texts.size()});
    for (const auto& [text, rows] : column.texts) {
      to.PutText(text);
      rows.Save(to);
    }
  }
}

void MetadataColumns::Restore(SnapshotReader& from, std::size_t rows) {
  using Kind = Entry::Kind;
  auto& [values, begins, numbers, present] = restored_;
  begins.resize(rows + 1);  // first how many a row has, one place on
  // Who has a key and none of its values has an empty list.
  std::vector<std::uint32_t> column_of_row(rows), empty_lists;
  std::vector<std::size_t> empty_lists_end;
  std::uint32_t number_of_column = 0;
  const auto count_row = [&](std::uint32_t row) {
    SnapshotReader::Check(row < rows, "a value has a row that is not there");
    ++begins[row + 1];
    column_of_row[row] = number_of_column;
  };
  const auto count = [&](const RowSet& of) { of.ForEach(count_row); };
  for (auto columns = from.GetCount(1); columns > 0; --columns) {
    ++number_of_column;
    auto& column = columns_.emplace_hint(columns_.end(), from.GetText(), Column())->second;
    column.present = RowSet::Load(from);
    for (auto& of : column.booleans) count(of = RowSet::Load(from));
    for (auto points = from.GetCount(1); points > 0; --points) {
      const auto row = static_cast<std::uint32_t>(from.Get<std::uint64_t>());
      count_row(row);
      column.points.emplace_hint(column.points.end(), row, from.Get<Point>());
    }
    for (auto left = from.GetCount(1); left > 0; --left) {
      const auto number = from.Get<double>();
      count(column.numbers.emplace_hint(column.numbers.end(), number, RowSet::Load(from))->second);
    }
    for (auto left = from.GetCount(1); left > 0; --left) {
      auto text = from.GetText();
      count(column.texts.emplace_hint(column.texts.end(), std::move(text), RowSet::Load(from))->second);
    }
    column.present.ForEach([&](std::uint32_t row) {
      SnapshotReader::Check(row < rows, "a key has a row that is not there");
      if (column_of_row[row] == number_of_column) return;
      empty_lists.push_back(row);
      ++begins[row + 1];
    });
    empty_lists_end.push_back(empty_lists.size());
  }
  std::vector<std::uint64_t> with_any(rows / 64 + 1);
  std::uint64_t all = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    if (begins[row + 1] > 0) with_any[row / 64] |= std::uint64_t{1} << row % 64;
    all += begins[row + 1];
    SnapshotReader::Check(all <= std::numeric_limits<std::uint32_t>::max(), "there are more values than places are counted with");
    begins[row + 1] = static_cast<std::uint32_t>(all);
  }
  present = Bitmap(std::move(with_any));
  numbers.resize(begins.back());
  auto next = begins;
  const auto add_row = [&](std::uint32_t row) { numbers[next[row]++] = static_cast<std::uint32_t>(values.size() - 1); };
  const auto add = [&](const RowSet& of, const Entry& entry) {
    values.push_back(entry);
    of.ForEach(add_row);
  };
  std::size_t list = 0, end = 0;
  for (auto& [name, column] : columns_) {
    auto* held = &column;
    for (const bool value : {false, true}) add(column.booleans[value], {held, Kind::kBoolean, value ? held : nullptr});
    values.push_back({held, Kind::kPoint, nullptr});
    for (const auto& [row, point] : column.points) add_row(row);
    for (const auto& [number, of] : column.numbers) add(of, {held, Kind::kNumber, &number});
    for (const auto& [text, of] : column.texts) add(of, {held, Kind::kText, &text});
    values.push_back({held, Kind::kList, nullptr});
    for (; list < empty_lists_end[end]; ++list) add_row(empty_lists[list]);
    ++end;
  }
}

}  // namespace tenfold::retrieval
