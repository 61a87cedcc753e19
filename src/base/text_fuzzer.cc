// JSON, server-sent events and base64url: what reads bytes from the network before anything else does.
#include "base/crypto.h"
#include "base/json.h"
#include "base/sse.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const auto value = tenfold::ParseJson(bytes);
    // What was read can be written and read again to the same.
    if (tenfold::ToText(tenfold::ParseJson(tenfold::ToText(value))) != tenfold::ToText(value)) __builtin_trap();
  } catch (const tenfold::Error&) {
  }
  std::string whole, pieces;
  tenfold::SseParser at_once([&](std::string_view event) { whole += std::string(event) + "\x1f"; });
  tenfold::SseParser bytewise([&](std::string_view event) { pieces += std::string(event) + "\x1f"; });
  at_once.Push(bytes);
  for (const char c : bytes) bytewise.Push(std::string_view(&c, 1));
  if (whole != pieces) __builtin_trap();
  try {
    tenfold::Base64UrlDecode(bytes);
  } catch (const tenfold::Error&) {
  }
  return 0;
}
