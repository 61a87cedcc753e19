#pragma once
/// \file The chat's endpoints: AI SDK message stream with resume and stop, history, approvals, feedback.
#include <memory>
#include <vector>

#include "agents/assistant.h"
#include "base/http.h"

namespace tenfold::interface {

struct ChatParts {
  agents::Assistant& assistant;
  workflows::Runs& runs;
  data::Store& store;
  /// What the start page shows: {"name","greeting","suggestions","version","ready"}.
  std::function<Json()> about;
};

std::vector<Endpoint> MakeChatEndpoints(std::shared_ptr<const ChatParts> parts);

}  // namespace tenfold::interface
