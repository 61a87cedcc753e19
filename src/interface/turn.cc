#include "interface/turn.h"

#include <algorithm>

#include "interface/ui_message.h"

namespace tenfold::interface {

using namespace std::chrono_literals;

namespace {

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

std::int64_t LastEvent(const ChatParts& on, const Context& ctx, const std::string& run) {
  const auto batch = on.runs.Events(ctx, run, 0, 0ms);
  return batch.events.empty() ? 0 : batch.events.back().number;
}

/// The newest turn of a chat of the caller; empty if there is none.
std::string NewestTurn(const ChatParts& on, const Context& ctx, std::string_view id) {
  const auto chat = on.assistant.FindChat(ctx, id);
  return chat && !chat->second.empty() ? chat->second.back().id : std::string();
}

bool IsAtWork(const workflows::Run& run) { return run.state == workflows::RunState::kQueued || run.state == workflows::RunState::kRunning; }

}  // namespace

Turn StartTurn(const ChatParts& on, const Context& ctx, ChatRequest request) {
  if (request.message) request.messages.push_back(*request.message);
  if (request.messages.empty()) throw Error(Code::kInvalidArgument, "messages: is required", "messages");
  const auto& last = request.messages.back();
  if (last.role == "assistant") {
    const auto approval = ApprovalIn(last);
    if (!approval) throw Error(Code::kInvalidArgument, "messages: the last one must be the user's, or carry an approval", "messages");
    const auto run = approval->first.substr(0, approval->first.find('/'));
    if (!on.runs.Get(ctx, run)) throw Error(Code::kNotFound, "there is nothing to approve", "messages");
    const auto seen = LastEvent(on, ctx, run);
    on.assistant.Approve(ctx, run, approval->second);
    return {run, seen};
  }
  agents::Question question;
  question.text = TextOf(last);
  question.chat = request.id;
  // What was said before is known here; a client's copy could be anything. A chat that is not known is the client's own.
  const auto chat = request.id.empty() ? std::nullopt : on.assistant.FindChat(ctx, request.id);
  if (chat) {
    const auto& turns = chat->second;
    for (std::size_t i = turns.size() > 4 ? turns.size() - 4 : 0; i < turns.size(); ++i) {
      question.history.push_back({"user", turns[i].question});
      const auto run = on.runs.Get(ctx, turns[i].id);
      if (!run || !run->output.is_object()) continue;
      if (const auto* text = run->output.get_object().if_contains("text"); text && text->is_string()) question.history.push_back({"assistant", std::string(AsView(text->get_string()))});
    }
  }
  return {on.assistant.Ask(ctx, question), 0};
}

void FollowTurn(const ChatParts& on, const Context& ctx, const Turn& turn, const std::function<void(const std::vector<Json>&)>& write, const std::function<void()>& idle) {
  UiStream stream(turn.run);
  for (auto at = turn.seen;;) {
    const auto batch = on.runs.Events(ctx, turn.run, at, 10s);
    for (const auto& event : batch.events) {
      at = event.number;
      write(stream.Take(event));
    }
    ctx.Check();
    if (!batch.events.empty()) continue;
    if (batch.state == workflows::RunState::kQueued || batch.state == workflows::RunState::kRunning) {
      idle();
      continue;
    }
    const auto failed = batch.state == workflows::RunState::kFailed ? on.runs.Get(ctx, turn.run) : std::nullopt;
    write(stream.End(batch.state, failed ? failed->error : ""));
    return;
  }
}

std::optional<Turn> FindTurnInProgress(const ChatParts& on, const Context& ctx, std::string_view chat) {
  const auto id = NewestTurn(on, ctx, chat);
  const auto run = id.empty() ? std::nullopt : on.runs.Get(ctx, id);
  if (!run || !IsAtWork(*run)) return std::nullopt;
  return Turn{id, 0};
}

void StopTurn(const ChatParts& on, const Context& ctx, std::string_view chat) {
  // A turn that waits for a yes or no is not at work; stopping must not take the question away.
  if (const auto turn = FindTurnInProgress(on, ctx, chat)) on.runs.Cancel(ctx, turn->run);
}

}  // namespace tenfold::interface
