#include "models/openai_backend.h"

#include <cmath>
#include <thread>

#include "base/http_client.h"
#include "base/sse.h"

namespace tenfold::models {
namespace {

constexpr std::string_view kScheme = "openai:";
constexpr int kAttempts = 3;
constexpr std::size_t kEmbedBatch = 64;

Code CodeOfStatus(int status) {
  switch (status) {
    case 400:
    case 404:
    case 413:
    case 422: return Code::kInvalidArgument;
    case 401: return Code::kUnauthenticated;
    case 403: return Code::kPermissionDenied;
    case 429: return Code::kResourceExhausted;
    default: return Code::kUnavailable;
  }
}

/// The server's own message, cut; never our request.
[[noreturn]] void ThrowAnswer(const OpenAiUrl& url, int status, const std::string& body) {
  std::string message = "status " + std::to_string(status);
  try {
    const auto parsed = ParseJson(body);
    message += ": " + std::string(AsView(parsed.at("error").at("message").as_string())).substr(0, 300);
  } catch (const std::exception&) {
    // Not an error body of this protocol: the status says enough.
  }
  throw Error(CodeOfStatus(status), "'" + url.model + "' at " + url.base + " answered " + message);
}

/// An error that comes once the answer has begun has a type instead of a status.
int StatusOf(const Json& error) {
  const auto* type = error.is_object() ? error.get_object().if_contains("type") : nullptr;
  const auto name = type && type->is_string() ? AsView(type->get_string()) : std::string_view();
  return name == "invalid_request_error" ? 400 : name == "authentication_error" ? 401 : name == "permission_error" ? 403 : name == "rate_limit_error" ? 429 : 500;
}

class Server {
 public:
  Server(OpenAiUrl url, std::string key) : url_(std::move(url)), key_(std::move(key)) {}
  const OpenAiUrl& url() const { return url_; }

  /// Posts; `on_data` gets the body of a 200 as it comes, or it is returned. Tries again what may succeed, unless something was received.
  std::string Post(const Context& ctx, const std::string& path, const Json& body, const std::function<void(std::string_view)>& on_data) const {
    for (int attempt = 1;; ++attempt) {
      bool received = false;
      try {
        HttpClientRequest request;
        request.method = "POST";
        request.url = url_.base + path;
        request.headers = {{"content-type", "application/json"}};
        if (!key_.empty()) request.headers.emplace_back("authorization", "Bearer " + key_);
        request.body = ToText(body);
        if (on_data)
          request.on_data = [&](std::string_view piece) {
            received = true;
            on_data(piece);
          };
        const auto response = Fetch(ctx, request);
        if (response.status != 200) ThrowAnswer(url_, response.status, response.body);
        return response.body;
      } catch (const Error& e) {
        const bool may_retry = e.code() == Code::kUnavailable || e.code() == Code::kResourceExhausted;
        if (!may_retry || received || attempt == kAttempts || ctx.done()) throw;
        std::this_thread::sleep_for(std::chrono::milliseconds(250 * attempt * attempt));
      }
    }
  }

 private:
  const OpenAiUrl url_;
  const std::string key_;
};

class OpenAiGenerator : public Generator {
 public:
  OpenAiGenerator(std::string_view name, std::string key) : name_(name), server_(ParseOpenAiUrl(name), std::move(key)) {}

  GenerateResult Generate(const Context& ctx, const GenerateRequest& request, const OnText& on_text) override {
    if (request.messages.empty()) throw Error(Code::kInvalidArgument, "messages: must hold at least one", "messages");
    const auto begun = std::chrono::steady_clock::now();
    const auto since = [&] { return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begun).count(); };
    JsonObject body{{"model", server_.url().model}, {"messages", ToJson(request.messages)}, {"max_tokens", request.max_tokens}, {"temperature", request.temperature}, {"stream", true}, {"stream_options", JsonObject{{"include_usage", true}}}};
    if (!request.stop.empty()) body["stop"] = ToJson(request.stop);
    if (request.temperature > 0) body["seed"] = request.seed;
    if (request.schema) body["response_format"] = JsonObject{{"type", "json_schema"}, {"json_schema", JsonObject{{"name", "answer"}, {"schema", *request.schema}, {"strict", true}}}};
    GenerateResult result;
    result.finish_reason = "stop";
    SseParser events([&](std::string_view data) {
      if (data == "[DONE]") return;
      const auto chunk = ParseJson(data);
      if (!chunk.is_object()) return;
      if (const auto* error = chunk.get_object().if_contains("error"); error && !error->is_null()) ThrowAnswer(server_.url(), StatusOf(*error), std::string(data));
      if (const auto* usage = chunk.get_object().if_contains("usage"); usage && usage->is_object()) {
        const auto count = [&](std::string_view field) -> std::uint32_t {
          const auto* value = usage->get_object().if_contains(field);
          return value && value->is_number() ? value->to_number<std::uint32_t>() : 0;
        };
        result.usage.prompt_tokens = count("prompt_tokens");
        result.usage.completion_tokens = count("completion_tokens");
      }
      const auto* choices = chunk.get_object().if_contains("choices");
      if (!choices || !choices->is_array() || choices->get_array().empty() || !choices->get_array()[0].is_object()) return;
      const auto& choice = choices->get_array()[0].get_object();
      if (const auto* reason = choice.if_contains("finish_reason"); reason && reason->is_string()) result.finish_reason = AsView(reason->get_string()) == "length" ? "length" : "stop";
      const auto* delta = choice.if_contains("delta");
      const auto* content = delta && delta->is_object() ? delta->get_object().if_contains("content") : nullptr;
      if (!content || !content->is_string() || content->get_string().empty()) return;
      if (result.text.empty()) result.usage.ttft_us = since();
      result.text += AsView(content->get_string());
      if (on_text) on_text(AsView(content->get_string()));
    });
    server_.Post(ctx, "/chat/completions", body, [&](std::string_view piece) { events.Push(piece); });
    result.usage.total_us = since();
    return result;
  }
  std::uint32_t CountTokens(std::string_view text) override { return static_cast<std::uint32_t>(text.size() / 4 + 1); }
  std::uint32_t context_tokens() const override { return 8192; }
  std::string name() const override { return name_; }

