#pragma once
/// \file From a document to its passages: what those of one generation of the index are made with, and how.
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "models/embedder.h"
#include "models/embedding_cache.h"
#include "retrieval/chunker.h"
#include "retrieval/document.h"
#include "retrieval/tokenize.h"

namespace tenfold::retrieval {

inline constexpr const char* kFirstGeneration = "g1";

struct GenerationTools {
  std::string id = kFirstGeneration;
  std::shared_ptr<models::Embedder> embedder = nullptr;  ///< null: words alone
  ChunkOptions chunks = {};
  CountTokens count_tokens = EstimateTokens;  ///< safe from any thread
  models::EmbeddingCache* cache = nullptr;    ///< null: every text is embedded anew
  Language language = Language::kEnglish;     ///< of the word index
};

/// The passages of a document, not embedded, none longer than the embedder reads.
std::vector<Chunk> MakeChunks(const Document& document, const GenerationTools& tools);

struct ToEmbed {
  const Document* document;
  std::span<Chunk> chunks;
};
/// Fills `embedding` and `sentences` of passages of many documents, from the cache where it has them; nothing without an embedder. What is then not committed with its document is
/// forgotten with ForgetUnowned().
void EmbedAll(const Context& ctx, const GenerationTools& tools, std::span<const ToEmbed> documents);
/// The same for one.
void EmbedChunks(const Context& ctx, const GenerationTools& tools, const Document& document, std::span<Chunk> chunks);

}  // namespace tenfold::retrieval
