#pragma once
/// \file The contract of every re-ranker: a question and passages in, how well each answers it out. It reads both together, so it knows better than two vectors, and costs a forward pass each.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"

namespace tenfold::models {

/// A loaded model or a server of one. Threads: all methods are safe from any thread.
class Reranker {
 public:
  virtual ~Reranker() = default;
  /// One score a passage, in the order of the passages. Units: 0..1, higher answers better; comparable within one call only. What is longer than the model reads is cut at its end.
  /// Errors: kCancelled, kDeadlineExceeded (nothing is half given), kUnavailable, kUnauthenticated, kResourceExhausted and kInvalidArgument of a server.
  virtual std::vector<float> Score(const Context& ctx, std::string_view query, std::span<const std::string> passages) = 0;
  virtual std::string name() const = 0;
};

}  // namespace tenfold::models
