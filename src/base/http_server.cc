// One coroutine per connection on an I/O thread. A kPool handler runs on the request pool while the coroutine watches the socket, so that a client that
// leaves cancels the Context its work runs under.
#include "base/http_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/url.hpp>
#include <set>

#include "base/crypto.h"
#include "base/log.h"

namespace tenfold {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::use_awaitable;
using Stream = beast::basic_stream<asio::generic::stream_protocol>;
constexpr std::size_t kReadBytes = 8 << 10;

/// Bytes on their way from a handler's thread to the connection's coroutine.
class Channel : public StreamWriter, public std::enable_shared_from_this<Channel> {
 public:
  Channel(asio::any_io_executor executor, std::shared_ptr<Cancellation> cancellation) : wake_(executor), cancellation_(std::move(cancellation)) {
    wake_.expires_at(std::chrono::steady_clock::time_point::max());
  }

  void Write(std::string_view bytes) override {
    static constexpr std::size_t kMaxPending = 256 << 10;
    std::unique_lock lock(mutex_);
    drained_.wait(lock, [&] { return pending_.size() < kMaxPending || closed_; });
    if (closed_) throw Error(Code::kCancelled, "the client left");
    pending_ += bytes;
    lock.unlock();
    Wake();
  }

  void Finish() {
    {
      const std::lock_guard lock(mutex_);
      finished_ = true;
    }
    Wake();
  }

  /// The client is gone or the server stops.
  void Close() {
    cancellation_->Cancel();
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    drained_.notify_all();
  }

  /// False once all is taken and the handler has finished.
  asio::awaitable<bool> Take(std::string& out) {
    for (;;) {
      {
        const std::lock_guard lock(mutex_);
        if (!pending_.empty()) {
          out = std::move(pending_);
          pending_.clear();
          drained_.notify_all();
          co_return true;
        }
        if (finished_) co_return false;
      }
      boost::system::error_code ignored;
      co_await wake_.async_wait(asio::redirect_error(use_awaitable, ignored));
      wake_.expires_at(std::chrono::steady_clock::time_point::max());
    }
  }

 private:
  void Wake() {
    asio::post(wake_.get_executor(), [self = shared_from_this()] { self->wake_.expires_at(std::chrono::steady_clock::time_point::min()); });
  }

