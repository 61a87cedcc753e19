#include "models/bert_reranker.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "base/files.h"
#include "base/json.h"
#include "models/safetensors.h"

namespace tenfold::models {
namespace {

// As in bert_embedder.cc, where they were measured: pairs computed together, and rows of the wide part.
constexpr std::size_t kBatchTokens = 256, kWideTokens = 96;
constexpr std::size_t kMaxLayers = 64, kMaxHeadWidth = 512, kKeptWorkspaces = 16;

struct Linear {
  PackedMatrix weights;
  std::vector<float> bias;
  void Apply(const Inputs& in, float* out) const { Multiply(in, weights, bias.data(), out, weights.outputs()); }
};
struct Norm {
  std::vector<float> scale, shift;
  void Apply(float* x, const float* residual, std::size_t rows) const { AddAndNormalise(x, residual, rows, scale.size(), scale.data(), shift.data()); }
};
struct Layer {
  Linear query_key_value, attention_output, intermediate, output;
  Norm attention_norm, output_norm;
};

/// Reads tensors by name and checks their sizes.
class Tensors {
 public:
  Tensors(const std::filesystem::path& path, Precision precision) : file_(path), precision_(precision) {}
  bool Has(const std::string& name) const { return file_.tensors().contains(name); }
  std::vector<std::uint64_t> Shape(const std::string& name, std::size_t sizes) const {
    const auto found = file_.tensors().find(name);
    if (found == file_.tensors().end()) throw Error(Code::kInvalidArgument, "not a BERT cross-encoder: no tensor '" + name + "'");
    const auto& shape = found->second.shape;
    if (shape.size() != sizes || std::find(shape.begin(), shape.end(), 0u) != shape.end()) throw Error(Code::kInvalidArgument, "not a BERT cross-encoder: tensor '" + name + "' has an odd shape");
    return shape;
  }
  std::vector<float> Read(const std::string& name, const std::vector<std::uint64_t>& shape) const {
    if (Shape(name, shape.size()) != shape) throw Error(Code::kInvalidArgument, "tensor '" + name + "' has another shape than the rest of the model");
    return file_.ReadFloats(name);
  }
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
  const SafetensorsFile file_;
  const Precision precision_;
};

std::size_t ReadHeads(const std::filesystem::path& path) {
  const auto config = ParseJson(ReadFile(path, 1u << 20));
  const auto* fields = config.if_object();
  if (!fields) throw Error(Code::kInvalidArgument, path.string() + " is no JSON object");
  const auto* type = fields->if_contains("model_type");
  if (type && *type != "bert") throw Error(Code::kInvalidArgument, "config.json: model_type must be bert");
  if (const auto* gelu = fields->if_contains("hidden_act"); gelu && *gelu != "gelu") throw Error(Code::kInvalidArgument, "config.json: hidden_act must be gelu");
  const auto* heads = fields->if_contains("num_attention_heads");
  if (!heads || !heads->is_int64() || heads->get_int64() < 1) throw Error(Code::kInvalidArgument, "config.json: no num_attention_heads");
  return static_cast<std::size_t>(heads->get_int64());
}

/// Memory of one forward pass, used again and again.
struct Workspace {
  AlignedBuffer<float> x, mixed, projected, wide;
  Inputs inputs;
  AttentionScratch attention;
};

class BertReranker final : public Reranker {
 public:
  BertReranker(const std::filesystem::path& folder, const BertRerankerOptions& options)
      : name_(folder.filename().string()), words_(ReadFile(folder / "vocab.txt", 32u << 20)), precision_(options.precision) {
    const Tensors tensors(folder / "model.safetensors", precision_);
    const auto vocabulary = tensors.Shape("bert.embeddings.word_embeddings.weight", 2), positions = tensors.Shape("bert.embeddings.position_embeddings.weight", 2);
    width_ = vocabulary[1];
    if (positions[0] < 8) throw Error(Code::kInvalidArgument, "not a BERT cross-encoder: it reads " + std::to_string(positions[0]) + " tokens");
    if (words_.size() > vocabulary[0]) throw Error(Code::kInvalidArgument, "vocab.txt has more lines than the model has tokens");
    heads_ = ReadHeads(folder / "config.json");
    if (width_ % heads_ != 0 || width_ / heads_ > kMaxHeadWidth) throw Error(Code::kInvalidArgument, std::to_string(width_) + " dimensions do not divide into " + std::to_string(heads_) + " heads of up to " + std::to_string(kMaxHeadWidth));
    max_tokens_ = std::clamp<std::size_t>(options.max_tokens, 8, positions[0]);
    word_table_ = tensors.Read("bert.embeddings.word_embeddings.weight", {vocabulary[0], width_});
    position_table_ = tensors.Read("bert.embeddings.position_embeddings.weight", {positions[0], width_});
    type_table_ = tensors.Read("bert.embeddings.token_type_embeddings.weight", {2, width_});
    embedding_norm_ = tensors.ReadNorm("bert.embeddings.LayerNorm", width_);
    for (std::size_t i = 0; i < kMaxLayers && tensors.Has("bert.encoder.layer." + std::to_string(i) + ".intermediate.dense.weight"); ++i) {
      const auto at = "bert.encoder.layer." + std::to_string(i) + ".";
      const std::size_t inner = tensors.Shape(at + "intermediate.dense.weight", 2)[0];
      inner_ = std::max(inner_, inner);
      layers_.push_back({.query_key_value = tensors.ReadLinear({at + "attention.self.query", at + "attention.self.key", at + "attention.self.value"}, width_, width_),
                         .attention_output = tensors.ReadLinear({at + "attention.output.dense"}, width_, width_),
                         .intermediate = tensors.ReadLinear({at + "intermediate.dense"}, inner, width_),
                         .output = tensors.ReadLinear({at + "output.dense"}, width_, inner),
                         .attention_norm = tensors.ReadNorm(at + "attention.output.LayerNorm", width_),
                         .output_norm = tensors.ReadNorm(at + "output.LayerNorm", width_)});
    }
    if (layers_.empty()) throw Error(Code::kInvalidArgument, "not a BERT cross-encoder: it has no layers");
    pooler_weights_ = tensors.Read("bert.pooler.dense.weight", {width_, width_});
    pooler_bias_ = tensors.Read("bert.pooler.dense.bias", {width_});
    const auto labels = tensors.Shape("classifier.weight", 2);
    if (labels[0] != 1) throw Error(Code::kInvalidArgument, "a cross-encoder has one label, this model has " + std::to_string(labels[0]));
    classifier_ = tensors.Read("classifier.weight", {1, width_});
    classifier_bias_ = tensors.Read("classifier.bias", {1})[0];
  }

