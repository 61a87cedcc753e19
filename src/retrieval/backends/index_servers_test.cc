// The servers that the contract of SearchIndex runs against, started once a program, each behind a proxy that can fail: PostgreSQL with pgvector and Weaviate, as scripts/fetch_servers
// installs them, and an index service that speaks Pinecone's API at $TENFOLD_TEST_PINECONE.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <thread>

#include "base/byte_stream.h"
#include "base/files.h"
#include "base/http_client.h"
#include "base/process.h"
#include "retrieval/backends/pinecone.h"
#include "retrieval/backends/postgresql.h"
#include "retrieval/backends/weaviate.h"
#include "retrieval/search_index_contract.h"

namespace tenfold::retrieval {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// A listening socket on a free port of 127.0.0.1.
int Listen(std::uint16_t& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd, 64) != 0 || ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) throw Error(Code::kUnavailable, "no free port");
  port = ntohs(address.sin_port);
  return fd;
}
std::uint16_t FindFreePort() {
  std::uint16_t port = 0;
  ::close(Listen(port));
  return port;
}

/// TCP to a port of this machine, as long as it is not broken. Threads: one at a time.
class Proxy {
 public:
  explicit Proxy(std::uint16_t target) : target_(target), listening_(Listen(port_)), thread_([this] { Work(); }) {}
  ~Proxy() {
    stopping_ = true;
    thread_.join();
    ::close(listening_);
  }
  std::uint16_t port() const { return port_; }
  /// Broken: what is open is cut and what comes is closed at once. Has taken effect when it returns.
  void SetBroken(bool broken) {
    broken_ = broken;
    for (const auto round = round_.load(); round_ < round + 2;) std::this_thread::sleep_for(1ms);
  }

 private:
  void Work() {
    std::vector<std::pair<int, int>> pairs;
    const auto close = [](const std::pair<int, int>& pair) {
      ::close(pair.first);
      ::close(pair.second);
    };
    for (; !stopping_; ++round_) {
      if (broken_) {
        for (const auto& pair : pairs) close(pair);
        pairs.clear();
      }
      std::vector<pollfd> waits{{listening_, POLLIN, 0}};
      for (const auto& [a, b] : pairs) waits.insert(waits.end(), {{a, POLLIN, 0}, {b, POLLIN, 0}});
      ::poll(waits.data(), waits.size(), 2);
      for (std::size_t i = pairs.size(); i-- > 0;)
        if ((waits[1 + 2 * i].revents && !Pass(pairs[i].first, pairs[i].second)) || (waits[2 + 2 * i].revents && !Pass(pairs[i].second, pairs[i].first))) {
          close(pairs[i]);
          pairs.erase(pairs.begin() + static_cast<std::ptrdiff_t>(i));
        }
      if (waits[0].revents & POLLIN) Accept(pairs);
    }
    for (const auto& pair : pairs) close(pair);
  }
  void Accept(std::vector<std::pair<int, int>>& pairs) {
    const int client = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(target_);
    if (!broken_ && ::connect(server, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      pairs.emplace_back(client, server);
    } else {
      ::close(client);
      ::close(server);
    }
  }
  static bool Pass(int from, int to) {
    char bytes[64 << 10];
    const auto got = ::recv(from, bytes, sizeof bytes, 0);
    for (ssize_t sent = 0; sent < got;) {
      const auto n = ::send(to, bytes + sent, static_cast<std::size_t>(got - sent), MSG_NOSIGNAL);
      if (n <= 0) return false;
      sent += n;
    }
    return got > 0;
  }

  const std::uint16_t target_;
  std::uint16_t port_ = 0;
  int listening_ = -1;
  std::atomic<bool> broken_ = false, stopping_ = false;
  std::atomic<unsigned> round_ = 0;
  std::thread thread_;
};

std::vector<std::string> Environment() {
  std::vector<std::string> out;
  for (const char* name : {"HOME", "TENFOLD_CACHE", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "GOPROXY", "GOFLAGS", "GONOSUMDB", "GONOSUMCHECK", "GOSUMDB", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "SSL_CERT_FILE",
                           "PIP_CERT", "REQUESTS_CA_BUNDLE"})
    if (const char* value = std::getenv(name)) out.push_back(std::string(name) + "=" + value);
  const char* path = std::getenv("PATH");
  out.push_back(std::string("PATH=") + (path ? path : "/usr/bin:/bin"));
  return out;
}

/// A child that runs until this object goes, up once `is_up` says so.
class Server {
 public:
  Server(std::vector<std::string> argv, std::vector<std::string> environment, const std::function<bool()>& is_up) {
    thread_ = std::thread([this, spec = ProcessSpec{std::move(argv), std::move(environment)}]() mutable {
      spec.output_limit_bytes = 256u << 20;
      try {
        const auto result = RunProcess(Context::System("test").WithCancellation(cancellation_), spec);
        said_ = result.output + result.errors;
      } catch (const Error& e) {
        said_ = e.message();
      }
      ended_ = true;
    });
    for (const auto until = std::chrono::steady_clock::now() + 60s; !is_up(); std::this_thread::sleep_for(10ms))
      if (ended_ || std::chrono::steady_clock::now() > until) {
        Stop();
        throw Error(Code::kUnavailable, "a test server did not come up: " + said_.substr(0, 2000));
      }
  }
  ~Server() { Stop(); }
  void Stop() {
    cancellation_->Cancel();
    if (thread_.joinable()) thread_.join();
  }

