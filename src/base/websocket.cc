// WebSocket (RFC 6455) by Beast over a Connection. Compression is not offered: messages are short, and its memory per socket is not.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include "base/http_connection.h"
#include "base/log.h"

namespace tenfold {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
constexpr auto kAwait = asio::as_tuple(asio::deferred);

template <class Next>
class Conversation {
 public:
  Conversation(Next& next, Channel& channel) : stream_(next), channel_(channel) {}

  asio::awaitable<void> Run(Connection& connection, const HttpRequest& request, const Endpoint& endpoint, const Context& ctx, std::shared_ptr<WebSocket> socket,
                            const std::function<void()>& check) {
    using namespace asio::experimental::awaitable_operators;
    // A peer that answers no ping for half a minute is gone.
    stream_.set_option(websocket::stream_base::timeout{std::chrono::seconds(10), std::chrono::seconds(30), true});
    stream_.read_message_max(endpoint.body_limit_bytes);
    beast::http::request<beast::http::empty_body> upgrade(beast::http::verb::get, "/", 11);
    for (const auto& [name, value] : request.headers) upgrade.insert(name, value);
    const auto [error] = co_await stream_.async_accept(upgrade, kAwait);
    if (error) co_return;
    const auto take = endpoint.websocket(ctx, std::move(socket));
    connection.set_goodbye([this] { stream_.async_close(websocket::close_reason(websocket::close_code::going_away, "reconnect"), asio::detached); });
    co_await (Receive(take, check) && Send());
    connection.set_goodbye(nullptr);
  }

 private:
  asio::awaitable<void> Receive(const std::function<void(std::string)>& take, const std::function<void()>& check) {
    beast::flat_buffer buffer;
    for (;;) {
      const auto [error, n] = co_await stream_.async_read(buffer, kAwait);
      if (error) break;
      if (!stream_.got_text()) {
        co_await stream_.async_close(websocket::close_reason(websocket::close_code::unknown_data, "only text messages are understood"), kAwait);
        break;
      }
      std::string refused;
      try {
        check();
      } catch (const Error& e) {
        refused = e.message().substr(0, 120);
      }
      if (!refused.empty()) {
        co_await stream_.async_close(websocket::close_reason(websocket::close_code::policy_error, refused), kAwait);
        break;
      }
      try {
        take(beast::buffers_to_string(buffer.data()));
      } catch (const std::exception& e) {
        Log(LogLevel::kError, "WebSocket message failed", {{"error", e.what()}});
      }
      buffer.consume(buffer.size());
    }
    channel_.Close();
    channel_.Finish();
  }

  asio::awaitable<void> Send() {
    std::vector<std::string> messages;
    bool open = true;
    stream_.text(true);
    while (co_await channel_.Take(messages)) {
      for (std::size_t i = 0; open && i < messages.size(); ++i) {
        const auto [error, n] = co_await stream_.async_write(asio::buffer(messages[i]), kAwait);
        open = !error;
      }
      if (!open) channel_.Close();
    }
  }

  websocket::stream<Next&> stream_;
  Channel& channel_;
};

}  // namespace

asio::awaitable<void> ServeWebSocket(Connection& connection, const HttpRequest& request, const Endpoint& endpoint, const Context& ctx, std::shared_ptr<Channel> channel,
                                     std::shared_ptr<WebSocket> socket, std::function<void()> check) {
  if (auto* tls = connection.tls()) {
    Conversation conversation(*tls, *channel);
    co_await conversation.Run(connection, request, endpoint, ctx, std::move(socket), check);
  } else {
    Conversation conversation(connection.socket(), *channel);
    co_await conversation.Run(connection, request, endpoint, ctx, std::move(socket), check);
  }
}

}  // namespace tenfold
