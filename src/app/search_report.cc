#include "app/search_report.h"

#include <cstdio>

#include "base/utf8.h"

namespace tenfold::app {
namespace {

/// A line a candidate: what each scan said of it, and what became of it.
std::string ExplanationInWords(const SearchExplanation& explanation) {
  std::string out = std::to_string(explanation.readable) + " passages may be read, " + std::to_string(explanation.allowed) + " pass the filter, " + std::to_string(explanation.candidates.size()) + " were candidates\n";
  const bool has_model = !explanation.reranker.empty();
  if (has_model) out += "the first were put in the order of " + explanation.reranker + ", column model\n";
  char line[256];
  std::snprintf(line, sizeof line, "%5s %15s %15s %7s %9s %s %-10s %s\n", "place", "words", "vectors", "fused", "re-ranked", has_model ? "  model " : "", "", "document");
  out += line;
  const auto scan = [](std::int64_t rank, double score) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3f", score);
    return rank ? std::string(text) + " #" + std::to_string(rank) + (rank < 10 ? "  " : rank < 100 ? " " : "") : std::string("-    ");
  };
  std::size_t place = 0;
  for (const auto& [chunk, document, uri, title, why, relevance] : explanation.candidates) {
    char model[16] = "";
    if (relevance) std::snprintf(model, sizeof model, "%7.4f ", *relevance);
    else if (has_model) std::snprintf(model, sizeof model, "      - ");
    std::snprintf(line, sizeof line, "%5zu %15s %15s %7.3f %9.3f %s %-10s ", ++place, scan(why.word_rank, why.word_score).c_str(), scan(why.vector_rank, why.vector_score).c_str(), why.fused, why.reranked, model,
                  why.cut.empty() ? "shown" : ("cut: " + why.cut).c_str());
    out += line + uri + "  " + chunk.substr(chunk.rfind('/') + 1) + "\n";
  }
  return out;
}

}  // namespace

std::string ReportInWords(const SearchResponse& response) {
  std::string text;
  for (const auto& hit : response.hits) text += hit.document.title + " (" + hit.document.uri + ")\n  " + std::string(CutUtf8(hit.text, 300)) + "\n\n";
  if (text.empty()) text = "nothing found\n";
  for (const auto& [key, counts] : response.facets) {
    text += key + ":\n";
    for (const auto& one : counts) text += "  " + ToText(one.value) + "  " + std::to_string(one.count) + "\n";
  }
  if (response.notice) text += *response.notice + "\n";
  if (response.explanation) text += ExplanationInWords(*response.explanation);
  return text;
}

}  // namespace tenfold::app
