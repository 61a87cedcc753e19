#include "security/accounts.h"

#include "base/crypto.h"
#include "security/audit.h"
#include "security/password.h"

namespace tenfold::security {
namespace {

constexpr auto kSessionLength = std::chrono::hours(12);
constexpr auto kLinkLength = std::chrono::hours(24);
constexpr std::string_view kIssuer = "tenfold", kAudience = "tenfold";
constexpr int kMaxFailures = 10;
constexpr auto kFailureWindow = std::chrono::minutes(15);
constexpr std::size_t kMaxFailureEntries = 10'000;

std::string Lower(std::string_view text) {
  std::string out(text);
  for (auto& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

std::shared_ptr<const Principal> MakePrincipal(const User& user) {
  auto principal = std::make_shared<Principal>();
  principal->user = user.id;
  principal->role = ParseRole(user.role);
  principal->customer = user.customer;
  principal->labels = LabelsOf(principal->role);
  return principal;
}

}  // namespace

std::vector<std::string> LabelsOf(Role role) {
  switch (role) {
    case Role::kNobody: return {};
    case Role::kCustomer: return {"public"};
    case Role::kAgent: return {"public", "internal"};
    case Role::kAdmin: return {"*"};
  }
  return {};
}

Accounts::Accounts(data::Store& store, const Clock& clock) : store_(store), clock_(clock) {
  store_.Follow(*this);
  const auto system = Context::System("accounts");
  auto key = store_.Read(system, [](data::ReadTx& tx) { return tx.Get<SigningKey>("current"); });
  if (!key) {
    key = SigningKey{"current", TokenSigner::Generate().ToPem()};
    store_.Write(system, [&](data::WriteTx& tx) { tx.Put(*key); });
  }
  signer_ = TokenSigner::FromPem(key->pem);
}

std::vector<data::Table> Accounts::Tables() {
  return {data::TableOf<User>(), data::TableOf<ApiKey>(), data::TableOf<Session>(), data::TableOf<SignInLink>(), data::TableOf<AuditEntry>(), data::TableOf<SigningKey>()};
}

void Accounts::Load(data::ReadTx& tx) { Refresh(tx); }

void Accounts::Apply(std::span<const data::Change> changes, data::ReadTx& tx) {
  for (const auto& change : changes) {
    const bool put = change.kind == data::ChangeKind::kPut;
    if (change.table == "users") {
      const auto user = put ? tx.Get<User>(change.key) : std::nullopt;
      const std::unique_lock lock(mutex_);
      if (user) principals_[user->id] = MakePrincipal(*user);
      else principals_.erase(change.key);
    } else if (change.table == "api_keys") {
      const auto key = put ? tx.Get<ApiKey>(change.key) : std::nullopt;
      const std::unique_lock lock(mutex_);
      if (key) keys_[key->id] = key->user;
      else keys_.erase(change.key);
    } else if (change.table == "sessions") {
      auto session = put ? tx.Get<Session>(change.key) : std::nullopt;
      const std::unique_lock lock(mutex_);
      if (session) sessions_[session->id] = std::move(*session);
      else sessions_.erase(change.key);
    }
  }
}

void Accounts::Refresh(data::ReadTx& tx) {
  const std::unique_lock lock(mutex_);
  principals_.clear();
  keys_.clear();
  sessions_.clear();
  for (const auto& user : tx.Find<User>()) principals_[user.id] = MakePrincipal(user);
  for (const auto& key : tx.Find<ApiKey>()) keys_[key.id] = key.user;
  for (auto& session : tx.Find<Session>()) sessions_[session.id] = std::move(session);
}

std::shared_ptr<const Principal> Accounts::PrincipalOf(std::string_view email) const {
  const std::shared_lock lock(mutex_);
  const auto found = principals_.find(Lower(email));
  if (found == principals_.end()) throw Error(Code::kNotFound, "there is no user '" + std::string(email) + "'; see 'tenfold users list'", "user");
  return found->second;
}

std::optional<Session> Accounts::FindSession(std::string_view cookie) const {
  if (cookie.empty() || cookie.size() > 128) return std::nullopt;
  const auto hash = Sha256Hex(cookie);
  const std::shared_lock lock(mutex_);
  const auto found = sessions_.find(hash);
  if (found == sessions_.end() || found->second.expires_us <= ToMicros(clock_.Now())) return std::nullopt;
  return found->second;
}

std::shared_ptr<const Principal> Accounts::Authenticate(const HttpRequest& request) const {
  static constexpr std::string_view kBearer = "Bearer ";
  const auto authorization = request.header("authorization");
  const auto api_key = request.header("api-key");  // how Pinecone's clients send it
  if (!authorization.empty() || !api_key.empty()) {
    if (authorization.starts_with("Bearer eyJ")) return VerifyToken(authorization.substr(kBearer.size()));
    if ((!authorization.empty() && !authorization.starts_with(kBearer)) || std::max(authorization.size(), api_key.size()) > 512) throw Error(Code::kUnauthenticated, "the Authorization header must be 'Bearer KEY'");
    const auto hash = Sha256Hex(authorization.empty() ? api_key : authorization.substr(kBearer.size()));
    const std::shared_lock lock(mutex_);
    const auto key = keys_.find(hash);
    const auto principal = key == keys_.end() ? principals_.end() : principals_.find(key->second);
    if (principal == principals_.end()) throw Error(Code::kUnauthenticated, "the API key is not valid; create one with 'tenfold keys create --user EMAIL'");
    return principal->second;
  }
  const auto session = FindSession(request.cookie("tenfold_session"));
  if (!session) throw Error(Code::kUnauthenticated, "sign in, or send 'Authorization: Bearer KEY'");
  if (request.method != "GET" && request.method != "HEAD" && !EqualInConstantTime(request.header("x-csrf-token"), session->csrf))
    throw Error(Code::kPermissionDenied, "the x-csrf-token header does not belong to this session; load the page again");
  const std::shared_lock lock(mutex_);
  const auto principal = principals_.find(session->user);
  if (principal == principals_.end()) throw Error(Code::kUnauthenticated, "the user of this session is gone");
  return principal->second;
}

std::shared_ptr<const Principal> Accounts::VerifyToken(std::string_view token) const {
  const auto claims = signer_->Verify(token, {std::string(kIssuer), std::string(kAudience), clock_.Now()});
  const auto* subject = claims.if_contains("sub");
  const std::shared_lock lock(mutex_);
  const auto principal = subject && subject->is_string() ? principals_.find(AsView(subject->get_string())) : principals_.end();
  if (principal == principals_.end()) throw Error(Code::kUnauthenticated, "the user of this token is gone");
  return principal->second;
}

std::string Accounts::IssueToken(const Principal& principal) const {
  const auto now = ToMicros(clock_.Now()) / 1'000'000;
  return signer_->Sign({{"iss", kIssuer}, {"aud", kAudience}, {"sub", principal.user}, {"role", boost::json::string(RoleName(principal.role))}, {"iat", now}, {"exp", now + kTokenSeconds}, {"jti", RandomToken(12)}});
}

JsonObject Accounts::Jwks() const { return signer_->Jwks(); }

void Accounts::AddUser(const Context& ctx, User user) {
  user.id = Lower(user.id);
  const auto at = user.id.find('@');
  // "admin" alone is the user of a new home; every other user is an e-mail address.
  if (user.id.size() > 254 || !IsUtf8(user.id) || (user.id != "admin" && (at == std::string::npos || at == 0 || at + 1 == user.id.size())))
    throw Error(Code::kInvalidArgument, "user '" + user.id.substr(0, 64) + "' is not an e-mail address", "user");
  ParseRole(user.role);
  user.created_us = ToMicros(clock_.Now());
  store_.Write(ctx, [&](data::WriteTx& tx) {
    tx.Add(user);
    AppendAudit(tx, ctx, "user.add", user.id, {{"role", user.role}});
  });
}

std::vector<User> Accounts::ListUsers(const Context& ctx) {
  return store_.Read(ctx, [](data::ReadTx& tx) { return tx.Find<User>(); });
}

std::string Accounts::CreateKey(const Context& ctx, std::string_view email, std::string_view name) {
  const auto user = PrincipalOf(email)->user;
  const auto key = "tf_" + RandomToken(32);
  store_.Write(ctx, [&](data::WriteTx& tx) {
    tx.Add(ApiKey{Sha256Hex(key), user, std::string(name), key.substr(0, 8), ToMicros(clock_.Now())});
    AppendAudit(tx, ctx, "key.create", user, {{"hint", key.substr(0, 8)}});
  });
  return key;
}

std::string Accounts::CreateSignInLink(const Context& ctx, std::string_view email) {
  const auto user = PrincipalOf(email)->user;
  const auto token = RandomToken(32);
  store_.Write(ctx, [&](data::WriteTx& tx) {
    tx.Add(SignInLink{Sha256Hex(token), user, ToMicros(clock_.Now() + kLinkLength)});
    AppendAudit(tx, ctx, "link.create", user);
  });
  return token;
}

SignedIn Accounts::OpenSession(const Context& ctx, const User& user, const std::function<void(data::WriteTx&)>& also) {
  SignedIn out{RandomToken(32), RandomToken(16), user};
  const auto now = clock_.Now();
  store_.Write(ctx, [&](data::WriteTx& tx) {
    also(tx);
    for (const auto& old : tx.Find<Session>({{{"expires_us", data::Compare::kLess, ToMicros(now)}}, "", false, 100})) tx.Delete<Session>(old.id);
    tx.Add(Session{Sha256Hex(out.cookie), user.id, out.csrf, ToMicros(now + kSessionLength)});
    AppendAudit(tx, ctx, "session.open", user.id);
  });
  return out;
}

SignedIn Accounts::SignIn(const Context& ctx, std::string_view email, std::string_view password) {
  const auto id = Lower(email.substr(0, 254));
  {
    const std::unique_lock lock(mutex_);
    auto& failures = failures_[id];
    if (clock_.Now() - failures.since > kFailureWindow) failures = {0, clock_.Now()};
    if (failures.count >= kMaxFailures) throw Error(Code::kResourceExhausted, "too many failed sign-ins for this user; try again in 15 minutes");
    if (failures_.size() > kMaxFailureEntries) failures_.clear();
  }
  const auto user = store_.Read(ctx, [&](data::ReadTx& tx) { return tx.Get<User>(id); });
  // An unknown user costs the same time as a wrong password.
  static const std::string kDummy = HashPassword("no such user");
  const bool right = VerifyPassword(user && !user->password_hash.empty() ? user->password_hash : kDummy, password) && user && !user->password_hash.empty();
  if (!right) {
    {
      const std::unique_lock lock(mutex_);
      ++failures_[id].count;
    }
    store_.Write(ctx, [&](data::WriteTx& tx) { AppendAudit(tx, ctx, "session.refuse", user ? user->id : "unknown"); });
    throw Error(Code::kUnauthenticated, "the e-mail address or the password is wrong");
  }
  const std::string known = user->id;
  {
    const std::unique_lock lock(mutex_);
    failures_.erase(known);
  }
  return OpenSession(ctx, *user, [](data::WriteTx&) {});
}

SignedIn Accounts::SignInWithLink(const Context& ctx, std::string_view token) {
  const auto hash = Sha256Hex(token.substr(0, 256));
  User user;
  store_.Read(ctx, [&](data::ReadTx& tx) {
    const auto link = tx.Get<SignInLink>(hash);
    const auto found = link && link->expires_us > ToMicros(clock_.Now()) ? tx.Get<User>(link->user) : std::nullopt;
    if (!found) throw Error(Code::kUnauthenticated, "this sign-in link was used or has expired; make one with 'tenfold users link'");
    user = *found;
  });
  return OpenSession(ctx, user, [&](data::WriteTx& tx) {
    if (!tx.Delete<SignInLink>(hash)) throw Error(Code::kUnauthenticated, "this sign-in link was used");
  });
}

void Accounts::SignOut(const Context& ctx, std::string_view cookie) {
  const auto session = FindSession(cookie);
  if (!session) return;
  store_.Write(ctx, [&](data::WriteTx& tx) {
    tx.Delete<Session>(session->id);
    AppendAudit(tx, ctx, "session.close", session->user);
  });
}

}  // namespace tenfold::security
