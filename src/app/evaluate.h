#pragma once
/// \file `tenfold eval`: asks every question of a file as its user and scores the answers without a judge: facts, sources, refusals, tools, leaks.
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "app/services.h"

namespace tenfold::app {

/// One question and what a right answer must be.
struct EvalQuestion {
  std::string id;
  std::string kind;
  std::string user;
  std::string question;
  std::vector<models::ChatMessage> history;
  std::vector<std::vector<std::string>> must;  ///< of each list, one must occur (case does not matter)
  std::vector<std::string> must_not;           ///< none may occur
  std::vector<std::string> cite;               ///< one of these URIs must be cited
  std::vector<std::string> cite_all;           ///< all of these must be cited
  bool refuse = false;                         ///< it must say that it does not know
  std::string tool;                            ///< this tool must have been called
};
TENFOLD_DESCRIBE(EvalQuestion, (id, Required{}), (kind, Required{}), (user, Required{}), (question, Required{}), (history), (must), (must_not), (cite), (cite_all), (refuse), (tool))

struct EvalResult {
  std::string id;
  std::string kind;
  std::string question;
  std::string answer;
  bool passed = false;
  std::string failure;  ///< the first thing that was wrong
  std::vector<std::string> cited;
  bool refused = false;
  double support = 0;
  std::int64_t total_us = 0;
  std::int64_t ttft_us = 0;
};
TENFOLD_DESCRIBE(EvalResult, (id), (kind), (question), (answer), (passed), (failure), (cited), (refused), (support), (total_us), (ttft_us))

struct EvalSummary {
  double facts = 0;      ///< share of questions with facts whose facts were all there
  double cited = 0;      ///< share of questions with a source whose source was cited
  double refused = 0;    ///< share of unanswerable questions that were refused
  std::int64_t leaks = 0;  ///< answers that held something they must not
  double passed = 0;
  std::int64_t questions = 0;
  std::int64_t p50_ms = 0, p95_ms = 0, ttft_p50_ms = 0;
};
TENFOLD_DESCRIBE(EvalSummary, (facts), (cited), (refused), (leaks), (passed), (questions), (p50_ms), (p95_ms), (ttft_p50_ms))

struct EvalReport {
  EvalSummary summary;
  std::vector<EvalResult> results;
};
TENFOLD_DESCRIBE(EvalReport, (summary), (results))

/// Errors: kNotFound, kInvalidArgument with file and line.
EvalReport Evaluate(Services& services, const Context& ctx, const std::filesystem::path& questions, const std::function<void(const EvalResult&)>& on_result);
/// The questions of such a file whose documents it names, for what is judged without an answer. Errors: as above.
std::vector<retrieval::LabelledQuery> LabelledQuestions(const std::filesystem::path& questions);
/// A table by kind, the failures, and the totals.
std::string ReportInWords(const EvalReport& report);

}  // namespace tenfold::app
