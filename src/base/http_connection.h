#pragma once
/// \file What http_server.cc and websocket.cc share: an accepted socket, plain or TLS, and the parser that fills an HttpRequest. Private to base.
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>

#include "base/error.h"
#include "base/http.h"

namespace tenfold {

/// An accepted socket with one deadline. No operation has a timer of its own: the loop's sweep cancels what is late, so a request costs no timer.
/// Threads: its loop's.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t kReadBytes = 8 << 10;

  Connection(Socket socket, boost::asio::ssl::context* tls, std::string remote, bool local);

  const std::string& remote() const { return remote_; }
  /// Came over the data folder's own socket.
  bool local() const { return local_; }
  bool expired() const { return expired_; }
  boost::asio::any_io_executor executor() { return socket_.get_executor(); }
  /// What was read and not yet consumed.
  boost::beast::flat_buffer& buffer() { return buffer_; }
  Socket& socket() { return socket_; }
  boost::asio::ssl::stream<Socket&>* tls() { return tls_ ? &*tls_ : nullptr; }

  void ExpireAfter(std::chrono::milliseconds time) { deadline_ = std::chrono::steady_clock::now() + time, expired_ = false; }
  /// What the sweep does instead of cutting the connection off, and what GoAway does. Called once.
  void set_goodbye(std::function<void()> goodbye);
  /// Lets a conversation that would not end by itself end now.
  void GoAway();
  void ExpireNever() { deadline_ = Time::max(), expired_ = false; }
  void Sweep(Time now);

  /// The TLS handshake, if there is one.
  boost::asio::awaitable<bool> Handshake();
  /// Waits for bytes and appends them to buffer(). False at the end of the stream, on an error, or once the deadline has passed.
  boost::asio::awaitable<bool> Read();
  /// Sends what the socket takes now and removes it from `bytes`. False on an error.
  bool TryWrite(std::string_view& bytes);
  /// Sends all. False on an error or once the deadline has passed.
  boost::asio::awaitable<bool> Write(std::string_view bytes);
  /// Says goodbye and waits shortly for the peer's: closing over unread bytes would reset the connection, and the client might never see why it was
  /// refused (RFC 9112, section 9.6).
  boost::asio::awaitable<void> Linger();

  /// Reads ahead while a handler works. What comes is the next request; the end of the stream means that the client left.
  void StartWatch(std::function<void()> left);
  boost::asio::awaitable<void> StopWatch();

 private:
  Socket socket_;
  std::optional<boost::asio::ssl::stream<Socket&>> tls_;
  const std::string remote_;
  const bool local_;
  boost::beast::flat_buffer buffer_;
  Time deadline_ = Time::max();
  std::function<void()> goodbye_;
  bool leaving_ = false;
  bool expired_ = false;
  bool watching_ = false;
};

/// Pieces on their way from a handler's thread to the connection's coroutine.
class Channel : public StreamWriter, public std::enable_shared_from_this<Channel> {
 public:
  static constexpr std::size_t kMaxPendingBytes = 256 << 10;
  Channel(boost::asio::any_io_executor executor, std::shared_ptr<Cancellation> cancellation);

  /// Waits while kMaxPendingBytes lie unsent. Errors: kCancelled once closed.
  void Write(std::string_view bytes) override;
  /// Never waits. False if the piece was not taken: closed, or the reader is that far behind.
  bool Offer(std::string_view bytes);
  /// The handler is done; `whole` false: by an error, which the client must be able to tell from an end.
  void Finish(bool whole = true);
  /// The client is gone or the server stops: cancels the work.
  void Close();
  /// What was written since, in order. False once all is taken and the handler has finished. I/O thread only.
  boost::asio::awaitable<bool> Take(std::vector<std::string>& out);
  /// Of a handler that has finished.
  bool whole();

 private:
  void Wake();
  boost::asio::steady_timer wake_;
  std::shared_ptr<Cancellation> cancellation_;
  std::mutex mutex_;
  std::condition_variable drained_;
  std::vector<std::string> pending_;
  std::size_t pending_bytes_ = 0;
  bool finished_ = false, whole_ = true, closed_ = false;
};

/// Fills an HttpRequest from the wire. The header alone is parsed until eager(true).
class RequestParser : public boost::beast::http::basic_parser<true> {
 public:
  explicit RequestParser(HttpRequest& request) : request_(request) {}
  /// 10 or 11.
  int version() const { return version_; }
  /// Why the target cannot be served, if it cannot.
  const std::optional<Error>& target_error() const { return target_error_; }

 private:
  using Text = boost::beast::string_view;
  using ErrorCode = boost::beast::error_code;
  void on_request_impl(boost::beast::http::verb, Text method, Text target, int version, ErrorCode&) override;
  void on_response_impl(int, Text, int, ErrorCode&) override {}
  void on_field_impl(boost::beast::http::field, Text name, Text value, ErrorCode&) override;
  void on_header_impl(ErrorCode&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>& length, ErrorCode&) override;
  std::size_t on_body_impl(Text body, ErrorCode&) override;
  void on_chunk_header_impl(std::uint64_t, Text, ErrorCode&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text body, ErrorCode& error) override { return on_body_impl(body, error); }
  void on_finish_impl(ErrorCode&) override {}
  void SetTarget(std::string_view target);

  HttpRequest& request_;
  int version_ = 11;
  std::optional<Error> target_error_;
};

/// Accepts the upgrade `request` asks for and carries messages both ways until one side ends it. `channel` is what the endpoint's WebSocket writes to.
/// `check` throws when the caller may no longer send: a key that is revoked ends its sockets at their next message, with 1008.
boost::asio::awaitable<void> ServeWebSocket(Connection& connection, const HttpRequest& request, const Endpoint& endpoint, const Context& ctx, std::shared_ptr<Channel> channel,
                                            std::shared_ptr<WebSocket> socket, std::function<void()> check);

}  // namespace tenfold
