// One reactor per call. gRPC's threads only move messages and never wait for us; the handler runs on the request pool and waits for them on a condition.
#include "serving/grpc_server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <unordered_map>

#include "base/files.h"
#include "base/log.h"

namespace tenfold::serving {
namespace {

constexpr int kMostStreams = 100;                      // calls at once on one connection; further ones wait at the client
constexpr std::size_t kBufferBytes = 256u << 20;       // of all messages that gRPC holds
constexpr std::size_t kMostMetadata = 16 << 10;        // bytes of a call's headers, as over HTTP
constexpr const char* kHealthCheck = "/grpc.health.v1.Health/Check";
constexpr std::string_view kServing{"\x08\x01", 2};  // HealthCheckResponse{status: SERVING}

grpc::StatusCode StatusCodeOf(Code code) {
  switch (code) {
    case Code::kCancelled: return grpc::StatusCode::CANCELLED;
    case Code::kInvalidArgument: return grpc::StatusCode::INVALID_ARGUMENT;
    case Code::kDeadlineExceeded: return grpc::StatusCode::DEADLINE_EXCEEDED;
    case Code::kNotFound: return grpc::StatusCode::NOT_FOUND;
    case Code::kAlreadyExists: return grpc::StatusCode::ALREADY_EXISTS;
    case Code::kPermissionDenied: return grpc::StatusCode::PERMISSION_DENIED;
    case Code::kUnauthenticated: return grpc::StatusCode::UNAUTHENTICATED;
    case Code::kResourceExhausted: return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case Code::kFailedPrecondition: return grpc::StatusCode::FAILED_PRECONDITION;
    case Code::kAborted: return grpc::StatusCode::ABORTED;
    case Code::kUnavailable: return grpc::StatusCode::UNAVAILABLE;
    case Code::kDataLoss: return grpc::StatusCode::DATA_LOSS;
    case Code::kUnimplemented: return grpc::StatusCode::UNIMPLEMENTED;
    case Code::kInternal: return grpc::StatusCode::INTERNAL;
  }
  return grpc::StatusCode::INTERNAL;
}
grpc::Status StatusOf(const Error& e) { return {StatusCodeOf(e.code()), e.message()}; }

std::string TextOf(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  std::string out;
  if (!bytes.Dump(&slices).ok()) throw Error(Code::kInternal, "a message cannot be read");
  out.reserve(bytes.Length());
  for (const auto& slice : slices) out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return out;
}
grpc::ByteBuffer BytesOf(std::string_view text) {
  const grpc::Slice slice(text.data(), text.size());
  return {&slice, 1};
}

/// What gRPC has to say of strangers' connections, and protobuf of their messages, is not for everybody's eyes: what matters is thrown or answered.
void LogAsOurs(gpr_log_func_args* args) { Log(LogLevel::kDebug, "grpc", {{"file", args->file}, {"line", args->line}, {"text", std::string_view(args->message)}}); }
void LogMessageAsOurs(google::protobuf::LogLevel, const char* file, int line, const std::string& text) { Log(LogLevel::kDebug, "protobuf", {{"file", file}, {"line", line}, {"text", std::string_view(text)}}); }

struct Row {
  GrpcMethod method;
  Histogram* latency;
  Counter* ended;
  Counter* failed;
};

}  // namespace

class GrpcServer::Impl : public grpc::CallbackGenericService {
 public:
  Impl(GrpcServerOptions options, std::vector<GrpcMethod> methods, Authenticator authenticate, ThreadPool& pool, Metrics& metrics, const Clock& clock)
      : options_(std::move(options)), authenticate_(std::move(authenticate)), pool_(pool), clock_(clock) {
    methods.push_back({kHealthCheck, Access::kPublic, std::chrono::seconds(1), [](const Context&, std::string_view) { return std::string(kServing); }});
    for (auto& method : methods) {
      const Labels labels{{"method", method.path}};
      const auto count = [&](const char* outcome) {
        auto with_outcome = labels;
        with_outcome.emplace_back("outcome", outcome);
        return &metrics.GetCounter("tenfold_grpc_requests_total", "gRPC calls that ended.", with_outcome);
      };
      auto path = method.path;
      rows_.emplace(std::move(path), Row{std::move(method), &metrics.GetHistogram("tenfold_grpc_request_duration_seconds", "Time from a call's first message to its end.", labels), count("ok"), count("error")});
    }
    gpr_set_log_function(LogAsOurs);
    google::protobuf::SetLogHandler(LogMessageAsOurs);
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(static_cast<int>(options_.message_limit_bytes));
    builder.SetMaxSendMessageSize(static_cast<int>(options_.message_limit_bytes));
    builder.SetResourceQuota(grpc::ResourceQuota("tenfold").Resize(kBufferBytes));
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // else two servers would share a port, each half of its calls
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMostStreams);
    builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, static_cast<int>(kMostMetadata));
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);  // a peer that is gone without a word is noticed
    const bool is_v6 = options_.address.find(':') != std::string::npos && !options_.address.starts_with('[');
    const auto at = (is_v6 ? "[" + options_.address + "]" : options_.address) + ":" + std::to_string(options_.port);
    int port = 0;
    builder.AddListeningPort(at, Credentials(), &port);
    builder.RegisterCallbackGenericService(this);
    server_ = builder.BuildAndStart();
    if (!server_ || port == 0) throw Error(Code::kUnavailable, "listen for gRPC on " + at + ": the address is in use or not of this machine; choose another with server.grpc_listen", "server.grpc_listen");
    port_ = static_cast<std::uint16_t>(port);
  }

  ~Impl() override { Stop(); }
  std::uint16_t port() const { return port_; }

  void Stop() {
    if (stopped_.exchange(true)) return;
    // Waits for what is at work, then cancels it. A handler that does not look at its Context keeps us until it ends.
    server_->Shutdown(std::chrono::system_clock::now() + options_.drain_timeout);
    server_->Wait();
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return calls_ == 0; });
  }

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override;

 private:
  class Call;

  std::shared_ptr<grpc::ServerCredentials> Credentials() const {
    if (options_.tls_certificate.empty()) return grpc::InsecureServerCredentials();
    grpc::SslServerCredentialsOptions tls;
    tls.pem_key_cert_pairs.push_back({ReadFile(options_.tls_key), ReadFile(options_.tls_certificate)});
    return grpc::SslServerCredentials(tls);
  }

  std::shared_ptr<const Principal> CheckAccess(const grpc::GenericCallbackServerContext& context, const GrpcMethod& method) const {
    static const auto kNobody = std::make_shared<const Principal>();
    if (method.access == Access::kPublic) return kNobody;
    HttpRequest request;
    request.method = "POST";
    request.path = method.path;
    request.remote = context.peer();
    for (const auto& [name, value] : context.client_metadata()) request.headers.emplace_back(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
    auto principal = authenticate_(request);
    const Role needed = method.access == Access::kAdmin ? Role::kAdmin : method.access == Access::kAgent ? Role::kAgent : Role::kCustomer;
    if (principal->role < needed) throw Error(Code::kPermissionDenied, "this needs the role " + std::string(RoleName(needed)));
    return principal;
  }

  const GrpcServerOptions options_;
  const Authenticator authenticate_;
  ThreadPool& pool_;
  const Clock& clock_;
  std::unordered_map<std::string, Row> rows_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;
  std::condition_variable ended_;
  std::size_t calls_ = 0;  // guarded by mutex_
  std::unique_ptr<grpc::Server> server_;  // last: its calls use all of the above
};

