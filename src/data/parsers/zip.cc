#include "data/parsers/zip.h"

#include <archive.h>
#include <archive_entry.h>

#include <cstring>

#include "base/error.h"

namespace tenfold::data::parsers {
namespace {

// Deflate cannot do better than about 1,030 to 1; the XML of office files does 5 to 40. Small members may be anything.
constexpr std::size_t kSmall = 4u << 20;

std::uint32_t Number(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < size; ++i) out |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  return out;
}

}  // namespace

std::vector<std::string> ListZip(std::string_view zip) {
  // The end record is the last 22 bytes and a comment of at most 65,535. Source: APPNOTE.TXT 6.3, sections 4.3.12 and 4.3.16.
  std::vector<std::string> out;
  const auto tail = zip.size() > 66'000 ? zip.size() - 66'000 : 0;
  const auto end = zip.substr(tail).rfind(std::string_view("PK\5\6", 4));
  if (end == std::string_view::npos || tail + end + 22 > zip.size()) return out;
  std::size_t at = Number(zip, tail + end + 16, 4);
  while (out.size() < kMaxZipEntries && at + 46 <= zip.size() && zip.substr(at, 4) == std::string_view("PK\1\2", 4)) {
    const std::size_t name = Number(zip, at + 28, 2), more = Number(zip, at + 30, 2) + std::size_t{Number(zip, at + 32, 2)};
    if (at + 46 + name > zip.size()) break;
    out.emplace_back(zip.substr(at + 46, name));
    at += 46 + name + more;
  }
  return out;
}

ZipFile::ZipFile(std::string_view zip, bool (*wanted)(std::string_view name)) {
  struct Closer {
    void operator()(archive* a) const { archive_read_free(a); }
  };
  const std::unique_ptr<archive, Closer> reader(archive_read_new());
  archive_read_support_format_zip(reader.get());
  if (archive_read_open_memory(reader.get(), zip.data(), zip.size()) != ARCHIVE_OK) throw Error(Code::kInvalidArgument, "the file is not a zip archive");
  archive_entry* entry = nullptr;
  std::size_t total = 0, entries = 0;
  for (;;) {
    const int rc = archive_read_next_header(reader.get(), &entry);
    if (rc == ARCHIVE_EOF) return;
    if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN) throw Error(Code::kInvalidArgument, "the archive is damaged");
    if (++entries > kMaxZipEntries) throw Error(Code::kResourceExhausted, "the archive has more than " + std::to_string(kMaxZipEntries) + " entries");
    const char* name = archive_entry_pathname_utf8(entry);
    if (!name) name = archive_entry_pathname(entry);
    if (!name || !wanted(name)) continue;
    if (archive_entry_is_encrypted(entry)) throw Error(Code::kInvalidArgument, "the archive is encrypted; save the file without a password");
    std::string out;
    char buffer[65536];
    for (;;) {
      const auto n = archive_read_data(reader.get(), buffer, sizeof buffer);
      if (n < 0) throw Error(Code::kInvalidArgument, "the archive is damaged at '" + std::string(name) + "'");
      if (n == 0) break;
      out.append(buffer, static_cast<std::size_t>(n));
      total += static_cast<std::size_t>(n);
      if (total > kMaxZipBytes) throw Error(Code::kResourceExhausted, "the archive inflates past " + std::to_string(kMaxZipBytes >> 20) + " MB");
      if (total > kSmall && total / kMaxZipRatio > zip.size()) throw Error(Code::kResourceExhausted, "the archive inflates to more than " + std::to_string(kMaxZipRatio) + " times its size");
    }
    members_.insert_or_assign(name, std::move(out));
  }
}

const std::string* ZipFile::Find(std::string_view name) const {
  const auto found = members_.find(name);
  return found == members_.end() ? nullptr : &found->second;
}

const std::string& ZipFile::Get(std::string_view name) const {
  if (const auto* found = Find(name)) return *found;
  throw Error(Code::kInvalidArgument, "the archive has no '" + std::string(name) + "'");
}

}  // namespace tenfold::data::parsers
