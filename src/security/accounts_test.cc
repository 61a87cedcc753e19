#include "security/accounts.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "security/audit.h"
#include "security/password.h"
#include "base/testing.h"

namespace tenfold::security {
namespace {

class AccountsTest : public testing::Test {
 protected:
  AccountsTest() {
    store_ = data::OpenSqliteStore((folder_.path() / "store.db").string(), Accounts::Tables());
    accounts_ = std::make_unique<Accounts>(*store_, clock_);
    accounts_->AddUser(ctx_, {"Mara@example.com", "Mara", "customer", "C1001", HashPassword("larkfield"), 0});
  }
  ~AccountsTest() override { store_.reset(); }
  static HttpRequest Request(std::string method, std::string header, std::string value, std::string csrf = "") {
    HttpRequest request;
    request.method = std::move(method);
    request.headers = {{std::move(header), std::move(value)}};
    if (!csrf.empty()) request.headers.emplace_back("x-csrf-token", csrf);
    return request;
  }
  TemporaryFolder folder_;
  ManualClock clock_;
  std::unique_ptr<data::Store> store_;
  std::unique_ptr<Accounts> accounts_;
  Context ctx_ = Context::System("test", clock_);
};

TEST_F(AccountsTest, AKeyWorksAtOnceAndOnlyAsItself) {
  const auto key = accounts_->CreateKey(ctx_, "mara@example.com", "laptop");
  const auto principal = accounts_->Authenticate(Request("POST", "authorization", "Bearer " + key));
  EXPECT_EQ(principal->user, "mara@example.com");
  EXPECT_EQ(principal->customer, "C1001");
  EXPECT_TRUE(principal->MayRead("public"));
  EXPECT_FALSE(principal->MayRead("internal"));
  EXPECT_EQ(CodeOf([&] { accounts_->Authenticate(Request("GET", "authorization", "Bearer " + key + "x")); }), Code::kUnauthenticated);
  EXPECT_EQ(CodeOf([&] { accounts_->Authenticate(Request("GET", "authorization", "Basic abc")); }), Code::kUnauthenticated);
  EXPECT_EQ(CodeOf([&] { accounts_->Authenticate(HttpRequest{}); }), Code::kUnauthenticated);
  EXPECT_EQ(CodeOf([&] { accounts_->CreateKey(ctx_, "nobody@example.com", ""); }), Code::kNotFound);
}

TEST_F(AccountsTest, ASessionNeedsItsCsrfTokenForChangesAndEnds) {
  const auto in = accounts_->SignIn(ctx_, "MARA@example.com", "larkfield");
  const auto cookie = "a=b; tenfold_session=" + in.cookie;
  EXPECT_EQ(accounts_->Authenticate(Request("GET", "cookie", cookie))->user, "mara@example.com");
  EXPECT_EQ(CodeOf([&] { accounts_->Authenticate(Request("POST", "cookie", cookie)); }), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf([&] { accounts_->Authenticate(Request("POST", "cookie", cookie, "forged")); }), Code::kPermissionDenied);
  accounts_->Authenticate(Request("POST", "cookie", cookie, in.csrf));
  accounts_->SignOut(ctx_, in.cookie);
  EXPECT_EQ(CodeOf([&] { accounts_->Authenticate(Request("GET", "cookie", cookie)); }), Code::kUnauthenticated);
  const auto again = accounts_->SignIn(ctx_, "mara@example.com", "larkfield");
  clock_.Advance(std::chrono::hours(13));
  EXPECT_FALSE(accounts_->FindSession(again.cookie));
}

TEST_F(AccountsTest, RefusesWrongPasswordsAndThenWaits) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(CodeOf([&] { accounts_->SignIn(ctx_, "mara@example.com", "wrong"); }), Code::kUnauthenticated);
  EXPECT_EQ(CodeOf([&] { accounts_->SignIn(ctx_, "mara@example.com", "larkfield"); }), Code::kResourceExhausted);
  clock_.Advance(std::chrono::minutes(16));
  accounts_->SignIn(ctx_, "mara@example.com", "larkfield");
  EXPECT_EQ(CodeOf([&] { accounts_->SignIn(ctx_, "nobody@example.com", "larkfield"); }), Code::kUnauthenticated);
}

TEST_F(AccountsTest, ALinkWorksOnce) {
  const auto token = accounts_->CreateSignInLink(ctx_, "mara@example.com");
  EXPECT_EQ(accounts_->SignInWithLink(ctx_, token).user.name, "Mara");
  EXPECT_EQ(CodeOf([&] { accounts_->SignInWithLink(ctx_, token); }), Code::kUnauthenticated);
}

TEST_F(AccountsTest, TheAuditChainShowsWhatWasAltered) {
  accounts_->CreateKey(ctx_, "mara@example.com", "");
  accounts_->CreateKey(ctx_, "mara@example.com", "");
  store_->Read(ctx_, [](data::ReadTx& tx) { EXPECT_FALSE(VerifyAudit(tx)); });
  store_->Write(ctx_, [](data::WriteTx& tx) {
    auto entry = tx.Find<AuditEntry>().at(1);
    entry.actor = "someone else";
    tx.Put(entry);
  });
  store_->Read(ctx_, [](data::ReadTx& tx) { EXPECT_EQ(VerifyAudit(tx)->number, 2); });
  store_->Write(ctx_, [](data::WriteTx& tx) { tx.Delete<AuditEntry>(tx.Find<AuditEntry>().at(0).id); });
  store_->Read(ctx_, [](data::ReadTx& tx) { EXPECT_EQ(VerifyAudit(tx)->number, 1); });
}

}  // namespace
}  // namespace tenfold::security