  std::vector<float> Score(const Context& ctx, std::string_view query, std::span<const std::string> passages) override {
    ctx.Check();
    std::vector<float> out;
    std::vector<TokenPair> batch;
    std::size_t tokens = 0;
    auto workspace = Borrow();
    const auto flush = [&] {
      ctx.Check();
      if (!batch.empty()) ScoreBatch(batch, tokens, out, *workspace);
      batch.clear();
      tokens = 0;
    };
    for (const auto& passage : passages) {
      auto pair = EncodePair(words_, query, passage, max_tokens_);
      if (tokens + pair.ids.size() > kBatchTokens) flush();
      tokens += pair.ids.size();
      batch.push_back(std::move(pair));
    }
    flush();
    GiveBack(std::move(workspace));
    return out;
  }
  std::string name() const override { return name_; }

 private:
  std::unique_ptr<Workspace> Borrow() {
    const std::lock_guard lock(mutex_);
    if (workspaces_.empty()) return std::make_unique<Workspace>();
    auto workspace = std::move(workspaces_.back());
    workspaces_.pop_back();
    return workspace;
  }
  void GiveBack(std::unique_ptr<Workspace> workspace) {
    const std::lock_guard lock(mutex_);
    if (workspaces_.size() < kKeptWorkspaces) workspaces_.push_back(std::move(workspace));
  }

  void Embed(const std::vector<TokenPair>& batch, float* x) const {
    for (const auto& pair : batch)
      for (std::size_t p = 0; p < pair.ids.size(); ++p, x += width_) {
        const float* word = word_table_.data() + static_cast<std::size_t>(pair.ids[p]) * width_;
        const float* position = position_table_.data() + p * width_;
        const float* type = type_table_.data() + (p < pair.first ? 0 : width_);
        for (std::size_t i = 0; i < width_; ++i) x[i] = word[i] + position[i] + type[i];
      }
  }

