#pragma once
/// \file For tests only: the servers of scripts/fetch_servers, each started once a test program, and a proxy before them that can fail.
#include <poll.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/context.h"
#include "data/sources/source_contract.h"

namespace tenfold::data {

/// The folder that scripts/fetch_servers fills; installs what is missing, once. Empty where that cannot be (no network): tests that need it are left out and
/// say so.
const std::filesystem::path& FetchServers();

/// TCP to 127.0.0.1:`target`, as long as it is told to. Threads: safe from any thread.
class FaultProxy {
 public:
  enum class Mode : std::uint8_t { kPass, kRefuse, kStall };
  explicit FaultProxy(std::uint16_t target);
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;
  std::uint16_t port() const { return port_; }
  /// kRefuse also cuts what is open; kStall takes connections and moves no byte. Has taken effect when it returns.
  void Set(Mode mode);

 private:
  void Work();
  const std::uint16_t target_;
  std::uint16_t port_ = 0;
  int listening_ = -1;
  std::atomic<Mode> mode_ = Mode::kPass;
  std::atomic<unsigned> seen_ = 0, wanted_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

/// A source that calls `after` once its first page was listed: how a server fails in mid-listing.
class AfterFirstPage : public Source {
 public:
  AfterFirstPage(std::unique_ptr<Source> source, std::function<void()> after) : source_(std::move(source)), after_(std::move(after)) {}
  const std::string& url() const override { return source_->url(); }
  SourcePage List(const Context& ctx, const std::string& cursor, const std::string& page) override {
    auto out = source_->List(ctx, cursor, page);
    if (after_) std::exchange(after_, nullptr)();
    return out;
  }
  SourceContent Read(const Context& ctx, const SourceItem& item) override { return source_->Read(ctx, item); }

 private:
  const std::unique_ptr<Source> source_;
  std::function<void()> after_;
};

/// A fixture behind a FaultProxy: what breaks is the network.
class ProxiedFixture : public SourceFixture {
 public:
  explicit ProxiedFixture(std::uint16_t target) : proxy_(target) {}
  std::unique_ptr<Source> Open() override {
    auto source = OpenDirectly();
    if (!break_after_first_page_) return source;
    break_after_first_page_ = false;
    return std::make_unique<AfterFirstPage>(std::move(source), [this] { Break(); });
  }
  void Break() override { proxy_.Set(FaultProxy::Mode::kRefuse); }
  void Mend() override { proxy_.Set(FaultProxy::Mode::kPass); }
  bool Stall() override {
    proxy_.Set(FaultProxy::Mode::kStall);
    return true;
  }
  bool BreakAfterFirstPage() override { return break_after_first_page_ = true; }
  std::size_t more_than_a_page() const override { return 7; }

 protected:
  virtual std::unique_ptr<Source> OpenDirectly() = 0;
  std::string address() const { return "127.0.0.1:" + std::to_string(proxy_.port()); }

 private:
  FaultProxy proxy_;
  bool break_after_first_page_ = false;
};

/// PostgreSQL 16 with pgvector over a folder of its own; user "postgres", whose password is `password()`. Null where it cannot be had.
class PostgresqlServer {
 public:
  static PostgresqlServer* Get();
  explicit PostgresqlServer(const std::filesystem::path& servers);
  ~PostgresqlServer();
  std::uint16_t port() const { return port_; }
  static std::string password() { return "postgres-secret"; }

 private:
  std::vector<std::string> AsServer(std::vector<std::string> argv) const;
  TemporaryFolder folder_;
  std::uint16_t port_ = 0;
  std::unique_ptr<ServerProcess> process_;
};

/// The port of mongo-java-server; 0 where it cannot be had.
std::uint16_t StartMongodb();
/// moto: answers as S3 does, takes any credentials. 0 where it cannot be had.
std::uint16_t StartMoto();
/// versitygw: an S3 gateway that checks signatures, over a folder; access key "tester", secret "versity-secret". 0 where it cannot be had.
std::uint16_t StartVersity();

/// Dovecot with any number of users, all of the password "dovecot-secret". Null where it is not installed.
class DovecotServer {
 public:
  static DovecotServer* Get();
  DovecotServer();
  ~DovecotServer();
  std::uint16_t port() const { return port_; }
  std::uint16_t tls_port() const { return tls_port_; }
  /// Trusts its certificate if it is $SSL_CERT_FILE.
  std::filesystem::path certificate() const { return folder_.path() / "certificate.pem"; }
  /// What doveadm prints. Errors: kInternal if it fails.
  std::string Doveadm(const std::vector<std::string>& arguments, std::string_view input = {}) const;

 private:
  TemporaryFolder folder_;
  std::uint16_t port_ = 0, tls_port_ = 0;
  std::unique_ptr<ServerProcess> process_;
};

}  // namespace tenfold::data
