#include "models/model_file.h"

#include <sys/stat.h>

#include <fstream>

#include "base/crypto.h"
#include "base/error.h"

namespace tenfold::models {
namespace fs = std::filesystem;

std::string HashOf(const fs::path& path) {
  Sha256Stream hash;
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error(Code::kNotFound, "there is no file '" + path.string() + "'");
  std::string piece(1 << 20, '\0');
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())) || in.gcount() > 0) hash.Update(std::string_view(piece.data(), static_cast<std::size_t>(in.gcount())));
  return hash.FinishHex();
}

bool IsUnaltered(const fs::path& path, std::string_view expected) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return false;
  const auto changed = static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec;
  const auto note_path = path.string() + ".sha256";
  std::string noted;
  std::int64_t noted_size = -1, noted_change = -1;
  std::ifstream(note_path) >> noted >> noted_size >> noted_change;
  const std::string wanted = expected.empty() ? noted : std::string(expected);
  if (noted == wanted && !noted.empty() && noted_size == info.st_size && noted_change == changed) return true;
  const auto hash = HashOf(path);
  if (!wanted.empty() && hash != wanted) return false;
  // A cache that cannot be written is read again next time; nothing else depends on the note.
  std::ofstream(note_path, std::ios::trunc) << hash << ' ' << info.st_size << ' ' << changed << '\n';
  return true;
}

}  // namespace tenfold::models
