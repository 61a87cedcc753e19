#pragma once
/// \file Notion's blocks, rich text and properties as Markdown and metadata.
#include <string>

#include "base/json.h"

namespace tenfold::data {

/// Blocks as the API lists them; what a block holds stands in its field "children", an array put there by the caller. Unknown kinds are left out; never fails
/// on odd JSON. Bounded: nesting beyond 32 levels is left out, text ends at kMaxTextBytes. Source: Notion API reference, "Block", version 2022-06-28.
std::string NotionBlocksToMarkdown(const Json& blocks);
/// An array of rich text with its annotations and links.
std::string NotionRichTextToMarkdown(const Json& rich_text);
/// The same without marks, for titles.
std::string NotionPlainText(const Json& rich_text);
/// A page's properties, flat: texts, numbers, true or false, lists of texts; without the title.
JsonObject NotionProperties(const Json& properties);
/// The property of type title, empty if there is none.
std::string NotionTitle(const Json& properties);

}  // namespace tenfold::data
