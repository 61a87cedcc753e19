#pragma once
/// \file A TCP connection to a server, with or without TLS, for protocols that are not HTTP. Sockets and OpenSSL stay in byte_stream.cc.
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/context.h"

namespace tenfold {

enum class Tls : std::uint8_t { kOff, kOn };

/// True for "localhost", 127.0.0.0/8 and ::1 as they are written: the only hosts that passwords may go to without TLS.
bool IsLoopbackName(std::string_view host);

/// Every wait ends at the Context's deadline or cancellation, at most 50 ms late; only looking a name up may wait as long as the system's resolver does.
/// Certificates and host names are always verified, against the system's roots (or $SSL_CERT_FILE), TLS 1.2 or newer. Errors: kUnavailable (no connection,
/// certificate, cut off), kDeadlineExceeded, kCancelled. Threads: one at a time.
class ByteStream {
 public:
  ByteStream(const Context& ctx, const std::string& host, std::uint16_t port, Tls tls);
  ~ByteStream();
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  /// TLS from here on, over a connection begun without. Errors: also kUnavailable if the server has sent something already that would be taken for part of it.
  void StartTls(const Context& ctx);
  void Write(const Context& ctx, std::string_view bytes);
  /// Waits for at least one byte. Nothing if the server has closed the connection.
  std::size_t Read(const Context& ctx, char* to, std::size_t size);
  /// Without waiting; no value if there is nothing yet, 0 if the server has closed the connection.
  std::optional<std::size_t> TryRead(char* to, std::size_t size);
  /// For an event loop: the socket, and whether bytes lie here that it no longer shows.
  int descriptor() const;
  bool has_buffered() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tenfold
