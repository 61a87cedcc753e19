#include "models/bert_embedder.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>

#include "base/checksum.h"
#include "base/executor.h"
#include "base/files.h"
#include "base/json.h"
#include "models/safetensors.h"
#include "models/wordpiece.h"

namespace tenfold::models {
namespace {

// Texts are computed together until they hold this many tokens: weights are then read once for all of them.
constexpr std::size_t kBatchTokens = 256;
// The wide part of a layer is computed for this many tokens at a time: 96 x 1536 floats fit the second-level cache, 256 do not.
constexpr std::size_t kWideTokens = 96;
// A call with less text than this is not worth waking another thread for.
constexpr std::size_t kShareBytes = 2048;
constexpr std::size_t kMaxLayers = 64;
constexpr std::size_t kMaxHeadWidth = 512;

struct Linear {
  PackedMatrix weights;
  std::vector<float> bias;
  void Apply(const Inputs& in, float* out) const { Multiply(in, weights, bias.data(), out, weights.outputs()); }
};
struct Norm {
  std::vector<float> scale, shift;
  void Apply(float* x, const float* residual, std::size_t rows) const {
    AddAndNormalise(x, residual, rows, scale.size(), scale.data(), shift.data());
  }
};
struct Layer {
  Linear query_key_value, attention_output, intermediate, output;
  Norm attention_norm, output_norm;
};

/// Reads tensors by their names in a BertModel, with or without the "bert." in front, and checks their sizes.
class Loader {
 public:
  Loader(const std::filesystem::path& path, Precision precision) : file_(path), precision_(precision) {
    if (file_.tensors().contains("bert.embeddings.word_embeddings.weight")) prefix_ = "bert.";
  }
  bool Has(const std::string& name) const { return file_.tensors().contains(prefix_ + name); }
  const std::vector<std::uint64_t>& Shape(const std::string& name) const {
    const auto found = file_.tensors().find(prefix_ + name);
    if (found == file_.tensors().end()) throw Error(Code::kInvalidArgument, "not a BERT model: no tensor '" + prefix_ + name + "'");
    return found->second.shape;
  }
  std::vector<float> Read(const std::string& name, const std::vector<std::uint64_t>& shape) const {
    if (Shape(name) != shape) throw Error(Code::kInvalidArgument, "tensor '" + name + "' has another shape than the rest of the model");
    auto values = file_.ReadFloats(prefix_ + name);
    checksum_ = QuickChecksum(std::as_bytes(std::span(values)), checksum_);
    return values;
  }
  /// Of all that was read.
  std::uint64_t checksum() const { return checksum_; }
  Norm ReadNorm(const std::string& name, std::size_t width) const { return {Read(name + ".weight", {width}), Read(name + ".bias", {width})}; }
  /// Several matrices with the same input become one, computed in one pass.
  Linear ReadLinear(const std::vector<std::string>& names, std::size_t outputs, std::size_t inputs) const {
    std::vector<float> weights, bias;
    for (const auto& name : names) {
      const auto w = Read(name + ".weight", {outputs, inputs}), b = Read(name + ".bias", {outputs});
      weights.insert(weights.end(), w.begin(), w.end());
      bias.insert(bias.end(), b.begin(), b.end());
    }
    return {PackedMatrix(weights.data(), outputs * names.size(), inputs, inputs, 1, precision_), std::move(bias)};
  }

