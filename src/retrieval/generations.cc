#include "retrieval/generations.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "base/clock.h"
#include "retrieval/embedding_owners.h"
#include "retrieval/ranking_metrics.h"
#include "retrieval/retriever.h"
#include "retrieval/sync.h"

namespace tenfold::retrieval {
namespace {

constexpr std::size_t kMaxGenerations = 3;  // the live one, the one before, the one to come
constexpr std::size_t kBuildBatch = 64;
constexpr std::size_t kPage = 1000;
constexpr std::size_t kTop = 10;
// So long a build waits for an engine that does not answer.
constexpr std::chrono::seconds kEngineWait{60};

/// As `documents`, ids alone.
struct DocumentId {
  std::string id;
};
TENFOLD_DESCRIBE(DocumentId, (id))
TENFOLD_TABLE(DocumentId, "documents", id)

struct ChunkKey {
  std::string id;
  std::string document;
  std::string generation;
};
TENFOLD_DESCRIBE(ChunkKey, (id), (document), (generation))
TENFOLD_TABLE(ChunkKey, "chunks", id)

struct BuildInput {
  std::string generation;
};
TENFOLD_DESCRIBE(BuildInput, (generation, Required{}))

/// Ids of documents after `after`, at most `limit`, that `generation` lacks; `after` becomes the last one looked at, empty at the end.
std::vector<std::string> FindMissing(data::ReadTx& tx, const std::string& generation, std::string& after, std::size_t limit) {
  std::vector<std::string> out;
  for (;;) {
    const auto page = tx.Find<DocumentId>({{{"id", data::Compare::kGreater, data::Value(after)}}, "", false, kPage});
    if (page.empty()) {
      after.clear();
      return out;
    }
    for (const auto& document : page) {
      after = document.id;
      if (!tx.Get<GenerationDocument>(generation + "/" + document.id)) out.push_back(document.id);
      if (out.size() == limit) return out;
    }
  }
}

std::int64_t CountMissing(data::ReadTx& tx, const std::string& generation) { return tx.Count<DocumentId>() - tx.Count<GenerationDocument>(data::Where("generation", generation)); }

/// Documents in the order of their best passage.
std::vector<std::string> FirstDocuments(const Context& ctx, const OpenIndex& in, const std::string& query, std::span<const float> embedding) {
  std::vector<std::string> out;
  auto search = HybridQuery(query, {embedding.begin(), embedding.end()}, 5 * kTop);
  search.per_group = 1;
  for (const auto& hit : in.index->Search(ctx, search).hits) {
    out.push_back(hit.group);
    if (out.size() == kTop) break;
  }
  return out;
}

/// Empty for this program's memory.
std::string EngineUrl(const std::string& index) { return index == "embedded:" ? "" : index; }

/// Another data folder may use the same engine.
std::string NewNameSpace(const std::string& generation) { return "tenfold-" + generation + "-" + std::to_string(SystemRandom().Next()); }

void CheckEngine(const Generation& generation) {
  if (generation.index.empty() || generation.language == Language::kEnglish) return;
  throw Error(Code::kInvalidArgument, "a word index in " + std::string(AsView(ToJson(generation.language).get_string())) + " is for 'retrieval.index: embedded:' alone; " + generation.index + " has its own", "retrieval.language");
}

}  // namespace

Generations::Generations(Parts parts) : parts_(std::move(parts)), first_{kFirstGeneration, parts_.embedder, nullptr, GenerationState::kLive, 0, 0, "", parts_.language, EngineUrl(parts_.index)} {
  if (!first_.index.empty()) first_.name_space = NewNameSpace(first_.id);
}

void Generations::SetIndex(Entry& entry) const {
  const auto& row = entry.row;
  if (row.index.empty()) {
    // A program without models does not embed, but it keeps the vectors that there are, and their snapshot.
    const auto dim = entry.embedder ? entry.embedder->dim() : static_cast<std::size_t>(row.dim);
    entry.index = std::make_shared<ChunkIndex>(dim, row.id, row.language, parts_.snapshots ? parts_.snapshots->Open(row.id) : nullptr);
    return;
  }
  const auto dim = static_cast<std::size_t>(row.dim);
  entry.engine = std::make_shared<EngineIndex>(EngineOptions{row.id, row.index, row.name_space, dim, parts_.falls_back_to_words,
                                                             [open = parts_.open_engine, url = row.index, dim](const Context& ctx) { return open(ctx, url, dim); }});
  entry.index = entry.engine;
}

std::vector<std::shared_ptr<EngineIndex>> Generations::Engines() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<EngineIndex>> out;
  for (const auto& [id, entry] : entries_)
    if (entry->engine) out.push_back(entry->engine);
  return out;
}

