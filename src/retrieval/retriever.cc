#include "retrieval/retriever.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <set>
#include <unordered_map>

#include "base/log.h"
#include "base/telemetry.h"
#include "retrieval/answer_kind.h"
#include "retrieval/chunker.h"
#include "retrieval/tokenize.h"
#include "retrieval/word_query.h"

namespace tenfold::retrieval {
namespace {

// What failed just now will likely fail again, and each try costs its time limit.
constexpr std::chrono::seconds kPauseAfterFailure{10};
// Searches of one question whose hits were partly gone from the store, and the deepest that an index is asked.
constexpr int kMostRounds = 3;
constexpr std::size_t kMostHits = 10'000;

/// What a hit is made of, without what it is not: a passage's embedding and sentences and a document's text may be many pages of the store.
struct PackedChunk {
  std::string id;
  std::string document;
  std::int64_t begin_byte = 0;
  std::int64_t end_byte = 0;
  std::string heading;
  std::string text;
  std::int64_t parent_begin = 0;
  std::int64_t parent_end = 0;
};
TENFOLD_DESCRIBE(PackedChunk, (id), (document), (begin_byte), (end_byte), (heading), (text), (parent_begin), (parent_end))
TENFOLD_TABLE(PackedChunk, "chunks", id)

struct PackedDocument {
  std::string id;
  std::string source;
  std::string uri;
  std::string title;
  std::string label;
  std::int64_t version = 0;
};
TENFOLD_DESCRIBE(PackedDocument, (id), (source), (uri), (title), (label), (version))
TENFOLD_TABLE(PackedDocument, "documents", id)

struct DocumentOfChunk {
  std::string id;
  std::string document;
};
TENFOLD_DESCRIBE(DocumentOfChunk, (id), (document))
TENFOLD_TABLE(DocumentOfChunk, "chunks", id)

struct SentencesOfChunk {
  std::string id;
  std::vector<std::int8_t> sentences;
};
TENFOLD_DESCRIBE(SentencesOfChunk, (id), (sentences))
TENFOLD_TABLE(SentencesOfChunk, "chunks", id)

struct TextOfDocument {
  std::string id;
  std::string text;
};
TENFOLD_DESCRIBE(TextOfDocument, (id), (text))
TENFOLD_TABLE(TextOfDocument, "documents", id)

/// The documents of a list of hits as one snapshot has them, each read once.
class ReadDocuments {
 public:
  ReadDocuments(data::ReadTx& tx, const Principal& reader) : tx_(tx), reader_(reader) {}
  /// Null if it is not there or not the reader's.
  const PackedDocument* Find(const std::string& id) {
    auto& one = Of(id);
    return one.head ? &*one.head : nullptr;
  }
  /// Of one that Find gave.
  const std::string& TextOf(const std::string& id) {
    auto& one = Of(id);
    if (!one.text) {
      auto read = tx_.Get<TextOfDocument>(id);
      one.text = read ? std::move(read->text) : std::string();
    }
    return *one.text;
  }

 private:
  struct One {
    std::optional<PackedDocument> head;
    std::optional<std::string> text;
  };
  One& Of(const std::string& id) {
    const auto [at, is_new] = read_.try_emplace(id);
    if (is_new) {
      auto head = tx_.Get<PackedDocument>(id);
      if (head && reader_.MayRead(head->label)) at->second.head = std::move(head);
    }
    return at->second;
  }
  data::ReadTx& tx_;
  const Principal& reader_;
  std::unordered_map<std::string, One> read_;
};

/// "Until when": of sentences that fit alike, the one with a date answers. The sample's questions and the held-out ones come out alike from 0.05 to 0.12.
constexpr double kFigureBonus = 0.08;

/// A question's words, at most 64, and which of them a text holds, as bits.
class QuestionWords {
 public:
  QuestionWords(std::string_view question, const PassageIndex& index) : language_(index.language()) {
    std::set<std::string> words;
    ForEachWord(question, [&](std::string_view word) { words.emplace(word); }, language_);
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
    }, language_);
    return found;
  }
  /// Share of the words (weighted: rare ones count more) that `found` holds.
  double Coverage(std::uint64_t found) const {
    double held = 0;
    for (auto left = found; left != 0; left &= left - 1) held += words_[static_cast<std::size_t>(std::countr_zero(left))].second;
    return all_ > 0 ? held / all_ : 0;
  }

 private:
  const Language language_;
  std::vector<std::pair<std::string, double>> words_;
  double all_ = 0;
};

