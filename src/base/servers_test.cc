#include "base/servers_testing.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/byte_stream.h"
#include "base/testing.h"

namespace tenfold {
namespace {

using namespace std::chrono_literals;

int ListenAnywhere(std::uint16_t& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::listen(fd, 4), 0);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  port = ntohs(address.sin_port);
  return fd;
}

TEST(FaultProxy, PassesRefusesAndStalls) {
  const auto ctx = Context::System("test").WithTimeout(10s);
  std::uint16_t port = 0;
  const int listening = ListenAnywhere(port);
  FaultProxy proxy(port);
  ByteStream client(ctx, "127.0.0.1", proxy.port(), Tls::kOff);
  pollfd wait{listening, POLLIN, 0};
  ASSERT_EQ(::poll(&wait, 1, 5000), 1);
  const int server = ::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC);
  client.Write(ctx, "tea");
  char bytes[8] = {};
  ASSERT_EQ(::recv(server, bytes, sizeof bytes, 0), 3);
  ASSERT_EQ(::send(server, "milk", 4, 0), 4);
  EXPECT_EQ(client.Read(ctx, bytes, sizeof bytes), 4u);
  proxy.Set(FaultProxy::Mode::kStall);
  ASSERT_EQ(::send(server, "salt", 4, 0), 4);
  EXPECT_EQ(CodeOf([&] { client.Read(ctx.WithTimeout(50ms), bytes, sizeof bytes); }), Code::kDeadlineExceeded);
  proxy.Set(FaultProxy::Mode::kPass);
  EXPECT_EQ(client.Read(ctx, bytes, sizeof bytes), 4u);
  proxy.Set(FaultProxy::Mode::kRefuse);
  EXPECT_EQ(client.Read(ctx, bytes, sizeof bytes), 0u);
  ::close(server);
  ::close(listening);
}

}  // namespace
}  // namespace tenfold
