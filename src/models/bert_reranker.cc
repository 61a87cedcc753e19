#include "models/bert_reranker.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/files.h"
#include "models/bert_encoder.h"

namespace tenfold::models {
namespace {

/// Pairs that are computed together, and where their scores go.
struct Batch {
  std::vector<TokenPair> pairs;
  std::size_t tokens = 0, first = 0;
};

class BertReranker final : public Reranker {
 public:
  BertReranker(const std::filesystem::path& folder, const BertRerankerOptions& options)
      : name_(folder.filename().string()), words_(ReadFile(folder / "vocab.txt", 32u << 20)), helpers_("rerank", options.threads) {
    const BertTensors tensors(folder / "model.safetensors", options.precision);
    const auto &vocabulary = tensors.Shape("embeddings.word_embeddings.weight", 2), &positions = tensors.Shape("embeddings.position_embeddings.weight", 2);
    width_ = vocabulary[1];
    if (positions[0] < 8) throw Error(Code::kInvalidArgument, "not a BERT cross-encoder: it reads " + std::to_string(positions[0]) + " tokens");
    if (words_.size() > vocabulary[0]) throw Error(Code::kInvalidArgument, "vocab.txt has more lines than the model has tokens");
    const auto config = ReadModelConfig(folder / "config.json");
    if (config.empty()) throw Error(Code::kNotFound, "there is no config.json");
    if (const auto* type = config.if_contains("model_type"); type && *type != "bert") throw Error(Code::kInvalidArgument, "config.json: model_type must be bert");
    max_tokens_ = std::clamp<std::size_t>(options.max_tokens, 8, positions[0]);
    word_table_ = tensors.Read("embeddings.word_embeddings.weight", {vocabulary[0], width_});
    position_table_ = tensors.Read("embeddings.position_embeddings.weight", {positions[0], width_});
    type_table_ = tensors.Read("embeddings.token_type_embeddings.weight", {2, width_});
    encoder_.emplace(tensors, width_, ReadHeads(config, width_));
    pooler_weights_ = tensors.Read("pooler.dense.weight", {width_, width_});
    pooler_bias_ = tensors.Read("pooler.dense.bias", {width_});
    if (const auto labels = tensors.ShapeOf("classifier.weight", 2)[0]; labels != 1) throw Error(Code::kInvalidArgument, "a cross-encoder has one label, this model has " + std::to_string(labels));
    classifier_ = tensors.ReadExactly("classifier.weight", {1, width_});
    classifier_bias_ = tensors.ReadExactly("classifier.bias", {1})[0];
  }

  std::vector<float> Score(const Context& ctx, std::string_view query, std::span<const std::string> passages) override {
    ctx.Check();
    std::vector<Batch> batches;
    std::vector<float> scores(passages.size());
    for (std::size_t i = 0; i < passages.size(); ++i) {
      auto pair = EncodePair(words_, query, passages[i], max_tokens_);
      if (batches.empty() || batches.back().tokens + pair.ids.size() > kBertBatchTokens) batches.push_back({{}, 0, i});
      auto& batch = batches.back();
      batch.tokens += pair.ids.size();
      batch.pairs.push_back(std::move(pair));
    }
    helpers_.Share(batches.empty() ? 0 : batches.size() - 1, batches.size(), [&](std::atomic<std::size_t>& next) {
      auto work = encoder_->Borrow();
      for (std::size_t i; (i = next.fetch_add(1)) < batches.size();) {
        ctx.Check();
        ScoreBatch(batches[i], scores.data() + batches[i].first, *work);
      }
      encoder_->GiveBack(std::move(work));
    });
    return scores;
  }
  std::string name() const override { return name_; }

 private:
  void Embed(const std::vector<TokenPair>& batch, float* x) const {
    for (const auto& pair : batch)
      for (std::size_t p = 0; p < pair.ids.size(); ++p, x += width_) {
        const float* word = word_table_.data() + static_cast<std::size_t>(pair.ids[p]) * width_;
        const float* position = position_table_.data() + p * width_;
        const float* type = type_table_.data() + (p < pair.first ? 0 : width_);
        for (std::size_t i = 0; i < width_; ++i) x[i] = word[i] + position[i] + type[i];
      }
  }

  void ScoreBatch(const Batch& batch, float* scores, BertEncoder::Workspace& work) const {
    Embed(batch.pairs, encoder_->Prepare(batch.tokens, work));
    std::vector<std::size_t> lengths;
    for (const auto& pair : batch.pairs) lengths.push_back(pair.ids.size());
    const float* rows = encoder_->Run(lengths, true, work);
    for (std::size_t i = 0; i < lengths.size(); ++i) scores[i] = ScoreOf(rows + i * width_);
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
  std::size_t width_ = 0, max_tokens_ = 0;
  std::vector<float> word_table_, position_table_, type_table_, pooler_weights_, pooler_bias_, classifier_;
  float classifier_bias_ = 0;
  std::optional<BertEncoder> encoder_;
  Helpers helpers_;  // last: its threads end before what they use
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
