// A URL that passes the check must not reach this machine: what the C library itself makes of its host without DNS is asked as well.
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <boost/url.hpp>
#include <string>

#include "base/address.h"
#include "base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string url(reinterpret_cast<const char*>(data), size);
  try {
    tenfold::CheckUrl(url, tenfold::AddressPolicy::kPublicOnly);
  } catch (const tenfold::Error&) {
    return 0;
  }
  const auto parsed = boost::urls::parse_uri(url);
  if (!parsed || parsed->has_userinfo()) __builtin_trap();
  addrinfo hints{}, *found = nullptr;
  hints.ai_flags = AI_NUMERICHOST;
  hints.ai_socktype = SOCK_STREAM;
  if (::getaddrinfo(parsed->host_address().c_str(), nullptr, &hints, &found) != 0) return 0;
  for (auto* at = found; at; at = at->ai_next) {
    std::string_view why;
    if (at->ai_family == AF_INET)
      why = tenfold::WhyNotPublic({reinterpret_cast<const std::uint8_t*>(&reinterpret_cast<sockaddr_in*>(at->ai_addr)->sin_addr), 4});
    else if (at->ai_family == AF_INET6)
      why = tenfold::WhyNotPublic({reinterpret_cast<const std::uint8_t*>(&reinterpret_cast<sockaddr_in6*>(at->ai_addr)->sin6_addr), 16});
    if (!why.empty()) __builtin_trap();
  }
  ::freeaddrinfo(found);
  return 0;
}
