#pragma once
/// \file What the embedder and the cross-encoder share: a BERT model's tensors, its layers over texts without padding, and threads that take part in one call.
#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/json.h"
#include "models/bert_attention.h"
#include "models/bert_kernels.h"
#include "models/safetensors.h"

namespace tenfold::models {

/// Texts are computed together until they hold this many tokens: weights are then read once for all of them.
inline constexpr std::size_t kBertBatchTokens = 256;

struct BertLinear {
  PackedMatrix weights;
  std::vector<float> bias;
  void Apply(const Inputs& in, float* out) const { Multiply(in, weights, bias.data(), out, weights.outputs()); }
};
struct BertNorm {
  std::vector<float> scale, shift;
  void Apply(float* x, const float* residual, std::size_t rows) const { AddAndNormalise(x, residual, rows, scale.size(), scale.data(), shift.data()); }
};

/// Reads tensors by their names in a BertModel, with or without the "bert." in front, and checks their sizes. Errors: kInvalidArgument.
class BertTensors {
 public:
  BertTensors(const std::filesystem::path& path, Precision precision);
  Precision precision() const { return precision_; }
  bool Has(const std::string& name) const { return file_.tensors().contains(prefix_ + name); }
  /// Refuses one with other than `sizes` sizes, or an empty one.
  const std::vector<std::uint64_t>& Shape(const std::string& name, std::size_t sizes) const { return ShapeOf(prefix_ + name, sizes); }
  std::vector<float> Read(const std::string& name, const std::vector<std::uint64_t>& shape) const { return ReadExactly(prefix_ + name, shape); }
  /// Of what stands beside the BertModel, such as "classifier.weight".
  const std::vector<std::uint64_t>& ShapeOf(const std::string& whole_name, std::size_t sizes) const;
  std::vector<float> ReadExactly(const std::string& whole_name, const std::vector<std::uint64_t>& shape) const;
  BertNorm ReadNorm(const std::string& name, std::size_t width) const { return {Read(name + ".weight", {width}), Read(name + ".bias", {width})}; }
  /// Several matrices with the same input become one, computed in one pass.
  BertLinear ReadLinear(const std::vector<std::string>& names, std::size_t outputs, std::size_t inputs) const;
  /// Of all that was read.
  std::uint64_t checksum() const { return checksum_; }

 private:
  const SafetensorsFile file_;
  const Precision precision_;
  std::string prefix_;
  mutable std::uint64_t checksum_ = 0;
};

/// Empty if there is no file. Errors: kInvalidArgument (no JSON object).
JsonObject ReadModelConfig(const std::filesystem::path& path);
/// width / 32 of an empty config. Errors: kInvalidArgument (another activation than gelu, no heads, heads that do not divide the width).
std::size_t ReadHeads(const JsonObject& config, std::size_t width);

/// The layers. Threads: any number, each with a workspace of its own.
class BertEncoder {
 public:
  /// Memory of one forward pass, used again and again: fresh pages cost a tenth of a batch.
  struct Workspace {
    AlignedBuffer<float> x, mixed, projected, wide;
    Inputs inputs;
    AttentionScratch attention;
  };
  BertEncoder(const BertTensors& tensors, std::size_t width, std::size_t heads);
  /// Where the caller writes the sums of the embeddings of `tokens` tokens. Shape: [tokens, width].
  float* Prepare(std::size_t tokens, Workspace& work) const;
  /// Texts stand one behind the other, without padding; only attention looks at their bounds. Returns the last layer's rows: [tokens, width], or with `first_rows_only`
  /// [texts, width], of the first token of each: an eighth of six layers' work is spared.
  const float* Run(std::span<const std::size_t> lengths, bool first_rows_only, Workspace& work) const;

  /// Kept: as many as there were callers at once, up to a few.
  std::unique_ptr<Workspace> Borrow() const;
  void GiveBack(std::unique_ptr<Workspace> workspace) const;

 private:
  struct Layer {
    BertLinear query_key_value, attention_output, intermediate, output;
    BertNorm attention_norm, output_norm;
  };
  const std::size_t width_, heads_;
  const Precision precision_;
  std::size_t inner_ = 0;
  BertNorm embedding_norm_;
  std::vector<Layer> layers_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> workspaces_;  // guarded by mutex_
};

/// Threads that help with calls. Threads: any number of callers.
class Helpers {
 public:
  /// `threads` with the caller's own: one has no helpers.
  Helpers(const char* name, std::size_t threads);
  std::size_t count() const { return count_; }
  /// Calls `part(next)` here and on up to `invited` helpers at once, which take numbers below `end` from `next` until there are none. Returns when all are done; throws what the
  /// first of them threw, and the others then take no more.
  void Share(std::size_t invited, std::size_t end, const std::function<void(std::atomic<std::size_t>& next)>& part);

 private:
  const std::size_t count_;
  std::unique_ptr<ThreadPool> pool_;
};

}  // namespace tenfold::models
