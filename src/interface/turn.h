#pragma once
/// \file One turn of a chat behind every protocol that shows it: begun or continued by a request of the AI SDK, followed part by part, stopped.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "interface/chat.h"

namespace tenfold::interface {

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

/// A turn to follow from the event after `seen`.
struct Turn {
  std::string run;
  std::int64_t seen = 0;
};

/// Asks what the last message asks, or answers the approval it carries. Errors: kInvalidArgument, kNotFound.
Turn StartTurn(const ChatParts& on, const Context& ctx, ChatRequest request);
/// Gives the turn's parts to `write` as they come, until it ends or waits; `idle` is called now and then in between. A reader that leaves stops the
/// following, not the turn: it may come back.
void FollowTurn(const ChatParts& on, const Context& ctx, const Turn& turn, const std::function<void(const std::vector<Json>&)>& write, const std::function<void()>& idle);
/// The turn that is being written in a chat of the caller, if one is.
std::optional<Turn> FindTurnInProgress(const ChatParts& on, const Context& ctx, std::string_view chat);
/// Stops the newest turn of a chat of the caller, if it is at work.
void StopTurn(const ChatParts& on, const Context& ctx, std::string_view chat);

}  // namespace tenfold::interface
