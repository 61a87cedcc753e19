#include "retrieval/vector_stores.h"

#include <algorithm>
#include <cstdio>

#include "base/crypto.h"
#include "retrieval/passages.h"
#include "retrieval/retriever.h"

namespace tenfold::retrieval {
namespace {

using Kind = IndexChange::Kind;
constexpr std::size_t kBatch = 64;  // passages that are embedded and written together

bool IsOwnerOrAdmin(const Context& ctx, const std::string& owner) { return ctx.principal().role == Role::kAdmin || ctx.is_system() || ctx.principal().user == owner; }

std::string RecordId(const std::string& file, std::size_t number) {
  char digits[16];
  std::snprintf(digits, sizeof digits, "/%06zu", number);
  return file + digits;
}

}  // namespace

VectorStores::VectorStores(Parts parts) : parts_(std::move(parts)) {
  parts_.runs.Register(kRunKind, [this](workflows::RunContext& run) { return Work(run); });
}

StoredFile VectorStores::AddFile(const Context& ctx, std::string filename, std::string purpose, std::string_view bytes) {
  if (bytes.size() > data::kMaxDocumentBytes) throw Error(Code::kResourceExhausted, "file: has " + std::to_string(bytes.size()) + " bytes, limit " + std::to_string(data::kMaxDocumentBytes), "file");
  StoredFile row{NewId("file", ctx.clock()), ctx.principal().user, std::move(filename), std::move(purpose), Sha256Hex(bytes), static_cast<std::int64_t>(bytes.size()), ToMicros(ctx.clock().Now())};
  const Originals::Held held(parts_.originals, {row.content_hash});
  parts_.objects.Put(ctx, bytes);
  parts_.store.Write(ctx, [&](data::WriteTx& tx) { tx.Put(row); });
  return row;
}

StoredFile VectorStores::GetFile(const Context& ctx, std::string_view id) {
  auto row = parts_.store.Read(ctx, [&](data::ReadTx& tx) { return tx.Get<StoredFile>(id); });
  if (!row || !IsOwnerOrAdmin(ctx, row->owner)) throw Error(Code::kNotFound, "there is no file '" + std::string(id) + "'", "file_id");
  return std::move(*row);
}

std::vector<StoredFile> VectorStores::ListFiles(const Context& ctx) {
  const auto query = ctx.principal().role == Role::kAdmin || ctx.is_system() ? data::Query{} : data::Where("owner", ctx.principal().user);
  return parts_.store.Read(ctx, [&](data::ReadTx& tx) { return tx.Find<StoredFile>(query); });
}

std::string VectorStores::ReadFileBytes(const Context& ctx, std::string_view id) { return parts_.objects.Get(ctx, GetFile(ctx, id).content_hash, data::kMaxDocumentBytes); }

void VectorStores::DeleteFile(const Context& ctx, std::string_view id) {
  const auto row = GetFile(ctx, id);
  for (const auto& attached : parts_.store.Read(ctx, [&](data::ReadTx& tx) { return tx.Find<VectorStoreFile>(data::Where("file", row.id)); })) Detach(ctx, attached.store, row.id);
  parts_.store.Write(ctx, [&](data::WriteTx& tx) { tx.Delete<StoredFile>(row.id); });
  parts_.originals.Forget(ctx, std::span(&row.content_hash, 1));
}

VectorStoreFile VectorStores::Attach(const Context& ctx, const std::string& store, const std::string& file, JsonObject attributes, std::int64_t max_tokens, const std::string& batch) {
  const auto index = parts_.collections.Open(ctx, store);
  const auto stored = GetFile(ctx, file);
  VectorStoreFile row{store + "/" + file, store, file, stored.filename, batch, "in_progress", {}, {}, std::move(attributes), max_tokens, 0, ToMicros(ctx.clock().Now())};
  // Refuses attributes that no record may have, before anything is written; and who may not write.
  const IndexChange probe{Kind::kSetMetadata, {.id = row.id, .metadata = row.attributes}};
  index->Write(ctx, "", {&probe, 1});
  parts_.runs.Start(ctx, {kRunKind, ToJson(AttachRequest{store, file}), "", [&row](data::WriteTx& tx, const std::string&) { tx.Put(row); }});
  return row;
}

VectorStoreFile VectorStores::GetAttached(const Context& ctx, const std::string& store, const std::string& file) {
  parts_.collections.Open(ctx, store);
  auto row = parts_.store.Read(ctx, [&](data::ReadTx& tx) { return tx.Get<VectorStoreFile>(store + "/" + file); });
  if (!row) throw Error(Code::kNotFound, "there is no file '" + file + "' in '" + store + "'", "file_id");
  return std::move(*row);
}

std::vector<VectorStoreFile> VectorStores::ListAttached(const Context& ctx, const std::string& store) {
  parts_.collections.Open(ctx, store);
  return parts_.store.Read(ctx, [&](data::ReadTx& tx) { return tx.Find<VectorStoreFile>(data::Where("store", store)); });
}

std::vector<std::string> VectorStores::RecordsOf(const Context& ctx, SearchIndex& index, const std::string& file) { return index.List(ctx, "", file + "/", "", 1'000'000); }

VectorStoreFile VectorStores::SetAttributes(const Context& ctx, const std::string& store, const std::string& file, JsonObject attributes) {
  auto row = GetAttached(ctx, store, file);
  const auto index = parts_.collections.Open(ctx, store);
  std::vector<IndexChange> changes{{Kind::kSetMetadata, {.id = row.id, .metadata = attributes}}};
  for (const auto& id : RecordsOf(ctx, *index, file)) changes.push_back({Kind::kSetMetadata, {.id = id, .metadata = attributes}});
  index->Write(ctx, "", changes);
  row.attributes = std::move(attributes);
  parts_.store.Write(ctx, [&](data::WriteTx& tx) {
    auto now = tx.Get<VectorStoreFile>(row.id);
    if (!now) throw Error(Code::kAborted, "the file was taken out meanwhile");
    now->attributes = row.attributes;
    tx.Put(*now);
  });
  return row;
}

void VectorStores::Detach(const Context& ctx, const std::string& store, const std::string& file) {
  const auto row = GetAttached(ctx, store, file);
  parts_.store.Write(ctx, [&](data::WriteTx& tx) {
    Collections::RemoveRecords(ctx, tx, store, "", file + "/");
    tx.Delete<VectorStoreFile>(row.id);
  });
}

std::vector<std::string> VectorStores::ReadPassages(const Context& ctx, const std::string& store, const std::string& file) {
  GetAttached(ctx, store, file);
  const auto index = parts_.collections.Open(ctx, store);
  std::vector<std::string> out;
  for (auto& record : index->Fetch(ctx, "", RecordsOf(ctx, *index, file))) out.push_back(std::move(record.text));
  return out;
}

IndexResult VectorStores::Search(const Context& ctx, const std::string& store, const std::string& text, const Filter& filter, std::size_t k) {
  const auto index = parts_.collections.Open(ctx, store);
  std::vector<float> vector;
  if (index->dim() > 0) {
    if (!parts_.embedder || parts_.embedder->dim() != index->dim()) throw Error(Code::kFailedPrecondition, "vector store '" + store + "' was made with another embedding model than this server runs");
    vector = std::move(parts_.embedder->Embed(ctx, std::span(&text, 1), models::EmbedKind::kQuery).front());
  }
  auto query = HybridQuery(text, std::move(vector), k);
  query.filter = filter;
  return index->Search(ctx, "", query);
}

Json VectorStores::Work(workflows::RunContext& run) {
  // One step: it may be done again, and puts the same records.
  workflows::StepOptions options;
  options.max_attempts = 5;
  options.timeout = std::chrono::minutes(10);
  return run.Step("read", options, [&](const Context& ctx) { return Read(ctx, FromJson<AttachRequest>(run.input())); });
}

Json VectorStores::Read(const Context& ctx, const AttachRequest& request) {
  const auto system = Context::System("vector-stores");
  const auto finish = [&](const std::function<void(VectorStoreFile&)>& change) {
    parts_.store.Write(system, [&](data::WriteTx& tx) {
      auto row = tx.Get<VectorStoreFile>(request.store + "/" + request.file);
      // Taken out meanwhile: with what was written since.
      if (!row) return Collections::RemoveRecords(system, tx, request.store, "", request.file + "/");
      change(*row);
      tx.Put(*row);
    });
  };
  std::size_t count = 0;
  try {
    const auto row = GetAttached(ctx, request.store, request.file);
    const auto index = parts_.collections.Open(ctx, request.store);
    const auto bytes = ReadFileBytes(ctx, request.file);
    auto type = data::MediaTypeOf(row.filename);
    if (type.empty()) type = "text/plain";
    auto parsed = parts_.parse(ctx, bytes, type);
    Document document{.id = request.file, .source = {}, .uri = row.filename, .title = parsed.title.empty() ? row.filename : parsed.title, .label = {}, .media_type = parsed.media_type, .content_hash = {}, .text = std::move(parsed.text)};
    GenerationTools tools;
    tools.embedder = index->dim() > 0 ? parts_.embedder : nullptr;
    tools.chunks = parts_.chunks;
    if (row.max_tokens > 0) tools.chunks.max_tokens = static_cast<std::uint32_t>(row.max_tokens);
    if (tools.embedder) tools.count_tokens = [this](std::string_view text) { return parts_.embedder->CountTokens(text); };
    auto chunks = MakeChunks(document, tools);
    const auto old = RecordsOf(ctx, *index, request.file);
    std::int64_t usage = 0;
    for (std::size_t at = 0; at < chunks.size(); at += kBatch) {
      ctx.Check();
      const auto part = std::span(chunks).subspan(at, std::min(kBatch, chunks.size() - at));
      if (tools.embedder) {
        std::vector<std::string> texts;
        for (const auto& chunk : part) texts.push_back(TextToEmbed(document.title, chunk.heading, chunk.context.empty() ? chunk.text : chunk.context + "\n" + chunk.text));
        auto vectors = tools.embedder->Embed(ctx, texts, models::EmbedKind::kPassage);
        for (std::size_t i = 0; i < part.size(); ++i) part[i].embedding = std::move(vectors[i]);
      }
      std::vector<IndexChange> changes;
      for (auto& chunk : part) {
        usage += static_cast<std::int64_t>(chunk.text.size() + 4 * chunk.embedding.size());
        changes.push_back({Kind::kPut, {.id = RecordId(request.file, count++), .group = request.file, .access = std::string(kCollectionReaders), .title = document.title, .heading = chunk.heading, .text = chunk.text, .vector = std::move(chunk.embedding), .metadata = row.attributes}});
      }
      GetAttached(ctx, request.store, request.file);  // still wanted?
      index->Write(ctx, "", changes);
    }
    std::vector<IndexChange> gone;  // of when the file was longer
    for (const auto& id : old)
      if (id >= RecordId(request.file, count)) gone.push_back({Kind::kDelete, {.id = id}});
    if (!gone.empty()) index->Write(ctx, "", gone);
    finish([&](VectorStoreFile& done) {
      done.status = "completed";
      done.error.clear();
      done.error_code.clear();
      done.usage_bytes = usage;
    });
  } catch (const Error& e) {
    if (e.code() == Code::kCancelled || e.code() == Code::kUnavailable) throw;  // the server ends, or will do better later
    finish([&](VectorStoreFile& failed) {
      failed.status = "failed";
      failed.error = e.message();
      failed.error_code = e.code() == Code::kUnimplemented ? "unsupported_file" : e.code() == Code::kInvalidArgument || e.code() == Code::kDataLoss || e.code() == Code::kResourceExhausted ? "invalid_file" : "server_error";
    });
  }
  return JsonObject{{"passages", count}};
}

}  // namespace tenfold::retrieval
