#include "data/sources/folder.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
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

// A file whose times are this young may be written again without their changing: file systems count in steps of up to two seconds. It is told by its bytes.
constexpr std::int64_t kRacyNs = 3'000'000'000;

/// Of a file that rests: size, inode and the times of the last change of its bytes and of the inode, which no program can set back. Files that are copied,
/// moved or touched get another one without other bytes; whoever compares bytes as well loses nothing. Source: Git, "racy-git".
std::string FingerprintOf(const fs::path& path, const struct stat& info) {
  const auto ns = [](const timespec& at) { return static_cast<std::int64_t>(at.tv_sec) * 1'000'000'000 + at.tv_nsec; };
  const auto modified = ns(info.st_mtim), changed = ns(info.st_ctim);
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  if (std::max(modified, changed) > ns(now) - kRacyNs) return Sha256Hex(ReadFile(path, kMaxDocumentBytes));
  return std::to_string(info.st_size) + "-" + std::to_string(info.st_ino) + "-" + std::to_string(modified) + "-" + std::to_string(changed);
}

class FolderSource : public Source {
 public:
  explicit FolderSource(std::string_view folder) : root_(Canonical(folder)), url_("folder:" + root_.string()) {}
  const std::string& url() const override { return url_; }

  SourcePage List(const Context& ctx, const std::string&, const std::string&) override {
    ctx.Check();
    std::error_code error;
    if (!fs::is_directory(root_, error)) throw Error(Code::kNotFound, "folder '" + root_.string() + "' does not exist");
    const AccessLabels labels(root_);
    const auto inside = fs::canonical(root_).string() + "/";
    const auto prefix = (root_ / "").string().size();
    SourcePage out;
    for (auto at = fs::recursive_directory_iterator(root_, fs::directory_options::skip_permission_denied); at != fs::recursive_directory_iterator(); ++at) {
      ctx.Check();
      const auto& path = at->path().native();
      if (path[path.rfind('/') + 1] == '.') {
        if (at->is_directory(error)) at.disable_recursion_pending();
        continue;
      }
      if (!at->is_regular_file(error) || MediaTypeOf(at->path()).empty()) continue;
      if (at->is_symlink(error) && (!fs::canonical(at->path(), error).string().starts_with(inside) || error)) continue;
      struct stat info{};
      if (::stat(path.c_str(), &info) != 0) continue;  // it went meanwhile
      SourceItem file;
      file.path = path.substr(prefix);
      file.access = labels.LabelFor(file.path);
      try {
        if (static_cast<std::uint64_t>(info.st_size) > kMaxDocumentBytes)
          throw Error(Code::kResourceExhausted, "'" + path + "': " + std::to_string(info.st_size) + " bytes, limit " + std::to_string(kMaxDocumentBytes));
        if (::access(path.c_str(), R_OK) != 0) throw Error(Code::kPermissionDenied, "'" + path + "' may not be read");
        file.fingerprint = FingerprintOf(at->path(), info);
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
