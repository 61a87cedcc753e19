#include "app/evaluate.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "app/yaml.h"
#include "monitoring/answer_log.h"

namespace tenfold::app {
namespace {

using namespace std::chrono_literals;

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

struct Given {
  std::string text;
  std::set<std::string> cited, tools;
  bool refused = false, failed = false;
};

Given AskOne(Services& on, const Context& ctx, const EvalQuestion& question, EvalResult& result) {
  Given given;
  agents::Question asked{question.question, "", question.history, std::string(registry::kLive)};
  const auto run = on.assistant->Ask(ctx, asked);
  bool declined = false;
  for (std::int64_t seen = 0;;) {
    const auto batch = on.runs->Events(ctx, run, seen, 1000ms);
    for (const auto& event : batch.events) {
      seen = event.number;
      const auto& data = event.data.get_object();
      if (event.type == "token") given.text += AsView(data.at("text").get_string());
      if (event.type == "source") given.cited.insert(std::string(AsView(data.at("document").get_object().at("uri").get_string())));
      if (event.type == "tool_call") given.tools.insert(std::string(AsView(data.at("name").get_string())));
      if (event.type == "finished") {
        given.refused = data.at("refused").get_bool();
        result.total_us = data.at("total_us").to_number<std::int64_t>();
        result.ttft_us = data.at("ttft_us").to_number<std::int64_t>();
      }
    }
    if (!batch.events.empty()) continue;
    if (batch.state == workflows::RunState::kWaiting && !declined) {
      declined = true;
      on.assistant->Approve(ctx, run, false);  // an evaluation opens no tickets
      continue;
    }
    if (batch.state == workflows::RunState::kFailed || batch.state == workflows::RunState::kCancelled) given.failed = true;
    if (batch.state != workflows::RunState::kQueued && batch.state != workflows::RunState::kRunning && batch.state != workflows::RunState::kWaiting) break;
  }
  const auto answer = on.store->Read(ctx, [&](data::ReadTx& tx) { return tx.Get<monitoring::Answer>(run); });
  if (answer)
    for (const auto& verdict : answer->verdicts.get_array())
      if (AsView(verdict.get_object().at("name").get_string()) == "evidence") result.support = verdict.get_object().at("score").to_number<double>();
  return given;
}

bool Contains(const std::string& text, const std::vector<std::string>& alternatives) {
  return std::any_of(alternatives.begin(), alternatives.end(), [&](const auto& one) { return text.find(Lower(one)) != std::string::npos; });
}

std::int64_t Percentile(std::vector<std::int64_t> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())))] / 1000;
}

double Share(std::size_t part, std::size_t all) { return all ? static_cast<double>(part) / static_cast<double>(all) : 1; }

std::vector<EvalQuestion> LoadQuestions(const std::filesystem::path& file) {
  const auto yaml = ReadYaml(file);
  try {
    const auto& list = yaml.value.is_object() && yaml.value.get_object().contains("questions") ? yaml.value.get_object().at("questions") : yaml.value;
    return FromJson<std::vector<EvalQuestion>>(list);
  } catch (const Error& e) {
    RethrowWithLine(e, file, yaml);
  }
}

}  // namespace

std::vector<retrieval::LabelledQuery> LabelledQuestions(const std::filesystem::path& file) {
  std::vector<retrieval::LabelledQuery> out;
  for (auto& question : LoadQuestions(file)) {
    if (question.cite.empty() && question.cite_all.empty()) continue;
    retrieval::LabelledQuery query{std::move(question.question), std::move(question.cite), std::move(question.id), std::move(question.user)};
    for (auto& uri : question.cite_all) query.relevant.push_back(std::move(uri));
    out.push_back(std::move(query));
  }
  return out;
}

