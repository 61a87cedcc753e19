// Readers of test collections on any bytes: what they give is whole (ids within their limits, UTF-8), and everything else is refused with an Error. The first byte
// chooses the reader.
#include "base/error.h"
#include "base/json.h"
#include "retrieval/trec.h"

using namespace tenfold;
using namespace tenfold::retrieval;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size < 1 || size > 65536) return 0;
  const std::string_view file(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto check = [](const std::string& id, const std::string& text) {
    if (id.empty() || id.size() > CollectionLimits::kIdBytes || !IsUtf8(id) || !IsUtf8(text)) __builtin_trap();
  };
  try {
    if (data[0] % 3 == 0) ParseCollection(file, "f", [&](CollectionDocument&& one) { check(one.id, one.title + one.text); });
    if (data[0] % 3 == 1)
      for (const auto& topic : ParseTopics(file, "f")) check(topic.id, topic.text);
    if (data[0] % 3 == 2)
      for (const auto& [topic, judged] : ParseQrels(file, "f"))
        for (const auto& [document, grade] : judged) check(topic, ""), check(document, "");
  } catch (const Error&) {
  }
  return 0;
}
