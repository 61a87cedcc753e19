#pragma once
/// \file A tool: what it does, for which questions, with which arguments. One row per tool; the loop, the API and the pedigree read it from here.
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/describe.h"
#include "data/store.h"

namespace tenfold::agents {

/// A tool reads under the caller's own rights, or has an effect that a person confirms first.
struct Tool {
  std::string name;
  std::string description;
  Json schema;                        ///< JSON Schema of the arguments
  std::vector<std::string> examples;  ///< messages it is right for, each another way of asking
  /// Arguments from the user's own words; nothing if they do not ask for this tool. Never sees documents or tool results.
  std::function<std::optional<Json>(std::string_view message)> match;
  /// Arguments when the examples, not `match`, chose the tool.
  std::function<Json(std::string_view message)> fill;
  /// Reads. Empty for an effect. Errors: kInvalidArgument from the schema.
  std::function<Json(const Context&, const Json& arguments)> read;
  /// The effect, in the commit that records it. Empty for a read.
  std::function<Json(data::WriteTx&, const Context&, const Json& arguments)> act;
  /// The output in words for the user, if no model is needed to say it.
  std::function<std::string(const Json& output)> say;

  bool is_effect() const { return static_cast<bool>(act); }
};

/// Wraps a function over described arguments: schema and validation come from the type.
template <class Arguments>
std::function<Json(const Context&, const Json&)> MakeRead(std::function<Json(const Context&, const Arguments&)> function) {
  return [function = std::move(function)](const Context& ctx, const Json& arguments) { return function(ctx, FromJson<Arguments>(arguments)); };
}
template <class Arguments>
std::function<Json(data::WriteTx&, const Context&, const Json&)> MakeEffect(std::function<Json(data::WriteTx&, const Context&, const Arguments&)> function) {
  return [function = std::move(function)](data::WriteTx& tx, const Context& ctx, const Json& arguments) { return function(tx, ctx, FromJson<Arguments>(arguments)); };
}

/// Looks up orders of the records "orders" and "order_items": one by number, or the caller's newest ones.
Tool MakeGetOrder(data::Store& store);
/// Writes to the records "tickets" and says the number. `audit` is called in the same commit.
using AuditEffect = std::function<void(data::WriteTx&, const Context&, std::string_view action, std::string_view target)>;
Tool MakeOpenTicket(AuditEffect audit);

}  // namespace tenfold::agents
