#pragma once
/// \file Vectors of texts that evaluations embed again and again, in a file, so that only the first run of a collection waits for the model.
#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/context.h"
#include "models/embedder.h"

namespace tenfold::app {

/// Keyed by SHA-256 of kind and text; one file a model, named by the model and its dimension. Threads: one.
/// Durability: each batch is appended as it is made, so an interrupted run goes on where it was; a half record at the end is cut off, one that is no unit vector is not used.
class EvalVectors {
 public:
  /// Largest file that is read: 2 GB, 1.3 million vectors of 384. Beyond it nothing is kept.
  static constexpr std::size_t kFileBytes = std::size_t{2} << 30;
  /// Reads the file of `embedder` in `folder`, which is made if it is not there. Errors: kPermissionDenied, kResourceExhausted.
  EvalVectors(std::filesystem::path folder, models::Embedder& embedder);
  /// As Embedder::Embed. `progress(made, to make)` is called after each batch of texts that were not known, with both 0 if all were.
  std::vector<std::vector<float>> Embed(const Context& ctx, std::span<const std::string> texts, models::EmbedKind kind, const std::function<void(std::size_t made, std::size_t all)>& progress);

 private:
  void Append(std::string_view records);
  models::Embedder& embedder_;
  std::filesystem::path file_;
  std::size_t bytes_ = 0;  // of the file
  std::unordered_map<std::string, std::vector<float>> known_;
};

}  // namespace tenfold::app
