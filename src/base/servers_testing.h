#pragma once
/// \file For tests only: servers as child processes, those of scripts/fetch_servers among them, and a proxy before them that can fail. Linked by the tests of every floor.
#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/context.h"
#include "base/files.h"
#include "base/json.h"

namespace tenfold {

/// A TCP port that was free a moment ago, for servers that cannot choose one themselves.
std::uint16_t FindFreePort();
/// Whether something takes connections at 127.0.0.1:`port`.
bool AcceptsConnections(std::uint16_t port);
/// What it printed. Errors: kInternal with all it said unless it exits with 0 within a minute.
std::string RunChecked(const std::vector<std::string>& argv, std::string_view input = {});

/// A server as a child process, in its own process group; stopped with the object.
/// `argv` is run with `environment` added; the server is up once it has written its port into `port_file`, or, if that is empty, once `is_up` says so.
class ServerProcess {
 public:
  struct Spec {
    std::vector<std::string> argv;  ///< argv[0] is a path
    std::vector<std::string> environment = {};
    std::filesystem::path port_file = {};
    std::function<bool()> is_up = {};
  };
  /// Errors: kUnavailable with what it wrote, if it ends or is not up in 60 s.
  explicit ServerProcess(Spec spec);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  std::uint16_t port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  std::shared_ptr<Cancellation> cancellation_ = std::make_shared<Cancellation>();
  std::atomic<bool> ended_ = false;
  std::string said_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

/// A server of tests/servers (Python, standard library only): `NAME.py PORT_FILE arguments…`, with a /_test/ door through which a fixture changes what it
/// holds. All are children of one Python that has its modules loaded (zygote.py); each is a process of its own, gone when the destructor returns.
class PythonServer {
 public:
  /// Errors: kUnavailable if it ends or is not up in 60 s; what it wrote is on standard error.
  explicit PythonServer(const std::string& script, const std::vector<std::string>& arguments = {});
  ~PythonServer();
  PythonServer(const PythonServer&) = delete;
  PythonServer& operator=(const PythonServer&) = delete;
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::uint16_t port() const { return port_; }
  /// POST /_test/{what} with a JSON body; its answer. Errors: as Fetch; kInternal for any status but 200.
  Json Tell(std::string_view what, const JsonObject& body = {}) const;

 private:
  void End();
  TemporaryFolder folder_;
  int connection_ = -1;
  std::uint16_t port_ = 0;
};

/// The folder that scripts/fetch_servers fills; installs what is missing, once. Empty where that cannot be (no network): tests that need it are left out and
/// say so.
const std::filesystem::path& FetchServers();

/// TCP to 127.0.0.1:`target`, as long as it is told to. Threads: safe from any thread.
class FaultProxy {
 public:
  enum class Mode : std::uint8_t { kPass, kRefuse, kStall };
  explicit FaultProxy(std::uint16_t target);
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;
  std::uint16_t port() const { return port_; }
  /// kRefuse also cuts what is open; kStall takes connections and moves no byte. Has taken effect when it returns.
  void Set(Mode mode);

 private:
  void Work();
  const std::uint16_t target_;
  std::uint16_t port_ = 0;
  int listening_ = -1;
  std::atomic<Mode> mode_ = Mode::kPass;
  std::atomic<unsigned> seen_ = 0, wanted_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

/// PostgreSQL 16 with pgvector over a folder of its own; user "postgres", whose password is `password()`. Null where it cannot be had.
class PostgresqlServer {
 public:
  static PostgresqlServer* Get();
  explicit PostgresqlServer(const std::filesystem::path& servers);
  ~PostgresqlServer();
  std::uint16_t port() const { return port_; }
  static std::string password() { return "postgres-secret"; }

 private:
  std::vector<std::string> AsServer(std::vector<std::string> argv) const;
  TemporaryFolder folder_;
  std::uint16_t port_ = 0;
  std::unique_ptr<ServerProcess> process_;
};

}  // namespace tenfold
