// The servers that the contract of SearchIndex runs against, started once a program, each behind a proxy that can fail: PostgreSQL with pgvector and Weaviate, as scripts/fetch_servers
// installs them, and an index service that speaks Pinecone's API at $TENFOLD_TEST_PINECONE.
#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "base/http_client.h"
#include "base/servers_testing.h"
#include "retrieval/backends/pinecone.h"
#include "retrieval/backends/postgresql.h"
#include "retrieval/backends/weaviate.h"
#include "retrieval/search_index_contract.h"

namespace tenfold::retrieval {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

int NextNumber() {
  static std::atomic<int> next = 0;
  return ++next;
}

class WeaviateServer {
 public:
  explicit WeaviateServer(const fs::path& program) : port_(FindFreePort()) {
    std::vector<std::string> environment;
    const auto gossip = FindFreePort(), data = FindFreePort(), raft = FindFreePort(), internal = FindFreePort(), grpc = FindFreePort(), profiling = FindFreePort();
    for (const auto& [name, value] : std::map<std::string, std::string>{{"PERSISTENCE_DATA_PATH", folder_.path().string()}, {"AUTHENTICATION_APIKEY_ENABLED", "true"}, {"AUTHENTICATION_APIKEY_ALLOWED_KEYS", kKey},
                                                                        {"AUTHENTICATION_APIKEY_USERS", "tester"}, {"DEFAULT_VECTORIZER_MODULE", "none"}, {"DISABLE_TELEMETRY", "true"}, {"CLUSTER_HOSTNAME", "node1"},
                                                                        {"CLUSTER_ADVERTISE_ADDR", "127.0.0.1"}, {"CLUSTER_GOSSIP_BIND_PORT", std::to_string(gossip)}, {"CLUSTER_DATA_BIND_PORT", std::to_string(data)},
                                                                        {"RAFT_PORT", std::to_string(raft)}, {"RAFT_INTERNAL_RPC_PORT", std::to_string(internal)}, {"RAFT_BOOTSTRAP_EXPECT", "1"},
                                                                        {"GRPC_PORT", std::to_string(grpc)}, {"GO_PROFILING_PORT", std::to_string(profiling)}, {"LOG_LEVEL", "error"}, {"GOMAXPROCS", "2"}, {"LIMIT_RESOURCES", "false"}})
      environment.push_back(name + "=" + value);
    server_ = std::make_unique<ServerProcess>(ServerProcess::Spec{{program.string(), "--host", "127.0.0.1", "--port", std::to_string(port_), "--scheme", "http"}, environment, {}, [this] {
      HttpClientRequest request;
      request.url = "http://127.0.0.1:" + std::to_string(port_) + "/v1/.well-known/ready";
      try {
        return Fetch(Context::System("test").WithTimeout(1s), request).status == 200;
      } catch (const Error&) {
        return false;
      }
    }});
  }
  std::uint16_t port() const { return port_; }
  static constexpr const char* kKey = "weaviate-secret";

 private:
  TemporaryFolder folder_;
  std::uint16_t port_;
  std::unique_ptr<ServerProcess> server_;
};

std::string Spell(std::size_t dim, Metric metric) { return std::to_string(dim) + "_" + std::to_string(static_cast<int>(metric)); }

class PostgresqlFixture : public IndexFixture {
 public:
  explicit PostgresqlFixture(std::uint16_t port) : proxy_(port) {}
  std::shared_ptr<SearchIndex> Open(std::size_t dim, Metric metric) override {
    return OpenPostgresqlIndex(Context::System("test").WithTimeout(30s), "//postgres@127.0.0.1:" + std::to_string(proxy_.port()) + "/postgres?table=t" + std::to_string(number_) + "_" + Spell(dim, metric), {dim, metric, PostgresqlServer::password()});
  }
  bool Break() override { return proxy_.Set(FaultProxy::Mode::kRefuse), true; }
  void Mend() override { proxy_.Set(FaultProxy::Mode::kPass); }

