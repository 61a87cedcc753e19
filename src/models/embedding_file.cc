#include "models/embedding_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "base/checksum.h"
#include "base/error.h"

namespace tenfold::models {
namespace {

constexpr std::uint32_t kNobodysDays = 30;
constexpr char kMagic[8] = {'T', 'F', 'E', 'M', 'B', 'E', 'D', '1'};

std::uint64_t ChecksumOf(const TextKey& key, std::span<const float> vector) {
  std::uint64_t seed = 0;
  std::memcpy(&seed, key.data(), sizeof seed);
  return QuickChecksum(std::as_bytes(vector), seed);
}

void WriteAt(int fd, const void* data, std::size_t bytes, std::uint64_t offset, const std::filesystem::path& stem) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const auto written = ::pwrite(fd, from, bytes, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) throw Error(Code::kResourceExhausted, "keep embeddings in '" + stem.string() + "': " + std::string(std::strerror(errno)));
    from += written;
    bytes -= static_cast<std::size_t>(written);
    offset += static_cast<std::uint64_t>(written);
  }
}

/// How many bytes there were.
std::size_t ReadAt(int fd, void* data, std::size_t bytes, std::uint64_t offset) {
  char* to = static_cast<char*>(data);
  std::size_t done = 0;
  while (done < bytes) {
    const auto read = ::pread(fd, to + done, bytes - done, static_cast<off_t>(offset + done));
    if (read < 0 && errno == EINTR) continue;
    if (read <= 0) break;
    done += static_cast<std::size_t>(read);
  }
  return done;
}

int OpenOne(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) throw Error(Code::kPermissionDenied, "keep embeddings in '" + path.string() + "': " + std::string(std::strerror(errno)));
  return fd;
}

}  // namespace

/// Before the slots of .keys.
struct EmbeddingFile::Header {
  char magic[8] = {};
  std::uint32_t dim = 0;
  std::uint32_t model_bytes = 0;
  char model[488] = {};  ///< the beginning, to be shown; the stem holds its digest
  std::uint64_t checksum = 0;  ///< of the fields above

  std::uint64_t Sum() const { return QuickChecksum(std::as_bytes(std::span(this, 1)).first(offsetof(Header, checksum))); }
};

std::size_t EmbeddingFile::ByKey::operator()(const TextKey& key) const {
  std::size_t value = 0;
  std::memcpy(&value, key.data(), sizeof value);
  return value;
}

EmbeddingFile::Slot EmbeddingFile::Sealed(Slot slot) {
  slot.checksum = QuickChecksum(std::as_bytes(std::span(&slot, 1)).first(offsetof(Slot, checksum)));
  return slot;
}

EmbeddingFile::EmbeddingFile(std::filesystem::path stem, std::string_view model, std::uint32_t dim, std::uint32_t capacity, std::uint32_t today)
    : stem_(std::move(stem)), model_(model), dim_(dim), capacity_(std::max(capacity, 1u)), by_key_(0, ByKey{&slots_}, ByKey{&slots_}) {
  try {
    OpenFiles();
    Load(today);
  } catch (...) {
    if (keys_ >= 0) ::close(keys_);
    if (vectors_ >= 0) ::close(vectors_);
    throw;
  }
}

EmbeddingFile::~EmbeddingFile() {
  ::close(keys_);
  ::close(vectors_);
}

std::unique_ptr<EmbeddingFile> EmbeddingFile::OpenExisting(std::filesystem::path stem, std::uint64_t bytes, std::uint32_t today) {
  Header header;
  const int fd = OpenOne(stem.string() + ".keys");
  const auto read = ReadAt(fd, &header, sizeof header, 0);
  ::close(fd);
  if (read != sizeof header || header.checksum != header.Sum() || header.dim == 0 || header.model_bytes > sizeof header.model) return nullptr;
  return std::make_unique<EmbeddingFile>(std::move(stem), std::string_view(header.model, header.model_bytes), header.dim, static_cast<std::uint32_t>(bytes / SlotBytes(header.dim)), today);
}

