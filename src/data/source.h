#pragma once
/// \file A place documents come from. Back ends: folder: (data/folder.cc).
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"

namespace tenfold::data {

/// A document as a source lists it.
struct SourceItem {
  std::string path;          ///< relative to the source, with '/'
  std::string label;         ///< who may read it
  std::string content_hash;  ///< SHA-256
  std::string problem;       ///< why it is left out, empty if it is not
};

/// Threads: one at a time.
class Source {
 public:
  virtual ~Source() = default;
  /// The same for the same place, however it was written.
  virtual const std::string& url() const = 0;
  /// Everything there that has a parser, sorted by path. `fallback_label` where the source says nothing about access.
  /// Errors: kNotFound, kInvalidArgument (its access rules), kUnavailable.
  virtual std::vector<SourceItem> Scan(const Context& ctx, const std::string& fallback_label) = 0;
  /// Errors: kNotFound, kResourceExhausted (larger than kMaxDocumentBytes).
  virtual std::string Read(const Context& ctx, const std::string& path) = 0;
};

}  // namespace tenfold::data
