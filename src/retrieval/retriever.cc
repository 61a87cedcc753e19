#include "retrieval/retriever.h"

#include <algorithm>
#include <cmath>

#include "base/telemetry.h"
#include "retrieval/chunker.h"
#include "retrieval/tokenize.h"

namespace tenfold::retrieval {
namespace {

/// Share of the question's words (weighted: rare ones count more) that occur in `words`.
double Coverage(const std::vector<std::pair<std::string, double>>& question, const std::set<std::string>& words) {
  double all = 0, found = 0;
  for (const auto& [word, weight] : question) {
    all += weight;
    if (words.contains(word)) found += weight;
  }
  return all > 0 ? found / all : 0;
}

std::set<std::string> WordsOf(std::string_view text) {
  auto words = Tokenize(text);
  return {std::make_move_iterator(words.begin()), std::make_move_iterator(words.end())};
}

}  // namespace

std::string TextToEmbed(const std::string& title, const std::string& heading, std::string_view text) {
  std::string out = title;
  if (!heading.empty() && heading != title) out += " - " + heading;
  return out + "\n" + std::string(text);
}

void AppendQuantised(std::span<const float> vector, std::vector<std::int8_t>& out) {
  for (const float x : vector) out.push_back(static_cast<std::int8_t>(std::lround(std::clamp(x * 254.0f, -127.0f, 127.0f))));
}

float DotQuantised(std::span<const float> a, std::span<const std::int8_t> b) {
  float sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * static_cast<float>(b[i]);
  return sum / 254.0f;
}

Retriever::Retriever(data::Store& store, const SearchIndex& index, models::Embedder* embedder) : store_(store), index_(index), embedder_(embedder) {}

Retrieved Retriever::Retrieve(const Context& ctx, const std::string& query, const RetrieveOptions& options) const {
  std::vector<float> embedding;
  if (embedder_) {
    const auto span = ctx.Child("embed");
    embedding = std::move(embedder_->Embed(span, std::span(&query, 1)).front());
  }
  const auto searching = ctx.Child("search");
  const auto hits = index_.Search(ctx.principal(), query, embedding, options.k, options.documents);
  searching.span().Set("hits", static_cast<std::int64_t>(hits.size()));
  Retrieved out;
  std::vector<std::vector<std::int8_t>> sentence_codes;
  store_.Read(ctx, [&](data::ReadTx& tx) {
    out.commit = static_cast<std::int64_t>(tx.commit());
    for (const auto& hit : hits) {
      auto chunk = tx.Get<Chunk>(hit.chunk);
      const auto document = chunk ? tx.Get<Document>(chunk->document) : std::nullopt;
      // Deleted or relabelled between the scan and this snapshot: the snapshot is the truth.
      if (!document || !ctx.principal().MayRead(document->label)) continue;
      out.passages.push_back({chunk->id, document->id, document->uri, document->title, chunk->heading, document->version, document->source, chunk->begin_byte, chunk->end_byte, std::move(chunk->text),
                              hit.score, hit.cosine, hit.bm25});
      sentence_codes.push_back(std::move(chunk->sentences));
    }
  });
  if (!options.with_evidence || out.passages.empty()) return out;

  std::vector<std::pair<std::string, double>> question;
  for (const auto& word : WordsOf(query)) question.emplace_back(word, index_.WordWeight(word));
  double best_cosine = 0, best_coverage = 0;
  for (std::size_t p = 0; p < out.passages.size(); ++p) {
    const auto& passage = out.passages[p];
    const auto context = WordsOf(passage.title + "\n" + passage.heading);
    const auto sentences = SplitSentences(passage.text);
    const bool coded = embedder_ && sentence_codes[p].size() == sentences.size() * embedding.size();
    auto passage_words = WordsOf(passage.text);
    passage_words.insert(context.begin(), context.end());
    best_coverage = std::max(best_coverage, Coverage(question, passage_words));
    best_cosine = std::max(best_cosine, passage.cosine);
    for (std::size_t s = 0; s < sentences.size(); ++s) {
      const auto text = std::string_view(passage.text).substr(sentences[s].begin, sentences[s].end - sentences[s].begin);
      if (text.starts_with('#')) continue;  // a heading says nothing by itself
      auto words = WordsOf(text);
      words.insert(context.begin(), context.end());
      const double coverage = Coverage(question, words);
      const double cosine = coded ? DotQuantised(embedding, std::span(sentence_codes[p]).subspan(s * embedding.size(), embedding.size())) : 0;
      best_cosine = std::max(best_cosine, cosine);
      // A passage that came first is likelier to hold the answer than its sentences alone tell.
      const double rank = 0.1 * passage.score;
      out.evidence.push_back({static_cast<std::int64_t>(p), static_cast<std::int64_t>(sentences[s].begin), static_cast<std::int64_t>(sentences[s].end),
                              coded ? 0.65 * std::max(0.0, cosine) + 0.25 * coverage + rank : 0.9 * coverage + rank});
    }
  }
  std::sort(out.evidence.begin(), out.evidence.end(), [](const Evidence& a, const Evidence& b) { return a.score != b.score ? a.score > b.score : std::pair(a.passage, a.begin) < std::pair(b.passage, b.begin); });
  out.support = embedder_ ? 0.7 * best_cosine + 0.3 * best_coverage : best_coverage;
  return out;
}

}  // namespace tenfold::retrieval