data::Commit Generations::LoadFrom(data::History* history, data::ReadTx& tx) {
  auto reached = tx.commit();
  auto rows = tx.Find<Generation>();
  const bool is_new = rows.empty();
  if (is_new) rows.push_back(first_);  // Begin() writes it
  const std::lock_guard lock(mutex_);
  if (parts_.snapshots) {
    std::set<std::string> ids;
    for (const auto& row : rows)
      if (row.index.empty()) ids.insert(row.id);
    parts_.snapshots->KeepOnly("g", ids);
  }
  for (const auto& row : rows) {
    auto& embedder = embedders_[row.embedder];
    if (!embedder) embedder = parts_.open_embedder(row.embedder);
    const auto entry = std::make_shared<Entry>();
    entry->row = row;
    entry->embedder = embedder;
    if (is_new && embedder) first_.dim = entry->row.dim = static_cast<std::int64_t>(embedder->dim());
    SetIndex(*entry);
    if (const auto kept = history ? entry->index->Restore(*history, tx) : std::nullopt) reached = std::min(reached, *kept);
    else entry->index->Load(tx);
    entries_[row.id] = entry;
    if (row.state == GenerationState::kLive) live_ = row.id;
  }
  return reached;
}

void Generations::Apply(std::span<const data::Change> changes, data::ReadTx& tx) {
  bool rows_changed = false;
  for (const auto& change : changes) rows_changed = rows_changed || change.table == "generations";
  std::vector<std::shared_ptr<Entry>> entries;
  {
    const std::lock_guard lock(mutex_);
    if (rows_changed) {
      const auto rows = tx.Find<Generation>();
      std::erase_if(entries_, [&](const auto& entry) {
        const bool is_gone = std::none_of(rows.begin(), rows.end(), [&](const Generation& row) { return row.id == entry.first; });
        if (is_gone && parts_.snapshots) parts_.snapshots->Remove(entry.first);
        return is_gone;
      });
      for (const auto& row : rows) {
        auto& entry = entries_[row.id];
        // Replaced, not changed: who holds it reads it without a lock.
        const auto next = std::make_shared<Entry>();
        next->row = row;
        if (entry) {
          next->embedder = entry->embedder;
          next->index = entry->index;
          next->engine = entry->engine;
        } else {
          const auto opened = embedders_.find(row.embedder);
          next->embedder = opened == embedders_.end() ? nullptr : opened->second;
          SetIndex(*next);
        }
        entry = next;
        if (row.state == GenerationState::kLive) live_ = row.id;
      }
    }
    for (const auto& [id, entry] : entries_) entries.push_back(entry);
  }
  for (const auto& entry : entries) {
    // After Restore some of them have seen a part.
    const auto unseen = std::partition_point(changes.begin(), changes.end(), [seen = entry->index->commit()](const data::Change& change) { return change.commit <= seen; });
    if (unseen != changes.end()) entry->index->Apply({unseen, changes.end()}, tx);
  }
}

void Generations::Begin(data::Store& store) {
  const auto system = Context::System("generations");
  store.Write(system, [&](data::WriteTx& tx) {
    auto rows = tx.Find<Generation>();
    for (auto& row : rows) {
      // Of a store from before every generation said so.
      const auto embedder = embedders_.find(row.embedder);
      if (row.dim != 0 || embedder == embedders_.end() || !embedder->second) continue;
      row.dim = static_cast<std::int64_t>(embedder->second->dim());
      tx.Put(row);
    }
    if (!rows.empty()) return;
    CheckEngine(first_);
    if (!first_.index.empty() && first_.dim == 0 && first_.embedder != "none")
      throw Error(Code::kFailedPrecondition, "how many dimensions '" + first_.index + "' needs is known once '" + first_.embedder + "' is open; start this data folder with models the first time", "retrieval.index");
    first_.created_us = first_.live_us = ToMicros(system.clock().Now());
    tx.Put(first_);
    for (const auto& document : tx.Find<DocumentId>()) MarkDone(tx, kFirstGeneration, document.id);
  });
}

std::shared_ptr<Generations::Entry> Generations::FindEntry(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) throw Error(Code::kNotFound, "there is no generation '" + std::string(id) + "'; see 'tenfold generations list'", "generation");
  return found->second;
}

OpenIndex Generations::Find(std::string_view id) const {
  const auto entry = FindEntry(id);
  return {entry->row.id, entry->index, entry->embedder};
}

