#include "data/source.h"

#include <iterator>

namespace tenfold::data {

std::vector<SourceItem> ListAll(const Context& ctx, Source& source) {
  std::vector<SourceItem> out;
  std::string page;
  do {
    auto got = source.List(ctx, "", page);
    std::move(got.items.begin(), got.items.end(), std::back_inserter(out));
    page = std::move(got.next);
  } while (!page.empty());
  return out;
}

}  // namespace tenfold::data
