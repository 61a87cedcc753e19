#include "app/backends.h"

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

}  // namespace tenfold::app
