#include "app/home_collections.h"

#include "app/backends.h"

namespace tenfold::app {
namespace {

/// A collection that keeps its folder open.
class HeldIndex : public retrieval::SearchIndex {
 public:
  HeldIndex(std::shared_ptr<HomeCollections> home, std::shared_ptr<SearchIndex> index) : home_(std::move(home)), index_(std::move(index)) {}
  std::size_t dim() const override { return index_->dim(); }
  retrieval::Metric metric() const override { return index_->metric(); }
  bool has_words() const override { return index_->has_words(); }
  void Write(const Context& ctx, std::string_view name_space, std::span<const retrieval::IndexChange> changes) override { index_->Write(ctx, name_space, changes); }
  retrieval::IndexResult Search(const Context& ctx, std::string_view name_space, const retrieval::IndexQuery& query) override { return index_->Search(ctx, name_space, query); }
  std::vector<retrieval::IndexRecord> Fetch(const Context& ctx, std::string_view name_space, std::span<const std::string> ids) override { return index_->Fetch(ctx, name_space, ids); }
  std::vector<std::string> List(const Context& ctx, std::string_view name_space, std::string_view prefix, std::string_view after, std::size_t limit) override { return index_->List(ctx, name_space, prefix, after, limit); }
  std::vector<retrieval::NamespaceInfo> Namespaces(const Context& ctx) override { return index_->Namespaces(ctx); }
  void DeleteNamespace(const Context& ctx, std::string_view name_space) override { index_->DeleteNamespace(ctx, name_space); }

 private:
  const std::shared_ptr<HomeCollections> home_;  // before the index: it goes after it
  const std::shared_ptr<SearchIndex> index_;
};

std::string NameOf(retrieval::Metric metric) { return std::string(AsView(ToJson(metric).get_string())); }

}  // namespace

std::shared_ptr<HomeCollections> HomeCollections::Open(const std::filesystem::path& home) {
  // Every folder that was ever one has this file; without it there is nothing to read, and making one is for 'tenfold up'.
  if (!std::filesystem::exists(home / "lock")) throw Error(Code::kNotFound, "'" + home.string() + "' is no data folder; choose one with --home, or start 'tenfold up' there once");
  try {
    return std::make_shared<HomeCollections>(std::filesystem::canonical(home));
  } catch (const Error& e) {
    if (e.code() != Code::kUnavailable) throw;
    throw Error(Code::kUnavailable, e.message() + "; while a server has it, its collections are reached as pinecone:http://HOST:PORT/pinecone/NAME");
  }
}

HomeCollections::HomeCollections(const std::filesystem::path& home) : lock_(home), snapshots_(home / kSnapshotFolder) {
  store_ = OpenStore(LoadSettings(home / "tenfold.yaml").data.store, home, AllTables());
  collections_ = std::make_unique<retrieval::Collections>(*store_, &snapshots_);
  store_->Follow(*collections_);
}

HomeCollections::~HomeCollections() {
  store_.reset();  // its writer calls the collections; it ends before they do
  snapshots_.Finish();
}

std::vector<retrieval::Collection> HomeCollections::List(const Context& ctx) const { return collections_->List(ctx); }

std::unique_ptr<retrieval::SearchIndex> HomeCollections::OpenIndex(const Context& ctx, std::string_view name, std::optional<std::size_t> dim, std::optional<retrieval::Metric> metric) {
  auto found = collections_->Find(ctx, name);
  if (!found) {
    if (!dim) throw Error(Code::kNotFound, "there is no collection '" + std::string(name) + "' in this data folder; with --dim it is made");
    found = collections_->Create(ctx, {.name = std::string(name), .dim = static_cast<std::int64_t>(*dim), .metric = metric.value_or(retrieval::Metric::kCosine)});
  }
  if (dim && static_cast<std::int64_t>(*dim) != found->dim)
    throw Error(Code::kInvalidArgument, "collection '" + found->name + "' has " + std::to_string(found->dim) + " dimensions, not " + std::to_string(*dim), "dim");
  if (metric && *metric != found->metric) throw Error(Code::kInvalidArgument, "collection '" + found->name + "' compares by " + NameOf(found->metric) + ", not by " + NameOf(*metric), "metric");
  return std::make_unique<HeldIndex>(shared_from_this(), collections_->Open(ctx, name));
}

}  // namespace tenfold::app