 private:
  const std::string name_;
  const Server server_;
};

class OpenAiEmbedder : public Embedder {
 public:
  OpenAiEmbedder(const Context& ctx, std::string_view name, std::string key) : name_(name), server_(ParseOpenAiUrl(name), std::move(key)) {
    const std::string probe = "dimension";
    dim_ = static_cast<std::uint32_t>(Ask(ctx, std::span(&probe, 1)).front().size());
  }
  std::vector<std::vector<float>> Embed(const Context& ctx, std::span<const std::string> texts, EmbedKind) override {
    std::vector<std::vector<float>> out;
    for (std::size_t at = 0; at < texts.size(); at += kEmbedBatch) {
      ctx.Check();
      for (auto& vector : Ask(ctx, texts.subspan(at, std::min(kEmbedBatch, texts.size() - at)))) {
        if (vector.size() != dim_) throw Error(Code::kUnavailable, "'" + name_ + "' changed its dimension");
        out.push_back(std::move(vector));
      }
    }
    return out;
  }
  std::uint32_t dim() const override { return dim_; }
  std::uint32_t max_tokens() const override { return 8192; }
  std::string name() const override { return name_; }
  std::uint32_t CountTokens(std::string_view text) override { return static_cast<std::uint32_t>(text.size() / 4 + 1); }

 private:
  std::vector<std::vector<float>> Ask(const Context& ctx, std::span<const std::string> texts) {
    JsonArray input;
    for (const auto& text : texts) input.emplace_back(text.empty() ? " " : text);
    const auto body = server_.Post(ctx, "/embeddings", JsonObject{{"model", server_.url().model}, {"input", std::move(input)}, {"encoding_format", "float"}}, {});
    try {
      const auto parsed = ParseJson(body);
      const auto& data = parsed.at("data").as_array();
      if (data.size() != texts.size()) throw Error(Code::kUnavailable, "'" + name_ + "' gave " + std::to_string(data.size()) + " vectors for " + std::to_string(texts.size()) + " texts");
      std::vector<std::vector<float>> out(data.size());
      for (const auto& item : data) {
        std::vector<float> vector;
        double length = 0;
        for (const auto& x : item.at("embedding").as_array()) {
          vector.push_back(x.to_number<float>());
          length += static_cast<double>(vector.back()) * static_cast<double>(vector.back());
        }
        if (vector.empty() || length <= 0) throw Error(Code::kUnavailable, "'" + name_ + "' gave an empty vector");
        for (auto& x : vector) x /= static_cast<float>(std::sqrt(length));
        out.at(item.at("index").to_number<std::size_t>()) = std::move(vector);
      }
      return out;
    } catch (const Error&) {
      throw;
    } catch (const std::exception&) {
      throw Error(Code::kUnavailable, "'" + name_ + "' answered something that is no list of embeddings");
    }
  }
  const std::string name_;
  const Server server_;
  std::uint32_t dim_ = 0;
};

}  // namespace

OpenAiUrl ParseOpenAiUrl(std::string_view url) {
  const auto hash = url.rfind('#');
  auto base = url.starts_with(kScheme) && hash != std::string_view::npos ? url.substr(kScheme.size(), hash - kScheme.size()) : std::string_view();
  if (!(base.starts_with("https://") || base.starts_with("http://")) || hash + 1 == url.size())
    throw Error(Code::kInvalidArgument, "'" + std::string(url.substr(0, 200)) + "' is not of the form openai:https://host/v1#model", "models.generator");
  while (base.ends_with('/')) base.remove_suffix(1);
  return {std::string(base), std::string(url.substr(hash + 1))};
}

std::unique_ptr<Generator> OpenOpenAiGenerator(std::string_view url, std::string api_key) { return std::make_unique<OpenAiGenerator>(url, std::move(api_key)); }
std::unique_ptr<Embedder> OpenOpenAiEmbedder(const Context& ctx, std::string_view url, std::string api_key) { return std::make_unique<OpenAiEmbedder>(ctx, url, std::move(api_key)); }

}  // namespace tenfold::models
