// Any bytes are either refused with kDataLoss or yield entries that lie within the file.
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "models/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    for (const auto& [name, entry] : tenfold::models::ParseSafetensorsHeader(bytes, size))
      TENFOLD_CHECK(entry.begin <= entry.end && entry.end <= size);
  } catch (const tenfold::Error& e) {
    TENFOLD_CHECK(e.code() == tenfold::Code::kDataLoss);
  }
  return 0;
}
