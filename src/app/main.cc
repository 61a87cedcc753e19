// The program: `tenfold up` serves a data folder; every other command acts on one, inside the server that holds it or in this process.
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "app/backup.h"
#include "app/commands.h"
#include "app/endpoints.h"
#include "app/example.h"
#include "app/index_commands.h"
#include "base/files.h"
#include "base/http_server.h"
#include "base/log.h"
#include "data/parse.h"
#include "data/render.h"
#include "serving/weaviate.h"

namespace tenfold::app {
namespace {

constexpr std::string_view kSocket = "control.sock";

std::filesystem::path HomeOf(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--home" && i + 1 < arguments.size()) return arguments[i + 1];
    if (arguments[i].starts_with("--home=")) return arguments[i].substr(7);
  }
  if (const char* home = std::getenv("TENFOLD_HOME"); home && *home) return home;
  const char* user_home = std::getenv("HOME");
  return std::filesystem::path(user_home ? user_home : ".") / ".tenfold";
}

struct UpOptions {
  std::string listen;
  std::string example;
  WithModels with_models = WithModels::kYes;
};

UpOptions ParseUp(const std::vector<std::string>& arguments) {
  UpOptions options;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const auto& argument = arguments[i];
    const auto value = [&] {
      if (i + 1 >= arguments.size()) throw Error(Code::kInvalidArgument, argument + " needs a value");
      return arguments[++i];
    };
    if (argument == "--home") value();
    else if (argument == "--listen") options.listen = value();
    else if (argument == "--example") options.example = value();
    else if (argument == "--no-models") options.with_models = WithModels::kNo;
    else if (argument == "--help" || argument == "-h") {
      std::cout << "tenfold up [--home DIR] [--listen HOST:PORT] [--example NAME] [--no-models]\n\nServes the data folder in the foreground until SIGTERM or Ctrl-C.\n"
                   "  --example NAME  load a sample first: users, orders and a help centre (shop)\n"
                   "  --no-models     search words alone and quote passages; loads nothing\n";
      std::exit(0);
    } else throw Error(Code::kInvalidArgument, "up: unknown option '" + argument + "'; see 'tenfold up --help'");
  }
  return options;
}

/// "HOST:PORT" of a setting. Errors: kInvalidArgument.
std::pair<std::string, std::uint16_t> ParseListen(const std::string& text, const std::string& setting) {
  const auto colon = text.rfind(':');
  char* end = nullptr;
  const auto port = colon == std::string::npos ? -1 : std::strtol(text.c_str() + colon + 1, &end, 10);
  if (port < 0 || port > 65535 || *end) throw Error(Code::kInvalidArgument, setting + ": '" + text + "' is not HOST:PORT", setting);
  const auto host = text.substr(0, colon);
  return {host == "localhost" ? "127.0.0.1" : host, static_cast<std::uint16_t>(port)};
}

/// Beside the HTTP server, on its pool and with its certificate. Nothing if the setting is empty, or if the port is taken: everything else is served then all the same.
std::unique_ptr<serving::GrpcServer> ServeGrpc(Services& services, const HttpServerOptions& http, HttpServer& server) {
  const auto& listen = services.settings.server.grpc_listen;
  if (listen.empty()) return nullptr;
  serving::GrpcServerOptions options;
  std::tie(options.address, options.port) = ParseListen(listen, "server.grpc_listen");
  options.message_limit_bytes = serving::kWeaviateMessageBytes;
  options.drain_timeout = http.drain_timeout;
  options.tls_certificate = http.tls_certificate;
  options.tls_key = http.tls_key;
  try {
    auto grpc = std::make_unique<serving::GrpcServer>(options, serving::MakeWeaviateMethods(services.weaviate), [&services](const HttpRequest& request) { return services.accounts->Authenticate(request); }, server.pool(), services.metrics, services.clock);
    std::cout << "grpc " << options.address << ":" << grpc->port() << std::endl;
    return grpc;
  } catch (const Error& e) {
    if (e.code() != Code::kUnavailable) throw;
    std::cerr << "tenfold: gRPC is not served, and clients of Weaviate do not reach this server: " << e.message() << std::endl;
    return nullptr;
  }
}

