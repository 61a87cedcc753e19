// One coroutine per connection on an I/O thread. A kPool handler runs on the request pool while the coroutine watches the socket, so that a client that
// leaves cancels the Context its work runs under.
#include "base/http_server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/status.hpp>
#include <cstdio>
#include <set>

#include "base/crypto.h"
#include "base/http_connection.h"
#include "base/log.h"

namespace tenfold {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::use_awaitable;

/// Sends the head of a streamed response with its first piece.
class StreamOpener : public StreamWriter {
 public:
  StreamOpener(StreamWriter& out, std::function<void()> send_head) : out_(out), send_head_(std::move(send_head)) {}
  void Write(std::string_view bytes) override {
    Open();
    out_.Write(bytes);
  }
  void Open() {
    if (const auto send = std::exchange(send_head_, nullptr)) send();
  }
  bool open() const { return !send_head_; }

 private:
  StreamWriter& out_;
  std::function<void()> send_head_;
};

/// "Wed, 25 Nov 2026 16:45:10 GMT" (RFC 9110, section 5.6.7), made once a second.
std::string_view HttpDate() {
  thread_local std::time_t made = 0;
  thread_local char text[32];
  const auto now = std::time(nullptr);
  if (now != made) {
    std::tm utc{};
    ::gmtime_r(&now, &utc);
    std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    made = now;
  }
  return text;
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(HttpServerOptions options, Router router, Authenticator authenticate, Metrics& metrics, const Clock& clock)
      : options_(std::move(options)), router_(std::move(router)), authenticate_(std::move(authenticate)), clock_(clock),
        pool_("requests", options_.pool_threads, options_.pool_queue) {
    for (const auto& endpoint : router_.endpoints()) {
      const Labels labels{{"method", endpoint.method}, {"path", endpoint.path}};
      auto& meter = meters_.emplace_back();
      meter.latency = &metrics.GetHistogram("tenfold_http_request_duration_seconds", "Time from the whole request to the whole response.", labels);
      for (int family = 2; family <= 5; ++family) {
        auto with_code = labels;
        with_code.emplace_back("code", std::to_string(family) + "xx");
        meter.requests[family - 2] = &metrics.GetCounter("tenfold_http_requests_total", "Requests answered.", with_code);
      }
    }
    if (!options_.tls_certificate.empty()) LoadCertificate();
    for (std::size_t i = 0; i < std::max<std::size_t>(1, options_.io_threads); ++i) loops_.push_back(std::make_unique<Loop>());
    asio::ip::tcp::endpoint at;
    try {
      at = {asio::ip::make_address(options_.address), options_.port};
    } catch (const boost::system::system_error&) {
      throw Error(Code::kInvalidArgument, "listen on '" + options_.address + "': not an IP address", "listen");
    }
    try {
      acceptor_.emplace(loops_[0]->context);
      acceptor_->open(at.protocol());
      acceptor_->set_option(asio::socket_base::reuse_address(true));
      acceptor_->bind(at);
      acceptor_->listen(1024);
    } catch (const boost::system::system_error& e) {
      throw Error(Code::kUnavailable, "listen on " + options_.address + ":" + std::to_string(options_.port) + ": " + e.code().message() +
                                          "; choose another with --listen HOST:PORT");
    }
    asio::co_spawn(loops_[0]->context, Accept(*acceptor_, false), asio::detached);
    if (!options_.unix_path.empty()) {
      ::unlink(options_.unix_path.c_str());
      local_acceptor_.emplace(loops_[0]->context, asio::local::stream_protocol::endpoint(options_.unix_path));
      ::chmod(options_.unix_path.c_str(), 0600);
      asio::co_spawn(loops_[0]->context, Accept(*local_acceptor_, true), asio::detached);
    }
    for (auto& loop : loops_) {
      asio::co_spawn(loop->context, Sweep(*loop), asio::detached);
      threads_.emplace_back([&loop] { Run(loop->context); });
    }
  }

  ~Impl() { Stop(); }

  std::size_t connections() const { return connections_; }
  ThreadPool& pool() { return pool_; }
  std::uint16_t port() const { return acceptor_->local_endpoint().port(); }

  void Stop() {
    if (stopped_.exchange(true)) return;
    draining_ = true;
    asio::post(loops_[0]->context, [this] {
      boost::system::error_code ignored;
      acceptor_->close(ignored);
      if (local_acceptor_) local_acceptor_->close(ignored);
    });
    for (auto& loop : loops_)
      asio::post(loop->context, [&loop] {
        for (auto* connection : loop->connections) connection->GoAway();
      });
    const auto until = std::chrono::steady_clock::now() + options_.drain_timeout;
    while ((busy_.load() > 0 || sockets_.load() > 0) && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    {
      const std::lock_guard lock(cancellations_mutex_);
      for (const auto& cancellation : cancellations_) cancellation->Cancel();
    }
    const auto hard = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (busy_.load() > 0 && std::chrono::steady_clock::now() < hard) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    for (auto& loop : loops_) loop->context.stop();
    for (auto& thread : threads_) thread.join();
    if (!options_.unix_path.empty()) ::unlink(options_.unix_path.c_str());
  }

 private:
  /// One I/O thread and the connections it serves.
  struct Loop {
    std::unordered_set<Connection*> connections;
    asio::io_context context{1};  // last: what it destroys leaves `connections`
  };
  /// Counts work that a stop waits for.
  class Busy {
   public:
    explicit Busy(std::atomic<int>& count) : count_(&count) { ++count; }
    ~Busy() { Release(); }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;
    void Release() {
      if (auto* count = std::exchange(count_, nullptr)) --*count;
    }

   private:
    std::atomic<int>* count_;
  };
  struct Meter {
    Histogram* latency;
    Counter* requests[4];
  };

  void LoadCertificate() {
    tls_.emplace(asio::ssl::context::tls_server);
    tls_->set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1);
    boost::system::error_code error;
    tls_->use_certificate_chain_file(options_.tls_certificate, error);
    if (error) throw Error(Code::kInvalidArgument, "the certificate '" + options_.tls_certificate + "' cannot be used: " + error.message(), "server.tls_certificate");
    tls_->use_private_key_file(options_.tls_key, asio::ssl::context::pem, error);
    if (error) throw Error(Code::kInvalidArgument, "the key '" + options_.tls_key + "' cannot be used with the certificate: " + error.message(), "server.tls_key");
  }

  /// Cancels what is late, four times within the shortest limit.
  asio::awaitable<void> Sweep(Loop& loop) const {
    const auto period = std::clamp(std::min({options_.header_timeout, options_.body_timeout, options_.idle_timeout}) / 4, std::chrono::milliseconds(10), std::chrono::milliseconds(500));
    asio::steady_timer timer(loop.context);
    for (;;) {
      timer.expires_after(period);
      co_await timer.async_wait(use_awaitable);
      const auto now = std::chrono::steady_clock::now();
      for (auto* connection : loop.connections) connection->Sweep(now);
    }
  }

  static void Run(asio::io_context& context) {
    const auto guard = asio::make_work_guard(context);
    for (;;) {
      try {
        context.run();
        return;
      } catch (const std::exception& e) {
        Log(LogLevel::kError, "connection failed", {{"error", e.what()}});
      }
    }
  }

  template <class Acceptor>
  asio::awaitable<void> Accept(Acceptor& acceptor, bool local) {
    std::size_t next = 0;
    for (;;) {
      auto& loop = *loops_[next++ % loops_.size()];
      boost::system::error_code error;
      typename Acceptor::protocol_type::socket socket(loop.context);
      co_await acceptor.async_accept(socket, asio::redirect_error(use_awaitable, error));
      if (error == asio::error::operation_aborted || !acceptor.is_open()) co_return;
      if (error) {
        // Out of descriptors: leave the backlog to the kernel for a moment instead of spinning.
        asio::steady_timer pause(co_await asio::this_coro::executor, std::chrono::milliseconds(50));
        co_await pause.async_wait(asio::redirect_error(use_awaitable, error));
        continue;
      }
      if (connections_.load() >= options_.max_connections) continue;  // closed by the destructor
      std::string remote = "local";
      if constexpr (std::is_same_v<Acceptor, asio::ip::tcp::acceptor>) {
        socket.set_option(asio::ip::tcp::no_delay(true), error);
        remote = socket.remote_endpoint(error).address().to_string();
      }
      ++connections_;
      auto connection = std::make_shared<Connection>(std::move(socket), tls_ && !local ? &*tls_ : nullptr, std::move(remote), local);
      asio::co_spawn(loop.context, Serve(loop, std::move(connection)), [this](std::exception_ptr) { --connections_; });
    }
  }

  asio::awaitable<void> Serve(Loop& loop, std::shared_ptr<Connection> connection) {
    struct Swept {
      Loop& loop;
      Connection* connection;
      Swept(Loop& l, Connection* c) : loop(l), connection(c) { loop.connections.insert(c); }
      ~Swept() { loop.connections.erase(connection); }
    } const swept(loop, connection.get());
    connection->ExpireAfter(options_.header_timeout);
    if (!co_await connection->Handshake()) co_return;
    auto& buffer = connection->buffer();
    bool keep_alive = true;
    for (bool first = true; keep_alive && !draining_; first = false) {
      HttpRequest request;
      RequestParser parser(request);
      parser.header_limit(static_cast<std::uint32_t>(options_.header_limit_bytes));
      parser.body_limit(boost::none);
      boost::system::error_code error;
      if (!first) connection->ExpireAfter(options_.idle_timeout);
      for (bool begun = false;;) {
        if (buffer.size() > 0) {
          buffer.consume(parser.put(buffer.data(), error));
          if (error != http::error::need_more) break;  // the whole header, or an error
          error.clear();
          if (!begun) connection->ExpireAfter(options_.header_timeout);
          begun = true;
        }
        if (!co_await connection->Read()) co_return co_await connection->Linger();
      }
      if (error) {
        auto refusal = error == http::error::header_limit ? WithStatus(431, "the header is larger than " + std::to_string(options_.header_limit_bytes) + " bytes")
                                                          : WithStatus(400, "this is not HTTP/1.1: " + error.message());
        co_await connection->Write(Format(refusal, false, 11, false));
        break;
      }
      Busy busy(busy_);
      keep_alive = co_await Answer(*connection, parser, request, busy);
    }
    co_await connection->Linger();
  }

  static HttpResponse WithStatus(int status, std::string message) {
    auto response = ErrorResponse(Error(Code::kInvalidArgument, std::move(message)));
    response.status = status;
    return response;
  }

  /// Reads the body, runs the handler, sends the response. Returns whether the connection goes on.
  asio::awaitable<bool> Answer(Connection& connection, RequestParser& parser, HttpRequest& request, Busy& busy) {
    const auto started = std::chrono::steady_clock::now();
    const int version = parser.version();
    bool keep_alive = parser.keep_alive();
    const bool head = request.method == "HEAD";
    request.remote = connection.remote();
    HttpResponse response;
    Router::Match match;
    std::shared_ptr<const Principal> principal;
    bool ready = false;
    try {
      if (parser.target_error()) throw Error(*parser.target_error());
      match = router_.Find(request.method, request.path);
      request.path_params = std::move(match.params);
      // Access before the body: a stranger cannot make the server read megabytes.
      principal = CheckAccess(*match.endpoint, request, connection.local());
      if (match.endpoint->websocket) CheckUpgrade(connection, parser, request);
      const auto length = parser.content_length();
      if (length && *length > match.endpoint->body_limit_bytes) response = TooLarge(*match.endpoint);
      else ready = true;
    } catch (const Error& e) {
      response = ErrorResponse(e);
    }
    if (ready && match.endpoint->websocket) {
      busy.Release();  // a stop does not wait for it, it says goodbye
      co_await OpenWebSocket(connection, *match.endpoint, request, std::move(principal));
      co_return false;
    }
    if (ready && !parser.is_done()) {
      const auto refusal = co_await ReadBody(connection, parser, request, *match.endpoint);
      if (refusal && refusal->status == 0) co_return false;
      if (refusal) response = *refusal, ready = false;
    }
    if (!parser.is_done()) keep_alive = false;  // the refused body is not read
    if (ready) {
      auto cancellation = std::make_shared<Cancellation>();
      const Context ctx = MakeContext(std::move(principal), cancellation, match.endpoint->timeout);
      if (match.endpoint->runs_on == RunsOn::kIo) {
        response = RunHandler(*match.endpoint, ctx, request);
      } else {
        const bool streamed = co_await AnswerFromPool(connection, *match.endpoint, ctx, request, cancellation, response, version, keep_alive, head);
        if (streamed) {
          Count(*match.endpoint, response.status, started);
          co_return keep_alive && !draining_;
        }
        if (cancellation->cancelled()) co_return false;
      }
    }
    if (draining_) keep_alive = false;
    const auto bytes = Format(response, keep_alive, version, head);
    std::string_view rest = bytes;
    connection.ExpireAfter(options_.body_timeout);
    bool sent = connection.TryWrite(rest);
    if (sent && !rest.empty()) sent = co_await connection.Write(rest);
    if (match.endpoint) Count(*match.endpoint, response.status, started);
    co_return sent && keep_alive;
  }

  /// A socket as its endpoint sees it: what is sent goes through the channel, what is run counts as work.
  class OpenSocket : public WebSocket {
   public:
    OpenSocket(Impl& server, std::shared_ptr<Channel> channel) : server_(server), channel_(std::move(channel)) {}
    void Send(std::string_view text) override { channel_->Write(text); }
    bool Offer(std::string_view text) override { return channel_->Offer(text); }
    void Run(std::function<void()> job) override {
      server_.pool_.Submit([busy = std::make_shared<Busy>(server_.busy_), job = std::move(job)] { job(); });
    }

   private:
    Impl& server_;
    std::shared_ptr<Channel> channel_;
  };

  asio::awaitable<void> OpenWebSocket(Connection& connection, const Endpoint& endpoint, const HttpRequest& request, std::shared_ptr<const Principal> principal) {
    auto cancellation = std::make_shared<Cancellation>();
    auto channel = std::make_shared<Channel>(connection.executor(), cancellation);
    const Context ctx = MakeContext(std::move(principal), cancellation, endpoint.timeout);
    Track(cancellation, true);
    ++sockets_;
    connection.ExpireAfter(endpoint.timeout);
    co_await ServeWebSocket(connection, request, endpoint, ctx, channel, std::make_shared<OpenSocket>(*this, channel),
                            [&] { CheckAccess(endpoint, request, connection.local()); });
    --sockets_;
    Track(cancellation, false);
  }

  /// A page of another site may open a socket and the browser adds this site's cookie, so who comes with a cookie must come from here (RFC 6455, section 10.2).
  static void CheckUpgrade(Connection& connection, const RequestParser& parser, const HttpRequest& request) {
    if (request.method != "GET" || !boost::beast::iequals(request.header("upgrade"), "websocket") || request.header("sec-websocket-key").empty())
      throw Error(Code::kInvalidArgument, "this path speaks WebSocket; send 'Upgrade: websocket'", "upgrade");
    if (!parser.is_done() || connection.buffer().size() > 0) throw Error(Code::kInvalidArgument, "nothing may follow the request before the upgrade is accepted", "upgrade");
    if (connection.local() || !request.header("authorization").empty()) return;
    const auto origin = request.header("origin");
    const auto host = origin.find("://");
    if (host == std::string_view::npos || !boost::beast::iequals(origin.substr(host + 3), request.header("host")))
      throw Error(Code::kPermissionDenied, "the page that asks is not of this site", "origin");
  }

  /// Nothing, or why not: status 0 if the client is gone.
  asio::awaitable<std::optional<HttpResponse>> ReadBody(Connection& connection, RequestParser& parser, const HttpRequest& request, const Endpoint& endpoint) {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    HttpResponse gone;
    gone.status = 0;
    connection.ExpireAfter(options_.body_timeout);
    if (boost::beast::iequals(request.header("expect"), "100-continue") && !co_await connection.Write(kContinue)) co_return gone;
    parser.eager(true);
    parser.body_limit(endpoint.body_limit_bytes);
    auto& buffer = connection.buffer();
    while (!parser.is_done()) {
      if (buffer.size() > 0) {
        boost::system::error_code error;
        buffer.consume(parser.put(buffer.data(), error));
        if (error == http::error::body_limit) co_return TooLarge(endpoint);
        if (error && error != http::error::need_more) co_return WithStatus(400, "the body is not HTTP/1.1: " + error.message());
        if (parser.is_done()) break;
      }
      if (!co_await connection.Read()) co_return connection.expired() ? WithStatus(408, "the body did not arrive in time") : gone;
    }
    co_return std::nullopt;
  }

  static HttpResponse TooLarge(const Endpoint& endpoint) {
    return WithStatus(413, "the body is larger than " + std::to_string(endpoint.body_limit_bytes) + " bytes, the limit of " + endpoint.path);
  }

  std::shared_ptr<const Principal> CheckAccess(const Endpoint& endpoint, const HttpRequest& request, bool local) const {
    static const auto kNobody = std::make_shared<const Principal>();
    static const auto kOwner = Context::System("cli");
    if (local) return std::make_shared<const Principal>(kOwner.principal());
    if (endpoint.access == Access::kPublic) return kNobody;
    auto principal = authenticate_(request);
    const Role needed = endpoint.access == Access::kAdmin ? Role::kAdmin : endpoint.access == Access::kAgent ? Role::kAgent : Role::kCustomer;
    if (principal->role < needed) throw Error(Code::kPermissionDenied, "this needs the role " + std::string(RoleName(needed)));
    return principal;
  }

  Context MakeContext(std::shared_ptr<const Principal> principal, std::shared_ptr<Cancellation> cancellation, std::chrono::milliseconds timeout) const {
    Context::Parts parts;
    parts.principal = std::move(principal);
    parts.clock = &clock_;
    parts.deadline = clock_.Now() + timeout;
    parts.cancellation = std::move(cancellation);
    return Context(std::move(parts));
  }

  static HttpResponse RunHandler(const Endpoint& endpoint, const Context& ctx, const HttpRequest& request) {
    try {
      return endpoint.handler(ctx, request);
    } catch (const Error& e) {
      if (e.code() == Code::kInternal) Log(LogLevel::kError, "request failed", {{"path", endpoint.path}, {"error", e.message()}});
      return ErrorResponse(e);
    } catch (const std::exception& e) {
      Log(LogLevel::kError, "request failed", {{"path", endpoint.path}, {"error", e.what()}});
      return ErrorResponse(Error(Code::kInternal, "internal error; the server's log says more"));
    }
  }

  /// Returns true if the response was streamed and is complete.
  asio::awaitable<bool> AnswerFromPool(Connection& connection, const Endpoint& endpoint, const Context& ctx, HttpRequest& request,
                                       std::shared_ptr<Cancellation> cancellation, HttpResponse& response, int version, bool& keep_alive, bool head) {
    const auto executor = connection.executor();
    auto channel = std::make_shared<Channel>(executor, cancellation);
    auto headers_ready = std::make_shared<asio::steady_timer>(executor, std::chrono::steady_clock::time_point::max());
    auto job_response = std::make_shared<HttpResponse>();
    auto job_request = std::make_shared<HttpRequest>(std::move(request));
    auto answered = std::make_shared<bool>(false);  // I/O thread only
    Track(cancellation, true);
    try {
      pool_.Submit([&endpoint, ctx, channel, headers_ready, job_response, job_request, answered, executor] {
        auto made = RunHandler(endpoint, ctx, *job_request);
        auto produce = std::move(made.stream);
        made.stream = nullptr;
        const auto answer = [&](HttpResponse ready, bool streams) {
          asio::post(executor, [=, ready = std::move(ready)]() mutable {
            *job_response = std::move(ready);
            if (streams) job_response->stream = [](StreamWriter&) {};  // says "streamed"; the body comes through the channel
            *answered = true;
            headers_ready->expires_at(std::chrono::steady_clock::time_point::min());
          });
        };
        if (!produce) return answer(std::move(made), false);
        StreamOpener out(*channel, [&] { answer(std::move(made), true); });
        bool whole = false;
        try {
          produce(out);
          out.Open();
          whole = true;
        } catch (const Error& e) {
          // Before the first piece nothing is sent yet: the error is an answer like any other.
          if (!out.open()) return answer(ErrorResponse(e), false);
          if (e.code() != Code::kCancelled) Log(LogLevel::kWarning, "stream ended early", {{"path", endpoint.path}, {"error", e.message()}});
        } catch (const std::exception& e) {
          Log(LogLevel::kError, "stream failed", {{"path", endpoint.path}, {"error", e.what()}});
          if (!out.open()) return answer(ErrorResponse(Error(Code::kInternal, "internal error; the server's log says more")), false);
        }
        channel->Finish(whole);
      });
    } catch (const Error& e) {
      Track(cancellation, false);
      response = ErrorResponse(e);
      co_return false;
    }
    connection.ExpireNever();
    connection.StartWatch([channel] { channel->Close(); });
    boost::system::error_code error;
    while (!*answered) {
      co_await headers_ready->async_wait(asio::redirect_error(use_awaitable, error));
      error.clear();
    }
    response = std::move(*job_response);
    bool streamed = false;
    if (response.stream) {
      streamed = true;
      if (!co_await SendStream(connection, response, *channel, version, keep_alive, head)) {
        keep_alive = false;
        channel->Close();
        std::vector<std::string> rest;
        while (co_await channel->Take(rest)) {
        }
      }
    }
    co_await connection.StopWatch();
    Track(cancellation, false);
    co_return streamed;
  }

  void Track(const std::shared_ptr<Cancellation>& cancellation, bool add) {
    const std::lock_guard lock(cancellations_mutex_);
    if (add) cancellations_.insert(cancellation);
    else cancellations_.erase(cancellation);
  }

  /// The status line and headers, to the empty line. One text and one write per response: Beast's serializer costs a third of a small request.
  static std::string FormatHead(const HttpResponse& response, bool keep_alive, int version, std::optional<std::size_t> length) {
    std::string out;
    out.reserve(256 + response.body.size());
    const int status = response.status == 499 ? 400 : response.status;
    out += version == 10 ? "HTTP/1.0 " : "HTTP/1.1 ";
    out += std::to_string(status);
    out += ' ';
    out += std::string_view(http::obsolete_reason(static_cast<http::status>(status)));
    out += "\r\ndate: ";
    out += HttpDate();
    out += "\r\ncontent-type: ";
    out += response.content_type;
    bool has_id = false;
    for (const auto& [name, value] : response.headers) {
      has_id = has_id || name == "x-request-id";
      out += "\r\n";
      out += name;
      out += ": ";
      out += value;
    }
    if (!has_id) {
      out += "\r\nx-request-id: ";
      out += NextRequestId();
    }
    if (length) (out += "\r\ncontent-length: ") += std::to_string(*length);
    else if (version != 10) out += "\r\ntransfer-encoding: chunked";
    if (!keep_alive) out += "\r\nconnection: close";
    else if (version == 10) out += "\r\nconnection: keep-alive";
    out += "\r\n\r\n";
    return out;
  }

  /// Unique over restarts: a random start per thread, then a count.
  static std::string NextRequestId() {
    thread_local const std::string prefix = NewId("req") + "-";
    thread_local std::uint64_t count = 0;
    return prefix + std::to_string(++count);
  }

  static std::string Format(const HttpResponse& response, bool keep_alive, int version, bool head) {
    const bool bodiless = response.status == 204 || response.status == 304;
    auto bytes = FormatHead(response, keep_alive, version, bodiless ? 0 : response.body.size());
    if (!head && !bodiless) bytes += response.body;
    return bytes;
  }

  static asio::awaitable<bool> SendStream(Connection& connection, const HttpResponse& response, Channel& channel, int version, bool keep_alive, bool head) {
    const bool chunked = version != 10;
    connection.ExpireAfter(std::chrono::seconds(60));
    if (!co_await connection.Write(FormatHead(response, keep_alive && chunked, version, std::nullopt))) co_return false;
    connection.ExpireNever();
    std::vector<std::string> pieces;
    std::string bytes;
    while (co_await channel.Take(pieces)) {
      if (head) continue;
      std::size_t total = 0;
      for (const auto& piece : pieces) total += piece.size();
      if (total == 0) continue;  // an empty chunk would end the stream
      char size[20];
      bytes.assign(size, chunked ? static_cast<std::size_t>(std::snprintf(size, sizeof size, "%zx\r\n", total)) : 0);
      for (const auto& piece : pieces) bytes += piece;
      if (chunked) bytes += "\r\n";
      connection.ExpireAfter(std::chrono::seconds(60));  // a reader that takes nothing for a minute is gone
      if (!co_await connection.Write(bytes)) co_return false;
      connection.ExpireNever();
    }
    if (!chunked || !channel.whole()) co_return false;  // HTTP/1.0 ends a stream by closing; HTTP/1.1 tells by it that the rest is missing
    co_return co_await connection.Write("0\r\n\r\n");
  }

  void Count(const Endpoint& endpoint, int status, std::chrono::steady_clock::time_point started) {
    const auto& meter = meters_[static_cast<std::size_t>(&endpoint - router_.endpoints().data())];
    meter.latency->Observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
    meter.requests[std::clamp(status / 100, 2, 5) - 2]->Add();
  }

  const HttpServerOptions options_;
  const Router router_;
  const Authenticator authenticate_;
  const Clock& clock_;
  std::vector<Meter> meters_;  ///< one per row of the table
  std::optional<asio::ssl::context> tls_;
  std::vector<std::unique_ptr<Loop>> loops_;
  std::optional<asio::ip::tcp::acceptor> acceptor_;
  std::optional<asio::local::stream_protocol::acceptor> local_acceptor_;
  std::vector<std::thread> threads_;
  std::atomic<std::size_t> connections_{0};
  std::atomic<int> busy_{0}, sockets_{0};
  std::atomic<bool> draining_{false}, stopped_{false};
  std::mutex cancellations_mutex_;
  std::set<std::shared_ptr<Cancellation>> cancellations_;
  ThreadPool pool_;  // last: its jobs use all of the above
};

HttpServer::HttpServer(HttpServerOptions options, Router router, Authenticator authenticate, Metrics& metrics, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(router), std::move(authenticate), metrics, clock)) {}
HttpServer::~HttpServer() = default;
std::uint16_t HttpServer::port() const { return impl_->port(); }
std::size_t HttpServer::connections() const { return impl_->connections(); }
ThreadPool& HttpServer::pool() { return impl_->pool(); }
void HttpServer::Stop() { impl_->Stop(); }

}  // namespace tenfold
