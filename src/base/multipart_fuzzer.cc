// A multipart body: every part lies inside the body.
#include <cstddef>

#include "base/error.h"
#include "base/multipart.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  try {
    for (const auto& part : tenfold::ParseMultipart("multipart/form-data; boundary=b", body))
      if (part.name.empty() || part.body.data() < body.data() || part.body.data() + part.body.size() > body.data() + body.size()) __builtin_trap();
  } catch (const tenfold::Error&) {
  }
  return 0;
}
