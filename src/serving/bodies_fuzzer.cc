// What clients of Pinecone, Weaviate and OpenAI send, as endpoints and gRPC methods get it, over indexes with a few records: an answer or an Error. The first byte chooses the row of the tables, the second
// what stands in the path; the rest is the body, or of a GET the query. What was written stays for some runs.
#include <cmath>
#include <cstdlib>

#include <google/protobuf/stubs/logging.h>

#include "base/error.h"
#include "base/files.h"
#include "base/percent.h"
#include "serving/openai_testing.h"
#include "serving/pinecone.h"
#include "serving/weaviate.h"

namespace {

using namespace tenfold;
using namespace tenfold::serving;

class LettersEmbedder : public models::Embedder {
 public:
  std::vector<std::vector<float>> Embed(const Context&, std::span<const std::string> texts, models::EmbedKind) override {
    std::vector<std::vector<float>> out;
    for (const auto& text : texts) {
      float at[2] = {1, 1};
      for (const char c : text) at[c & 1] += 1;
      const auto length = std::hypot(at[0], at[1]);
      out.push_back({at[0] / length, at[1] / length});
    }
    return out;
  }
  std::uint32_t dim() const override { return 2; }
  std::uint32_t max_tokens() const override { return 512; }
  std::string name() const override { return "letters"; }
  std::uint32_t CountTokens(std::string_view text) override { return static_cast<std::uint32_t>(text.size()); }
};

class Text : public StreamWriter {
 public:
  void Write(std::string_view bytes) override { text += bytes; }
  std::string text;
};

std::vector<data::Table> Tables() {
  auto out = retrieval::Collections::Tables();
  for (const auto& more : {workflows::Runs::Tables(), agents::Assistant::Tables()}) out.insert(out.end(), more.begin(), more.end());
  return out;
}

constexpr const char* kUuid = "0b7e8a52-1c2d-4e3f-8a9b-0c1d2e3f4a5b";
const char* const kInPath[][4] = {{"index", "vectors", "texts", "none"}, {"namespace", "__default__", "t", ""}, {"class", "Plain", "Tenants", "None"}, {"id", kUuid, "0", ""}, {"tenant", "t", "none", ""}, {"property", "title", "", ""}};

class Server {
 public:
  Server() : store_(data::OpenSqliteStore((folder_.path() / "store.db").string(), Tables())), collections_(*store_), runs_(*store_, SystemClock(), {.threads = 1}), retriever_(*store_, [] { return retrieval::OpenIndex(); }), router_({}, nullptr),
             assistant_({*store_, runs_, retriever_, router_, {}, guards_, metrics_, [](std::string_view) -> agents::AssistantVersion { throw Error(Code::kNotFound, "there is no version"); }, [this](std::string_view) { return generator_; }}) {
    store_->Follow(collections_);
    rows_ = MakePineconeEndpoints(std::make_shared<const PineconeParts>(PineconeParts{collections_, &embedder_, "letters"}));
    const auto objects = std::make_shared<WeaviateObjects>(collections_, &embedder_, "letters");
    for (auto& row : MakeWeaviateEndpoints(objects)) rows_.push_back(std::move(row));
    methods_ = MakeWeaviateMethods(objects);
    for (auto& row : MakeOpenAiEndpoints(std::make_shared<const OpenAiParts>(OpenAiParts{assistant_, runs_, [] { return std::vector<ServedModel>{{"echo", "us"}}; }, [this](std::string_view name) { return name == "echo" ? generator_ : nullptr; }, &embedder_, "letters", metrics_})))
      rows_.push_back(std::move(row));
    Tell("POST", "/indexes", R"({"name": "vectors", "dimension": 2, "metric": "euclidean", "spec": {"serverless": {}}})", 0);
    Tell("POST", "/indexes/create-for-model", R"({"name": "texts", "embed": {"model": "letters", "field_map": {"text": "body"}}})", 0);
    Tell("POST", "/pinecone/{index}/vectors/upsert", R"({"vectors": [{"id": "a", "values": [1, 0], "metadata": {"year": 2000, "tags": ["x", "y"]}}, {"id": "b", "values": [0.5, -2]}]})", 0);
    Tell("POST", "/pinecone/{index}/records/namespaces/{namespace}/upsert", "{\"_id\": \"a\", \"body\": \"some words\", \"year\": 2000}\n{\"_id\": \"b\", \"body\": \"other words\"}", 1);
    const std::string properties = R"("properties": [{"name": "title", "dataType": ["text"]}, {"name": "years", "dataType": ["int[]"]}, {"name": "at", "dataType": ["date"]}, {"name": "place", "dataType": ["geoCoordinates"]}])";
    Tell("POST", "/v1/schema", R"({"class": "Plain", "vectorizer": "none", )" + properties + "}", 0);
    Tell("POST", "/v1/schema", R"({"class": "Tenants", "vectorizer": "text2vec-tenfold", "multiTenancyConfig": {"enabled": true, "autoTenantCreation": true}, )" + properties + "}", 0);
    Tell("POST", "/v1/objects", std::string(R"({"class": "Plain", "id": ")") + kUuid + R"(", "properties": {"title": "a title", "years": [1, 2], "at": "2024-05-01T12:00:00Z", "place": {"latitude": 1, "longitude": 2}}, "vector": [1, 0]})", 0);
    Tell("POST", "/v1/objects", std::string(R"({"class": "Tenants", "tenant": "t", "id": ")") + kUuid + R"(", "properties": {"title": "a title"}})", 0);
    made_at_ = store_->commit();
  }
  std::size_t size() const { return rows_.size() + methods_.size(); }
  bool is_worn() const { return store_->commit() > made_at_ + 40; }
  void Call(std::size_t number, unsigned places, std::string_view bytes) {
    if (number >= rows_.size()) methods_[number - rows_.size()].call(ctx_, bytes);
    else Call(rows_[number], places, bytes);
  }

 private:
  void Call(const Endpoint& row, unsigned places, std::string_view bytes) {
    HttpRequest http;
    http.method = row.method;
    http.path = row.path;
    http.headers = {{"host", "localhost"}};
    for (unsigned i = 0; i < std::size(kInPath); ++i) http.path_params[kInPath[i][0]] = kInPath[i][1 + (places >> (i % 4 * 2)) % 3];
    if (row.method != "GET") http.body = bytes;
    for (; row.method == "GET" && !bytes.empty();) {
      const auto one = bytes.substr(0, bytes.find('&'));
      bytes.remove_prefix(std::min(bytes.size(), one.size() + 1));
      const auto name = one.substr(0, one.find('='));
      http.query.emplace(name, PercentDecodeQuery(one.substr(std::min(one.size(), name.size() + 1))));
    }
    const auto answer = row.handler(ctx_, http);
    if (Text text; answer.stream) answer.stream(text);
    if (answer.content_type == "application/json" && !answer.body.empty()) ParseJson(answer.body);
  }
  void Tell(std::string_view method, std::string_view path, const std::string& body, unsigned places) {
    for (const auto& row : rows_)
      if (row.method == method && row.path == path) return Call(row, places, body);
    std::abort();
  }

  const Context ctx_ = Context::System("fuzz");
  const TemporaryFolder folder_;
  LettersEmbedder embedder_;
  std::unique_ptr<data::Store> store_;
  retrieval::Collections collections_;
  workflows::Runs runs_;
  retrieval::Retriever retriever_;
  agents::Router router_;
  NoGuards guards_;
  Metrics metrics_;
  std::shared_ptr<models::Generator> generator_ = std::make_shared<EchoGenerator>();
  agents::Assistant assistant_;
  std::vector<Endpoint> rows_;
  std::vector<GrpcMethod> methods_;
  data::Commit made_at_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size < 2) return 0;
  static const bool is_quiet = (google::protobuf::SetLogHandler(nullptr), true);
  static_cast<void>(is_quiet);
  static auto server = std::make_unique<Server>();
  if (server->is_worn()) server = std::make_unique<Server>();
  try {
    server->Call(data[0] % server->size(), data[1], {reinterpret_cast<const char*>(data) + 2, size - 2});
  } catch (const Error& e) {
    if (e.code() == Code::kInternal || e.code() == Code::kDataLoss) std::abort();
    ParseJson(ErrorResponse(e).body);
  }
  return 0;
}
