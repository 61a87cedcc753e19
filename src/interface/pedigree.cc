#include "interface/pedigree.h"

#include <cstdio>

#include "monitoring/answer_log.h"
#include "monitoring/trace_store.h"
#include "retrieval/ingest.h"

namespace tenfold::interface {
namespace {

using namespace std::chrono_literals;

std::string View(const Json& value) { return value.is_string() ? std::string(AsView(value.get_string())) : ToText(value); }

std::string Number(double value, const char* format) {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

bool MaySee(const Principal& reader, const std::string& user) { return reader.role >= Role::kAgent || reader.user == user; }

}  // namespace

Json PedigreeOf(const PedigreeParts& parts, const Context& ctx, std::string_view id) {
  const auto run = parts.store.Read(ctx, [&](data::ReadTx& tx) { return tx.Get<workflows::Run>(id); });
  JsonObject out;
  parts.store.Read(ctx, [&](data::ReadTx& tx) {
    const auto answer = tx.Get<monitoring::Answer>(id);
    if (!answer || !MaySee(ctx.principal(), answer->user)) throw Error(Code::kNotFound, "there is no answer '" + std::string(id) + "'");
    out = {{"id", answer->id}, {"question", answer->question}, {"answer", answer->text}, {"user", answer->user}, {"asked_at", FormatTime(FromMicros(answer->asked_us))}, {"state", run ? ToJson(run->state) : Json("erased")},
           {"route", answer->route}, {"refused", answer->refused}, {"grounding", answer->grounding}, {"commit", answer->commit}};
    JsonObject version{{"root", answer->version}};
    if (const auto known = tx.Get<registry::Version>(answer->version)) {
      JsonObject hashes;
      for (const auto& [kind, hash] : known->parts) {
        const auto part = tx.Get<registry::VersionPart>(hash);
        hashes[kind] = JsonObject{{"hash", hash}, {"body", part ? part->body : Json(nullptr)}};
      }
      version["parts"] = std::move(hashes);
    }
    version["alias"] = nullptr;
    for (const auto& move : tx.Find<registry::AliasMove>())
      if (move.version == answer->version) version["alias"] = move.alias;
    out["version"] = std::move(version);
    JsonArray sources;
    for (const auto& source : answer->sources.get_array()) {
      auto row = source.get_object();
      const auto document_id = View(row.at("document").get_object().at("id"));
      const auto document = tx.Get<retrieval::Document>(document_id);
      // The passage was the reader's to see when it was cited; what has since been taken away is not shown again.
      if (!document || !ctx.principal().MayRead(document->label)) {
        row["text"] = nullptr;
        row["quote"] = nullptr;
      }
      const auto edge = tx.Get<retrieval::LineageEdge>("parsed/" + document_id);
      row["run"] = edge ? Json(edge->run) : Json(nullptr);
      const auto origin = tx.Get<retrieval::Source>(View(row.at("source")));
      row["source_url"] = origin ? Json(origin->url) : Json(nullptr);
      sources.push_back(std::move(row));
    }
    out["sources"] = std::move(sources);
    out["tools"] = answer->tools;
    out["verdicts"] = answer->verdicts;
    out["sentences"] = answer->sentences;
    out["usage"] = JsonObject{{"model", answer->model}, {"prompt_tokens", answer->prompt_tokens}, {"cached_tokens", answer->cached_tokens}, {"completion_tokens", answer->completion_tokens}, {"cost_micro_usd", answer->cost_micro_usd}, {"ttft_us", answer->ttft_us}, {"total_us", answer->total_us}};
    out["spans"] = monitoring::SpansOf(tx, id);
    const auto feedback = tx.Get<monitoring::Feedback>(id);
    out["feedback"] = feedback ? Json(JsonObject{{"rating", feedback->rating}, {"comment", feedback->comment}}) : Json(nullptr);
  });
  JsonArray steps;
  for (const auto& step : parts.runs.Steps(ctx, id)) steps.push_back(JsonObject{{"name", step.name}, {"started_us", step.started_us}, {"finished_us", step.finished_us}, {"attempts", step.attempts}});
  out["steps"] = std::move(steps);
  return out;
}

std::string PedigreeInWords(const Json& pedigree) {
  const auto& p = pedigree.get_object();
  std::string out = "question   " + View(p.at("question")) + "\nanswer     " + View(p.at("answer")) + "\nasked      " + View(p.at("asked_at")) + " by " + View(p.at("user")) + "\nroute      " + View(p.at("route")) +
                    (p.at("refused").get_bool() ? ", refused" : "") + "\n";
  const auto& version = p.at("version").get_object();
  out += "version    " + View(version.at("root")).substr(0, 12) + (version.at("alias").is_null() ? "" : " (" + View(version.at("alias")) + ")") + "\n";
  const auto& usage = p.at("usage").get_object();
  const auto cost = usage.at("cost_micro_usd").to_number<double>() / 1e6;
  out += "model      " + (View(usage.at("model")).empty() ? std::string("none") : View(usage.at("model"))) + ", " + View(usage.at("prompt_tokens")) + " tokens in (" + View(usage.at("cached_tokens")) + " kept), " + View(usage.at("completion_tokens")) + " out" +
         (cost > 0 ? ", $" + Number(cost, "%.6f") : std::string()) + "; first words after " +
         Number(usage.at("ttft_us").to_number<double>() / 1000, "%.0f") + " ms, all after " + Number(usage.at("total_us").to_number<double>() / 1000, "%.0f") + " ms\n";
  out += "grounding  " + Number(p.at("grounding").to_number<double>(), "%.2f") + ", as of commit " + View(p.at("commit")) + "\n";
  if (!p.at("feedback").is_null()) out += "feedback   " + View(p.at("feedback").get_object().at("rating")) + " " + View(p.at("feedback").get_object().at("comment")) + "\n";
  for (const auto& item : p.at("sources").get_array()) {
    const auto& source = item.get_object();
    const auto& document = source.at("document").get_object();
    const auto& span = source.at("span").get_array();
    out += "source [" + View(source.at("number")) + "] " + View(document.at("title")) + " (" + View(document.at("uri")) + ", version " + View(document.at("version")) + ", bytes " + View(span[0]) + "-" + View(span[1]) + "), cosine " +
           Number(source.at("cosine").to_number<double>(), "%.2f") + ", bm25 " + Number(source.at("bm25").to_number<double>(), "%.1f") + ", read by " + View(source.at("run")) + " from " + View(source.at("source_url")) + "\n";
  }
  for (const auto& item : p.at("tools").get_array()) {
    const auto& tool = item.get_object();
    out += "tool       " + View(tool.at("name")) + " " + ToText(tool.at("input")) + (tool.contains("approved") ? (tool.at("approved").get_bool() ? ", confirmed" : ", declined") : "") + "\n";
  }
  for (const auto& item : p.at("verdicts").get_array()) {
    const auto& verdict = item.get_object();
    out += "verdict    " + View(verdict.at("name")) + ": " + View(verdict.at("verdict")) + (verdict.contains("score") ? " " + Number(verdict.at("score").to_number<double>(), "%.2f") : "") +
           (verdict.contains("detail") && !verdict.at("detail").is_null() ? " (" + View(verdict.at("detail")) + ")" : "") + "\n";
  }
  for (const auto& item : p.at("spans").get_array()) {
    const auto& span = item.get_object();
    out += "span       " + Number(span.at("duration_us").to_number<double>() / 1000, "%9.2f") + " ms  " + View(span.at("name")) + "\n";
  }
  return out;
}

std::vector<Endpoint> MakePedigreeEndpoints(std::shared_ptr<const PedigreeParts> parts) {
  std::vector<Endpoint> rows;
  rows.push_back({"GET", "/api/answers", Access::kAgent, 5s, "The newest answers, for staff.", [parts](const Context& ctx, const HttpRequest& request) {
                    const auto asked = request.query.find("limit");
                    const auto limit = asked == request.query.end() ? 50L : std::strtol(asked->second.c_str(), nullptr, 10);
                    if (limit < 1 || limit > 500) throw Error(Code::kInvalidArgument, "limit: must be 1 to 500", "limit");
                    JsonArray answers;
                    parts->store.Read(ctx, [&](data::ReadTx& tx) {
                      for (const auto& answer : tx.Find<monitoring::Answer>({{}, "asked_us", true, static_cast<std::size_t>(limit)})) {
                        const auto feedback = tx.Get<monitoring::Feedback>(answer.id);
                        answers.push_back(JsonObject{{"id", answer.id}, {"question", answer.question}, {"user", answer.user}, {"asked_at", FormatTime(FromMicros(answer.asked_us))}, {"state", "finished"}, {"route", answer.route},
                                                     {"grounding", answer.grounding}, {"rating", feedback ? feedback->rating : 0}, {"total_us", answer.total_us}, {"refused", answer.refused}});
                      }
                    });
                    HttpResponse response;
                    response.body = ToText(JsonObject{{"answers", std::move(answers)}});
                    return response;
                  }});
  rows.push_back({"GET", "/api/answers/{id}", Access::kUser, 5s, "How an answer came about.", [parts](const Context& ctx, const HttpRequest& request) {
                    HttpResponse response;
                    response.body = ToText(PedigreeOf(*parts, ctx, request.path_params.at("id")));
                    return response;
                  }});
  rows.push_back({"GET", "/api/usage", Access::kAdmin, 5s, "Answers, tokens and seconds per day, model and user.", [parts](const Context& ctx, const HttpRequest&) {
                    JsonArray usage;
                    parts->store.Read(ctx, [&](data::ReadTx& tx) {
                      for (const auto& row : tx.Find<monitoring::Usage>({{}, "day", true, 1000})) usage.push_back(ToJson(row));
                    });
                    HttpResponse response;
                    response.body = ToText(JsonObject{{"usage", std::move(usage)}});
                    return response;
                  }});
  return rows;
}

}  // namespace tenfold::interface
