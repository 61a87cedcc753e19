#pragma once
/// \file Loads a sample: users, records, the assistant's words and the help centre. What is there already is left alone.
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "app/services.h"

namespace tenfold::app {

/// Loads examples/NAME into the data folder of `services`; does nothing if that was done before. `say` gets progress lines.
/// Errors: kNotFound naming the samples there are; kInvalidArgument with file and line.
void LoadExample(Services& services, std::string_view name, const std::function<void(std::string_view)>& say);

/// What a sample says about signing in: e-mail and password of its first customer. Empty if no sample is loaded.
struct SignInHint {
  std::string email, password;
};
TENFOLD_DESCRIBE(SignInHint, (email), (password))
std::optional<SignInHint> FindSignInHint(Services& services);

/// Reads a source and reports; progress goes to `say`. Waits for the end. Errors: those of the run.
retrieval::IngestReport RunIngest(Services& services, const Context& ctx, const retrieval::IngestRequest& request, const std::function<void(std::string_view)>& say);

}  // namespace tenfold::app
