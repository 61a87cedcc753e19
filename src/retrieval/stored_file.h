#pragma once
/// \file Files that people upload, as the store keeps them.
#include <string>

#include "data/store.h"

namespace tenfold::retrieval {

/// An uploaded file; its bytes lie in the object store. Seen by its owner and administrators.
struct StoredFile {
  std::string id;
  std::string owner;
  std::string filename;
  std::string purpose;
  std::string content_hash;
  std::int64_t bytes = 0;
  std::int64_t created_us = 0;
};
TENFOLD_DESCRIBE(StoredFile, (id), (owner), (filename), (purpose), (content_hash), (bytes), (created_us))
TENFOLD_TABLE(StoredFile, "files", id, {"content_hash", "owner"})

}  // namespace tenfold::retrieval
