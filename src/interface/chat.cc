#include "interface/chat.h"

#include <algorithm>

#include "interface/ui_message.h"
#include "monitoring/answer_log.h"

namespace tenfold::interface {
namespace {

using namespace std::chrono_literals;

struct UiMessageIn {
  std::string id;
  std::string role;
  Json parts;
  Json content;
};
TENFOLD_DESCRIBE(UiMessageIn, (id, Length{0, 256}), (role, Required{}, Length{1, 32}), (parts), (content))

struct ChatRequest {
  std::string id;
  std::vector<UiMessageIn> messages;
  std::optional<UiMessageIn> message;
  std::string trigger = "submit-message";
};
TENFOLD_DESCRIBE(ChatRequest, (id, Length{0, 128}), (messages, Length{0, 2000}), (message), (trigger, Length{0, 64}))

struct FeedbackRequest {
  std::string answer;
  std::int64_t rating = 0;
  std::string comment;
};
TENFOLD_DESCRIBE(FeedbackRequest, (answer, Required{}, Length{1, 128}), (rating, Required{}, Range{-1, 1}), (comment, Length{0, 2000}))

struct ApprovalRequest {
  bool approved = false;
};
TENFOLD_DESCRIBE(ApprovalRequest, (approved, Required{}))

HttpResponse JsonResponse(Json body) {
  HttpResponse response;
  response.body = ToText(body);
  return response;
}

HttpResponse NoContent() {
  HttpResponse response;
  response.status = 204;
  return response;
}

/// The text parts of a message; v4-era clients sent `content`.
std::string TextOf(const UiMessageIn& message) {
  std::string out;
  if (message.parts.is_array())
    for (const auto& part : message.parts.get_array()) {
      if (!part.is_object()) continue;
      const auto* type = part.get_object().if_contains("type");
      const auto* text = part.get_object().if_contains("text");
      if (type && type->is_string() && AsView(type->get_string()) == "text" && text && text->is_string()) out += (out.empty() ? "" : "\n") + std::string(AsView(text->get_string()));
    }
  else if (message.content.is_string()) out = AsView(message.content.get_string());
  return out;
}

/// The approval a client sends back inside its copy of the assistant's message: {approval id, approved}.
std::optional<std::pair<std::string, bool>> ApprovalIn(const UiMessageIn& message) {
  if (!message.parts.is_array()) return std::nullopt;
  for (const auto& part : message.parts.get_array()) {
    const auto* fields = part.if_object();
    const auto* approval = fields ? fields->if_contains("approval") : nullptr;
    const auto* state = fields ? fields->if_contains("state") : nullptr;
    if (!approval || !approval->is_object() || !state || !state->is_string() || AsView(state->get_string()) != "approval-responded") continue;
    const auto* id = approval->get_object().if_contains("id");
    const auto* approved = approval->get_object().if_contains("approved");
    if (id && id->is_string() && approved && approved->is_bool()) return std::pair(std::string(AsView(id->get_string())), approved->get_bool());
  }
  return std::nullopt;
}

/// Streams a turn's parts from the event after `seen`. A reader that leaves stops the stream, not the turn: it may come back.
HttpResponse StreamTurn(const std::shared_ptr<const ChatParts>& on, const Context& ctx, const std::string& run, std::int64_t seen) {
  HttpResponse response;
  response.content_type = "text/event-stream";
  response.headers = {{"cache-control", "no-cache"}, {"x-accel-buffering", "no"}, {"x-vercel-ai-ui-message-stream", "v1"}};
  response.stream = [on, ctx, run, seen](StreamWriter& out) {
    UiStream stream(run);
    const auto write = [&](const std::vector<Json>& parts) {
      std::string text;
      for (const auto& part : parts) text += "data: " + ToText(part) + "\n\n";
      if (!text.empty()) out.Write(text);
    };
    for (auto at = seen;;) {
      const auto batch = on->runs.Events(ctx, run, at, 10s);
      for (const auto& event : batch.events) {
        at = event.number;
        write(stream.Take(event));
      }
      ctx.Check();
      if (!batch.events.empty()) continue;
      if (batch.state == workflows::RunState::kQueued || batch.state == workflows::RunState::kRunning) {
        out.Write(": keep-alive\n\n");
        continue;
      }
      const auto failed = batch.state == workflows::RunState::kFailed ? on->runs.Get(ctx, run) : std::nullopt;
      write(stream.End(batch.state, failed ? failed->error : ""));
      break;
    }
    out.Write("data: [DONE]\n\n");
  };
  return response;
}

std::int64_t LastEvent(const ChatParts& on, const Context& ctx, const std::string& run) {
  const auto batch = on.runs.Events(ctx, run, 0, 0ms);
  return batch.events.empty() ? 0 : batch.events.back().number;
}

HttpResponse PostChat(const std::shared_ptr<const ChatParts>& on, const Context& ctx, const HttpRequest& http) {
  auto request = FromJson<ChatRequest>(ParseJson(http.body), Unknown::kIgnore);
  if (request.message) request.messages.push_back(*request.message);
  if (request.messages.empty()) throw Error(Code::kInvalidArgument, "messages: is required", "messages");
  const auto& last = request.messages.back();
  if (last.role == "assistant") {
    const auto approval = ApprovalIn(last);
    if (!approval) throw Error(Code::kInvalidArgument, "messages: the last one must be the user's, or carry an approval", "messages");
    const auto run = approval->first.substr(0, approval->first.find('/'));
    if (!on->runs.Get(ctx, run)) throw Error(Code::kNotFound, "there is nothing to approve", "messages");
    const auto seen = LastEvent(*on, ctx, run);
    on->assistant.Approve(ctx, run, approval->second);
    return StreamTurn(on, ctx, run, seen);
  }
  agents::Question question;
  question.text = TextOf(last);
  question.chat = request.id;
  // What was said before is known here; a client's copy could be anything. A chat that is not known is the client's own.
  const auto chat = request.id.empty() ? std::nullopt : on->assistant.FindChat(ctx, request.id);
  if (chat) {
    const auto& turns = chat->second;
    for (std::size_t i = turns.size() > 4 ? turns.size() - 4 : 0; i < turns.size(); ++i) {
      question.history.push_back({"user", turns[i].question});
      const auto run = on->runs.Get(ctx, turns[i].id);
      if (!run || !run->output.is_object()) continue;
      if (const auto* text = run->output.get_object().if_contains("text"); text && text->is_string()) question.history.push_back({"assistant", std::string(AsView(text->get_string()))});
    }
  }
  return StreamTurn(on, ctx, on->assistant.Ask(ctx, question), 0);
}

/// The newest turn of a chat of the caller; empty if there is none.
std::string NewestTurn(const ChatParts& on, const Context& ctx, std::string_view id) {
  const auto chat = on.assistant.FindChat(ctx, id);
  return chat && !chat->second.empty() ? chat->second.back().id : std::string();
}

}  // namespace

std::vector<Endpoint> MakeChatEndpoints(std::shared_ptr<const ChatParts> on) {
  std::vector<Endpoint> rows;
  rows.push_back({"GET", "/api/assistant", Access::kPublic, 1s, "The assistant's name, greeting and suggestions.", [on](const Context&, const HttpRequest&) { return JsonResponse(on->about()); }});
  Endpoint chat{"POST", "/api/chat", Access::kUser, 300s, "Asks, or answers an approval. The reply is the AI SDK's UI message stream.", [on](const Context& ctx, const HttpRequest& http) { return PostChat(on, ctx, http); }};
  chat.body_limit_bytes = 8u << 20;  // useChat sends the whole history each time
  chat.request_schema = SchemaOf<ChatRequest>();
  rows.push_back(std::move(chat));
  rows.push_back({"GET", "/api/chat/{id}/stream", Access::kUser, 300s, "The answer in progress from its beginning, then live; 204 if there is none.", [on](const Context& ctx, const HttpRequest& request) {
                    const auto run = NewestTurn(*on, ctx, request.path_params.at("id"));
                    const auto state = run.empty() ? std::nullopt : on->runs.Get(ctx, run);
                    if (!state || (state->state != workflows::RunState::kQueued && state->state != workflows::RunState::kRunning)) return NoContent();
                    return StreamTurn(on, ctx, run, 0);
                  }});
  rows.push_back({"POST", "/api/chat/{id}/stop", Access::kUser, 5s, "Stops the answer in progress.", [on](const Context& ctx, const HttpRequest& request) {
                    const auto run = NewestTurn(*on, ctx, request.path_params.at("id"));
                    const auto state = run.empty() ? std::nullopt : on->runs.Get(ctx, run);
                    // A turn that waits for a yes or no is not at work; stopping must not take the question away.
                    if (state && state->state != workflows::RunState::kWaiting) on->runs.Cancel(ctx, run);
                    return NoContent();
                  }});
  rows.push_back({"GET", "/api/chats", Access::kUser, 5s, "The caller's chats, newest first.", [on](const Context& ctx, const HttpRequest&) {
                    JsonArray chats;
                    for (const auto& one : on->assistant.ListChats(ctx)) chats.push_back(JsonObject{{"id", one.client_id}, {"title", one.title}, {"updated", FormatTime(FromMicros(one.updated_us))}});
                    return JsonResponse(JsonObject{{"chats", std::move(chats)}});
                  }});
  rows.push_back({"GET", "/api/chats/{id}", Access::kUser, 5s, "A chat with its messages.", [on](const Context& ctx, const HttpRequest& request) {
                    const auto found = on->assistant.FindChat(ctx, request.path_params.at("id"));
                    if (!found) throw Error(Code::kNotFound, "there is no such chat");
                    JsonArray messages;
                    for (const auto& turn : found->second) {
                      messages.push_back(UserMessageOf(turn.id, turn.question));
                      const auto batch = on->runs.Events(ctx, turn.id, 0, 0ms);
                      // What is still being written comes through /stream.
                      if (batch.state != workflows::RunState::kQueued && batch.state != workflows::RunState::kRunning) messages.push_back(UiMessageOf(turn.id, batch.events));
                    }
                    return JsonResponse(JsonObject{{"id", found->first.client_id}, {"title", found->first.title}, {"messages", std::move(messages)}});
                  }});
  rows.push_back({"DELETE", "/api/chats/{id}", Access::kUser, 5s, "Deletes a chat with its messages and answers.", [on](const Context& ctx, const HttpRequest& request) {
                    on->assistant.DeleteChat(ctx, request.path_params.at("id"));
                    return NoContent();
                  }});
  rows.push_back({"POST", "/api/answers/{id}/approval", Access::kUser, 5s, "Says yes or no to the effect an answer asks for.", [on](const Context& ctx, const HttpRequest& request) {
                    on->assistant.Approve(ctx, request.path_params.at("id"), FromJson<ApprovalRequest>(ParseJson(request.body)).approved);
                    return NoContent();
                  }});
  rows.push_back({"POST", "/api/feedback", Access::kUser, 5s, "Thumbs up (1), down (-1), or taken back (0), with a comment.", [on](const Context& ctx, const HttpRequest& request) {
                    const auto feedback = FromJson<FeedbackRequest>(ParseJson(request.body));
                    monitoring::PutFeedback(on->store, ctx, {feedback.answer, "", feedback.rating, feedback.comment, 0});
                    return NoContent();
                  }});
  return rows;
}

}  // namespace tenfold::interface
