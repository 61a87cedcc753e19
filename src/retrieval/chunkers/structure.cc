// Headings, blocks, lines, sentences, words: the borders that every text has.
#include <array>

#include "retrieval/chunkers/chunkers.h"
#include "retrieval/chunkers/sentence_end.h"

namespace tenfold::retrieval {
namespace chunkers {

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

void Trim(std::string_view text, std::size_t& begin, std::size_t& end) {
  while (begin < end && IsSpace(text[begin])) ++begin;
  while (end > begin && IsSpace(text[end - 1])) --end;
}

std::size_t AlignForward(std::string_view text, std::size_t at) {
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
  return at;
}

bool EndsSentence(std::string_view text, std::size_t at) {
  // `at` is on '.', '!' or '?'.
  if (at + 1 < text.size() && !IsSpace(text[at + 1]) && text[at + 1] != '"' && text[at + 1] != ')') return false;
  if (text[at] != '.') return true;
  std::size_t word = at;
  while (word > 0 && !IsSpace(text[word - 1]) && text[word - 1] != '(') --word;
  const auto token = text.substr(word, at - word);
  static constexpr std::array<std::string_view, 14> kAbbreviations{"e.g", "i.e", "etc",    "Mr",   "Mrs", "Ms",  "Dr",
                                                                   "St",  "No",  "approx", "incl", "max", "min", "vs"};
  for (const auto abbreviation : kAbbreviations)
    if (token == abbreviation) return false;
  return token.size() != 1 || (token[0] >= '0' && token[0] <= '9');  // an initial
}

namespace {

int HeadingLevel(std::string_view line) {
  int level = 0;
  while (level < 6 && static_cast<std::size_t>(level) < line.size() && line[static_cast<std::size_t>(level)] == '#') ++level;
  return level > 0 && static_cast<std::size_t>(level) < line.size() && line[static_cast<std::size_t>(level)] == ' ' ? level : 0;
}

void Cut(std::string_view text, std::size_t begin, std::size_t end, int level, std::uint32_t max, const CountTokens& count, std::vector<Piece>& out) {
  Trim(text, begin, end);
  if (begin == end) return;
  if (count(text.substr(begin, end - begin)) <= max) {
    out.push_back({begin, end});
    return;
  }
  std::vector<std::size_t> borders;
  for (std::size_t i = begin; i < end; ++i) {
    const bool border = level == 0   ? text[i] == '\n' && i + 1 < end && text[i + 1] == '\n'
                        : level == 1 ? text[i] == '\n'
                        : level == 2 ? (text[i] == '.' || text[i] == '!' || text[i] == '?') && EndsSentence(text, i)
                                     : IsSpace(text[i]);
    if (border && i + 1 < end) borders.push_back(i + 1);
  }
  if (level > 3) {
    // One word longer than a chunk: at characters. A token has about four bytes, of rare characters or random letters fewer.
    std::size_t at = begin;
    while (at < end) {
      auto length = std::min<std::size_t>(end - at, std::max<std::uint32_t>(4, max * 3));
      std::size_t next = at;
      for (;; length /= 2) {
        next = std::min(end, AlignForward(text, at + std::max<std::size_t>(1, length)));
        if (length <= 1 || count(text.substr(at, next - at)) <= max) break;
      }
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

void CutToFit(std::string_view text, std::size_t begin, std::size_t end, std::uint32_t max, const CountTokens& count, std::vector<Piece>& out) {
  Cut(text, begin, end, 0, max, count, out);
}

std::vector<Section> SplitSections(std::string_view text) {
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
  return sections;
}

}  // namespace chunkers

std::vector<ChunkSpan> ChunkText(std::string_view text, const ChunkOptions& options, const CountTokens& count) {
  std::vector<ChunkSpan> out;
  std::vector<chunkers::Piece> pieces;
  for (const auto& section : chunkers::SplitSections(text)) {
    pieces.clear();
    chunkers::CutToFit(text, section.begin, section.end, std::max<std::uint32_t>(8, options.max_tokens), count, pieces);
    for (const auto& piece : pieces) out.push_back({piece.begin, piece.end, section.heading});
  }
  return out;
}

}  // namespace tenfold::retrieval
