#include "models/bert_embedder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/files.h"
#include "base/json.h"
#include "models/safetensors.h"
#include "models/wordpiece.h"

namespace tenfold::models {
namespace {

// Texts are computed together until they hold this many tokens: weights are then read once for all of them, and the activations
// (256 x 3456 floats) still fit the third-level cache. Measured, bench embed_batch: 64 gives 80 % of the speed, 512 no more.
constexpr std::size_t kBatchTokens = 256;
constexpr std::size_t kMaxLayers = 64;

struct Linear {
  PackedMatrix weights;
  std::vector<float> bias;
  void Apply(const float* in, std::size_t rows, float* out) const {
    Multiply(in, rows, weights.inputs(), weights, bias.data(), out, weights.outputs());
  }
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
    return file_.ReadFloats(prefix_ + name);
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
  SafetensorsFile file_;
  std::string prefix_;
  Precision precision_;
};

std::size_t ReadHeads(const std::filesystem::path& folder, std::size_t width) {
  const auto path = folder / "config.json";
  if (!std::filesystem::exists(path)) return width / 32;
  const Json config = ParseJson(ReadFile(path, 1u << 20));
  const auto* heads = config.is_object() ? config.get_object().if_contains("num_attention_heads") : nullptr;
  if (!heads || !heads->is_int64() || heads->get_int64() < 1) throw Error(Code::kInvalidArgument, path.string() + ": no num_attention_heads");
  return static_cast<std::size_t>(heads->get_int64());
}

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
    heads_ = ReadHeads(folder, width_);
    if (heads_ == 0 || width_ % heads_ != 0)
      throw Error(Code::kInvalidArgument, std::to_string(width_) + " dimensions do not divide into " + std::to_string(heads_) + " heads");
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
  }

  std::vector<std::vector<float>> Embed(const Context& ctx, std::span<const std::string> texts, EmbedKind) override {
    std::vector<std::vector<float>> out;
    out.reserve(texts.size());
    std::vector<std::vector<std::int32_t>> batch;
    std::size_t tokens = 0;
    const auto flush = [&] {
      ctx.Check();
      if (!batch.empty()) EmbedBatch(batch, tokens, out);
      batch.clear();
      tokens = 0;
    };
    for (const auto& text : texts) {
      auto ids = words_.Encode(text, max_tokens_);
      if (tokens + ids.size() > kBatchTokens) flush();
      tokens += ids.size();
      batch.push_back(std::move(ids));
    }
    flush();
    return out;
  }
  std::uint32_t dim() const override { return static_cast<std::uint32_t>(width_); }
  std::uint32_t max_tokens() const override { return max_tokens_; }
  std::string name() const override { return name_; }
  std::uint32_t CountTokens(std::string_view text) override {
    return static_cast<std::uint32_t>(words_.Encode(text, std::numeric_limits<std::uint32_t>::max()).size());
  }

 private:
  /// Texts stand one behind the other, without padding; only attention looks at their bounds.
  void EmbedBatch(const std::vector<std::vector<std::int32_t>>& batch, std::size_t tokens, std::vector<std::vector<float>>& out) const {
    AlignedBuffer<float> x(tokens * width_), mixed(tokens * width_), projected(tokens * width_), wide(tokens * std::max(inner_, 3 * width_));
    std::size_t row = 0;
    for (const auto& ids : batch)
      for (std::size_t p = 0; p < ids.size(); ++p, ++row)
        for (std::size_t i = 0; i < width_; ++i)
          x.data()[row * width_ + i] = word_table_[static_cast<std::size_t>(ids[p]) * width_ + i] + position_table_[p * width_ + i];
    embedding_norm_.Apply(x.data(), nullptr, tokens);
    for (const auto& layer : layers_) {
      layer.query_key_value.Apply(x.data(), tokens, wide.data());
      row = 0;
      for (const auto& ids : batch) {
        Attend(wide.data() + row * 3 * width_, ids.size(), mixed.data() + row * width_);
        row += ids.size();
      }
      layer.attention_output.Apply(mixed.data(), tokens, projected.data());
      layer.attention_norm.Apply(x.data(), projected.data(), tokens);
      layer.intermediate.Apply(x.data(), tokens, wide.data());
      Gelu({wide.data(), tokens * layer.intermediate.weights.outputs()});
      layer.output.Apply(wide.data(), tokens, projected.data());
      layer.output_norm.Apply(x.data(), projected.data(), tokens);
    }
    row = 0;
    for (const auto& ids : batch) {
      out.push_back(Pool(x.data() + row * width_, ids.size()));
      row += ids.size();
    }
  }

  /// soft-max(Q K^T / sqrt(head width)) V, head by head. Shapes: in [length, 3 * width] as Q K V side by side; out [length, width].
  void Attend(const float* in, std::size_t length, float* out) const {
    const std::size_t head_width = width_ / heads_, stride = 3 * width_;
    const std::size_t padded = (length + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
    AlignedBuffer<float> scores(length * padded);
    for (std::size_t h = 0; h < heads_; ++h) {
      const float* query = in + h * head_width;
      const PackedMatrix keys(query + width_, length, head_width, stride, 1, Precision::kFloat32);
      const PackedMatrix values(query + 2 * width_, head_width, length, 1, stride, Precision::kFloat32);
      Multiply(query, length, stride, keys, nullptr, scores.data(), padded);
      ScaledSoftmax(scores.data(), length, length, padded, 1.0f / std::sqrt(static_cast<float>(head_width)));
      Multiply(scores.data(), length, padded, values, nullptr, out + h * head_width, width_);
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
  const WordPiece words_;
  std::size_t width_ = 0, heads_ = 0, inner_ = 0;
  std::uint32_t max_tokens_ = 0;
  std::vector<float> word_table_, position_table_;
  Norm embedding_norm_;
  std::vector<Layer> layers_;
};

}  // namespace

std::unique_ptr<Embedder> OpenBertEmbedder(const std::filesystem::path& folder, BertOptions options) {
  return Within("open embedding model " + folder.string(), [&] { return std::make_unique<BertEmbedder>(folder, options); });
}

}  // namespace tenfold::models
