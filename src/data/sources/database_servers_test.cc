// The servers and the proxy of database_servers.h.
#include "data/sources/database_servers.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <iostream>

#include "base/byte_stream.h"
#include "base/http_client.h"
#include "base/testing.h"

namespace tenfold::data {
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

bool Accepts(std::uint16_t port) {
  try {
    const ByteStream probe(Context::System("test").WithTimeout(1s), "127.0.0.1", port, Tls::kOff);
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::string RunChecked(const std::vector<std::string>& argv, std::string_view input = {}) {
  const auto result = RunProcess(Context::System("test").WithTimeout(60s), {argv, Environment(), input});
  if (result.exit_status != 0) throw Error(Code::kInternal, "'" + argv[0] + "' failed: " + result.output + result.errors);
  return result.output;
}

}  // namespace

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

std::uint16_t StartMongodb() {
  struct Server {
    TemporaryFolder folder;
    ServerProcess process;
    Server()
        : process({{"/usr/bin/java", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", FetchServers().string() + "/mongodb/*",
                    TENFOLD_SOURCE_DIR "/tests/servers/MongoServer.java", (folder.path() / "port").string()},
                   {},
                   folder.path() / "port",
                   {}}) {}
  };
  if (FetchServers().empty() || !fs::exists("/usr/bin/java")) return 0;
  static Server server;
  return server.process.port();
}

std::uint16_t StartMoto() {
  if (FetchServers().empty()) return 0;
  static const auto kPort = FindFreePort();
  static ServerProcess process(
      {{FetchServers() / "bin/python", "-c", "from moto.server import main; import sys; main(sys.argv[1:])", "-H", "127.0.0.1", "-p", std::to_string(kPort)},
       {},
       {},
       [] { return Accepts(kPort); }});
  return kPort;
}

std::uint16_t StartVersity() {
  const auto program = FetchServers() / "bin/versitygw";
  if (FetchServers().empty() || !fs::exists(program)) return 0;
  static const auto kPort = FindFreePort();
  static const TemporaryFolder folder;
  fs::create_directories(folder.path() / "data");
  static ServerProcess process({{program, "--access", "tester", "--secret", "versity-secret", "--port", "127.0.0.1:" + std::to_string(kPort), "posix",
                                 (folder.path() / "data").string()},
                                {},
                                {},
                                [] { return Accepts(kPort); }});
  return kPort;
}

DovecotServer* DovecotServer::Get() {
  static const auto kServer = fs::exists("/usr/sbin/dovecot") && fs::exists("/usr/lib/dovecot/imap") ? std::make_unique<DovecotServer>() : nullptr;
  return kServer.get();
}
DovecotServer::DovecotServer() : port_(FindFreePort()), tls_port_(FindFreePort()) {
  const auto root = folder_.path().string();
  const bool is_root = ::geteuid() == 0;
  const auto me = RunChecked({"/usr/bin/id", "-un"}), group = RunChecked({"/usr/bin/id", "-gn"});
  const auto user = is_root ? std::string("nobody") : me.substr(0, me.find('\n'));
  const auto user_group = is_root ? std::string("nogroup") : group.substr(0, group.find('\n'));
  fs::create_directory(folder_.path() / "mail");
  if (is_root) {
    RunChecked({"/bin/chown", "nobody:nogroup", root + "/mail"});
    fs::permissions(folder_.path(), fs::perms::others_exec, fs::perm_options::add);
  }
  RunChecked({"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", root + "/key.pem", "-out",
              certificate().string(), "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"});
  std::string config = "protocols = imap\nlisten = 127.0.0.1\nbase_dir = " + root + "/run\nstate_dir = " + root + "/state\nlog_path = " + root +
                       "/log\nmail_location = maildir:" + root +
                       "/mail/%u\nfirst_valid_uid = 1\nfirst_valid_gid = 1\ndisable_plaintext_auth = no\nauth_failure_delay = 0\nauth_mechanisms = plain "
                       "login\nmail_fsync = never\n"
                       "ssl = yes\nssl_cert = <" +
                       certificate().string() + "\nssl_key = <" + root +
                       "/key.pem\n"
                       "passdb {\n  driver = static\n  args = password=dovecot-secret\n}\nuserdb {\n  driver = static\n  args = uid=" +
                       user + " gid=" + user_group + " home=" + root +
                       "/mail/%u\n}\n"
                       "service imap-login {\n  chroot =\n  inet_listener imap {\n    port = " +
                       std::to_string(port_) + "\n  }\n  inet_listener imaps {\n    port = " + std::to_string(tls_port_) +
                       "\n    ssl = yes\n  }\n}\n"
                       "service anvil {\n  chroot =\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\nservice stats {\n  chroot =\n}\n";
  if (!is_root) config += "default_internal_user = " + user + "\ndefault_internal_group = " + user_group + "\ndefault_login_user = " + user + "\n";
  WriteFileAtomically(folder_.path() / "dovecot.conf", config);
  process_ = std::make_unique<ServerProcess>(
      ServerProcess::Spec{{"/usr/sbin/dovecot", "-F", "-c", root + "/dovecot.conf"}, {}, {}, [this] { return Accepts(port_); }});
}
DovecotServer::~DovecotServer() {
  try {
    RunChecked({"/usr/bin/doveadm", "-c", (folder_.path() / "dovecot.conf").string(), "stop"});
  } catch (const Error&) {
    // Its process group is killed next.
  }
}
std::string DovecotServer::Doveadm(const std::vector<std::string>& arguments, std::string_view input) const {
  std::vector<std::string> argv{"/usr/bin/doveadm", "-c", (folder_.path() / "dovecot.conf").string()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return RunChecked(argv, input);
}

namespace {

TEST(FaultProxy, PassesRefusesAndStalls) {
  const auto ctx = Context::System("test").WithTimeout(10s);
  std::uint16_t port = 0;
  const int listening = Listen(port);
  FaultProxy proxy(port);
  ByteStream client(ctx, "127.0.0.1", proxy.port(), Tls::kOff);
  pollfd wait{listening, POLLIN, 0};
  ASSERT_EQ(::poll(&wait, 1, 5000), 1);
  const int server = ::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC);
  client.Write(ctx, "tea");
  char bytes[8] = {};
  ASSERT_EQ(::recv(server, bytes, sizeof bytes, 0), 3);
  ASSERT_EQ(::send(server, "milk", 4, 0), 4);
  EXPECT_EQ(client.Read(ctx, bytes, sizeof bytes), 4u);
  proxy.Set(FaultProxy::Mode::kStall);
  ASSERT_EQ(::send(server, "salt", 4, 0), 4);
  EXPECT_EQ(CodeOf([&] { client.Read(ctx.WithTimeout(50ms), bytes, sizeof bytes); }), Code::kDeadlineExceeded);
  proxy.Set(FaultProxy::Mode::kPass);
  EXPECT_EQ(client.Read(ctx, bytes, sizeof bytes), 4u);
  proxy.Set(FaultProxy::Mode::kRefuse);
  EXPECT_EQ(client.Read(ctx, bytes, sizeof bytes), 0u);
  ::close(server);
  ::close(listening);
}

}  // namespace
}  // namespace tenfold::data
