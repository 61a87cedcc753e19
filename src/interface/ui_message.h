#pragma once
/// \file A turn's events as the AI SDK's UI message: as stream parts while it goes on, as a stored message afterwards.
/// Source: shared protocol notes 02, read from npm ai 5.0, 6.0 and 7.0 (one wire format).
#include <string>
#include <vector>

#include "base/json.h"
#include "workflows/run.h"

namespace tenfold::interface {

/// Turns events, in order, into stream parts. A replay from event 1 gives the same parts again.
class UiStream {
 public:
  explicit UiStream(std::string answer) : answer_(std::move(answer)) {}
  std::vector<Json> Take(const workflows::RunEvent& event);
  /// The run has ended or waits. `state` says which; `error` is what went wrong.
  std::vector<Json> End(workflows::RunState state, const std::string& error);

 private:
  void CloseText(std::vector<Json>& parts);
  const std::string answer_;
  bool in_text_ = false, started_ = false, finished_ = false;
  int texts_ = 0, supports_ = 0;
};

/// {"id","role":"assistant","metadata","parts"} of all events of a turn, as useChat keeps it.
Json UiMessageOf(const std::string& answer, const std::vector<workflows::RunEvent>& events);
Json UserMessageOf(const std::string& answer, const std::string& text);

}  // namespace tenfold::interface
