#pragma once
/// \file Vectors of one embedding model in two files of equal slots: <name>.keys says what each slot holds and whose it is, <name>.vectors holds the floats.
///
/// Slots are overwritten in place: what is forgotten is overwritten with zeros at once, nothing is appended for ever, and a full file gives its least used slot away.
/// No text is kept, only its SHA-256. Every slot has a checksum over its key and its vector: one that was torn by a crash or damaged on the disk is dropped when it is read.
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <boost/unordered/unordered_flat_set.hpp>

namespace tenfold::models {

/// Whose text it is: a document at a version of it.
struct TextOwner {
  std::uint64_t id = 0;  ///< EmbeddingCache::OwnerOf; 0: nobody's
  std::uint32_t version = 0;  ///< from 1
};

/// SHA-256 of a text and of what it is for.
using TextKey = std::array<char, 32>;

/// Threads: one at a time.
class EmbeddingFile {
 public:
  /// Opens `stem`.keys and `stem`.vectors, or makes them; `model` is said by describe(). Days are counted since 1970; vectors that are nobody's and were not used for 30 days go.
  /// A file of another format, dimension or model is begun anew; slots beyond `capacity` are given up. Cost: reads 64 bytes a slot.
  /// Errors: kPermissionDenied, kResourceExhausted.
  EmbeddingFile(std::filesystem::path stem, std::string_view model, std::uint32_t dim, std::uint32_t capacity, std::uint32_t today);
  /// As it was written, whatever its model. Nothing if its header is damaged. Errors: as above.
  static std::unique_ptr<EmbeddingFile> OpenExisting(std::filesystem::path stem, std::uint64_t bytes, std::uint32_t today);
  ~EmbeddingFile();
  EmbeddingFile(const EmbeddingFile&) = delete;
  EmbeddingFile& operator=(const EmbeddingFile&) = delete;

  /// False if it is not there or damaged. A vector that was nobody's becomes `owner`'s, one of an older version of the same owner is of the newer from now on.
  bool Find(const TextKey& key, TextOwner owner, std::uint32_t today, std::vector<float>& out);
  /// Replaces nothing: the first one stays. Errors: kResourceExhausted (disk full); what was there before stays readable.
  void Put(const TextKey& key, TextOwner owner, std::uint32_t today, std::span<const float> vector);
  /// Overwrites what belongs to `owner.id` in other versions than `owner.version`. Returns how many. Errors: as Put.
  std::size_t Forget(TextOwner owner);
  /// Forgets what has an owner, but not the version that `version_of` gives. Returns how many.
  std::size_t KeepOnly(const std::function<std::uint32_t(std::uint64_t owner)>& version_of);
  /// Overwrites all.
  void Clear();

  const std::string& model() const { return model_; }
  std::uint32_t dim() const { return dim_; }
  std::size_t size() const { return by_key_.size(); }
  std::uint64_t bytes() const { return slots_.size() * (sizeof(Slot) + vector_bytes()); }

  /// Bytes of a slot on the disk.
  static constexpr std::uint64_t SlotBytes(std::uint32_t dim) { return sizeof(Slot) + dim * sizeof(float); }

 private:
  /// As on the disk. All zeros: free.
  struct Slot {
    TextKey key{};
    std::uint64_t owner = 0;
    std::uint32_t version = 0;
    std::uint32_t day = 0;             ///< when it was last used
    std::uint64_t vector_checksum = 0;  ///< of key and vector
    std::uint64_t checksum = 0;         ///< of the fields above
  };
  static_assert(sizeof(Slot) == 64);
  struct Header;
  struct ByKey {
    using is_transparent = void;
    const std::vector<Slot>* slots;
    std::size_t operator()(const TextKey& key) const;
    std::size_t operator()(std::uint32_t slot) const { return (*this)((*slots)[slot].key); }
    bool operator()(std::uint32_t a, std::uint32_t b) const { return (*slots)[a].key == (*slots)[b].key; }
    bool operator()(const TextKey& key, std::uint32_t b) const { return key == (*slots)[b].key; }
    bool operator()(std::uint32_t a, const TextKey& key) const { return key == (*slots)[a].key; }
  };
  static Slot Sealed(Slot slot);
  std::size_t vector_bytes() const { return dim_ * sizeof(float); }
  void OpenFiles();
  void Begin();
  void Load(std::uint32_t today);
  void WriteSlot(std::uint32_t at);
  /// Gives slots back and overwrites them, neighbours in one write.
  void Free(std::vector<std::uint32_t> slots);
  std::uint32_t TakeSlot();
  void Own(std::uint32_t at);
  void Disown(std::uint32_t at);

  const std::filesystem::path stem_;
  const std::string model_;
  const std::uint32_t dim_, capacity_;
  int keys_ = -1, vectors_ = -1;
  std::vector<Slot> slots_;
  std::vector<bool> used_;  ///< since the hand last passed
  std::vector<std::uint32_t> free_;
  boost::unordered_flat_set<std::uint32_t, ByKey, ByKey> by_key_;
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> by_owner_;  ///< without what is nobody's
  std::uint32_t hand_ = 0;
};

}  // namespace tenfold::models
