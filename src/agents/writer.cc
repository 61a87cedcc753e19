#include "agents/writer.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "retrieval/chunker.h"
#include "retrieval/grounding.h"

namespace tenfold::agents {
namespace {

std::string Plain(std::string_view sentence) {
  // Markdown of the source is not the answer's: list dashes, quote marks and emphasis go.
  while (!sentence.empty() && (sentence.front() == '-' || sentence.front() == '*' || sentence.front() == '>' || sentence.front() == ' ')) sentence.remove_prefix(1);
  std::string out;
  for (std::size_t i = 0; i < sentence.size(); ++i) {
    if (sentence[i] == '*' && i + 1 < sentence.size() && sentence[i + 1] == '*') ++i;
    else out += sentence[i] == '\n' ? ' ' : sentence[i];
  }
  return out;
}

bool SaysUnknown(std::string_view text) {
  std::string lower(text.substr(0, 200));
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* phrase : {"i don't know", "i do not know", "not mentioned", "does not mention", "do not mention", "don't have information", "no information", "not provided", "doesn't say", "does not say", "passages do not", "i'm sorry, but"})
    if (lower.find(phrase) != std::string::npos) return true;
  return false;
}

}  // namespace

std::size_t Writer::PassageOf(const WriterPart& part, std::int64_t index) const {
  const auto& chunk = part.found.passages[static_cast<std::size_t>(index)].chunk;
  return static_cast<std::size_t>(std::find_if(passages_.begin(), passages_.end(), [&](const Passage& passage) { return passage.found->chunk == chunk; }) - passages_.begin());
}

models::GenerateRequest Writer::MakeRequest(const WriterPart& part) {
  // The sentences that fit the question best, in the order of their passages, under their titles: a third of the tokens of whole passages.
  std::map<std::size_t, std::vector<const retrieval::Evidence*>> chosen;
  std::vector<std::size_t> order;
  for (const auto& evidence : std::span(part.found.evidence).first(std::min<std::size_t>(in_.config.retrieval.sentences, part.found.evidence.size()))) {
    const auto p = static_cast<std::size_t>(evidence.passage);
    if (!chosen.contains(p)) order.push_back(p);
    chosen[p].push_back(&evidence);
  }
  models::GenerateRequest request;
  std::string passages;
  for (const auto p : order) {
    const auto& passage = part.found.passages[p];
    auto& sentences = chosen[p];
    std::sort(sentences.begin(), sentences.end(), [](const auto* a, const auto* b) { return a->begin < b->begin; });
    passages += "## " + passage.title + (passage.heading.empty() || passage.heading == passage.title ? "" : " - " + passage.heading) + "\n";
    for (const auto* sentence : sentences) {
      const auto text = in_.guards.CleanUntrusted(Plain(sentence->text));
      if (text.empty()) continue;
      passages += text + "\n";
      request.draft_text += text + "\n";
    }
  }
  std::string user = "Passages:\n" + passages + "\n";
  if (!part.earlier.empty()) user += "Earlier question: " + part.earlier.substr(0, part.earlier.find('\n')) + "\n";
  user += "Question: " + part.question;
  request.messages = {{"system", in_.config.prompt.system_prompt}, {"user", std::move(user)}};
  request.max_tokens = in_.config.model.max_tokens;
  return request;
}

std::int64_t Writer::Cite(std::size_t passage, std::string_view quote) {
  auto& [found, number] = passages_[passage];
  if (number) return number;
  number = static_cast<std::int64_t>(out_.sources.size()) + 1;
  JsonObject source{{"number", number},
                    {"chunk", found->chunk},
                    {"score", found->score},
                    {"cosine", found->cosine},
                    {"bm25", found->bm25},
                    {"text", found->text},
                    {"quote", quote},
                    {"span", JsonArray{found->begin, found->end}},
                    {"document", JsonObject{{"id", found->document}, {"uri", found->uri}, {"title", found->title}, {"version", found->version}}},
                    {"source", found->source}};
  out_.sources.push_back(source);
  on_source(source);
  return number;
}

