#include "app/backup.h"

#include <archive.h>
#include <archive_entry.h>

#include <fstream>
#include <memory>

#include "base/crypto.h"
#include "base/files.h"

namespace tenfold::app {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kPiece = 1 << 20;

[[noreturn]] void ThrowArchive(archive* at, const fs::path& file) {
  const auto* why = archive_error_string(at);
  throw Error(archive_errno(at) == ENOSPC ? Code::kResourceExhausted : Code::kDataLoss, "backup '" + file.string() + "': " + (why ? why : "cannot be read or written"));
}

/// An entry of `size` bytes that `read` gives piece by piece from an offset.
void AddEntry(archive* to, const fs::path& file, const std::string& name, std::uint64_t size, const std::function<std::string(std::uint64_t offset)>& read) {
  const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(), archive_entry_free);
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0600);
  if (archive_write_header(to, entry.get()) != ARCHIVE_OK) ThrowArchive(to, file);
  for (std::uint64_t at = 0; at < size;) {
    const auto piece = read(at);
    if (piece.empty()) throw Error(Code::kDataLoss, "'" + name + "' ends early");
    if (archive_write_data(to, piece.data(), piece.size()) != static_cast<la_ssize_t>(piece.size())) ThrowArchive(to, file);
    at += piece.size();
  }
}

/// The name of an object's entry, or nothing if the entry is none.
std::optional<std::string> ObjectOf(std::string_view name) {
  if (!name.starts_with("objects/") || name.size() != 8 + 64) return std::nullopt;
  return std::string(name.substr(8));
}

/// The entry that says what the store's bytes must be; backups of before it have none.
constexpr std::string_view kStoreSum = "store.sha256";

/// Unpacks a backup into `to`: store.db, and objects in their store. Every object is checked against its name, the store against its sum.
void Unpack(const fs::path& file, const fs::path& to) {
  const std::unique_ptr<archive, decltype(&archive_read_free)> from(archive_read_new(), archive_read_free);
  archive_read_support_format_tar(from.get());
  if (archive_read_open_filename(from.get(), file.c_str(), kPiece) != ARCHIVE_OK) ThrowArchive(from.get(), file);
  const auto objects = data::OpenFileObjectStore(to / "objects");
  const auto ctx = Context::System("restore");
  archive_entry* entry = nullptr;
  bool has_store = false;
  std::string sum, expected;
  for (int status = 0; (status = archive_read_next_header(from.get(), &entry)) != ARCHIVE_EOF;) {
    if (status != ARCHIVE_OK) ThrowArchive(from.get(), file);
    const std::string name = archive_entry_pathname(entry);
    const auto copy = [&](const std::function<void(std::string_view)>& take) {
      std::string piece(kPiece, '\0');
      for (;;) {
        const auto n = archive_read_data(from.get(), piece.data(), piece.size());
        if (n < 0) ThrowArchive(from.get(), file);
        if (n == 0) return;
        take({piece.data(), static_cast<std::size_t>(n)});
      }
    };
    if (name == "store.db") {
      NewFile store(to / "store.writing");
      Sha256Stream hash;
      copy([&](std::string_view piece) {
        hash.Update(piece);
        store.Append(piece);
      });
      sum = hash.FinishHex();
      store.CommitAs(to / "store.db");
      has_store = true;
    } else if (name == kStoreSum) {
      copy([&](std::string_view piece) {
        if (expected.size() < 64) expected += piece;
      });
    } else if (const auto id = ObjectOf(name)) {
      const auto writer = objects->Create(ctx);
      copy([&](std::string_view piece) { writer->Append(piece); });
      if (writer->Commit() != *id) throw Error(Code::kDataLoss, "backup '" + file.string() + "': object " + *id + " is not what it was");
    } else {
      throw Error(Code::kDataLoss, "backup '" + file.string() + "' holds '" + name + "', which no backup does");
    }
  }
  if (!has_store) throw Error(Code::kDataLoss, "'" + file.string() + "' is no backup: it holds no store");
  if (!expected.empty() && expected != sum) throw Error(Code::kDataLoss, "backup '" + file.string() + "': the store is not what it was");
}

