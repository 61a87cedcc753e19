#include "base/http_client.h"

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/url.hpp>
#include <mutex>
#include <optional>

namespace tenfold {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Tcp = asio::ip::tcp;
constexpr auto kSlice = std::chrono::milliseconds(50);
constexpr auto kMaxIdleTime = std::chrono::seconds(30);

struct Target {
  bool tls = false;
  std::string host, port, path;
  AddressPolicy addresses = AddressPolicy::kAny;  // a connection that was opened under another policy is another one
  bool operator==(const Target& other) const { return tls == other.tls && host == other.host && port == other.port && addresses == other.addresses; }
};

Target ParseUrl(const std::string& url, AddressPolicy addresses) {
  CheckUrl(url, addresses);
  const auto parsed = boost::urls::parse_uri(url);
  if (!parsed || (parsed->scheme() != "http" && parsed->scheme() != "https") || parsed->host().empty())
    throw Error(Code::kInvalidArgument, "'" + url.substr(0, 200) + "' is not an http: or https: URL", "url");
  Target target;
  target.addresses = addresses;
  target.tls = parsed->scheme() == "https";
  target.host = parsed->host_address();
  target.port = parsed->has_port() && !parsed->port().empty() ? std::string(parsed->port()) : target.tls ? "443" : "80";
  target.path = parsed->encoded_target().empty() ? "/" : std::string(parsed->encoded_target());
  return target;
}

bool IsCredential(std::string_view header) {
  return beast::iequals(header, "authorization") || beast::iequals(header, "proxy-authorization") || beast::iequals(header, "cookie") || beast::iequals(header, "x-api-key") || beast::iequals(header, "api-key");
}

/// A connection whose every wait ends at the context's deadline or cancellation.
class Connection {
 public:
  explicit Connection(const Target& target) : target_(target), tls_context_(asio::ssl::context::tls_client), resolver_(io_), stream_(io_, tls_context_) {
    if (!target.tls) return;
    tls_context_.set_default_verify_paths();  // reads all of the system's certificates
    tls_context_.set_verify_mode(asio::ssl::verify_peer);
    SSL_CTX_set_min_proto_version(tls_context_.native_handle(), TLS1_2_VERSION);
  }

  const Target& target() const { return target_; }
  /// For whom it works from now on; must outlive that work.
  void Attach(const Context& ctx) { ctx_ = &ctx; }
  void Detach() {
    ctx_ = nullptr;
    idle_since_ = std::chrono::steady_clock::now();
  }
  /// Whether an idle one can still be used: not for long, not closed by the peer, and nothing came that nobody asked for.
  bool usable() {
    char byte;
    return std::chrono::steady_clock::now() - idle_since_ < kMaxIdleTime && ::recv(stream_.next_layer().socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }

  void Open() {
    Tcp::resolver::results_type found;
    Await("resolve", [&](auto done) { resolver_.async_resolve(target_.host, target_.port, [&found, done](beast::error_code error, Tcp::resolver::results_type results) mutable { found = std::move(results); done(error); }); });
    // One address that is not allowed is enough: a name that has both kinds is how a resolver is led to the other one.
    for (const auto& entry : found) {
      const auto address = entry.endpoint().address();
      if (address.is_v4()) CheckAddress(address.to_v4().to_bytes(), target_.host, target_.addresses);
      else CheckAddress(address.to_v6().to_bytes(), target_.host, target_.addresses);
    }
    Await("connect to", [&](auto done) { stream_.next_layer().async_connect(found, [done](beast::error_code error, const Tcp::endpoint&) mutable { done(error); }); });
    if (!target_.tls) return;
    // The stream was made before the verification was configured; its own SSL takes the settings from here.
    SSL_set_verify(stream_.native_handle(), SSL_VERIFY_PEER, nullptr);
    stream_.set_verify_callback(asio::ssl::host_name_verification(target_.host));
    if (!SSL_set_tlsext_host_name(stream_.native_handle(), target_.host.c_str())) throw Error(Code::kInternal, "TLS: the host name cannot be set");
    Await("TLS handshake with", [&](auto done) { stream_.async_handshake(asio::ssl::stream_base::client, [done](beast::error_code error) mutable { done(error); }); });
  }

  template <class Start>
  void OnStream(std::string_view doing, bool end_is_fine, Start&& start) {
    end_is_fine_ = end_is_fine;
    if (target_.tls) Await(doing, [&](auto done) { start(stream_, done); });
    else Await(doing, [&](auto done) { start(stream_.next_layer(), done); });
  }

 private:
  template <class Start>
  void Await(std::string_view doing, Start&& start) {
    ctx_->Check();  // also where every wait ends at once, as with a server that never stops talking
    std::optional<beast::error_code> result;
    start([&result](beast::error_code error) { result = error; });
    io_.restart();
    while (!result) {
      io_.run_one_for(kSlice);
      if (result) break;
      if (ctx_->done()) {
        resolver_.cancel();
        beast::error_code ignored;
        stream_.next_layer().socket().close(ignored);
        while (!result && io_.run_one() > 0) {
        }
        ctx_->Check();
      }
    }
    if (!*result || (end_is_fine_ && *result == http::error::end_of_stream)) return;
    if (*result == http::error::body_limit) throw Error(Code::kResourceExhausted, "the answer of '" + target_.host + "' is larger than the limit");
    throw Error(Code::kUnavailable, std::string(doing) + " '" + target_.host + ":" + target_.port + "': " + result->message());
  }

  const Context* ctx_ = nullptr;
  const Target target_;
  std::chrono::steady_clock::time_point idle_since_;
  bool end_is_fine_ = false;
  asio::io_context io_{1};
  asio::ssl::context tls_context_;
  Tcp::resolver resolver_;
  asio::ssl::stream<beast::tcp_stream> stream_;
};

/// Connections left open after a whole answer, for the next request to the same place. Threads: safe.
class IdleConnections {
 public:
  static IdleConnections& Get() {
    static auto* const all = new IdleConnections;  // never destroyed: a thread may still fetch while the program ends
    return *all;
  }
  /// The one used last, or null.
  std::unique_ptr<Connection> Take(const Target& target) {
    const std::lock_guard lock(mutex_);
    std::erase_if(idle_, [](const auto& one) { return !one->usable(); });
    for (auto at = idle_.rbegin(); at != idle_.rend(); ++at)
      if ((*at)->target() == target) {
        auto found = std::move(*at);
        idle_.erase(std::next(at).base());
        return found;
      }
    return nullptr;
  }
  void Keep(std::unique_ptr<Connection> connection) {
    connection->Detach();
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(connection));
    if (idle_.size() > kMaxIdle) idle_.erase(idle_.begin());
  }

