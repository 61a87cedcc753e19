#pragma once
/// \file The guards as the agent loop calls them: input guard, reversible masking, output guard, joined for one turn.
#include "agents/guards.h"

namespace tenfold::security {

/// Threads: safe.
class StandardGuards : public agents::Guards {
 public:
  std::unique_ptr<agents::TurnGuards> BeginTurn(const agents::GuardConfig& config) const override;
};

}  // namespace tenfold::security