int Up(const std::vector<std::string>& arguments) {
  const auto options = ParseUp(arguments);
  const auto home = HomeOf(arguments);
  auto settings = LoadSettings(home / "tenfold.yaml");
  if (!options.listen.empty()) settings.server.listen = options.listen;
  SetLogLevel(ParseLogLevel(settings.server.log_level));
  HttpServerOptions http;
  std::tie(http.address, http.port) = ParseListen(settings.server.listen, "server.listen");
  http.io_threads = settings.server.io_threads;
  http.pool_threads = settings.server.pool_threads;
  http.pool_queue = settings.server.queue;
  if (settings.server.tls_certificate.empty() != settings.server.tls_key.empty())
    throw Error(Code::kInvalidArgument, "TLS needs both server.tls_certificate and server.tls_key", settings.server.tls_key.empty() ? "server.tls_key" : "server.tls_certificate");
  const bool tls = !settings.server.tls_certificate.empty();
  if (tls) {
    http.tls_certificate = home / settings.server.tls_certificate;
    http.tls_key = home / settings.server.tls_key;
  }

  // Blocked before any thread starts, so that only sigwait below sees them.
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);

  Services services(home, settings, options.with_models);
  // Loaded before the first question, so that it waits for nothing. A model that is not there is said now, not then.
  services.FindGenerator(services.registry->Resolve(registry::kLive)->config.model.generator);
  if (!options.example.empty()) LoadExample(services, options.example, [](std::string_view text) { std::cerr << text << std::flush; });
  http.unix_path = (services.home / kSocket).string();
  HttpServer server(http, Router(MakeEndpoints(services)), [&](const HttpRequest& request) { return services.accounts->Authenticate(request); }, services.metrics, services.clock);
  const auto url = (tls ? "https://" : "http://") + http.address + ":" + std::to_string(server.port());
  if (services.accounts->ListUsers(Context::System("up")).empty()) {
    const auto system = Context::System("up");
    services.accounts->AddUser(system, {"admin", "Administrator", "admin", "", "", 0});
    std::cout << "new data folder: sign in once as admin with " << url << "/signin#token=" << services.accounts->CreateSignInLink(system, "admin") << std::endl;
  }
  const auto grpc = ServeGrpc(services, http, server);
  std::cout << "ready " << url << std::endl;
  int signal = 0;
  sigwait(&stop, &signal);
  if (grpc) grpc->Stop();
  server.Stop();
  return 0;
}

/// Sends the command to the server that holds `home`. Nothing if there is none.
std::optional<int> RunInServer(const std::filesystem::path& home, const std::vector<std::string>& arguments) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct Close {
    int fd;
    ~Close() { ::close(fd); }
  } const close{fd};
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  const auto path = (home / kSocket).string();
  if (path.size() >= sizeof at.sun_path) return std::nullopt;
  path.copy(at.sun_path, path.size());
  if (::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) return std::nullopt;
  JsonArray list;
  for (const auto& argument : arguments) list.emplace_back(argument);
  const auto body = ToText(JsonObject{{"arguments", std::move(list)}});
  const auto request = "POST /api/control HTTP/1.0\r\nHost: local\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  for (std::size_t sent = 0; sent < request.size();) {
    const auto n = ::send(fd, request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return std::nullopt;
    sent += static_cast<std::size_t>(n);
  }
  std::string text;
  bool in_body = false;
  int status = 1;
  char buffer[8192];
  for (ssize_t n; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(n));
    if (!in_body) {
      const auto end = text.find("\r\n\r\n");
      if (end == std::string::npos) continue;
      text.erase(0, end + 4);
      in_body = true;
    }
    for (std::size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
      const auto message = ParseJson(std::string_view(text).substr(0, end));
      const auto& fields = message.get_object();
      if (const auto* out = fields.if_contains("out")) std::cout << AsView(out->get_string()) << std::flush;
      if (const auto* err = fields.if_contains("err")) std::cerr << AsView(err->get_string()) << std::flush;
      if (const auto* exit = fields.if_contains("exit")) status = static_cast<int>(exit->get_int64());
      if (const auto* error = fields.if_contains("error")) std::cerr << "tenfold: " << ToText(*error) << std::endl;
    }
  }
  return status;
}

