#include "retrieval/ingest.h"

#include <filesystem>
#include <set>

#include "base/crypto.h"
#include "data/parse.h"
#include "retrieval/retriever.h"

namespace tenfold::retrieval {
namespace {

constexpr auto kParseTimeout = std::chrono::seconds(25);

std::string ShortHash(std::string_view text) { return Sha256Hex(text).substr(0, 24); }

}  // namespace

void EmbedChunks(const Context& ctx, models::Embedder& embedder, const Document& document, std::span<Chunk> chunks) {
  std::vector<std::string> texts;
  std::vector<std::size_t> counts;
  for (const auto& chunk : chunks) {
    texts.push_back(TextToEmbed(document.title, chunk.heading, chunk.text));
    const auto sentences = ReadSentences(document.text, static_cast<std::size_t>(chunk.begin_byte), static_cast<std::size_t>(chunk.end_byte));
    for (const auto& sentence : sentences) texts.push_back(TextToEmbed(document.title, chunk.heading, sentence.text));
    counts.push_back(sentences.size());
  }
  auto vectors = embedder.Embed(ctx, texts, models::EmbedKind::kPassage);
  std::size_t next = 0;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    chunks[i].embedding = std::move(vectors[next++]);
    chunks[i].sentences.clear();
    for (std::size_t left = counts[i]; left > 0; --left) AppendQuantised(vectors[next++], chunks[i].sentences);
  }
}

workflows::RunFunction MakeEmbedMissing(data::Store& store, models::Embedder& embedder) {
  return [&store, &embedder](workflows::RunContext& run) -> Json {
    const auto system = Context::System("embed");
    std::int64_t done = 0;
    const auto documents = store.Read(system, [](data::ReadTx& tx) { return tx.Find<Document>(); });
    for (const auto& document : documents) {
      run.ctx().Check();
      auto chunks = store.Read(system, [&](data::ReadTx& tx) { return tx.Find<Chunk>(data::Where("document", document.id)); });
      std::erase_if(chunks, [&](const Chunk& chunk) { return chunk.embedding.size() == embedder.dim(); });
      if (chunks.empty()) continue;
      EmbedChunks(run.ctx(), embedder, document, chunks);
      store.Write(system, [&](data::WriteTx& tx) {
        for (const auto& chunk : chunks)
          if (tx.Get<Chunk>(chunk.id)) tx.Put(chunk);  // unless it went meanwhile
      });
      done += static_cast<std::int64_t>(chunks.size());
    }
    return JsonObject{{"chunks", done}};
  };
}

std::vector<data::Table> IngestTables() { return {data::TableOf<Source>(), data::TableOf<Document>(), data::TableOf<DocumentLayout>(), data::TableOf<Chunk>(), data::TableOf<LineageEdge>()}; }