void KeepOld(const fs::path& home, const std::string& name) {
  const auto old = home / name, kept = home / (name + ".before-restore");
  fs::remove_all(kept);
  if (fs::exists(old)) fs::rename(old, kept);
}

}  // namespace

data::Commit MakeBackup(Services& on, const Context& ctx, const fs::path& file) {
  if (fs::exists(file)) throw Error(Code::kAlreadyExists, "'" + file.string() + "' exists; choose another name");
  // Beside its place: as large as the data, and perhaps on another disk than they are.
  const auto copy = file.string() + ".store", writing = file.string() + ".writing";
  struct Tidy {
    const std::string &copy, &writing;
    ~Tidy() {
      std::error_code ignored;
      fs::remove(copy, ignored);
      fs::remove(writing, ignored);
    }
  } const tidy{copy, writing};
  const auto commit = on.store->Backup(ctx, copy);
  const std::unique_ptr<archive, decltype(&archive_write_free)> to(archive_write_new(), archive_write_free);
  archive_write_set_format_pax_restricted(to.get());
  if (archive_write_open_filename(to.get(), writing.c_str()) != ARCHIVE_OK) ThrowArchive(to.get(), file);
  AddEntry(to.get(), file, "store.db", fs::file_size(copy), [&](std::uint64_t offset) { return ReadFileRange(copy, offset, kPiece); });
  Sha256Stream hash;
  for (std::uint64_t at = 0, size = fs::file_size(copy); at < size;) {
    const auto piece = ReadFileRange(copy, at, kPiece);
    if (piece.empty()) break;
    hash.Update(piece);
    at += piece.size();
  }
  const auto sum = hash.FinishHex();
  AddEntry(to.get(), file, std::string(kStoreSum), sum.size(), [&](std::uint64_t) { return sum; });
  on.objects->List(ctx, [&](const std::string& id, std::uint64_t size) {
    std::string first;
    try {
      first = on.objects->GetRange(ctx, id, 0, kPiece);
    } catch (const Error& e) {
      if (e.code() == Code::kNotFound) return;  // its document was deleted meanwhile
      throw;
    }
    AddEntry(to.get(), file, "objects/" + id, size, [&](std::uint64_t offset) { return offset == 0 ? first : on.objects->GetRange(ctx, id, offset, kPiece); });
  });
  if (archive_write_close(to.get()) != ARCHIVE_OK) ThrowArchive(to.get(), file);
  fs::rename(writing, file);
  SyncFolder(file.parent_path());
  return commit;
}

data::Commit RestoreBackup(const fs::path& home, const fs::path& file) {
  if (!fs::exists(file)) throw Error(Code::kNotFound, "there is no file '" + file.string() + "'");
  fs::create_directories(home);
  const HomeLock lock(home);
  const auto staged = home / "restoring";
  fs::remove_all(staged);
  fs::create_directories(staged);
  std::string magic(15, '\0');
  std::ifstream(file, std::ios::binary).read(magic.data(), 15);
  data::Commit commit = 0;
  try {
    if (magic == "SQLite format 3") fs::copy_file(file, staged / "store.db");
    else Unpack(file, staged);
    const auto store = data::OpenSqliteStore((staged / "store.db").string(), {data::TableOf<retrieval::Document>(), data::TableOf<retrieval::SmallOriginal>()});
    store->CheckIntegrity(Context::System("restore"));
    retrieval::CheckSmallOriginals(Context::System("restore"), *store);
    commit = store->commit();
  } catch (...) {
    fs::remove_all(staged);
    throw;
  }
  for (const char* name : {"store.db", "store.db-wal", "store.db-shm"}) KeepOld(home, name);
  fs::rename(staged / "store.db", home / "store.db");
  if (fs::exists(staged / "objects")) {
    KeepOld(home, "objects");
    fs::rename(staged / "objects", home / "objects");
  }
  fs::remove_all(staged);
  fs::remove_all(home / kSnapshotFolder);  // of what was there; the store would not take them for its own, but they hold what it held
  SyncFolder(home);
  return commit;
}

}  // namespace tenfold::app
