#pragma once
/// \file The agent loop: one run per message. Plan by rule and example, call a tool under the caller's rights, answer from what was found.
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agents/config.h"
#include "agents/guards.h"
#include "agents/router.h"
#include "agents/tool.h"
#include "base/telemetry.h"
#include "models/generator.h"
#include "monitoring/answer_log.h"
#include "retrieval/retriever.h"
#include "workflows/run.h"

namespace tenfold::agents {

/// A conversation of one user.
struct Chat {
  std::string id;  ///< user + "/" + the client's id
  std::string user;
  std::string client_id;
  std::string title;
  std::int64_t created_us = 0;
  std::int64_t updated_us = 0;
};
TENFOLD_DESCRIBE(Chat, (id), (user), (client_id), (title), (created_us), (updated_us))
TENFOLD_TABLE(Chat, "chats", id, {"user"})

/// One message and the run that answers it. The only place that keeps what the user wrote.
struct ChatTurn {
  std::string id;  ///< the run
  std::string chat;
  std::string question;
  std::int64_t asked_us = 0;
};
TENFOLD_DESCRIBE(ChatTurn, (id), (chat), (question), (asked_us))
TENFOLD_TABLE(ChatTurn, "chat_turns", id, {"chat"}, {{"chats", "chat"}})

/// A message to be answered. `history`: earlier messages, oldest first, as the client or the chat knows them.
struct Question {
  std::string text;
  std::string chat;  ///< the client's id of the chat; empty: a chat of its own
  std::vector<models::ChatMessage> history;
  std::string version = "live";
};

/// A version's parts, loaded.
struct AssistantVersion {
  std::string id;
  AssistantConfig config;
};

struct AssistantParts {
  data::Store& store;
  workflows::Runs& runs;
  const retrieval::Retriever& retriever;
  const Router& router;
  std::span<const Tool> tools;
  const Guards& guards;
  Metrics& metrics;
  /// By alias or id. Errors: kNotFound.
  std::function<AssistantVersion(std::string_view)> resolve;
  /// The generator of that name, or null for "none" and for models that are not here.
  std::function<std::shared_ptr<models::Generator>(std::string_view)> generator;
};

/// Threads: safe.
class Assistant {
 public:
  static constexpr std::string_view kRunKind = "turn";
  /// Signal that answers `approval_asked`; value {"approved": bool}.
  static constexpr std::string_view kApproval = "approval";
  static constexpr std::size_t kMaxQuestionBytes = 8192;

  /// Registers the run kind.
  explicit Assistant(AssistantParts parts);
  static std::vector<data::Table> Tables();

  /// Starts the run that answers; durable when it returns. Returns its id.
  /// Errors: kInvalidArgument (empty, too long), kNotFound (version), kResourceExhausted.
  std::string Ask(const Context& ctx, const Question& question);
  /// Says yes or no to the effect a run has asked for. Errors: kNotFound, kAlreadyExists (answered before), kFailedPrecondition (ended).
  void Approve(const Context& ctx, std::string_view run, bool approved);

  /// Chats of the caller, newest first.
  std::vector<Chat> ListChats(const Context& ctx);
  /// The caller's chat with its turns, oldest first; nothing if there is none.
  std::optional<std::pair<Chat, std::vector<ChatTurn>>> FindChat(const Context& ctx, std::string_view client_id);
  /// Errors: kNotFound.
  void DeleteChat(const Context& ctx, std::string_view client_id);

 private:
  Json Answer(workflows::RunContext& run);
  AssistantParts parts_;
};

}  // namespace tenfold::agents