OpenIndex Generations::live() const {
  const std::lock_guard lock(mutex_);
  const auto& entry = entries_.at(live_);
  return {entry->row.id, entry->index, entry->embedder};
}

GenerationTools Generations::ToolsOf(const Entry& entry) const {
  GenerationTools tools{entry.row.id, entry.embedder, parts_.chunks, EstimateTokens, parts_.cache, entry.row.language};
  if (!entry.row.chunks.is_null()) tools.chunks = FromJson<ChunkOptions>(entry.row.chunks, Unknown::kIgnore);
  if (entry.embedder) {
    tools.count_tokens = [embedder = entry.embedder](std::string_view text) { return embedder->CountTokens(text); };
  }
  return tools;
}

GenerationTools Generations::LiveTools() const {
  std::shared_ptr<Entry> entry;
  {
    const std::lock_guard lock(mutex_);
    entry = entries_.at(live_);
  }
  return ToolsOf(*entry);
}

void Generations::CheckLive(data::ReadTx& tx, std::string_view id) {
  const auto row = tx.Get<Generation>(id);
  if (!row && id == kFirstGeneration && tx.Count<Generation>() == 0) return;  // a store that nobody has begun yet
  if (!row || row->state != GenerationState::kLive) throw Error(Code::kAborted, "the generation '" + std::string(id) + "' is not live any more; what was made for it is made again");
}

Generation Generations::Create(const Context& ctx, data::Store& store, const std::string& embedder, const Json& chunks, const GenerationShape& shape) {
  Generation made;
  const auto now = FindEntry(live().generation)->row;
  made.embedder = embedder.empty() ? now.embedder : embedder;
  made.chunks = chunks.is_null() ? now.chunks : chunks;
  if (!made.chunks.is_null()) FromJson<ChunkOptions>(made.chunks);  // refused before anything is written
  made.language = shape.language.value_or(now.language);
  made.index = shape.index ? EngineUrl(*shape.index) : now.index;
  CheckEngine(made);
  auto opened = parts_.open_embedder(made.embedder);
  made.dim = opened ? static_cast<std::int64_t>(opened->dim()) : 0;
  if (!made.index.empty()) {
    if (!opened && made.embedder != "none") throw Error(Code::kFailedPrecondition, "the embedder '" + made.embedder + "' is not open, so nobody knows how many dimensions '" + made.index + "' needs", "index");
    const auto engine = parts_.open_engine(ctx.WithTimeout(kEngineWait), made.index, static_cast<std::size_t>(made.dim));  // refused before anything is written
    if (made.dim == 0 && !engine->has_words()) throw Error(Code::kInvalidArgument, "'" + made.index + "' finds no words, and this generation has no vectors", "index");
  }
  {
    const std::lock_guard lock(mutex_);
    auto& kept = embedders_[made.embedder];
    if (!kept) kept = std::move(opened);
  }
  store.Write(ctx, [&](data::WriteTx& tx) {
    const auto rows = tx.Find<Generation>();
    if (rows.size() >= kMaxGenerations)
      throw Error(Code::kResourceExhausted, "there are " + std::to_string(rows.size()) + " generations, the limit; remove one with 'tenfold generations rm'");
    std::int64_t last = 0;
    for (const auto& row : rows) last = std::max<std::int64_t>(last, std::atoll(row.id.c_str() + 1));
    made.id = "g" + std::to_string(last + 1);
    made.created_us = ToMicros(ctx.clock().Now());
    if (!made.index.empty()) made.name_space = NewNameSpace(made.id);
    tx.Put(made);
    parts_.audit(tx, ctx, "generation.create", made.id);
  });
  return made;
}

std::vector<GenerationStatus> Generations::List(const Context& ctx, data::Store& store) const {
  return store.Read(ctx, [&](data::ReadTx& tx) {
    std::vector<GenerationStatus> out;
    for (auto& row : tx.Find<Generation>()) {
      GenerationStatus status;
      status.documents = tx.Count<GenerationDocument>(data::Where("generation", row.id));
      status.missing = CountMissing(tx, row.id);
      {
        const std::lock_guard lock(mutex_);
        const auto entry = entries_.find(row.id);
        if (entry != entries_.end()) {
          status.chunks = static_cast<std::int64_t>(entry->second->index->chunks());
          status.problem = entry->second->index->problem();
          status.refused = entry->second->engine ? entry->second->engine->refused() : 0;
        }
      }
      status.generation = std::move(row);
      out.push_back(std::move(status));
    }
    return out;
  });
}