 private:
  const std::shared_ptr<Cancellation> cancellation_ = std::make_shared<Cancellation>();
  std::atomic<bool> ended_ = false;
  std::string said_;
  std::thread thread_;
};

int NextNumber() {
  static std::atomic<int> next = 0;
  return ++next;
}

// PostgreSQL refuses to run as root, and a user without rights cannot read root's cache: then it runs as nobody from a copy.
class PostgresqlServer {
 public:
  explicit PostgresqlServer(const fs::path& servers) : port_(FindFreePort()) {
    const auto install = folder_.path() / "pgserver/pginstall", data = folder_.path() / "data";
    const auto package = fs::canonical(servers / "postgresql").parent_path();
    fs::create_directory(folder_.path() / "pgserver");
    fs::copy(package / "pginstall", install, fs::copy_options::recursive);
    fs::copy(package.parent_path() / "pgserver.libs", folder_.path() / "pgserver.libs", fs::copy_options::recursive);
    fs::create_directory(data);
    WriteFileAtomically(folder_.path() / "password", kPassword);
    if (::geteuid() == 0) Run({"/bin/chown", "-R", "65534:65534", folder_.path().string()});
    Run(AsServer({(install / "bin/initdb").string(), "-D", data.string(), "-U", "postgres", "-A", "scram-sha-256", "--pwfile", (folder_.path() / "password").string(), "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"}));
    server_ = std::make_unique<Server>(AsServer({(install / "bin/postgres").string(), "-D", data.string(), "-p", std::to_string(port_), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + folder_.path().string(), "-c",
                                                 "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=50"}),
                                       Environment(), [&] { return fs::exists(data / "postmaster.pid") && ReadFile(data / "postmaster.pid").find("ready") != std::string::npos; });
  }
  ~PostgresqlServer() {
    try {
      Run(AsServer({(folder_.path() / "pgserver/pginstall/bin/pg_ctl").string(), "stop", "-m", "immediate", "-D", (folder_.path() / "data").string()}));
    } catch (const Error&) {
      // Its process group is killed next.
    }
  }
  std::uint16_t port() const { return port_; }
  static constexpr const char* kPassword = "postgres-secret";

 private:
  static std::vector<std::string> AsServer(std::vector<std::string> argv) {
    if (::geteuid() == 0) argv.insert(argv.begin(), {"/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"});
    return argv;
  }
  static void Run(const std::vector<std::string>& argv) {
    const auto result = RunProcess(Context::System("test").WithTimeout(60s), {argv, Environment()});
    if (result.exit_status != 0) throw Error(Code::kInternal, "'" + argv[0] + "' failed: " + result.output + result.errors);
  }
  TemporaryFolder folder_;
  std::uint16_t port_;
  std::unique_ptr<Server> server_;
};

class WeaviateServer {
 public:
  explicit WeaviateServer(const fs::path& program) : port_(FindFreePort()) {
    auto environment = Environment();
    const auto gossip = FindFreePort(), data = FindFreePort(), raft = FindFreePort(), internal = FindFreePort(), grpc = FindFreePort(), profiling = FindFreePort();
    for (const auto& [name, value] : std::map<std::string, std::string>{{"PERSISTENCE_DATA_PATH", folder_.path().string()}, {"AUTHENTICATION_APIKEY_ENABLED", "true"}, {"AUTHENTICATION_APIKEY_ALLOWED_KEYS", kKey},
                                                                        {"AUTHENTICATION_APIKEY_USERS", "tester"}, {"DEFAULT_VECTORIZER_MODULE", "none"}, {"DISABLE_TELEMETRY", "true"}, {"CLUSTER_HOSTNAME", "node1"},
                                                                        {"CLUSTER_ADVERTISE_ADDR", "127.0.0.1"}, {"CLUSTER_GOSSIP_BIND_PORT", std::to_string(gossip)}, {"CLUSTER_DATA_BIND_PORT", std::to_string(data)},
                                                                        {"RAFT_PORT", std::to_string(raft)}, {"RAFT_INTERNAL_RPC_PORT", std::to_string(internal)}, {"RAFT_BOOTSTRAP_EXPECT", "1"},
                                                                        {"GRPC_PORT", std::to_string(grpc)}, {"GO_PROFILING_PORT", std::to_string(profiling)}, {"LOG_LEVEL", "error"}, {"GOMAXPROCS", "2"}, {"LIMIT_RESOURCES", "false"}})
      environment.push_back(name + "=" + value);
    server_ = std::make_unique<Server>(std::vector<std::string>{program.string(), "--host", "127.0.0.1", "--port", std::to_string(port_), "--scheme", "http"}, environment, [this] {
      HttpClientRequest request;
      request.url = "http://127.0.0.1:" + std::to_string(port_) + "/v1/.well-known/ready";
      try {
        return Fetch(Context::System("test").WithTimeout(1s), request).status == 200;
      } catch (const Error&) {
        return false;
      }
    });
  }
  std::uint16_t port() const { return port_; }
  static constexpr const char* kKey = "weaviate-secret";

