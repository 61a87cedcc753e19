#include "retrieval/chunker.h"

#include <algorithm>

#include "retrieval/chunkers/chunkers.h"
#include "retrieval/chunkers/sentence_end.h"
#include "retrieval/retriever.h"

namespace tenfold::retrieval {

using chunkers::EndsSentence;
using chunkers::IsSpace;
using chunkers::Trim;

namespace {

constexpr std::uint32_t kSmallestChunk = 8;
constexpr std::uint32_t kParentTokens = 600;
constexpr std::size_t kLongestFirstSentence = 200;

std::string Filled(std::string prefix, const ToChunk& document, const std::string& heading, const std::string& first) {
  const std::pair<std::string_view, std::string_view> values[] = {{"{title}", document.title}, {"{heading}", heading}, {"{first}", first}};
  for (const auto& [name, value] : values)
    for (auto at = prefix.find(name); at != std::string::npos; at = prefix.find(name, at + value.size())) prefix.replace(at, name.size(), value);
  return prefix;
}

/// The first sentence that is no heading, row or fence.
std::string FirstSentence(std::string_view text) {
  for (const auto& span : SplitSentences(text.substr(0, chunkers::AlignForward(text, std::min<std::size_t>(text.size(), 4096))))) {
    const auto sentence = text.substr(span.begin, span.end - span.begin);
    if (sentence.starts_with('#') || sentence.starts_with('|') || sentence.starts_with("```")) continue;
    return std::string(sentence.substr(0, chunkers::AlignForward(sentence, std::min(sentence.size(), kLongestFirstSentence))));
  }
  return {};
}

ChunkStrategy StrategyFor(const ToChunk& document, const ChunkOptions& options) {
  if (options.strategy != ChunkStrategy::kAuto) return options.strategy;
  if (!LanguageOf(document.path).empty()) return ChunkStrategy::kCode;
  if (document.media_type == "text/csv" || document.media_type.ends_with("spreadsheetml.sheet")) return ChunkStrategy::kTable;
  return ChunkStrategy::kStructure;
}

std::vector<ChunkSpan> CutAs(ChunkStrategy strategy, const ToChunk& document, const ChunkOptions& options, const CountTokens& count) {
  switch (strategy) {
    case ChunkStrategy::kSentences:
      return chunkers::CutBySentences(document.text, options.max_tokens, options.overlap_tokens, count);
    case ChunkStrategy::kTable:
      return chunkers::CutByTables(document.text, options.max_tokens, count);
    case ChunkStrategy::kCode:
      return chunkers::CutByCode(document.text, document.path, options.max_tokens, count);
    case ChunkStrategy::kAuto:
    case ChunkStrategy::kStructure:
    case ChunkStrategy::kParents:
      return ChunkText(document.text, options, count);
  }
  return {};
}

/// What is embedded of a chunk fits the embedder: its context goes, then its outer headings, then it is cut.
void FitEmbedder(const ToChunk& document, const ChunkOptions& options, const CountTokens& count, std::vector<ChunkSpan>& chunks) {
  const auto embedded = [&](const ChunkSpan& chunk) {
    const auto text = document.text.substr(chunk.begin, chunk.end - chunk.begin);
    return count(TextToEmbed(document.title, chunk.heading, chunk.context.empty() ? std::string(text) : chunk.context + "\n" + std::string(text)));
  };
  std::vector<ChunkSpan> out;
  std::vector<chunkers::Piece> pieces;
  for (auto& chunk : chunks) {
    if (embedded(chunk) <= document.max_embedded) {
      out.push_back(std::move(chunk));
      continue;
    }
    chunk.context.clear();
    while (!chunk.heading.empty() && embedded(chunk) > document.max_embedded) {
      const auto outer = chunk.heading.find(" > ");
      chunk.heading = outer == std::string::npos ? "" : chunk.heading.substr(outer + 3);
    }
    const auto all = embedded(chunk);
    if (all <= document.max_embedded) {
      out.push_back(std::move(chunk));
      continue;
    }
    const auto own = count(document.text.substr(chunk.begin, chunk.end - chunk.begin));
    const auto beside = all > own ? all - own : 0;
    const auto max = document.max_embedded > beside + kSmallestChunk ? std::min(options.max_tokens, document.max_embedded - beside) : kSmallestChunk;
    pieces.clear();
    chunkers::CutToFit(document.text, chunk.begin, chunk.end, max, count, pieces);
    for (const auto& piece : pieces) {
      auto& part = out.emplace_back(chunk);
      part.begin = piece.begin;
      part.end = piece.end;
    }
  }
  chunks = std::move(out);
}

}  // namespace

std::uint32_t EstimateTokens(std::string_view text) { return static_cast<std::uint32_t>(text.size() / 4 + 1); }

ChunkOptions ParseChunker(std::string_view text, const ChunkOptions& defaults) {
  JsonObject json = ToJson(defaults).get_object();
  auto name = text.substr(0, text.find(','));
  if (!name.empty()) json["strategy"] = boost::json::string(name);
  for (auto rest = text.substr(std::min(text.size(), name.size() + 1)); !rest.empty();) {
    const auto equals = rest.find('=');
    const auto key = rest.substr(0, equals);
    auto value = equals == std::string_view::npos ? std::string_view() : rest.substr(equals + 1);
    if (key != "prefix") value = value.substr(0, value.find(','));
    const bool number = !value.empty() && value.size() < 10 && value.find_first_not_of("0123456789") == std::string_view::npos;
    json[key] = number && key != "prefix" ? Json(std::stoll(std::string(value))) : Json(boost::json::string(value));
    rest = equals == std::string_view::npos ? std::string_view() : rest.substr(std::min(rest.size(), equals + 1 + value.size() + 1));
  }
  return FromJson<ChunkOptions>(Json(std::move(json)));
}

std::vector<ChunkSpan> ChunkDocument(const ToChunk& document, const ChunkOptions& given, const CountTokens& count) {
  auto options = given;
  options.max_tokens = std::max(kSmallestChunk, document.max_embedded ? std::min(options.max_tokens, document.max_embedded) : options.max_tokens);
  const auto strategy = StrategyFor(document, options);
  auto chunks = CutAs(strategy, document, options, count);
  if (!options.prefix.empty()) {
    const auto first = FirstSentence(document.text);
    for (auto& chunk : chunks) {
      const auto prefix = Filled(options.prefix, document, chunk.heading, first);
      chunk.context = prefix + (chunk.context.empty() ? "" : "\n" + chunk.context);
    }
  }
  if (document.max_embedded) FitEmbedder(document, options, count, chunks);
  const auto parent_tokens = options.parent_tokens ? options.parent_tokens : strategy == ChunkStrategy::kParents ? kParentTokens : 0;
  if (parent_tokens) chunkers::AddParents(document.text, parent_tokens, count, chunks);
  return chunks;
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
