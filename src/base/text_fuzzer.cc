// JSON, server-sent events and base64url: what reads bytes from the network before anything else does.
#include <algorithm>
#include <cmath>

#include "base/crypto.h"
#include "base/json.h"
#include "base/sse.h"

namespace {

/// Equal but for the last place of a number: this Boost.JSON reads a number of many digits to within one unit of it.
bool Same(const tenfold::Json& a, const tenfold::Json& b) {
  if (a.is_number() && b.is_number()) {
    const auto x = a.to_number<double>(), y = b.to_number<double>();
    return std::abs(x - y) <= 1e-15 * std::max(std::abs(x), std::abs(y));
  }
  if (a.is_array() && b.is_array()) return std::equal(a.get_array().begin(), a.get_array().end(), b.get_array().begin(), b.get_array().end(), Same);
  if (a.is_object() && b.is_object())
    return a.get_object().size() == b.get_object().size() &&
           std::all_of(a.get_object().begin(), a.get_object().end(), [&](const auto& field) { return b.get_object().contains(field.key()) && Same(field.value(), b.get_object().at(field.key())); });
  return a == b;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const auto value = tenfold::ParseJson(bytes);
    // What was read can be written and read again to the same.
    if (!Same(tenfold::ParseJson(tenfold::ToText(value)), value)) __builtin_trap();
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