void Writer::Say(std::string text, std::string_view quote, double score, std::size_t passage, std::int64_t begin, std::int64_t end) {
  const auto number = Cite(passage, quote);
  const auto& found = *passages_[passage].found;
  const JsonArray span{found.begin + begin, found.begin + end};
  out_.sentences.push_back(JsonObject{{"text", quote}, {"supported", true}, {"score", score}, {"source", number}, {"span", span}});
  ++supported_;
  on_support(JsonObject{{"number", number}, {"span", span}});
  Emit(text + " [" + std::to_string(number) + "]");
}

void Writer::Emit(const std::string& text) {
  const auto safe = filter_->Push((!begun_ ? "" : new_paragraph_ ? "\n\n" : " ") + text);
  begun_ = true;
  new_paragraph_ = false;
  if (safe.empty()) return;
  out_.text += safe;
  on_text(safe);
}

bool Writer::Says(std::string_view sentence) const {
  const std::string said = out_.text;
  if (said.empty()) return false;
  const auto grounding = retrieval::ScoreGrounding(sentence, std::span(&said, 1));
  return !grounding.sentences.empty() && std::all_of(grounding.sentences.begin(), grounding.sentences.end(), [](const auto& one) { return one.score >= 0.75; });
}

bool Writer::TakeSentence(std::string_view sentence) {
  const auto grounding = retrieval::ScoreGrounding(sentence, texts_);
  bool shown = false;
  for (const auto& support : grounding.sentences) {
    ++factual_;
    const bool good = support.supported && support.source >= 0 && support.score >= in_.config.guards.min_grounding;
    if (!good) {  // never shown
      out_.sentences.push_back(JsonObject{{"text", support.text}, {"supported", false}, {"score", support.score}, {"source", nullptr}, {"span", nullptr}});
      continue;
    }
    const auto source = static_cast<std::size_t>(support.source);
    // What supports it may stand in the title or the heading, which are before the passage: then it is the whole passage that does.
    const auto before = static_cast<std::int64_t>(texts_[source].size() - passages_[source].found->text.size());
    const bool inside = support.end > before;
    const auto size = static_cast<std::int64_t>(passages_[source].found->text.size());
    Say(support.text, support.text, support.score, source, inside ? std::max<std::int64_t>(0, support.begin - before) : 0, inside ? support.end - before : size);
    shown = true;
  }
  return shown;
}

void Writer::Quote(const WriterPart& part, std::size_t limit, double share_of_best) {
  if (part.found.evidence.empty()) return;
  const double best = part.found.evidence.front().score;
  std::vector<const retrieval::Evidence*> quoted;
  for (const auto& evidence : part.found.evidence) {
    if (quoted.size() == limit || evidence.score < share_of_best * best) break;
    // A word or two is a heading of a plain text file, not a sentence.
    if (std::count(evidence.text.begin(), evidence.text.end(), ' ') >= 2 && !Says(evidence.text)) quoted.push_back(&evidence);
  }
  std::sort(quoted.begin(), quoted.end(), [](const auto* a, const auto* b) { return a->passage != b->passage ? a->passage < b->passage : a->begin < b->begin; });
  std::string heading;
  for (const auto* evidence : quoted) {
    auto text = in_.guards.CleanUntrusted(Plain(evidence->text));
    if (text.empty()) continue;
    const auto p = PassageOf(part, evidence->passage);
    const auto quote = text;
    // What a sentence means often stands above it: "Not accepted".
    const auto& path = passages_[p].found->heading;
    const auto last = path.rfind(" > ");
    const auto above = last == std::string::npos ? std::string() : path.substr(last + 3);
    if (!above.empty() && above != heading) text = above + (above.ends_with('?') ? " " : ": ") + text;
    heading = above;
    Say(text, quote, 1, p, evidence->begin, evidence->end);
    ++factual_;
  }
}

bool Writer::Affords(const Context& ctx, models::Generator& generator, const models::GenerateRequest& request) const {
  models::GenerateUsage most;
  for (const auto& message : request.messages) most.prompt_tokens += generator.CountTokens(message.content);
  most.completion_tokens = request.max_tokens;
  return ctx.budget().Affords(static_cast<std::int64_t>(most.prompt_tokens) + most.completion_tokens, models::CostOf(in_.config.model.price, most));
}