  asio::steady_timer wake_;
  std::shared_ptr<Cancellation> cancellation_;
  std::mutex mutex_;
  std::condition_variable drained_;
  std::string pending_;
  bool finished_ = false, closed_ = false;
};

std::string ToLower(std::string_view text) {
  std::string out(text);
  for (auto& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

template <class Message>
HttpRequest ConvertRequest(Message& message, std::string remote) {
  HttpRequest request;
  request.method = std::string(message.method_string());
  const auto target = boost::urls::parse_origin_form(message.target());
  if (!target) throw Error(Code::kInvalidArgument, "the request target is not a valid path");
  const boost::urls::url_view url = *target;
  request.path = url.encoded_path().decode();
  if (!IsUtf8(request.path) || request.path.find('\0') != std::string::npos) throw Error(Code::kInvalidArgument, "the path is not valid UTF-8");
  for (const auto& parameter : url.params()) request.query[std::string(parameter.key)] = std::string(parameter.value);
  request.headers.reserve(8);
  for (const auto& field : message) request.headers.emplace_back(ToLower(field.name_string()), field.value());
  request.remote = std::move(remote);
  return request;
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(HttpServerOptions options, Router router, Authenticator authenticate, Metrics& metrics, const Clock& clock)
      : options_(std::move(options)), router_(std::move(router)), authenticate_(std::move(authenticate)), metrics_(metrics), clock_(clock),
        pool_("requests", options_.pool_threads, options_.pool_queue) {
    for (const auto& endpoint : router_.endpoints()) {
      const Labels labels{{"method", endpoint.method}, {"path", endpoint.path}};
      latency_[&endpoint] = &metrics_.GetHistogram("tenfold_http_request_duration_seconds", "Time from the whole request to the whole response.", labels);
      for (int family = 2; family <= 5; ++family) {
        auto with_code = labels;
        with_code.emplace_back("code", std::to_string(family) + "xx");
        requests_[{&endpoint, family}] = &metrics_.GetCounter("tenfold_http_requests_total", "Requests answered.", with_code);
      }
    }
    for (std::size_t i = 0; i < std::max<std::size_t>(1, options_.io_threads); ++i) contexts_.push_back(std::make_unique<asio::io_context>(1));
    asio::ip::tcp::endpoint at;
    try {
      at = {asio::ip::make_address(options_.address), options_.port};
    } catch (const boost::system::system_error&) {
      throw Error(Code::kInvalidArgument, "listen on '" + options_.address + "': not an IP address", "listen");
    }
    try {
      acceptor_.emplace(*contexts_[0]);
      acceptor_->open(at.protocol());
      acceptor_->set_option(asio::socket_base::reuse_address(true));
      acceptor_->bind(at);
      acceptor_->listen(1024);
    } catch (const boost::system::system_error& e) {
      throw Error(Code::kUnavailable, "listen on " + options_.address + ":" + std::to_string(options_.port) + ": " + e.code().message() +
                                          "; choose another with --listen HOST:PORT");
    }
    asio::co_spawn(*contexts_[0], Accept(*acceptor_, false), asio::detached);
    if (!options_.unix_path.empty()) {
      ::unlink(options_.unix_path.c_str());
      local_acceptor_.emplace(*contexts_[0], asio::local::stream_protocol::endpoint(options_.unix_path));
      ::chmod(options_.unix_path.c_str(), 0600);
      asio::co_spawn(*contexts_[0], Accept(*local_acceptor_, true), asio::detached);
    }
    for (auto& context : contexts_) threads_.emplace_back([&context] { Run(*context); });
  }

  ~Impl() { Stop(); }

  std::uint16_t port() const { return acceptor_->local_endpoint().port(); }

  void Stop() {
    if (stopped_.exchange(true)) return;
    draining_ = true;
    asio::post(*contexts_[0], [this] {
      boost::system::error_code ignored;
      acceptor_->close(ignored);
      if (local_acceptor_) local_acceptor_->close(ignored);
    });
    const auto until = std::chrono::steady_clock::now() + options_.drain_timeout;
    while (busy_.load() > 0 && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    {
      const std::lock_guard lock(cancellations_mutex_);
      for (const auto& cancellation : cancellations_) cancellation->Cancel();
    }
    const auto hard = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (busy_.load() > 0 && std::chrono::steady_clock::now() < hard) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    for (auto& context : contexts_) context->stop();
    for (auto& thread : threads_) thread.join();
    if (!options_.unix_path.empty()) ::unlink(options_.unix_path.c_str());
  }

 private:
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
      auto& context = *contexts_[next++ % contexts_.size()];
      boost::system::error_code error;
      typename Acceptor::protocol_type::socket socket(context);
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
      Stream stream(asio::generic::stream_protocol::socket(std::move(socket)));
      asio::co_spawn(context, Serve(std::move(stream), std::move(remote), local), [this](std::exception_ptr) { --connections_; });
    }
  }

  asio::awaitable<void> Serve(Stream stream, std::string remote, bool local) {
    beast::flat_buffer buffer;
    bool keep_alive = true;
    for (bool first = true; keep_alive && !draining_; first = false) {
      http::request_parser<http::string_body> parser;
      parser.header_limit(static_cast<std::uint32_t>(options_.header_limit_bytes));
      parser.body_limit(boost::none);
      boost::system::error_code error;
      if (buffer.size() == 0) {
        stream.expires_after(first ? options_.header_timeout : options_.idle_timeout);
        const auto n = co_await stream.async_read_some(buffer.prepare(kReadBytes), asio::redirect_error(use_awaitable, error));
        if (error) break;
        buffer.commit(n);
      }
      // Most requests lie whole in the buffer by now: no second wait, no second timer.
      buffer.consume(parser.put(buffer.data(), error));
      if (error == http::error::need_more) {
        stream.expires_after(options_.header_timeout);
        error.clear();
        co_await http::async_read_header(stream, buffer, parser, asio::redirect_error(use_awaitable, error));
      }
      if (error) {
        if (error == http::error::header_limit)
          co_await Send(stream, WithStatus(431, "the header is larger than " + std::to_string(options_.header_limit_bytes) + " bytes"), false, 11, false);
        else if (error.category() == http::make_error_code(http::error::bad_method).category() && error != http::error::end_of_stream && error != http::error::partial_message)
          co_await Send(stream, WithStatus(400, "this is not HTTP/1.1: " + error.message()), false, 11, false);
        break;
      }
      ++busy_;
      struct Idle {
        std::atomic<int>& busy;
        ~Idle() { --busy; }
      } const idle{busy_};
      keep_alive = co_await Answer(stream, buffer, parser, remote, local);
    }
    co_await Linger(stream);
  }

  /// Closing over unread bytes would reset the connection, and the client might never see why it was refused (RFC 9112, section 9.6).
  static asio::awaitable<void> Linger(Stream& stream) {
    constexpr std::size_t kLimit = 16 << 20;
    boost::system::error_code error;
    stream.socket().shutdown(asio::socket_base::shutdown_send, error);
    std::vector<char> sink(64 << 10);
    stream.expires_after(std::chrono::seconds(2));
    for (std::size_t taken = 0; !error && taken < kLimit;) taken += co_await stream.async_read_some(asio::buffer(sink), asio::redirect_error(use_awaitable, error));
  }

  static HttpResponse WithStatus(int status, std::string message) {
    auto response = ErrorResponse(Error(Code::kInvalidArgument, std::move(message)));
    response.status = status;
    return response;
  }

  /// Reads the body, runs the handler, sends the response. Returns whether the connection goes on.
  asio::awaitable<bool> Answer(Stream& stream, beast::flat_buffer& buffer, http::request_parser<http::string_body>& parser, const std::string& remote, bool local) {
    const auto version = parser.get().version();
    bool keep_alive = parser.get().keep_alive();
    const bool head = parser.get().method() == http::verb::head;
    const auto started = std::chrono::steady_clock::now();
    HttpResponse response;
    HttpRequest request;
    Router::Match match;
    std::shared_ptr<const Principal> principal;
    bool ready = false;
    try {
      request = ConvertRequest(parser.get(), remote);
      match = router_.Find(request.method, request.path);
      request.path_params = match.params;
      // Access before the body: a stranger cannot make the server read megabytes.
      principal = CheckAccess(*match.endpoint, request, local);
      const auto length = parser.content_length();
      if (length && *length > match.endpoint->body_limit_bytes) response = TooLarge(*match.endpoint);
      else ready = true;
    } catch (const Error& e) {
      response = ErrorResponse(e);
    }
    boost::system::error_code error;
    if (ready) {
      parser.body_limit(match.endpoint->body_limit_bytes);
      if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
        static const std::string kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
        co_await asio::async_write(stream, asio::buffer(kContinue), asio::redirect_error(use_awaitable, error));
      }
      if (!parser.is_done()) stream.expires_after(options_.body_timeout);
      if (!parser.is_done()) co_await http::async_read(stream, buffer, parser, asio::redirect_error(use_awaitable, error));
      if (error == http::error::body_limit) {
        response = TooLarge(*match.endpoint);
        keep_alive = false;
      } else if (error == beast::error::timeout) {
        response = WithStatus(408, "the body did not arrive in time");
        keep_alive = false;
      } else if (error) {
        co_return false;
      } else {
        request.body = std::move(parser.get().body());
        auto cancellation = std::make_shared<Cancellation>();
        const Context ctx = MakeContext(std::move(principal), cancellation, match.endpoint->timeout);
        if (match.endpoint->runs_on == RunsOn::kIo) {
          response = RunHandler(*match.endpoint, ctx, request);
        } else {
          const bool streamed = co_await AnswerFromPool(stream, buffer, *match.endpoint, ctx, request, cancellation, response, version, keep_alive, head);
          if (streamed) {
            Count(*match.endpoint, response.status, started);
            co_return keep_alive && !draining_;
          }
          if (cancellation->cancelled()) co_return false;
        }
      }
    } else if (!parser.is_done()) {
      keep_alive = false;  // the refused body is not read
    }
    if (draining_) keep_alive = false;
    const int status = response.status;
    stream.expires_after(options_.body_timeout);
    const bool sent = co_await Send(stream, std::move(response), keep_alive, version, head);
    if (match.endpoint) Count(*match.endpoint, status, started);
    co_return sent && keep_alive;
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
  asio::awaitable<bool> AnswerFromPool(Stream& stream, beast::flat_buffer& buffer, const Endpoint& endpoint, const Context& ctx, HttpRequest& request,
                                       std::shared_ptr<Cancellation> cancellation, HttpResponse& response, unsigned version, bool& keep_alive, bool head) {
    const auto executor = co_await asio::this_coro::executor;
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
        const bool streams = static_cast<bool>(produce);
        asio::post(executor, [=, made = std::move(made)]() mutable {
          *job_response = std::move(made);
          if (streams) job_response->stream = [](StreamWriter&) {};  // says "streamed"; the body comes through the channel
          *answered = true;
          headers_ready->expires_at(std::chrono::steady_clock::time_point::min());
        });
        if (!produce) return;
        try {
          produce(*channel);
        } catch (const Error& e) {
          if (e.code() != Code::kCancelled) Log(LogLevel::kWarning, "stream ended early", {{"path", endpoint.path}, {"error", e.message()}});
        } catch (const std::exception& e) {
          Log(LogLevel::kError, "stream failed", {{"path", endpoint.path}, {"error", e.what()}});
        }
        channel->Finish();
      });
    } catch (const Error& e) {
      Track(cancellation, false);
      response = ErrorResponse(e);
      co_return false;
    }
    WatchForDisconnect(stream, channel, answered);
    boost::system::error_code error;
    stream.expires_never();
    while (!*answered) {
      co_await headers_ready->async_wait(asio::redirect_error(use_awaitable, error));
      error.clear();
    }
    response = std::move(*job_response);
    bool streamed = false;
    if (response.stream) {
      streamed = true;
      if (!co_await SendStream(stream, response, *channel, version, keep_alive, head)) {
        keep_alive = false;
        channel->Close();
        std::string rest;
        while (co_await channel->Take(rest)) {
        }
      }
    }
    stream.socket().cancel(error);  // ends the watch
    (void)buffer;
    Track(cancellation, false);
    co_return streamed;
  }

  /// Readable without bytes means the peer closed. A pipelined request means it is still there: the watch then ends.
  static void WatchForDisconnect(Stream& stream, std::shared_ptr<Channel> channel, std::shared_ptr<bool> answered) {
    auto& socket = stream.socket();
    socket.async_wait(asio::socket_base::wait_read, [&socket, channel, answered](boost::system::error_code error) {
      if (error) return;
      char byte;
      if (::recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) channel->Close();
    });
  }

  void Track(const std::shared_ptr<Cancellation>& cancellation, bool add) {
    const std::lock_guard lock(cancellations_mutex_);
    if (add) cancellations_.insert(cancellation);
    else cancellations_.erase(cancellation);
  }

  /// The status line and headers, to the empty line. One text and one write per response: Beast's serializer costs a third of a small request.
  static std::string FormatHead(const HttpResponse& response, bool keep_alive, unsigned version, std::optional<std::size_t> length) {
    std::string out;
    out.reserve(256 + response.body.size());
    const int status = response.status == 499 ? 400 : response.status;
    out += version == 10 ? "HTTP/1.0 " : "HTTP/1.1 ";
    out += std::to_string(status);
    out += ' ';
    out += std::string_view(http::obsolete_reason(static_cast<http::status>(status)));
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

  static asio::awaitable<bool> Send(Stream& stream, HttpResponse response, bool keep_alive, unsigned version, bool head) {
    const bool bodiless = response.status == 204 || response.status == 304;
    auto bytes = FormatHead(response, keep_alive, version, bodiless ? 0 : response.body.size());
    if (!head && !bodiless) bytes += response.body;
    boost::system::error_code error;
    co_await asio::async_write(stream, asio::buffer(bytes), asio::redirect_error(use_awaitable, error));
    co_return !error;
  }

  static asio::awaitable<bool> SendStream(Stream& stream, const HttpResponse& response, Channel& channel, unsigned version, bool keep_alive, bool head) {
    const bool chunked = version != 10;
    const auto header = FormatHead(response, keep_alive && chunked, version, std::nullopt);
    boost::system::error_code error;
    co_await asio::async_write(stream, asio::buffer(header), asio::redirect_error(use_awaitable, error));
    if (error) co_return false;
    std::string bytes;
    while (co_await channel.Take(bytes)) {
      if (head) continue;
      stream.expires_after(std::chrono::seconds(60));  // a reader that takes nothing for a minute is gone
      if (chunked) co_await asio::async_write(stream, http::make_chunk(asio::buffer(bytes)), asio::redirect_error(use_awaitable, error));
      else co_await asio::async_write(stream, asio::buffer(bytes), asio::redirect_error(use_awaitable, error));
      if (error) co_return false;
      stream.expires_never();
    }
    if (!chunked) co_return false;  // HTTP/1.0 ends a stream by closing
    co_await asio::async_write(stream, http::make_chunk_last(), asio::redirect_error(use_awaitable, error));
    co_return !error;
  }

  void Count(const Endpoint& endpoint, int status, std::chrono::steady_clock::time_point started) {
    latency_.at(&endpoint)->Observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
    requests_.at({&endpoint, std::clamp(status / 100, 2, 5)})->Add();
  }

  const HttpServerOptions options_;
  const Router router_;
  const Authenticator authenticate_;
  Metrics& metrics_;
  const Clock& clock_;
  std::map<const Endpoint*, Histogram*> latency_;
  std::map<std::pair<const Endpoint*, int>, Counter*> requests_;
  std::vector<std::unique_ptr<asio::io_context>> contexts_;
  std::optional<asio::ip::tcp::acceptor> acceptor_;
  std::optional<asio::local::stream_protocol::acceptor> local_acceptor_;
  std::vector<std::thread> threads_;
  std::atomic<std::size_t> connections_{0};
  std::atomic<int> busy_{0};
  std::atomic<bool> draining_{false}, stopped_{false};
  std::mutex cancellations_mutex_;
  std::set<std::shared_ptr<Cancellation>> cancellations_;
  ThreadPool pool_;  // last: its jobs use all of the above
};

HttpServer::HttpServer(HttpServerOptions options, Router router, Authenticator authenticate, Metrics& metrics, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(router), std::move(authenticate), metrics, clock)) {}
HttpServer::~HttpServer() = default;
std::uint16_t HttpServer::port() const { return impl_->port(); }
void HttpServer::Stop() { impl_->Stop(); }

}  // namespace tenfold
