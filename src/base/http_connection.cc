#include "base/http_connection.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/url.hpp>

namespace tenfold {

namespace asio = boost::asio;
namespace http = boost::beast::http;
// Awaits an operation without a coroutine frame of its own, errors as values.
constexpr auto kAwait = asio::as_tuple(asio::deferred);

Connection::Connection(Socket socket, asio::ssl::context* tls, std::string remote, bool local) : socket_(std::move(socket)), remote_(std::move(remote)), local_(local) {
  if (tls) tls_.emplace(socket_, *tls);
  boost::system::error_code ignored;
  socket_.non_blocking(true, ignored);
}

void Connection::Sweep(Time now) {
  if (expired_ || deadline_ > now) return;
  if (goodbye_) return GoAway();
  expired_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

void Connection::set_goodbye(std::function<void()> goodbye) {
  goodbye_ = std::move(goodbye);
  if (leaving_) GoAway();
}

void Connection::GoAway() {
  ExpireNever();
  leaving_ = true;
  if (const auto goodbye = std::exchange(goodbye_, nullptr)) goodbye();
}

asio::awaitable<bool> Connection::Handshake() {
  if (!tls_) co_return true;
  const auto [error] = co_await tls_->async_handshake(asio::ssl::stream_base::server, kAwait);
  co_return !error;
}

asio::awaitable<bool> Connection::Read() {
  if (expired_) co_return false;
  const auto space = buffer_.prepare(kReadBytes);
  if (tls_) {
    const auto [error, n] = co_await tls_->async_read_some(space, kAwait);
    buffer_.commit(n);
    co_return !error;
  }
  const auto [error, n] = co_await socket_.async_read_some(space, kAwait);
  buffer_.commit(n);
  co_return !error;
}

bool Connection::TryWrite(std::string_view& bytes) {
  if (expired_) return false;
  while (!tls_ && !bytes.empty()) {
    boost::system::error_code error;
    bytes.remove_prefix(socket_.write_some(asio::buffer(bytes), error));
    if (error == asio::error::would_block) return true;
    if (error) return false;
  }
  return true;
}

asio::awaitable<bool> Connection::Write(std::string_view bytes) {
  if (!TryWrite(bytes)) co_return false;
  if (bytes.empty()) co_return true;
  if (tls_) {
    const auto [error, n] = co_await asio::async_write(*tls_, asio::buffer(bytes), kAwait);
    co_return !error;
  }
  const auto [error, n] = co_await asio::async_write(socket_, asio::buffer(bytes), kAwait);
  co_return !error;
}

asio::awaitable<void> Connection::Linger() {
  constexpr std::size_t kLimit = 16 << 20;
  ExpireAfter(std::chrono::seconds(2));
  if (tls_) co_await tls_->async_shutdown(kAwait);
  boost::system::error_code error;
  socket_.shutdown(asio::socket_base::shutdown_send, error);
  buffer_.clear();
  for (std::size_t taken = 0; !error && !expired_ && taken < kLimit;) {
    const auto [failed, n] = co_await socket_.async_read_some(buffer_.prepare(kReadBytes), kAwait);
    error = failed;
    taken += n;
  }
}

void Connection::StartWatch(std::function<void()> left) {
  watching_ = true;
  auto done = [self = shared_from_this(), left = std::move(left)](boost::system::error_code error, std::size_t n) {
    self->watching_ = false;
    self->buffer_.commit(n);
    if (error && (error != asio::error::operation_aborted || self->expired_)) left();
  };
  const auto space = buffer_.prepare(kReadBytes);
  if (tls_) tls_->async_read_some(space, std::move(done));
  else socket_.async_read_some(space, std::move(done));
}

asio::awaitable<void> Connection::StopWatch() {
  boost::system::error_code ignored;
  if (watching_) socket_.cancel(ignored);
  while (watching_) co_await asio::post(socket_.get_executor(), asio::deferred);
}

Channel::Channel(asio::any_io_executor executor, std::shared_ptr<Cancellation> cancellation) : wake_(executor), cancellation_(std::move(cancellation)) {
  wake_.expires_at(std::chrono::steady_clock::time_point::max());
}

void Channel::Write(std::string_view bytes) {
  std::unique_lock lock(mutex_);
  drained_.wait(lock, [&] { return pending_bytes_ < kMaxPendingBytes || closed_; });
  if (closed_) throw Error(Code::kCancelled, "the client left");
  pending_.emplace_back(bytes);
  pending_bytes_ += bytes.size();
  lock.unlock();
  Wake();
}

bool Channel::Offer(std::string_view bytes) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || pending_bytes_ >= kMaxPendingBytes) return false;
    pending_.emplace_back(bytes);
    pending_bytes_ += bytes.size();
  }
  Wake();
  return true;
}

void Channel::Finish(bool whole) {
  {
    const std::lock_guard lock(mutex_);
    finished_ = true;
    whole_ = whole;
  }
  Wake();
}

void Channel::Close() {
  cancellation_->Cancel();
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  drained_.notify_all();
}

asio::awaitable<bool> Channel::Take(std::vector<std::string>& out) {
  out.clear();
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (!pending_.empty()) {
        out.swap(pending_);
        pending_bytes_ = 0;
        drained_.notify_all();
        co_return true;
      }
      if (finished_) co_return false;
    }
    co_await wake_.async_wait(kAwait);
    wake_.expires_at(std::chrono::steady_clock::time_point::max());
  }
}

bool Channel::whole() {
  const std::lock_guard lock(mutex_);
  return whole_;
}

void Channel::Wake() {
  asio::post(wake_.get_executor(), [self = shared_from_this()] { self->wake_.expires_at(std::chrono::steady_clock::time_point::min()); });
}

void RequestParser::on_request_impl(http::verb, Text method, Text target, int version, ErrorCode&) {
  request_.method.assign(method.data(), method.size());
  version_ = version;
  try {
    SetTarget({target.data(), target.size()});
  } catch (const Error& error) {
    target_error_ = error;
  }
}

void RequestParser::SetTarget(std::string_view target) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '_' || c == '-' || c == '.'; };
  if (target.starts_with('/') && std::all_of(target.begin(), target.end(), plain)) {
    request_.path = target;
    return;
  }
  const auto parsed = boost::urls::parse_origin_form(target);
  if (!parsed) throw Error(Code::kInvalidArgument, "the request target is not a valid path");
  const boost::urls::url_view url = *parsed;
  request_.path = url.encoded_path().decode();
  if (!IsUtf8(request_.path) || request_.path.find('\0') != std::string::npos) throw Error(Code::kInvalidArgument, "the path is not valid UTF-8");
  for (const auto& parameter : url.params()) request_.query.emplace(parameter.key, parameter.value);
}

void RequestParser::on_field_impl(http::field, Text name, Text value, ErrorCode&) {
  auto& [lower, text] = request_.headers.emplace_back();
  lower.assign(name.data(), name.size());
  for (auto& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  text.assign(value.data(), value.size());
}

void RequestParser::on_body_init_impl(const boost::optional<std::uint64_t>& length, ErrorCode&) {
  // Memory follows what arrives, not what is announced.
  if (length) request_.body.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(*length, 1 << 20)));
}

std::size_t RequestParser::on_body_impl(Text body, ErrorCode&) {
  request_.body.append(body.data(), body.size());
  return body.size();
}

}  // namespace tenfold