/// Candidates in the order that the model gave those of `head`, with what it said of them; the others keep theirs, behind.
void Explain(std::span<const FoundPassage> head, std::vector<ExplainedCandidate>& candidates) {
  std::map<std::string_view, std::size_t> place;
  for (std::size_t i = 0; i < head.size(); ++i) place.emplace(head[i].chunk, i);
  std::vector<ExplainedCandidate> ordered(head.size()), rest;
  for (auto& one : candidates) {
    const auto at = place.find(one.chunk);
    if (at == place.end()) {
      rest.push_back(std::move(one));
      continue;
    }
    auto& there = ordered[at->second];
    there = std::move(one);
    there.relevance = head[at->second].score;
  }
  std::erase_if(ordered, [](const auto& one) { return one.chunk.empty(); });
  candidates = std::move(ordered);
  for (auto& one : rest) candidates.push_back(std::move(one));
}

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

Retriever::Retriever(data::Store& store, std::function<OpenIndex()> index, HeadReranking reranking) : store_(store), index_(std::move(index)), reranking_(std::move(reranking)) {}

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
  const bool reranks = reranking_.model && options.diversity <= 0 && ToMicros(ctx.clock().Now()) >= asks_again_us_;
  Retrieved out;
  std::vector<Candidate> found;
  {
    const auto searching = ctx.Child("search");
    auto search = HybridQuery(options.with_evidence ? PlainWords(query) : query, embedding, candidates);
    search.offset = options.offset;
    if (reranks) {  // a page of the model's order is known once the whole head is
      search.offset = 0;
      search.k = std::max(options.offset + candidates, reranking_.passages);
    }
    search.filter = options.filter;
    search.groups = options.documents;
    search.explain = options.explain;
    search.per_group = options.per_document;
    search.diversity = options.diversity;
    search.facets = options.facets;
    const auto wanted = search.k;
    for (int round = 1;; ++round) {
      auto result = searched.index->Search(ctx, search);
      // BM25 alone has no upper end.
      const float unit = embedding.empty() && !result.hits.empty() ? result.hits.front().score : 1.0f;
      const auto stale = Join(ctx, result, options, unit, out, found);
      searching.span().Set("hits", static_cast<std::int64_t>(result.hits.size()));
      const bool has_more = result.hits.size() == search.k && search.offset + search.k < kMostHits;
      if (stale == 0 || !has_more || round == kMostRounds) {
        out.facets = std::move(result.facets);
        out.readable = result.readable;
        out.allowed = result.allowed;
        out.notice = std::move(result.notice);
        break;
      }
      // An engine that lags behind gave what is gone: others take its place.
      search.k = std::min(kMostHits - search.offset, wanted + 2 * stale + 16 * static_cast<std::size_t>(round));
    }
    if (out.passages.size() > wanted) out.passages.resize(wanted);
    found.resize(out.passages.size());
  }
  if (reranking_.model && options.diversity <= 0) {
    if (reranks) RerankHead(ctx.Child("rerank"), asked, out, found);
    else out.notice += (out.notice.empty() ? "" : "; ") + std::string("not re-ranked by '") + reranking_.model->name() + "', which failed a moment ago";
    if (reranks) KeepPage(options.offset, candidates, out, found);
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

std::size_t Retriever::Join(const Context& ctx, const IndexResult& result, const RetrieveOptions& options, float unit, Retrieved& out, std::vector<Candidate>& found) const {
  std::size_t stale = 0;
  out.passages.clear();
  out.candidates.clear();
  found.clear();
  store_.Read(ctx, [&](data::ReadTx& tx) {
    out.commit = static_cast<std::int64_t>(tx.commit());
    ReadDocuments documents(tx, ctx.principal());
    for (const auto& hit : result.hits) {
      auto chunk = tx.Get<PackedChunk>(hit.id);
      const auto* document = chunk ? documents.Find(chunk->document) : nullptr;
      // Deleted or relabelled between the scan and this snapshot: the snapshot is the truth.
      if (!document) {
        ++stale;
        continue;
      }
      // Found by a small passage, answered with what stands around it, once.
      const auto inside = static_cast<std::size_t>(chunk->begin_byte);
      auto sentences = options.with_evidence ? ReadSentences(documents.TextOf(document->id), inside, static_cast<std::size_t>(chunk->end_byte)) : std::vector<PassageSentence>();
      if (chunk->parent_end > chunk->parent_begin && static_cast<std::size_t>(chunk->parent_end) <= documents.TextOf(document->id).size()) {
        const auto begin = static_cast<std::size_t>(chunk->parent_begin);
        if (std::any_of(out.passages.begin(), out.passages.end(), [&](const auto& other) { return other.document == document->id && other.begin == chunk->parent_begin; })) continue;
        for (auto& sentence : sentences) {
          sentence.begin += inside - begin;
          sentence.end += inside - begin;
        }
        chunk->text = documents.TextOf(document->id).substr(begin, static_cast<std::size_t>(chunk->parent_end) - begin);
        chunk->begin_byte = chunk->parent_begin;
        chunk->end_byte = chunk->parent_end;
      }
      std::vector<std::int8_t> codes;
      if (options.with_evidence)
        if (auto read = tx.Get<SentencesOfChunk>(hit.id)) codes = std::move(read->sentences);
      out.passages.push_back({std::move(chunk->id), document->id, document->uri, document->title, std::move(chunk->heading), document->version, document->source, chunk->begin_byte, chunk->end_byte, std::move(chunk->text),
                              hit.score / unit, hit.vector_score, hit.bm25});
      found.push_back({std::move(sentences), std::move(codes)});
    }
    for (const auto& [id, why] : result.explanations) {
      const auto chunk = tx.Get<DocumentOfChunk>(id);
      if (const auto* document = chunk ? documents.Find(chunk->document) : nullptr) out.candidates.push_back({id, document->id, document->uri, document->title, why});
    }
  });
  return stale;
}

void Retriever::KeepPage(std::size_t offset, std::size_t k, Retrieved& out, std::vector<Candidate>& found) {
  std::map<std::string_view, const char*> cut;
  for (std::size_t i = 0; i < out.passages.size(); ++i)
    if (i < offset || i >= offset + k) cut.emplace(out.passages[i].chunk, i < offset ? "offset" : "k");
  for (auto& one : out.candidates)
    if (const auto found_cut = cut.find(one.chunk); found_cut != cut.end()) one.why.cut = found_cut->second;
  const auto keep = [&](auto& list) {
    if (list.size() > offset + k) list.resize(offset + k);
    list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(std::min(offset, list.size())));
  };
  keep(out.passages);
  keep(found);
}

