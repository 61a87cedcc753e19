#pragma once
/// \file The `folder:` source: what lies in a folder, by content hash, with the access label each file carries.
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/describe.h"

namespace tenfold::data {

struct ScannedFile {
  std::string path;  ///< relative, with '/'
  std::string label;
  std::string content_hash;  ///< SHA-256
  std::string problem;       ///< why it is left out, empty if it is not
};

/// access.yaml of a folder: sub-folder -> label; the deepest one that holds a file wins; `fallback` where none does.
/// Errors of Parse: kInvalidArgument with file and line.
class AccessLabels {
 public:
  AccessLabels(const std::filesystem::path& root, std::string fallback);
  const std::string& LabelFor(std::string_view relative_path) const;

 private:
  std::map<std::string, std::string, std::less<>> labels_;
};

/// Regular files under `root` that have a parser, sorted by path. Hidden files and links that lead outside are left out.
/// Errors: kNotFound, kInvalidArgument.
std::vector<ScannedFile> ScanFolder(const std::filesystem::path& root, const std::string& fallback_label);

}  // namespace tenfold::data
