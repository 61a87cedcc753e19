#include "interface/chat_socket.h"

#include <mutex>
#include <set>

#include "base/log.h"
#include "interface/turn.h"

namespace tenfold::interface {
namespace {

using namespace std::chrono_literals;

struct ClientFrame {
  std::string type;
  std::string requestId;
  std::string id;  ///< of the chat; not in an abort
};
TENFOLD_DESCRIBE(ClientFrame, (type, Required{}, Length{1, 16}), (requestId, Required{}, Length{1, 128}), (id, Length{0, 128}))

class ChatSocket : public std::enable_shared_from_this<ChatSocket> {
 public:
  static constexpr std::size_t kMaxRequests = 8;
  static constexpr auto kRequestTime = 300s;

  ChatSocket(std::shared_ptr<const ChatParts> on, Context ctx, std::shared_ptr<WebSocket> socket) : on_(std::move(on)), ctx_(std::move(ctx)), socket_(std::move(socket)) {}

  /// On the I/O thread: opens the request and hands it to the pool.
  void Take(const std::string& message) {
    ClientFrame frame;
    try {
      const auto json = ParseJson(message);
      frame = FromJson<ClientFrame>(json, Unknown::kIgnore);
      if (frame.type == "abort") return Abort(frame.requestId);
      if (frame.type != "send" && frame.type != "resume") throw Error(Code::kInvalidArgument, "type: is send, resume or abort", "type");
      Open(frame);
      try {
        socket_->Run([self = shared_from_this(), frame, json] { self->Answer(frame, json); });
      } catch (const Error&) {
        Close(frame.requestId);
        throw;
      }
    } catch (const Error& e) {
      socket_->Offer(FrameText("error", frame.requestId, {{"errorText", e.message()}}));
    }
  }

 private:
  static std::string FrameText(std::string_view type, const std::string& request, JsonObject more = {}) {
    JsonObject frame{{"type", boost::json::string(type)}, {"requestId", request}};
    for (auto& [key, value] : more) frame[key] = std::move(value);
    return ToText(frame);
  }

  void Open(const ClientFrame& frame) {
    const std::lock_guard lock(mutex_);
    if (requests_.size() >= kMaxRequests) throw Error(Code::kResourceExhausted, "at most " + std::to_string(kMaxRequests) + " requests are answered at once on one socket");
    if (!requests_.emplace(frame.requestId, frame.id).second) throw Error(Code::kAlreadyExists, "requestId: is in use on this socket", "requestId");
  }

  void Close(const std::string& request) {
    const std::lock_guard lock(mutex_);
    requests_.erase(request);
  }

  /// Stops the turn; its stream then ends by itself.
  void Abort(const std::string& request) {
    std::string chat;
    {
      const std::lock_guard lock(mutex_);
      const auto found = requests_.find(request);
      if (found == requests_.end()) return;
      chat = found->second;
    }
    socket_->Run([self = shared_from_this(), chat] {
      try {
        StopTurn(*self->on_, self->ctx_.WithTimeout(kRequestTime), chat);
      } catch (const Error& e) {
        Log(LogLevel::kWarning, "a turn could not be stopped", {{"error", e.message()}});
      }
    });
  }

  /// On the request pool.
  void Answer(const ClientFrame& frame, const Json& message) {
    try {
      const auto ctx = ctx_.WithTimeout(kRequestTime);
      const auto turn = frame.type == "send" ? StartTurn(*on_, ctx, FromJson<ChatRequest>(message, Unknown::kIgnore)) : FindTurnInProgress(*on_, ctx, frame.id);
      if (!turn) socket_->Send(FrameText("no-active", frame.requestId));
      else Follow(ctx, frame.requestId, *turn);
    } catch (const Error& e) {
      if (e.code() != Code::kCancelled) Fail(frame.requestId, e.message());
    } catch (const std::exception& e) {
      Log(LogLevel::kError, "chat request failed", {{"error", e.what()}});
      Fail(frame.requestId, "internal error; the server's log says more");
    }
    Close(frame.requestId);
  }

  void Follow(const Context& ctx, const std::string& request, const Turn& turn) {
    socket_->Send(FrameText("start", request));
    std::int64_t sequence = 0;
    const auto write = [&](const std::vector<Json>& parts) {
      for (const auto& part : parts) socket_->Send(FrameText("chunk", request, {{"sequence", sequence++}, {"chunk", part}}));
    };
    FollowTurn(*on_, ctx, turn, write, [] {});
    socket_->Send(FrameText("end", request));
  }

  void Fail(const std::string& request, const std::string& why) { socket_->Offer(FrameText("error", request, {{"errorText", why}})); }

  const std::shared_ptr<const ChatParts> on_;
  const Context ctx_;
  const std::shared_ptr<WebSocket> socket_;
  std::mutex mutex_;
  std::map<std::string, std::string> requests_;  ///< request -> chat
};

}  // namespace

Endpoint MakeChatSocketEndpoint(std::shared_ptr<const ChatParts> parts) {
  Endpoint row{"GET", "/api/chat/socket", Access::kUser, 12h, "The chat over a WebSocket, as the AI SDK's WebSocketChatTransport speaks it.", {}, RunsOn::kIo, 1u << 20};
  row.websocket = [on = std::move(parts)](const Context& ctx, std::shared_ptr<WebSocket> socket) -> std::function<void(std::string)> {
    return [chat = std::make_shared<ChatSocket>(on, ctx, std::move(socket))](const std::string& message) { chat->Take(message); };
  };
  return row;
}

}  // namespace tenfold::interface
