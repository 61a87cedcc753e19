#pragma once
/// \file Rows and database documents as documents: which field is what, and how a whole record reads as Markdown. Shared by postgresql: and mongodb:.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace tenfold::data {

/// Which fields (columns) of a record hold what; from the query part of the source's URL. An empty name: the source has no such field.
struct RecordFields {
  std::string id;                 ///< names the record: unique, never null, ordered by an index
  std::vector<std::string> text;  ///< joined by a blank line; none: the whole record as Markdown
  std::string title, updated, access, link;
  std::vector<std::string> metadata;  ///< at most 32
  std::string media_type;             ///< of the text
  std::size_t page = 1000;            ///< records a page
  /// "&key=value…" of what differs from the defaults, sorted by key: the same for the same fields.
  std::string ToQuery(std::string_view default_id) const;
};

/// The keys that ParseRecordFields knows.
const std::vector<std::string_view>& RecordFieldKeys();
/// Keys it does not know are left alone. Errors: kInvalidArgument naming the key.
RecordFields ParseRecordFields(const std::map<std::string, std::string, std::less<>>& query, std::string_view default_id);

/// The labels of a value: a text (commas between) or a list of texts; empty for null. Errors: kInvalidArgument for anything else and for the label '*'.
std::string AccessOf(const Json& value);
/// Numbers, true or false, texts (cut at 4 KiB) and lists of texts as they are, null left out, what is nested as JSON text.
JsonObject FlatMetadata(const JsonObject& record);
/// A scalar as a person writes it, what is nested as JSON; empty for null.
std::string ToPlainText(const Json& value);
/// "**field:** value" paragraphs, long texts under a heading of their field, nested values as fenced JSON; `skip` is left out.
std::string ToMarkdown(const JsonObject& record, const std::vector<std::string>& skip);

}  // namespace tenfold::data
