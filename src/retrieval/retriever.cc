#include "retrieval/retriever.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "base/telemetry.h"
#include "retrieval/chunker.h"
#include "retrieval/tokenize.h"
#include "retrieval/word_query.h"

namespace tenfold::retrieval {
namespace {

/// A question's words, at most 64, and which of them a text holds, as bits.
class QuestionWords {
 public:
  QuestionWords(std::string_view question, const ChunkIndex& index) {
    std::set<std::string> words;
    ForEachWord(question, [&](std::string_view word) { words.emplace(word); });
    for (const auto& word : words) words_.emplace_back(word, index.WordWeight(word));
    // Of a very long question the rarest words count.
    std::sort(words_.begin(), words_.end(), [](const auto& a, const auto& b) { return a.second != b.second ? a.second > b.second : a.first < b.first; });
    if (words_.size() > 64) words_.resize(64);
    for (const auto& [word, weight] : words_) all_ += weight;
  }
  std::uint64_t In(std::string_view text) const {
    std::uint64_t found = 0;
    ForEachWord(text, [&](std::string_view word) {
      for (std::size_t i = 0; i < words_.size(); ++i)
        if (words_[i].first == word) found |= std::uint64_t{1} << i;
    });
    return found;
  }
  /// Share of the words (weighted: rare ones count more) that `found` holds.
  double Coverage(std::uint64_t found) const {
    double held = 0;
    for (auto left = found; left != 0; left &= left - 1) held += words_[static_cast<std::size_t>(std::countr_zero(left))].second;
    return all_ > 0 ? held / all_ : 0;
  }

