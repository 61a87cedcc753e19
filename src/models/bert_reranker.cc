#include "models/bert_reranker.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <mutex>

#include "base/executor.h"
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

/// Pairs that are computed together, and where their scores go.
struct Batch {
  std::vector<TokenPair> pairs;
  std::size_t tokens = 0, first = 0;
};

/// One Score, shared by the threads that take part. Batches are taken one by one.
struct SharedWork {
  std::vector<Batch> batches;
  std::vector<float> scores;
  std::mutex mutex;
  std::condition_variable changed;
  bool closed = false;               // guarded by mutex, as the next two
  std::size_t helpers_at_work = 0;
  std::exception_ptr problem;
  std::atomic<std::size_t> next{0};
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
    helper_count_ = std::max(options.threads, 1u) - 1;
    if (helper_count_ > 0) helpers_ = std::make_unique<ThreadPool>("rerank", helper_count_, helper_count_);
  }

  std::vector<float> Score(const Context& ctx, std::string_view query, std::span<const std::string> passages) override {
    ctx.Check();
    const auto work = std::make_shared<SharedWork>();
    work->scores.resize(passages.size());
    for (std::size_t i = 0; i < passages.size(); ++i) {
      auto pair = EncodePair(words_, query, passages[i], max_tokens_);
      if (work->batches.empty() || work->batches.back().tokens + pair.ids.size() > kBatchTokens) work->batches.push_back({{}, 0, i});
      auto& batch = work->batches.back();
      batch.tokens += pair.ids.size();
      batch.pairs.push_back(std::move(pair));
    }
    for (std::size_t asked = 1; asked <= helper_count_ && asked < work->batches.size(); ++asked) Invite(ctx, work);
    TakePart(ctx, *work);
    std::unique_lock lock(work->mutex);
    work->closed = true;
    work->changed.wait(lock, [&] { return work->helpers_at_work == 0; });
    if (work->problem) std::rethrow_exception(work->problem);
    return std::move(work->scores);
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

  /// A helper that comes late finds the work closed and touches nothing of the caller's.
  void Invite(const Context& ctx, const std::shared_ptr<SharedWork>& work) {
    try {
      helpers_->Submit([this, &ctx, work] {
        {
          const std::lock_guard lock(work->mutex);
          if (work->closed) return;
          ++work->helpers_at_work;
        }
        TakePart(ctx, *work);
        const std::lock_guard lock(work->mutex);
        --work->helpers_at_work;
        work->changed.notify_all();
      });
    } catch (const Error& e) {
      if (e.code() != Code::kResourceExhausted) throw;  // all helpers have work: the caller does its own
    }
  }
  void TakePart(const Context& ctx, SharedWork& work) noexcept {
    try {
      auto workspace = Borrow();
      for (std::size_t i; (i = work.next.fetch_add(1)) < work.batches.size();) {
        ctx.Check();
        ScoreBatch(work.batches[i], work.scores.data() + work.batches[i].first, *workspace);
      }
      GiveBack(std::move(workspace));
    } catch (...) {
      work.next = work.batches.size();
      const std::lock_guard lock(work.mutex);
      if (!work.problem) work.problem = std::current_exception();
    }
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

  /// Pairs stand one behind the other, without padding; only attention looks at their bounds. Of the last layer only the rows of [CLS] are wanted: an eighth of six layers' work is spared.
  void ScoreBatch(const Batch& batch, float* scores, Workspace& work) const {
    auto rows = batch.tokens;
    work.x.Need(rows * width_);
    work.mixed.Need(rows * width_);
    work.projected.Need(rows * width_);
    work.wide.Need(std::max(rows * 3 * width_, std::min(rows, kWideTokens) * inner_));
    float *const x = work.x.data(), *const mixed = work.mixed.data(), *const projected = work.projected.data(), *const wide = work.wide.data();
    Embed(batch.pairs, x);
    embedding_norm_.Apply(x, nullptr, rows);
    for (const auto& layer : layers_) {
      work.inputs.Assign(x, rows, width_, width_, precision_);
      layer.query_key_value.Apply(work.inputs, wide);
      std::size_t row = 0;
      for (const auto& pair : batch.pairs) {
        Attend(wide + row * 3 * width_, pair.ids.size(), width_, heads_, precision_, mixed + row * width_, work.attention);
        row += pair.ids.size();
      }
      if (&layer == &layers_.back()) rows = KeepFirstRows(batch.pairs, x, mixed);
      work.inputs.Assign(mixed, rows, width_, width_, precision_);
      layer.attention_output.Apply(work.inputs, projected);
      layer.attention_norm.Apply(x, projected, rows);
      for (std::size_t first = 0; first < rows; first += kWideTokens) {
        const std::size_t count = std::min(kWideTokens, rows - first);
        float* const part = x + first * width_;
        work.inputs.Assign(part, count, width_, width_, precision_);
        layer.intermediate.Apply(work.inputs, wide);
        work.inputs.AssignGelu(wide, count, layer.intermediate.weights.outputs(), precision_);
        layer.output.Apply(work.inputs, projected);
        layer.output_norm.Apply(part, projected, count);
      }
    }
    for (std::size_t i = 0; i < rows; ++i) scores[i] = ScoreOf(x + i * width_);
  }
  /// Moves each pair's first row of both to the front; returns how many those are.
  std::size_t KeepFirstRows(const std::vector<TokenPair>& pairs, float* x, float* mixed) const {
    std::size_t row = 0;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      for (float* rows : {x, mixed}) std::copy_n(rows + row * width_, width_, rows + i * width_);
      row += pairs[i].ids.size();
    }
    return pairs.size();
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
  std::size_t helper_count_ = 0;
  std::unique_ptr<ThreadPool> helpers_;  // last: its threads end before what they use
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
