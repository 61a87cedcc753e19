#pragma once
/// \file Keeps a source's documents in the store: a run per scan, many documents a commit, deletions and new labels in the commit that notices them.
#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/parse.h"
#include "data/source.h"
#include "data/store.h"
#include "models/embedder.h"
#include "retrieval/chunker.h"
#include "retrieval/document.h"
#include "retrieval/passages.h"
#include "retrieval/originals.h"
#include "workflows/run.h"

namespace tenfold::retrieval {

/// A place documents come from, as stored.
struct Source {
  std::string id;               ///< hash of the URL
  std::string url;              ///< "folder:/path"
  std::string label;            ///< of items whose source does not say who may read them; empty: only `owner` and admins
  std::int64_t scanned_us = 0;  ///< when it was last read to its end
  std::string owner = {};       ///< who read it first
  std::string last_run = {};    ///< the newest run that read it, or tries to
  Json report = {};             ///< IngestReport of the last run that came to its end
  std::string error = {};       ///< why the newest run did not; empty if it did
  Json chunks = {};             ///< ChunkOptions it asks for; null: as the settings say
};
TENFOLD_DESCRIBE(Source, (id), (url), (label), (scanned_us), (owner), (last_run), (report), (error), (chunks))
TENFOLD_TABLE(Source, "sources", id)

/// How far reading a source has got. Written with the documents it speaks of, so that a run that was killed goes on where they end.
struct SyncState {
  std::string source;
  std::string run;            ///< which reads it; any other's commits are refused
  std::string cursor;         ///< begins the next listing of changes; empty: the next is whole
  std::string settings;       ///< label and chunking of the last whole listing: with others it is listed whole again
  std::int64_t whole_us = 0;  ///< when a whole listing last came to its end
  bool listing = false;       ///< one is under way: of what changed since `from` (empty: whole), begun at `begun_us`, done up to `page`
  std::string from;
  std::string page;
  std::int64_t begun_us = 0;
  std::int64_t parts = 0;  ///< how often the run has rested, see workflows::RunContext
  Json report;             ///< IngestReport so far
  std::int64_t batches = 0;  ///< committed so far: one is never committed without the one before it
};
TENFOLD_DESCRIBE(SyncState, (source), (run), (cursor), (settings), (whole_us), (listing), (from), (page), (begun_us), (parts), (report), (batches))
TENFOLD_TABLE(SyncState, "sync_states", source, {}, {{"sources", "source"}})

/// Which items a whole listing under way has named so far.
struct SyncSeen {
  std::string id;  ///< source + "/" + number
  std::string source;
  std::vector<std::int8_t> items;  ///< eight bytes each: of the document's id, the lowest bit says whether it was there
};
TENFOLD_DESCRIBE(SyncSeen, (id), (source), (items))
TENFOLD_TABLE(SyncSeen, "sync_seen", id, {"source"}, {{"sources", "source"}})

/// An item that is left out, and why. It is tried again each time the source is read.
struct SourceProblem {
  std::string id;  ///< of the document it would be
  std::string source;
  std::string path;
  std::string problem;
  std::int64_t at_us = 0;
  std::int64_t attempts = 0;
  Json item;  ///< data::SourceItem
};
TENFOLD_DESCRIBE(SourceProblem, (id), (source), (path), (problem), (at_us), (attempts), (item))
TENFOLD_TABLE(SourceProblem, "source_problems", id, {"source"}, {{"sources", "source"}})

/// `to` was made from `from`. Written in the commit that makes `to`.
struct LineageEdge {
  std::string id;
  std::string from_id;
  std::string to_id;
  std::string kind;  ///< "parsed", "chunked"
  std::string run;
};
TENFOLD_DESCRIBE(LineageEdge, (id), (from_id), (to_id), (kind), (run))
TENFOLD_TABLE(LineageEdge, "lineage", id, {"to_id"}, {{"documents", "to_id"}})

struct IngestRequest {
  std::string url = {};
  std::string label = {};  ///< empty: as before, and the first time only who asks and admins may read what the source says nothing of
  bool dry_run = false;
  bool full = false;                        ///< list whole, though the source could say what changed
  std::optional<ChunkOptions> chunks = {};  ///< kept with the source; none: as before, the first time as the settings say
};
TENFOLD_DESCRIBE(IngestRequest, (url, Required{}, Length{1, 4096}), (label, Length{0, 1024}), (dry_run), (full), (chunks))

struct IngestProblem {
  std::string path;
  std::string problem;
};
TENFOLD_DESCRIBE(IngestProblem, (path), (problem))

struct PlannedChange {
  std::string path;
  std::string change;  ///< "add", "change", "relabel", "remove"
};
TENFOLD_DESCRIBE(PlannedChange, (path), (change))

struct IngestReport {
  std::string source;
  std::int64_t added = 0;
  std::int64_t changed = 0;
  std::int64_t unchanged = 0;
  std::int64_t removed = 0;
  std::int64_t chunks = 0;
  std::vector<IngestProblem> problems;  ///< the first hundred items left out, and why; the rest is indexed
  std::int64_t relabelled = 0;
  std::int64_t problem_count = 0;
  bool dry_run = false;             ///< this is what would be done
  std::vector<PlannedChange> plan;  ///< of a dry run, the first thousand
};
TENFOLD_DESCRIBE(IngestReport, (source), (added), (changed), (unchanged), (removed), (chunks), (problems), (relabelled), (problem_count), (dry_run), (plan))

struct IngestOptions {
  std::function<std::unique_ptr<data::Source>(std::string_view url)> open_source;
  /// Safe from any thread. Errors: as data::ParserPool::Parse.
  std::function<data::ParsedDocument(const Context& ctx, std::string_view bytes, std::string_view media_type)> parse;
  /// What passages are made with and which generation they belong to, asked anew for each batch.
  std::function<GenerationTools()> live = [] { return GenerationTools(); };
  Originals* originals = nullptr;             ///< must outlive the runs
  std::size_t parse_threads = 2;
  std::chrono::hours whole_every{24 * 7};  ///< a source that lists changes is listed whole this often, lest one that was missed stays missed
  std::chrono::seconds rest_after{240};    ///< then the run rests and goes on, so that it may be longer than a run's deadline
};

std::vector<data::Table> IngestTables();
/// The run function of kind "ingest"; input IngestRequest, output IngestReport. Events: stage {done,total,path}; total is null while the source is being
/// listed.
///
/// A page is worked off as it comes, after at most two seconds of listing ahead. Of what was listed, new labels and removals are one commit before anything is
/// read. What a complete whole listing did not name is removed; a listing that failed removes nothing. An item that cannot be read any more (it is broken, too
/// large) is removed and told; one whose source is in trouble stays for three runs as it is. Ten such in a row end the run. Killed, it goes on from its last
/// commit, at most three batches of about a second back. Another run lists anew and finds what was done; one that is still at work then ends with kAborted.
/// Memory: four batches (1,024 documents, 8 MB) and 20,000 listed items, whatever the size of the source; eight bytes for each item of a whole listing.
/// Errors: those of the source; kAborted (removed meanwhile, or taken over); those of the store and the embedder.
workflows::RunFunction MakeIngest(data::Store& store, IngestOptions options);
/// Removes a source, its documents and their passages in one commit, with what `also` writes; then their originals. A run that is reading it ends with
/// kAborted. Returns how many documents went. Errors: kNotFound.
std::int64_t RemoveSource(const Context& ctx, data::Store& store, Originals& originals, std::string_view id,
                          const std::function<void(data::WriteTx&)>& also = {});
/// The id of what a source calls `path`.
std::string DocumentIdOf(std::string_view source, std::string_view path);
/// The id of the source with this URL, as data::Source::url() gives it.
std::string SourceIdOf(std::string_view url);

/// The run function of kind "embed": embeds what was ingested before there was an embedder. Output {"chunks"}.
workflows::RunFunction MakeEmbedMissing(data::Store& store, std::function<GenerationTools()> live);

}  // namespace tenfold::retrieval
