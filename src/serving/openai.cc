#include "serving/openai.h"

#include <algorithm>

#include "base/clock.h"
#include "base/crypto.h"

namespace tenfold::serving {
namespace {

using namespace std::chrono_literals;
using boost::json::string;
constexpr std::string_view kAssistant = "assistant";

struct StreamOptions {
  bool include_usage = false;
};
TENFOLD_DESCRIBE(StreamOptions, (include_usage))

struct FunctionSpec {
  std::string name;
  std::string description;
  Json parameters;
};
TENFOLD_DESCRIBE(FunctionSpec, (name, Required{}, Length{1, 64}), (description, Length{0, 4096}), (parameters))

struct ToolSpec {
  std::string type;
  FunctionSpec function;
};
TENFOLD_DESCRIBE(ToolSpec, (type, Required{}), (function, Required{}))

struct ChatMessageIn {
  std::string role;
  Json content;
  Json tool_calls;
  std::string tool_call_id;
};
TENFOLD_DESCRIBE(ChatMessageIn, (role, Required{}, Length{1, 32}), (content), (tool_calls), (tool_call_id, Length{0, 256}))

struct ChatRequest {
  std::string model;
  std::vector<ChatMessageIn> messages;
  bool stream = false;
  StreamOptions stream_options;
  std::optional<std::uint32_t> max_tokens;
  std::optional<std::uint32_t> max_completion_tokens;
  float temperature = 0;
  std::optional<std::int64_t> seed;
  Json stop;
  std::uint32_t n = 1;
  std::vector<ToolSpec> tools;
  Json tool_choice;
  Json response_format;
};
TENFOLD_DESCRIBE(ChatRequest, (model, Required{}, Length{1, 256}), (messages, Required{}, Length{1, 1024}), (stream), (stream_options), (max_tokens, Range{1, 1e6}), (max_completion_tokens, Range{1, 1e6}),
                 (temperature, Range{0, 2}), (seed), (stop), (n, Range{1, 1}), (tools, Length{0, 128}), (tool_choice), (response_format))

struct EmbeddingRequest {
  std::string model;
  Json input;
  std::string encoding_format = "float";
  std::optional<std::uint32_t> dimensions;
};
TENFOLD_DESCRIBE(EmbeddingRequest, (model, Required{}, Length{1, 256}), (input, Required{}), (encoding_format), (dimensions))

Json OrNull(const Json* value) { return value ? *value : Json(nullptr); }

std::string TextOfContent(const Json& content, const std::string& path) {
  if (content.is_null()) return {};
  if (content.is_string()) return std::string(AsView(content.get_string()));
  if (!content.is_array()) throw Error(Code::kInvalidArgument, path + ": must be a string or a list of parts", path);
  std::string out;
  for (const auto& part : content.get_array()) {
    const auto* type = part.is_object() ? part.get_object().if_contains("type") : nullptr;
    const auto* text = part.is_object() ? part.get_object().if_contains("text") : nullptr;
    if (!type || !type->is_string() || AsView(type->get_string()) != "text" || !text || !text->is_string())
      throw Error(Code::kInvalidArgument, path + ": only text parts are understood by this model", path);
    out += (out.empty() ? "" : "\n") + std::string(AsView(text->get_string()));
  }
  return out;
}

std::vector<models::ChatMessage> MessagesOf(const ChatRequest& request) {
  static constexpr const char* kRoles[] = {"system", "developer", "user", "assistant", "tool"};
  std::vector<models::ChatMessage> out;
  for (std::size_t i = 0; i < request.messages.size(); ++i) {
    const auto& message = request.messages[i];
    const auto path = "messages[" + std::to_string(i) + "]";
    if (std::find(std::begin(kRoles), std::end(kRoles), message.role) == std::end(kRoles))
      throw Error(Code::kInvalidArgument, path + ".role: must be one of: system, developer, user, assistant, tool", path + ".role");
    auto content = TextOfContent(message.content, path + ".content");
    if (message.tool_calls.is_array())
      for (const auto& call : message.tool_calls.get_array())
        if (call.is_object() && call.get_object().contains("function")) content += (content.empty() ? "" : "\n") + ToText(call.get_object().at("function"));
    // Models here know no tool or developer role of their own.
    if (message.role == "tool") out.push_back({"user", "Result of the tool call:\n" + content});
    else out.push_back({message.role == "developer" ? "system" : message.role, std::move(content)});
  }
  return out;
}

JsonObject UsageJson(std::int64_t prompt, std::int64_t cached, std::int64_t completion) {
  return {{"prompt_tokens", prompt}, {"completion_tokens", completion}, {"total_tokens", prompt + completion}, {"prompt_tokens_details", JsonObject{{"cached_tokens", cached}}}, {"completion_tokens_details", JsonObject{{"reasoning_tokens", 0}}}};
}

std::string Data(const Json& body) { return "data: " + ToText(body) + "\n\n"; }

/// The chunks of one streamed completion.
class ChunkWriter {
 public:
  ChunkWriter(StreamWriter& out, std::string id, std::string model, std::int64_t created, bool include_usage)
      : out_(out), id_(std::move(id)), model_(std::move(model)), created_(created), include_usage_(include_usage) {}
  /// Whether anything was sent; before that an error can still be the answer.
  bool open() const { return open_; }
  void Text(std::string_view text) {
    if (!text.empty()) Send(JsonObject{{"content", text}}, nullptr);
  }
  void Send(JsonObject delta, const Json& finish_reason) {
    if (!std::exchange(open_, true)) Send(JsonObject{{"role", "assistant"}, {"content", ""}}, nullptr);
    auto chunk = Base();
    chunk["choices"] = JsonArray{JsonObject{{"index", 0}, {"delta", std::move(delta)}, {"finish_reason", finish_reason}, {"logprobs", nullptr}}};
    if (include_usage_) chunk["usage"] = nullptr;
    out_.Write(Data(chunk));
  }
  void Finish(std::string_view reason, const JsonObject& usage) {
    Send({}, string(reason));
    if (include_usage_) {
      auto chunk = Base();
      chunk["choices"] = JsonArray{};
      chunk["usage"] = usage;
      out_.Write(Data(chunk));
    }
    out_.Write("data: [DONE]\n\n");
  }
  void Fail(const Error& error) {
    out_.Write(Data(JsonObject{{"error", JsonObject{{"message", error.message()}, {"type", string(OpenAiErrorType(HttpStatusOf(error.code())))}, {"param", nullptr}, {"code", string(CodeName(error.code()))}}}}));
  }

