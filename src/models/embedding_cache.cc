#include "models/embedding_cache.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <unordered_map>

#include "base/crypto.h"
#include "base/log.h"

namespace tenfold::models {
namespace {

constexpr std::size_t kBatch = 256;
// What a model makes of this text tells whether it is the one whose vectors are kept: a server may have changed it behind the same name. Servers differ by about 1e-4 from call to call.
const std::string kProbe = "The quick brown fox jumps over the lazy dog, 1234567890.";
constexpr double kSameModel = 0.999;
constexpr TextOwner kProbeOwner{~std::uint64_t{0}, 1};  // never forgotten

TextKey KeyOf(std::string_view text, EmbedKind kind) {
  std::string said(1, kind == EmbedKind::kQuery ? 'q' : 'p');
  said += text;
  const auto hash = Sha256(said);
  TextKey key{};
  std::copy_n(hash.begin(), key.size(), key.begin());
  return key;
}

struct HashOfKey {
  std::size_t operator()(const TextKey& key) const {
    std::size_t value = 0;
    std::memcpy(&value, key.data(), sizeof value);
    return value;
  }
};

}  // namespace

EmbeddingCache::EmbeddingCache(std::filesystem::path folder, Options options) : folder_(std::move(folder)), options_(options) {
  try {
    if (options_.bytes_per_model == 0) {
      std::filesystem::remove_all(folder_);
      return;
    }
    std::filesystem::create_directories(folder_);
    std::vector<std::filesystem::path> stems;
    for (const auto& entry : std::filesystem::directory_iterator(folder_))
      if (entry.path().extension() == ".keys") stems.push_back(folder_ / entry.path().stem());
    for (const auto& stem : stems) {
      auto shelf = std::make_shared<Shelf>();
      shelf->file = EmbeddingFile::OpenExisting(stem, options_.bytes_per_model, Today());
      if (shelf->file) shelves_.emplace(stem.filename().string(), std::move(shelf));
      else for (const char* end : {".keys", ".vectors"}) std::filesystem::remove(stem.string() + end);
    }
  } catch (const std::filesystem::filesystem_error& e) {
    throw Error(Code::kPermissionDenied, "keep embeddings in '" + folder_.string() + "': " + e.code().message());
  }
}

std::uint64_t EmbeddingCache::OwnerOf(std::string_view name) {
  std::uint64_t id = 0;
  std::memcpy(&id, Sha256(name).data(), sizeof id);
  return id == 0 ? 1 : id;
}

std::uint32_t EmbeddingCache::Today() const {
  const auto& clock = options_.clock ? *options_.clock : SystemClock();
  return static_cast<std::uint32_t>(ToMicros(clock.Now()) / 86'400'000'000);
}

std::vector<std::shared_ptr<EmbeddingCache::Shelf>> EmbeddingCache::Shelves() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Shelf>> out;
  for (const auto& [name, shelf] : shelves_) out.push_back(shelf);
  return out;
}

void EmbeddingCache::RemoveOldest() {
  const auto written = [&](const auto& shelf) { return std::filesystem::last_write_time(folder_ / (shelf.first + ".keys")); };
  const auto oldest = std::min_element(shelves_.begin(), shelves_.end(), [&](const auto& a, const auto& b) { return written(a) < written(b); });
  for (const char* end : {".keys", ".vectors"}) std::filesystem::remove(folder_ / (oldest->first + end));
  shelves_.erase(oldest);
}

std::shared_ptr<EmbeddingCache::Shelf> EmbeddingCache::ShelfOf(const Context& ctx, Embedder& embedder) {
  const auto model = embedder.identity();
  const auto name = Sha256Hex(model + "\n" + std::to_string(embedder.dim())).substr(0, 24);
  std::shared_ptr<Shelf> shelf;
  {
    const std::lock_guard lock(mutex_);
    auto& known = shelves_[name];
    if (!known) {
      try {
        auto made = std::make_shared<Shelf>();
        made->file = std::make_unique<EmbeddingFile>(folder_ / name, model, embedder.dim(), static_cast<std::uint32_t>(options_.bytes_per_model / EmbeddingFile::SlotBytes(embedder.dim())), Today());
        known = std::move(made);
        if (shelves_.size() > kMaxModels) RemoveOldest();
      } catch (...) {
        shelves_.erase(name);
        throw;
      }
      shelf = shelves_.at(name);
    } else {
      shelf = known;
    }
  }
  CheckModel(ctx, embedder, *shelf);
  return shelf;
}

void EmbeddingCache::CheckModel(const Context& ctx, Embedder& embedder, Shelf& shelf) {
  {
    const std::lock_guard lock(shelf.mutex);
    if (shelf.checked) return;
  }
  const auto now = std::move(embedder.Embed(ctx, std::span(&kProbe, 1), EmbedKind::kPassage).front());
  const std::lock_guard lock(shelf.mutex);
  if (shelf.checked) return;
  const auto key = KeyOf("probe\n" + kProbe, EmbedKind::kPassage);
  std::vector<float> before;
  const bool found = shelf.file->Find(key, kProbeOwner, Today(), before);
  const double cosine = found ? std::inner_product(now.begin(), now.end(), before.begin(), 0.0) : 0;
  if (cosine < kSameModel) {
    // Vectors without the one that says which model made them (it was damaged) are of no use either.
    if (shelf.file->size() > 0) {
      Log(LogLevel::kWarning, "the model behind this name is another than before: the embeddings that were kept are removed", {{"model", embedder.name()}, {"cosine", cosine}});
      shelf.file->Clear();
    }
    Keep(shelf, key, kProbeOwner, now);
  }
  shelf.checked = true;
}

void EmbeddingCache::Keep(Shelf& shelf, const TextKey& key, TextOwner owner, std::span<const float> vector) {
  if (shelf.full) return;
  try {
    shelf.file->Put(key, owner, Today(), vector);
  } catch (const Error& e) {
    shelf.full = true;
    Log(LogLevel::kWarning, "embeddings are not kept any more: the same texts will be embedded again", {{"error", e.message()}});
  }
}

std::vector<std::vector<float>> EmbeddingCache::Embed(const Context& ctx, Embedder& embedder, std::span<const std::string> texts, EmbedKind kind, std::span<const TextOwner> owners,
                                                      const std::function<void(std::size_t, std::size_t)>& progress) {
  TENFOLD_CHECK(owners.empty() || owners.size() == texts.size());
  const auto owner_of = [&](std::size_t i) { return owners.empty() ? TextOwner{} : owners[i]; };
  const auto shelf = options_.bytes_per_model > 0 && !texts.empty() ? ShelfOf(ctx, embedder) : nullptr;
  const auto today = Today();
  std::vector<std::vector<float>> out(texts.size());
  std::vector<TextKey> keys;
  keys.reserve(texts.size());
  std::vector<std::size_t> missing;                                       // the first of equal ones
  std::vector<std::pair<std::size_t, std::size_t>> same;                  // a later one, and the first
  std::unordered_map<TextKey, std::size_t, HashOfKey> first_of;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    keys.push_back(KeyOf(texts[i], kind));
    if (shelf) {
      const std::lock_guard lock(shelf->mutex);
      if (shelf->file->Find(keys[i], owner_of(i), today, out[i])) continue;
    }
    if (const auto [first, is_new] = first_of.emplace(keys[i], i); is_new) missing.push_back(i);
    else same.emplace_back(i, first->second);
  }
  found_ += texts.size() - missing.size();
  for (std::size_t at = 0; at < missing.size(); at += kBatch) {
    const auto count = std::min(kBatch, missing.size() - at);
    std::vector<std::string> batch;
    batch.reserve(count);
    for (std::size_t i = 0; i < count; ++i) batch.push_back(texts[missing[at + i]]);
    auto vectors = embedder.Embed(ctx, batch, kind);
    made_ += count;
    for (std::size_t i = 0; i < count; ++i) {
      const auto to = missing[at + i];
      if (shelf) {
        const std::lock_guard lock(shelf->mutex);
        Keep(*shelf, keys[to], owner_of(to), vectors[i]);
      }
      out[to] = std::move(vectors[i]);
    }
    if (progress) progress(at + count, missing.size());
  }
  for (const auto& [later, first] : same) out[later] = out[first];
  if (progress && missing.empty()) progress(0, 0);
  return out;
}

