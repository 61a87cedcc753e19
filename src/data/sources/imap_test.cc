#include "data/sources/imap.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <random>

#include "base/testing.h"
#include "data/imap_client.h"
#include "data/sources/database_servers.h"

namespace tenfold::data {
namespace {

using namespace std::chrono_literals;

SourceSetup SetupWith(std::string password) {
  SourceSetup setup;
  setup.secret = [password](std::string_view name) { return name == "IMAP_PASSWORD" ? password : std::string(); };
  return setup;
}
std::string NewUser() {
  static int count = 0;
  return "user" + std::to_string(++count);
}
std::string Trim(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text.substr(text.find_last_of("\n =") == std::string::npos ? 0 : text.find_last_of("\n =") + 1);
}

/// A mailbox through dovecot's own tools.
class Mailbox {
 public:
  Mailbox(const DovecotServer& server, std::string user, std::string name = "INBOX") : server_(server), user_(std::move(user)), name_(std::move(name)) {
    if (name_ != "INBOX") server_.Doveadm({"mailbox", "create", "-u", user_, name_});
    validity_ = Trim(server_.Doveadm({"mailbox", "status", "-u", user_, "uidvalidity", name_}));
  }
  std::string Put(const std::string& name, const std::string& text) {
    server_.Doveadm({"save", "-u", user_, "-m", name_},
                    "From: ana@example.com\r\nMessage-ID: <" + name + "@test>\r\nSubject: " + name + "\r\n\r\n" + text + "\r\n");
    return validity_ + "/" +
           Trim(server_.Doveadm({"-f", "flow", "fetch", "-u", user_, "uid", "mailbox", name_, "header", "message-id", "<" + name + "@test>"}));
  }
  void Remove(const std::string& name) { server_.Doveadm({"expunge", "-u", user_, "mailbox", name_, "header", "message-id", "<" + name + "@test>"}); }
  void Flag(const std::string& name, const std::string& flag) {
    server_.Doveadm({"flags", "add", "-u", user_, flag, "mailbox", name_, "header", "message-id", "<" + name + "@test>"});
  }
  std::string FlagsOf(const std::string& name) {
    return server_.Doveadm({"-f", "flow", "fetch", "-u", user_, "flags", "mailbox", name_, "header", "message-id", "<" + name + "@test>"});
  }

 private:
  const DovecotServer& server_;
  const std::string user_, name_;
  std::string validity_;
};

class ImapFixture : public ProxiedFixture {
 public:
  explicit ImapFixture(const DovecotServer& server) : ProxiedFixture(server.port()), mailbox_(server, user_) {}
  std::string Put(const std::string& name, const std::string& text) override {
    Remove(name);
    return mailbox_.Put(name, text);
  }
  void Remove(const std::string& name) override { mailbox_.Remove(name); }
  bool ChangeAccess(const std::string&) override { return false; }
  std::vector<std::unique_ptr<Source>> OpenOtherSpellings() override {
    std::vector<std::unique_ptr<Source>> out;
    for (const auto* mailbox : {"", "/", "/inbox", "/INBOX?page=9"})
      out.push_back(OpenImapSource("imap://" + user_ + "@" + address() + mailbox, SetupWith(secret())));
    return out;
  }
  std::string secret() const override { return "dovecot-secret"; }
  bool documents_change() const override { return false; }

 protected:
  std::unique_ptr<Source> OpenDirectly() override { return OpenImapSource("imap://" + user_ + "@" + address() + "/INBOX?page=3", SetupWith(secret())); }

 private:
  const std::string user_ = NewUser();
  Mailbox mailbox_;
};

TEST(UidSet, IsASetOfRanges) {
  const auto text = [](const UidSet& set) { return set.ToText(); };
  EXPECT_EQ(text(UidSet::Parse("7,3:1,2:5,9:8")), "1:5,7:9");
  EXPECT_EQ(text(UidSet::Parse("1:10").Without(UidSet::Parse("1,4:5,10"))), "2:3,6:9");
  EXPECT_EQ(text(UidSet::Parse("1:10,20:30").Without(UidSet::Parse("5:25"))), "1:4,26:30");
  EXPECT_EQ(text(UidSet::Parse("1:3,7:9,20").After(2, 3)), "3,7:8");
  EXPECT_EQ(text(UidSet::Parse("4294967290:4294967295").After(4294967293, 10)), "4294967294:4294967295");
  EXPECT_EQ(UidSet::Parse("1:4294967295").size(), 4294967295u);
  for (const auto* bad : {"0", "a", "1:", ":1", "1:x", "4294967296", "1,,2", "*", "1:*"})
    EXPECT_EQ(CodeOf([&] { UidSet::Parse(bad); }), Code::kInvalidArgument) << bad;
  // Against plain sets.
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    std::set<std::uint32_t> a, b;
    for (int i = 0; i < 20; ++i) {
      a.insert(random() % 40 + 1);
      b.insert(random() % 40 + 1);
    }
    UidSet sa, sb;
    for (const auto uid : a) sa.Append(uid);
    for (const auto uid : b) sb.Append(uid);
    std::vector<std::uint32_t> expected;
    std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(expected));
    EXPECT_EQ(sa.Without(sb).ToList(), expected);
    EXPECT_EQ(UidSet::Parse(sa.ToText()), sa);
  }
}

