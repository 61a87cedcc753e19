// The guards on any bytes: the output never depends on how a stream is cut, what is masked is restored, what comes out is UTF-8 if what went in was.
#include "base/json.h"
#include "security/input_guard.h"
#include "security/output_guard.h"
#include "security/pii.h"

using namespace tenfold;
using namespace tenfold::security;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size < 2 || size > 4096) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (!IsUtf8(CheckInput(text).text)) __builtin_trap();
  CleanUntrusted(text);
  PiiMask mask;
  const auto masked = mask.Mask(text);
  if (mask.Restore(masked) != text) __builtin_trap();
  const std::size_t step = 1 + data[0] % 17;
  const auto guard = [&](std::size_t by) {
    OutputGuard one({});
    std::string out;
    for (std::size_t at = 0; at < text.size(); at += by) out += one.Push(std::string_view(text).substr(at, by));
    return out + one.Finish();
  };
  if (guard(step) != guard(text.size())) __builtin_trap();
  return 0;
}
