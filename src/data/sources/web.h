#pragma once
/// \file The `web:` source: the pages of a site, found through its sitemap and its links, as its robots.txt allows.
#include "data/source.h"

namespace tenfold::data {

/// `https://host/path#options`. Pages have the site's own order (breadth first); no access (a public page does not say); no cursor (a site does not tell what
/// changed). What decides which pages there are: scope=path (below the start page's folder, default) or host; depth=10; max_pages=1000 (up to 20,000);
/// exclude=/a,/b (prefixes of paths); discover=both (default), sitemap or links. How: delay_ms=200 (or robots.txt's Crawl-delay, if longer, up to 30 s),
/// timeout_ms=20000. A page that fails (5xx, no answer) is asked again at the end; if it fails again, so does the listing: its links would be missing. Page
/// tokens hold the frontier, up to about 1 MiB. Source: robots.txt is RFC 9309, sitemaps are sitemaps.org 0.9, validators are RFC 9110.
std::unique_ptr<Source> OpenWebSource(std::string_view url, const SourceSetup& setup);

}  // namespace tenfold::data