 private:
  TemporaryFolder folder_;
  std::uint16_t port_;
  std::unique_ptr<Server> server_;
};

std::string Spell(std::size_t dim, Metric metric) { return std::to_string(dim) + "_" + std::to_string(static_cast<int>(metric)); }

class PostgresqlFixture : public IndexFixture {
 public:
  explicit PostgresqlFixture(std::uint16_t port) : proxy_(port) {}
  std::shared_ptr<SearchIndex> Open(std::size_t dim, Metric metric) override {
    return OpenPostgresqlIndex(Context::System("test").WithTimeout(30s), "//postgres@127.0.0.1:" + std::to_string(proxy_.port()) + "/postgres?table=t" + std::to_string(number_) + "_" + Spell(dim, metric), {dim, metric, PostgresqlServer::kPassword});
  }
  bool Break() override { return proxy_.SetBroken(true), true; }
  void Mend() override { proxy_.SetBroken(false); }

 private:
  const int number_ = NextNumber();
  Proxy proxy_;
};

class WeaviateFixture : public IndexFixture {
 public:
  explicit WeaviateFixture(std::uint16_t port) : proxy_(port) {}
  std::shared_ptr<SearchIndex> Open(std::size_t dim, Metric metric) override {
    return OpenWeaviateIndex(Context::System("test").WithTimeout(60s), "http://127.0.0.1:" + std::to_string(proxy_.port()) + "/T" + std::to_string(number_) + "_" + Spell(dim, metric), {dim, metric, WeaviateServer::kKey});
  }
  IndexTraits traits() const override { return {.whole_batches = false}; }
  bool Break() override { return proxy_.SetBroken(true), true; }
  void Mend() override { proxy_.SetBroken(false); }

 private:
  const int number_ = NextNumber();
  Proxy proxy_;
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

const fs::path& FetchIndexServers() {
  static const fs::path kFolder = [] {
    const auto result = RunProcess(Context::System("test").WithTimeout(540s), {{"/bin/bash", TENFOLD_SOURCE_DIR "/scripts/fetch_servers"}, Environment()});
    return result.exit_status == 0 ? fs::path(result.output.substr(0, result.output.find('\n'))) : fs::path();
  }();
  return kFolder;
}

std::unique_ptr<IndexFixture> MakePostgresqlFixture(std::string& why_not) {
  static const auto kServer = FetchIndexServers().empty() ? nullptr : std::make_unique<PostgresqlServer>(FetchIndexServers());
  if (!kServer) why_not = "scripts/fetch_servers cannot install PostgreSQL here";
  return kServer ? std::make_unique<PostgresqlFixture>(kServer->port()) : nullptr;
}

std::unique_ptr<IndexFixture> MakeWeaviateFixture(std::string& why_not) {
  const auto program = FetchIndexServers() / "bin/weaviate-server";
  static const auto kServer = !FetchIndexServers().empty() && fs::exists(program) ? std::make_unique<WeaviateServer>(program) : nullptr;
  if (!kServer) why_not = "no weaviate-server: TENFOLD_WEAVIATE=1 scripts/fetch_servers builds it where Go 1.24 or newer is";
  return kServer ? std::make_unique<WeaviateFixture>(kServer->port()) : nullptr;
}

std::unique_ptr<IndexFixture> MakePineconeFixture(std::string& why_not) {
  const char* base = std::getenv("TENFOLD_TEST_PINECONE");
  if (!base || !*base) why_not = "no service at $TENFOLD_TEST_PINECONE";
  return base && *base ? std::make_unique<PineconeFixture>(base) : nullptr;
}

}  // namespace tenfold::retrieval
