#include "base/byte_stream.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tenfold {
namespace {

constexpr int kSliceMs = 50;

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

bool IsAddress(const std::string& host) { return host.find(':') != std::string::npos || host.find_first_not_of("0123456789.") == std::string::npos; }

}  // namespace

bool IsLoopbackName(std::string_view host) {
  return host == "localhost" || host == "::1" || (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos);
}

// TLS runs over memory: what is to be sent goes through send(), which unlike write() raises no SIGPIPE, and every wait is ours.
struct ByteStream::State {
  std::string host;
  std::uint16_t port = 0;
  int fd = -1;
  bool ended = false;
  std::unique_ptr<SSL_CTX, FreeSsl> context;
  std::unique_ptr<SSL, FreeSsl> ssl;

  ~State() {
    if (fd >= 0) ::close(fd);
  }

  [[noreturn]] void Throw(std::string_view doing, const std::string& problem) const {
    throw Error(Code::kUnavailable, std::string(doing) + " '" + host + ":" + std::to_string(port) + "': " + problem);
  }

  void Wait(const Context& ctx, short events) const {
    for (;;) {
      ctx.Check();
      pollfd wait{fd, events, 0};
      if (::poll(&wait, 1, kSliceMs) > 0) return;
    }
  }

  void Connect(const Context& ctx) {
    ctx.Check();
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    const auto service = std::to_string(port);
    // AI_ADDRCONFIG hides loopback where that is all there is.
    if (IsAddress(host) || IsLoopbackName(host)) hints.ai_flags = 0;
    if (const int rc = ::getaddrinfo(host.c_str(), service.c_str(), &hints, &found); rc != 0) Throw("resolve", ::gai_strerror(rc));
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> free(found, ::freeaddrinfo);
    std::string problem = "no address";
    for (const auto* at = found; at; at = at->ai_next) {
      if (fd >= 0) ::close(fd);
      fd = ::socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      if (fd < 0) {
        problem = std::strerror(errno);
        continue;
      }
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
      int error = 0;
      if (::connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
        error = errno;
        if (error == EINPROGRESS) {
          Wait(ctx, POLLOUT);
          socklen_t size = sizeof error;
          ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        }
      }
      if (error == 0) return;
      problem = std::strerror(error);
    }
    Throw("connect to", problem);
  }

  void SendAll(const Context& ctx, std::string_view bytes) {
    while (!bytes.empty()) {
      ctx.Check();
      const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent >= 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
      else if (errno == EAGAIN) Wait(ctx, POLLOUT);
      else if (errno != EINTR) Throw("send to", std::strerror(errno));
    }
  }

  void SendFromTls(const Context& ctx) {
    char* bytes = nullptr;
    const auto size = BIO_get_mem_data(SSL_get_wbio(ssl.get()), &bytes);
    if (size <= 0) return;
    const std::string copy(bytes, static_cast<std::size_t>(size));
    (void)BIO_reset(SSL_get_wbio(ssl.get()));
    SendAll(ctx, copy);
  }

  std::optional<std::size_t> Receive(char* to, std::size_t size) {
    if (ended) return 0;
    for (;;) {
      const auto got = ::recv(fd, to, size, 0);
      if (got == 0) ended = true;
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno == EAGAIN) return std::nullopt;
      if (errno != EINTR) Throw("read from", std::strerror(errno));
    }
  }

  /// Moves what the socket has into TLS. False if there was nothing.
  bool FeedTls() {
    char piece[16 << 10];
    const auto got = Receive(piece, sizeof piece);
    if (!got) return false;
    if (*got == 0) BIO_set_mem_eof_return(SSL_get_rbio(ssl.get()), 0);
    else BIO_write(SSL_get_rbio(ssl.get()), piece, static_cast<int>(*got));
    return true;
  }

  [[noreturn]] void ThrowTls(std::string_view doing) {
    const auto verified = SSL_get_verify_result(ssl.get());
    const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
    const std::string problem = verified != X509_V_OK ? X509_verify_cert_error_string(verified)
                                : ended               ? "the connection was closed"
                                : reason              ? reason
                                                      : "TLS failed";
    ERR_clear_error();
    Throw(doing, problem);
  }
};

