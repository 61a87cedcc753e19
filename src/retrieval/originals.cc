#include "retrieval/originals.h"

#include "base/crypto.h"
#include "data/parse.h"
#include "retrieval/stored_file.h"

namespace tenfold::retrieval {

Originals::Held::Held(Originals& originals, std::vector<std::string> ids) : originals_(originals), ids_(std::move(ids)) {
  const std::lock_guard lock(originals_.mutex_);
  for (const auto& id : ids_) ++originals_.held_[id];
}

Originals::Held::~Held() {
  const std::lock_guard lock(originals_.mutex_);
  for (const auto& id : ids_)
    if (const auto found = originals_.held_.find(id); --found->second == 0) originals_.held_.erase(found);
}

std::unique_ptr<Originals::Held> Originals::Keep(const Context& ctx, std::span<const std::string_view> bytes) {
  std::vector<std::string_view> large;
  std::vector<std::string> ids;
  for (const auto one : bytes)
    if (one.size() > kMaxSmallOriginal) {
      large.push_back(one);
      ids.push_back(Sha256Hex(one));
    }
  // Held before they are looked for: one that is there already and was about to be forgotten stays, one that is just going is written again.
  auto held = std::make_unique<Held>(*this, std::move(ids));
  objects_.PutAll(ctx, large);
  return held;
}

void Originals::PutSmall(data::WriteTx& tx, const std::string& document, std::string_view bytes) {
  if (bytes.size() <= kMaxSmallOriginal) tx.Put(SmallOriginal{document, {bytes.begin(), bytes.end()}});
}

namespace {
struct NamedHash {
  std::string id;
  std::string uri;
  std::string content_hash;
};
TENFOLD_DESCRIBE(NamedHash, (id), (uri), (content_hash))
TENFOLD_TABLE(NamedHash, "documents", id)

struct SmallOriginalId {
  std::string document;
};
TENFOLD_DESCRIBE(SmallOriginalId, (document))
TENFOLD_TABLE(SmallOriginalId, "small_originals", document)
}  // namespace

bool Originals::Has(data::ReadTx& tx, const std::string& document, std::string_view content_hash) {
  return tx.Get<SmallOriginalId>(document) || objects_.SizeOf(Context::System("originals"), content_hash);
}

std::string Originals::Get(const Context& ctx, const Document& document) {
  if (const auto small = store_.Read(ctx, [&](data::ReadTx& tx) { return tx.Get<SmallOriginal>(document.id); })) {
    std::string bytes(small->bytes.begin(), small->bytes.end());
    if (Sha256Hex(bytes) != document.content_hash)
      throw Error(Code::kDataLoss, "the original of '" + document.uri + "' is not what it was; restore it from a backup");
    return bytes;
  }
  return objects_.Get(ctx, document.content_hash, data::kMaxDocumentBytes);
}

bool Originals::ForgetOne(const Context& ctx, const std::string& id) {
  const std::lock_guard lock(mutex_);
  if (held_.contains(id)) return false;
  const auto named = store_.Read(ctx, [&](data::ReadTx& tx) { return tx.Count<Document>(data::Where("content_hash", id)) + tx.Count<StoredFile>(data::Where("content_hash", id)); });
  return named == 0 && objects_.Delete(ctx, id);
}

void Originals::Forget(const Context& ctx, std::span<const std::string> ids) {
  for (const auto& id : ids) ForgetOne(ctx, id);
}

std::int64_t Originals::Collect(const Context& ctx) {
  std::vector<std::string> ids;
  objects_.List(ctx, [&](const std::string& id, std::uint64_t) { ids.push_back(id); });
  std::int64_t removed = 0;
  for (const auto& id : ids)
    if (ForgetOne(ctx, id)) ++removed;
  return removed;
}

void CheckSmallOriginals(const Context& ctx, data::Store& store) {
  data::Query page{{{"document", data::Compare::kGreater, data::Value(std::string())}}, "document", false, 200};
  for (;;) {
    const auto last = store.Read(ctx, [&](data::ReadTx& tx) {
      std::string at;
      for (const auto& small : tx.Find<SmallOriginal>(page)) {
        const auto document = tx.Get<NamedHash>(small.document);
        if (!document || Sha256Hex({reinterpret_cast<const char*>(small.bytes.data()), small.bytes.size()}) != document->content_hash)
          throw Error(Code::kDataLoss, "the original of '" + (document ? document->uri : small.document) + "' is not what it was");
        at = small.document;
      }
      return at;
    });
    if (last.empty()) return;
    page.where.front().value = data::Value(last);
  }
}

workflows::RunFunction MakeCollect(Originals& originals) {
  return [&originals](workflows::RunContext& run) -> Json { return JsonObject{{"removed", originals.Collect(run.ctx())}}; };
}

}  // namespace tenfold::retrieval