 private:
  JsonObject Base() const { return {{"id", id_}, {"object", "chat.completion.chunk"}, {"created", created_}, {"model", model_}, {"system_fingerprint", nullptr}}; }
  StreamWriter& out_;
  const std::string id_, model_;
  const std::int64_t created_;
  const bool include_usage_;
  bool open_ = false;
};

HttpResponse EventStream(std::function<void(StreamWriter&)> stream) {
  HttpResponse response;
  response.content_type = "text/event-stream";
  response.headers = {{"cache-control", "no-cache"}, {"x-accel-buffering", "no"}};
  response.stream = std::move(stream);
  return response;
}

HttpResponse CompletionResponse(const std::string& id, const std::string& model, std::int64_t created, JsonObject message, std::string_view finish_reason, JsonObject usage) {
  HttpResponse response;
  response.body = ToText(JsonObject{{"id", id},
                                    {"object", "chat.completion"},
                                    {"created", created},
                                    {"model", model},
                                    {"choices", JsonArray{JsonObject{{"index", 0}, {"finish_reason", string(finish_reason)}, {"logprobs", nullptr}, {"message", std::move(message)}}}},
                                    {"usage", std::move(usage)},
                                    {"system_fingerprint", nullptr},
                                    {"service_tier", "default"}});
  return response;
}

/// What a turn's events say to an OpenAI client.
struct TurnView {
  std::string text;
  JsonArray annotations;
  std::map<std::int64_t, JsonObject> sources;
  std::int64_t prompt = 0, cached = 0, completion = 0;

