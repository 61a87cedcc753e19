#pragma once
/// \file The `notion:` source: the pages that a Notion integration was given, as Markdown, through Notion's REST API.
#include "data/source.h"

namespace tenfold::data {

/// Empty: every page the integration may see. `ID` or the page's URL: that page or database and all below it. `https://proxy/ID`: through another server that
/// speaks the API. Token: $NOTION_TOKEN. A row of a database is a page with properties; databases themselves are lists of rows and no documents. Fingerprint:
/// last_edited_time, which has minutes; for what was edited in the last minutes also a hash of the text (one more read of that page). Access: Notion's API does
/// not say who may read (empty). In the trash or archived is gone. Options: whole_every=0 minutes, for the whole workspace only: above 0 a cursor lists what
/// was edited since and is too old after that many minutes, because what was removed or unshared shows only in a whole listing. Limits: blocks nest 8 deep,
/// 10,000 of them a page; comments are left out; files that Notion hosts are named, not fetched (their addresses expire). Source: Notion API, version
/// 2022-06-28. Three requests a second, as Notion asks.
std::unique_ptr<Source> OpenNotionSource(std::string_view url, const SourceSetup& setup);

}  // namespace tenfold::data
