#include "app/backends.h"

#include <algorithm>
#include <cstdlib>

#include "data/sources/folder.h"
#include "data/sources/github.h"
#include "data/sources/notion.h"
#include "data/sources/openapi.h"
#include "data/sources/imap.h"
#include "data/sources/mongodb.h"
#include "data/sources/postgresql.h"
#include "data/sources/s3.h"
#include "data/sources/web.h"
#include "models/bert_embedder.h"
#include "models/bert_reranker.h"
#include "models/catalog.h"
#include "models/embedder_url.h"
#include "models/llama_generator.h"
#include "models/model_file.h"
#include "models/openai_backend.h"
#include "models/recent_embeddings.h"
#include "models/remote_embedder.h"
#include "models/remote_reranker.h"
#include "retrieval/backends/pinecone.h"
#include "retrieval/backends/postgresql.h"
#include "retrieval/backends/weaviate.h"

namespace tenfold::app {
namespace {

template <class Open>
struct Backend {
  std::string_view scheme;
  Open open;
  std::string_view what;
};

template <class Open, std::size_t N>
const Backend<Open>& FindBackend(const Backend<Open> (&list)[N], std::string_view url, std::string_view kind, std::string_view setting) {
  const auto scheme = url.substr(0, url.find(':'));
  std::string known;
  for (const auto& backend : list) {
    if (backend.scheme == scheme) return backend;
    known += (known.empty() ? "" : ", ") + std::string(backend.scheme);
  }
  throw Error(Code::kInvalidArgument, std::string(setting) + ": no " + std::string(kind) + " for '" + std::string(scheme) + ":'; this build has: " + known, std::string(setting));
}

using OpenStoreFunction = std::unique_ptr<data::Store> (*)(std::string_view path, std::vector<data::Table> tables);
constexpr Backend<OpenStoreFunction> kStores[] = {
    {"sqlite", data::OpenSqliteStore, "a file; embedded"},
};

using OpenObjectStoreFunction = std::unique_ptr<data::ObjectStore> (*)(const std::filesystem::path& folder);
constexpr Backend<OpenObjectStoreFunction> kObjectStores[] = {
    {"file", data::OpenFileObjectStore, "a folder; embedded"},
};
using OpenSourceFunction = std::unique_ptr<data::Source> (*)(std::string_view path, const data::SourceSetup& setup);
constexpr Backend<OpenSourceFunction> kSources[] = {
    {"folder", data::OpenFolderSource, "files below a folder, with the labels of its access.yaml"},
    {"imap", data::OpenImapSource, "imap:imaps://user@host/INBOX: a mailbox, password in $IMAP_PASSWORD"},
    {"mongodb", data::OpenMongodbSource, "mongodb://user@host/database.collection?text=…: a collection, password in $MONGODB_PASSWORD"},
    {"mongodb+srv", data::OpenMongodbSrvSource, "the same with its hosts from DNS"},
    {"postgresql", data::OpenPostgresqlSource, "postgresql://user@host/database?table=…&text=…: a table or query, password in $PGPASSWORD"},
    {"s3", data::OpenS3Source, "s3:bucket/folder or s3:http://host:port/bucket/folder, keys in $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY"},
    {"notion", data::OpenNotionSource, "notion: or notion:ID: what an integration was given, or a page or database and all below it"},
    {"github", data::OpenGithubSource, "github:owner/repo@ref/folder: files; github:owner/repo#issues: issues and pull requests"},
    {"openapi", data::OpenOpenapiSource, "openapi:https://host/openapi.json#path=/items: a list endpoint, each item a document"},
    {"web", data::OpenWebSource, "web:https://host/path#max_pages=500: a site, by its sitemap and links"},
};

std::string FromEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}
std::unique_ptr<retrieval::SearchIndex> OpenPostgresql(const Context& ctx, std::string_view rest, std::size_t dim, retrieval::Metric metric) { return retrieval::OpenPostgresqlIndex(ctx, rest, {dim, metric, FromEnvironment("PGPASSWORD")}); }
std::unique_ptr<retrieval::SearchIndex> OpenWeaviate(const Context& ctx, std::string_view rest, std::size_t dim, retrieval::Metric metric) { return retrieval::OpenWeaviateIndex(ctx, rest, {dim, metric, FromEnvironment("WEAVIATE_API_KEY")}); }
std::unique_ptr<retrieval::SearchIndex> OpenPinecone(const Context& ctx, std::string_view rest, std::size_t dim, retrieval::Metric metric) { return retrieval::OpenPineconeIndex(ctx, rest, {dim, metric, FromEnvironment("PINECONE_API_KEY")}); }
std::unique_ptr<retrieval::SearchIndex> OpenEmbedded(const Context&, std::string_view, std::size_t, retrieval::Metric) { throw Error(Code::kInvalidArgument, "embedded: is for commands that act on a data folder", "index"); }
using OpenSearchIndexFunction = std::unique_ptr<retrieval::SearchIndex> (*)(const Context& ctx, std::string_view rest, std::size_t dim, retrieval::Metric metric);
constexpr Backend<OpenSearchIndexFunction> kSearchIndexes[] = {
    {"embedded", OpenEmbedded, "embedded:NAME: a collection of a data folder that no server holds"},
    {"postgresql", OpenPostgresql, "postgresql://user@host/database?table=…: a table with pgvector, password in $PGPASSWORD"},
    {"weaviate", OpenWeaviate, "weaviate:http://host:port/Class, key in $WEAVIATE_API_KEY"},
    {"pinecone", OpenPinecone, "pinecone:NAME or pinecone:https://host: an index that is there, key in $PINECONE_API_KEY"},
};

}  // namespace

