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

std::vector<models::ChatMessage> Writer::MakePrompt() {
  // The sentences that fit the question best, with their neighbours' order kept, under the title of their passage: a third of the tokens of whole passages.
  std::map<std::size_t, std::vector<std::pair<std::int64_t, std::int64_t>>> chosen;  // passage -> spans
  std::vector<std::size_t> order;
  std::size_t count = 0;
  for (const auto& evidence : in_.found.evidence) {
    if (count++ == in_.config.retrieval.sentences) break;
    const auto p = static_cast<std::size_t>(evidence.passage);
    if (!chosen.contains(p)) order.push_back(p);
    chosen[p].emplace_back(evidence.begin, evidence.end);
  }
  std::string passages;
  for (const auto p : order) {
    const auto& passage = in_.found.passages[p];
    auto& spans = chosen[p];
    std::sort(spans.begin(), spans.end());
    passages += "## " + passage.title + (passage.heading.empty() || passage.heading == passage.title ? "" : " - " + passage.heading) + "\n";
    for (const auto& [begin, end] : spans) {
      auto text = in_.guards.CleanUntrusted(Plain(std::string_view(passage.text).substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin))));
      if (text.empty()) continue;
      passages += text + "\n";
      shown_.push_back({p, std::move(text)});
    }
  }
  std::string user = "Passages:\n" + passages + "\n";
  if (!in_.earlier.empty()) user += "Earlier question: " + in_.earlier.substr(0, in_.earlier.find('\n')) + "\n";
  user += "Question: " + in_.question;
  return {{"system", in_.config.prompt.system_prompt}, {"user", std::move(user)}};
}

std::int64_t Writer::Cite(std::size_t passage, std::string_view quote) {
  if (numbers_[passage]) return numbers_[passage];
  const auto& found = in_.found.passages[passage];
  const auto number = static_cast<std::int64_t>(out_.sources.size()) + 1;
  numbers_[passage] = number;
  JsonObject source{{"number", number},
                    {"chunk", found.chunk},
                    {"score", found.score},
                    {"cosine", found.cosine},
                    {"bm25", found.bm25},
                    {"text", found.text},
                    {"quote", quote},
                    {"span", JsonArray{found.begin, found.end}},
                    {"document", JsonObject{{"id", found.document}, {"uri", found.uri}, {"title", found.title}, {"version", found.version}}},
                    {"source", found.source}};
  out_.sources.push_back(source);
  on_source(source);
  return number;
}

void Writer::Emit(const std::string& text) {
  const auto safe = filter_->Push(text);
  if (safe.empty()) return;
  out_.text += safe;
  on_text(safe);
}

void Writer::TakeSentence(std::string_view sentence, bool trusted) {
  const auto grounding = retrieval::ScoreGrounding(sentence, texts_);
  for (const auto& support : grounding.sentences) {
    const bool cited = support.source >= 0;
    ++factual_;
    const bool good = trusted || (support.supported && support.score >= in_.config.guards.min_grounding);
    out_.sentences.push_back(JsonObject{{"text", support.text}, {"supported", good}, {"score", support.score}, {"source", nullptr}});
    if (!good) continue;  // never shown
    ++supported_;
    std::string text = support.text;
    if (cited) {
      const auto number = Cite(static_cast<std::size_t>(support.source), support.text);
      out_.sentences.back().get_object()["source"] = number;
      text += " [" + std::to_string(number) + "]";
    }
    Emit((out_.text.empty() ? "" : " ") + text);
  }
  // Small talk and offers are no claims: they pass as they are.
  if (grounding.sentences.empty() && !sentence.empty()) Emit((out_.text.empty() ? "" : " ") + std::string(sentence));
}

