#pragma once
/// \file The `folder:` source: what lies in a folder, with the access label each file carries.
#include <filesystem>
#include <map>
#include <string>

#include "data/source.h"

namespace tenfold::data {

/// access.yaml of a folder: sub-folder -> label; the deepest one that holds a file wins; empty where none does.
/// Errors: kInvalidArgument with file and line.
class AccessLabels {
 public:
  explicit AccessLabels(const std::filesystem::path& root);
  const std::string& LabelFor(std::string_view relative_path) const;

 private:
  std::map<std::string, std::string, std::less<>> labels_;
};

/// Regular files of `folder`. Hidden files and links that lead outside are left out.
std::unique_ptr<Source> OpenFolderSource(std::string_view folder, const SourceSetup& setup);

}  // namespace tenfold::data