workflows::RunFunction MakeIngest(data::Store& store, IngestOptions options) {
  const auto parsers = std::make_shared<data::ParserPool>(data::ParserPool::Options{.command = options.parse_command});
  return [&store, options = std::move(options), parsers](workflows::RunContext& run) -> Json {
    const auto request = FromJson<IngestRequest>(run.input());
    const auto source = options.open_source(request.url);
    const auto source_id = ShortHash(source->url());
    const auto system = Context::System("ingest");
    IngestReport report;
    report.source = source_id;

    auto files = data::ListAll(run.ctx(), *source);
    for (auto& file : files)
      if (file.access.empty()) file.access = request.label;
    std::map<std::string, Document> known;
    store.Read(system, [&](data::ReadTx& tx) {
      for (auto& document : tx.Find<Document>(data::Where("source", source_id))) {
        document.text.clear();
        known[document.uri] = std::move(document);
      }
    });
    // What is no longer there, or no longer allowed to be, goes first: one commit for all of it.
    std::set<std::string> present;
    for (const auto& file : files) present.insert(file.path);
    std::vector<std::string> forgotten;
    store.Write(system, [&](data::WriteTx& tx) {
      report.removed = 0;
      forgotten.clear();
      tx.Put(Source{source_id, source->url(), request.label, ToMicros(run.ctx().clock().Now())});
      for (const auto& [uri, document] : known)
        if (!present.contains(uri)) {
          tx.Delete<Document>(document.id);
          forgotten.push_back(document.content_hash);
          ++report.removed;
        }
      for (const auto& file : files) {
        const auto old = known.find(file.path);
        if (old == known.end() || old->second.label == file.access) continue;
        auto document = *tx.Get<Document>(old->second.id);
        document.label = file.access;  // at once, before any slow parsing: a text made internal is internal from this commit on
        tx.Put(document);
      }
    });
    options.originals->Forget(system, forgotten);
    std::int64_t done = 0;
    for (const auto& file : files) {
      run.ctx().Check();
      run.Emit("stage", JsonObject{{"done", ++done}, {"total", static_cast<std::int64_t>(files.size())}, {"path", file.path}});
      const auto old = known.find(file.path);
      if (file.problem.empty() && old != known.end() && old->second.fingerprint == file.fingerprint && options.originals->Has(system, old->second.content_hash)) {
        ++report.unchanged;
        continue;
      }
      try {
        if (!file.problem.empty()) throw Error(Code::kInvalidArgument, file.problem);
        const auto content = source->Read(run.ctx(), file);
        const auto parsed = parsers->Parse(run.ctx().WithTimeout(kParseTimeout), content.bytes, content.media_type.empty() ? data::MediaTypeOf(file.path) : content.media_type);
        Document document{ShortHash(source_id + "/" + file.path), source_id, file.path, parsed.title, file.access, parsed.media_type, "", parsed.text, 1, ToMicros(run.ctx().clock().Now()), file.link, file.fingerprint, file.metadata};
        if (document.title.empty()) document.title = std::filesystem::path(file.path).stem().string();
        if (old != known.end()) document.version = old->second.version + 1;
        std::vector<Chunk> chunks;
        for (const auto& span : ChunkText(document.text, options.chunks, options.count_tokens))
          chunks.push_back({document.id + "/" + std::to_string(document.version) + "/" + std::to_string(chunks.size()), document.id, static_cast<std::int64_t>(span.begin),
                            static_cast<std::int64_t>(span.end), span.heading, document.text.substr(span.begin, span.end - span.begin), {}, {}});
        if (options.embedder) EmbedChunks(run.ctx(), *options.embedder, document, chunks);
        options.originals->Keep(system, content.bytes, [&](const std::string& object) {
          document.content_hash = object;
          store.Write(system, [&](data::WriteTx& tx) {
            tx.Delete<Document>(document.id);
            tx.Put(document);
            for (const auto& chunk : chunks) tx.Put(chunk);
            if (!parsed.layout.empty()) tx.Put(DocumentLayout{document.id, parsed.layout, parsed.pages});
            tx.Put(LineageEdge{"parsed/" + document.id, source_id, document.id, "parsed", run.id()});
          });
        });
        if (old != known.end() && old->second.content_hash != document.content_hash) options.originals->Forget(system, {&old->second.content_hash, 1});
        report.chunks += static_cast<std::int64_t>(chunks.size());
        ++(old == known.end() ? report.added : report.changed);
      } catch (const Error& e) {
        if (e.code() == Code::kCancelled && run.ctx().done()) throw;
        // The file is reported and the rest goes on. A text that can no longer be read must not answer questions from its old form.
        report.problems.push_back({file.path, e.message()});
        if (old == known.end()) continue;
        store.Write(system, [&](data::WriteTx& tx) { tx.Delete<Document>(old->second.id); });
        options.originals->Forget(system, {&old->second.content_hash, 1});
      }
    }
    return ToJson(report);
  };
}

}  // namespace tenfold::retrieval
