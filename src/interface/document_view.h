#pragma once
/// \file What the viewer of a citation needs: a document's text, where a stretch of it stands on its pages, and the pages as pictures.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/http.h"
#include "data/store.h"

namespace tenfold::interface {

struct DocumentViewParts {
  data::Store& store;
  /// The bytes a document was made of, by Document::content_hash.
  std::function<std::string(const Context&, const std::string& content_hash)> original;
  std::vector<std::string> render_command;  ///< see data::RenderPdfPage
};

/// Rows for /api/documents/{id}, …/places and …/pages/{page}. A document the caller may not read does not exist.
std::vector<Endpoint> MakeDocumentViewEndpoints(std::shared_ptr<const DocumentViewParts> parts);

}  // namespace tenfold::interface