/// Lives until gRPC has let go of it and its handler has returned.
class GrpcServer::Impl::Call : public grpc::ServerGenericBidiReactor, public GrpcStream, public std::enable_shared_from_this<GrpcServer::Impl::Call> {
 public:
  Call(Impl& server, const Row* row) : server_(server), row_(row) {
    const std::lock_guard lock(server_.mutex_);
    ++server_.calls_;
  }
  ~Call() override {
    const std::lock_guard lock(server_.mutex_);
    if (--server_.calls_ == 0) server_.ended_.notify_all();
  }

  void Begin(const grpc::GenericCallbackServerContext& context) {
    self_ = shared_from_this();
    try {
      if (!row_) throw Error(Code::kUnimplemented, "there is no method '" + context.method().substr(0, 200) + "' here");
      auto principal = server_.CheckAccess(context, row_->method);
      const auto now = server_.clock_.Now();
      const auto asked = context.deadline();
      // A client without a deadline has one of the distant future, which does not fit when counted in microseconds from now.
      const auto until = asked > std::chrono::system_clock::now() + row_->method.timeout ? now + row_->method.timeout : now + std::chrono::duration_cast<std::chrono::microseconds>(asked - std::chrono::system_clock::now());
      context_.emplace(Context::Parts{.principal = std::move(principal), .clock = &server_.clock_, .deadline = until, .cancellation = cancellation_, .budget = {}, .span = {}});
    } catch (const Error& e) {
      return Finish(StatusOf(e));
    }
    StartRead(&incoming_);
  }

  void OnReadDone(bool ok) override {
    bool is_first = false;
    {
      const std::lock_guard lock(mutex_);
      reading_ = ok ? Reading::kHeld : Reading::kEnded;
      is_first = !std::exchange(begun_, true);
    }
    changed_.notify_all();
    if (is_first) Submit();
  }
  void OnWriteDone(bool ok) override {
    {
      const std::lock_guard lock(mutex_);
      writing_ = ok ? Writing::kIdle : Writing::kBroken;
    }
    changed_.notify_all();
  }
  void OnCancel() override {
    cancellation_->Cancel();
    {
      const std::lock_guard lock(mutex_);  // so that nobody is between looking and waiting
    }
    changed_.notify_all();
  }
  void OnDone() override { self_.reset(); }

