#include "base/servers_testing.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "base/byte_stream.h"
#include "base/http_client.h"
#include "base/process.h"

namespace tenfold {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

int Listen(std::uint16_t& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd, 64) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw Error(Code::kUnavailable, "no free port");
  port = ntohs(address.sin_port);
  return fd;
}

std::vector<std::string> Environment() {
  std::vector<std::string> out;
  for (const char* name : {"HOME", "TENFOLD_CACHE", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "GOPROXY", "GOFLAGS", "GONOSUMDB", "GONOSUMCHECK", "GOSUMDB",
                           "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"})
    if (const char* value = std::getenv(name)) out.push_back(std::string(name) + "=" + value);
  const char* path = std::getenv("PATH");
  out.push_back(std::string("PATH=") + (path ? path : "/usr/bin:/bin"));
  return out;
}

}  // namespace

std::uint16_t FindFreePort() {
  std::uint16_t port = 0;
  ::close(Listen(port));
  return port;
}

bool AcceptsConnections(std::uint16_t port) {
  try {
    const ByteStream probe(Context::System("test").WithTimeout(1s), "127.0.0.1", port, Tls::kOff);
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::string RunChecked(const std::vector<std::string>& argv, std::string_view input) {
  const auto result = RunProcess(Context::System("test").WithTimeout(60s), {argv, Environment(), input});
  if (result.exit_status != 0) throw Error(Code::kInternal, "'" + argv[0] + "' failed: " + result.output + result.errors);
  return result.output;
}

ServerProcess::ServerProcess(Spec spec) {
  const auto port_file = spec.port_file;
  const auto is_up = spec.is_up;
  const auto name = spec.argv.at(0);
  thread_ = std::thread([this, spec = std::move(spec)] {
    ProcessSpec process{spec.argv};
    process.environment.insert(process.environment.end(), spec.environment.begin(), spec.environment.end());
    process.output_limit_bytes = 256u << 20;
    try {
      const auto result = RunProcess(Context::System("test").WithCancellation(cancellation_), process);
      said_ = result.output + result.errors;
    } catch (const Error& e) {
      said_ = e.message();
    }
    ended_ = true;
  });
  const auto until = std::chrono::steady_clock::now() + 60s;
  const auto is_ready = [&] {
    if (port_file.empty()) return is_up();
    std::error_code error;
    if (!std::filesystem::exists(port_file, error)) return false;
    port_ = static_cast<std::uint16_t>(std::stoi(ReadFile(port_file)));
    return true;
  };
  for (bool ready = is_ready(); !ready; ready = is_ready()) {
    const bool ended = ended_;
    if (!ended && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(5ms);
      continue;
    }
    cancellation_->Cancel();
    thread_.join();
    throw Error(Code::kUnavailable, "'" + name + "' did not come up: " + said_);
  }
}

ServerProcess::~ServerProcess() {
  cancellation_->Cancel();
  if (thread_.joinable()) thread_.join();
}

namespace {

/// A connection to the process that forks servers; it is started with the first one.
int ConnectToZygote() {
  static const TemporaryFolder folder;
  static const auto path = (folder.path() / "zygote").string();
  const auto connect = [] {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    TENFOLD_CHECK(path.size() < sizeof address.sun_path);
    std::copy(path.begin(), path.end(), address.sun_path);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
    ::close(fd);
    return -1;
  };
  static const ServerProcess process({{"/usr/bin/python3", TENFOLD_SOURCE_DIR "/tests/servers/zygote.py", path}, {}, {}, [&] {
                                        const int fd = connect();
                                        if (fd >= 0) ::close(fd);
                                        return fd >= 0;
                                      }});
  return connect();
}

}  // namespace

PythonServer::PythonServer(const std::string& script, const std::vector<std::string>& arguments) {
  const auto port_file = folder_.path() / "port";
  JsonArray argv{TENFOLD_SOURCE_DIR "/tests/servers/" + script, port_file.string()};
  for (const auto& argument : arguments) argv.emplace_back(argument);
  const auto line = ToText(argv) + "\n";
  connection_ = ConnectToZygote();
  if (connection_ < 0 || ::send(connection_, line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size())) throw Error(Code::kUnavailable, "no process to fork '" + script + "'");
  const auto until = std::chrono::steady_clock::now() + 60s;
  while (!std::filesystem::exists(port_file)) {
    pollfd ended{connection_, POLLIN, 0};
    if (::poll(&ended, 1, 1) == 0 && std::chrono::steady_clock::now() < until) continue;
    End();
    throw Error(Code::kUnavailable, "'" + script + "' did not come up");
  }
  port_ = static_cast<std::uint16_t>(std::stoi(ReadFile(port_file)));
}

PythonServer::~PythonServer() { End(); }

void PythonServer::End() {
  if (connection_ < 0) return;
  ::shutdown(connection_, SHUT_WR);
  char nothing = 0;
  while (::recv(connection_, &nothing, 1, 0) > 0) {
  }
  ::close(connection_);
  connection_ = -1;
}

Json PythonServer::Tell(std::string_view what, const JsonObject& body) const {
  HttpClientRequest request;
  request.method = "POST";
  request.url = url() + "/_test/" + std::string(what);
  request.body = ToText(body);
  const auto answer = Fetch(Context::System("test").WithTimeout(30s), request);
  if (answer.status != 200) throw Error(Code::kInternal, "/_test/" + std::string(what) + " answered " + std::to_string(answer.status) + ": " + answer.body);
  return answer.body.empty() ? Json() : ParseJson(answer.body);
}

const fs::path& FetchServers() {
  static const fs::path kFolder = [] {
    const auto result = RunProcess(Context::System("test").WithTimeout(540s), {{"/bin/bash", TENFOLD_SOURCE_DIR "/scripts/fetch_servers"}, Environment()});
    if (result.exit_status != 0) {
      std::cerr << "the test servers cannot be installed here; tests that need them are left out: " << result.errors.substr(0, 2000) << "\n";
      return fs::path();
    }
    return fs::path(result.output.substr(0, result.output.find('\n')));
  }();
  return kFolder;
}

FaultProxy::FaultProxy(std::uint16_t target) : target_(target), listening_(Listen(port_)), thread_([this] { Work(); }) {}
FaultProxy::~FaultProxy() {
  stopping_ = true;
  thread_.join();
  ::close(listening_);
}
void FaultProxy::Set(Mode mode) {
  mode_ = mode;
  const auto wanted = ++wanted_;
  while (seen_ < wanted) std::this_thread::sleep_for(1ms);
}

void FaultProxy::Work() {
  struct Pair {
    int ends[2];
  };
  std::vector<Pair> pairs;
  const auto close = [](const Pair& pair) {
    for (const int fd : pair.ends)
      if (fd >= 0) ::close(fd);
  };
  while (!stopping_) {
    const auto wanted = wanted_.load();
    const auto mode = mode_.load();
    if (mode == Mode::kRefuse) {
      for (const auto& pair : pairs) close(pair);
      pairs.clear();
    }
    seen_ = wanted;
    std::vector<pollfd> waits{{listening_, POLLIN, 0}};
    for (const auto& pair : pairs)
      for (const int fd : pair.ends) waits.push_back({mode == Mode::kStall ? -1 : fd, POLLIN, 0});
    ::poll(waits.data(), waits.size(), 2);
    for (std::size_t i = pairs.size(); i-- > 0;) {
      bool ended = false;
      for (int side = 0; side < 2; ++side) {
        if (!waits[1 + 2 * i + static_cast<std::size_t>(side)].revents) continue;
        char bytes[64 << 10];
        const auto got = ::recv(pairs[i].ends[side], bytes, sizeof bytes, 0);
        ended = ended || got <= 0;
        for (ssize_t sent = 0; !ended && sent < got;) {
          const auto n = ::send(pairs[i].ends[1 - side], bytes + sent, static_cast<std::size_t>(got - sent), MSG_NOSIGNAL);
          ended = n <= 0;
          sent += n;
        }
      }
      if (ended) {
        close(pairs[i]);
        pairs.erase(pairs.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    if (!(waits[0].revents & POLLIN)) continue;
    const int client = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    if (mode == Mode::kRefuse) {
      ::close(client);
      continue;
    }
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(target_);
    if (::connect(server, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      close({{client, server}});
      continue;
    }
    pairs.push_back({{client, server}});
  }
  for (const auto& pair : pairs) close(pair);
}

PostgresqlServer* PostgresqlServer::Get() {
  static const auto kServer = FetchServers().empty() ? nullptr : std::make_unique<PostgresqlServer>(FetchServers());
  return kServer.get();
}

// PostgreSQL refuses to run as root, and a user without rights cannot read root's cache: then it runs as nobody from a copy.
std::vector<std::string> PostgresqlServer::AsServer(std::vector<std::string> argv) const {
  if (::geteuid() == 0) argv.insert(argv.begin(), {"/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"});
  return argv;
}
PostgresqlServer::PostgresqlServer(const fs::path& servers) : port_(FindFreePort()) {
  const auto install = folder_.path() / "pgserver/pginstall", data = folder_.path() / "data";
  // Its programs find their libraries by their place beside them.
  const auto package = fs::canonical(servers / "postgresql").parent_path();
  fs::create_directory(folder_.path() / "pgserver");
  fs::copy(package / "pginstall", install, fs::copy_options::recursive);
  fs::copy(package.parent_path() / "pgserver.libs", folder_.path() / "pgserver.libs", fs::copy_options::recursive);
  fs::create_directory(data);
  WriteFileAtomically(folder_.path() / "password", password());
  if (::geteuid() == 0) RunChecked({"/bin/chown", "-R", "65534:65534", folder_.path().string()});
  RunChecked(AsServer({(install / "bin/initdb").string(), "-D", data.string(), "-U", "postgres", "-A", "scram-sha-256", "--pwfile",
                       (folder_.path() / "password").string(), "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"}));
  process_ = std::make_unique<ServerProcess>(ServerProcess::Spec{
      AsServer({(install / "bin/postgres").string(), "-D", data.string(), "-p", std::to_string(port_), "-c", "listen_addresses=127.0.0.1", "-c",
                "unix_socket_directories=" + folder_.path().string(), "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=50"}),
      {},
      {},
      [this] {
        return fs::exists(folder_.path() / "data/postmaster.pid") && ReadFile(folder_.path() / "data/postmaster.pid").find("ready") != std::string::npos;
      }});
}
PostgresqlServer::~PostgresqlServer() {
  try {
    RunChecked(AsServer({(folder_.path() / "pgserver/pginstall/bin/pg_ctl").string(), "stop", "-m", "immediate", "-D", (folder_.path() / "data").string()}));
  } catch (const Error&) {
    // Its process group is killed next.
  }
}

}  // namespace tenfold
