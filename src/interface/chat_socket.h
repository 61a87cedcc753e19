#pragma once
/// \file The chat over one WebSocket, as the AI SDK's WebSocketChatTransport speaks it: several turns at once, resumed and stopped by request id.
/// Source: shared protocol notes 02 and 10, read from npm ai 7.0.
#include <memory>

#include "interface/chat.h"

namespace tenfold::interface {

/// GET /api/chat/socket. Client: send, resume, abort. Server: start, chunk (numbered from 0), end, error, no-active.
Endpoint MakeChatSocketEndpoint(std::shared_ptr<const ChatParts> parts);

}  // namespace tenfold::interface
