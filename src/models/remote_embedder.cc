#include "models/remote_embedder.h"

#include <functional>

#include "base/utf8.h"
#include "models/embedder_url.h"
#include "models/remote_server.h"

namespace tenfold::models {
namespace {

constexpr std::chrono::seconds kAttemptTimeout{60};
constexpr std::uint32_t kBytesPerToken = 4;
constexpr std::size_t kWidestVector = 65'536;

/// What differs between the protocols.
struct Protocol {
  std::string_view scheme, default_base, path, form;
  std::uint32_t max_tokens, batch_texts, batch_tokens, most_texts;  ///< what a URL does not say, and the most texts the server takes
  /// The request for texts already put into a list.
  JsonObject (*request)(const std::string& model, JsonArray texts, EmbedKind kind, const EmbedderOptions& options);
  /// The list of vectors in an answer; may throw anything where it is none.
  std::vector<const Json*> (*vectors)(const Json& answer);
};

std::vector<const Json*> InOrder(const JsonArray& list) {
  std::vector<const Json*> out;
  for (const auto& one : list) out.push_back(&one);
  return out;
}

constexpr Protocol kOpenAi{
    "openai:", "", "/embeddings", "openai:https://host/v1#model", 8192, 64, 65'536, 2048,
    [](const std::string& model, JsonArray texts, EmbedKind, const EmbedderOptions&) { return JsonObject{{"model", model}, {"input", std::move(texts)}, {"encoding_format", "float"}}; },
    [](const Json& answer) {
      const auto& data = answer.at("data").as_array();
      std::vector<const Json*> out(data.size());
      for (const auto& item : data) out.at(item.at("index").to_number<std::size_t>()) = &item.at("embedding");
      return out;
    }};
constexpr Protocol kCohere{
    "cohere:", "https://api.cohere.com", "/v2/embed", "cohere:model or cohere:https://host#model", 512, 96, 65'536, 96,
    [](const std::string& model, JsonArray texts, EmbedKind kind, const EmbedderOptions&) {
      return JsonObject{{"model", model}, {"texts", std::move(texts)}, {"input_type", kind == EmbedKind::kQuery ? "search_query" : "search_document"}, {"embedding_types", JsonArray{"float"}}, {"truncate", "END"}};
    },
    [](const Json& answer) { return InOrder(answer.at("embeddings").at("float").as_array()); }};
constexpr Protocol kOllama{
    "ollama:", "http://127.0.0.1:11434", "/api/embed", "ollama:model or ollama:http://host:11434#model", 512, 32, 16'384, 2048,
    [](const std::string& model, JsonArray texts, EmbedKind, const EmbedderOptions& options) {
      JsonObject body{{"model", model}, {"input", std::move(texts)}, {"truncate", true}};
      if (options.dim) body["dimensions"] = options.dim;
      return body;
    },
    [](const Json& answer) { return InOrder(answer.at("embeddings").as_array()); }};

RemoteServer ServerOf(const Protocol& protocol, std::string_view target, std::string key) {
  auto rest = target;
  if (rest.starts_with(protocol.scheme)) rest.remove_prefix(protocol.scheme.size());
  const auto hash = rest.rfind('#');
  auto base = hash == std::string_view::npos ? protocol.default_base : rest.substr(0, hash);
  const auto model = hash == std::string_view::npos ? rest : rest.substr(hash + 1);
  if (model.empty() || model.size() > 256 || (hash == std::string_view::npos && model.find("//") != std::string_view::npos) || !(base.starts_with("https://") || base.starts_with("http://")))
    throw Error(Code::kInvalidArgument, "'" + std::string(target.substr(0, 200)) + "' is not of the form " + std::string(protocol.form), "models.embedder");
  while (base.ends_with('/')) base.remove_suffix(1);
  return {std::string(base), std::string(model), std::move(key)};
}

class RemoteEmbedder final : public Embedder {
 public:
  RemoteEmbedder(const Context& ctx, const Protocol& protocol, const EmbedderUrl& url, std::string key)
      : protocol_(protocol), options_(url.options), name_(url.target), server_(ServerOf(protocol, url.target, std::move(key))),
        max_tokens_(options_.max_tokens ? options_.max_tokens : protocol.max_tokens),
        batch_texts_(options_.batch_texts ? std::min(options_.batch_texts, protocol.most_texts) : protocol.batch_texts),
        batch_bytes_(std::size_t{options_.batch_tokens ? options_.batch_tokens : protocol.batch_tokens} * kBytesPerToken) {
    dim_ = static_cast<std::uint32_t>(Ask(ctx, JsonArray{"dimension"}, EmbedKind::kPassage).front().size());
  }

