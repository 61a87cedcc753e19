// A cron expression: what is accepted has a next time that comes later, or says that there is none.
#include "base/error.h"
#include "workflows/cron.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  try {
    const tenfold::workflows::Cron cron(std::string_view(reinterpret_cast<const char*>(data), size));
    const auto at = tenfold::FromMicros(1'795'627'208'727'964);
    const auto next = cron.Next(at);
    if (next <= at || cron.Next(next) <= next) __builtin_trap();
  } catch (const tenfold::Error&) {
  }
  return 0;
}
