#include <algorithm>
#include <deque>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/files.h"
#include "data/object_store.h"

namespace tenfold::data {

namespace fs = std::filesystem;

std::string ObjectStore::Put(const Context& ctx, std::string_view bytes) {
  const auto writer = Create(ctx);
  writer->Append(bytes);
  return writer->Commit();
}

std::vector<std::string> ObjectStore::PutAll(const Context& ctx, std::span<const std::string_view> objects) {
  std::vector<std::string> ids;
  for (const auto bytes : objects) ids.push_back(Put(ctx, bytes));
  return ids;
}

namespace {

// From here on two syncs of the whole file system are cheaper than two of every file and its folder.
constexpr std::size_t kFewObjects = 4;

constexpr std::string_view kWriting = "writing";

bool IsHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

class FileObjectStore : public ObjectStore {
 public:
  explicit FileObjectStore(fs::path folder) : folder_(std::move(folder)) {
    std::error_code error;
    fs::remove_all(folder_ / kWriting, error);
    fs::create_directories(folder_ / kWriting, error);
    if (error) throw Error(Code::kPermissionDenied, "objects '" + folder_.string() + "': " + error.message());
  }

  std::unique_ptr<Writer> Create(const Context& ctx) override {
    ctx.Check();
    return std::make_unique<FileWriter>(*this);
  }

  std::vector<std::string> PutAll(const Context& ctx, std::span<const std::string_view> objects) override {
    if (objects.size() < kFewObjects) return ObjectStore::PutAll(ctx, objects);
    ctx.Check();
    std::vector<std::string> ids;
    std::deque<std::pair<NewFile, fs::path>> fresh;
    for (const auto bytes : objects) {
      const auto path = PathOf(ids.emplace_back(Sha256Hex(bytes)));
      std::error_code error;
      if (fs::exists(path, error)) continue;
      auto& [file, place] =
          fresh.emplace_back(std::piecewise_construct, std::forward_as_tuple(folder_ / kWriting / NewId("object")), std::forward_as_tuple(path));
      file.Append(bytes);
      file.Close();
    }
    if (fresh.empty()) return ids;
    SyncFileSystem(folder_);
    for (auto& [file, path] : fresh) {
      std::error_code error;
      fs::create_directory(path.parent_path(), error);
      file.MoveTo(path);
    }
    SyncFileSystem(folder_);
    return ids;
  }

  std::string Get(const Context& ctx, std::string_view id, std::uint64_t limit_bytes) override {
    ctx.Check();
    auto bytes = ReadFile(PathOf(id), limit_bytes);
    if (Sha256Hex(bytes) != id) throw Error(Code::kDataLoss, "object " + std::string(id) + " was altered on the disk; restore it from a backup");
    return bytes;
  }

  std::string GetRange(const Context& ctx, std::string_view id, std::uint64_t offset, std::size_t length) override {
    ctx.Check();
    return ReadFileRange(PathOf(id), offset, length);
  }

  std::optional<std::uint64_t> SizeOf(const Context& ctx, std::string_view id) override {
    ctx.Check();
    std::error_code error;
    const auto size = fs::file_size(PathOf(id), error);
    return error ? std::nullopt : std::optional<std::uint64_t>(size);
  }

  bool Delete(const Context& ctx, std::string_view id) override {
    ctx.Check();
    std::error_code error;
    const auto path = PathOf(id);
    const bool removed = fs::remove(path, error);
    if (error) throw Error(Code::kUnavailable, "object " + std::string(id) + " cannot be removed: " + error.message());
    if (removed) SyncFolder(path.parent_path());
    return removed;
  }

  void List(const Context& ctx, const std::function<void(const std::string&, std::uint64_t)>& visit) override {
    for (const auto& shard : fs::directory_iterator(folder_)) {
      ctx.Check();
      const auto prefix = shard.path().filename().string();
      if (prefix.size() != 2 || !IsHex(prefix)) continue;
      for (const auto& file : fs::directory_iterator(shard.path())) {
        const auto id = prefix + file.path().filename().string();
        std::error_code gone;
        const auto size = file.file_size(gone);
        if (!gone && id.size() == 64 && IsHex(id)) visit(id, size);
      }
    }
  }

 private:
  class FileWriter : public Writer {
   public:
    explicit FileWriter(FileObjectStore& store) : store_(store), file_(store.folder_ / kWriting / NewId("object")) {}
    void Append(std::string_view bytes) override {
      file_.Append(bytes);
      hash_.Update(bytes);
    }
    std::string Commit() override {
      auto id = hash_.FinishHex();
      const auto path = store_.PathOf(id);
      std::error_code error;
      if (fs::exists(path, error)) return id;
      if (fs::create_directory(path.parent_path(), error)) SyncFolder(store_.folder_);
      file_.CommitAs(path);
      return id;
    }

   private:
    FileObjectStore& store_;
    Sha256Stream hash_;
    NewFile file_;
  };

  fs::path PathOf(std::string_view id) const {
    if (id.size() != 64 || !IsHex(id)) throw Error(Code::kInvalidArgument, "an object's id is 64 lower-case hex digits", "id");
    return folder_ / id.substr(0, 2) / id.substr(2);
  }

  const fs::path folder_;
};

}  // namespace

std::unique_ptr<ObjectStore> OpenFileObjectStore(const fs::path& folder) { return std::make_unique<FileObjectStore>(folder); }

}  // namespace tenfold::data
