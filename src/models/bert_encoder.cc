#include "models/bert_encoder.h"

#include <algorithm>
#include <condition_variable>
#include <exception>

#include "base/checksum.h"
#include "base/error.h"
#include "base/files.h"

namespace tenfold::models {
namespace {

// The wide part of a layer is computed for this many tokens at a time: 96 x 1536 floats fit the second-level cache, 256 do not.
constexpr std::size_t kWideTokens = 96;
constexpr std::size_t kMaxLayers = 64, kMaxHeadWidth = 512, kKeptWorkspaces = 16;

/// One call, shared by the threads that take part.
struct SharedCall {
  std::mutex mutex;
  std::condition_variable changed;
  bool closed = false;               // guarded by mutex, as the next two
  std::size_t helpers_at_work = 0;
  std::exception_ptr problem;
  std::atomic<std::size_t> next{0};
};

}  // namespace

BertTensors::BertTensors(const std::filesystem::path& path, Precision precision) : file_(path), precision_(precision) {
  if (file_.tensors().contains("bert.embeddings.word_embeddings.weight")) prefix_ = "bert.";
}

const std::vector<std::uint64_t>& BertTensors::ShapeOf(const std::string& whole_name, std::size_t sizes) const {
  const auto found = file_.tensors().find(whole_name);
  if (found == file_.tensors().end()) throw Error(Code::kInvalidArgument, "not such a BERT model: no tensor '" + whole_name + "'");
  const auto& shape = found->second.shape;
  if (shape.size() != sizes || std::find(shape.begin(), shape.end(), 0u) != shape.end()) throw Error(Code::kInvalidArgument, "not such a BERT model: tensor '" + whole_name + "' has an odd shape");
  return shape;
}

std::vector<float> BertTensors::ReadExactly(const std::string& whole_name, const std::vector<std::uint64_t>& shape) const {
  if (ShapeOf(whole_name, shape.size()) != shape) throw Error(Code::kInvalidArgument, "tensor '" + whole_name + "' has another shape than the rest of the model");
  auto values = file_.ReadFloats(whole_name);
  checksum_ = QuickChecksum(std::as_bytes(std::span(values)), checksum_);
  return values;
}

BertLinear BertTensors::ReadLinear(const std::vector<std::string>& names, std::size_t outputs, std::size_t inputs) const {
  std::vector<float> weights, bias;
  for (const auto& name : names) {
    const auto w = Read(name + ".weight", {outputs, inputs}), b = Read(name + ".bias", {outputs});
    weights.insert(weights.end(), w.begin(), w.end());
    bias.insert(bias.end(), b.begin(), b.end());
  }
  return {PackedMatrix(weights.data(), outputs * names.size(), inputs, inputs, 1, precision_), std::move(bias)};
}

JsonObject ReadModelConfig(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return {};
  auto config = ParseJson(ReadFile(path, 1u << 20));
  if (!config.is_object()) throw Error(Code::kInvalidArgument, path.string() + " is no JSON object");
  return std::move(config.get_object());
}

std::size_t ReadHeads(const JsonObject& config, std::size_t width) {
  std::size_t heads = width / 32;
  if (!config.empty()) {
    if (const auto* gelu = config.if_contains("hidden_act"); gelu && *gelu != "gelu") throw Error(Code::kInvalidArgument, "config.json: hidden_act must be gelu");
    const auto* given = config.if_contains("num_attention_heads");
    if (!given || !given->is_int64() || given->get_int64() < 1) throw Error(Code::kInvalidArgument, "config.json: no num_attention_heads");
    heads = static_cast<std::size_t>(given->get_int64());
  }
  if (heads == 0 || width % heads != 0 || width / heads > kMaxHeadWidth)
    throw Error(Code::kInvalidArgument, std::to_string(width) + " dimensions do not divide into " + std::to_string(heads) + " heads of up to " + std::to_string(kMaxHeadWidth));
  return heads;
}

BertEncoder::BertEncoder(const BertTensors& tensors, std::size_t width, std::size_t heads)
    : width_(width), heads_(heads), precision_(tensors.precision()), embedding_norm_(tensors.ReadNorm("embeddings.LayerNorm", width)) {
  for (std::size_t i = 0; i < kMaxLayers; ++i) {
    const std::string at = "encoder.layer." + std::to_string(i) + ".";
    if (!tensors.Has(at + "intermediate.dense.weight")) break;
    const std::size_t inner = tensors.Shape(at + "intermediate.dense.weight", 2)[0];
    inner_ = std::max(inner_, inner);
    layers_.push_back({.query_key_value = tensors.ReadLinear({at + "attention.self.query", at + "attention.self.key", at + "attention.self.value"}, width_, width_),
                       .attention_output = tensors.ReadLinear({at + "attention.output.dense"}, width_, width_),
                       .intermediate = tensors.ReadLinear({at + "intermediate.dense"}, inner, width_),
                       .output = tensors.ReadLinear({at + "output.dense"}, width_, inner),
                       .attention_norm = tensors.ReadNorm(at + "attention.output.LayerNorm", width_),
                       .output_norm = tensors.ReadNorm(at + "output.LayerNorm", width_)});
  }
  if (layers_.empty()) throw Error(Code::kInvalidArgument, "not such a BERT model: it has no layers");
}

float* BertEncoder::Prepare(std::size_t tokens, Workspace& work) const {
  work.x.Need(tokens * width_);
  work.mixed.Need(tokens * width_);
  work.projected.Need(tokens * width_);
  work.wide.Need(std::max(tokens * 3 * width_, std::min(tokens, kWideTokens) * inner_));
  return work.x.data();
}

const float* BertEncoder::Run(std::span<const std::size_t> lengths, bool first_rows_only, Workspace& work) const {
  float *const x = work.x.data(), *const mixed = work.mixed.data(), *const projected = work.projected.data(), *const wide = work.wide.data();
  std::size_t rows = 0;
  for (const auto length : lengths) rows += length;
  embedding_norm_.Apply(x, nullptr, rows);
  for (const auto& layer : layers_) {
    work.inputs.Assign(x, rows, width_, width_, precision_);
    layer.query_key_value.Apply(work.inputs, wide);
    std::size_t row = 0;
    for (const auto length : lengths) {
      Attend(wide + row * 3 * width_, length, width_, heads_, precision_, mixed + row * width_, work.attention);
      row += length;
    }
    if (first_rows_only && &layer == &layers_.back()) {
      // Each text's first row of both is moved to the front.
      row = 0;
      for (std::size_t i = 0; i < lengths.size(); row += lengths[i++])
        for (float* of : {x, mixed}) std::copy_n(of + row * width_, width_, of + i * width_);
      rows = lengths.size();
    }
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
  return x;
}

std::unique_ptr<BertEncoder::Workspace> BertEncoder::Borrow() const {
  const std::lock_guard lock(mutex_);
  if (workspaces_.empty()) return std::make_unique<Workspace>();
  auto workspace = std::move(workspaces_.back());
  workspaces_.pop_back();
  return workspace;
}

void BertEncoder::GiveBack(std::unique_ptr<Workspace> workspace) const {
  const std::lock_guard lock(mutex_);
  if (workspaces_.size() < kKeptWorkspaces) workspaces_.push_back(std::move(workspace));
}

Helpers::Helpers(const char* name, std::size_t threads) : count_(std::max<std::size_t>(threads, 1) - 1) {
  if (count_ > 0) pool_ = std::make_unique<ThreadPool>(name, count_, count_);
}

void Helpers::Share(std::size_t invited, std::size_t end, const std::function<void(std::atomic<std::size_t>& next)>& part) {
  const auto call = std::make_shared<SharedCall>();
  const auto take = [&part, end](SharedCall& of) noexcept {
    try {
      part(of.next);
    } catch (...) {
      of.next = end;
      const std::lock_guard lock(of.mutex);
      if (!of.problem) of.problem = std::current_exception();
    }
  };
  for (std::size_t i = 0; i < std::min(invited, count_); ++i) {
    try {
      // A helper that comes late finds the call closed and touches nothing of the caller's.
      pool_->Submit([call, &take] {
        {
          const std::lock_guard lock(call->mutex);
          if (call->closed) return;
          ++call->helpers_at_work;
        }
        take(*call);
        const std::lock_guard lock(call->mutex);
        --call->helpers_at_work;
        call->changed.notify_all();
      });
    } catch (const Error&) {
      break;  // all helpers have work: the caller does its own
    }
  }
  take(*call);
  std::unique_lock lock(call->mutex);
  call->closed = true;
  call->changed.wait(lock, [&] { return call->helpers_at_work == 0; });
  if (call->problem) std::rethrow_exception(call->problem);
}

}  // namespace tenfold::models