 private:
  static constexpr std::size_t kMaxIdle = 32;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;
};

HttpClientResponse FetchOnce(const Context& ctx, const Target& target, const HttpClientRequest& request) {
  http::request<http::string_body> out;
  out.version(11);
  out.method_string(request.method);
  out.target(target.path);
  const auto host = target.host.find(':') == std::string::npos ? target.host : "[" + target.host + "]";
  out.set(http::field::host, target.port == (target.tls ? "443" : "80") ? host : host + ":" + target.port);
  out.set(http::field::user_agent, "tenfold/0.1");
  for (const auto& [name, value] : request.headers) {
    if (name.find_first_of("\r\n: ") != std::string::npos || value.find_first_of("\r\n") != std::string::npos) throw Error(Code::kInvalidArgument, "header '" + name.substr(0, 64) + "' holds a character that headers may not", "headers");
    out.set(name, value);
  }
  out.body() = request.body;
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") out.prepare_payload();

  auto kept = IdleConnections::Get().Take(target);
  const bool fresh = !kept;
  if (fresh) kept = std::make_unique<Connection>(target);
  auto& connection = *kept;
  connection.Attach(ctx);
  if (fresh) connection.Open();
  connection.OnStream("send to", false, [&](auto& stream, auto done) { http::async_write(stream, out, [done](beast::error_code error, std::size_t) mutable { done(error); }); });
  beast::flat_buffer buffer;
  std::optional<http::response_parser<http::buffer_body>> reading;
  do {  // an interim answer (RFC 9110, section 15.2) comes before the answer
    auto& parser = reading.emplace();
    parser.header_limit(64 << 10);
    parser.body_limit(request.response_limit_bytes);
    if (request.method == "HEAD") parser.skip(true);  // says how long the body would be, and has none
    connection.OnStream("read from", false, [&](auto& stream, auto done) { http::async_read_header(stream, buffer, parser, [done](beast::error_code error, std::size_t) mutable { done(error); }); });
  } while (reading->get().result_int() / 100 == 1 && reading->get().result() != http::status::switching_protocols);
  auto& parser = *reading;
  HttpClientResponse response;
  response.status = parser.get().result_int();
  for (const auto& field : parser.get()) {
    std::string name(field.name_string());
    for (auto& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    response.headers.emplace_back(std::move(name), std::string(field.value()));
  }
  const bool streams = request.on_data && response.status >= 200 && response.status < 300;
  std::vector<char> piece(64 << 10);
  while (!parser.is_done()) {
    parser.get().body().data = piece.data();
    parser.get().body().size = piece.size();
    connection.OnStream("read from", false, [&](auto& stream, auto done) {
      http::async_read_some(stream, buffer, parser, [done](beast::error_code error, std::size_t) mutable {
        if (error == http::error::need_buffer) error = {};
        done(error);
      });
    });
    const std::string_view got(piece.data(), piece.size() - parser.get().body().size);
    if (got.empty()) continue;
    if (streams) request.on_data(got);
    else response.body += got;
  }
  if (parser.get().keep_alive() && buffer.size() == 0) IdleConnections::Get().Keep(std::move(kept));
  return response;
}

}  // namespace

std::string_view HttpClientResponse::header(std::string_view lower_name) const {
  for (const auto& [name, value] : headers)
    if (name == lower_name) return value;
  return {};
}

HttpClientResponse Fetch(const Context& ctx, const HttpClientRequest& request) {
  auto next = request;
  auto target = ParseUrl(request.url, request.addresses);
  for (int redirects = 0;; ++redirects) {
    auto response = FetchOnce(ctx, target, next);
    const auto location = response.header("location");
    if (response.status < 301 || response.status > 308 || response.status == 304 || location.empty() || request.redirects == HttpClientRequest::Redirects::kReturn) return response;
    if (redirects == request.max_redirects) throw Error(Code::kUnavailable, "'" + target.host + "' redirects more than " + std::to_string(request.max_redirects) + " times");
    const auto base = boost::urls::parse_uri(next.url);
    const auto reference = boost::urls::parse_uri_reference(location);
    boost::urls::url resolved;
    if (!reference || !boost::urls::resolve(*base, *reference, resolved)) throw Error(Code::kUnavailable, "'" + target.host + "' redirects to something that is no URL");
    next.url = resolved.buffer();
    const auto moved = ParseUrl(next.url, request.addresses);
    if (target.tls && !moved.tls) throw Error(Code::kUnavailable, "'" + target.host + "' redirects from https: to http:, which is not followed");
    if (!(moved == target)) std::erase_if(next.headers, [](const auto& header) { return IsCredential(header.first); });
    if (response.status == 303) {
      next.method = "GET";
      next.body.clear();
    }
    target = moved;
  }
}

}  // namespace tenfold
