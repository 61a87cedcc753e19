#pragma once
/// \file What a site asks of crawlers: robots.txt, and its list of pages, sitemap.xml.
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace tenfold::data {

/// The rules of a robots.txt for one crawler. Source: RFC 9309; Crawl-delay and Sitemap as usually understood.
class RobotsRules {
 public:
  /// Everything is allowed.
  RobotsRules() = default;
  /// Never fails: what is not understood is skipped, as the RFC asks; read up to 500 KiB. `agent`: the product token, lower case.
  RobotsRules(std::string_view text, std::string_view agent);
  /// The rule with the longest pattern decides; of equally long ones, allow. `target`: path and query.
  bool Allows(std::string_view target) const;
  std::chrono::milliseconds crawl_delay() const { return crawl_delay_; }
  /// As written there.
  const std::vector<std::string>& sitemaps() const { return sitemaps_; }

 private:
  struct Rule {
    std::string pattern;
    bool allow;
  };
  std::vector<Rule> rules_;
  std::vector<std::string> sitemaps_;
  std::chrono::milliseconds crawl_delay_{0};
};

struct Sitemap {
  std::vector<std::string> pages;     ///< at most 50,000, as written
  std::vector<std::string> sitemaps;  ///< of an index
};
/// XML (urlset, sitemapindex), also compressed with gzip, or a text of one URL a line; up to 50 MiB uncompressed. Source: sitemaps.org protocol 0.9.
/// Errors: kInvalidArgument (none of these), kResourceExhausted.
Sitemap ReadSitemap(std::string_view bytes);

}  // namespace tenfold::data
