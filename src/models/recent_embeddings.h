#pragma once
/// \file Remembers the newest few texts of an embedder: a message is embedded once though routing and search both ask for it. In memory alone, as questions are nobody's to keep;
/// what documents say is kept by embedding_cache.h.
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "models/embedder.h"

namespace tenfold::models {

/// Threads: safe.
class RecentEmbeddings : public Embedder {
 public:
  explicit RecentEmbeddings(std::unique_ptr<Embedder> embedder, std::size_t capacity = 32) : embedder_(std::move(embedder)), capacity_(capacity) {}

  std::vector<std::vector<float>> Embed(const Context& ctx, std::span<const std::string> texts, EmbedKind kind) override {
    if (texts.size() != 1) return embedder_->Embed(ctx, texts, kind);
    {
      const std::lock_guard lock(mutex_);
      for (const auto& one : recent_)
        if (one.kind == kind && one.text == texts[0]) return {one.vector};
    }
    auto vectors = embedder_->Embed(ctx, texts, kind);
    const std::lock_guard lock(mutex_);
    recent_.push_front({kind, texts[0], vectors[0]});
    if (recent_.size() > capacity_) recent_.pop_back();
    return vectors;
  }
  std::uint32_t dim() const override { return embedder_->dim(); }
  std::uint32_t max_tokens() const override { return embedder_->max_tokens(); }
  std::string name() const override { return embedder_->name(); }
  std::string identity() const override { return embedder_->identity(); }
  std::uint32_t CountTokens(std::string_view text) override { return embedder_->CountTokens(text); }

 private:
  const std::unique_ptr<Embedder> embedder_;
  const std::size_t capacity_;
  std::mutex mutex_;
  struct Recent {
    EmbedKind kind;
    std::string text;
    std::vector<float> vector;
  };
  std::deque<Recent> recent_;
};

}  // namespace tenfold::models