 private:
  std::vector<std::pair<std::string, double>> words_;
  double all_ = 0;
};

}  // namespace

std::string WithSynonyms(const std::string& query, std::span<const std::string> groups) {
  std::string more;
  const auto text = " " + FoldText(query) + " ";
  const auto holds = [&](std::string_view word) {
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
      if (!std::isalnum(static_cast<unsigned char>(text[at - 1])) && !std::isalnum(static_cast<unsigned char>(text[at + word.size()]))) return true;
    return false;
  };
  for (const auto& group : groups) {
    std::vector<std::string> words;
    for (std::size_t at = 0; at < group.size();) {
      const auto end = std::min(group.find(',', at), group.size());
      auto word = group.substr(at, end - at);
      word.erase(0, word.find_first_not_of(' '));
      if (!word.empty()) words.push_back(FoldText(word));
      at = end + 1;
    }
    if (std::none_of(words.begin(), words.end(), holds)) continue;
    for (const auto& word : words)
      if (!holds(word)) more += " " + word;
  }
  return more.empty() ? query : query + " (" + more.substr(1) + ")";
}

std::string TextToEmbed(const std::string& title, const std::string& heading, std::string_view text) {
  std::string out = title;
  if (!heading.empty() && heading != title) out += " - " + heading;
  return out + "\n" + std::string(text);
}

void AppendQuantised(std::span<const float> vector, std::vector<std::int8_t>& out) {
  const auto begin = out.size();
  out.resize(begin + vector.size());
  std::int8_t* to = out.data() + begin;
  // Halves away from zero, as std::lround, which is a call for each of the 384 numbers of each sentence: a third of what ingestion thought while the store wrote.
  for (std::size_t i = 0; i < vector.size(); ++i) {
    const float scaled = std::clamp(vector[i] * 254.0f, -127.0f, 127.0f);
    to[i] = static_cast<std::int8_t>(static_cast<std::int32_t>(scaled + (scaled < 0 ? -0.5f : 0.5f)));
  }
}

float DotQuantised(std::span<const float> a, std::span<const std::int8_t> b) {
  float sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * static_cast<float>(b[i]);
  return sum / 254.0f;
}

IndexQuery HybridQuery(std::string text, std::vector<float> vector, std::size_t k) {
  // Neither ranks alone, which forget by how much the best one leads, nor scores alone, which one stray value stretches: docs/evaluation.md has the figures.
  return {.text = std::move(text), .vector = std::move(vector), .k = k, .fusion = Fusion::kRanksAndScores, .rerank = Rerank::kNeighbours};
}

Retriever::Retriever(data::Store& store, std::function<OpenIndex()> index) : store_(store), index_(std::move(index)) {}

Retrieved Retriever::Retrieve(const Context& ctx, const std::string& asked, const RetrieveOptions& options) const {
  const auto query = WithSynonyms(asked, options.synonyms);
  const auto searched = index_();
  std::vector<float> embedding;
  if (searched.embedder) {
    const auto span = ctx.Child("embed");
    embedding = std::move(searched.embedder->Embed(span, std::span(options.embed_synonyms ? &query : &asked, 1), models::EmbedKind::kQuery).front());
  }
  // Re-ranking by sentences reads more passages than it returns: the right one is nearly always among the first twenty, and often not the first.
  const auto candidates = options.with_evidence ? std::max<std::size_t>(20, 2 * options.k) : options.k;
  Retrieved out;
  std::vector<Candidate> found;
  {
    const auto searching = ctx.Child("search");
    auto search = HybridQuery(options.with_evidence ? PlainWords(query) : query, embedding, candidates);
    search.offset = options.offset;
    search.filter = options.filter;
    search.groups = options.documents;
    search.explain = options.explain;
    search.per_group = options.per_document;
    search.diversity = options.diversity;
    search.facets = options.facets;
    auto result = searched.index->Search(ctx.principal(), search);
    const auto& hits = result.hits;
    out.facets = std::move(result.facets);
    out.readable = result.readable;
    out.allowed = result.allowed;
    searching.span().Set("hits", static_cast<std::int64_t>(hits.size()));
    // BM25 alone has no upper end.
    const float unit = embedding.empty() && !hits.empty() ? hits.front().score : 1.0f;
    store_.Read(ctx, [&](data::ReadTx& tx) {
      out.commit = static_cast<std::int64_t>(tx.commit());
      for (const auto& hit : hits) {
        auto chunk = tx.Get<Chunk>(hit.id);
        const auto document = chunk ? tx.Get<Document>(chunk->document) : std::nullopt;
        // Deleted or relabelled between the scan and this snapshot: the snapshot is the truth.
        if (!document || !ctx.principal().MayRead(document->label)) continue;
        // Found by a small passage, answered with what stands around it, once.
        const auto inside = static_cast<std::size_t>(chunk->begin_byte);
        auto sentences = options.with_evidence ? ReadSentences(document->text, inside, static_cast<std::size_t>(chunk->end_byte)) : std::vector<PassageSentence>();
        if (chunk->parent_end > chunk->parent_begin && static_cast<std::size_t>(chunk->parent_end) <= document->text.size()) {
          const auto begin = static_cast<std::size_t>(chunk->parent_begin);
          if (std::any_of(out.passages.begin(), out.passages.end(), [&](const auto& other) { return other.document == document->id && other.begin == chunk->parent_begin; })) continue;
          for (auto& sentence : sentences) {
            sentence.begin += inside - begin;
            sentence.end += inside - begin;
          }
          chunk->text = document->text.substr(begin, static_cast<std::size_t>(chunk->parent_end) - begin);
          chunk->begin_byte = chunk->parent_begin;
          chunk->end_byte = chunk->parent_end;
        }
        out.passages.push_back({chunk->id, document->id, document->uri, document->title, chunk->heading, document->version, document->source, chunk->begin_byte, chunk->end_byte, std::move(chunk->text),
                                hit.score / unit, hit.vector_score, hit.bm25});
        if (options.with_evidence) found.push_back({std::move(sentences), std::move(chunk->sentences)});
      }
      for (auto& [id, why] : result.explanations) {
        const auto chunk = tx.Get<Chunk>(id);
        const auto document = chunk ? tx.Get<Document>(chunk->document) : std::nullopt;
        if (document && ctx.principal().MayRead(document->label)) out.candidates.push_back({id, document->id, document->uri, document->title, std::move(why)});
      }
    });
  }
  if (!options.with_evidence || out.passages.empty()) return out;
  const auto ranking = ctx.Child("rank sentences");
  if (options.focus.empty()) {
    Rank(*searched.index, query, embedding, query, embedding, found, options.k, out);
    return out;
  }
  const auto focus = WithSynonyms(options.focus, options.synonyms);
  const auto focus_embedding = searched.embedder ? std::move(searched.embedder->Embed(ctx, std::span(&options.focus, 1), models::EmbedKind::kQuery).front()) : std::vector<float>();
  Rank(*searched.index, query, embedding, focus, focus_embedding, found, options.k, out);
  return out;
}

void Retriever::Rank(const ChunkIndex& index, const std::string& query, std::span<const float> embedding, const std::string& focus, std::span<const float> focus_embedding, const std::vector<Candidate>& candidates, std::size_t k, Retrieved& out) {
  const QuestionWords question(query, index), focus_words(focus, index);
  double best_bm25 = 1e-9;
  for (const auto& passage : out.passages) best_bm25 = std::max(best_bm25, passage.bm25);
  struct Ranked {
    std::size_t passage;
    double score;
    std::vector<Evidence> evidence;
  };
  std::vector<Ranked> ranked;
  for (std::size_t p = 0; p < out.passages.size(); ++p) {
    const auto& passage = out.passages[p];
    const auto context = passage.title + "\n" + passage.heading;
    const auto context_focus = focus_words.In(context);
    const auto& sentences = candidates[p].sentences;
    const bool coded = !embedding.empty() && candidates[p].codes.size() == sentences.size() * embedding.size();
    const double passage_coverage = question.Coverage(question.In(context) | question.In(passage.text));
    Ranked one{p, 0, {}};
    double best_sentence = 0;
    for (std::size_t s = 0; s < sentences.size(); ++s) {
      const double coverage = focus_words.Coverage(context_focus | focus_words.In(sentences[s].text));
      const double cosine = coded ? std::max(0.0f, DotQuantised(focus_embedding, std::span(candidates[p].codes).subspan(s * embedding.size(), embedding.size()))) : 0;
      const double score = coded ? 0.75 * cosine + 0.25 * coverage : coverage;
      best_sentence = std::max(best_sentence, score);
      out.sentence_cosine = std::max(out.sentence_cosine, cosine);
      one.evidence.push_back({static_cast<std::int64_t>(p), static_cast<std::int64_t>(sentences[s].begin), static_cast<std::int64_t>(sentences[s].end), sentences[s].text, score});
    }
    out.passage_cosine = std::max(out.passage_cosine, passage.cosine);
    out.coverage = std::max(out.coverage, passage_coverage);
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
    for (auto& evidence : ranked[i].evidence) {
      evidence.passage = static_cast<std::int64_t>(i);
      // A passage that ranks high is likelier to hold the answer than its sentences alone tell.
      evidence.score = 0.6 * evidence.score + 0.4 * ranked[i].score;
      out.evidence.push_back(std::move(evidence));
    }
  }
  out.passages = std::move(best);
  std::sort(out.evidence.begin(), out.evidence.end(), [](const Evidence& a, const Evidence& b) { return a.score != b.score ? a.score > b.score : std::pair(a.passage, a.begin) < std::pair(b.passage, b.begin); });
  out.support = embedding.empty() ? out.coverage : std::max(out.passage_cosine, 0.5 * (out.sentence_cosine + out.coverage));
}

}  // namespace tenfold::retrieval
