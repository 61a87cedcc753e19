#pragma once
/// \file Files that people upload, and vector stores made of them: a collection whose records are the passages of files.
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/parse.h"
#include "models/embedder.h"
#include "retrieval/chunker.h"
#include "retrieval/collections.h"
#include "retrieval/originals.h"
#include "retrieval/stored_file.h"
#include "workflows/run.h"

namespace tenfold::retrieval {

/// A file in a vector store. `status`: "in_progress", "completed", "failed".
struct VectorStoreFile {
  std::string id;     ///< store + "/" + file
  std::string store;  ///< a collection
  std::string file;
  std::string filename;
  std::string batch;  ///< which call added it, if several were added at once
  std::string status;
  std::string error_code, error;
  JsonObject attributes;
  std::int64_t max_tokens = 0;  ///< of a passage; 0: as the server's settings say
  std::int64_t usage_bytes = 0;
  std::int64_t created_us = 0;
};
TENFOLD_DESCRIBE(VectorStoreFile, (id), (store), (file), (filename), (batch), (status), (error_code), (error), (attributes), (max_tokens), (usage_bytes), (created_us))
TENFOLD_TABLE(VectorStoreFile, "vector_store_files", id, {"store", "file"}, {{"collections", "store"}})

/// What a run of VectorStores::kRunKind does.
struct AttachRequest {
  std::string store, file;
};
TENFOLD_DESCRIBE(AttachRequest, (store, Required{}), (file, Required{}))

/// Threads: all methods are safe. What it is made of must outlive it.
class VectorStores {
 public:
  static constexpr const char* kRunKind = "vector-store-file";
  struct Parts {
    data::Store& store;
    data::ObjectStore& objects;
    Originals& originals;
    Collections& collections;
    workflows::Runs& runs;
    std::shared_ptr<models::Embedder> embedder;  ///< null: words alone
    std::string embedder_id;
    ChunkOptions chunks;
    std::function<data::ParsedDocument(const Context& ctx, std::string_view bytes, std::string_view media_type)> parse;
  };
  static std::vector<data::Table> Tables() { return {data::TableOf<VectorStoreFile>()}; }  ///< beside IngestTables()
  /// Registers its kind of run: before Runs::Resume().
  explicit VectorStores(Parts parts);

  /// Durable when it returns. Errors: kResourceExhausted (data::kMaxDocumentBytes).
  StoredFile AddFile(const Context& ctx, std::string filename, std::string purpose, std::string_view bytes);
  StoredFile GetFile(const Context& ctx, std::string_view id);  ///< Errors: kNotFound
  std::vector<StoredFile> ListFiles(const Context& ctx);        ///< oldest first
  std::string ReadFileBytes(const Context& ctx, std::string_view id);
  /// Takes it out of every vector store first. Errors: kNotFound.
  void DeleteFile(const Context& ctx, std::string_view id);

  /// A run reads, cuts and embeds it; killed, the run begins again. A file that is there already is read anew. Errors: kNotFound, kPermissionDenied, kInvalidArgument.
  VectorStoreFile Attach(const Context& ctx, const std::string& store, const std::string& file, JsonObject attributes, std::int64_t max_tokens, const std::string& batch);
  VectorStoreFile GetAttached(const Context& ctx, const std::string& store, const std::string& file);  ///< Errors: kNotFound
  std::vector<VectorStoreFile> ListAttached(const Context& ctx, const std::string& store);             ///< oldest first
  /// Replaces what filters know of it. Errors: kNotFound, kPermissionDenied.
  VectorStoreFile SetAttributes(const Context& ctx, const std::string& store, const std::string& file, JsonObject attributes);
  /// With its passages; the file itself stays. Errors: kNotFound, kPermissionDenied.
  void Detach(const Context& ctx, const std::string& store, const std::string& file);
  /// The passages' text in order.
  std::vector<std::string> ReadPassages(const Context& ctx, const std::string& store, const std::string& file);
  /// By words and, with an embedder, by meaning; only what `filter` on attributes lets through.
  IndexResult Search(const Context& ctx, const std::string& store, const std::string& text, const Filter& filter, std::size_t k);

  models::Embedder* embedder() const { return parts_.embedder.get(); }
  const std::string& embedder_id() const { return parts_.embedder_id; }
  Collections& collections() const { return parts_.collections; }

 private:
  Json Work(workflows::RunContext& run);
  Json Read(const Context& ctx, const AttachRequest& request);
  std::vector<std::string> RecordsOf(const Context& ctx, SearchIndex& index, const std::string& file);
  const Parts parts_;
};

}  // namespace tenfold::retrieval