void EmbeddingFile::OpenFiles() {
  keys_ = OpenOne(stem_.string() + ".keys");
  vectors_ = OpenOne(stem_.string() + ".vectors");
}

void EmbeddingFile::Begin() {
  if (::ftruncate(keys_, 0) != 0 || ::ftruncate(vectors_, 0) != 0) throw Error(Code::kPermissionDenied, "keep embeddings in '" + stem_.string() + "': " + std::string(std::strerror(errno)));
  Header header;
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.dim = dim_;
  header.model_bytes = static_cast<std::uint32_t>(std::min(model_.size(), sizeof header.model));
  std::memcpy(header.model, model_.data(), header.model_bytes);
  header.checksum = header.Sum();
  WriteAt(keys_, &header, sizeof header, 0, stem_);
}

void EmbeddingFile::Load(std::uint32_t today) {
  Header header;
  const bool whole = ReadAt(keys_, &header, sizeof header, 0) == sizeof header && header.checksum == header.Sum() && std::memcmp(header.magic, kMagic, sizeof kMagic) == 0 && header.dim == dim_ &&
                     header.model_bytes <= sizeof header.model && std::string_view(header.model, header.model_bytes) == std::string_view(model_).substr(0, sizeof header.model);
  if (!whole) return Begin();
  struct ::stat is {};
  if (::fstat(keys_, &is) != 0) throw Error(Code::kPermissionDenied, "keep embeddings in '" + stem_.string() + "': " + std::string(std::strerror(errno)));
  const auto held = (static_cast<std::uint64_t>(is.st_size) - sizeof header) / sizeof(Slot);
  slots_.resize(std::min<std::uint64_t>(held, capacity_));
  slots_.resize(ReadAt(keys_, slots_.data(), slots_.size() * sizeof(Slot), sizeof header) / sizeof(Slot));
  if (::ftruncate(keys_, static_cast<off_t>(sizeof header + slots_.size() * sizeof(Slot))) != 0 || ::ftruncate(vectors_, static_cast<off_t>(slots_.size() * vector_bytes())) != 0)
    throw Error(Code::kPermissionDenied, "keep embeddings in '" + stem_.string() + "': " + std::string(std::strerror(errno)));
  used_.assign(slots_.size(), false);
  by_key_.reserve(slots_.size());
  std::vector<std::uint32_t> gone;
  for (std::uint32_t at = 0; at < slots_.size(); ++at) {
    auto& slot = slots_[at];
    if (slot.key == TextKey{} && slot.checksum == 0) {
      free_.push_back(at);
      continue;
    }
    const bool expired = slot.owner == 0 && slot.day + kNobodysDays < today;
    if (slot.checksum != Sealed(slot).checksum || expired || !by_key_.insert(at).second) gone.push_back(at);
    else Own(at);
  }
  Free(std::move(gone));
}

bool EmbeddingFile::Find(const TextKey& key, TextOwner owner, std::uint32_t today, std::vector<float>& out) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return false;
  const auto at = *found;
  auto& slot = slots_[at];
  out.resize(dim_);
  if (ReadAt(vectors_, out.data(), vector_bytes(), at * vector_bytes()) != vector_bytes() || ChecksumOf(key, out) != slot.vector_checksum) {
    by_key_.erase(found);
    Disown(at);
    Free({at});
    return false;
  }
  used_[at] = true;
  const bool newer = slot.owner == owner.id && slot.version < owner.version, adopted = slot.owner == 0 && owner.id != 0;
  if (newer || adopted || slot.day != today) {
    slot.day = today;
    if (newer || adopted) slot.version = owner.version;
    if (adopted) {
      slot.owner = owner.id;
      Own(at);
    }
    WriteSlot(at);
  }
  return true;
}

