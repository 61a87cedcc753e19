#pragma once
/// \file What a crawler needs to know of an HTML page: where it leads, what it is called, and what it asks of crawlers.
#include <string>
#include <string_view>
#include <vector>

namespace tenfold::data {

struct PageLinks {
  std::vector<std::string> links;  ///< normalised (NormaliseUrl), each once, in order; without those of rel="nofollow"; at most 5,000
  std::string canonical;           ///< normalised; empty if the page names none
  std::string title;
  bool noindex = false;   ///< asks not to be kept
  bool nofollow = false;  ///< asks that its links be left alone; `links` is empty then
};
/// `url` is where the page came from; a <base href> of its own wins. `agent`: robots meta of that name count besides "robots".
PageLinks ReadPageLinks(std::string_view html, std::string_view url, std::string_view agent);

}  // namespace tenfold::data
