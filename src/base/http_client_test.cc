#include "base/http_client.h"

#include <gtest/gtest.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <filesystem>
#include <thread>

#include "base/answers_testing.h"
#include "base/http_server.h"
#include "base/testing.h"

namespace tenfold {
namespace {

using namespace std::chrono_literals;

class HttpClientTest : public testing::Test {
 protected:
  HttpClientTest() {
    const auto add = [&](std::string method, std::string path, Handler handler) { rows_.push_back({std::move(method), std::move(path), Access::kPublic, 10s, "", std::move(handler)}); };
    add("POST", "/echo", [](const Context&, const HttpRequest& request) {
      HttpResponse response;
      response.body = std::string(request.header("x-note")) + request.body;
      return response;
    });
    add("GET", "/moved", [](const Context&, const HttpRequest&) {
      HttpResponse response;
      response.status = 302;
      response.headers.emplace_back("location", "/stream");
      return response;
    });
    add("GET", "/loop", [](const Context&, const HttpRequest&) {
      HttpResponse response;
      response.status = 302;
      response.headers.emplace_back("location", "/loop");
      return response;
    });
    add("GET", "/stream", [](const Context&, const HttpRequest&) {
      HttpResponse response;
      response.stream = [](StreamWriter& out) {
        for (int i = 0; i < 100; ++i) out.Write(std::string(1000, 'x'));
      };
      return response;
    });
    add("GET", "/slow", [](const Context& ctx, const HttpRequest&) {
      while (!ctx.done()) std::this_thread::sleep_for(5ms);
      return HttpResponse();
    });
    server_.emplace(HttpServerOptions{}, Router(rows_), [](const HttpRequest&) -> std::shared_ptr<const Principal> { return nullptr; }, metrics_, SystemClock());
    base_ = "http://127.0.0.1:" + std::to_string(server_->port());
  }
  HttpClientResponse Get(const std::string& path) {
    HttpClientRequest request;
    request.url = base_ + path;
    return Fetch(ctx_, request);
  }
  std::vector<Endpoint> rows_;
  Metrics metrics_;
  std::optional<HttpServer> server_;
  std::string base_;
  Context ctx_ = Context::System("test");
};

/// A certificate for 127.0.0.1 that signs itself, with its key.
void WriteCertificate(const std::string& certificate, const std::string& key) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> pair(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> made(X509_new(), X509_free);
  X509_set_version(made.get(), X509_VERSION_3);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
  X509_set_pubkey(made.get(), pair.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("127.0.0.1"), -1, -1, 0);
  X509_set_issuer_name(made.get(), X509_get_subject_name(made.get()));
  auto* names = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1");
  X509_add_ext(made.get(), names, -1);
  X509_EXTENSION_free(names);
  ASSERT_NE(X509_sign(made.get(), pair.get(), EVP_sha256()), 0);
  const auto write = [](const std::string& path, const auto& put) {
    auto* file = std::fopen(path.c_str(), "w");
    ASSERT_NE(file, nullptr);
    put(file);
    std::fclose(file);
  };
  write(certificate, [&](FILE* file) { PEM_write_X509(file, made.get()); });
  write(key, [&](FILE* file) { PEM_write_PrivateKey(file, pair.get(), nullptr, nullptr, 0, nullptr, nullptr); });
}

TEST_F(HttpClientTest, SpeaksTlsWithAServerWhoseCertificateItCanVerify) {
  const auto folder = std::filesystem::temp_directory_path() / ("tenfold-tls-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  HttpServerOptions options;
  options.tls_certificate = folder / "certificate.pem";
  options.tls_key = folder / "key.pem";
  const auto start = [&] { return std::make_unique<HttpServer>(options, Router(rows_), [](const HttpRequest&) -> std::shared_ptr<const Principal> { return nullptr; }, metrics_, SystemClock()); };
  EXPECT_EQ(CodeOf([&] { start(); }), Code::kInvalidArgument);  // there is no such file
  WriteCertificate(options.tls_certificate, options.tls_key);
  const auto server = start();
  HttpClientRequest request;
  request.method = "POST";
  request.url = "https://127.0.0.1:" + std::to_string(server->port()) + "/echo";
  request.body = std::string(900'000, 'b');
  EXPECT_EQ(CodeOf([&] { Fetch(ctx_, request); }), Code::kUnavailable);  // nobody it trusts has signed
  ::setenv("SSL_CERT_FILE", options.tls_certificate.c_str(), 1);
  const auto response = Fetch(ctx_, request);
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.body == request.body);
  std::size_t got = 0;
  request.method = "GET";
  request.body.clear();
  request.url = "https://127.0.0.1:" + std::to_string(server->port()) + "/stream";
  request.on_data = [&](std::string_view piece) { got += piece.size(); };
  EXPECT_EQ(Fetch(ctx_, request).status, 200);
  EXPECT_EQ(got, 100'000u);
  ::unsetenv("SSL_CERT_FILE");
  request.url = "http://127.0.0.1:" + std::to_string(server->port()) + "/stream";
  EXPECT_EQ(CodeOf([&] { Fetch(ctx_, request); }), Code::kUnavailable);  // the port speaks TLS only
  std::filesystem::remove_all(folder);
}

TEST_F(HttpClientTest, SendsAndReceives) {
  HttpClientRequest request;
  request.method = "POST";
  request.url = base_ + "/echo";
  request.headers = {{"x-note", "hello"}};
  request.body = std::string(200'000, 'b');
  const auto response = Fetch(ctx_, request);
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.body == "hello" + request.body);
  EXPECT_EQ(response.header("content-type"), "application/json");
}

TEST_F(HttpClientTest, FollowsRedirectsAndStreamsTheBody) {
  std::size_t got = 0;
  HttpClientRequest request;
  request.url = base_ + "/moved";
  request.on_data = [&](std::string_view piece) { got += piece.size(); };
  const auto response = Fetch(ctx_, request);
  EXPECT_EQ(response.status, 200);
  EXPECT_TRUE(response.body.empty());
  EXPECT_EQ(got, 100'000u);
  EXPECT_EQ(CodeOf([&] { Get("/loop"); }), Code::kUnavailable);
}

TEST_F(HttpClientTest, UsesAConnectionAgainUntilItIsClosed) {
  // The server's counter of open connections is what the client cannot pretend.
  const auto open = [&] { return server_->connections(); };
  for (int i = 0; i < 5; ++i) Get("/moved");
  EXPECT_EQ(open(), 1u);
  HttpClientRequest request;
  request.url = base_ + "/stream";
  request.response_limit_bytes = 5000;
  EXPECT_EQ(CodeOf([&] { Fetch(ctx_, request); }), Code::kResourceExhausted);  // half an answer is not left for the next request
  for (int i = 0; i < 1000 && open() > 0; ++i) std::this_thread::sleep_for(2ms);
  EXPECT_EQ(open(), 0u);
  Get("/stream");
  server_.reset();
  EXPECT_EQ(CodeOf([&] { Get("/stream"); }), Code::kUnavailable);
  server_.emplace(HttpServerOptions{}, Router(rows_), [](const HttpRequest&) -> std::shared_ptr<const Principal> { return nullptr; }, metrics_, SystemClock());
  base_ = "http://127.0.0.1:" + std::to_string(server_->port());
  EXPECT_EQ(Get("/stream").status, 200);
}

TEST_F(HttpClientTest, KeepsItsLimits) {
  HttpClientRequest request;
  request.url = base_ + "/stream";
  request.response_limit_bytes = 5000;
  EXPECT_EQ(CodeOf([&] { Fetch(ctx_, request); }), Code::kResourceExhausted);
  const auto begun = std::chrono::steady_clock::now();
  request.url = base_ + "/slow";
  EXPECT_EQ(CodeOf([&] { Fetch(ctx_.WithTimeout(200ms), request); }), Code::kDeadlineExceeded);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
  EXPECT_EQ(Get("/nothing").status, 404);
}

TEST_F(HttpClientTest, RefusesWhatIsNoUrlOrHeader) {
  HttpClientRequest request;
  for (const char* url : {"", "ftp://x/", "http://", "file:///etc/passwd", "http://a b/"}) {
    request.url = url;
    EXPECT_EQ(CodeOf([&] { Fetch(ctx_, request); }), Code::kInvalidArgument) << url;
  }
  request.url = base_ + "/stream";
  request.headers = {{"x-a", "b\r\nx-c: d"}};
  EXPECT_EQ(CodeOf([&] { Fetch(ctx_, request); }), Code::kInvalidArgument);
  request.headers.clear();
  request.url = "http://127.0.0.1:1/";
  EXPECT_EQ(CodeOf([&] { Fetch(ctx_, request); }), Code::kUnavailable);
}

TEST(HttpClient, PassesOverInterimAnswers) {
  AnsweringServer server;
  server.AnswerWith({"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello"});
  HttpClientRequest request;
  request.url = server.url();
  const auto response = Fetch(Context::System("test").WithTimeout(10s), request);
  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(response.body, "hello");
  EXPECT_EQ(response.header("link"), "");
}

}  // namespace
}  // namespace tenfold