 private:
  SafetensorsFile file_;
  std::string prefix_;
  Precision precision_;
  mutable std::uint64_t checksum_ = 0;
};

JsonObject ReadConfig(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return {};
  auto config = ParseJson(ReadFile(path, 1u << 20));
  if (!config.is_object()) throw Error(Code::kInvalidArgument, path.string() + " is no JSON object");
  return std::move(config.get_object());
}

std::size_t ReadHeads(const JsonObject& config, std::size_t width) {
  if (config.empty()) return width / 32;
  if (const auto* gelu = config.if_contains("hidden_act"); gelu && *gelu != "gelu") throw Error(Code::kInvalidArgument, "config.json: hidden_act must be gelu");
  const auto* heads = config.if_contains("num_attention_heads");
  if (!heads || !heads->is_int64() || heads->get_int64() < 1) throw Error(Code::kInvalidArgument, "config.json: no num_attention_heads");
  return static_cast<std::size_t>(heads->get_int64());
}

Pooling ReadPooling(const JsonObject& config) {
  const auto is_on = [&](std::string_view field) {
    const auto* value = config.if_contains(field);
    return value && value->is_bool() && value->get_bool();
  };
  if (is_on("pooling_mode_cls_token")) return Pooling::kFirstToken;
  if (config.empty() || is_on("pooling_mode_mean_tokens")) return Pooling::kMean;
  throw Error(Code::kInvalidArgument, "1_Pooling/config.json: only the mean of the tokens and the first token are known here");
}

/// Memory of one forward pass, used again and again: fresh pages cost a tenth of a batch.
struct Workspace {
  AlignedBuffer<float> x, mixed, projected, wide;
  Inputs inputs;
  AttentionScratch attention;
};

/// One Embed, shared by the threads that take part. Texts are taken one by one, so nobody waits long for the last.
struct SharedWork {
  std::mutex mutex;
  std::condition_variable changed;
  bool closed = false;
  std::size_t helpers_at_work = 0;
  std::exception_ptr problem;
  std::atomic<std::size_t> next{0};
};

class BertEmbedder final : public Embedder {
 public:
  BertEmbedder(const std::filesystem::path& folder, const BertOptions& options)
      : name_(folder.filename().string()), words_(ReadFile(folder / "vocab.txt", 32u << 20)) {
    const Loader loader(folder / "model.safetensors", options.precision);
    const auto& vocabulary = loader.Shape("embeddings.word_embeddings.weight");
    const auto& positions = loader.Shape("embeddings.position_embeddings.weight");
    const auto& types = loader.Shape("embeddings.token_type_embeddings.weight");
    if (vocabulary.size() != 2 || positions.size() != 2 || types.size() != 2 || vocabulary[1] == 0 || positions[0] < 2 || types[0] == 0)
      throw Error(Code::kInvalidArgument, "not a BERT model: bad embedding tables");
    width_ = vocabulary[1];
    if (words_.size() > vocabulary[0]) throw Error(Code::kInvalidArgument, "vocab.txt has more lines than the model has tokens");
    heads_ = ReadHeads(ReadConfig(folder / "config.json"), width_);
    if (heads_ == 0 || width_ % heads_ != 0 || width_ / heads_ > kMaxHeadWidth)
      throw Error(Code::kInvalidArgument, std::to_string(width_) + " dimensions do not divide into " + std::to_string(heads_) + " heads of up to " + std::to_string(kMaxHeadWidth));
    pooling_ = options.pooling ? *options.pooling : ReadPooling(ReadConfig(folder / "1_Pooling" / "config.json"));
    precision_ = options.precision;
    max_tokens_ = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(options.max_tokens, 2, positions[0]));
    word_table_ = loader.Read("embeddings.word_embeddings.weight", {vocabulary[0], width_});
    position_table_ = loader.Read("embeddings.position_embeddings.weight", {positions[0], width_});
    // We only ever embed one segment, so its type is folded into the positions.
    const auto type_table = loader.Read("embeddings.token_type_embeddings.weight", {types[0], width_});
    for (std::size_t i = 0; i < position_table_.size(); ++i) position_table_[i] += type_table[i % width_];
    embedding_norm_ = loader.ReadNorm("embeddings.LayerNorm", width_);
    for (std::size_t i = 0; i < kMaxLayers; ++i) {
      const std::string at = "encoder.layer." + std::to_string(i) + ".";
      if (!loader.Has(at + "intermediate.dense.weight")) break;
      const auto& shape = loader.Shape(at + "intermediate.dense.weight");
      if (shape.empty() || shape[0] == 0) throw Error(Code::kInvalidArgument, "not a BERT model: " + at + " is empty");
      const std::size_t inner = shape[0];
      inner_ = std::max(inner_, inner);
      layers_.push_back({
          .query_key_value =
              loader.ReadLinear({at + "attention.self.query", at + "attention.self.key", at + "attention.self.value"}, width_, width_),
          .attention_output = loader.ReadLinear({at + "attention.output.dense"}, width_, width_),
          .intermediate = loader.ReadLinear({at + "intermediate.dense"}, inner, width_),
          .output = loader.ReadLinear({at + "output.dense"}, width_, inner),
          .attention_norm = loader.ReadNorm(at + "attention.output.LayerNorm", width_),
          .output_norm = loader.ReadNorm(at + "output.LayerNorm", width_),
      });
    }
    if (layers_.empty()) throw Error(Code::kInvalidArgument, "not a BERT model: it has no layers");
    const auto vocabulary_text = ReadFile(folder / "vocab.txt", 32u << 20);
    const auto sum = QuickChecksum(std::as_bytes(std::span(vocabulary_text)), loader.checksum());
    identity_ = name_ + " " + std::to_string(sum) + (precision_ == Precision::kFloat32 ? " fp32" : precision_ == Precision::kBfloat16 ? " bf16" : " int8") + " heads " + std::to_string(heads_) +
                (pooling_ == Pooling::kMean ? " mean " : " first ") + std::to_string(max_tokens_);
    helper_count_ = std::max(options.threads, 1u) - 1;
    if (helper_count_ > 0) helpers_ = std::make_unique<ThreadPool>("embed", helper_count_, helper_count_);
  }

