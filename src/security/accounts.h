#pragma once
/// \file Users, API keys, sessions and one-time sign-in links. Who sends a request is answered from memory: this follows the store.
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/http.h"
#include "data/store.h"
#include "security/jwt.h"

namespace tenfold::security {

struct User {
  std::string id;  ///< e-mail, lower case
  std::string name;
  std::string role;      ///< customer, agent, admin
  std::string customer;  ///< the customer record, for customers
  std::string password_hash;  ///< empty: cannot sign in with a password
  std::int64_t created_us = 0;
};
TENFOLD_DESCRIBE(User, (id), (name), (role), (customer), (password_hash), (created_us))
TENFOLD_TABLE(User, "users", id)

/// Keys, sessions and links are stored by the SHA-256 of their secret: the data folder alone signs nobody in.
struct ApiKey {
  std::string id;  ///< hash of the key
  std::string user;
  std::string name;
  std::string hint;  ///< the first characters, to tell keys apart
  std::int64_t created_us = 0;
};
TENFOLD_DESCRIBE(ApiKey, (id), (user), (name), (hint), (created_us))
TENFOLD_TABLE(ApiKey, "api_keys", id, {"user"}, {{"users", "user"}})

struct Session {
  std::string id;  ///< hash of the cookie
  std::string user;
  std::string csrf;
  std::int64_t expires_us = 0;
};
TENFOLD_DESCRIBE(Session, (id), (user), (csrf), (expires_us))
TENFOLD_TABLE(Session, "sessions", id, {"user"}, {{"users", "user"}})

struct SignInLink {
  std::string id;  ///< hash of the token
  std::string user;
  std::int64_t expires_us = 0;
};
TENFOLD_DESCRIBE(SignInLink, (id), (user), (expires_us))
TENFOLD_TABLE(SignInLink, "sign_in_links", id, {"user"}, {{"users", "user"}})

/// The key that signs access tokens, as PEM. One row.
struct SigningKey {
  std::string id;
  std::string pem;
};
TENFOLD_DESCRIBE(SigningKey, (id), (pem))
TENFOLD_TABLE(SigningKey, "signing_keys", id)

/// What a role may read. Deny by default: a role not named reads nothing.
std::vector<std::string> LabelsOf(Role role);

/// What a sign-in gives.
struct SignedIn {
  std::string cookie;  ///< the secret, given once
  std::string csrf;
  User user;
};

/// Threads: all methods are safe. Authenticate never waits; the rest block.
class Accounts : public data::Follower {
 public:
  static constexpr std::int64_t kTokenSeconds = 900;
  /// `store` must outlive it.
  Accounts(data::Store& store, const Clock& clock);
  static std::vector<data::Table> Tables();

  /// From "Authorization: Bearer" or the session cookie; a cookie counts for a change only with its x-csrf-token.
  /// Errors: kUnauthenticated.
  std::shared_ptr<const Principal> Authenticate(const HttpRequest& request) const;
  /// Nothing if the cookie is none, has ended or was signed out.
  std::optional<Session> FindSession(std::string_view cookie) const;
  std::shared_ptr<const Principal> PrincipalOf(std::string_view email) const;

  /// Errors: kAlreadyExists, kInvalidArgument (e-mail, role).
  void AddUser(const Context& ctx, User user);
  std::vector<User> ListUsers(const Context& ctx);
  /// The key itself, said once. Errors: kNotFound with the fix.
  std::string CreateKey(const Context& ctx, std::string_view email, std::string_view name);
  std::string CreateSignInLink(const Context& ctx, std::string_view email);
  /// Errors: kUnauthenticated (which of the two was wrong is not said); kResourceExhausted after too many failures for this user.
  SignedIn SignIn(const Context& ctx, std::string_view email, std::string_view password);
  /// A link works once.
  SignedIn SignInWithLink(const Context& ctx, std::string_view token);
  void SignOut(const Context& ctx, std::string_view cookie);
  /// A signed token that says who the principal is, for kTokenSeconds. Rights are looked up at use: a user who goes takes theirs along.
  std::string IssueToken(const Principal& principal) const;
  JsonObject Jwks() const;

  std::string name() const override { return "accounts"; }
  void Load(data::ReadTx& tx) override;
  void Apply(std::span<const data::Change> changes, data::ReadTx& tx) override;

 private:
  SignedIn OpenSession(const Context& ctx, const User& user, const std::function<void(data::WriteTx&)>& also);
  void Refresh(data::ReadTx& tx);

  std::shared_ptr<const Principal> VerifyToken(std::string_view token) const;

  data::Store& store_;
  const Clock& clock_;
  std::optional<TokenSigner> signer_;  // set once, in the constructor
  mutable std::shared_mutex mutex_;
  std::map<std::string, std::shared_ptr<const Principal>, std::less<>> principals_;  // by e-mail
  std::map<std::string, std::string, std::less<>> keys_;                             // hash -> e-mail
  std::map<std::string, Session, std::less<>> sessions_;                             // by hash
  struct Failures {
    int count = 0;
    TimePoint since;
  };
  std::map<std::string, Failures, std::less<>> failures_;
};

}  // namespace tenfold::security
