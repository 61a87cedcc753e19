#include "models/embedder_url.h"

#include <charconv>
#include <cmath>

#include "base/percent.h"

namespace tenfold::models {
namespace {

constexpr std::size_t kLongestPrefix = 1000;

[[noreturn]] void Refuse(const std::string& what) { throw Error(Code::kInvalidArgument, what, "models.embedder"); }

std::uint32_t Number(std::string_view name, std::string_view value, std::uint32_t low, std::uint32_t high) {
  std::uint32_t out = 0;
  const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), out);
  if (problem != std::errc() || end != value.data() + value.size() || out < low || out > high)
    Refuse("embedder option " + std::string(name) + ": must be a number from " + std::to_string(low) + " to " + std::to_string(high));
  return out;
}

void Set(EmbedderOptions& options, std::string_view name, std::string value, bool remote) {
  if (name == "dim") options.dim = Number(name, value, 1, 65'536);
  else if (name == "max_tokens") options.max_tokens = Number(name, value, 8, 1'000'000);
  else if (name == "query_prefix" || name == "passage_prefix") {
    if (value.size() > kLongestPrefix) Refuse("embedder option " + std::string(name) + ": may have " + std::to_string(kLongestPrefix) + " bytes");
    (name == "query_prefix" ? options.query_prefix : options.passage_prefix) = std::move(value);
  } else if (name == "precision" && !remote) {
    if (value != "fp32" && value != "bf16" && value != "int8") Refuse("embedder option precision: must be fp32, bf16 or int8");
    options.precision = std::move(value);
  } else if (name == "batch" && remote) {
    options.batch_texts = Number(name, value, 1, 2048);
  } else if (name == "batch_tokens" && remote) {
    options.batch_tokens = Number(name, value, 1, 1'000'000);
  } else {
    Refuse("there is no embedder option '" + std::string(name.substr(0, 40)) + "' here; there are dim, max_tokens, query_prefix, passage_prefix" + (remote ? ", batch, batch_tokens" : ", precision"));
  }
}

class Adapted final : public Embedder {
 public:
  Adapted(std::unique_ptr<Embedder> embedder, const EmbedderOptions& options, std::string name) : embedder_(std::move(embedder)), options_(options), name_(std::move(name)) {
    if (options_.dim > embedder_->dim()) Refuse("embedder option dim: '" + embedder_->name() + "' has " + std::to_string(embedder_->dim()) + " dimensions, not " + std::to_string(options_.dim));
    const auto empty = embedder_->CountTokens("");
    const auto longest = std::max(embedder_->CountTokens(options_.query_prefix), embedder_->CountTokens(options_.passage_prefix));
    prefix_tokens_ = longest > empty ? longest - empty : 0;
    if (prefix_tokens_ + 8 > embedder_->max_tokens()) Refuse("embedder option: a prefix of " + std::to_string(prefix_tokens_) + " tokens leaves no room in " + std::to_string(embedder_->max_tokens()));
  }
  std::vector<std::vector<float>> Embed(const Context& ctx, std::span<const std::string> texts, EmbedKind kind) override {
    const auto& prefix = kind == EmbedKind::kQuery ? options_.query_prefix : options_.passage_prefix;
    std::vector<std::string> with;
    if (!prefix.empty()) {
      with.reserve(texts.size());
      for (const auto& text : texts) with.push_back(prefix + text);
      texts = with;
    }
    auto vectors = embedder_->Embed(ctx, texts, kind);
    if (options_.dim && options_.dim < embedder_->dim())
      for (auto& vector : vectors) {
        vector.resize(options_.dim);
        vector.shrink_to_fit();
        if (!Normalise(vector)) vector[0] = 1;  // nothing of the text is in these dimensions: any direction is as good, but the length is kept
      }
    return vectors;
  }
  std::uint32_t dim() const override { return options_.dim ? options_.dim : embedder_->dim(); }
  std::uint32_t max_tokens() const override { return embedder_->max_tokens() - prefix_tokens_; }
  std::string name() const override { return name_; }
  std::string identity() const override { return name_ + "\n" + embedder_->identity(); }
  std::uint32_t CountTokens(std::string_view text) override { return embedder_->CountTokens(text); }

 private:
  const std::unique_ptr<Embedder> embedder_;
  const EmbedderOptions options_;
  const std::string name_;
  std::uint32_t prefix_tokens_ = 0;
};

}  // namespace

bool Normalise(std::vector<float>& vector) {
  double squares = 0;
  for (const float x : vector) squares += static_cast<double>(x) * static_cast<double>(x);
  if (!(squares > 1e-30) || !std::isfinite(squares)) return false;
  const auto inverse = static_cast<float>(1 / std::sqrt(squares));
  for (float& x : vector) x *= inverse;
  return true;
}

EmbedderUrl ParseEmbedderUrl(std::string_view url, bool remote) {
  EmbedderUrl out;
  const auto hash = url.rfind('#');
  const auto question = url.find('?', hash == std::string_view::npos ? 0 : hash);
  out.target = url.substr(0, question);
  if (question == std::string_view::npos) return out;
  for (auto rest = url.substr(question + 1); !rest.empty();) {
    const auto one = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    const auto name = one.substr(0, one.find('='));
    Set(out.options, name, PercentDecodeQuery(one.substr(std::min(one.size(), name.size() + 1))), remote);
    if (!name.starts_with("batch")) out.options_text += (out.options_text.empty() ? "?" : "&") + std::string(one);
  }
  return out;
}

std::unique_ptr<Embedder> WithOptions(std::unique_ptr<Embedder> embedder, const EmbedderOptions& options, std::string name) {
  if (name == embedder->name()) return embedder;
  return std::make_unique<Adapted>(std::move(embedder), options, std::move(name));
}

}  // namespace tenfold::models