void Writer::Generate(const Context& ctx, models::Generator& generator, const WriterPart& part) {
  const auto request = MakeRequest(part);
  if (!Affords(ctx, generator, request)) {
    out_.verdicts.push_back(JsonObject{{"name", "budget"}, {"verdict", "the model does not fit what is left of this turn's limits"}, {"detail", "quoted instead"}});
    return Quote(part, 3, 0.8);
  }
  std::string pending;
  bool unknown = false, any = false;
  const auto result = generator.Generate(ctx, request, [&](std::string_view piece) {
    pending += piece;
    if (!any && SaysUnknown(pending)) unknown = true;
    // A sentence is complete when the next one has begun.
    for (;;) {
      const auto sentences = retrieval::SplitSentences(pending);
      if (sentences.size() < 2 || unknown) return;
      any = TakeSentence(std::string_view(pending).substr(sentences[0].begin, sentences[0].end - sentences[0].begin)) || any;
      pending.erase(0, sentences[1].begin);
    }
  });
  if (!unknown)
    for (const auto& rest : retrieval::SplitSentences(pending)) any = TakeSentence(std::string_view(pending).substr(rest.begin, rest.end - rest.begin)) || any;
  ctx.budget().Spend(static_cast<std::int64_t>(result.usage.prompt_tokens) + result.usage.completion_tokens, models::CostOf(in_.config.model.price, result.usage));
  auto& usage = out_.usage;
  usage.prompt_tokens += result.usage.prompt_tokens;
  usage.cached_tokens += result.usage.cached_tokens;
  usage.completion_tokens += result.usage.completion_tokens;
  usage.drafted_tokens += result.usage.drafted_tokens;
  usage.accepted_tokens += result.usage.accepted_tokens;
  usage.ttft_us = usage.ttft_us ? usage.ttft_us : result.usage.ttft_us;
  usage.total_us += result.usage.total_us;
  out_.model = generator.name();
  if (unknown) out_.verdicts.push_back(JsonObject{{"name", "model"}, {"verdict", "says it does not know"}, {"detail", nullptr}});
  else if (!any) out_.verdicts.push_back(JsonObject{{"name", "grounding"}, {"verdict", "nothing the model wrote is supported"}, {"detail", nullptr}});
  // A small model likes to pass over the sentence that answers. If it did, the sentence follows in the passage's own words.
  if (any && !part.found.evidence.empty() && passages_[PassageOf(part, part.found.evidence.front().passage)].number) Quote(part, 1, 1.0);
  else if (any) return;
  else Quote(part, 3, 0.8);
}

Written Writer::Write(const Context& ctx, models::Generator* generator) {
  for (const auto& part : in_.parts)
    for (const auto& passage : part.found.passages)
      if (std::none_of(passages_.begin(), passages_.end(), [&](const Passage& known) { return known.found->chunk == passage.chunk; })) {
        passages_.push_back({&passage, 0});
        texts_.push_back(passage.title + "\n" + passage.heading + "\n" + passage.text);
      }
  filter_ = in_.guards.MakeFilter(texts_);
  for (const auto& part : in_.parts) {
    new_paragraph_ = begun_;
    if (generator) Generate(ctx, *generator, part);
    else Quote(part, 3, 0.8);
  }
  out_.refused = out_.sources.empty();  // nothing could be said
  if (const auto rest = filter_->Finish(); !rest.empty()) {
    out_.text += rest;
    on_text(rest);
  }
  // Only what is supported was shown; the score tells what share of what was written that is.
  out_.grounding = factual_ ? static_cast<double>(supported_) / static_cast<double>(factual_) : 1.0;
  out_.verdicts.push_back(JsonObject{{"name", "grounding"}, {"verdict", out_.grounding >= in_.config.guards.min_grounding ? "supported" : "weak"}, {"score", out_.grounding}, {"detail", std::to_string(supported_) + " of " + std::to_string(factual_) + " sentences supported"}});
  for (auto& finding : filter_->findings()) out_.verdicts.push_back(JsonObject{{"name", "output guard"}, {"verdict", "withheld"}, {"detail", finding}});
  return std::move(out_);
}

}  // namespace tenfold::agents