/// Paths are said relative to where the user stands, which is not where the server does.
std::vector<std::string> WithAbsolutePaths(std::vector<std::string> arguments) {
  static constexpr std::string_view kFileOptions[] = {"--questions", "--topics", "--qrels", "--documents"};
  const auto absolute = [](std::string_view path) { return std::filesystem::absolute(path).string(); };
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    auto& argument = arguments[i];
    const auto& before = arguments[i - 1];
    if (argument.starts_with("folder:")) argument = "folder:" + absolute(argument.substr(7));
    for (const auto option : kFileOptions) {
      if (before == option) argument = absolute(argument);
      else if (argument.starts_with(std::string(option) + "=")) argument = std::string(option) + "=" + absolute(argument.substr(option.size() + 1));
    }
    if (argument.starts_with('-') || before == "--home" || before == "--note") continue;
    const auto& command = arguments[0];
    if (command == "backup" || (command == "eval" && arguments[1] != "retrieval") || (command == "chunks" && before != "--chunker") || (command == "versions" && i > 1 && arguments[1] == "create")) argument = absolute(argument);
  }
  return arguments;
}

/// Puts a backup in the place of the store of a data folder that nobody serves. The old store is kept beside it.
int Restore(const std::filesystem::path& home, const std::vector<std::string>& arguments) {
  std::filesystem::path file;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i] == "--home") ++i;
    else if (arguments[i] == "--help" || arguments[i] == "-h") {
      std::cout << "tenfold restore FILE [--home DIR]\n\nPuts a backup in the place of what the data folder holds. Stop the server first. What it held is kept as *.before-restore.\n";
      return 0;
    } else if (!arguments[i].starts_with('-')) file = arguments[i];
  }
  if (file.empty()) throw Error(Code::kInvalidArgument, "restore needs the file of a backup; see 'tenfold restore --help'");
  const auto commit = RestoreBackup(home, file);
  std::cout << "restored commit " << commit << " from " << file.string() << "\n";
  return 0;
}

int Main(std::vector<std::string> arguments) {
  ::signal(SIGPIPE, SIG_IGN);
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help") {
    std::cout << HelpText();
    return arguments.empty() ? 2 : 0;
  }
  if (arguments[0] == "--version") {
    std::cout << "tenfold 0.1.0\n";
    return 0;
  }
  if (arguments[0] == "parse-document" && arguments.size() == 2) {
    const int status = data::ParseMain(arguments[1] == "without_landlock");
    std::cout << std::flush;
    ::_exit(status);  // confined as it is, it has nothing to tidy up, and a sanitizer's last look would be refused
  }
  if (arguments[0] == "render-page" && arguments.size() == 3) return data::RenderMain(arguments[2], arguments[1] == "without_landlock");
  if (arguments[0] == "up") return Up(arguments);
  const auto home = HomeOf(arguments);
  if (arguments[0] == "init") {
    std::filesystem::create_directories(home);
    const auto file = home / "tenfold.yaml";
    if (std::filesystem::exists(file)) throw Error(Code::kAlreadyExists, "'" + file.string() + "' exists; edit it, or remove it first");
    WriteFileAtomically(file, DefaultSettingsFile());
    std::cout << "wrote " << file.string() << "\n";
    return 0;
  }
  if (arguments[0] == "restore") return Restore(home, arguments);
  arguments = WithAbsolutePaths(std::move(arguments));
  const auto say = [](CommandOutput kind, std::string_view text) { (kind == CommandOutput::kResult ? std::cout : std::cerr) << text << std::flush; };
  for (const auto& argument : arguments)
    if (!IsIndexCommand(arguments) && (argument == "--help" || argument == "-h" || arguments[0] == "models")) {
      const TemporaryFolder nothing;  // help and the cache of models need no data folder of the user's
      Services services(nothing.path(), {}, WithModels::kNo);
      return RunCommand(Context::System("cli"), services, arguments, say);
    }
  if (IsIndexCommand(arguments)) return RunIndexCommand(Context::System("cli"), home, arguments, say);
  if (const auto status = RunInServer(home, arguments)) return *status;
  // Only what computes with models waits for them to load.
  const bool needs_models = arguments[0] == "ask" || arguments[0] == "eval" || arguments[0] == "search" || arguments[0] == "ingest" || arguments[0] == "generations" || arguments[0] == "chunks";
  Services services(home, LoadSettings(home / "tenfold.yaml"), needs_models ? WithModels::kYes : WithModels::kNo);
  return RunCommand(Context::System("cli"), services, arguments, say);
}

}  // namespace
}  // namespace tenfold::app

int main(int argc, char** argv) {
  try {
    return tenfold::app::Main(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const tenfold::Error& e) {
    std::cerr << "tenfold: " << e.message() << std::endl;
    return tenfold::app::ExitStatusOf(e.code());
  } catch (const std::exception& e) {
    std::cerr << "tenfold: " << e.what() << std::endl;
    return 1;
  }
}
