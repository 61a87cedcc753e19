#pragma once
/// \file Writes an answer from found sentences: prompt, generation, and the check that lets a sentence through only if the passages support it.
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "agents/config.h"
#include "agents/guards.h"
#include "models/generator.h"
#include "retrieval/retriever.h"

namespace tenfold::agents {

/// An answer as written, with what supports it.
struct Written {
  std::string text;        ///< as shown: with citation markers such as [1]
  bool refused = false;    ///< it says that it does not know
  double grounding = 1;
  JsonArray sources;       ///< cited passages: {number, chunk, score, cosine, bm25, text, quote, span, document{id,uri,title,version}, source}
  JsonArray sentences;     ///< {text, supported, score, source, span}; span: bytes of the source's document that support it
  JsonArray verdicts;      ///< {name, verdict, score?, detail}
  std::string model;       ///< empty if the passages were quoted
  models::GenerateUsage usage;
};
TENFOLD_DESCRIBE(Written, (text), (refused), (grounding), (sources), (sentences), (verdicts), (model), (usage))

/// One question of a message, and what was found for it.
struct WriterPart {
  std::string question;  ///< masked
  std::string earlier;   ///< what a follow-up question follows; empty for most
  retrieval::Retrieved found;
};
TENFOLD_DESCRIBE(WriterPart, (question), (earlier), (found))

struct WriterInput {
  const AssistantConfig& config;
  TurnGuards& guards;
  std::span<const WriterPart> parts;  ///< answered one after another
};

/// One answer. Used by one thread.
class Writer {
 public:
  explicit Writer(WriterInput input) : in_(std::move(input)) {}
  std::function<void(const Json& source)> on_source;      ///< a passage is cited for the first time; before the text that cites it
  std::function<void(const Json& support)> on_support;    ///< {number, span}: the document's bytes that support the next sentence; before the sentence
  std::function<void(const std::string& text)> on_text;   ///< whole sentences, each with one marker

  /// `generator` may be null: the best sentences are quoted, then. A sentence that the passages do not support is not shown; if none is left, they are
  /// quoted. Errors: those of Generate.
  Written Write(const Context& ctx, models::Generator* generator);

 private:
  struct Passage {
    const retrieval::FoundPassage* found;
    std::int64_t number = 0;  // citation, 0 if not cited yet
  };
  models::GenerateRequest MakeRequest(const WriterPart& part);
  void Generate(const Context& ctx, models::Generator& generator, const WriterPart& part);
  /// Whether the longest answer fits what is left of the context's budget.
  bool Affords(const Context& ctx, models::Generator& generator, const models::GenerateRequest& request) const;
  /// False if it is not shown.
  bool TakeSentence(std::string_view sentence);
  /// Shows the best sentences that are not said yet.
  void Quote(const WriterPart& part, std::size_t limit, double share_of_best);
  bool Says(std::string_view sentence) const;
  std::size_t PassageOf(const WriterPart& part, std::int64_t index) const;
  std::int64_t Cite(std::size_t passage, std::string_view quote);
  /// Shows `text` with a marker of the passage, and records that the document's bytes [begin, end) of the passage support it.
  void Say(std::string text, std::string_view quote, double score, std::size_t passage, std::int64_t begin, std::int64_t end);
  void Emit(const std::string& text);

  WriterInput in_;
  std::vector<Passage> passages_;      // of all parts, each once
  std::vector<std::string> texts_;     // their texts: what grounding is checked against
  std::unique_ptr<OutputFilter> filter_;
  Written out_;
  std::size_t supported_ = 0, factual_ = 0;
  bool begun_ = false, new_paragraph_ = false;
};

}  // namespace tenfold::agents