  std::vector<std::vector<float>> Embed(const Context& ctx, std::span<const std::string> texts, EmbedKind kind) override {
    ctx.Check();
    std::vector<std::vector<float>> out;
    out.reserve(texts.size());
    JsonArray batch;
    std::size_t bytes = 0;
    const auto flush = [&] {
      if (batch.empty()) return;
      ctx.Check();
      for (auto& vector : Ask(ctx, std::exchange(batch, {}), kind)) out.push_back(std::move(vector));
      bytes = 0;
    };
    for (const auto& text : texts) {
      const auto cut = Cut(text);
      if (batch.size() == batch_texts_ || bytes + cut.size() > batch_bytes_) flush();
      bytes += cut.size();
      batch.emplace_back(cut);
    }
    flush();
    return out;
  }
  std::uint32_t dim() const override { return dim_; }
  std::uint32_t max_tokens() const override { return max_tokens_; }
  std::string name() const override { return name_; }
  std::uint32_t CountTokens(std::string_view text) override { return static_cast<std::uint32_t>(text.size() / kBytesPerToken + 1); }

 private:
  /// Some servers refuse an empty text.
  std::string_view Cut(std::string_view text) const {
    if (text.empty()) return " ";
    return CutUtf8(text, std::size_t{max_tokens_} * kBytesPerToken);
  }

  std::vector<std::vector<float>> Ask(const Context& ctx, JsonArray texts, EmbedKind kind) const {
    const auto count = texts.size();
    RemoteServer::PostOptions post;
    post.attempt_timeout = kAttemptTimeout;
    const auto body = server_.Post(ctx, std::string(protocol_.path), protocol_.request(server_.model(), std::move(texts), kind, options_), post);
    try {
      const auto answer = ParseJson(body);
      const auto lists = protocol_.vectors(answer);
      if (lists.size() != count) throw Error(Code::kUnavailable, "'" + name_ + "' gave " + std::to_string(lists.size()) + " vectors for " + std::to_string(count) + " texts");
      std::vector<std::vector<float>> out;
      for (const auto* list : lists) {
        auto& vector = out.emplace_back();
        if (!list) throw Error(Code::kUnavailable, "'" + name_ + "' left out a text");
        for (const auto& x : list->as_array()) vector.push_back(x.to_number<float>());
        if (vector.size() > kWidestVector || !Normalise(vector)) throw Error(Code::kUnavailable, "'" + name_ + "' gave an empty, zero or endless vector");
        if (vector.size() != (dim_ ? dim_ : out.front().size())) throw Error(Code::kUnavailable, "'" + name_ + "' changed its dimension");
      }
      return out;
    } catch (const Error& e) {
      if (e.code() == Code::kUnavailable) throw;
      throw Error(Code::kUnavailable, "'" + name_ + "' answered something that is no list of embeddings: " + e.message());  // not our caller's fault, as ParseJson would have it
    } catch (const std::exception&) {
      throw Error(Code::kUnavailable, "'" + name_ + "' answered something that is no list of embeddings");
    }
  }

  const Protocol& protocol_;
  const EmbedderOptions options_;
  const std::string name_;
  const RemoteServer server_;
  const std::uint32_t max_tokens_, batch_texts_;
  const std::size_t batch_bytes_;
  std::uint32_t dim_ = 0;
};

std::unique_ptr<Embedder> Open(const Context& ctx, const Protocol& protocol, std::string_view url, std::string key) {
  const auto parsed = ParseEmbedderUrl(url, true);
  return WithOptions(std::make_unique<RemoteEmbedder>(ctx, protocol, parsed, std::move(key)), parsed.options, parsed.target + parsed.options_text);
}

}  // namespace

std::unique_ptr<Embedder> OpenOpenAiEmbedder(const Context& ctx, std::string_view url, std::string api_key) { return Open(ctx, kOpenAi, url, std::move(api_key)); }
std::unique_ptr<Embedder> OpenCohereEmbedder(const Context& ctx, std::string_view url, std::string api_key) { return Open(ctx, kCohere, url, std::move(api_key)); }
std::unique_ptr<Embedder> OpenOllamaEmbedder(const Context& ctx, std::string_view url, std::string api_key) { return Open(ctx, kOllama, url, std::move(api_key)); }

}  // namespace tenfold::models
