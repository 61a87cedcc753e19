#include "serving/openai_files.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "base/multipart.h"

namespace tenfold::serving {
namespace {

using namespace std::chrono_literals;
using boost::json::string;
using retrieval::Collection;
using retrieval::Filter;
using retrieval::StoredFile;
using retrieval::VectorStoreFile;
using retrieval::VectorStores;
using Stores = std::shared_ptr<VectorStores>;

constexpr std::string_view kReaders = "tenfold_readers";
constexpr std::size_t kMaxFilesAtOnce = 500;

JsonObject BodyOf(const HttpRequest& http) {
  auto json = http.body.empty() ? Json(JsonObject{}) : ParseJson(http.body);
  if (!json.is_object()) throw Error(Code::kInvalidArgument, "the body must be an object");
  return std::move(json.get_object());
}
const Json* Given(const JsonObject& body, std::string_view name) {
  const auto* found = body.if_contains(name);
  return found && !found->is_null() ? found : nullptr;
}
std::string TextIn(const JsonObject& body, std::string_view name, std::size_t limit) {
  const auto* found = Given(body, name);
  if (!found) return {};
  if (!found->is_string() || found->get_string().size() > limit) throw Error(Code::kInvalidArgument, std::string(name) + ": must be a string of at most " + std::to_string(limit) + " bytes", std::string(name));
  return std::string(AsView(found->get_string()));
}
std::string QueryText(const HttpRequest& http, const char* name, std::string otherwise = {}) {
  const auto given = http.query.find(name);
  return given == http.query.end() ? otherwise : given->second;
}
void Refuse(const JsonObject& body, std::string_view name, const char* why) {
  if (Given(body, name)) throw Error(Code::kUnimplemented, std::string(name) + ": " + why, std::string(name));
}

std::int64_t Seconds(std::int64_t micros) { return micros / 1'000'000; }

/// A page of `rows`, which are oldest first: after, before, limit and order of the query.
template <class Row, class Id, class ToObject>
HttpResponse Page(const HttpRequest& http, std::vector<Row> rows, const Id& id_of, const ToObject& to_json) {
  const auto order = QueryText(http, "order", "desc"), limit_text = QueryText(http, "limit", "20"), after = QueryText(http, "after"), before = QueryText(http, "before");
  std::size_t limit = 0;
  const auto [end, error] = std::from_chars(limit_text.data(), limit_text.data() + limit_text.size(), limit);
  if (error != std::errc() || end != limit_text.data() + limit_text.size() || limit < 1 || limit > 10'000) throw Error(Code::kInvalidArgument, "limit: is 1 to 10000", "limit");
  if (order != "asc" && order != "desc") throw Error(Code::kInvalidArgument, "order: must be asc or desc", "order");
  if (order == "desc") std::reverse(rows.begin(), rows.end());
  const auto place_of = [&](const std::string& id, const char* field) {
    const auto found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return id_of(row) == id; });
    if (found == rows.end()) throw Error(Code::kInvalidArgument, std::string(field) + ": '" + id + "' is not in this list", field);
    return static_cast<std::size_t>(found - rows.begin());
  };
  const std::size_t first = after.empty() ? 0 : place_of(after, "after") + 1;
  const std::size_t last = before.empty() ? rows.size() : place_of(before, "before");
  JsonArray data;
  for (auto i = first; i < last && data.size() < limit; ++i) data.push_back(to_json(rows[i]));
  JsonObject out{{"object", "list"}, {"first_id", nullptr}, {"last_id", nullptr}, {"has_more", first + data.size() < last}};
  if (!data.empty()) {
    out["first_id"] = data.front().at("id");
    out["last_id"] = data.back().at("id");
  }
  out["data"] = std::move(data);
  return JsonResponse(out);
}

// Files.

JsonObject FileJson(const StoredFile& file) {
  return {{"id", file.id}, {"object", "file"}, {"bytes", file.bytes}, {"created_at", Seconds(file.created_us)}, {"filename", file.filename}, {"purpose", file.purpose}, {"status", "processed"}, {"expires_at", nullptr}};
}

HttpResponse AddFile(VectorStores& on, const Context& ctx, const HttpRequest& http) {
  std::string purpose;
  const FormPart* file = nullptr;
  const auto parts = ParseMultipart(http.header("content-type"), http.body);
  for (const auto& part : parts) {
    if (part.name == "file") file = &part;
    else if (part.name == "purpose") purpose = part.body;
    else throw Error(Code::kUnimplemented, std::string(part.name.substr(0, 64)) + ": is not done here; a file stays until it is deleted", std::string(part.name.substr(0, 64)));
  }
  if (!file || file->filename.empty()) throw Error(Code::kInvalidArgument, "file: is required, with a name", "file");
  if (file->filename.size() > 512) throw Error(Code::kInvalidArgument, "file: its name has more than 512 bytes", "file");
  static constexpr std::string_view kPurposes[] = {"assistants", "user_data", "batch", "fine-tune", "vision", "evals"};
  if (std::find(std::begin(kPurposes), std::end(kPurposes), purpose) == std::end(kPurposes)) throw Error(Code::kInvalidArgument, "purpose: must be one of: assistants, user_data, batch, fine-tune, vision, evals", "purpose");
  return JsonResponse(FileJson(on.AddFile(ctx, file->filename, purpose, file->body)));
}

// Vector stores.

/// A vector store among the collections.
Collection NeedStore(VectorStores& on, const Context& ctx, const std::string& id) {
  auto row = on.collections().Find(ctx, id);
  if (!row || !row->attributes.contains("protocol") || row->attributes.at("protocol") != "openai") throw Error(Code::kNotFound, "there is no vector store '" + id + "'", "vector_store_id");
  return std::move(*row);
}

JsonObject CountsJson(const std::vector<VectorStoreFile>& files, const std::string& batch = {}) {
  std::int64_t total = 0, done = 0, failed = 0;
  for (const auto& file : files) {
    if (!batch.empty() && file.batch != batch) continue;
    ++total;
    done += file.status == "completed";
    failed += file.status == "failed";
  }
  return {{"in_progress", total - done - failed}, {"completed", done}, {"failed", failed}, {"cancelled", 0}, {"total", total}};
}

JsonObject StoreJson(VectorStores& on, const Context& ctx, const Collection& row) {
  const auto files = on.ListAttached(ctx, row.name);
  auto counts = CountsJson(files);
  std::int64_t usage = 0, active = row.created_us;
  for (const auto& file : files) {
    usage += file.usage_bytes;
    active = std::max(active, file.created_us);
  }
  const auto get = [&](std::string_view name, Json otherwise) { return row.attributes.contains(name) ? row.attributes.at(name) : otherwise; };
  return {{"id", row.name}, {"object", "vector_store"}, {"created_at", Seconds(row.created_us)}, {"name", get("name", "")}, {"description", get("description", nullptr)}, {"usage_bytes", usage},
          {"status", counts.at("in_progress") == 0 ? "completed" : "in_progress"}, {"file_counts", std::move(counts)}, {"last_active_at", Seconds(active)}, {"expires_after", nullptr}, {"expires_at", nullptr}, {"metadata", get("metadata", JsonObject{})}};
}

JsonObject FileInStoreJson(const VectorStoreFile& row) {
  JsonObject out{{"id", row.file}, {"object", "vector_store.file"}, {"usage_bytes", row.usage_bytes}, {"created_at", Seconds(row.created_us)}, {"vector_store_id", row.store}, {"status", row.status},
                 {"last_error", row.error.empty() ? Json(nullptr) : Json(JsonObject{{"code", row.error_code}, {"message", row.error}})}, {"attributes", row.attributes}};
  out["chunking_strategy"] = row.max_tokens > 0 ? JsonObject{{"type", "static"}, {"static", JsonObject{{"max_chunk_size_tokens", row.max_tokens}, {"chunk_overlap_tokens", 0}}}} : JsonObject{{"type", "other"}};
  return out;
}

/// Passages are cut by structure and do not overlap, so an overlap is refused where it is asked for on purpose.
std::int64_t MaxTokensOf(const JsonObject& body) {
  const auto* strategy = Given(body, "chunking_strategy");
  if (!strategy) return 0;
  if (!strategy->is_object()) throw Error(Code::kInvalidArgument, "chunking_strategy: must be an object", "chunking_strategy");
  const auto type = TextIn(strategy->get_object(), "type", 16);
  if (type == "auto") return 0;
  const auto* fixed = Given(strategy->get_object(), "static");
  const auto* tokens = fixed && fixed->is_object() ? Given(fixed->get_object(), "max_chunk_size_tokens") : nullptr;
  if (type != "static" || !tokens || !tokens->is_int64() || tokens->get_int64() < 16 || tokens->get_int64() > 4096) throw Error(Code::kInvalidArgument, "chunking_strategy: is auto, or static with max_chunk_size_tokens from 16 to 4096", "chunking_strategy");
  const auto* overlap = Given(fixed->get_object(), "chunk_overlap_tokens");
  if (overlap && (!overlap->is_int64() || overlap->get_int64() != 0)) throw Error(Code::kUnimplemented, "chunking_strategy.static.chunk_overlap_tokens: passages do not overlap; send 0", "chunking_strategy");
  return tokens->get_int64();
}

std::vector<std::string> FileIdsOf(const JsonObject& body) {
  const auto* given = Given(body, "file_ids");
  auto ids = given ? FromJson<std::vector<std::string>>(*given) : std::vector<std::string>();
  if (ids.size() > kMaxFilesAtOnce) throw Error(Code::kInvalidArgument, "file_ids: has " + std::to_string(ids.size()) + " items, at most " + std::to_string(kMaxFilesAtOnce), "file_ids");
  return ids;
}

JsonObject ObjectIn(const JsonObject& body, std::string_view name) {
  const auto* given = Given(body, name);
  if (!given) return {};
  if (!given->is_object() || given->get_object().size() > 16) throw Error(Code::kInvalidArgument, std::string(name) + ": must be an object of at most 16 keys", std::string(name));
  return given->get_object();
}

void SetMetadata(Collection& row, JsonObject metadata) {
  for (const auto& [key, value] : metadata)
    if (!value.is_string()) throw Error(Code::kInvalidArgument, "metadata." + std::string(key) + ": must be a string", "metadata");
  row.readers = metadata.contains(kReaders) ? std::string(AsView(metadata.at(kReaders).get_string())) : std::string();
  row.attributes["metadata"] = std::move(metadata);
}

HttpResponse CreateStore(VectorStores& on, const Context& ctx, const HttpRequest& http) {
  const auto body = BodyOf(http);
  Refuse(body, "expires_after", "is not done here; a vector store stays until it is deleted");
  const auto files = FileIdsOf(body);
  const auto max_tokens = MaxTokensOf(body);
  for (const auto& file : files) on.GetFile(ctx, file);
  Collection row{.name = NewId("vs", ctx.clock())};
  row.dim = on.embedder() ? on.embedder()->dim() : 0;
  row.embedder = on.embedder() ? on.embedder_id() : std::string();
  row.attributes = {{"protocol", "openai"}, {"name", TextIn(body, "name", 256)}, {"description", TextIn(body, "description", 2048)}};
  SetMetadata(row, ObjectIn(body, "metadata"));
  row = on.collections().Create(ctx, std::move(row));
  for (const auto& file : files) on.Attach(ctx, row.name, file, {}, max_tokens, "");
  return JsonResponse(StoreJson(on, ctx, row));
}

HttpResponse ChangeStore(VectorStores& on, const Context& ctx, const HttpRequest& http) {
  const auto& id = http.path_params.at("store");
  NeedStore(on, ctx, id);
  const auto body = BodyOf(http);
  Refuse(body, "expires_after", "is not done here; a vector store stays until it is deleted");
  const auto row = on.collections().Configure(ctx, id, [&](Collection& one) {
    for (const char* name : {"name", "description"})
      if (Given(body, name)) one.attributes[name] = TextIn(body, name, 2048);
    if (Given(body, "metadata")) SetMetadata(one, ObjectIn(body, "metadata"));
  });
  return JsonResponse(StoreJson(on, ctx, row));
}

// {"type": "eq", "key", "value"} and {"type": "and", "filters"}.
Filter FilterOf(const Json& json, const std::string& path, int depth) {
  const auto* object = json.if_object();
  if (!object || depth > 16) throw Error(Code::kInvalidArgument, path + (object ? ": nests deeper than 16" : ": must be an object"), path);
  const auto type = TextIn(*object, "type", 16);
  if (type == "and" || type == "or") {
    const auto* parts = Given(*object, "filters");
    if (!parts || !parts->is_array() || parts->get_array().empty() || parts->get_array().size() > 100) throw Error(Code::kInvalidArgument, path + ".filters: must be 1 to 100 filters", path + ".filters");
    Filter out{.op = type == "and" ? Filter::Op::kAnd : Filter::Op::kOr};
    for (std::size_t i = 0; i < parts->get_array().size(); ++i) out.parts.push_back(FilterOf(parts->get_array()[i], path + ".filters[" + std::to_string(i) + "]", depth + 1));
    return out;
  }
  static constexpr std::string_view kTypes[] = {"eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"};
  if (std::find(std::begin(kTypes), std::end(kTypes), type) == std::end(kTypes)) throw Error(Code::kInvalidArgument, path + ".type: must be one of: eq, ne, gt, gte, lt, lte, in, nin, and, or", path + ".type");
  const auto key = TextIn(*object, "key", 256);
  const auto* value = Given(*object, "value");
  if (key.empty() || !value) throw Error(Code::kInvalidArgument, path + ": needs key and value", path);
  return retrieval::ParseFilter(JsonObject{{key, JsonObject{{"$" + type, *value}}}}, path);
}

HttpResponse SearchStore(VectorStores& on, const Context& ctx, const HttpRequest& http) {
  const auto& id = http.path_params.at("store");
  NeedStore(on, ctx, id);
  const auto body = BodyOf(http);
  if (const auto* rewrite = Given(body, "rewrite_query"); rewrite && *rewrite != false) throw Error(Code::kUnimplemented, "rewrite_query: questions are searched as they are", "rewrite_query");
  std::vector<std::string> asked;
  if (const auto* query = Given(body, "query"); query && query->is_array()) asked = FromJson<std::vector<std::string>>(*query);
  else if (query) asked.push_back(TextIn(body, "query", 8192));
  std::string text;
  for (const auto& one : asked) text += (text.empty() ? "" : "\n") + one;
  if (text.empty() || text.size() > 8192) throw Error(Code::kInvalidArgument, "query: has 1 to 8192 bytes", "query");
  std::size_t k = 10;
  if (const auto* given = Given(body, "max_num_results")) {
    if (!given->is_int64() || given->get_int64() < 1 || given->get_int64() > 50) throw Error(Code::kInvalidArgument, "max_num_results: is 1 to 50", "max_num_results");
    k = static_cast<std::size_t>(given->get_int64());
  }
  double least = 0;
  if (const auto options = ObjectIn(body, "ranking_options"); Given(options, "score_threshold")) {
    const auto& given = options.at("score_threshold");
    if (!given.is_number()) throw Error(Code::kInvalidArgument, "ranking_options.score_threshold: must be a number", "ranking_options.score_threshold");
    least = given.to_number<double>();
  }
  const auto* filters = Given(body, "filters");
  const auto found = on.Search(ctx, id, text, filters ? FilterOf(*filters, "filters", 1) : Filter{}, k);
  const auto index = on.collections().Open(ctx, id);
  std::map<std::string, std::string> names;  // of what is in the store: a file that was just taken out may still have been found
  for (auto& file : on.ListAttached(ctx, id)) names.emplace(file.file, std::move(file.filename));
  JsonArray data;
  for (const auto& hit : found.hits) {
    const auto name = names.find(hit.group);
    if (hit.score < least || name == names.end()) continue;
    const auto records = index->Fetch(ctx, "", std::span(&hit.id, 1));
    if (records.empty()) continue;  // gone in between
    data.push_back(JsonObject{{"file_id", hit.group}, {"filename", name->second}, {"score", hit.score}, {"attributes", records.front().metadata}, {"content", JsonArray{JsonObject{{"type", "text"}, {"text", records.front().text}}}}});
  }
  return JsonResponse(JsonObject{{"object", "vector_store.search_results.page"}, {"search_query", ToJson(asked)}, {"data", std::move(data)}, {"has_more", false}, {"next_page", nullptr}});
}

HttpResponse Attach(VectorStores& on, const Context& ctx, const HttpRequest& http) {
  const auto& id = http.path_params.at("store");
  NeedStore(on, ctx, id);
  const auto body = BodyOf(http);
  return JsonResponse(FileInStoreJson(on.Attach(ctx, id, TextIn(body, "file_id", 128), ObjectIn(body, "attributes"), MaxTokensOf(body), "")));
}

JsonObject BatchJson(VectorStores& on, const Context& ctx, const std::string& store, const std::string& batch) {
  const auto files = on.ListAttached(ctx, store);
  const auto first = std::find_if(files.begin(), files.end(), [&](const VectorStoreFile& file) { return file.batch == batch; });
  if (first == files.end()) throw Error(Code::kNotFound, "there is no batch '" + batch + "' in '" + store + "'", "batch_id");
  auto counts = CountsJson(files, batch);
  return {{"id", batch}, {"object", "vector_store.files_batch"}, {"created_at", Seconds(first->created_us)}, {"vector_store_id", store}, {"status", counts.at("in_progress") == 0 ? "completed" : "in_progress"}, {"file_counts", std::move(counts)}};
}

HttpResponse AttachBatch(VectorStores& on, const Context& ctx, const HttpRequest& http) {
  const auto& id = http.path_params.at("store");
  NeedStore(on, ctx, id);
  const auto body = BodyOf(http);
  Refuse(body, "files", "give file_ids, with attributes for all of them");
  const auto ids = FileIdsOf(body);
  if (ids.empty()) throw Error(Code::kInvalidArgument, "file_ids: must have 1 to 500 items", "file_ids");
  for (const auto& file : ids) on.GetFile(ctx, file);
  const auto batch = NewId("vsfb", ctx.clock());
  for (const auto& file : ids) on.Attach(ctx, id, file, ObjectIn(body, "attributes"), MaxTokensOf(body), batch);
  return JsonResponse(BatchJson(on, ctx, id, batch));
}

HttpResponse ListFilesOf(VectorStores& on, const Context& ctx, const HttpRequest& http, const std::string& batch) {
  const auto status = QueryText(http, "filter");
  auto files = on.ListAttached(ctx, http.path_params.at("store"));
  std::erase_if(files, [&](const VectorStoreFile& file) { return (!status.empty() && file.status != status) || (!batch.empty() && file.batch != batch); });
  return Page(http, std::move(files), [](const VectorStoreFile& file) { return file.file; }, FileInStoreJson);
}

}  // namespace

