#include "serving/grpc_server.h"

#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <future>
#include <latch>
#include <thread>

namespace tenfold::serving {
namespace {

using namespace std::chrono_literals;

grpc::ByteBuffer Bytes(std::string_view text) {
  const grpc::Slice slice(text.data(), text.size());
  return {&slice, 1};
}
std::string Text(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  if (!bytes.Dump(&slices).ok()) return "?";
  std::string out;
  for (const auto& slice : slices) out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return out;
}

struct Answer {
  grpc::Status status;
  std::string text;
};

class GrpcServerTest : public testing::Test {
 protected:
  void Serve(std::vector<GrpcMethod> methods, std::size_t threads = 4, std::size_t queue = 16) {
    pool_.emplace("test", threads, queue);
    server_.emplace(GrpcServerOptions{.message_limit_bytes = 64 << 10, .drain_timeout = 0ms}, std::move(methods), Authenticate, *pool_, metrics_, SystemClock());
    channel_ = grpc::CreateChannel("127.0.0.1:" + std::to_string(server_->port()), grpc::InsecureChannelCredentials());
    stub_.emplace(channel_);
  }
  ~GrpcServerTest() override {
    server_.reset();
    pool_.reset();
  }

  static std::shared_ptr<const Principal> Authenticate(const HttpRequest& request) {
    const auto key = request.header("authorization");
    Principal principal;
    principal.user = std::string(key);
    if (key == "Bearer customer") principal.role = Role::kCustomer;
    else if (key == "Bearer agent") principal.role = Role::kAgent;
    else throw Error(Code::kUnauthenticated, "no such key");
    return std::make_shared<const Principal>(std::move(principal));
  }
  static GrpcMethod Unary(std::string path, Access access, std::function<std::string(const Context&, std::string_view)> call) { return {std::move(path), access, 30s, std::move(call)}; }

  static void Identify(grpc::ClientContext& context, const std::string& key) {
    if (!key.empty()) context.AddMetadata("authorization", "Bearer " + key);
  }
  Answer Ask(const std::string& method, const std::string& message, const std::string& key = "agent") {
    grpc::ClientContext context;
    Identify(context, key);
    return Ask(context, method, message).get();
  }
  std::future<Answer> Ask(grpc::ClientContext& context, const std::string& method, const std::string& message) {
    struct State {
      grpc::ByteBuffer request, reply;
      std::promise<Answer> done;
    };
    auto state = std::make_shared<State>();
    state->request = Bytes(message);
    stub_->UnaryCall(&context, method, grpc::StubOptions(), &state->request, &state->reply, [state](grpc::Status status) {
      const bool ok = status.ok();
      state->done.set_value({std::move(status), ok ? Text(state->reply) : std::string()});
    });
    return state->done.get_future();
  }

