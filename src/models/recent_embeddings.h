#pragma once
/// \file Remembers the newest few texts of an embedder: a message is embedded once though routing and search both ask for it.
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

  std::vector<std::vector<float>> Embed(const Context& ctx, std::span<const std::string> texts) override {
    if (texts.size() != 1) return embedder_->Embed(ctx, texts);
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [text, vector] : recent_)
        if (text == texts[0]) return {vector};
    }
    auto vectors = embedder_->Embed(ctx, texts);
    const std::lock_guard lock(mutex_);
    recent_.emplace_front(texts[0], vectors[0]);
    if (recent_.size() > capacity_) recent_.pop_back();
    return vectors;
  }
  std::uint32_t dim() const override { return embedder_->dim(); }
  std::uint32_t max_tokens() const override { return embedder_->max_tokens(); }
  std::string name() const override { return embedder_->name(); }
  std::uint32_t CountTokens(std::string_view text) override { return embedder_->CountTokens(text); }

 private:
  const std::unique_ptr<Embedder> embedder_;
  const std::size_t capacity_;
  std::mutex mutex_;
  std::deque<std::pair<std::string, std::vector<float>>> recent_;
};

}  // namespace tenfold::models