void EmbeddingFile::Put(const TextKey& key, TextOwner owner, std::uint32_t today, std::span<const float> vector) {
  if (by_key_.contains(key)) return;
  const auto at = TakeSlot();
  try {
    WriteAt(vectors_, vector.data(), vector_bytes(), at * vector_bytes(), stem_);
    slots_[at] = {key, owner.id, owner.version, today, ChecksumOf(key, vector), 0};
    WriteSlot(at);
  } catch (...) {
    slots_[at] = {};
    free_.push_back(at);
    throw;
  }
  used_[at] = true;
  by_key_.insert(at);
  Own(at);
}

std::size_t EmbeddingFile::Forget(TextOwner owner) {
  const auto found = by_owner_.find(owner.id);
  if (found == by_owner_.end()) return 0;
  std::vector<std::uint32_t> gone;
  for (const auto at : found->second)
    if (slots_[at].version != owner.version) gone.push_back(at);
  if (gone.size() == found->second.size()) by_owner_.erase(found);
  else std::erase_if(found->second, [&](std::uint32_t at) { return slots_[at].version != owner.version; });
  for (const auto at : gone) by_key_.erase(at);
  const auto count = gone.size();
  Free(std::move(gone));
  return count;
}

std::size_t EmbeddingFile::KeepOnly(const std::function<std::uint32_t(std::uint64_t owner)>& version_of) {
  std::vector<TextOwner> owners;
  for (const auto& [owner, slots] : by_owner_) owners.push_back({owner, version_of(owner)});
  std::size_t count = 0;
  for (const auto& owner : owners) count += Forget(owner);
  return count;
}

void EmbeddingFile::Clear() {
  by_key_.clear();
  by_owner_.clear();
  slots_.clear();
  used_.clear();
  free_.clear();
  hand_ = 0;
  Begin();
}

void EmbeddingFile::WriteSlot(std::uint32_t at) {
  slots_[at] = Sealed(slots_[at]);
  WriteAt(keys_, &slots_[at], sizeof(Slot), sizeof(Header) + at * sizeof(Slot), stem_);
}

void EmbeddingFile::Free(std::vector<std::uint32_t> slots) {
  std::sort(slots.begin(), slots.end());
  std::string zeros;
  for (std::size_t i = 0; i < slots.size();) {
    std::size_t end = i + 1;
    while (end < slots.size() && slots[end] == slots[end - 1] + 1) ++end;
    for (std::size_t at = i; at < end; ++at) {
      slots_[slots[at]] = {};
      free_.push_back(slots[at]);
    }
    // The vector first: a key without its vector is dropped when it is asked for, a vector without its key would lie there.
    zeros.resize(std::max(zeros.size(), (end - i) * std::max(vector_bytes(), sizeof(Slot))));
    WriteAt(vectors_, zeros.data(), (end - i) * vector_bytes(), slots[i] * vector_bytes(), stem_);
    WriteAt(keys_, zeros.data(), (end - i) * sizeof(Slot), sizeof(Header) + slots[i] * sizeof(Slot), stem_);
    i = end;
  }
}

/// Of a full file the first that was not used since the hand last passed. Source: the clock algorithm, Corbató, "A paging experiment with the Multics system", 1968.
std::uint32_t EmbeddingFile::TakeSlot() {
  if (!free_.empty()) {
    const auto at = free_.back();
    free_.pop_back();
    return at;
  }
  if (slots_.size() < capacity_) {
    slots_.emplace_back();
    used_.push_back(false);
    return static_cast<std::uint32_t>(slots_.size() - 1);
  }
  for (;; hand_ = (hand_ + 1) % static_cast<std::uint32_t>(slots_.size())) {
    if (used_[hand_]) {
      used_[hand_] = false;
      continue;
    }
    by_key_.erase(hand_);
    Disown(hand_);
    slots_[hand_] = {};
    return hand_;
  }
}

void EmbeddingFile::Own(std::uint32_t at) {
  if (slots_[at].owner != 0) by_owner_[slots_[at].owner].push_back(at);
}

void EmbeddingFile::Disown(std::uint32_t at) {
  const auto found = by_owner_.find(slots_[at].owner);
  if (found == by_owner_.end()) return;
  std::erase(found->second, at);
  if (found->second.empty()) by_owner_.erase(found);
}

}  // namespace tenfold::models
