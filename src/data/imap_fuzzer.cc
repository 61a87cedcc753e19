// What an IMAP server answers, and the ranges of messages in it.
#include <cstdlib>

#include "data/imap_client.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    tenfold::data::ParseImapResponse(bytes);
  } catch (const tenfold::Error&) {
    // Refused.
  }
  try {
    const auto set = tenfold::data::UidSet::Parse(bytes);
    if (!(tenfold::data::UidSet::Parse(set.ToText()) == set)) std::abort();
    if (!set.Without(set).empty()) std::abort();
  } catch (const tenfold::Error&) {
    // Refused.
  }
  try {
    tenfold::data::EncodeMailboxName(bytes);
  } catch (const tenfold::Error&) {
    // Refused.
  }
  return 0;
}