void Retriever::RerankHead(const Context& ctx, const std::string& query, Retrieved& out, std::vector<Candidate>& found) const {
  const auto head = std::min(out.passages.size(), reranking_.passages);
  if (head == 0) return;
  std::vector<std::string> texts;
  for (const auto& passage : std::span(out.passages).first(head)) texts.push_back(TextToEmbed(passage.title, passage.heading, passage.text));
  std::vector<float> scores;
  try {
    scores = reranking_.model->Score(ctx.WithTimeout(reranking_.limit), query, texts);
    if (scores.size() != head) throw Error(Code::kUnavailable, "it gave " + std::to_string(scores.size()) + " scores for " + std::to_string(head) + " passages");
  } catch (const Error& e) {
    ctx.Check();  // the caller's own time is over: nothing failed
    asks_again_us_ = ToMicros(ctx.clock().Now() + kPauseAfterFailure);
    Log(LogLevel::kWarning, "re-ranking failed; the order of the search stands", {{"model", reranking_.model->name()}, {"error", e.message()}});
    out.notice += (out.notice.empty() ? "" : "; ") + std::string("not re-ranked by '") + reranking_.model->name() + "': " + e.message();
    return;
  }
  out.reranker = reranking_.model->name();
  std::vector<std::size_t> order(out.passages.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(head), [&](std::size_t a, std::size_t b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a < b; });
  const double lowest = *std::min_element(scores.begin(), scores.end());
  std::vector<FoundPassage> passages;
  std::vector<Candidate> candidates;
  for (const auto i : order) {
    // What the model did not read stands behind what it read, in its own order.
    out.passages[i].score = i < head ? scores[i] : lowest * out.passages[i].score;
    found[i].relevance = i < head ? scores[i] : lowest;
    passages.push_back(std::move(out.passages[i]));
    candidates.push_back(std::move(found[i]));
  }
  out.passages = std::move(passages);
  found = std::move(candidates);
  Explain(std::span(out.passages).first(head), out.candidates);
}

void Retriever::Rank(const PassageIndex& index, const std::string& query, std::span<const float> embedding, const std::string& focus, std::span<const float> focus_embedding, const std::vector<Candidate>& candidates, std::size_t k, Retrieved& out) {
  const QuestionWords question(query, index), focus_words(focus, index);
  const bool asks_for_figure = AsksForFigure(focus);
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
      const double score = (coded ? 0.75 * cosine + 0.25 * coverage : coverage) + (asks_for_figure && HasFigure(sentences[s].text) ? kFigureBonus : 0);
      best_sentence = std::max(best_sentence, score);
      out.sentence_cosine = std::max(out.sentence_cosine, cosine);
      one.evidence.push_back({static_cast<std::int64_t>(p), static_cast<std::int64_t>(sentences[s].begin), static_cast<std::int64_t>(sentences[s].end), sentences[s].text, score});
    }
    out.passage_cosine = std::max(out.passage_cosine, passage.cosine);
    out.coverage = std::max(out.coverage, passage_coverage);
    one.score = embedding.empty() ? 0.6 * passage.bm25 / best_bm25 + 0.4 * best_sentence
                                  : 0.4 * passage.cosine + 0.35 * best_sentence + 0.15 * passage.bm25 / best_bm25 + 0.1 * passage_coverage;
    // The model read question and passage together; sentences and words still say which of two that it likes alike is meant.
    if (candidates[p].relevance) one.score = 0.6 * *candidates[p].relevance + 0.4 * one.score;
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