std::unique_ptr<retrieval::SearchIndex> OpenSearchIndex(const Context& ctx, std::string_view url, std::optional<std::size_t> dim, std::optional<retrieval::Metric> metric, const OpenEmbeddedIndex& embedded) {
  const auto& backend = FindBackend(kSearchIndexes, url, "search index", "index");
  const auto rest = url.substr(std::min(url.size(), backend.scheme.size() + 1));
  if (backend.scheme == "embedded" && embedded) return embedded(ctx, rest, dim, metric);
  if (!dim) throw Error(Code::kInvalidArgument, "how many dimensions the vectors of '" + std::string(url) + "' have must be said: --dim", "dim");
  return backend.open(ctx, rest, *dim, metric.value_or(retrieval::Metric::kCosine));
}

std::unique_ptr<data::ObjectStore> OpenObjectStore(std::string_view url, const std::filesystem::path& home) {
  const auto& backend = FindBackend(kObjectStores, url, "object store", "data.objects");
  return backend.open(home / std::filesystem::path(url.substr(std::min(url.size(), backend.scheme.size() + 1))));
}

std::unique_ptr<data::Source> OpenSource(std::string_view url, const data::SourceSetup& setup) {
  const auto& backend = FindBackend(kSources, url, "source", "url");
  return backend.open(url.substr(std::min(url.size(), backend.scheme.size() + 1)), setup);
}

std::unique_ptr<data::Store> OpenStore(std::string_view url, const std::filesystem::path& home, std::vector<data::Table> tables) {
  const auto& backend = FindBackend(kStores, url, "store", "data.store");
  const auto path = home / std::filesystem::path(url.substr(backend.scheme.size() + 1));
  return backend.open(path.string(), std::move(tables));
}