  std::vector<std::vector<float>> Embed(const Context& ctx, std::span<const std::string> texts, EmbedKind) override {
    ctx.Check();
    std::vector<std::vector<float>> out(texts.size());
    auto work = std::make_shared<SharedWork>();
    std::size_t bytes = 0;
    for (const auto& text : texts) bytes += std::min<std::size_t>(text.size(), 8 * max_tokens_);
    if (helpers_ && texts.size() > 1)
      for (std::size_t asked = 1; asked <= helper_count_ && bytes > asked * kShareBytes; ++asked) Invite(ctx, work, texts, out);
    TakePart(ctx, *work, texts, out);
    std::unique_lock lock(work->mutex);
    work->closed = true;
    work->changed.wait(lock, [&] { return work->helpers_at_work == 0; });
    if (work->problem) std::rethrow_exception(work->problem);
    return out;
  }
  std::uint32_t dim() const override { return static_cast<std::uint32_t>(width_); }
  std::uint32_t max_tokens() const override { return max_tokens_; }
  std::string name() const override { return name_; }
  std::string identity() const override { return identity_; }
  std::uint32_t CountTokens(std::string_view text) override {
    return static_cast<std::uint32_t>(words_.Encode(text, std::numeric_limits<std::uint32_t>::max()).size());
  }

 private:
  /// A helper that comes late finds the work closed and touches nothing of the caller's.
  void Invite(const Context& ctx, const std::shared_ptr<SharedWork>& work, std::span<const std::string> texts, std::vector<std::vector<float>>& out) {
    try {
      helpers_->Submit([this, &ctx, work, texts, &out] {
        {
          const std::lock_guard lock(work->mutex);
          if (work->closed) return;
          ++work->helpers_at_work;
        }
        TakePart(ctx, *work, texts, out);
        const std::lock_guard lock(work->mutex);
        --work->helpers_at_work;
        work->changed.notify_all();
      });
    } catch (const Error& e) {
      if (e.code() != Code::kResourceExhausted) throw;  // all helpers have work: the caller does its own
    }
  }

  void TakePart(const Context& ctx, SharedWork& work, std::span<const std::string> texts, std::vector<std::vector<float>>& out) noexcept {
    try {
      auto workspace = Borrow();
      std::vector<std::vector<std::int32_t>> batch;
      std::vector<std::size_t> places;
      std::size_t tokens = 0;
      const auto flush = [&] {
        ctx.Check();
        if (!batch.empty()) EmbedBatch(batch, tokens, places, out, *workspace);
        batch.clear();
        places.clear();
        tokens = 0;
      };
      for (std::size_t i; (i = work.next.fetch_add(1)) < texts.size();) {
        auto ids = words_.Encode(texts[i], max_tokens_);
        if (tokens + ids.size() > kBatchTokens) flush();
        tokens += ids.size();
        places.push_back(i);
        batch.push_back(std::move(ids));
      }
      flush();
      GiveBack(std::move(workspace));
    } catch (...) {
      work.next = texts.size();
      const std::lock_guard lock(work.mutex);
      if (!work.problem) work.problem = std::current_exception();
    }
  }