void Generations::Switch(const Context& ctx, data::Store& store, std::string_view id) {
  if (const auto problem = Find(id).index->problem(); !problem.empty())
    throw Error(Code::kFailedPrecondition, "the search index of '" + std::string(id) + "' has not got everything (" + problem + "); see 'tenfold generations list'", "generation");
  store.Write(ctx, [&](data::WriteTx& tx) {
    auto next = tx.Get<Generation>(id);
    if (!next) throw Error(Code::kNotFound, "there is no generation '" + std::string(id) + "'; see 'tenfold generations list'", "generation");
    if (next->state == GenerationState::kLive) return;
    if (const auto missing = CountMissing(tx, next->id); missing > 0)
      throw Error(Code::kFailedPrecondition, "the generation '" + next->id + "' lacks " + std::to_string(missing) + " documents; run 'tenfold generations build " + next->id + "' first", "generation");
    for (auto& row : tx.Find<Generation>()) {
      if (row.state != GenerationState::kLive) continue;
      row.state = GenerationState::kRetired;
      tx.Put(row);
    }
    next->state = GenerationState::kLive;
    next->live_us = ToMicros(ctx.clock().Now());
    tx.Put(*next);
    parts_.audit(tx, ctx, "generation.switch", next->id);
  });
}

std::string Generations::Rollback(const Context& ctx, data::Store& store) {
  std::optional<Generation> before;
  for (const auto& row : store.Read(ctx, [](data::ReadTx& tx) { return tx.Find<Generation>(); }))
    if (row.state == GenerationState::kRetired && (!before || row.live_us > before->live_us)) before = row;
  if (!before) throw Error(Code::kFailedPrecondition, "no generation was live before this one");
  Switch(ctx, store, before->id);
  return before->id;
}

void Generations::Remove(const Context& ctx, data::Store& store, std::string_view id) {
  const auto check = [&](data::ReadTx& tx) {
    const auto row = tx.Get<Generation>(id);
    if (!row) throw Error(Code::kNotFound, "there is no generation '" + std::string(id) + "'; see 'tenfold generations list'", "generation");
    if (row->state == GenerationState::kLive) throw Error(Code::kFailedPrecondition, "the generation '" + row->id + "' is live; switch to another first", "generation");
  };
  // The row first, so that nobody switches to what is being taken apart; its passages after it, in pieces that others can write between.
  store.Write(ctx, [&](data::WriteTx& tx) {
    check(tx);
    tx.Delete<Generation>(id);
    parts_.audit(tx, ctx, "generation.remove", id);
  });
  for (std::string after;;) {
    const auto page = store.Read(ctx, [&](data::ReadTx& tx) { return tx.Find<ChunkKey>({{{"id", data::Compare::kGreater, data::Value(after)}}, "", false, kPage}); });
    if (page.empty()) return;
    after = page.back().id;
    std::vector<std::string> gone;
    for (const auto& chunk : page)
      if ((chunk.generation.empty() ? kFirstGeneration : chunk.generation) == id) gone.push_back(chunk.id);
    if (gone.empty()) continue;
    store.Write(ctx, [&](data::WriteTx& tx) {
      for (const auto& chunk : gone) tx.Delete<Chunk>(chunk);
    });
  }
}