  /// Returns the text that this event adds.
  std::string Take(const workflows::RunEvent& event) {
    const auto* data = event.data.if_object();
    if (!data) return {};
    if (event.type == "source") {
      sources[data->at("number").to_number<std::int64_t>()] = *data;
    } else if (event.type == "token") {
      const std::string added(AsView(data->at("text").get_string()));
      Annotate(added);
      text += added;
      return added;
    } else if (event.type == "approval_asked") {
      const auto& input = data->at("input").get_object();
      const std::string added = "I can do this for you once you confirm it (" + std::string(AsView(data->at("name").get_string())) + "): " + std::string(AsView(OrNull(input.if_contains("subject")).is_string() ? input.at("subject").get_string() : string(""))) +
                                "\n\nConfirm it in the web app, or with POST /api/answers/" + event.run + "/approval {\"approved\": true}.";
      text += added;
      return added;
    } else if (event.type == "finished") {
      prompt = data->at("prompt_tokens").to_number<std::int64_t>();
      cached = data->at("cached_tokens").to_number<std::int64_t>();
      completion = data->at("completion_tokens").to_number<std::int64_t>();
    }
    return {};
  }

 private:
  void Annotate(const std::string& added) {
    for (std::size_t at = added.find('['); at != std::string::npos; at = added.find('[', at + 1)) {
      const auto end = added.find(']', at);
      if (end == std::string::npos) return;
      const auto found = sources.find(std::strtoll(added.c_str() + at + 1, nullptr, 10));
      if (found == sources.end()) continue;
      const auto& document = found->second.at("document").get_object();
      annotations.push_back(JsonObject{{"type", "url_citation"},
                                       {"url_citation", JsonObject{{"url", "/documents/" + std::string(AsView(document.at("id").get_string()))},
                                                                   {"title", document.at("title")},
                                                                   {"start_index", static_cast<std::int64_t>(text.size() + at)},
                                                                   {"end_index", static_cast<std::int64_t>(text.size() + end + 1)}}}});
    }
  }
};

/// Follows the run until it has ended or waits; cancels it if the caller leaves.
template <class OnText>
workflows::RunState Follow(const OpenAiParts& on, const Context& ctx, const std::string& run, TurnView& view, const OnText& on_text) {
  std::int64_t seen = 0;
  try {
    for (;;) {
      const auto batch = on.runs.Events(ctx, run, seen, 500ms);
      for (const auto& event : batch.events) {
        seen = event.number;
        const auto added = view.Take(event);
        if (!added.empty()) on_text(added);
      }
      ctx.Check();
      if (batch.events.empty() && batch.state != workflows::RunState::kQueued && batch.state != workflows::RunState::kRunning) return batch.state;
    }
  } catch (const Error& e) {
    if (e.code() == Code::kCancelled || e.code() == Code::kDeadlineExceeded) on.runs.Cancel(ctx, run);
    throw;
  }
}

void ThrowIfFailed(const OpenAiParts& on, const Context& ctx, const std::string& run, workflows::RunState state) {
  if (state == workflows::RunState::kCancelled) throw Error(Code::kCancelled, "the answer was stopped");
  if (state != workflows::RunState::kFailed) return;
  const auto failed = on.runs.Get(ctx, run);
  throw Error(Code::kInternal, "the assistant failed: " + (failed ? failed->error : std::string("unknown")));
}

HttpResponse CompleteWithAssistant(const std::shared_ptr<const OpenAiParts>& on, const Context& ctx, const ChatRequest& request) {
  auto messages = MessagesOf(request);
  if (messages.back().role != "user") throw Error(Code::kInvalidArgument, "messages: the last one must be the user's", "messages");
  agents::Question question;
  question.text = std::move(messages.back().content);
  messages.pop_back();
  // Instructions of a client are not the assistant's: its prompt belongs to its version.
  std::erase_if(messages, [](const auto& message) { return message.role == "system"; });
  question.history = std::move(messages);
  const auto run = on->assistant.Ask(ctx, question);
  const auto id = "chatcmpl-" + run;
  const auto created = ToMicros(ctx.clock().Now()) / 1'000'000;
  if (!request.stream) {
    TurnView view;
    ThrowIfFailed(*on, ctx, run, Follow(*on, ctx, run, view, [](const std::string&) {}));
    JsonObject message{{"role", "assistant"}, {"content", view.text}, {"refusal", nullptr}, {"annotations", view.annotations}};
    auto response = CompletionResponse(id, request.model, created, std::move(message), "stop", UsageJson(view.prompt, view.cached, view.completion));
    response.headers.emplace_back("x-tenfold-answer", run);
    return response;
  }
  auto response = EventStream([on, ctx, run, id, created, model = request.model, usage = request.stream_options.include_usage](StreamWriter& out) {
    ChunkWriter chunks(out, id, model, created, usage);
    TurnView view;
    try {
      ThrowIfFailed(*on, ctx, run, Follow(*on, ctx, run, view, [&](const std::string& text) { chunks.Text(text); }));
      if (!view.annotations.empty()) chunks.Send(JsonObject{{"annotations", view.annotations}}, nullptr);
      chunks.Finish("stop", UsageJson(view.prompt, view.cached, view.completion));
    } catch (const Error& e) {
      if (e.code() == Code::kCancelled || !chunks.open()) throw;
      chunks.Fail(e);
    }
  });
  response.headers.emplace_back("x-tenfold-answer", run);
  return response;
}

/// With tools the model writes one JSON object: a call of one of them, or an answer. The grammar allows nothing else.
Json SchemaForTools(const ChatRequest& request, bool may_answer, std::string_view only) {
  JsonArray choices;
  for (const auto& tool : request.tools) {
    if (!only.empty() && tool.function.name != only) continue;
    Json parameters = tool.function.parameters.is_object() ? tool.function.parameters : Json(JsonObject{{"type", "object"}});
    choices.push_back(JsonObject{{"type", "object"},
                                 {"properties", JsonObject{{"name", JsonObject{{"const", tool.function.name}}}, {"arguments", std::move(parameters)}}},
                                 {"required", JsonArray{"name", "arguments"}},
                                 {"additionalProperties", false}});
  }
  if (may_answer)
    choices.push_back(JsonObject{{"type", "object"}, {"properties", JsonObject{{"answer", JsonObject{{"type", "string"}}}}}, {"required", JsonArray{"answer"}}, {"additionalProperties", false}});
  return JsonObject{{"anyOf", std::move(choices)}};
}

struct ToolUse {
  bool on = false;
  bool may_answer = true;
  std::string only;
};

ToolUse ToolUseOf(const ChatRequest& request) {
  ToolUse use;
  use.on = !request.tools.empty();
  for (std::size_t i = 0; i < request.tools.size(); ++i)
    if (request.tools[i].type != "function") throw Error(Code::kInvalidArgument, "tools[" + std::to_string(i) + "].type: only 'function' is understood", "tools[" + std::to_string(i) + "].type");
  if (request.tool_choice.is_string()) {
    const auto choice = AsView(request.tool_choice.get_string());
    if (choice == "none") use.on = false;
    else if (choice == "required") use.may_answer = false;
    else if (choice != "auto") throw Error(Code::kInvalidArgument, "tool_choice: must be none, auto, required or a function", "tool_choice");
  } else if (request.tool_choice.is_object()) {
    const auto* function = request.tool_choice.get_object().if_contains("function");
    const auto* name = function && function->is_object() ? function->get_object().if_contains("name") : nullptr;
    if (!name || !name->is_string()) throw Error(Code::kInvalidArgument, "tool_choice.function.name: is required", "tool_choice");
    use.only = AsView(name->get_string());
    use.may_answer = false;
    if (std::none_of(request.tools.begin(), request.tools.end(), [&](const auto& tool) { return tool.function.name == use.only; }))
      throw Error(Code::kInvalidArgument, "tool_choice: there is no tool '" + use.only + "'", "tool_choice");
  }
  return use;
}

models::GenerateRequest GenerateRequestOf(const ChatRequest& request, const ToolUse& tools) {
  models::GenerateRequest out;
  out.messages = MessagesOf(request);
  out.max_tokens = request.max_completion_tokens.value_or(request.max_tokens.value_or(512));
  out.temperature = request.temperature;
  out.seed = static_cast<std::uint64_t>(request.seed.value_or(0));
  if (request.stop.is_string()) out.stop.emplace_back(AsView(request.stop.get_string()));
  else if (request.stop.is_array())
    for (const auto& item : request.stop.get_array()) {
      if (!item.is_string()) throw Error(Code::kInvalidArgument, "stop: must be a string or a list of strings", "stop");
      out.stop.emplace_back(AsView(item.get_string()));
    }
  if (out.stop.size() > 4) throw Error(Code::kInvalidArgument, "stop: has " + std::to_string(out.stop.size()) + " items, at most 4", "stop");
  if (tools.on) {
    std::string text = "You can call these tools:\n";
    for (const auto& tool : request.tools) text += ToText(JsonObject{{"name", tool.function.name}, {"description", tool.function.description}, {"parameters", tool.function.parameters}}) + "\n";
    text += "Answer with one JSON object and nothing else: {\"name\": tool, \"arguments\": {...}} to call a tool" + std::string(tools.may_answer ? ", or {\"answer\": text} if no tool is needed or its result is there." : ".");
    if (out.messages.front().role == "system") out.messages.front().content += "\n\n" + text;
    else out.messages.insert(out.messages.begin(), {"system", text});
    out.schema = SchemaForTools(request, tools.may_answer, tools.only);
    return out;
  }
  if (request.response_format.is_object()) {
    const auto& format = request.response_format.get_object();
    const auto type = OrNull(format.if_contains("type"));
    const auto name = type.is_string() ? AsView(type.get_string()) : std::string_view();
    if (name == "json_object") out.schema = JsonObject{{"type", "object"}};
    else if (name == "json_schema") {
      const auto* spec = format.if_contains("json_schema");
      const auto* schema = spec && spec->is_object() ? spec->get_object().if_contains("schema") : nullptr;
      if (!schema || !schema->is_object()) throw Error(Code::kInvalidArgument, "response_format.json_schema.schema: is required", "response_format.json_schema.schema");
      out.schema = *schema;
    } else if (name != "text") throw Error(Code::kInvalidArgument, "response_format.type: must be text, json_object or json_schema", "response_format.type");
  }
  return out;
}

/// The message of a finished bare generation.
JsonObject MessageOf(const std::string& text, const ToolUse& tools, std::string& finish_reason) {
  JsonObject message{{"role", "assistant"}, {"content", text}, {"refusal", nullptr}, {"annotations", JsonArray{}}};
  if (!tools.on) return message;
  try {
    const auto parsed = ParseJson(text);
    const auto& fields = parsed.as_object();
    if (const auto* answer = fields.if_contains("answer"); answer && answer->is_string()) {
      message["content"] = *answer;
    } else if (fields.contains("name") && fields.contains("arguments")) {
      message["content"] = nullptr;
      message["tool_calls"] = JsonArray{JsonObject{{"id", "call_" + RandomToken(12)}, {"type", "function"}, {"function", JsonObject{{"name", fields.at("name")}, {"arguments", ToText(fields.at("arguments"))}}}}};
      finish_reason = "tool_calls";
    }
  } catch (const std::exception&) {
    // Cut off by max_tokens, or of a model that no grammar holds to an object: what there is is the content, and of the former finish_reason says "length".
  }
  return message;
}

HttpResponse CompleteWithModel(const std::shared_ptr<const OpenAiParts>& on, const Context& ctx, const ChatRequest& request) {
  const auto generator = on->generator(request.model);
  if (!generator) throw Error(Code::kNotFound, "there is no model '" + request.model + "' here; GET /v1/models lists them", "model");
  const auto tools = ToolUseOf(request);
  auto generate = GenerateRequestOf(request, tools);
  const auto id = NewId("chatcmpl", ctx.clock());
  const auto created = ToMicros(ctx.clock().Now()) / 1'000'000;
  const auto count = [on, model = request.model](const models::GenerateUsage& usage) {
    for (const auto& [kind, tokens] : {std::pair{"prompt", usage.prompt_tokens}, {"cached", usage.cached_tokens}, {"completion", usage.completion_tokens}})
      on->metrics.GetCounter("tenfold_tokens_total", "Tokens by model and kind; cached ones are part of prompt.", {{"model", model}, {"kind", kind}}).Add(tokens);
  };
  if (!request.stream) {
    const auto result = generator->Generate(ctx, generate, {});
    count(result.usage);
    auto finish_reason = result.finish_reason;
    auto message = MessageOf(result.text, tools, finish_reason);
    return CompletionResponse(id, request.model, created, std::move(message), finish_reason, UsageJson(result.usage.prompt_tokens, result.usage.cached_tokens, result.usage.completion_tokens));
  }
  return EventStream([generator, ctx, generate, tools, id, created, count, model = request.model, include_usage = request.stream_options.include_usage](StreamWriter& out) {
    ChunkWriter chunks(out, id, model, created, include_usage);
    try {
      const auto result = generator->Generate(ctx, generate, [&](std::string_view piece) {
        if (!tools.on) chunks.Text(piece);
      });
      count(result.usage);
      auto finish_reason = result.finish_reason;
      if (tools.on) {
        auto message = MessageOf(result.text, tools, finish_reason);
        if (auto* calls = message.if_contains("tool_calls")) {
          calls->get_array()[0].get_object()["index"] = 0;
          chunks.Send(JsonObject{{"tool_calls", *calls}}, nullptr);
        } else if (message.at("content").is_string()) {
          chunks.Text(AsView(message.at("content").get_string()));
        }
      }
      chunks.Finish(finish_reason, UsageJson(result.usage.prompt_tokens, result.usage.cached_tokens, result.usage.completion_tokens));
    } catch (const Error& e) {
      if (e.code() == Code::kCancelled || !chunks.open()) throw;
      chunks.Fail(e);
    }
  });
}

HttpResponse Embed(const OpenAiParts& on, const Context& ctx, const EmbeddingRequest& request) {
  if (!on.embedder || request.model != on.embedder_id) throw Error(Code::kNotFound, "there is no embedding model '" + request.model + "' here; GET /v1/models lists them", "model");
  std::vector<std::string> texts;
  const auto add = [&](const Json& item, const std::string& path) {
    if (item.is_int64() || item.is_array()) throw Error(Code::kInvalidArgument, path + ": token ids of another model's vocabulary cannot be embedded; send text (LangChain: check_embedding_ctx_length=False)", "input");
    if (!item.is_string()) throw Error(Code::kInvalidArgument, path + ": must be a string", "input");
    texts.emplace_back(AsView(item.get_string()));
  };
  if (request.input.is_array())
    for (std::size_t i = 0; i < request.input.get_array().size(); ++i) add(request.input.get_array()[i], "input[" + std::to_string(i) + "]");
  else add(request.input, "input");
  if (texts.empty() || texts.size() > 2048) throw Error(Code::kInvalidArgument, "input: has " + std::to_string(texts.size()) + " texts, must have 1 to 2048", "input");
  if (request.dimensions && *request.dimensions != on.embedder->dim())
    throw Error(Code::kInvalidArgument, "dimensions: '" + request.model + "' gives " + std::to_string(on.embedder->dim()), "dimensions");
  if (request.encoding_format != "float" && request.encoding_format != "base64") throw Error(Code::kInvalidArgument, "encoding_format: must be float or base64", "encoding_format");
  std::int64_t tokens = 0;
  for (const auto& text : texts) tokens += on.embedder->CountTokens(text);
  const auto vectors = on.embedder->Embed(ctx, texts, models::EmbedKind::kPassage);
  JsonArray data;
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    Json embedding;
    if (request.encoding_format == "base64") embedding = string(Base64Encode({reinterpret_cast<const char*>(vectors[i].data()), vectors[i].size() * sizeof(float)}));
    else embedding = ToJson(vectors[i]);
    data.push_back(JsonObject{{"object", "embedding"}, {"index", i}, {"embedding", std::move(embedding)}});
  }
  HttpResponse response;
  response.body = ToText(JsonObject{{"object", "list"}, {"model", request.model}, {"data", std::move(data)}, {"usage", JsonObject{{"prompt_tokens", tokens}, {"total_tokens", tokens}}}});
  return response;
}

}  // namespace

