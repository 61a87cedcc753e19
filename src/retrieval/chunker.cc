#include "retrieval/chunker.h"

#include <array>

namespace tenfold::retrieval {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

void Trim(std::string_view text, std::size_t& begin, std::size_t& end) {
  while (begin < end && IsSpace(text[begin])) ++begin;
  while (end > begin && IsSpace(text[end - 1])) --end;
}

struct Piece {
  std::size_t begin, end;
};

int HeadingLevel(std::string_view line) {
  int level = 0;
  while (level < 6 && static_cast<std::size_t>(level) < line.size() && line[static_cast<std::size_t>(level)] == '#') ++level;
  return level > 0 && static_cast<std::size_t>(level) < line.size() && line[static_cast<std::size_t>(level)] == ' ' ? level : 0;
}

bool EndsSentence(std::string_view text, std::size_t at) {
  // `at` is on '.', '!' or '?'.
  if (at + 1 < text.size() && !IsSpace(text[at + 1]) && text[at + 1] != '"' && text[at + 1] != ')') return false;
  if (text[at] != '.') return true;
  std::size_t word = at;
  while (word > 0 && !IsSpace(text[word - 1]) && text[word - 1] != '(') --word;
  const auto token = text.substr(word, at - word);
  static constexpr std::array<std::string_view, 14> kAbbreviations{"e.g", "i.e", "etc", "Mr", "Mrs", "Ms", "Dr", "St", "No", "approx", "incl", "max", "min", "vs"};
  for (const auto abbreviation : kAbbreviations)
    if (token == abbreviation) return false;
  return token.size() != 1 || (token[0] >= '0' && token[0] <= '9');  // an initial
}

/// Cuts [begin, end) into pieces at most `max` tokens long, at the coarsest border that will do.
void Cut(std::string_view text, std::size_t begin, std::size_t end, int level, std::uint32_t max, const CountTokens& count, std::vector<Piece>& out) {
  Trim(text, begin, end);
  if (begin == end) return;
  if (count(text.substr(begin, end - begin)) <= max) {
    out.push_back({begin, end});
    return;
  }
  std::vector<std::size_t> borders;
  for (std::size_t i = begin; i < end; ++i) {
    const bool border = level == 0 ? text[i] == '\n' && i + 1 < end && text[i + 1] == '\n'
                        : level == 1 ? text[i] == '\n'
                        : level == 2 ? (text[i] == '.' || text[i] == '!' || text[i] == '?') && EndsSentence(text, i)
                                     : IsSpace(text[i]);
    if (border && i + 1 < end) borders.push_back(i + 1);
  }
  if (level > 3) {
    // One word longer than a chunk: at characters, about four bytes a token.
    std::size_t at = begin;
    while (at < end) {
      std::size_t next = std::min<std::size_t>(end, at + std::max<std::uint32_t>(4, max * 3));
      while (next < end && next > at + 1 && (static_cast<unsigned char>(text[next]) & 0xc0) == 0x80) --next;
      out.push_back({at, next});
      at = next;
    }
    return;
  }
  if (borders.empty()) {
    Cut(text, begin, end, level + 1, max, count, out);
    return;
  }
  borders.push_back(end);
  // Greedy: as many pieces as fit together; token counts of parts add up to at least that of the whole for the tokenizers used here.
  std::size_t at = begin;
  std::uint32_t tokens = 0;
  std::size_t from = begin;
  for (const auto border : borders) {
    const auto more = count(text.substr(from, border - from));
    if (tokens + more > max && from > at) {
      Cut(text, at, from, level + 1, max, count, out);
      at = from;
      tokens = 0;
    }
    tokens += more;
    from = border;
  }
  if (at == begin) Cut(text, at, end, level + 1, max, count, out);
  else Cut(text, at, end, level, max, count, out);
}

}  // namespace

std::uint32_t EstimateTokens(std::string_view text) { return static_cast<std::uint32_t>(text.size() / 4 + 1); }