TEST(ImapResponse, IsReadWithLiteralsListsAndQuotes) {
  const auto values = ParseImapResponse("* 12 FETCH (FLAGS (\\Seen \\Deleted) BODY[HEADER.FIELDS (A B)] {5}\r\na)\r\n( RFC822.SIZE 44 X \"q\\\"q\" Y NIL)");
  ASSERT_EQ(values.size(), 4u);
  const auto& list = values[3].list;
  ASSERT_EQ(list.size(), 10u);
  EXPECT_EQ(list[1].list.at(1).text, "\\Deleted");
  EXPECT_EQ(list[2].text, "BODY[HEADER.FIELDS (A B)]");
  EXPECT_EQ(list[3].text, "a)\r\n(");
  EXPECT_EQ(list[7].text, "q\"q");
  EXPECT_EQ(list[9].kind, ImapValue::Kind::kNil);
  for (const auto& bad : {std::string("* 1 FETCH (A"), std::string("* )"), std::string("* \"x"), std::string("* {5}\r\nabc"),
                          std::string("* {99999999999999999999}\r\n"), std::string(100, '('), std::string("* \r")})
    EXPECT_EQ(CodeOf([&] { ParseImapResponse(bad); }), Code::kUnavailable) << bad;
  EXPECT_EQ(EncodeMailboxName("Entwürfe & mehr/日本"), "Entw&APw-rfe &- mehr/&ZeVnLA-");
  EXPECT_EQ(EncodeMailboxName("\xF0\x9F\x98\x80"), "&2D3eAA-");
  EXPECT_EQ(CodeOf([] { EncodeMailboxName("\xFF"); }), Code::kInvalidArgument);
}

TEST(ImapUrl, IsReadAndCheckedWithoutAServer) {
  EXPECT_EQ(OpenImapSource("imaps://ana%40example.com@mail.example.com", {})->url(), "imap:imaps://ana%40example.com@mail.example.com:993/INBOX");
  EXPECT_EQ(OpenImapSource("imap://ana@mail/Sent%20Mail?access=group:support", {})->url(), "imap:imap://ana@mail:143/Sent%20Mail?access=group:support");
  for (const auto* bad : {"", "INBOX", "https://ana@host/INBOX", "imaps://host/INBOX", "imaps://ana:secret@host/INBOX", "imaps://ana@host:0/INBOX",
                          "imaps://ana@host/INBOX?nonsense=1", "imaps://ana@host/INBOX?page=0", "imaps://ana@host/INBOX?access=*", "imaps://ana@host/%FF"})
    EXPECT_EQ(CodeOf([&] { OpenImapSource(bad, {}); }), Code::kInvalidArgument) << bad;
}

class ImapTest : public testing::Test {
 protected:
  void SetUp() override {
    server_ = DovecotServer::Get();
    if (!server_) GTEST_SKIP() << "dovecot is not installed";
  }
  std::unique_ptr<Source> Open(const std::string& user, const std::string& mailbox = "INBOX", const std::string& password = "dovecot-secret") {
    return OpenImapSource("imap://" + user + "@127.0.0.1:" + std::to_string(server_->port()) + "/" + mailbox, SetupWith(password));
  }
  const Context ctx_ = Context::System("test").WithTimeout(30s);
  const DovecotServer* server_ = nullptr;
};

