#pragma once
/// \file Which way a message goes. Rules where they are sure, nearest examples where they are not; a small model is not asked.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agents/tool.h"
#include "models/embedder.h"

namespace tenfold::agents {

struct Route {
  std::string tool;       ///< a tool's name, "search_knowledge" or "small_talk"
  Json arguments;         ///< for a tool
  std::string reason;     ///< "rule", "example 'Where is my order?' 0.83", "default"
};

/// Threads: safe after construction.
class Router {
 public:
  /// Embeds the tools' examples. `embedder` may be null: rules alone, then.
  Router(std::span<const Tool> tools, models::Embedder* embedder);
  /// `message`: the user's own words. `enabled`: tools of the version. Cost: one embedding if no rule matches.
  Route Decide(const Context& ctx, std::string_view message, std::span<const std::string> enabled) const;

 private:
  struct Example {
    std::string tool;
    std::string text;
    std::vector<float> vector;
  };
  std::span<const Tool> tools_;
  models::Embedder* embedder_;
  std::vector<Example> examples_;
};

}  // namespace tenfold::agents
