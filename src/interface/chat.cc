#include "interface/chat.h"

#include <algorithm>

#include "interface/chat_socket.h"
#include "interface/turn.h"
#include "interface/ui_message.h"
#include "monitoring/answer_log.h"

namespace tenfold::interface {
namespace {

using namespace std::chrono_literals;

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

HttpResponse NoContent() {
  HttpResponse response;
  response.status = 204;
  return response;
}

HttpResponse StreamTurn(const std::shared_ptr<const ChatParts>& on, const Context& ctx, const Turn& turn) {
  HttpResponse response;
  response.content_type = "text/event-stream";
  response.headers = {{"cache-control", "no-cache"}, {"x-accel-buffering", "no"}, {"x-vercel-ai-ui-message-stream", "v1"}};
  response.stream = [on, ctx, turn](StreamWriter& out) {
    const auto write = [&](const std::vector<Json>& parts) {
      std::string text;
      for (const auto& part : parts) text += "data: " + ToText(part) + "\n\n";
      if (!text.empty()) out.Write(text);
    };
    FollowTurn(*on, ctx, turn, write, [&] { out.Write(": keep-alive\n\n"); });
    out.Write("data: [DONE]\n\n");
  };
  return response;
}

}  // namespace

std::vector<Endpoint> MakeChatEndpoints(std::shared_ptr<const ChatParts> on) {
  std::vector<Endpoint> rows;
  rows.push_back({"GET", "/api/assistant", Access::kPublic, 1s, "The assistant's name, greeting and suggestions.", [on](const Context&, const HttpRequest&) { return JsonResponse(on->about()); }});
  Endpoint chat{"POST", "/api/chat", Access::kUser, 300s, "Asks, or answers an approval. The reply is the AI SDK's UI message stream.", [on](const Context& ctx, const HttpRequest& http) { return StreamTurn(on, ctx, StartTurn(*on, ctx, FromJson<ChatRequest>(ParseJson(http.body), Unknown::kIgnore))); }};
  chat.body_limit_bytes = 8u << 20;  // useChat sends the whole history each time
  chat.request_schema = SchemaOf<ChatRequest>();
  rows.push_back(std::move(chat));
  rows.push_back({"GET", "/api/chat/{id}/stream", Access::kUser, 300s, "The answer in progress from its beginning, then live; 204 if there is none.", [on](const Context& ctx, const HttpRequest& request) {
                    const auto turn = FindTurnInProgress(*on, ctx, request.path_params.at("id"));
                    return turn ? StreamTurn(on, ctx, *turn) : NoContent();
                  }});
  rows.push_back({"POST", "/api/chat/{id}/stop", Access::kUser, 5s, "Stops the answer in progress.", [on](const Context& ctx, const HttpRequest& request) {
                    StopTurn(*on, ctx, request.path_params.at("id"));
                    return NoContent();
                  }});
  rows.push_back(MakeChatSocketEndpoint(on));
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
