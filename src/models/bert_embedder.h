#pragma once
/// \file Sentence embeddings from a Hugging Face BERT folder: model.safetensors, vocab.txt and, if there, config.json.
/// Source: Devlin et al., "BERT", 2019; mean pooling over tokens as in Reimers & Gurevych, "Sentence-BERT", 2019.
#include <filesystem>
#include <memory>
#include <optional>

#include "models/bert_kernels.h"
#include "models/embedder.h"

namespace tenfold::models {

/// How the vectors of a text's tokens become one.
enum class Pooling : std::uint8_t { kMean, kFirstToken };

struct BertOptions {
  /// Beyond it a text is cut. 256 is what all-MiniLM-L6-v2 was trained for.
  std::uint32_t max_tokens = 256;
  Precision precision = FastestPrecision();
  /// Absent: what 1_Pooling/config.json says, the mean if there is none.
  std::optional<Pooling> pooling;
  /// A large Embed is shared by up to this many threads, the caller's own being one. Helpers are few and shared by all callers: who finds none works alone.
  std::uint32_t threads = 1;
};

/// Loads the model; sizes come from the tensors, the number of heads from config.json (absent: heads of 32 values, as MiniLM has).
/// A text's vector is the same on any number of threads. Cost: about 0.1 s and twice the file's size in memory while loading.
/// Errors: kNotFound (folder or file), kDataLoss (altered file), kInvalidArgument (not a BERT, or a size or kind we cannot compute).
std::unique_ptr<Embedder> OpenBertEmbedder(const std::filesystem::path& folder, BertOptions options = {});

}  // namespace tenfold::models
