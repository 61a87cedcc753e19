#pragma once
/// \file Sentence embeddings from a Hugging Face BERT folder: model.safetensors, vocab.txt and, if there, config.json.
/// Source: Devlin et al., "BERT", 2019; mean pooling over tokens as in Reimers & Gurevych, "Sentence-BERT", 2019.
#include <filesystem>
#include <memory>
#include <optional>

#include "models/bert_kernels.h"
#include "models/embedder.h"

namespace tenfold::models {

struct BertOptions {
  /// Beyond it a text is cut. 256 is what all-MiniLM-L6-v2 was trained for.
  std::uint32_t max_tokens = 256;
  Precision precision = FastestPrecision();
};

/// Loads the model; sizes come from the tensors, the number of heads from config.json (absent: heads of 32 values, as MiniLM has).
/// Cost: about 0.1 s and twice the file's size in memory while loading. Embed runs on the calling thread only.
/// Errors: kNotFound (folder or file), kDataLoss (altered file), kInvalidArgument (not a BERT, or a size we cannot compute).
std::unique_ptr<Embedder> OpenBertEmbedder(const std::filesystem::path& folder, BertOptions options = {});

}  // namespace tenfold::models
