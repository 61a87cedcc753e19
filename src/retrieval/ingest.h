#pragma once
/// \file Keeps a source's documents in the store: a run per scan, a step per changed file, deletions in the commit that notices them.
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "data/source.h"
#include "data/store.h"
#include "models/embedder.h"
#include "retrieval/chunker.h"
#include "retrieval/originals.h"
#include "retrieval/chunk_index.h"
#include "workflows/run.h"

namespace tenfold::retrieval {

/// A place documents come from, as stored.
struct Source {
  std::string id;   ///< hash of the URL
  std::string url;  ///< "folder:/path"
  std::string label;
  std::int64_t scanned_us = 0;
};
TENFOLD_DESCRIBE(Source, (id), (url), (label), (scanned_us))
TENFOLD_TABLE(Source, "sources", id)

/// `to` was made from `from`. Written in the commit that makes `to`.
struct LineageEdge {
  std::string id;
  std::string from_id;
  std::string to_id;
  std::string kind;  ///< "parsed", "chunked"
  std::string run;
};
TENFOLD_DESCRIBE(LineageEdge, (id), (from_id), (to_id), (kind), (run))
TENFOLD_TABLE(LineageEdge, "lineage", id, {"to_id", "from_id"}, {{"documents", "to_id"}})

struct IngestRequest {
  std::string url;
  std::string label;
};
TENFOLD_DESCRIBE(IngestRequest, (url, Required{}, Length{1, 4096}), (label, Required{}, Length{1, 64}))

struct IngestProblem {
  std::string path;
  std::string problem;
};
TENFOLD_DESCRIBE(IngestProblem, (path), (problem))

struct IngestReport {
  std::string source;
  std::int64_t added = 0;
  std::int64_t changed = 0;
  std::int64_t unchanged = 0;
  std::int64_t removed = 0;
  std::int64_t chunks = 0;
  std::vector<IngestProblem> problems;  ///< files left out, and why; the rest is indexed
};
TENFOLD_DESCRIBE(IngestReport, (source), (added), (changed), (unchanged), (removed), (chunks), (problems))

struct IngestOptions {
  std::function<std::unique_ptr<data::Source>(std::string_view url)> open_source;
  std::vector<std::string> parse_command;  ///< see data::ParserPool
  ChunkOptions chunks;
  CountTokens count_tokens = EstimateTokens;
  models::Embedder* embedder = nullptr;  ///< may be null; must outlive the runs
  Originals* originals = nullptr;        ///< must outlive the runs
};

std::vector<data::Table> IngestTables();
/// The run function of kind "ingest"; input IngestRequest, output IngestReport. Events: stage {done,total,path}.
workflows::RunFunction MakeIngest(data::Store& store, IngestOptions options);
/// Fills `embedding` and `sentences` of chunks of one document.
void EmbedChunks(const Context& ctx, models::Embedder& embedder, const Document& document, std::span<Chunk> chunks);
/// The run function of kind "embed": embeds what was ingested before there was an embedder. Output {"chunks"}.
workflows::RunFunction MakeEmbedMissing(data::Store& store, models::Embedder& embedder);

}  // namespace tenfold::retrieval
