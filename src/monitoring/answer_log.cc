#include "monitoring/answer_log.h"

#include "base/clock.h"

namespace tenfold::monitoring {

std::vector<data::Table> AnswerTables() { return {data::TableOf<Answer>(), data::TableOf<Feedback>(), data::TableOf<Usage>()}; }

void PutAnswer(data::WriteTx& tx, const Answer& answer) {
  tx.Put(answer);
  const auto day = FormatTime(FromMicros(answer.asked_us)).substr(0, 10);
  const auto model = answer.model.empty() ? std::string("none") : answer.model;
  const auto id = day + "/" + model + "/" + answer.user;
  auto usage = tx.Get<Usage>(id).value_or(Usage{id, day, model, answer.user, 0, 0, 0, 0, 0, 0});
  ++usage.answers;
  usage.prompt_tokens += answer.prompt_tokens;
  usage.cached_tokens += answer.cached_tokens;
  usage.completion_tokens += answer.completion_tokens;
  usage.total_us += answer.total_us;
  usage.cost_micro_usd += answer.cost_micro_usd;
  tx.Put(usage);
}

void CountAnswer(Metrics& metrics, const Answer& answer) {
  const Labels labels{{"model", answer.model.empty() ? "none" : answer.model}, {"route", answer.route}};
  metrics.GetCounter("tenfold_answers_total", "Answers given.", labels).Add();
  metrics.GetHistogram("tenfold_answer_seconds", "From question to complete answer.", labels).Observe(static_cast<double>(answer.total_us) / 1e6);
  metrics.GetHistogram("tenfold_answer_ttft_seconds", "From question to the first words shown.", labels).Observe(static_cast<double>(answer.ttft_us) / 1e6);
  for (const auto& [kind, count] : {std::pair{"prompt", answer.prompt_tokens}, {"cached", answer.cached_tokens}, {"completion", answer.completion_tokens}})
    metrics.GetCounter("tenfold_tokens_total", "Tokens by model and kind; cached ones are part of prompt.", {{"model", labels[0].second}, {"kind", kind}}).Add(static_cast<std::uint64_t>(count));
  metrics.GetCounter("tenfold_cost_micro_usd_total", "Cost by model, in millionths of a US dollar, by the price list of the version that answered.", {{"model", labels[0].second}}).Add(static_cast<std::uint64_t>(answer.cost_micro_usd));
  if (answer.refused) metrics.GetCounter("tenfold_refusals_total", "Questions answered with 'I do not know'.").Add();
  metrics.GetHistogram("tenfold_answer_grounding", "Share of an answer's sentences that the cited text supports.").Observe(answer.grounding);
}

void PutFeedback(data::Store& store, const Context& ctx, Feedback feedback) {
  if (feedback.rating < -1 || feedback.rating > 1) throw Error(Code::kInvalidArgument, "rating: must be 1, 0 or -1", "rating");
  feedback.user = ctx.principal().user;
  feedback.at_us = ToMicros(ctx.clock().Now());
  store.Write(ctx, [&](data::WriteTx& tx) {
    const auto answer = tx.Get<Answer>(feedback.id);
    if (!answer || (answer->user != feedback.user && ctx.principal().role != Role::kAdmin)) throw Error(Code::kNotFound, "there is no answer '" + feedback.id + "'", "answer");
    if (feedback.rating == 0) tx.Delete<Feedback>(feedback.id);
    else tx.Put(feedback);
  });
}

}  // namespace tenfold::monitoring