TEST_F(ImapTest, ReadsMessagesAsTheyAreAndMarksNothing) {
  const auto user = NewUser();
  Mailbox mailbox(*server_, user);
  mailbox.Put("tea", "Green {12}\r\n)tea");
  mailbox.Put("milk", "Fresh");
  const auto source = Open(user);
  const auto items = ListAll(ctx_, *source);
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].access, "user:" + user);
  EXPECT_EQ(items[0].media_type, "message/rfc822");
  EXPECT_EQ(source->Read(ctx_, items[0]).bytes, "From: ana@example.com\r\nMessage-ID: <tea@test>\r\nSubject: tea\r\n\r\nGreen {12}\r\n)tea\r\n");
  EXPECT_EQ(mailbox.FlagsOf("tea").find("Seen"), std::string::npos);
}

TEST_F(ImapTest, MarkedAsDeletedIsGone) {
  const auto user = NewUser();
  Mailbox mailbox(*server_, user);
  const auto tea = mailbox.Put("tea", "x"), milk = mailbox.Put("milk", "x");
  const auto source = Open(user);
  const auto page = source->List(ctx_, "", "");
  ASSERT_FALSE(page.cursor.empty());
  const auto unchanged = source->List(ctx_, page.cursor, "");
  EXPECT_TRUE(unchanged.items.empty());
  mailbox.Flag("tea", "\\Deleted");
  const auto changes = Open(user)->List(ctx_, unchanged.cursor, "");
  ASSERT_EQ(changes.items.size(), 1u);
  EXPECT_EQ(changes.items[0].path, tea);
  EXPECT_TRUE(changes.items[0].removed);
  const auto left = ListAll(ctx_, *source);
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].path, milk);
}

TEST_F(ImapTest, AMailboxMadeAnewEndsItsCursors) {
  const auto user = NewUser();
  Mailbox(*server_, user, "Entwürfe").Put("tea", "x");
  const auto source = Open(user, "Entw%C3%BCrfe");
  const auto page = source->List(ctx_, "", "");
  ASSERT_EQ(page.items.size(), 1u);
  server_->Doveadm({"mailbox", "delete", "-u", user, "Entwürfe"});
  EXPECT_EQ(CodeOf([&] { Open(user, "Entw%C3%BCrfe")->List(ctx_, page.cursor, ""); }), Code::kNotFound);
  std::this_thread::sleep_for(1100ms);  // dovecot makes ids of mailboxes of the second
  Mailbox(*server_, user, "Entwürfe").Put("milk", "x");
  const auto again = Open(user, "Entw%C3%BCrfe");
  EXPECT_EQ(CodeOf([&] { again->List(ctx_, page.cursor, ""); }), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf([&] { again->Read(ctx_, page.items[0]); }), Code::kNotFound);
  EXPECT_EQ(CodeOf([&] { again->List(ctx_, "nonsense", ""); }), Code::kInvalidArgument);
}

TEST_F(ImapTest, TellsWhatIsWrongByCodeWithoutThePassword) {
  const auto user = NewUser();
  Mailbox(*server_, user).Put("tea", "x");
  try {
    ListAll(ctx_, *Open(user, "INBOX", "hush-hush"));
    ADD_FAILURE() << "a wrong password is taken";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kUnauthenticated) << e.message();
    EXPECT_EQ(e.message().find("hush-hush"), std::string::npos);
  }
  EXPECT_EQ(CodeOf([&] { ListAll(ctx_, *Open(user, "INBOX", "p\xC3\xA4ss\"\\")); }), Code::kUnauthenticated);
  EXPECT_EQ(CodeOf([&] { ListAll(ctx_, *Open(user, "None")); }), Code::kNotFound);
  EXPECT_EQ(CodeOf([&] { ListAll(ctx_, *OpenImapSource("imap://a@127.0.0.1:1/INBOX", {})); }), Code::kUnavailable);
}

TEST_F(ImapTest, TlsIsVerified) {
  const auto user = NewUser();
  Mailbox(*server_, user).Put("tea", "over TLS");
  const auto rest = "imaps://" + user + "@localhost:" + std::to_string(server_->tls_port()) + "/INBOX";
  ::unsetenv("SSL_CERT_FILE");
  EXPECT_EQ(CodeOf([&] { ListAll(ctx_, *OpenImapSource(rest, SetupWith("dovecot-secret"))); }), Code::kUnavailable);
  ::setenv("SSL_CERT_FILE", server_->certificate().c_str(), 1);
  const auto source = OpenImapSource(rest, SetupWith("dovecot-secret"));
  const auto items = ListAll(ctx_, *source);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_NE(source->Read(ctx_, items[0]).bytes.find("over TLS"), std::string::npos);
  ::unsetenv("SSL_CERT_FILE");
}