std::vector<Endpoint> MakeOpenAiFileEndpoints(Stores stores) {
  std::vector<Endpoint> rows;
  using Handle = HttpResponse (*)(VectorStores&, const Context&, const HttpRequest&);
  const auto add = [&rows, stores](const char* method, const char* path, std::chrono::seconds timeout, const char* summary, Handle handle) {
    rows.push_back({method, path, Access::kUser, timeout, summary, [stores, handle](const Context& ctx, const HttpRequest& http) { return handle(*stores, ctx, http); }});
  };
  add("POST", "/v1/files", 60s, "Keeps a file.", AddFile);
  rows.back().body_limit_bytes = data::kMaxDocumentBytes + (64u << 10);
  add("GET", "/v1/files", 10s, "Your files.", [](VectorStores& on, const Context& ctx, const HttpRequest& http) {
    auto files = on.ListFiles(ctx);
    if (const auto purpose = QueryText(http, "purpose"); !purpose.empty()) std::erase_if(files, [&](const StoredFile& file) { return file.purpose != purpose; });
    return Page(http, std::move(files), [](const StoredFile& file) { return file.id; }, FileJson);
  });
  add("GET", "/v1/files/{file}", 10s, "One file.", [](VectorStores& on, const Context& ctx, const HttpRequest& http) { return JsonResponse(FileJson(on.GetFile(ctx, http.path_params.at("file")))); });
  add("GET", "/v1/files/{file}/content", 60s, "A file's bytes.", [](VectorStores& on, const Context& ctx, const HttpRequest& http) {
    HttpResponse response;
    response.content_type = "application/octet-stream";
    response.body = on.ReadFileBytes(ctx, http.path_params.at("file"));
    response.headers.emplace_back("content-disposition", "attachment");
    response.headers.emplace_back("x-content-type-options", "nosniff");
    return response;
  });
  add("DELETE", "/v1/files/{file}", 60s, "Deletes a file, also from vector stores.", [](VectorStores& on, const Context& ctx, const HttpRequest& http) {
    on.DeleteFile(ctx, http.path_params.at("file"));
    return JsonResponse(JsonObject{{"id", http.path_params.at("file")}, {"object", "file"}, {"deleted", true}});
  });
  add("POST", "/v1/vector_stores", 30s, "Makes a vector store.", CreateStore);
  add("GET", "/v1/vector_stores", 10s, "The vector stores you may search.", [](VectorStores& on, const Context& ctx, const HttpRequest& http) {
    auto all = on.collections().List(ctx);
    std::erase_if(all, [](const Collection& row) { return !row.attributes.contains("protocol") || row.attributes.at("protocol") != "openai"; });
    return Page(http, std::move(all), [](const Collection& row) { return row.name; }, [&](const Collection& row) { return StoreJson(on, ctx, row); });
  });
  add("GET", "/v1/vector_stores/{store}", 10s, "One vector store.", [](VectorStores& on, const Context& ctx, const HttpRequest& http) { return JsonResponse(StoreJson(on, ctx, NeedStore(on, ctx, http.path_params.at("store")))); });
  add("POST", "/v1/vector_stores/{store}", 10s, "Changes a vector store's name or metadata.", ChangeStore);
  add("DELETE", "/v1/vector_stores/{store}", 60s, "Deletes a vector store; its files stay.", [](VectorStores& on, const Context& ctx, const HttpRequest& http) {
    NeedStore(on, ctx, http.path_params.at("store"));
    on.collections().Delete(ctx, http.path_params.at("store"));
    return JsonResponse(JsonObject{{"id", http.path_params.at("store")}, {"object", "vector_store.deleted"}, {"deleted", true}});
  });
  add("POST", "/v1/vector_stores/{store}/search", 30s, "Passages of a vector store's files that answer a question.", SearchStore);
  add("POST", "/v1/vector_stores/{store}/files", 30s, "Adds a file to a vector store.", Attach);
  add("GET", "/v1/vector_stores/{store}/files", 10s, "A vector store's files.", [](VectorStores& on, const Context& ctx, const HttpRequest& http) { return ListFilesOf(on, ctx, http, ""); });
  add("GET", "/v1/vector_stores/{store}/files/{file}", 10s, "One of them.", [](VectorStores& on, const Context& ctx, const HttpRequest& http) {
    return JsonResponse(FileInStoreJson(on.GetAttached(ctx, http.path_params.at("store"), http.path_params.at("file"))));
  });
  add("POST", "/v1/vector_stores/{store}/files/{file}", 30s, "Changes its attributes.", [](VectorStores& on, const Context& ctx, const HttpRequest& http) {
    return JsonResponse(FileInStoreJson(on.SetAttributes(ctx, http.path_params.at("store"), http.path_params.at("file"), ObjectIn(BodyOf(http), "attributes"))));
  });
  add("GET", "/v1/vector_stores/{store}/files/{file}/content", 30s, "What was read of it.", [](VectorStores& on, const Context& ctx, const HttpRequest& http) {
    JsonArray data;
    for (const auto& text : on.ReadPassages(ctx, http.path_params.at("store"), http.path_params.at("file"))) data.push_back(JsonObject{{"type", "text"}, {"text", text}});
    return JsonResponse(JsonObject{{"object", "vector_store.file_content.page"}, {"data", std::move(data)}, {"has_more", false}, {"next_page", nullptr}});
  });
  add("DELETE", "/v1/vector_stores/{store}/files/{file}", 30s, "Takes it out; the file stays.", [](VectorStores& on, const Context& ctx, const HttpRequest& http) {
    on.Detach(ctx, http.path_params.at("store"), http.path_params.at("file"));
    return JsonResponse(JsonObject{{"id", http.path_params.at("file")}, {"object", "vector_store.file.deleted"}, {"deleted", true}});
  });
  add("POST", "/v1/vector_stores/{store}/file_batches", 60s, "Adds several files.", AttachBatch);
  add("GET", "/v1/vector_stores/{store}/file_batches/{batch}", 10s, "How far they are.", [](VectorStores& on, const Context& ctx, const HttpRequest& http) {
    return JsonResponse(BatchJson(on, ctx, http.path_params.at("store"), http.path_params.at("batch")));
  });
  add("GET", "/v1/vector_stores/{store}/file_batches/{batch}/files", 10s, "The files of a batch.", [](VectorStores& on, const Context& ctx, const HttpRequest& http) {
    BatchJson(on, ctx, http.path_params.at("store"), http.path_params.at("batch"));
    return ListFilesOf(on, ctx, http, http.path_params.at("batch"));
  });
  return rows;
}

}  // namespace tenfold::serving
