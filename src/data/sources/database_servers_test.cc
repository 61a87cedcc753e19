// The servers of database_servers.h.
#include "data/sources/database_servers.h"

#include <unistd.h>

namespace tenfold::data {
namespace fs = std::filesystem;

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
       [] { return AcceptsConnections(kPort); }});
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
                                [] { return AcceptsConnections(kPort); }});
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
      ServerProcess::Spec{{"/usr/sbin/dovecot", "-F", "-c", root + "/dovecot.conf"}, {}, {}, [this] { return AcceptsConnections(port_); }});
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

}  // namespace tenfold::data