std::vector<ChunkSpan> ChunkText(std::string_view text, const ChunkOptions& options, const CountTokens& count) {
  struct Section {
    std::size_t begin, end;
    std::string heading;
    bool has_body = false;
  };
  std::vector<Section> sections;
  std::array<std::string, 7> path;
  const auto join = [&] {
    std::string out;
    for (const auto& part : path)
      if (!part.empty()) out += (out.empty() ? "" : " > ") + part;
    return out;
  };
  bool fenced = false;
  sections.push_back({0, 0, "", false});
  for (std::size_t at = 0; at < text.size();) {
    const auto newline = text.find('\n', at);
    const auto end = newline == std::string_view::npos ? text.size() : newline + 1;
    auto line = text.substr(at, end - at);
    if (line.starts_with("```")) fenced = !fenced;
    const int level = fenced ? 0 : HeadingLevel(line);
    if (level) {
      auto& last = sections.back();
      // A heading directly under a heading shares its section, so that no chunk is a heading alone.
      if (last.has_body || last.begin == last.end) {
        last.end = at;
        sections.push_back({at, at, "", false});
      }
      std::size_t b = at + static_cast<std::size_t>(level), e = end;
      Trim(text, b, e);
      path[static_cast<std::size_t>(level)] = std::string(text.substr(b, e - b));
      for (std::size_t deeper = static_cast<std::size_t>(level) + 1; deeper < path.size(); ++deeper) path[deeper].clear();
      sections.back().heading = join();
    } else {
      for (const char c : line)
        if (!IsSpace(c)) sections.back().has_body = true;
    }
    sections.back().end = end;
    at = end;
  }
  std::vector<ChunkSpan> out;
  std::vector<Piece> pieces;
  for (const auto& section : sections) {
    pieces.clear();
    Cut(text, section.begin, section.end, 0, std::max<std::uint32_t>(8, options.max_tokens), count, pieces);
    for (const auto& piece : pieces) out.push_back({piece.begin, piece.end, section.heading});
  }
  return out;
}

std::vector<ChunkSpan> SplitSentences(std::string_view text) {
  std::vector<ChunkSpan> out;
  const auto add = [&](std::size_t begin, std::size_t end) {
    Trim(text, begin, end);
    if (begin < end) out.push_back({begin, end, ""});
  };
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') {
      // A line end inside a paragraph goes on; before an empty line, a list item, a row or a heading it ends.
      const char next = i + 1 < text.size() ? text[i + 1] : '\n';
      const char first = text[begin];
      if (next == '\n' || next == '-' || next == '|' || next == '#' || next == '*' || first == '#' || first == '|') {
        add(begin, i);
        begin = i + 1;
      }
    } else if ((c == '.' || c == '!' || c == '?') && EndsSentence(text, i)) {
      std::size_t end = i + 1;
      while (end < text.size() && (text[end] == '"' || text[end] == ')')) ++end;
      add(begin, end);
      begin = end;
    }
  }
  add(begin, text.size());
  return out;
}

namespace {

std::vector<std::string> CellsOf(std::string_view row) {
  std::vector<std::string> cells;
  std::size_t at = row.find('|');
  while (at != std::string_view::npos) {
    const auto next = row.find('|', at + 1);
    if (next == std::string_view::npos) break;
    std::size_t begin = at + 1, end = next;
    Trim(row, begin, end);
    cells.emplace_back(row.substr(begin, end - begin));
    at = next;
  }
  return cells;
}

/// The first row of the table that holds the row at `at`; empty if that is it.
std::string_view HeaderOf(std::string_view document, std::size_t at) {
  std::string_view header;
  auto line = document.rfind('\n', at);
  while (line != std::string_view::npos && line > 0) {
    const auto previous = document.rfind('\n', line - 1);
    const auto begin = previous == std::string_view::npos ? 0 : previous + 1;
    const auto text = document.substr(begin, line - begin);
    if (!text.starts_with('|')) break;
    header = text;
    line = previous;
  }
  return header;
}

bool IsRule(std::string_view row) { return row.find_first_not_of("|-: \t") == std::string_view::npos; }

}  // namespace

std::vector<PassageSentence> ReadSentences(std::string_view document, std::size_t begin, std::size_t end) {
  const auto passage = document.substr(begin, end - begin);
  std::vector<PassageSentence> out;
  for (const auto& span : SplitSentences(passage)) {
    const auto text = passage.substr(span.begin, span.end - span.begin);
    if (text.starts_with('#') || IsRule(text)) continue;
    if (!text.starts_with('|')) {
      out.push_back({span.begin, span.end, std::string(text)});
      continue;
    }
    const auto header = CellsOf(HeaderOf(document, begin + span.begin)), cells = CellsOf(text);
    if (header.empty() || cells.empty()) continue;  // it is the header
    std::string row = cells[0];
    for (std::size_t i = 1; i < cells.size(); ++i) {
      if (cells[i].empty()) continue;
      row += (i == 1 ? ": " : "; ") + (i < header.size() && !header[i].empty() ? header[i] + " " : std::string()) + cells[i];
    }
    out.push_back({span.begin, span.end, row + "."});
  }
  return out;
}

}  // namespace tenfold::retrieval
