#include "data/sources/folder.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/testing.h"
#include "data/sources/source_contract.h"

namespace tenfold::data {
namespace {

class FolderFixture : public SourceFixture {
 public:
  FolderFixture() { Mend(); }
  std::unique_ptr<Source> Open() override { return OpenFolderSource(root().string(), {}); }
  std::string Put(const std::string& name, const std::string& text) override {
    std::filesystem::create_directories(root() / name);
    WriteFileAtomically(root() / name / "page.md", text);
    return name + "/page.md";
  }
  void Remove(const std::string& name) override { std::filesystem::remove_all(root() / name); }
  bool ChangeAccess(const std::string& name) override {
    WriteFileAtomically(root() / "access.yaml", name + ": staff\n");
    return true;
  }
  void Break() override { std::filesystem::rename(root(), folder_.path() / "away"); }
  void Mend() override {
    if (std::filesystem::exists(folder_.path() / "away")) std::filesystem::rename(folder_.path() / "away", root());
    else std::filesystem::create_directories(root());
  }
  std::vector<std::unique_ptr<Source>> OpenOtherSpellings() override {
    std::vector<std::unique_ptr<Source>> out;
    for (const auto& path : {root().string() + "/", root().string() + "/.", folder_.path().string() + "//docs", folder_.path().string() + "/x/../docs"}) out.push_back(OpenFolderSource(path, {}));
    return out;
  }

 private:
  std::filesystem::path root() const { return folder_.path() / "docs"; }
  const TemporaryFolder folder_;
};

TEST(Folder, ScansByContentWithTheDeepestLabel) {
  const TemporaryFolder folder;
  const auto root = folder.path();
  std::filesystem::create_directories(root / "internal/deep");
  std::filesystem::create_directories(root / ".git");
  WriteFileAtomically(root / "a.md", "# A");
  WriteFileAtomically(root / "internal/deep/b.txt", "b");
  WriteFileAtomically(root / ".git/c.md", "c");
  WriteFileAtomically(root / "d.exe", "d");
  WriteFileAtomically(root / "access.yaml", "\"\": public\ninternal: staff\n");
  std::filesystem::create_symlink("/etc/hostname", root / "link.txt");
  const auto ctx = Context::System("test");
  const auto source = OpenFolderSource(root.string(), {});
  const auto files = ListAll(ctx, *source);
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].path + files[0].access, "a.mdpublic");
  EXPECT_EQ(files[1].path + files[1].access, "internal/deep/b.txtstaff");
  EXPECT_EQ(source->Read(ctx, files[1]).bytes, "b");
  EXPECT_EQ(source->url(), "folder:" + root.string());
  WriteFileAtomically(root / "access.yaml", "a: [1]\n");
  EXPECT_EQ(CodeOf([&] { ListAll(ctx, *source); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { ListAll(ctx, *OpenFolderSource((root / "none").string(), {})); }), Code::kNotFound);
}

}  // namespace

std::unique_ptr<SourceFixture> MakeFolderFixture() { return std::make_unique<FolderFixture>(); }

}  // namespace tenfold::data