/// What no real server does: sends what it is told as soon as a client comes, whatever that says.
class Babbler {
 public:
  explicit Babbler(std::string text) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(fd_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd_, 4) != 0 ||
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw Error(Code::kUnavailable, "no free port");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, text = std::move(text)] {
      const int client = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
      for (std::size_t at = 0; at < text.size();) {
        const auto sent = ::send(client, text.data() + at, text.size() - at, MSG_NOSIGNAL);
        if (sent <= 0) break;
        at += static_cast<std::size_t>(sent);
      }
      ::shutdown(client, SHUT_WR);
      char bytes[4096];
      while (::recv(client, bytes, sizeof bytes, 0) > 0) {
      }
      ::close(client);
    });
  }
  ~Babbler() {
    ::shutdown(fd_, SHUT_RDWR);
    thread_.join();
    ::close(fd_);
  }
  std::uint16_t port() const { return port_; }

 private:
  int fd_ = -1;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

TEST(Imap, AServerThatLiesIsAnErrorNeverAShorterListing) {
  const auto ctx = Context::System("test").WithTimeout(20s);
  const std::string hello = "* OK hi\r\n* CAPABILITY IMAP4rev1\r\nt1 OK\r\nt2 OK\r\n* CAPABILITY IMAP4rev1\r\nt3 OK\r\n";
  const std::string open = "* 2 EXISTS\r\n* OK [UIDVALIDITY 5] x\r\n* OK [UIDNEXT 9] x\r\nt4 OK\r\n";
  const auto list = [&](const std::string& text) {
    const Babbler server(text);
    return CodeOf([&] { ListAll(ctx, *OpenImapSource("imap://a@127.0.0.1:" + std::to_string(server.port()) + "/INBOX", SetupWith("x"))); });
  };
  EXPECT_EQ(list(""), Code::kUnavailable);
  EXPECT_EQ(list("* BYE full\r\n"), Code::kUnavailable);
  EXPECT_EQ(list("HTTP/1.1 400 Bad Request\r\n\r\n"), Code::kUnavailable);
  EXPECT_EQ(list("* OK hi\r\n* CAPABILITY HTTP\r\nt1 OK\r\n"), Code::kUnavailable);
  EXPECT_EQ(list("* OK hi\r\n* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nt1 OK\r\n"), Code::kFailedPrecondition);
  EXPECT_EQ(list("* OK hi\r\n* CAPABILITY IMAP4rev1\r\nt1 OK\r\nt2 NO no x\r\n"), Code::kUnauthenticated);
  EXPECT_EQ(list(hello + "* 2 EXISTS\r\nt4 OK\r\n"), Code::kUnavailable);
  EXPECT_EQ(list(hello + open + "t5 OK\r\n"), Code::kUnavailable);
  EXPECT_EQ(list(hello + open + "* SEARCH 1 2\r\n"), Code::kUnavailable);
  EXPECT_EQ(list(hello + open + "* SEARCH 1 2\r\nt5 OK\r\n* 1 FETCH (UID 1 RFC822.SIZE 10 FLAGS ())\r\n* BYE\r\n"), Code::kUnavailable);
  EXPECT_EQ(list(hello + open + "* SEARCH 1 2\r\nt5 OK\r\n* 1 FETCH (UID 1 RFC822.SIZE 10 FLAGS ())\r\nt6 NO some messages cannot be read\r\n"),
            Code::kUnavailable);
  EXPECT_EQ(list(hello + open + "* ESEARCH (TAG \"t5\") UID ALL 1:4294967295\r\nt5 OK\r\n"), Code::kResourceExhausted);
  EXPECT_EQ(list(hello + open + "* SEARCH {99999999999}\r\n"), Code::kResourceExhausted);
  EXPECT_EQ(list(hello + open + "* SEARCH 0\r\nt5 OK\r\n"), Code::kInvalidArgument);
  EXPECT_EQ(list(hello + open + "* " + std::string(100, '(') + "\r\nt5 OK\r\n"), Code::kUnavailable);
  EXPECT_EQ(list(std::string(18u << 20, 'x')), Code::kResourceExhausted);
}

}  // namespace

std::unique_ptr<SourceFixture> MakeImapFixture() {
  const auto* server = DovecotServer::Get();
  return server ? std::make_unique<ImapFixture>(*server) : nullptr;
}

}  // namespace tenfold::data
