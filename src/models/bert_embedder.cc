#include "models/bert_embedder.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <optional>

#include "base/checksum.h"
#include "base/files.h"
#include "models/bert_encoder.h"
#include "models/wordpiece.h"

namespace tenfold::models {
namespace {

// A call with less text than this is not worth waking another thread for.
constexpr std::size_t kShareBytes = 2048;

Pooling ReadPooling(const JsonObject& config) {
  const auto is_on = [&](std::string_view field) {
    const auto* value = config.if_contains(field);
    return value && value->is_bool() && value->get_bool();
  };
  if (is_on("pooling_mode_cls_token")) return Pooling::kFirstToken;
  if (config.empty() || is_on("pooling_mode_mean_tokens")) return Pooling::kMean;
  throw Error(Code::kInvalidArgument, "1_Pooling/config.json: only the mean of the tokens and the first token are known here");
}

class BertEmbedder final : public Embedder {
 public:
  BertEmbedder(const std::filesystem::path& folder, const BertOptions& options)
      : name_(folder.filename().string()), words_(ReadFile(folder / "vocab.txt", 32u << 20)) {
    const BertTensors tensors(folder / "model.safetensors", options.precision);
    const auto &vocabulary = tensors.Shape("embeddings.word_embeddings.weight", 2), &positions = tensors.Shape("embeddings.position_embeddings.weight", 2),
               &types = tensors.Shape("embeddings.token_type_embeddings.weight", 2);
    if (positions[0] < 2) throw Error(Code::kInvalidArgument, "not a BERT model: it reads one token");
    width_ = vocabulary[1];
    if (words_.size() > vocabulary[0]) throw Error(Code::kInvalidArgument, "vocab.txt has more lines than the model has tokens");
    const auto heads = ReadHeads(ReadModelConfig(folder / "config.json"), width_);
    pooling_ = options.pooling ? *options.pooling : ReadPooling(ReadModelConfig(folder / "1_Pooling" / "config.json"));
    max_tokens_ = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(options.max_tokens, 2, positions[0]));
    word_table_ = tensors.Read("embeddings.word_embeddings.weight", {vocabulary[0], width_});
    position_table_ = tensors.Read("embeddings.position_embeddings.weight", {positions[0], width_});
    // We only ever embed one segment, so its type is folded into the positions.
    const auto type_table = tensors.Read("embeddings.token_type_embeddings.weight", {types[0], width_});
    for (std::size_t i = 0; i < position_table_.size(); ++i) position_table_[i] += type_table[i % width_];
    encoder_.emplace(tensors, width_, heads);
    const auto vocabulary_text = ReadFile(folder / "vocab.txt", 32u << 20);
    const auto sum = QuickChecksum(std::as_bytes(std::span(vocabulary_text)), tensors.checksum());
    identity_ = name_ + " " + std::to_string(sum) + " " + std::string(NameOf(options.precision)) + " heads " + std::to_string(heads) +
                (pooling_ == Pooling::kMean ? " mean " : " first ") + std::to_string(max_tokens_);
    helpers_.emplace("embed", options.threads);
  }

  std::vector<std::vector<float>> Embed(const Context& ctx, std::span<const std::string> texts, EmbedKind) override {
    ctx.Check();
    std::vector<std::vector<float>> out(texts.size());
    std::size_t bytes = 0;
    for (const auto& text : texts) bytes += std::min<std::size_t>(text.size(), 8 * max_tokens_);
    helpers_->Share(texts.size() > 1 && bytes > 0 ? (bytes - 1) / kShareBytes : 0, texts.size(), [&](std::atomic<std::size_t>& next) { TakePart(ctx, next, texts, out); });
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
  /// Texts are taken one by one, so nobody waits long for the last.
  void TakePart(const Context& ctx, std::atomic<std::size_t>& next, std::span<const std::string> texts, std::vector<std::vector<float>>& out) const {
    auto work = encoder_->Borrow();
    std::vector<std::vector<std::int32_t>> batch;
    std::vector<std::size_t> places;
    std::size_t tokens = 0;
    const auto flush = [&] {
      ctx.Check();
      if (!batch.empty()) EmbedBatch(batch, tokens, places, out, *work);
      batch.clear();
      places.clear();
      tokens = 0;
    };
    for (std::size_t i; (i = next.fetch_add(1)) < texts.size();) {
      auto ids = words_.Encode(texts[i], max_tokens_);
      if (tokens + ids.size() > kBertBatchTokens) flush();
      tokens += ids.size();
      places.push_back(i);
      batch.push_back(std::move(ids));
    }
    flush();
    encoder_->GiveBack(std::move(work));
  }

  void EmbedBatch(const std::vector<std::vector<std::int32_t>>& batch, std::size_t tokens, const std::vector<std::size_t>& places, std::vector<std::vector<float>>& out, BertEncoder::Workspace& work) const {
    float* x = encoder_->Prepare(tokens, work);
    std::vector<std::size_t> lengths;
    for (const auto& ids : batch) {
      lengths.push_back(ids.size());
      for (std::size_t p = 0; p < ids.size(); ++p, x += width_) {
        const float* word = word_table_.data() + static_cast<std::size_t>(ids[p]) * width_;
        const float* position = position_table_.data() + p * width_;
        for (std::size_t i = 0; i < width_; ++i) x[i] = word[i] + position[i];
      }
    }
    const bool first_only = pooling_ == Pooling::kFirstToken;
    const float* rows = encoder_->Run(lengths, first_only, work);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto count = first_only ? 1 : lengths[i];
      out[places[i]] = Pool(rows, count);
      rows += count * width_;
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
  std::size_t width_ = 0;
  Pooling pooling_ = Pooling::kMean;
  std::uint32_t max_tokens_ = 0;
  std::vector<float> word_table_, position_table_;
  std::optional<BertEncoder> encoder_;
  std::optional<Helpers> helpers_;  // last: its threads end before what they use
};

}  // namespace

std::unique_ptr<Embedder> OpenBertEmbedder(const std::filesystem::path& folder, BertOptions options) {
  return Within("open embedding model " + folder.string(), [&] { return std::make_unique<BertEmbedder>(folder, options); });
}

}  // namespace tenfold::models