void Writer::Quote() {
  // The best sentence and those close behind it, in the order of their passage.
  if (in_.found.evidence.empty()) return;
  const double best = in_.found.evidence.front().score;
  std::vector<retrieval::Evidence> quoted;
  for (const auto& evidence : in_.found.evidence) {
    if (quoted.size() == 3 || evidence.score < 0.8 * best) break;
    quoted.push_back(evidence);
  }
  std::sort(quoted.begin(), quoted.end(), [](const auto& a, const auto& b) { return a.passage != b.passage ? a.passage < b.passage : a.begin < b.begin; });
  for (const auto& evidence : quoted) {
    const auto p = static_cast<std::size_t>(evidence.passage);
    const auto text = in_.guards.CleanUntrusted(Plain(std::string_view(in_.found.passages[p].text).substr(static_cast<std::size_t>(evidence.begin), static_cast<std::size_t>(evidence.end - evidence.begin))));
    if (text.empty()) continue;
    const auto number = Cite(p, text);
    out_.sentences.push_back(JsonObject{{"text", text}, {"supported", true}, {"score", 1.0}, {"source", number}});
    Emit((out_.text.empty() ? "" : " ") + text + " [" + std::to_string(number) + "]");
    ++factual_;
    ++supported_;
  }
}

Written Writer::Write(const Context& ctx, models::Generator* generator) {
  for (const auto& passage : in_.found.passages) texts_.push_back(passage.title + "\n" + passage.heading + "\n" + passage.text);
  numbers_.assign(in_.found.passages.size(), 0);
  auto allowed = texts_;
  filter_ = in_.guards.MakeFilter(std::move(allowed));
  bool quoted = generator == nullptr;
  if (generator) {
    models::GenerateRequest request;
    request.messages = MakePrompt();
    request.max_tokens = in_.config.model.max_tokens;
    for (const auto& shown : shown_) request.draft_text += shown.text + "\n";
    std::string pending;
    bool unknown = false;
    const auto on_piece = [&](std::string_view piece) {
      pending += piece;
      if (SaysUnknown(pending) && out_.text.empty()) unknown = true;
      // A sentence is complete when the next one has begun.
      for (;;) {
        const auto sentences = retrieval::SplitSentences(pending);
        if (sentences.size() < 2 || unknown) return;
        TakeSentence(std::string_view(pending).substr(sentences[0].begin, sentences[0].end - sentences[0].begin), false);
        pending.erase(0, sentences[1].begin);
      }
    };
    const auto result = generator->Generate(ctx, request, on_piece);
    out_.model = generator->name();
    out_.usage = result.usage;
    if (unknown) {
      out_.verdicts.push_back(JsonObject{{"name", "model"}, {"verdict", "says it does not know"}, {"detail", nullptr}});
    } else {
      for (const auto& rest : retrieval::SplitSentences(pending)) TakeSentence(std::string_view(pending).substr(rest.begin, rest.end - rest.begin), false);
    }
    if (supported_ == 0) {
      quoted = true;
      out_.verdicts.push_back(JsonObject{{"name", "grounding"}, {"verdict", "nothing the model wrote is supported; the passages are quoted instead"}, {"detail", nullptr}});
    }
  }
  const auto grounding = factual_ ? static_cast<double>(supported_) / static_cast<double>(factual_) : 1.0;
  if (quoted) Quote();
  const auto rest = filter_->Finish();
  if (!rest.empty()) {
    out_.text += rest;
    on_text(rest);
  }
  // Shown is what is supported; the score tells what share of what the model wrote that was.
  out_.grounding = quoted && generator ? 1.0 : grounding;
  out_.verdicts.push_back(JsonObject{{"name", "grounding"}, {"verdict", out_.grounding >= in_.config.guards.min_grounding ? "supported" : "weak"}, {"score", grounding}, {"detail", std::to_string(supported_) + " of " + std::to_string(factual_) + " sentences supported"}});
  for (auto& finding : filter_->findings()) out_.verdicts.push_back(JsonObject{{"name", "output guard"}, {"verdict", "withheld"}, {"detail", finding}});
  return std::move(out_);
}

}  // namespace tenfold::agents
