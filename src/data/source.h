#pragma once
/// \file A place documents come from. One contract test for all back ends: sources/source_contract_test.cc. Each lies in data/sources/; app/backends.cc lists them.
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "base/describe.h"

namespace tenfold::data {

/// A document as a source lists it.
struct SourceItem {
  std::string path;         ///< its name there, the same as long as it is the same document; unique in the source
  std::string fingerprint;  ///< differs whenever Read() would give other bytes: a hash, an ETag, a revision, a time of editing
  std::string access;       ///< labels that may read it, as in Principal::MayRead; empty: the source does not say
  std::string title;        ///< as the source calls it; empty: the text itself says
  std::string link;         ///< where a person opens it there; may be empty
  std::string media_type;   ///< what Read() will give, if it is known by now
  JsonObject metadata;      ///< flat: texts, numbers, true or false, lists of texts
  std::string problem;      ///< why it is left out; empty if it is not
  bool removed = false;     ///< it is gone; only in a listing of changes
};
TENFOLD_DESCRIBE(SourceItem, (path), (fingerprint), (access), (title), (link), (media_type), (metadata), (problem), (removed))

struct SourcePage {
  std::vector<SourceItem> items;
  std::string next;    ///< asks for the next page; empty: this was the last one
  std::string cursor;  ///< on the last page: begins a listing of what changed since the first one was asked for; empty: this source is always listed whole
};

struct SourceContent {
  std::string bytes;
  std::string media_type;  ///< empty: by the ending of its path
};

/// What a back end is opened with, beside its URL. Passwords and tokens are never part of a URL.
struct SourceSetup {
  /// The value of an environment variable such as "NOTION_TOKEN"; empty if it is not set.
  std::function<std::string(std::string_view name)> secret = [](std::string_view) { return std::string(); };
  /// Lets web: and its like reach loopback, private and link-local addresses. Only for operators and tests.
  bool allow_private_addresses = false;
  /// How many times faster than a public service would like it requests follow one another, and failed ones are made again: for a server of one's own, and for tests.
  double haste = 1;
};

/// Threads: one at a time.
class Source {
 public:
  virtual ~Source() = default;
  /// The same for the same place, however it was written; without secrets.
  virtual const std::string& url() const = 0;
  /// One page of what is there, in no order. `cursor` is empty for a whole listing, else from an earlier last page: what changed since. `page` is empty for the
  /// first page, else the one before's `next`; both stay good over a restart. What a complete whole listing does not name is gone; a listing that failed says nothing.
  /// Errors: kNotFound, kUnauthenticated, kPermissionDenied, kUnavailable, kResourceExhausted (its rate limit, after polite waits), kInvalidArgument;
  /// kFailedPrecondition: the cursor is too old, list whole.
  virtual SourcePage List(const Context& ctx, const std::string& cursor, const std::string& page) = 0;
  /// Errors: also kNotFound (gone meanwhile), kResourceExhausted (larger than kMaxDocumentBytes).
  virtual SourceContent Read(const Context& ctx, const SourceItem& item) = 0;
};

/// Every page of one listing. For small sources and tests.
std::vector<SourceItem> ListAll(const Context& ctx, Source& source);

}  // namespace tenfold::data