  Metrics metrics_;
  std::optional<ThreadPool> pool_;
  std::optional<GrpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::optional<grpc::GenericStub> stub_;
};

TEST_F(GrpcServerTest, AnswersWhoMayCallAndNobodyElse) {
  Serve({Unary("/t.T/Echo", Access::kUser, [](const Context& ctx, std::string_view text) { return ctx.principal().user + ": " + std::string(text); }), Unary("/t.T/Agents", Access::kAgent, [](const Context&, std::string_view) { return std::string("yes"); })});
  EXPECT_EQ(Ask("/t.T/Echo", "hello", "customer").text, "Bearer customer: hello");
  EXPECT_EQ(Ask("/t.T/Echo", "", "customer").text, "Bearer customer: ");
  EXPECT_EQ(Ask("/t.T/Echo", "hello", "wrong").status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Ask("/t.T/Echo", "hello", "").status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Ask("/t.T/Agents", "", "customer").status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(Ask("/t.T/Agents", "", "agent").text, "yes");
  EXPECT_EQ(Ask("/t.T/Nothing", "").status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_NE(metrics_.Expose().find("tenfold_grpc_requests_total{method=\"/t.T/Echo\",outcome=\"ok\"} 2"), std::string::npos) << metrics_.Expose();
}

TEST_F(GrpcServerTest, TellsEverybodyThatItServes) {
  Serve({});
  EXPECT_EQ(Ask("/grpc.health.v1.Health/Check", "", "").text, "\x08\x01");
}

TEST_F(GrpcServerTest, EndsWithTheCodeOfTheError) {
  Serve({Unary("/t.T/Miss", Access::kUser, [](const Context&, std::string_view) -> std::string { throw Error(Code::kNotFound, "there is no 'x'"); }),
         Unary("/t.T/Break", Access::kUser, [](const Context&, std::string_view) -> std::string { throw std::runtime_error("a secret of ours"); })});
  const auto missed = Ask("/t.T/Miss", "").status;
  EXPECT_EQ(missed.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(missed.error_message(), "there is no 'x'");
  const auto broken = Ask("/t.T/Break", "").status;
  EXPECT_EQ(broken.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(broken.error_message().find("secret"), std::string::npos);
}

TEST_F(GrpcServerTest, LimitsMessagesInBothDirections) {
  auto small = Unary("/t.T/Small", Access::kUser, [](const Context&, std::string_view text) { return std::string(text); });
  small.message_limit_bytes = 1000;
  Serve({small, Unary("/t.T/Blow", Access::kUser, [](const Context&, std::string_view text) { return std::string(text.size() * 100, 'x'); })});
  EXPECT_EQ(Ask("/t.T/Small", std::string(1000, 'x')).text.size(), 1000u);
  EXPECT_EQ(Ask("/t.T/Small", std::string(1001, 'x')).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Ask("/t.T/Blow", std::string(100'000, 'x')).status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Ask("/t.T/Blow", std::string(1000, 'x')).status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Ask("/t.T/Blow", std::string(500, 'x')).text.size(), 50'000u);
}

TEST_F(GrpcServerTest, RefusesWhenThePoolIsFull) {
  std::latch begun(1), go(1);
  Serve({Unary("/t.T/Wait", Access::kUser,
               [&](const Context&, std::string_view) {
                 begun.count_down();
                 go.wait();
                 return std::string("done");
               }),
         Unary("/t.T/Echo", Access::kUser, [](const Context&, std::string_view text) { return std::string(text); })},
        1, 1);
  grpc::ClientContext first, second;
  Identify(first, "agent");
  Identify(second, "agent");
  auto waiting = Ask(first, "/t.T/Wait", "");
  begun.wait();
  auto queued = Ask(second, "/t.T/Echo", "y");
  while (pool_->queued() == 0) std::this_thread::yield();
  EXPECT_EQ(Ask("/t.T/Echo", "x").status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  go.count_down();
  EXPECT_EQ(waiting.get().text, "done");
  EXPECT_EQ(queued.get().text, "y");
}

TEST_F(GrpcServerTest, CancelsTheContextWhenTheClientLeaves) {
  std::latch begun(1);
  std::promise<void> cancelled;
  Serve({Unary("/t.T/Wait", Access::kUser, [&](const Context& ctx, std::string_view) {
    begun.count_down();
    while (!ctx.done()) std::this_thread::yield();
    cancelled.set_value();
    return std::string();
  })});
  grpc::ClientContext context;
  Identify(context, "agent");
  auto waiting = Ask(context, "/t.T/Wait", "");
  begun.wait();
  context.TryCancel();
  cancelled.get_future().get();
  EXPECT_EQ(waiting.get().status.error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(GrpcServerTest, StopsWhatDoesNotEnd) {
  std::latch begun(1);
  Serve({Unary("/t.T/Wait", Access::kUser, [&](const Context& ctx, std::string_view) {
    begun.count_down();
    while (!ctx.done()) std::this_thread::yield();
    return std::string();
  })});
  grpc::ClientContext context;
  Identify(context, "agent");
  auto waiting = Ask(context, "/t.T/Wait", "");
  begun.wait();
  server_->Stop();
  EXPECT_FALSE(waiting.get().status.ok());
}

TEST_F(GrpcServerTest, StreamsBothWays) {
  GrpcMethod sum{"/t.T/Sum", Access::kUser, 30s, {}};
  sum.stream = [](const Context&, GrpcStream& stream) {
    std::string all;
    while (const auto message = stream.Read()) stream.Write(all += *message);
  };
  Serve({sum});
  grpc::ClientContext context;
  Identify(context, "agent");
  grpc::CompletionQueue queue;
  const auto wait = [&] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  auto call = stub_->PrepareCall(&context, "/t.T/Sum", &queue);
  call->StartCall(nullptr);
  ASSERT_TRUE(wait());
  std::vector<std::string> got;
  for (const auto* piece : {"a", "b", "c"}) {
    call->Write(Bytes(piece), nullptr);
    ASSERT_TRUE(wait());
    grpc::ByteBuffer reply;
    call->Read(&reply, nullptr);
    ASSERT_TRUE(wait());
    got.push_back(Text(reply));
  }
  call->WritesDone(nullptr);
  ASSERT_TRUE(wait());
  grpc::Status status;
  call->Finish(&status, nullptr);
  ASSERT_TRUE(wait());
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(got, (std::vector<std::string>{"a", "ab", "abc"}));
  queue.Shutdown();
  EXPECT_FALSE(wait());
}

TEST_F(GrpcServerTest, RefusesAPortThatIsTaken) {
  Serve({});
  GrpcServerOptions options;
  options.port = server_->port();
  try {
    const GrpcServer second(options, {}, Authenticate, *pool_, metrics_, SystemClock());
    FAIL() << "two servers on one port";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kUnavailable);
  }
}

TEST_F(GrpcServerTest, WhatIsWrongWithAStrangersMessageIsNotPrinted) {
  Serve({});
  google::protobuf::StringValue value;
  testing::internal::CaptureStderr();
  EXPECT_FALSE(value.ParseFromString(std::string("\x0a\x01\xff", 3)));  // a text that is not UTF-8
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace tenfold::serving
