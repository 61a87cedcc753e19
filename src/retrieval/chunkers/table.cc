#include <algorithm>

#include "retrieval/chunkers/chunkers.h"

namespace tenfold::retrieval::chunkers {
namespace {

std::string_view LineAt(std::string_view text, std::size_t at, std::size_t limit) {
  if (at >= limit) return {};
  const auto end = std::min(text.find('\n', at), limit);
  return text.substr(at, end - at);
}

bool IsRow(std::string_view line) { return line.starts_with('|'); }
bool IsRule(std::string_view line) {
  return IsRow(line) && line.find_first_not_of("|-: \t\r") == std::string_view::npos && line.find('-') != std::string_view::npos;
}

/// The table in [begin, end), whole lines; the first row is its header.
void CutTable(std::string_view text, std::size_t begin, std::size_t end, const std::string& heading, std::uint32_t max, const CountTokens& count,
              std::vector<ChunkSpan>& out) {
  const auto header = LineAt(text, begin, end);
  // A header that leaves no room for rows is not repeated.
  const auto header_tokens = count(header) * 2 <= max ? count(header) : 0;
  const std::string context = header_tokens ? std::string(header) : std::string();
  std::vector<Piece> pieces;
  const auto emit = [&](std::size_t from, std::size_t until, bool first) {
    Trim(text, from, until);
    if (from == until) return;
    pieces.clear();
    if (count(text.substr(from, until - from)) <= max) pieces.push_back({from, until});
    else CutToFit(text, from, until, max, count, pieces);  // one row alone, or the header
    for (const auto& piece : pieces) out.push_back({piece.begin, piece.end, heading, first && piece.begin == from ? std::string() : context});
  };
  // The header never stands without a row: it and its rule go with the first.
  auto first_row = std::min(end, begin + header.size() + 1);
  if (const auto rule = LineAt(text, first_row, end); IsRule(rule)) first_row = std::min(end, first_row + rule.size() + 1);
  auto from = begin;
  for (auto at = first_row; at < end;) {
    const auto line = LineAt(text, at, end);
    const auto room = from == begin ? max : max - header_tokens;
    if (at > first_row && at > from && count(text.substr(from, at + line.size() - from)) > room) {
      emit(from, at, from == begin);
      from = at;
    }
    at = std::min(end, at + line.size() + 1);
  }
  emit(from, end, from == begin);
}

}  // namespace

std::vector<ChunkSpan> CutByTables(std::string_view text, std::uint32_t max, const CountTokens& count) {
  std::vector<ChunkSpan> out;
  std::vector<Piece> pieces;
  for (const auto& section : SplitSections(text)) {
    auto plain = section.begin;
    const auto flush = [&](std::size_t until) {
      pieces.clear();
      CutToFit(text, plain, until, max, count, pieces);
      for (const auto& piece : pieces) out.push_back({piece.begin, piece.end, section.heading});
    };
    for (auto at = section.begin; at < section.end;) {
      const auto line = LineAt(text, at, section.end);
      const auto next = std::min(section.end, at + line.size() + 1);
      if (!IsRow(line) || next >= section.end || !IsRow(LineAt(text, next, section.end))) {
        at = next;
        continue;
      }
      flush(at);
      auto until = next;
      while (until < section.end && IsRow(LineAt(text, until, section.end))) until = std::min(section.end, until + LineAt(text, until, section.end).size() + 1);
      CutTable(text, at, until, section.heading, max, count, out);
      plain = at = until;
    }
    flush(section.end);
  }
  return out;
}

}  // namespace tenfold::retrieval::chunkers
