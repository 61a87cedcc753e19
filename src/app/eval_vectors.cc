#include "app/eval_vectors.h"

#include <cmath>
#include <cstring>
#include <fstream>

#include "base/crypto.h"
#include "base/error.h"
#include "base/files.h"

namespace tenfold::app {
namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kBatch = 32;

std::string KeyOf(std::string_view text, models::EmbedKind kind) { return Sha256((kind == models::EmbedKind::kQuery ? "q" : "p") + std::string(text)); }

bool IsUnit(std::span<const float> vector) {
  double sum = 0;
  for (const float x : vector) sum += static_cast<double>(x) * x;
  return std::abs(sum - 1) < 1e-3;
}

}  // namespace

EvalVectors::EvalVectors(std::filesystem::path folder, models::Embedder& embedder) : embedder_(embedder) {
  // An embedder's name may be a URL: only its digest and what is harmless of it make the file's name.
  std::string name;
  for (const char c : embedder.name())
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '-') name += c;
  file_ = folder / (name.substr(0, 40) + "-" + Sha256Hex(embedder.name()).substr(0, 12) + "-" + std::to_string(embedder.dim()) + ".vectors");
  const auto record = kKeyBytes + embedder.dim() * sizeof(float);
  try {
    std::filesystem::create_directories(folder);
    if (!std::filesystem::exists(file_)) return;
    if (const auto size = std::filesystem::file_size(file_); size % record) std::filesystem::resize_file(file_, size - size % record);
  } catch (const std::filesystem::filesystem_error& e) {
    throw Error(Code::kPermissionDenied, "keep vectors in '" + file_.string() + "': " + e.code().message());
  }
  const auto held = ReadFile(file_, kFileBytes);
  bytes_ = held.size();
  for (std::size_t at = 0; at + record <= held.size(); at += record) {
    std::vector<float> vector(embedder.dim());
    std::memcpy(vector.data(), held.data() + at + kKeyBytes, record - kKeyBytes);
    if (IsUnit(vector)) known_.insert_or_assign(held.substr(at, kKeyBytes), std::move(vector));
  }
}

void EvalVectors::Append(std::string_view records) {
  if (bytes_ + records.size() > kFileBytes) return;
  std::ofstream out(file_, std::ios::binary | std::ios::app);
  out.write(records.data(), static_cast<std::streamsize>(records.size()));
  out.flush();
  if (!out) throw Error(Code::kResourceExhausted, "keep vectors in '" + file_.string() + "': it could not be written; is the disk full?");
  bytes_ += records.size();
}

std::vector<std::vector<float>> EvalVectors::Embed(const Context& ctx, std::span<const std::string> texts, models::EmbedKind kind, const std::function<void(std::size_t, std::size_t)>& progress) {
  std::vector<std::string> keys;
  std::vector<std::size_t> missing;
  std::unordered_map<std::string, std::size_t> first;  // of equal texts one is embedded
  for (const auto& text : texts) {
    keys.push_back(KeyOf(text, kind));
    if (!known_.contains(keys.back()) && first.emplace(keys.back(), keys.size() - 1).second) missing.push_back(keys.size() - 1);
  }
  for (std::size_t at = 0; at < missing.size(); at += kBatch) {
    const auto count = std::min(kBatch, missing.size() - at);
    std::vector<std::string> batch;
    for (std::size_t i = 0; i < count; ++i) batch.push_back(texts[missing[at + i]]);
    auto vectors = embedder_.Embed(ctx, batch, kind);
    std::string records;
    for (std::size_t i = 0; i < count; ++i) {
      const auto& key = keys[missing[at + i]];
      records += key;
      records.append(reinterpret_cast<const char*>(vectors[i].data()), vectors[i].size() * sizeof(float));
      known_.insert_or_assign(key, std::move(vectors[i]));
    }
    Append(records);
    progress(at + count, missing.size());
  }
  if (missing.empty()) progress(0, 0);
  std::vector<std::vector<float>> out;
  for (const auto& key : keys) out.push_back(known_.at(key));
  return out;
}

}  // namespace tenfold::app
