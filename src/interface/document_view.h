#pragma once
/// \file What the viewer of a citation needs: a document's text, where a stretch of it stands on its pages, and the pages as pictures.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/http.h"
#include "data/store.h"
#include "retrieval/document.h"

namespace tenfold::interface {

struct DocumentViewParts {
  data::Store& store;
  /// The bytes a document was made of.
  std::function<std::string(const Context&, const retrieval::Document& document)> original;
  std::vector<std::string> render_command;  ///< see data::RenderPdfPage
};

/// Rows for /api/documents/{id}, …/places and …/pages/{page}. A document the caller may not read does not exist.
std::vector<Endpoint> MakeDocumentViewEndpoints(std::shared_ptr<const DocumentViewParts> parts);

}  // namespace tenfold::interface
