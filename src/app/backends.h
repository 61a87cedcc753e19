#pragma once
/// \file Every replaceable part by the scheme of its URL, in one list to be read top to bottom.
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "app/settings.h"
#include "data/object_store.h"
#include "data/source.h"
#include "data/store.h"
#include "models/embedder.h"
#include "models/generator.h"
#include "models/reranker.h"
#include "retrieval/search_index.h"

namespace tenfold::app {

/// "sqlite:<path>"; a relative path lies in `home`. Errors: kInvalidArgument naming the schemes this build has.
std::unique_ptr<data::Store> OpenStore(std::string_view url, const std::filesystem::path& home, std::vector<data::Table> tables);

/// "file:<folder>"; a relative path is inside `home`. Errors: kInvalidArgument (scheme), kPermissionDenied.
std::unique_ptr<data::ObjectStore> OpenObjectStore(std::string_view url, const std::filesystem::path& home);
/// "folder:<path>", "web:<url>", "notion:", "github:owner/repo", "openapi:<url>"; docs/sources/ has a page for each. Errors: kInvalidArgument (scheme, options).
std::unique_ptr<data::Source> OpenSource(std::string_view url, const data::SourceSetup& setup);

/// A model of the catalogue, whose files lie below `models`, an openai:, cohere: or ollama: URL, each with the options of models/embedder_url.h, or "none" (null). Errors: kNotFound with the fix, kInvalidArgument (scheme), kUnavailable.
std::unique_ptr<models::Embedder> OpenEmbedder(std::string_view name, const std::filesystem::path& models, const ModelSettings& settings);
/// The same for generators. Errors: also kDataLoss, kResourceExhausted (memory).
std::unique_ptr<models::Generator> OpenGenerator(std::string_view name, const std::filesystem::path& models, const ModelSettings& settings);

/// "file:<folder>" of a BERT cross-encoder, the name of such a folder below `models`, a cohere:, jina: or tei: URL (models/remote_reranker.h), or "none" (null).
/// Errors: kNotFound, kDataLoss, kInvalidArgument (scheme, URL, a model of another kind). A server is asked for the first time with the first question.
std::unique_ptr<models::Reranker> OpenReranker(std::string_view url, const std::filesystem::path& models, const ModelSettings& settings);

/// How `embedded:NAME` is opened: by who holds the data folder it is in.
using OpenEmbeddedIndex = std::function<std::unique_ptr<retrieval::SearchIndex>(const Context& ctx, std::string_view name, std::optional<std::size_t> dim, std::optional<retrieval::Metric> metric)>;
/// "postgresql://…?table=…" (pgvector), "weaviate:http://…/Class", "pinecone:NAME", or "embedded:NAME", a collection of a data folder; docs/backends/ has a page for each. Keys come from
/// $PGPASSWORD, $WEAVIATE_API_KEY and $PINECONE_API_KEY. Without `metric` cosine, or what an embedded one has. Errors: kInvalidArgument (scheme, URL, dimension or metric of what is
/// there, no `dim` for an index outside, `embedded:` where there is no data folder), kUnauthenticated, kUnavailable.
std::unique_ptr<retrieval::SearchIndex> OpenSearchIndex(const Context& ctx, std::string_view url, std::optional<std::size_t> dim, std::optional<retrieval::Metric> metric, const OpenEmbeddedIndex& embedded = {});

}  // namespace tenfold::app
