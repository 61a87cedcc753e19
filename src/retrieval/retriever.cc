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
  // Re-ranking by sentences reads more passages than it returns: the right one is nearly always among the first twenty, and often not the first.
  const auto candidates = options.with_evidence ? std::max<std::size_t>(20, 2 * options.k) : options.k;
  Retrieved out;
  std::vector<std::vector<std::int8_t>> sentence_codes;
  {
    const auto searching = ctx.Child("search");
    const auto hits = index_.Search(ctx.principal(), query, embedding, candidates, options.documents);
    searching.span().Set("hits", static_cast<std::int64_t>(hits.size()));
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
  }
  if (!options.with_evidence || out.passages.empty()) return out;
  const auto ranking = ctx.Child("rank sentences");
  Rank(query, embedding, sentence_codes, options.k, out);
  return out;
}

void Retriever::Rank(const std::string& query, std::span<const float> embedding, const std::vector<std::vector<std::int8_t>>& sentence_codes, std::size_t k, Retrieved& out) const {
  std::vector<std::pair<std::string, double>> question;
  for (const auto& word : WordsOf(query)) question.emplace_back(word, index_.WordWeight(word));
  double best_bm25 = 1e-9;
  for (const auto& passage : out.passages) best_bm25 = std::max(best_bm25, passage.bm25);
  struct Ranked {
    std::size_t passage;
    double score;
    std::vector<Evidence> evidence;
  };
  std::vector<Ranked> ranked;
  double best_cosine = 0, best_coverage = 0;
  for (std::size_t p = 0; p < out.passages.size(); ++p) {
    const auto& passage = out.passages[p];
    const auto context = WordsOf(passage.title + "\n" + passage.heading);
    const auto sentences = SplitSentences(passage.text);
    const bool coded = !embedding.empty() && sentence_codes[p].size() == sentences.size() * embedding.size();
    auto passage_words = WordsOf(passage.text);
    passage_words.insert(context.begin(), context.end());
    const double passage_coverage = Coverage(question, passage_words);
    Ranked one{p, 0, {}};
    double best_sentence = 0;
    for (std::size_t s = 0; s < sentences.size(); ++s) {
      const auto text = std::string_view(passage.text).substr(sentences[s].begin, sentences[s].end - sentences[s].begin);
      if (text.starts_with('#')) continue;  // a heading says nothing by itself
      auto words = WordsOf(text);
      words.insert(context.begin(), context.end());
      const double coverage = Coverage(question, words);
      const double cosine = coded ? std::max(0.0f, DotQuantised(embedding, std::span(sentence_codes[p]).subspan(s * embedding.size(), embedding.size()))) : 0;
      const double score = coded ? 0.75 * cosine + 0.25 * coverage : coverage;
      best_sentence = std::max(best_sentence, score);
      best_cosine = std::max(best_cosine, cosine);
      one.evidence.push_back({static_cast<std::int64_t>(p), static_cast<std::int64_t>(sentences[s].begin), static_cast<std::int64_t>(sentences[s].end), score});
    }
    best_cosine = std::max(best_cosine, passage.cosine);
    best_coverage = std::max(best_coverage, passage_coverage);
    one.score = embedding.empty() ? 0.6 * passage.bm25 / best_bm25 + 0.4 * best_sentence
                                  : 0.4 * passage.cosine + 0.35 * best_sentence + 0.15 * passage.bm25 / best_bm25 + 0.1 * passage_coverage;
    ranked.push_back(std::move(one));
  }
  std::sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) { return a.score != b.score ? a.score > b.score : a.passage < b.passage; });
  if (ranked.size() > k) ranked.resize(k);
  std::vector<FoundPassage> best;
  for (std::size_t i = 0; i < ranked.size(); ++i) {
    auto& passage = out.passages[ranked[i].passage];
    passage.score = ranked[i].score;
    best.push_back(std::move(passage));
    for (auto evidence : ranked[i].evidence) {
      evidence.passage = static_cast<std::int64_t>(i);
      // A passage that ranks high is likelier to hold the answer than its sentences alone tell.
      evidence.score = 0.6 * evidence.score + 0.4 * ranked[i].score;
      out.evidence.push_back(evidence);
    }
  }
  out.passages = std::move(best);
  std::sort(out.evidence.begin(), out.evidence.end(), [](const Evidence& a, const Evidence& b) { return a.score != b.score ? a.score > b.score : std::pair(a.passage, a.begin) < std::pair(b.passage, b.begin); });
  out.support = embedding.empty() ? best_coverage : 0.7 * best_cosine + 0.3 * best_coverage;
}

}  // namespace tenfold::retrieval