EvalReport Evaluate(Services& on, const Context& ctx, const std::filesystem::path& file, const std::function<void(const EvalResult&)>& on_result) {
  const auto questions = LoadQuestions(file);
  EvalReport report;
  std::size_t with_facts = 0, facts = 0, with_source = 0, cited = 0, to_refuse = 0, refused = 0, passed = 0;
  std::vector<std::int64_t> totals, firsts;
  for (const auto& question : questions) {
    EvalResult result{question.id, question.kind, question.question, "", true, "", {}, false, 0, 0, 0};
    const auto as = ctx.As(*on.accounts->PrincipalOf(question.user));
    const auto given = AskOne(on, as, question, result);
    result.answer = given.text;
    result.refused = given.refused;
    result.cited.assign(given.cited.begin(), given.cited.end());
    const auto text = Lower(given.text);
    const auto fail = [&](const std::string& why) {
      if (result.passed) result.failure = why;
      result.passed = false;
    };
    if (given.failed) fail("the run failed");
    for (const auto& forbidden : question.must_not)
      if (text.find(Lower(forbidden)) != std::string::npos) {
        fail("holds '" + forbidden + "'");
        ++report.summary.leaks;
        break;
      }
    if (!question.tool.empty() && !given.tools.contains(question.tool)) fail("did not call " + question.tool);
    if (question.refuse) {
      ++to_refuse;
      if (given.refused) ++refused;
      else fail("did not refuse");
    }
    if (!question.must.empty()) {
      ++with_facts;
      bool all = true;
      for (const auto& alternatives : question.must)
        if (!Contains(text, alternatives)) {
          all = false;
          fail("lacks '" + (alternatives.empty() ? "" : alternatives.front()) + "'");
        }
      facts += all;
    }
    if (!question.cite.empty() || !question.cite_all.empty()) {
      ++with_source;
      const bool any = question.cite.empty() || std::any_of(question.cite.begin(), question.cite.end(), [&](const auto& uri) { return given.cited.contains(uri); });
      const bool all = std::all_of(question.cite_all.begin(), question.cite_all.end(), [&](const auto& uri) { return given.cited.contains(uri); });
      if (any && all) ++cited;
      else fail("did not cite " + (question.cite.empty() ? question.cite_all.front() : question.cite.front()));
    }
    passed += result.passed;
    totals.push_back(result.total_us);
    firsts.push_back(result.ttft_us);
    on_result(result);
    report.results.push_back(std::move(result));
  }
  auto& summary = report.summary;
  summary.facts = Share(facts, with_facts);
  summary.cited = Share(cited, with_source);
  summary.refused = Share(refused, to_refuse);
  summary.passed = Share(passed, questions.size());
  summary.questions = static_cast<std::int64_t>(questions.size());
  summary.p50_ms = Percentile(totals, 0.5);
  summary.p95_ms = Percentile(totals, 0.95);
  summary.ttft_p50_ms = Percentile(firsts, 0.5);
  return report;
}

std::string ReportInWords(const EvalReport& report) {
  std::map<std::string, std::pair<int, int>> by_kind;
  for (const auto& result : report.results) {
    auto& [right, all] = by_kind[result.kind];
    right += result.passed;
    ++all;
  }
  std::string out;
  char line[160];
  for (const auto& [kind, count] : by_kind) {
    std::snprintf(line, sizeof line, "%-16s %3d of %3d  %3.0f %%\n", kind.c_str(), count.first, count.second, 100.0 * count.first / count.second);
    out += line;
  }
  const auto& s = report.summary;
  std::snprintf(line, sizeof line, "\nfacts %.0f %%, source cited %.0f %%, unanswerable refused %.0f %%, leaks %ld, passed %.0f %% of %ld\n", 100 * s.facts, 100 * s.cited, 100 * s.refused, static_cast<long>(s.leaks), 100 * s.passed,
                static_cast<long>(s.questions));
  out += line;
  std::snprintf(line, sizeof line, "answer p50 %ld ms, p95 %ld ms; first words p50 %ld ms\n", static_cast<long>(s.p50_ms), static_cast<long>(s.p95_ms), static_cast<long>(s.ttft_p50_ms));
  return out + line;
}

}  // namespace tenfold::app
