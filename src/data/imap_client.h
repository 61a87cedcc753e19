#pragma once
/// \file A reading IMAP4rev1 client: sign in, open a mailbox read-only, search, fetch. Source: RFC 3501, RFC 4731 (ESEARCH), RFC 7162 (CONDSTORE), RFC 4959
/// (SASL-IR).
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/byte_stream.h"
#include "base/context.h"

namespace tenfold::data {

/// Unique ids of messages as ranges, ascending, without overlap.
class UidSet {
 public:
  UidSet() = default;
  /// "1:5,7". Errors: kInvalidArgument.
  static UidSet Parse(std::string_view text);
  /// A UID greater than all there are.
  void Append(std::uint32_t uid);
  std::string ToText() const;
  std::uint64_t size() const;
  bool empty() const { return ranges_.empty(); }
  /// What is here and not in `other`.
  UidSet Without(const UidSet& other) const;
  /// The first `count` ids behind `after`.
  UidSet After(std::uint32_t after, std::size_t count) const;
  std::vector<std::uint32_t> ToList() const;
  bool operator==(const UidSet&) const = default;

 private:
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ranges_;
};

/// One part of a response.
struct ImapValue {
  enum class Kind : std::uint8_t { kAtom, kString, kList, kNil };
  Kind kind = Kind::kNil;
  std::string text;  ///< of an atom (with its "[…]" part) or a string
  std::vector<ImapValue> list;
};
/// A whole response without its last line end, literals included: "* 1 FETCH (UID 4 BODY[] {3}\r\nabc)". Errors: kUnavailable if it is none. Nesting is limited
/// to 16.
std::vector<ImapValue> ParseImapResponse(std::string_view response);
/// A mailbox's name as it is sent. Errors: kInvalidArgument if not UTF-8. Source: RFC 3501, section 5.1.3 (modified UTF-7).
std::string EncodeMailboxName(std::string_view utf8);

struct ImapPlace {
  std::string host, user, mailbox;
  std::uint16_t port = 993;
  /// kOn: TLS from the first byte. kOff: STARTTLS, unless the host is this machine.
  Tls tls = Tls::kOn;
};

struct ImapMailbox {
  std::uint32_t uid_validity = 0, uid_next = 0, exists = 0;
  std::uint64_t highest_modseq = 0;  ///< 0: the server does not keep it
  bool operator==(const ImapMailbox&) const = default;
};
struct ImapMessage {
  std::uint32_t uid = 0;
  std::uint64_t size = 0;
  std::string internal_date;  ///< as the server writes it: "25-Nov-2026 10:15:30 +0000"
  bool deleted = false;
};

/// Connected and signed in. Any error but kNotFound, kPermissionDenied and kInvalidArgument leaves it unusable. Threads: one at a time.
/// Errors: kUnauthenticated, kPermissionDenied, kNotFound (mailbox, message), kUnavailable (no connection, cut off, not IMAP), kResourceExhausted (too large,
/// server's limit), kFailedPrecondition (no TLS offered, no way to sign in that is offered), kDeadlineExceeded, kCancelled.
class ImapClient {
 public:
  ImapClient(const Context& ctx, const ImapPlace& place, const std::string& password);
  ~ImapClient();
  /// EXAMINE: nothing that is done then changes the mailbox, not even what counts as read.
  ImapMailbox Examine(const Context& ctx);
  /// All that are not marked as deleted.
  UidSet Search(const Context& ctx);
  /// In no order; those that have gone are left out.
  std::vector<ImapMessage> Fetch(const Context& ctx, const UidSet& uids);
  /// The whole message. Errors: also kResourceExhausted beyond `limit_bytes`.
  std::string FetchBody(const Context& ctx, std::uint32_t uid, std::uint64_t limit_bytes);
  /// Whether an error has left it unusable.
  bool broken() const { return broken_; }

 private:
  struct Tagged {
    std::string status, text;  ///< "OK", "[CODE] words"
  };
  std::string ReadLine(const Context& ctx, std::uint64_t limit);
  std::string ReadResponse(const Context& ctx, std::uint64_t limit);
  std::vector<std::vector<ImapValue>> Command(const Context& ctx, const std::string& command, std::string_view doing, std::uint64_t limit,
                                              const std::vector<std::string>& continuations = {});
  void SignIn(const Context& ctx, const std::string& password);
  void ReadCapabilities(const Context& ctx);
  bool Offers(std::string_view capability) const;
  [[noreturn]] void Throw(std::string_view doing, std::string_view status, std::string_view text);

  const ImapPlace place_;
  std::unique_ptr<ByteStream> stream_;
  std::string buffer_;
  std::size_t at_ = 0;  ///< what of the buffer was read
  std::vector<std::string> capabilities_;
  unsigned next_tag_ = 1;
  bool broken_ = false;
};

}  // namespace tenfold::data