  std::optional<std::string> Read() override {
    std::unique_lock lock(mutex_);
    if (reading_ == Reading::kEnded) return std::nullopt;
    if (reading_ == Reading::kNone) {
      reading_ = Reading::kAsked;
      lock.unlock();
      StartRead(&incoming_);
      lock.lock();
    }
    Wait(lock, [&] { return reading_ != Reading::kAsked; });
    if (reading_ == Reading::kEnded) return std::nullopt;
    reading_ = Reading::kNone;
    const auto limit = row_->method.message_limit_bytes;
    if (incoming_.Length() > limit) throw Error(Code::kInvalidArgument, "the message has " + std::to_string(incoming_.Length()) + " bytes, the limit of " + row_->method.path + " is " + std::to_string(limit));
    auto text = TextOf(incoming_);
    incoming_.Clear();
    return text;
  }

  void Write(std::string_view message) override {
    const auto limit = server_.options_.message_limit_bytes;
    if (message.size() > limit) throw Error(Code::kResourceExhausted, "the answer has " + std::to_string(message.size()) + " bytes, the limit is " + std::to_string(limit) + "; ask for fewer or smaller things");
    {
      const std::lock_guard lock(mutex_);
      writing_ = Writing::kUnderWay;
    }
    outgoing_ = BytesOf(message);
    StartWrite(&outgoing_);
    std::unique_lock lock(mutex_);
    Wait(lock, [&] { return writing_ != Writing::kUnderWay; });
    if (writing_ == Writing::kBroken) throw Error(Code::kCancelled, "the client left");
  }

 private:
  enum class Reading : std::uint8_t { kAsked, kHeld, kNone, kEnded };
  enum class Writing : std::uint8_t { kIdle, kUnderWay, kBroken };

  template <class Done>
  void Wait(std::unique_lock<std::mutex>& lock, Done done) {
    while (!done()) {
      context_->Check();
      // The deadline is that of our clock, which a test may hold still: it is looked at now and then.
      changed_.wait_for(lock, std::chrono::milliseconds(100));
    }
  }

  void Submit() {
    started_ = std::chrono::steady_clock::now();
    try {
      server_.pool_.Submit([call = shared_from_this()] { call->Run(); });
    } catch (const Error& e) {
      Done(StatusOf(e));
    }
  }

  void Run() {
    const auto& method = row_->method;
    try {
      context_->Check();
      if (method.call) {
        const auto request = Read();
        if (!request) throw Error(Code::kInvalidArgument, method.path + ": the call has no message");
        Write(method.call(*context_, *request));
      } else {
        method.stream(*context_, *this);
      }
      Done(grpc::Status::OK);
    } catch (const Error& e) {
      Done(StatusOf(e));
    } catch (const std::exception& e) {
      Log(LogLevel::kError, "call failed", {{"method", method.path}, {"error", e.what()}});
      Done({grpc::StatusCode::INTERNAL, "internal error; the server's log says more"});
    }
  }

  void Done(const grpc::Status& status) {
    row_->latency->Observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count());
    (status.ok() ? row_->ended : row_->failed)->Add();
    Finish(status);
  }

  Impl& server_;
  const Row* const row_;  ///< null: there is no such method
  const std::shared_ptr<Cancellation> cancellation_ = std::make_shared<Cancellation>();
  std::optional<Context> context_;
  std::chrono::steady_clock::time_point started_;
  grpc::ByteBuffer incoming_, outgoing_;
  std::shared_ptr<Call> self_;  ///< held for gRPC
  std::mutex mutex_;
  std::condition_variable changed_;
  Reading reading_ = Reading::kAsked;  // guarded by mutex_, as all below
  Writing writing_ = Writing::kIdle;
  bool begun_ = false;
};

grpc::ServerGenericBidiReactor* GrpcServer::Impl::CreateReactor(grpc::GenericCallbackServerContext* context) {
  const auto found = rows_.find(context->method());
  const auto call = std::make_shared<Call>(*this, found == rows_.end() ? nullptr : &found->second);
  auto* reactor = call.get();
  call->Begin(*context);
  return reactor;
}

GrpcServer::GrpcServer(GrpcServerOptions options, std::vector<GrpcMethod> methods, Authenticator authenticate, ThreadPool& pool, Metrics& metrics, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(methods), std::move(authenticate), pool, metrics, clock)) {}
GrpcServer::~GrpcServer() = default;
std::uint16_t GrpcServer::port() const { return impl_->port(); }
void GrpcServer::Stop() { impl_->Stop(); }

}  // namespace tenfold::serving
