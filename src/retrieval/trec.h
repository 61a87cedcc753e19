#pragma once
/// \file Test collections as the field exchanges them: documents, topics and judgements in TREC's forms and in BEIR's.
/// Sources: Harman, TREC (SGML documents and topics, four-column qrels); Thakur et al., "BEIR", NeurIPS 2021 (corpus.jsonl, queries.jsonl, qrels with a header).
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "retrieval/ranking_metrics.h"

namespace tenfold::retrieval {

struct CollectionDocument {
  std::string id;
  std::string title;
  std::string text;  ///< may be empty: some collections have such documents
};

struct Topic {
  std::string id;
  std::string text;
};

/// By topic, then by document.
using Qrels = std::map<std::string, Judgements, std::less<>>;

/// What one file may hold. A larger one is refused before it is parsed.
struct CollectionLimits {
  static constexpr std::size_t kFileBytes = std::size_t{1} << 30;
  static constexpr std::size_t kDocuments = 2'000'000;
  static constexpr std::size_t kDocumentBytes = 4u << 20;
  static constexpr std::size_t kTopics = 100'000;
  static constexpr std::size_t kTopicBytes = 8192;
  static constexpr std::size_t kIdBytes = 256;
  static constexpr std::size_t kJudgements = 20'000'000;
};

/// The forms are told apart by the first character that is not white space: '<' SGML, '{' a JSON object a line, else tab-separated lines. `name` is what errors
/// call the file. In all of them the order of the file is kept, ids are trimmed and must be unique, and text that is not UTF-8 is read as Latin-1.
/// SGML is read as TREC writes it, which is not XML: no root, tags in any case, '&' as it is (the five entities of XML are decoded), other tags inside a field dropped.
/// Errors: kInvalidArgument "FILE:LINE: problem" (syntax, a missing or repeated id), kResourceExhausted (a limit, said).

/// `<DOC>` with `<DOCNO>`, `<TITLE>` (or HEADLINE, HL, TI) and `<TEXT>` (several are joined); other fields, such as an author, are left out. JSON: `_id` or `id`, `title`, `text`.
void ParseCollection(std::string_view file, std::string_view name, const std::function<void(CollectionDocument&&)>& take);
/// `<top>` with `<num>` and `<title>`, whose closing tags may be missing; "Number:" and "Topic:" are dropped. JSON: `_id` or `id`, and `text`. Else id TAB text.
std::vector<Topic> ParseTopics(std::string_view file, std::string_view name);
/// topic, iteration, document, grade between white space (TREC), or topic, document, grade between tabs with or without a header line (BEIR); the first line that is no header decides.
/// Grades are whole numbers. The same judgement twice is one; two that differ are refused.
Qrels ParseQrels(std::string_view file, std::string_view name);

}  // namespace tenfold::retrieval