  std::unique_ptr<Workspace> Borrow() {
    const std::lock_guard lock(workspaces_mutex_);
    if (workspaces_.empty()) return std::make_unique<Workspace>();
    auto workspace = std::move(workspaces_.back());
    workspaces_.pop_back();
    return workspace;
  }
  /// Kept: as many as there were callers at once, up to a few.
  void GiveBack(std::unique_ptr<Workspace> workspace) {
    const std::lock_guard lock(workspaces_mutex_);
    if (workspaces_.size() < kKeptWorkspaces) workspaces_.push_back(std::move(workspace));
  }

  /// Texts stand one behind the other, without padding; only attention looks at their bounds.
  void EmbedBatch(const std::vector<std::vector<std::int32_t>>& batch, std::size_t tokens, const std::vector<std::size_t>& places,
                  std::vector<std::vector<float>>& out, Workspace& work) const {
    work.x.Need(tokens * width_);
    work.mixed.Need(tokens * width_);
    work.projected.Need(tokens * width_);
    work.wide.Need(std::max(tokens * 3 * width_, std::min(tokens, kWideTokens) * inner_));
    float* const x = work.x.data();
    float* const mixed = work.mixed.data();
    float* const projected = work.projected.data();
    float* const wide = work.wide.data();
    std::size_t row = 0;
    for (const auto& ids : batch)
      for (std::size_t p = 0; p < ids.size(); ++p, ++row) {
        const float* word = word_table_.data() + static_cast<std::size_t>(ids[p]) * width_;
        const float* position = position_table_.data() + p * width_;
        for (std::size_t i = 0; i < width_; ++i) x[row * width_ + i] = word[i] + position[i];
      }
    embedding_norm_.Apply(x, nullptr, tokens);
    for (const auto& layer : layers_) {
      work.inputs.Assign(x, tokens, width_, width_, precision_);
      layer.query_key_value.Apply(work.inputs, wide);
      row = 0;
      for (const auto& ids : batch) {
        Attend(wide + row * 3 * width_, ids.size(), width_, heads_, precision_, mixed + row * width_, work.attention);
        row += ids.size();
      }
      work.inputs.Assign(mixed, tokens, width_, width_, precision_);
      layer.attention_output.Apply(work.inputs, projected);
      layer.attention_norm.Apply(x, projected, tokens);
      for (std::size_t first = 0; first < tokens; first += kWideTokens) {
        const std::size_t count = std::min(kWideTokens, tokens - first);
        float* const part = x + first * width_;
        work.inputs.Assign(part, count, width_, width_, precision_);
        layer.intermediate.Apply(work.inputs, wide);
        work.inputs.AssignGelu(wide, count, layer.intermediate.weights.outputs(), precision_);
        layer.output.Apply(work.inputs, projected);
        layer.output_norm.Apply(part, projected, count);
      }
    }
    row = 0;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      out[places[i]] = Pool(x + row * width_, pooling_ == Pooling::kMean ? batch[i].size() : 1);
      row += batch[i].size();
    }
  }

  std::vector<float> Pool(const float* rows, std::size_t count) const {
    std::vector<float> mean(width_, 0.0f);
    for (std::size_t r = 0; r < count; ++r)
      for (std::size_t i = 0; i < width_; ++i) mean[i] += rows[r * width_ + i];
    double squares = 0;
    for (const float v : mean) squares += static_cast<double>(v) * v;
    const auto inverse = static_cast<float>(1.0 / std::sqrt(std::max(squares, 1e-24)));
    for (float& v : mean) v *= inverse;
    return mean;
  }

  const std::string name_;
  std::string identity_;
  const WordPiece words_;
  static constexpr std::size_t kKeptWorkspaces = 16;
  std::size_t width_ = 0, heads_ = 0, inner_ = 0;
  Pooling pooling_ = Pooling::kMean;
  Precision precision_ = Precision::kFloat32;
  std::uint32_t max_tokens_ = 0;
  std::vector<float> word_table_, position_table_;
  Norm embedding_norm_;
  std::vector<Layer> layers_;
  std::mutex workspaces_mutex_;
  std::vector<std::unique_ptr<Workspace>> workspaces_;
  std::size_t helper_count_ = 0;
  std::unique_ptr<ThreadPool> helpers_;  // last: its threads end before what they use
};

}  // namespace

std::unique_ptr<Embedder> OpenBertEmbedder(const std::filesystem::path& folder, BertOptions options) {
  return Within("open embedding model " + folder.string(), [&] { return std::make_unique<BertEmbedder>(folder, options); });
}

}  // namespace tenfold::models