std::vector<Endpoint> MakeOpenAiEndpoints(std::shared_ptr<const OpenAiParts> parts) {
  std::vector<Endpoint> rows;
  const auto model_json = [](const ServedModel& model) { return JsonObject{{"id", model.id}, {"object", "model"}, {"created", 1'767'225'600}, {"owned_by", model.owned_by}}; };
  const auto list = [parts] {
    auto models = parts->list_models();
    models.insert(models.begin(), {std::string(kAssistant), "tenfold"});
    return models;
  };
  rows.push_back({"GET", "/v1/models", Access::kUser, 5s, "Models that can be asked: the assistant, and the bare engines.", [list, model_json](const Context&, const HttpRequest&) {
                    JsonArray data;
                    for (const auto& model : list()) data.push_back(model_json(model));
                    HttpResponse response;
                    response.body = ToText(JsonObject{{"object", "list"}, {"data", std::move(data)}});
                    return response;
                  }});
  rows.push_back({"GET", "/v1/models/{id...}", Access::kUser, 5s, "One model.", [list, model_json](const Context&, const HttpRequest& request) {
                    const auto& id = request.path_params.at("id");
                    for (const auto& model : list())
                      if (model.id == id) {
                        HttpResponse response;
                        response.body = ToText(model_json(model));
                        return response;
                      }
                    throw Error(Code::kNotFound, "there is no model '" + id + "'", "model");
                  }});
  Endpoint chat{"POST", "/v1/chat/completions", Access::kUser, 300s, "Answers a chat. Model 'assistant' is the whole stack, a model by name the bare engine.", [parts](const Context& ctx, const HttpRequest& http) {
                  const auto request = FromJson<ChatRequest>(ParseJson(http.body), Unknown::kIgnore);
                  return request.model == kAssistant ? CompleteWithAssistant(parts, ctx, request) : CompleteWithModel(parts, ctx, request);
                }};
  chat.body_limit_bytes = 4u << 20;
  chat.request_schema = SchemaOf<ChatRequest>();
  rows.push_back(std::move(chat));
  Endpoint embeddings{"POST", "/v1/embeddings", Access::kUser, 120s, "Vectors of texts.", [parts](const Context& ctx, const HttpRequest& http) {
                        return Embed(*parts, ctx, FromJson<EmbeddingRequest>(ParseJson(http.body), Unknown::kIgnore));
                      }};
  embeddings.body_limit_bytes = 4u << 20;
  embeddings.request_schema = SchemaOf<EmbeddingRequest>();
  rows.push_back(std::move(embeddings));
  return rows;
}

}  // namespace tenfold::serving