void EmbeddingCache::Forget(std::span<const TextOwner> owners) {
  for (const auto& shelf : Shelves()) {
    const std::lock_guard lock(shelf->mutex);
    for (const auto& owner : owners) shelf->file->Forget(owner);
  }
}

void EmbeddingCache::KeepOnly(const std::function<std::uint32_t(std::uint64_t)>& version_of) {
  for (const auto& shelf : Shelves()) {
    const std::lock_guard lock(shelf->mutex);
    shelf->file->KeepOnly([&](std::uint64_t owner) { return owner == kProbeOwner.id ? kProbeOwner.version : version_of(owner); });
  }
}

bool EmbeddingCache::empty() const {
  for (const auto& shelf : Shelves()) {
    const std::lock_guard lock(shelf->mutex);
    if (shelf->file->size() > 1) return false;  // one is what the model is known by
  }
  return true;
}

EmbeddingCacheStatus EmbeddingCache::status() const {
  EmbeddingCacheStatus out;
  for (const auto& shelf : Shelves()) {
    const std::lock_guard lock(shelf->mutex);
    out.models.push_back({shelf->file->model(), shelf->file->dim(), shelf->file->size(), shelf->file->bytes()});
  }
  out.found = found_;
  out.made = made_;
  return out;
}

}  // namespace tenfold::models