workflows::RunFunction Generations::MakeBuild(data::Store& store) {
  return [this, &store](workflows::RunContext& run) -> Json {
    const auto id = FromJson<BuildInput>(run.input()).generation;
    const auto system = Context::System("build-generation");
    const auto tools = ToolsOf(*FindEntry(id));
    std::int64_t done = 0;
    // Again from the start until a whole pass finds nothing: what was ingested meanwhile, anywhere in the order of ids, is found by the next one.
    for (bool found = true; found;) {
      found = false;
      std::string after;
      do {
        run.ctx().Check();
        std::vector<Document> documents;
        std::int64_t missing = 0;
        store.Read(system, [&](data::ReadTx& tx) {
          for (const auto& document : FindMissing(tx, id, after, kBuildBatch)) documents.push_back(*tx.Get<Document>(document));
          missing = CountMissing(tx, id);
        });
        if (documents.empty()) continue;
        found = true;
        run.Emit("stage", JsonObject{{"done", done}, {"total", done + missing}, {"path", documents.front().uri}});
        std::vector<std::vector<Chunk>> chunks;
        for (const auto& document : documents) {
          auto as_asked = tools;
          // What a source asks for it gets in every generation.
          if (const auto source = store.Read(system, [&](data::ReadTx& tx) { return tx.Get<Source>(document.source); }); source && !source->chunks.is_null())
            as_asked.chunks = FromJson<ChunkOptions>(source->chunks, Unknown::kIgnore);
          chunks.push_back(MakeChunks(document, as_asked));
        }
        std::vector<ToEmbed> to_embed;
        for (std::size_t i = 0; i < documents.size(); ++i) to_embed.push_back({&documents[i], chunks[i]});
        EmbedAll(run.ctx(), tools, to_embed);
        bool went = false;
        store.Write(system, [&](data::WriteTx& tx) {
          if (!tx.Get<Generation>(id)) throw Error(Code::kAborted, "the generation '" + id + "' was removed");
          for (std::size_t i = 0; i < documents.size(); ++i) {
            const auto now = tx.Get<Document>(documents[i].id);
            // Edited meanwhile: the next pass takes it as it is then.
            went = went || !now || now->version != documents[i].version;
            if (!now || now->version != documents[i].version || tx.Get<GenerationDocument>(id + "/" + now->id)) continue;
            for (const auto& chunk : chunks[i]) tx.Put(chunk);
            MarkDone(tx, id, now->id);
          }
        });
        if (went && tools.cache) store.Read(system, [&](data::ReadTx& tx) { ForgetUnowned(tx, *tools.cache); });
        done += static_cast<std::int64_t>(documents.size());
      } while (!after.empty());
    }
    // Searched from the first moment on, it must have everything in its engine as well.
    for (auto since = std::chrono::steady_clock::now();;) {
      run.ctx().Check();
      const auto problem = FindEntry(id)->index->problem();
      if (problem.empty()) break;
      if (problem == "behind") since = std::chrono::steady_clock::now();
      else if (std::chrono::steady_clock::now() - since > kEngineWait) throw Error(Code::kUnavailable, "the search index of '" + id + "' does not take its passages: " + problem);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    store.Write(system, [&](data::WriteTx& tx) {
      auto row = tx.Get<Generation>(id);
      if (!row || row->state != GenerationState::kBuilding) return;
      row->state = GenerationState::kReady;
      tx.Put(*row);
    });
    return JsonObject{{"generation", id}, {"documents", done}};
  };
}

GenerationComparison Generations::Compare(const Context& ctx, data::Store& store, std::string_view a, std::string_view b, const std::vector<LabelledQuery>& queries) const {
  const auto one = Find(a), other = Find(b);
  GenerationComparison out;
  out.a = one.generation;
  out.b = other.generation;
  std::map<std::string, std::string> id_of_uri;
  bool labelled = std::any_of(queries.begin(), queries.end(), [](const auto& query) { return !query.relevant.empty(); });
  if (labelled)
    for (const auto& head : store.Read(ctx, [](data::ReadTx& tx) { return tx.Find<DocumentHead>(); })) id_of_uri[head.uri] = head.id;
  for (const auto& query : queries) {
    ctx.Check();
    const auto embed = [&](const OpenIndex& in) { return in.embedder ? std::move(in.embedder->Embed(ctx, std::span(&query.query, 1), models::EmbedKind::kQuery).front()) : std::vector<float>(); };
    const auto found_a = FirstDocuments(ctx, one, query.query, embed(one)), found_b = FirstDocuments(ctx, other, query.query, embed(other));
    ComparedQuery compared{query.query, 0, std::nullopt, std::nullopt};
    std::size_t both = 0;
    for (const auto& document : found_a) both += std::find(found_b.begin(), found_b.end(), document) != found_b.end();
    const auto most = std::max(found_a.size(), found_b.size());
    compared.overlap = most ? static_cast<double>(both) / static_cast<double>(most) : 1;
    if (!query.relevant.empty()) {
      Judgements relevant;
      for (const auto& uri : query.relevant)
        if (const auto known = id_of_uri.find(uri); known != id_of_uri.end()) relevant.emplace(known->second, 1);
      compared.ndcg_a = NdcgAt(found_a, relevant, kTop);
      compared.ndcg_b = NdcgAt(found_b, relevant, kTop);
      ++out.labelled;
      out.ndcg_a += *compared.ndcg_a;
      out.ndcg_b += *compared.ndcg_b;
    }
    ++out.queries;
    out.overlap += compared.overlap;
    out.differing.push_back(std::move(compared));
  }
  if (out.queries) out.overlap /= static_cast<double>(out.queries);
  if (out.labelled) {
    out.ndcg_a /= static_cast<double>(out.labelled);
    out.ndcg_b /= static_cast<double>(out.labelled);
  }
  std::sort(out.differing.begin(), out.differing.end(), [](const auto& x, const auto& y) { return x.overlap < y.overlap; });
  if (out.differing.size() > 20) out.differing.resize(20);
  return out;
}

}  // namespace tenfold::retrieval