 private:
  const int number_ = NextNumber();
  FaultProxy proxy_;
};

class WeaviateFixture : public IndexFixture {
 public:
  explicit WeaviateFixture(std::uint16_t port) : proxy_(port) {}
  std::shared_ptr<SearchIndex> Open(std::size_t dim, Metric metric) override {
    return OpenWeaviateIndex(Context::System("test").WithTimeout(60s), "http://127.0.0.1:" + std::to_string(proxy_.port()) + "/T" + std::to_string(number_) + "_" + Spell(dim, metric), {dim, metric, WeaviateServer::kKey});
  }
  IndexTraits traits() const override { return {.whole_batches = false}; }
  bool Break() override { return proxy_.Set(FaultProxy::Mode::kRefuse), true; }
  void Mend() override { proxy_.Set(FaultProxy::Mode::kPass); }

 private:
  const int number_ = NextNumber();
  FaultProxy proxy_;
};

/// Makes its indexes by the control plane's calls, POST and DELETE /indexes, and uses the host that it answers.
class PineconeFixture : public IndexFixture {
 public:
  explicit PineconeFixture(std::string base) : base_(std::move(base)) {
    while (base_.ends_with('/')) base_.pop_back();
    if (const char* key = std::getenv("PINECONE_API_KEY")) key_ = key;
  }
  ~PineconeFixture() override {
    for (const auto& [name, host] : hosts_) Call("DELETE", "/indexes/" + name, nullptr);
  }
  std::shared_ptr<SearchIndex> Open(std::size_t dim, Metric metric) override {
    const auto name = "contract-" + std::to_string(::getpid()) + "-" + std::to_string(number_) + "-" + std::to_string(dim) + "-" + std::to_string(static_cast<int>(metric));
    auto& host = hosts_[name];
    if (host.empty()) {
      const Json body = JsonObject{{"name", name}, {"dimension", dim}, {"metric", metric == Metric::kCosine ? "cosine" : metric == Metric::kDot ? "dotproduct" : "euclidean"}, {"spec", JsonObject{{"serverless", JsonObject{{"cloud", "aws"}, {"region", "us-east-1"}}}}}};
      host = AsView(Call("POST", "/indexes", &body).at("host").as_string());
      if (host.find("://") == std::string::npos) host = (base_.starts_with("https:") ? "https://" : "http://") + host;
    }
    return OpenPineconeIndex(Context::System("test").WithTimeout(30s), host, {dim, metric, key_});
  }
  IndexTraits traits() const override { return {.words = false, .facets = false, .places = false, .vectorless = false, .every_filter = false, .whole_batches = false}; }

 private:
  Json Call(const std::string& method, const std::string& path, const Json* body) const {
    HttpClientRequest request;
    request.method = method;
    request.url = base_ + path;
    request.headers = {{"api-key", key_}, {"x-pinecone-api-version", "2025-10"}, {"content-type", "application/json"}};
    if (body) request.body = ToText(*body);
    const auto response = Fetch(Context::System("test").WithTimeout(30s), request);
    if (response.status >= 300) throw Error(Code::kUnavailable, method + " " + path + ": " + std::to_string(response.status) + " " + response.body.substr(0, 300));
    return response.body.empty() ? Json(nullptr) : ParseJson(response.body);
  }
  std::string base_, key_ = "test";
  const int number_ = NextNumber();
  std::map<std::string, std::string> hosts_;
};

}  // namespace

std::unique_ptr<IndexFixture> MakePostgresqlFixture(std::string& why_not) {
  const auto* server = PostgresqlServer::Get();
  if (!server) why_not = "scripts/fetch_servers cannot install PostgreSQL here";
  return server ? std::make_unique<PostgresqlFixture>(server->port()) : nullptr;
}

std::unique_ptr<IndexFixture> MakeWeaviateFixture(std::string& why_not) {
  const auto program = FetchServers() / "bin/weaviate-server";
  static const auto kServer = !FetchServers().empty() && fs::exists(program) ? std::make_unique<WeaviateServer>(program) : nullptr;
  if (!kServer) why_not = "no weaviate-server: TENFOLD_WEAVIATE=1 scripts/fetch_servers builds it where Go 1.24 or newer is";
  return kServer ? std::make_unique<WeaviateFixture>(kServer->port()) : nullptr;
}

std::unique_ptr<IndexFixture> MakePineconeFixture(std::string& why_not) {
  const char* base = std::getenv("TENFOLD_TEST_PINECONE");
  if (!base || !*base) why_not = "no service at $TENFOLD_TEST_PINECONE";
  return base && *base ? std::make_unique<PineconeFixture>(base) : nullptr;
}

}  // namespace tenfold::retrieval
