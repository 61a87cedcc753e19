#pragma once
/// \file How an answer came about: everything that shaped it, from the words back to the documents, the version and the runs.
#include <memory>
#include <vector>

#include "base/http.h"
#include "data/store.h"
#include "registry/versions.h"
#include "workflows/run.h"

namespace tenfold::interface {

struct PedigreeParts {
  data::Store& store;
  workflows::Runs& runs;
  const registry::Registry& registry;
};

/// Staff see every answer, customers their own. Errors: kNotFound.
Json PedigreeOf(const PedigreeParts& parts, const Context& ctx, std::string_view answer);
/// The same for people, as `tenfold explain` prints it.
std::string PedigreeInWords(const Json& pedigree);

/// GET /api/answers and /api/answers/{id}, GET /api/usage.
std::vector<Endpoint> MakePedigreeEndpoints(std::shared_ptr<const PedigreeParts> parts);

}  // namespace tenfold::interface
