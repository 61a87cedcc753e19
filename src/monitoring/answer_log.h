#pragma once
/// \file What was answered, how well and at what cost: one row per answer, feedback bound to it, sums per model and user.
#include <string>
#include <vector>

#include "base/telemetry.h"
#include "data/store.h"

namespace tenfold::monitoring {

/// An answer with all that shaped it. Written in the commit that ends its run.
struct Answer {
  std::string id;  ///< the run that made it
  std::string user;
  std::string chat;
  std::string question;  ///< with personal data masked
  std::string text;
  std::string version;   ///< root of what the registry knows
  std::string route;     ///< knowledge, get_order, open_ticket, small_talk, refused_input
  bool refused = false;
  double grounding = 1;  ///< share of factual sentences that the cited passages support, 0..1
  Json sources;          ///< passages the answer was made from, with scores, spans and document versions
  Json tools;            ///< calls with inputs, outputs and approvals
  Json verdicts;         ///< what the guards found
  Json sentences;        ///< each sentence and what supports it
  std::string model;
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cost_micro_usd = 0;  ///< by the version's price list, in millionths of a US dollar
  std::int64_t ttft_us = 0;   ///< from the question to the first words shown
  std::int64_t total_us = 0;
  std::int64_t asked_us = 0;
  std::int64_t commit = 0;    ///< newest commit the answer could have seen
};
TENFOLD_DESCRIBE(Answer, (id), (user), (chat), (question), (text), (version), (route), (refused), (grounding), (sources), (tools), (verdicts), (sentences), (model), (prompt_tokens), (cached_tokens),
                 (completion_tokens), (cost_micro_usd), (ttft_us), (total_us), (asked_us), (commit))
TENFOLD_TABLE(Answer, "answers", id, {"user", "asked_us"})

/// Thumbs up (1), down (-1); taken back (0).
struct Feedback {
  std::string id;  ///< the answer
  std::string user;
  std::int64_t rating = 0;
  std::string comment;
  std::int64_t at_us = 0;
};
TENFOLD_DESCRIBE(Feedback, (id), (user), (rating), (comment), (at_us))
TENFOLD_TABLE(Feedback, "feedback", id, {"at_us"}, {{"answers", "id"}})

/// Sums per model, user and day.
struct Usage {
  std::string id;  ///< day/model/user
  std::string day; ///< UTC, 2026-11-24
  std::string model;
  std::string user;
  std::int64_t answers = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t total_us = 0;
  std::int64_t cost_micro_usd = 0;
};
TENFOLD_DESCRIBE(Usage, (id), (day), (model), (user), (answers), (prompt_tokens), (cached_tokens), (completion_tokens), (total_us), (cost_micro_usd))
TENFOLD_TABLE(Usage, "usage", id, {"day", "user"})

std::vector<data::Table> AnswerTables();
/// Puts the answer and adds it to the sums of its day.
void PutAnswer(data::WriteTx& tx, const Answer& answer);
/// Counts it in the server's metrics; once per answer, outside any transaction.
void CountAnswer(Metrics& metrics, const Answer& answer);
/// Errors: kNotFound if there is no such answer or it is another user's; kInvalidArgument.
void PutFeedback(data::Store& store, const Context& ctx, Feedback feedback);

}  // namespace tenfold::monitoring
