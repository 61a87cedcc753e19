#include "data/sources/folder.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "base/crypto.h"
#include "base/files.h"
#include "data/parse.h"

namespace tenfold::data {
namespace fs = std::filesystem;

AccessLabels::AccessLabels(const fs::path& root) {
  labels_[""] = "";
  const auto file = root / "access.yaml";
  if (!fs::exists(file)) return;
  const auto fail = [&](const YAML::Mark& mark, const std::string& problem) {
    throw Error(Code::kInvalidArgument, file.string() + ":" + std::to_string(mark.line + 1) + ": " + problem);
  };
  try {
    const auto yaml = YAML::Load(ReadFile(file, 1u << 20));
    if (!yaml.IsMap()) fail(yaml.Mark(), "must be a map of folder to label");
    for (const auto& entry : yaml) {
      if (!entry.second.IsScalar()) fail(entry.second.Mark(), "a label is one word");
      auto folder = entry.first.as<std::string>();
      while (folder.ends_with('/')) folder.pop_back();
      const auto label = entry.second.as<std::string>();
      if (label.empty() || label == "*" || label.size() > 64) fail(entry.second.Mark(), "a label has 1 to 64 characters and is not '*'");
      labels_[folder] = label;
    }
  } catch (const YAML::Exception& e) {
    fail(e.mark, e.msg);
  }
}

const std::string& AccessLabels::LabelFor(std::string_view relative_path) const {
  for (auto folder = relative_path.substr(0, relative_path.rfind('/') == std::string_view::npos ? 0 : relative_path.rfind('/'));;) {
    if (const auto found = labels_.find(folder); found != labels_.end()) return found->second;
    const auto slash = folder.rfind('/');
    folder = folder.substr(0, slash == std::string_view::npos ? 0 : slash);
  }
}

namespace {

class FolderSource : public Source {
 public:
  explicit FolderSource(std::string_view folder) : root_(Canonical(folder)), url_("folder:" + root_.string()) {}
  const std::string& url() const override { return url_; }

  SourcePage List(const Context& ctx, const std::string&, const std::string&) override {
    ctx.Check();
    std::error_code error;
    if (!fs::is_directory(root_, error)) throw Error(Code::kNotFound, "folder '" + root_.string() + "' does not exist");
    const AccessLabels labels(root_);
    const auto canonical_root = fs::canonical(root_);
    SourcePage out;
    for (auto at = fs::recursive_directory_iterator(root_, fs::directory_options::skip_permission_denied); at != fs::recursive_directory_iterator(); ++at) {
      ctx.Check();
      if (at->path().filename().string().starts_with('.')) {
        if (at->is_directory(error)) at.disable_recursion_pending();
        continue;
      }
      if (!at->is_regular_file(error) || MediaTypeOf(at->path()).empty()) continue;
      SourceItem file;
      file.path = fs::relative(at->path(), root_).generic_string();
      file.access = labels.LabelFor(file.path);
      const auto real = fs::canonical(at->path(), error).string();
      if (error || !real.starts_with(canonical_root.string() + "/")) continue;
      try {
        file.fingerprint = Sha256Hex(ReadFile(at->path(), kMaxDocumentBytes));
      } catch (const Error& e) {
        file.problem = e.message();
      }
      out.items.push_back(std::move(file));
    }
    std::sort(out.items.begin(), out.items.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    return out;
  }

  SourceContent Read(const Context& ctx, const SourceItem& item) override {
    ctx.Check();
    return {ReadFile(root_ / item.path, kMaxDocumentBytes), std::string(MediaTypeOf(item.path))};
  }

 private:
  static fs::path Canonical(std::string_view folder) {
    const auto path = fs::absolute(folder).lexically_normal();
    return path.has_filename() ? path : path.parent_path();
  }
  const fs::path root_;
  const std::string url_;
};

}  // namespace

std::unique_ptr<Source> OpenFolderSource(std::string_view folder, const SourceSetup&) { return std::make_unique<FolderSource>(folder); }

}  // namespace tenfold::data
