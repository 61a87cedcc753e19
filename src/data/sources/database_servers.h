#pragma once
/// \file For tests only: the servers that sources are tested against, each started once a test program, and what their fixtures share.
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/servers_testing.h"
#include "data/sources/source_contract.h"

namespace tenfold::data {

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
