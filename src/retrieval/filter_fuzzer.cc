// Any JSON is a filter or refused; what is a filter is written and read back to one that holds for the same records.
#include <cstdlib>

#include "base/error.h"
#include "retrieval/filter.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tenfold;
  try {
    const auto filter = retrieval::ParseFilter(ParseJson({reinterpret_cast<const char*>(data), size}));
    const auto again = retrieval::ParseFilter(retrieval::FilterJson(filter));
    for (const auto* metadata : {"{}", R"({"a": 1, "b": "x", "c": ["x", "y"], "d": true, "p": {"lat": 1, "lon": 2}})"}) {
      const auto record = ParseJson(metadata).as_object();
      if (filter.Matches(record) != again.Matches(record)) std::abort();
    }
  } catch (const Error&) {
  }
  return 0;
}
