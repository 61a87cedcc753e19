#include "app/backends.h"

#include "models/bert_embedder.h"
#include "models/llama_generator.h"
#include "models/recent_embeddings.h"

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

}  // namespace

std::unique_ptr<data::Store> OpenStore(std::string_view url, const std::filesystem::path& home, std::vector<data::Table> tables) {
  const auto& backend = FindBackend(kStores, url, "store", "data.store");
  const auto path = home / std::filesystem::path(url.substr(backend.scheme.size() + 1));
  return backend.open(path.string(), std::move(tables));
}

std::unique_ptr<models::Embedder> OpenEmbedder(std::string_view name, const std::filesystem::path& models) {
  if (name == "none") return nullptr;
  const auto folder = models / std::filesystem::path(name).filename();
  if (!std::filesystem::exists(folder / "model.safetensors"))
    throw Error(Code::kNotFound, "the embedding model '" + std::string(name) + "' is not here; fetch it with 'tenfold models pull " + std::string(name) + "', or start with --no-models", "models.embedder");
  return std::make_unique<models::RecentEmbeddings>(models::OpenBertEmbedder(folder));
}

std::unique_ptr<models::Generator> OpenGenerator(std::string_view name, const std::filesystem::path& models, const ModelSettings& settings) {
  const auto file = models / std::filesystem::path(name).filename() / "model.gguf";
  if (!std::filesystem::exists(file))
    throw Error(Code::kNotFound, "the model '" + std::string(name) + "' is not here; fetch it with 'tenfold models pull " + std::string(name) + "', or start with --no-models", "models.generator");
  models::LlamaOptions options;
  options.context_tokens = settings.context_tokens;
  options.threads = settings.threads;
  options.queue = settings.queue;
  options.name = name;
  return models::OpenLlamaGenerator(models::PrepareGguf(Context::System("models"), file, "q4_0"), options);
}

}  // namespace tenfold::app