ByteStream::ByteStream(const Context& ctx, const std::string& host, std::uint16_t port, Tls tls) : state_(new State) {
  state_->host = host;
  state_->port = port;
  state_->Connect(ctx);
  if (tls == Tls::kOn) StartTls(ctx);
}
ByteStream::~ByteStream() = default;

void ByteStream::StartTls(const Context& ctx) {
  auto& state = *state_;
  char byte;
  if (::recv(state.fd, &byte, 1, MSG_PEEK) > 0) state.Throw("start TLS with", "the server spoke first");
  state.context.reset(SSL_CTX_new(TLS_client_method()));
  if (!state.context || SSL_CTX_set_default_verify_paths(state.context.get()) != 1) throw Error(Code::kInternal, "TLS: no context");
  SSL_CTX_set_min_proto_version(state.context.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(state.context.get(), SSL_VERIFY_PEER, nullptr);
  state.ssl.reset(SSL_new(state.context.get()));
  auto* const ssl = state.ssl.get();
  if (!ssl) throw Error(Code::kInternal, "TLS: no connection");
  auto* const parameters = SSL_get0_param(ssl);
  const bool named = IsAddress(state.host) ? X509_VERIFY_PARAM_set1_ip_asc(parameters, state.host.c_str()) == 1
                                           : SSL_set1_host(ssl, state.host.c_str()) == 1 && SSL_set_tlsext_host_name(ssl, state.host.c_str()) == 1;
  if (!named) throw Error(Code::kInternal, "TLS: the host name cannot be set");
  SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  for (auto* bio : {SSL_get_rbio(ssl), SSL_get_wbio(ssl)}) BIO_set_mem_eof_return(bio, -1);
  ERR_clear_error();
  for (;;) {
    const int rc = SSL_connect(ssl);
    const int error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl, rc);
    state.SendFromTls(ctx);
    if (rc == 1) return;
    if (error != SSL_ERROR_WANT_READ) state.ThrowTls("TLS handshake with");
    while (!state.FeedTls()) state.Wait(ctx, POLLIN);
  }
}

void ByteStream::Write(const Context& ctx, std::string_view bytes) {
  auto& state = *state_;
  if (!state.ssl) return state.SendAll(ctx, bytes);
  while (!bytes.empty()) {
    const int piece = static_cast<int>(std::min<std::size_t>(bytes.size(), 64 << 10));
    ERR_clear_error();
    // Writing into memory never waits; only a renegotiation would want to read first, and TLS 1.2 servers that ask for one are refused.
    if (SSL_write(state.ssl.get(), bytes.data(), piece) != piece) state.ThrowTls("send to");
    state.SendFromTls(ctx);
    bytes.remove_prefix(static_cast<std::size_t>(piece));
  }
}

std::optional<std::size_t> ByteStream::TryRead(char* to, std::size_t size) {
  auto& state = *state_;
  if (!state.ssl) return state.Receive(to, size);
  for (;;) {
    ERR_clear_error();
    std::size_t got = 0;
    if (SSL_read_ex(state.ssl.get(), to, size, &got) == 1) return got;
    const int error = SSL_get_error(state.ssl.get(), 0);
    if (error == SSL_ERROR_ZERO_RETURN) return 0;
    // An end without TLS's own goodbye may be an attacker's cut: it is an error, never an end.
    if (error != SSL_ERROR_WANT_READ || state.ended) state.ThrowTls("read from");
    if (!state.FeedTls()) return std::nullopt;
  }
}

std::size_t ByteStream::Read(const Context& ctx, char* to, std::size_t size) {
  for (;;) {
    ctx.Check();
    if (const auto got = TryRead(to, size)) return *got;
    if (state_->ssl) state_->SendFromTls(ctx);
    state_->Wait(ctx, POLLIN);
  }
}

int ByteStream::descriptor() const { return state_->fd; }
bool ByteStream::has_buffered() const { return state_->ssl && (SSL_pending(state_->ssl.get()) > 0 || BIO_pending(SSL_get_rbio(state_->ssl.get())) > 0); }

}  // namespace tenfold
