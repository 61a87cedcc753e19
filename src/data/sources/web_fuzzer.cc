// What a site sends a crawler: robots.txt, sitemap, links of a page, a URL. The first byte chooses.
#include "base/error.h"
#include "base/json.h"
#include "data/sources/http_source.h"
#include "data/sources/robots.h"
#include "data/sources/web_links.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  using namespace tenfold::data;
  switch (data[0] % 4) {
    case 0: {
      const RobotsRules rules(bytes, "tenfold");
      rules.Allows(bytes.substr(bytes.rfind('/') == std::string_view::npos ? 0 : bytes.rfind('/')));
      if (!rules.Allows("/robots.txt")) __builtin_trap();
      break;
    }
    case 1:
      try {
        ReadSitemap(bytes);
      } catch (const tenfold::Error&) {
      }
      break;
    case 2: {
      const auto page = ReadPageLinks(bytes, "https://example.com/a/b?c", "tenfold");
      if (!tenfold::IsUtf8(page.title) || (page.nofollow && !page.links.empty())) __builtin_trap();
      for (const auto& link : page.links)
        if (NormaliseUrl(link) != link) __builtin_trap();
      break;
    }
    default: {
      // What was made normal stays as it is, and is something the client takes.
      const auto url = NormaliseUrl(bytes, "https://example.com/a/b?c");
      if (url.empty()) break;
      if (NormaliseUrl(url) != url || !url.starts_with(OriginOf(url))) __builtin_trap();
      tenfold::CheckUrl(url, tenfold::AddressPolicy::kAny);
      NextLink(bytes);
      break;
    }
  }
  return 0;
}