  /// Pairs stand one behind the other, without padding; only attention looks at their bounds.
  void ScoreBatch(const std::vector<TokenPair>& batch, std::size_t tokens, std::vector<float>& out, Workspace& work) const {
    work.x.Need(tokens * width_);
    work.mixed.Need(tokens * width_);
    work.projected.Need(tokens * width_);
    work.wide.Need(std::max(tokens * 3 * width_, std::min(tokens, kWideTokens) * inner_));
    float *const x = work.x.data(), *const mixed = work.mixed.data(), *const projected = work.projected.data(), *const wide = work.wide.data();
    Embed(batch, x);
    embedding_norm_.Apply(x, nullptr, tokens);
    for (const auto& layer : layers_) {
      work.inputs.Assign(x, tokens, width_, width_, precision_);
      layer.query_key_value.Apply(work.inputs, wide);
      std::size_t row = 0;
      for (const auto& pair : batch) {
        Attend(wide + row * 3 * width_, pair.ids.size(), width_, heads_, precision_, mixed + row * width_, work.attention);
        row += pair.ids.size();
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
    std::size_t row = 0;
    for (const auto& pair : batch) {
      out.push_back(ScoreOf(x + row * width_));
      row += pair.ids.size();
    }
  }

  /// Of the vector of [CLS]: pooler, classifier, logistic function. One row a pair, so plain loops do.
  float ScoreOf(const float* first) const {
    double logit = classifier_bias_;
    for (std::size_t o = 0; o < width_; ++o) {
      double sum = pooler_bias_[o];
      for (std::size_t i = 0; i < width_; ++i) sum += static_cast<double>(pooler_weights_[o * width_ + i]) * first[i];
      logit += classifier_[o] * std::tanh(sum);
    }
    return static_cast<float>(1 / (1 + std::exp(-logit)));
  }

  const std::string name_;
  const WordPiece words_;
  const Precision precision_;
  std::size_t width_ = 0, heads_ = 0, inner_ = 0, max_tokens_ = 0;
  std::vector<float> word_table_, position_table_, type_table_, pooler_weights_, pooler_bias_, classifier_;
  float classifier_bias_ = 0;
  Norm embedding_norm_;
  std::vector<Layer> layers_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> workspaces_;  // guarded by mutex_
};

}  // namespace

TokenPair EncodePair(const WordPiece& words, std::string_view query, std::string_view passage, std::size_t max_tokens) {
  const auto room = max_tokens - 3;
  // With [CLS] and [SEP] of its own. What is longer than the room is cut all the same, however long it is.
  auto first = words.Encode(query, room + 2), second = words.Encode(passage, room + 2);
  auto a = first.size() - 2, b = second.size() - 2;
  if (a + b > room) {
    const auto shorter = std::min(a, b), longer = std::max(shorter, room - std::min(room, shorter));
    // Source: `tokenizers`, truncate_encodings. The odd one goes to the longer text.
    const auto cut_shorter = shorter + longer > room ? room / 2 : shorter, cut_longer = shorter + longer > room ? room / 2 + room % 2 : longer;
    if (a <= b) a = cut_shorter, b = cut_longer;
    else a = cut_longer, b = cut_shorter;
  }
  const auto cls = first.front(), sep = first.back();
  TokenPair out;
  out.ids.push_back(cls);
  out.ids.insert(out.ids.end(), first.begin() + 1, first.begin() + 1 + static_cast<std::ptrdiff_t>(a));
  out.ids.push_back(sep);
  out.first = out.ids.size();
  out.ids.insert(out.ids.end(), second.begin() + 1, second.begin() + 1 + static_cast<std::ptrdiff_t>(b));
  out.ids.push_back(sep);
  return out;
}

std::unique_ptr<Reranker> OpenBertReranker(const std::filesystem::path& folder, BertRerankerOptions options) {
  return Within("open re-ranking model " + folder.string(), [&] { return std::make_unique<BertReranker>(folder, options); });
}

}  // namespace tenfold::models
