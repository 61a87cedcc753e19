#pragma once
/// \file `tenfold eval retrieval`: how good search is on judged topics, stage by stage, and how sure one may be of it.
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "app/services.h"
#include "retrieval/ranking_metrics.h"

namespace tenfold::app {

struct EvalRetrievalRequest {
  std::filesystem::path topics;     ///< as retrieval::ParseTopics
  std::filesystem::path qrels;      ///< as retrieval::ParseQrels
  std::filesystem::path documents;  ///< as retrieval::ParseCollection; empty: the documents of the home, judged by URI or id
  std::filesystem::path questions;  ///< instead of topics and qrels: a questions file as examples/shop/questions.yaml, whose cited URIs are the relevant ones
  std::string user;                 ///< who asks in the home; empty: the questions' users, else who sees everything
};

struct EstimatedMean {
  double mean = 0, low = 0, high = 0;  ///< 95 % bootstrap interval over topics
};
TENFOLD_DESCRIBE(EstimatedMean, (mean), (low), (high))

/// One way to search, measured.
struct RetrievalStage {
  std::string name;
  std::string what;
  EstimatedMean ndcg_10, mrr_10, recall_10, recall_100;
  EstimatedMean default_gain;  ///< nDCG@10 of the default minus that of this one, paired by topic
  double median_us = 0;        ///< of a search for ten documents, the query's embedding aside
};
TENFOLD_DESCRIBE(RetrievalStage, (name), (what), (ndcg_10), (mrr_10), (recall_10), (recall_100), (default_gain), (median_us))

struct RetrievalTopic {
  std::string id;
  std::string text;
  std::vector<double> ndcg_10;    ///< in the order of the stages
  std::vector<std::string> found;  ///< the first ten documents of the default
};
TENFOLD_DESCRIBE(RetrievalTopic, (id), (text), (ndcg_10), (found))

struct RetrievalReport {
  std::int64_t documents = 0;  ///< that can be found; of a home by who sees everything
  std::int64_t passages = 0;
  std::int64_t topics = 0;     ///< with a relevant document; the others are left out
  std::int64_t topics_without_judgement = 0;
  std::int64_t judged_but_missing = 0;  ///< relevant documents that are not there; they count as not found
  std::string embedder;        ///< empty: words alone
  std::vector<RetrievalStage> stages;  ///< the last but, in a home, one is the default
  std::vector<RetrievalTopic> per_topic;
};
TENFOLD_DESCRIBE(RetrievalReport, (documents), (passages), (topics), (topics_without_judgement), (judged_but_missing), (embedder), (stages), (per_topic))

/// A collection is cut and embedded as the live generation of the home is, indexed in memory and forgotten; its vectors are kept by Services::embeddings. Rankings are of documents, each
/// where its best passage stands. Measures at 10 are of a search for ten documents, as somebody who asks sees it, recall@100 of one for a hundred.
/// Errors: kInvalidArgument (options that do not go together; file and line), kNotFound, kFailedPrecondition (no topic has a relevant document), kCancelled.
RetrievalReport EvaluateRetrieval(Services& services, const Context& ctx, const EvalRetrievalRequest& request, const std::function<void(std::string_view)>& progress);
/// A table for people.
std::string ReportInWords(const RetrievalReport& report);

}  // namespace tenfold::app
