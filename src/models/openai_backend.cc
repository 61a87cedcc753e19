#include "models/openai_backend.h"

#include <chrono>

#include "base/sse.h"
#include "models/remote_server.h"

namespace tenfold::models {
namespace {

constexpr std::string_view kScheme = "openai:";

/// An error that comes once the answer has begun has a type instead of a status.
int StatusOf(const Json& error) {
  const auto* type = error.is_object() ? error.get_object().if_contains("type") : nullptr;
  const auto name = type && type->is_string() ? AsView(type->get_string()) : std::string_view();
  return name == "invalid_request_error" ? 400 : name == "authentication_error" ? 401 : name == "permission_error" ? 403 : name == "rate_limit_error" ? 429 : 500;
}

RemoteServer ServerOf(std::string_view name, std::string key) {
  auto url = ParseOpenAiUrl(name);
  return {std::move(url.base), std::move(url.model), std::move(key)};
}

class OpenAiGenerator : public Generator {
 public:
  OpenAiGenerator(std::string_view name, std::string key) : name_(name), server_(ServerOf(name, std::move(key))) {}

  GenerateResult Generate(const Context& ctx, const GenerateRequest& request, const OnText& on_text) override {
    if (request.messages.empty()) throw Error(Code::kInvalidArgument, "messages: must hold at least one", "messages");
    const auto begun = std::chrono::steady_clock::now();
    const auto since = [&] { return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begun).count(); };
    JsonObject body{{"model", server_.model()}, {"messages", ToJson(request.messages)}, {"max_tokens", request.max_tokens}, {"temperature", request.temperature}, {"stream", true}, {"stream_options", JsonObject{{"include_usage", true}}}};
    if (!request.stop.empty()) body["stop"] = ToJson(request.stop);
    if (request.temperature > 0) body["seed"] = request.seed;
    if (request.schema) body["response_format"] = JsonObject{{"type", "json_schema"}, {"json_schema", JsonObject{{"name", "answer"}, {"schema", *request.schema}, {"strict", true}}}};
    GenerateResult result;
    result.finish_reason = "stop";
    SseParser events([&](std::string_view data) {
      if (data == "[DONE]") return;
      Json chunk;
      try {
        chunk = ParseJson(data);
      } catch (const Error& e) {
        throw Error(Code::kUnavailable, "'" + name_ + "' sent an event that is no JSON: " + e.message());  // not our caller's fault, as ParseJson would have it
      }
      if (!chunk.is_object()) return;
      if (const auto* error = chunk.get_object().if_contains("error"); error && !error->is_null()) server_.ThrowAnswer(StatusOf(*error), data);
      if (const auto* usage = chunk.get_object().if_contains("usage"); usage && usage->is_object()) {
        const auto count = [&](std::string_view field) -> std::uint32_t {
          const auto* value = usage->get_object().if_contains(field);
          boost::system::error_code error;  // of what is no count: nothing is made of it
          const auto number = value && value->is_number() ? value->to_number<std::uint32_t>(error) : 0;
          return error ? 0 : number;
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
    RemoteServer::PostOptions post;
    post.on_data = [&](std::string_view piece) { events.Push(piece); };
    server_.Post(ctx, "/chat/completions", body, post);
    result.usage.total_us = since();
    return result;
  }
  std::uint32_t CountTokens(std::string_view text) override { return static_cast<std::uint32_t>(text.size() / 4 + 1); }
  std::uint32_t context_tokens() const override { return 8192; }
  std::string name() const override { return name_; }

 private:
  const std::string name_;
  const RemoteServer server_;
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

}  // namespace tenfold::models
