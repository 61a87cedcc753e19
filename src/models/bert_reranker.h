#pragma once
/// \file A cross-encoder from a Hugging Face BERT folder: model.safetensors of a BertForSequenceClassification with one label, vocab.txt and config.json, as cross-encoder/ms-marco-MiniLM-L-6-v2 has them.
/// Source: Nogueira & Cho, "Passage Re-ranking with BERT", 2019; the pair's form and cut as in Hugging Face `transformers`.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "models/bert_kernels.h"
#include "models/reranker.h"
#include "models/wordpiece.h"

namespace tenfold::models {

struct BertRerankerOptions {
  std::uint32_t max_tokens = 512;  ///< question and passage together; at most what the model has positions for
  Precision precision = FastestPrecision();
  /// A call is shared by up to this many threads, the caller's own being one. Helpers are few and shared by all callers: who finds none works alone.
  std::uint32_t threads = 1;
};

/// Both texts as one: [CLS] question [SEP] passage [SEP]; the first `first` tokens are of type 0, the rest of type 1. Too long, the longer of both is cut until they are equal, then both
/// ("longest_first" of Hugging Face `tokenizers`).
struct TokenPair {
  std::vector<std::int32_t> ids;
  std::size_t first = 0;
};
TokenPair EncodePair(const WordPiece& words, std::string_view query, std::string_view passage, std::size_t max_tokens);

/// Score is the logistic function of the model's one logit. A passage's score is the same in any company on any number of threads. Cost: a forward pass a passage; short ones are computed together.
/// Errors: kNotFound (folder or file), kDataLoss (altered file), kInvalidArgument (no BERT with one label, or a size or kind we cannot compute).
std::unique_ptr<Reranker> OpenBertReranker(const std::filesystem::path& folder, BertRerankerOptions options = {});

}  // namespace tenfold::models
