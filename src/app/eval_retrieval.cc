#include "app/eval_retrieval.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <set>

#include "app/evaluate.h"
#include "base/files.h"
#include "retrieval/index_shard.h"
#include "retrieval/sync.h"
#include "retrieval/trec.h"

namespace tenfold::app {
namespace {

using retrieval::IndexQuery;
using Steady = std::chrono::steady_clock;
using Progress = std::function<void(std::string_view)>;

constexpr std::size_t kTop = 10, kDeep = 100;
constexpr std::uint64_t kSeed = 1;  // intervals are the same each time

struct AskedTopic {
  std::string id;
  std::string text;
  std::string user;
  retrieval::Judgements judged;
};

/// Documents best first, at most `k`.
using Search = std::function<std::vector<std::string>(const AskedTopic&, const std::vector<float>& vector, std::size_t k)>;
struct Stage {
  std::string name;
  std::string what;
  Search search;
};
/// Asks an index as `topic`'s user may.
using AskIndex = std::function<retrieval::IndexResult(const AskedTopic& topic, const IndexQuery&)>;

std::string ReadWhole(const std::filesystem::path& path) { return ReadFile(path, retrieval::CollectionLimits::kFileBytes); }

std::vector<AskedTopic> TopicsOf(const EvalRetrievalRequest& request) {
  std::vector<AskedTopic> out;
  if (!request.questions.empty()) {
    for (auto& question : LabelledQuestions(request.questions)) {
      auto& topic = out.emplace_back(AskedTopic{question.id, std::move(question.query), std::move(question.user), {}});
      for (auto& uri : question.relevant) topic.judged.emplace(std::move(uri), 1);
    }
    return out;
  }
  auto qrels = retrieval::ParseQrels(ReadWhole(request.qrels), request.qrels.filename().string());
  for (auto& topic : retrieval::ParseTopics(ReadWhole(request.topics), request.topics.filename().string())) {
    const auto judged = qrels.find(topic.id);
    out.push_back({std::move(topic.id), std::move(topic.text), "", judged == qrels.end() ? retrieval::Judgements() : std::move(judged->second)});
  }
  return out;
}

void CheckRequest(const EvalRetrievalRequest& request) {
  const bool judged = !request.topics.empty() || !request.qrels.empty();
  if (!request.questions.empty() && (judged || !request.documents.empty())) throw Error(Code::kInvalidArgument, "--questions is asked of the home's documents and stands alone; leave out --topics, --qrels and --documents");
  if (request.questions.empty() && (request.topics.empty() || request.qrels.empty())) throw Error(Code::kInvalidArgument, "eval retrieval needs --topics FILE and --qrels FILE, or --questions FILE; see 'tenfold eval retrieval --help'");
  if (!request.user.empty() && !request.documents.empty()) throw Error(Code::kInvalidArgument, "--user asks of the home's documents; a collection given with --documents has no readers");
}

/// A collection as one shard, cut and embedded as documents of the home are.
struct Collection {
  retrieval::IndexShard shard;
  std::set<std::string, std::less<>> ids;
  std::int64_t documents = 0, passages = 0;
};

Collection IndexCollection(const Context& ctx, const std::filesystem::path& file, const retrieval::GenerationTools& tools, const Progress& progress) {
  Collection out{retrieval::IndexShard(tools.embedder ? tools.embedder->dim() : 0, retrieval::Metric::kCosine, tools.language), {}, 0, 0};
  std::vector<retrieval::IndexRecord> records;
  std::vector<std::string> texts;
  retrieval::ParseCollection(ReadWhole(file), file.filename().string(), [&](retrieval::CollectionDocument&& given) {
    ctx.Check();
    const retrieval::Document document{.id = given.id, .source = {}, .uri = given.id, .title = std::move(given.title), .label = "public", .media_type = "text/plain", .content_hash = {}, .text = std::move(given.text)};
    const auto chunks = retrieval::MakeChunks(document, tools);
    for (const auto& chunk : chunks) {
      records.push_back(retrieval::RecordOf(chunk, document.label, document.title, {}));
      texts.push_back(retrieval::TextToEmbed(document.title, chunk.heading, records.back().text));
    }
    out.documents += !chunks.empty();
    out.ids.insert(std::move(given.id));
  });
  if (tools.embedder) {
    const auto begun = Steady::now();
    auto made = tools.cache->Embed(ctx, *tools.embedder, texts, models::EmbedKind::kPassage, {}, [&](std::size_t done, std::size_t all) {
      if (all == 0) return progress("vectors of " + std::to_string(texts.size()) + " passages were kept from before\n");
      const auto seconds = std::chrono::duration<double>(Steady::now() - begun).count();
      progress("embedded " + std::to_string(done) + " of " + std::to_string(all) + " passages, about " + std::to_string(static_cast<long>(seconds / static_cast<double>(done) * static_cast<double>(all - done))) + " s to go\n");
    });
    for (std::size_t i = 0; i < records.size(); ++i) records[i].vector = std::move(made[i]);
  }
  for (const auto& record : records) out.shard.Put(record);
  out.passages = static_cast<std::int64_t>(records.size());
  return out;
}

/// What is judged in a home is known there by its id: a URI becomes it. What is not there stays as it is, and is not found.
std::set<std::string, std::less<>> NameAsHome(Services& on, const Context& ctx, std::vector<AskedTopic>& topics) {
  std::set<std::string, std::less<>> ids;
  std::map<std::string, std::string, std::less<>> id_of_uri;
  for (const auto& head : on.store->Read(ctx, [](data::ReadTx& tx) { return tx.Find<retrieval::DocumentHead>(); })) {
    ids.insert(head.id);
    id_of_uri.emplace(head.uri, head.id);
  }
  for (auto& topic : topics) {
    retrieval::Judgements named;
    for (const auto& [document, grade] : topic.judged) {
      const auto known = ids.contains(document) ? id_of_uri.end() : id_of_uri.find(document);
      named.emplace(known == id_of_uri.end() ? document : known->second, grade);
    }
    topic.judged = std::move(named);
  }
  return ids;
}

std::vector<std::string> DocumentsOf(const retrieval::IndexResult& result) {
  std::vector<std::string> out;
  for (const auto& hit : result.hits) out.push_back(hit.group);
  return out;
}

std::vector<Stage> StagesOf(const AskIndex& ask, bool with_vectors) {
  const auto stage = [&](std::string name, std::string what, std::function<void(IndexQuery&)> change) {
    return Stage{std::move(name), std::move(what), [ask, change](const AskedTopic& topic, const std::vector<float>& vector, std::size_t k) {
                   auto query = retrieval::HybridQuery(topic.text, vector, k);
                   query.per_group = 1;
                   change(query);
                   return DocumentsOf(ask(topic, query));
                 }};
  };
  std::vector<Stage> out{stage("words", "BM25 alone", [](IndexQuery& query) { query.vector.clear(); })};
  if (!with_vectors) return out;
  out.push_back(stage("vectors", "embeddings alone", [](IndexQuery& query) { query.text.clear(); }));
  using retrieval::Fusion, retrieval::Rerank;
  const auto fused = [&](std::string name, std::string what, Fusion fusion, Rerank rerank) {
    out.push_back(stage(std::move(name), std::move(what), [fusion, rerank](IndexQuery& query) { query.fusion = fusion, query.rerank = rerank; }));
  };
  fused("rrf", "both, fused by rank", Fusion::kReciprocalRank, Rerank::kNone);
  fused("weighted", "both, fused by scaled scores", Fusion::kWeightedSum, Rerank::kNone);
  fused("fused", "both, fused by ranks and scores", Fusion::kRanksAndScores, Rerank::kNone);
  out.push_back(stage("default", "as search answers: fused by ranks and scores, re-ranked by neighbours", [](IndexQuery&) {}));
  return out;
}

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

EstimatedMean Estimate(const retrieval::Interval& interval) { return {interval.mean, interval.low, interval.high}; }

/// Fills stages and per_topic.
void Measure(const Context& ctx, const std::vector<AskedTopic>& topics, const std::vector<std::vector<float>>& vectors, const std::vector<Stage>& stages, std::size_t default_stage, const Progress& progress, RetrievalReport& report) {
  for (const auto& topic : topics) report.per_topic.push_back({topic.id, topic.text, {}, {}});
  std::vector<std::vector<double>> ndcg;
  for (std::size_t s = 0; s < stages.size(); ++s) {
    std::vector<double> mrr, recall_top, recall_deep, micros;
    auto& gains = ndcg.emplace_back();
    for (std::size_t t = 0; t < topics.size(); ++t) {
      ctx.Check();
      const auto& topic = topics[t];
      const auto begun = Steady::now();
      auto top = stages[s].search(topic, vectors[t], kTop);
      micros.push_back(std::chrono::duration<double, std::micro>(Steady::now() - begun).count());
      gains.push_back(retrieval::NdcgAt(top, topic.judged, kTop));
      mrr.push_back(retrieval::ReciprocalRankAt(top, topic.judged, kTop));
      recall_top.push_back(retrieval::RecallAt(top, topic.judged, kTop));
      recall_deep.push_back(retrieval::RecallAt(stages[s].search(topic, vectors[t], kDeep), topic.judged, kDeep));
      report.per_topic[t].ndcg_10.push_back(gains.back());
      if (s == default_stage) report.per_topic[t].found = std::move(top);
    }
    const auto estimate = [](const std::vector<double>& values) { return Estimate(retrieval::BootstrapMean(values, kSeed)); };
    report.stages.push_back({stages[s].name, stages[s].what, estimate(gains), estimate(mrr), estimate(recall_top), estimate(recall_deep), {}, Median(std::move(micros))});
    progress("asked " + std::to_string(topics.size()) + " topics: " + stages[s].name + "\n");
  }
  for (std::size_t s = 0; s < stages.size(); ++s) report.stages[s].default_gain = Estimate(retrieval::BootstrapDifference(ndcg[s], ndcg[default_stage], kSeed));
}

}  // namespace

RetrievalReport EvaluateRetrieval(Services& on, const Context& ctx, const EvalRetrievalRequest& request, const Progress& progress) {
  CheckRequest(request);
  auto topics = TopicsOf(request);
  RetrievalReport report;
  const auto all = topics.size();
  std::erase_if(topics, [](const auto& topic) { return !retrieval::HasRelevant(topic.judged); });
  report.topics = static_cast<std::int64_t>(topics.size());
  report.topics_without_judgement = static_cast<std::int64_t>(all - topics.size());
  if (topics.empty()) throw Error(Code::kFailedPrecondition, "none of the " + std::to_string(all) + " topics has a relevant document; are --topics and --qrels of the same collection?");
  const auto tools = on.generations.LiveTools();
  if (tools.embedder) report.embedder = tools.embedder->name();

  std::set<std::string, std::less<>> ids;
  std::optional<Collection> collection;
  AskIndex ask;
  std::map<std::string, Context> users;
  const auto as = [&](const AskedTopic& topic) -> const Context& {
    const auto& user = request.user.empty() ? topic.user : request.user;
    if (const auto known = users.find(user); known != users.end()) return known->second;
    return users.emplace(user, user.empty() ? ctx : ctx.As(*on.accounts->PrincipalOf(user))).first->second;
  };
  if (request.documents.empty()) {
    ids = NameAsHome(on, ctx, topics);
    const auto live = on.generations.live();
    report.documents = static_cast<std::int64_t>(ids.size());
    report.passages = static_cast<std::int64_t>(live.index->chunks());
    ask = [&as, index = live.index](const AskedTopic& topic, const IndexQuery& query) { return index->Search(as(topic), query); };
  } else {
    collection.emplace(IndexCollection(ctx, request.documents, tools, progress));
    ids = collection->ids;
    report.documents = collection->documents;
    report.passages = collection->passages;
    ask = [&](const AskedTopic&, const IndexQuery& query) { return collection->shard.Search(ctx.principal(), query); };
  }
  for (const auto& topic : topics)
    for (const auto& [document, grade] : topic.judged) report.judged_but_missing += grade > 0 && !ids.contains(document);
  if (report.judged_but_missing) progress(std::to_string(report.judged_but_missing) + " judgements name documents that are not there; they count as not found\n");

  std::vector<std::vector<float>> vectors(topics.size());
  if (tools.embedder) {
    std::vector<std::string> texts;
    for (const auto& topic : topics) texts.push_back(topic.text);
    vectors = tools.cache->Embed(ctx, *tools.embedder, texts, models::EmbedKind::kQuery, {});
  }
  auto stages = StagesOf(ask, tools.embedder != nullptr);
  const auto default_stage = stages.size() - 1;
  if (request.documents.empty())
    stages.push_back({"answers", "what the assistant reads: the same, re-ranked by sentences; ten passages", [&](const AskedTopic& topic, const std::vector<float>&, std::size_t) {
                        std::vector<std::string> out;
                        for (const auto& passage : on.retriever->Retrieve(as(topic), topic.text, {.k = kTop, .documents = {}, .with_evidence = true}).passages)
                          if (std::find(out.begin(), out.end(), passage.document) == out.end()) out.push_back(passage.document);
                        return out;
                      }});
  Measure(ctx, topics, vectors, stages, default_stage, progress, report);
  return report;
}

std::string ReportInWords(const RetrievalReport& report) {
  std::string out = std::to_string(report.topics) + " topics, " + std::to_string(report.documents) + " documents in " + std::to_string(report.passages) + " passages, " +
                    (report.embedder.empty() ? "words alone (no embedder)" : "embedder " + report.embedder) + "\nmean and 95 % interval over the topics\n\n";
  char line[256];
  std::snprintf(line, sizeof line, "%-16s %-22s %-22s %-22s %-22s %9s\n", "", "nDCG@10", "MRR@10", "recall@10", "recall@100", "p50");
  out += line;
  const auto cell = [](const EstimatedMean& value) {
    char text[64];
    std::snprintf(text, sizeof text, "%.3f [%.3f, %.3f]", value.mean, value.low, value.high);
    return std::string(text);
  };
  for (const auto& stage : report.stages) {
    std::snprintf(line, sizeof line, "%-16s %-22s %-22s %-22s %-22s %6.0f us\n", stage.name.c_str(), cell(stage.ndcg_10).c_str(), cell(stage.mrr_10).c_str(), cell(stage.recall_10).c_str(), cell(stage.recall_100).c_str(), stage.median_us);
    out += line;
  }
  out += "\nnDCG@10 of the default beyond\n";
  for (const auto& stage : report.stages) {
    if (stage.name == "default") continue;
    const auto& gain = stage.default_gain;
    std::snprintf(line, sizeof line, "%-16s %+.3f [%+.3f, %+.3f]%s\n", stage.name.c_str(), gain.mean, gain.low, gain.high, gain.low > 0 ? "  better" : gain.high < 0 ? "  WORSE" : "");
    out += line;
  }
  out += "\n";
  for (const auto& stage : report.stages) {
    std::snprintf(line, sizeof line, "%-16s %s\n", stage.name.c_str(), stage.what.c_str());
    out += line;
  }
  return out;
}

}  // namespace tenfold::app
