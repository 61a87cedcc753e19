#pragma once
/// \file What the parts of Sync share: items that are read and parsed together and committed together.
#include <string>

#include "retrieval/sync.h"

namespace tenfold::retrieval {

inline constexpr std::size_t kMaxBatch = 1024;
inline constexpr std::size_t kMaxPathBytes = 4096;

/// What is not UTF-8 with a '?' for each byte beyond ASCII.
std::string AsUtf8(std::string text);

enum class Outcome : std::uint8_t { kRead, kSameBytes, kGone, kUnreadable, kTrouble };

struct Sync::Work {
  Pending pending;
  std::string bytes, media_type;
  Outcome outcome = Outcome::kRead;
  std::string problem;
  std::shared_ptr<const GenerationTools> tools;
  Document document;
  std::vector<Chunk> chunks;
  data::ParsedDocument parsed;  // without its text
  std::future<void> done;
};

struct Sync::Batch {
  std::shared_ptr<const GenerationTools> tools;
  std::vector<std::shared_ptr<Work>> works;
  std::size_t bytes = 0;
  bool last = false;
  SyncState state;
  std::vector<std::int8_t> seen;
  std::unique_ptr<Originals::Held> held;
  std::unique_ptr<data::PendingWrite> write;
};

}  // namespace tenfold::retrieval