namespace {

std::string KeyFromEnvironment(std::initializer_list<const char*> names = {"TENFOLD_OPENAI_API_KEY", "OPENAI_API_KEY"}) {
  for (const char* name : names)
    if (const char* key = std::getenv(name); key && *key) return key;
  return {};
}

[[noreturn]] void ThrowNotHere(std::string_view kind, std::string_view name, std::string_view setting) {
  throw Error(Code::kNotFound, "the " + std::string(kind) + " '" + std::string(name) + "' is not here; fetch it with 'tenfold models pull " + std::string(name) + "', or start with --no-models", std::string(setting));
}

/// The size of a file is read, its contents only when it was changed since they were last checked.
void CheckFiles(std::string_view name, const std::filesystem::path& models) {
  const models::Catalog catalog(models.parent_path());
  const auto model = std::find_if(catalog.models().begin(), catalog.models().end(), [&](const auto& one) { return one.id == name; });
  if (model == catalog.models().end()) return;  // put there by hand
  for (const auto& file : model->files)
    if (const auto path = models / std::filesystem::path(name) / file.path; !models::IsUnaltered(path, file.sha256))
      throw Error(Code::kDataLoss, "'" + path.string() + "' is cut short or altered; fetch it again with 'tenfold models pull " + std::string(name) + "'");
}

// A name without a scheme is a model of the catalogue.
std::unique_ptr<models::Embedder> OpenCatalogEmbedder(std::string_view name, const std::filesystem::path& models, const ModelSettings&) {
  const auto url = models::ParseEmbedderUrl(name, false);
  const auto folder = models / std::filesystem::path(url.target).filename();
  if (!std::filesystem::exists(folder / "model.safetensors")) ThrowNotHere("embedding model", url.target, "models.embedder");
  CheckFiles(url.target, models);
  models::BertOptions options;
  if (url.options.max_tokens) options.max_tokens = url.options.max_tokens;
  if (!url.options.precision.empty())
    options.precision = url.options.precision == "fp32" ? models::Precision::kFloat32 : url.options.precision == "bf16" ? models::Precision::kBfloat16 : models::Precision::kInt8;
  auto embedder = models::OpenBertEmbedder(folder, options);
  const auto full_name = embedder->name() + url.options_text;
  return models::WithOptions(std::move(embedder), url.options, full_name);
}
Context OpeningContext() { return Context::System("models").WithTimeout(std::chrono::seconds(30)); }
std::unique_ptr<models::Embedder> OpenRemoteEmbedder(std::string_view url, const std::filesystem::path&, const ModelSettings&) {
  return models::OpenOpenAiEmbedder(OpeningContext(), url, KeyFromEnvironment());
}
std::unique_ptr<models::Embedder> OpenCohereEmbedder(std::string_view url, const std::filesystem::path&, const ModelSettings&) {
  return models::OpenCohereEmbedder(OpeningContext(), url, KeyFromEnvironment({"COHERE_API_KEY", "CO_API_KEY"}));
}
std::unique_ptr<models::Embedder> OpenOllamaEmbedder(std::string_view url, const std::filesystem::path&, const ModelSettings&) {
  return models::OpenOllamaEmbedder(OpeningContext(), url, KeyFromEnvironment({"OLLAMA_API_KEY"}));
}
std::unique_ptr<models::Generator> OpenCatalogGenerator(std::string_view name, const std::filesystem::path& models, const ModelSettings& settings) {
  const auto file = models / std::filesystem::path(name).filename() / "model.gguf";
  if (!std::filesystem::exists(file)) ThrowNotHere("model", name, "models.generator");
  CheckFiles(name, models);
  models::LlamaOptions options;
  options.context_tokens = settings.context_tokens;
  options.threads = settings.threads;
  options.queue = settings.queue;
  options.name = name;
  return models::OpenLlamaGenerator(models::PrepareGguf(Context::System("models"), file, "q4_0"), options);
}
std::unique_ptr<models::Generator> OpenRemoteGenerator(std::string_view url, const std::filesystem::path&, const ModelSettings&) { return models::OpenOpenAiGenerator(url, KeyFromEnvironment()); }

using OpenEmbedderFunction = std::unique_ptr<models::Embedder> (*)(std::string_view, const std::filesystem::path&, const ModelSettings&);
constexpr Backend<OpenEmbedderFunction> kEmbedders[] = {
    {"catalog", OpenCatalogEmbedder, "a model of 'tenfold models list'; the default scheme"},
    {"openai", OpenRemoteEmbedder, "openai:https://host/v1#model, key in $OPENAI_API_KEY"},
    {"cohere", OpenCohereEmbedder, "cohere:model, key in $COHERE_API_KEY"},
    {"ollama", OpenOllamaEmbedder, "ollama:model or ollama:http://host:11434#model"},
};
using OpenGeneratorFunction = std::unique_ptr<models::Generator> (*)(std::string_view, const std::filesystem::path&, const ModelSettings&);
constexpr Backend<OpenGeneratorFunction> kGenerators[] = {
    {"catalog", OpenCatalogGenerator, "a model of 'tenfold models list' on llama.cpp; the default scheme"},
    {"openai", OpenRemoteGenerator, "openai:https://host/v1#model, key in $OPENAI_API_KEY"},
};
std::unique_ptr<models::Reranker> OpenFolderReranker(std::string_view url, const std::filesystem::path&, const ModelSettings& settings) {
  return models::OpenBertReranker(std::filesystem::path(url.substr(url.find(':') + 1)), {.threads = settings.threads});
}
std::unique_ptr<models::Reranker> OpenCacheReranker(std::string_view url, const std::filesystem::path& models, const ModelSettings& settings) {
  const auto folder = models / std::filesystem::path(url.substr(url.find(':') + 1)).filename();
  if (!std::filesystem::exists(folder)) throw Error(Code::kNotFound, "there is no re-ranking model '" + folder.string() + "'; put the model's folder there, or name it with file:FOLDER", "retrieval.reranker");
  return models::OpenBertReranker(folder, {.threads = settings.threads});
}
std::unique_ptr<models::Reranker> OpenServedReranker(std::string_view url, const std::filesystem::path&, const ModelSettings&) {
  return models::OpenRemoteReranker(url, url.starts_with("cohere:") ? KeyFromEnvironment({"COHERE_API_KEY", "CO_API_KEY"}) : url.starts_with("jina:") ? KeyFromEnvironment({"JINA_API_KEY"}) : KeyFromEnvironment({"TEI_API_KEY"}));
}
using OpenRerankerFunction = std::unique_ptr<models::Reranker> (*)(std::string_view url, const std::filesystem::path& models, const ModelSettings& settings);
constexpr Backend<OpenRerankerFunction> kRerankers[] = {
    {"file", OpenFolderReranker, "file:/folder of a BERT cross-encoder as Hugging Face lays it out"},
    {"catalog", OpenCacheReranker, "the name of such a folder in the cache of models; the default scheme"},
    {"cohere", OpenServedReranker, "cohere:model, key in $COHERE_API_KEY"},
    {"jina", OpenServedReranker, "jina:model, or jina:http://host:port/v1#model of vLLM and whoever speaks like them; key in $JINA_API_KEY"},
    {"tei", OpenServedReranker, "tei:http://host:port of text-embeddings-inference; key in $TEI_API_KEY"},
};
// A colon may also stand in the options: "model?query_prefix=query: ".
std::string WithScheme(std::string_view name) { return name.substr(0, name.find('?')).find(':') == std::string_view::npos ? "catalog:" + std::string(name) : std::string(name); }
std::string_view WithoutCatalog(std::string_view url) { return url.starts_with("catalog:") ? url.substr(8) : url; }

}  // namespace

std::unique_ptr<models::Embedder> OpenEmbedder(std::string_view name, const std::filesystem::path& models, const ModelSettings& settings) {
  if (name == "none") return nullptr;
  const auto url = WithScheme(name);
  return std::make_unique<models::RecentEmbeddings>(FindBackend(kEmbedders, url, "embedder", "models.embedder").open(WithoutCatalog(url), models, settings));
}

std::unique_ptr<models::Reranker> OpenReranker(std::string_view name, const std::filesystem::path& models, const ModelSettings& settings) {
  if (name == "none" || name.empty()) return nullptr;
  const auto url = WithScheme(name);
  return FindBackend(kRerankers, url, "re-ranker", "retrieval.reranker").open(url, models, settings);
}

std::unique_ptr<models::Generator> OpenGenerator(std::string_view name, const std::filesystem::path& models, const ModelSettings& settings) {
  const auto url = WithScheme(name);
  return FindBackend(kGenerators, url, "generator", "models.generator").open(WithoutCatalog(url), models, settings);
}

}  // namespace tenfold::app
