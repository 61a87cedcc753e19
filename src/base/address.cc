#include "base/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <boost/url.hpp>
#include <optional>
#include <vector>

#include "base/error.h"

namespace tenfold {
namespace {

struct Range4 {
  std::uint32_t first;
  int bits;
  std::string_view why;
};
constexpr std::uint32_t V4(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) { return a << 24 | b << 16 | c << 8 | d; }
constexpr Range4 kRanges4[] = {
    {V4(0, 0, 0, 0), 8, "unspecified"},
    {V4(10, 0, 0, 0), 8, "private"},
    {V4(100, 64, 0, 0), 10, "shared (carrier-grade NAT)"},
    {V4(127, 0, 0, 0), 8, "loopback"},
    {V4(169, 254, 0, 0), 16, "link-local"},
    {V4(172, 16, 0, 0), 12, "private"},
    {V4(192, 0, 0, 0), 24, "reserved"},
    {V4(192, 0, 2, 0), 24, "documentation"},
    {V4(192, 88, 99, 0), 24, "6to4 relay"},
    {V4(192, 168, 0, 0), 16, "private"},
    {V4(198, 18, 0, 0), 15, "benchmark"},
    {V4(198, 51, 100, 0), 24, "documentation"},
    {V4(203, 0, 113, 0), 24, "documentation"},
    {V4(224, 0, 0, 0), 4, "multicast"},
    {V4(240, 0, 0, 0), 4, "reserved"},
    {V4(168, 63, 129, 16), 32, "a cloud's metadata service"},
};

std::string_view WhyNotPublic4(std::uint32_t address) {
  for (const auto& range : kRanges4)
    if ((address ^ range.first) >> (32 - range.bits) == 0) return range.why;
  return {};
}

struct Range6 {
  std::array<std::uint8_t, 16> first;
  int bits;
  std::string_view why;
};
// Only 2000::/3 is given out; these are the parts of it that are special. What lies outside is named for the message's sake.
constexpr Range6 kSpecial6[] = {
    {{0x20, 0x01, 0x0d, 0xb8}, 32, "documentation"},
    {{0x3f, 0xff}, 20, "documentation"},
    {{0x20, 0x01, 0, 0}, 32, "Teredo"},
    {{0x20, 0x01, 0, 2}, 48, "benchmark"},
    {{0x20, 0x01}, 23, "reserved"},
    {{0x20, 0x02}, 16, "6to4"},
    {{}, 128, "unspecified"},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, "loopback"},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, "IPv4-mapped"},
    {{}, 96, "IPv4-compatible"},
    {{0xfe, 0x80}, 10, "link-local"},
    {{0xfe, 0xc0}, 10, "site-local"},
    {{0xfc}, 7, "private"},
    {{0xff}, 8, "multicast"},
};
constexpr std::array<std::uint8_t, 12> kNat64{0, 0x64, 0xff, 0x9b};

bool IsWithin(std::span<const std::uint8_t> address, const Range6& range) {
  for (int bit = 0; bit < range.bits; bit += 8) {
    const int mask = range.bits - bit >= 8 ? 0xff : 0xff << (8 - (range.bits - bit)) & 0xff;
    if ((address[static_cast<std::size_t>(bit / 8)] ^ range.first[static_cast<std::size_t>(bit / 8)]) & mask) return false;
  }
  return true;
}

std::uint32_t Read4(std::span<const std::uint8_t> bytes) { return V4(bytes[0], bytes[1], bytes[2], bytes[3]); }

/// The number of one part as inet_aton() reads it: 0x hexadecimal, 0 octal, else decimal.
std::optional<std::uint64_t> ReadPart(std::string_view part) {
  int base = 10;
  if (part.size() > 1 && part[0] == '0') {
    base = part[1] == 'x' || part[1] == 'X' ? 16 : 8;
    part.remove_prefix(base == 16 ? 2 : 1);
    if (part.empty()) return 0;
  }
  if (part.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : part) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
    if (digit >= base && !(base == 8 && digit < 10)) return std::nullopt;
    // Larger than any address is still a number; what resolvers make of it differs.
    value = std::min<std::uint64_t>(value * static_cast<std::uint64_t>(base) + static_cast<std::uint64_t>(digit), 1ull << 40);
  }
  return value;
}

enum class Literal : std::uint8_t { kNone, kAddress, kOdd };
/// What a host of digits means as an IPv4 address; kOdd where resolvers disagree.
Literal ReadLiteral4(std::string_view host, std::uint32_t& out) {
  std::vector<std::uint64_t> parts;
  while (true) {
    const auto dot = host.find('.');
    const auto part = ReadPart(host.substr(0, dot));
    if (!part) {
      // A name whose last part is a number is no name of DNS.
      const auto last = ReadPart(host.substr(host.rfind('.') + 1));
      return last ? Literal::kOdd : Literal::kNone;
    }
    parts.push_back(*part);
    if (dot == std::string_view::npos) break;
    host.remove_prefix(dot + 1);
  }
  if (parts.size() > 4) return Literal::kOdd;
  const auto last_limit = 1ull << (8 * (5 - parts.size()));
  if (parts.back() >= last_limit) return Literal::kOdd;
  std::uint64_t value = parts.back();
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    if (parts[i] > 255) return Literal::kOdd;
    value |= parts[i] << (8 * (3 - i));
  }
  out = static_cast<std::uint32_t>(value);
  return Literal::kAddress;
}

[[noreturn]] void Refuse(std::string_view host, std::string_view why) {
  throw Error(Code::kPermissionDenied, "'" + std::string(host.substr(0, 200)) + "' may not be contacted: " + std::string(why), "url");
}

}  // namespace

std::string_view WhyNotPublic(std::span<const std::uint8_t> address) {
  if (address.size() == 4) return WhyNotPublic4(Read4(address));
  if (address.size() != 16) return "no IP address";
  if (std::equal(kNat64.begin(), kNat64.end(), address.begin())) return WhyNotPublic4(Read4(address.subspan(12)));
  for (const auto& range : kSpecial6)
    if (IsWithin(address, range)) return range.why;
  if ((address[0] & 0xe0) != 0x20) return "reserved";
  // ISATAP writes an IPv4 address into the interface identifier (RFC 5214).
  if ((address[8] & 0xfd) == 0 && address[9] == 0 && address[10] == 0x5e && address[11] == 0xfe && !WhyNotPublic4(Read4(address.subspan(12))).empty())
    return "ISATAP";
  return {};
}

void CheckUrl(std::string_view url, AddressPolicy policy) {
  const auto parsed = boost::urls::parse_uri(url);
  // Boost 1.81 reads the host of 'http://1.2.3.4.5/' as 1.2.3.4 and goes on with a path: what it did not take for the authority is refused, whatever the
  // policy.
  const auto begin = url.find("//");
  const auto authority = begin == std::string_view::npos ? std::string_view() : url.substr(begin + 2, url.find_first_of("/?#\\", begin + 2) - begin - 2);
  if (!parsed || parsed->encoded_authority() != boost::urls::string_view(authority.data(), authority.size()) ||
      (parsed->scheme() != "http" && parsed->scheme() != "https") || parsed->encoded_host().empty())
    throw Error(Code::kInvalidArgument, "'" + std::string(url.substr(0, 200)) + "' is not an http: or https: URL", "url");
  if (policy == AddressPolicy::kAny) return;
  const std::string_view written(parsed->encoded_host().data(), parsed->encoded_host().size());
  if (parsed->has_userinfo()) Refuse(written, "user information in a URL");
  if (parsed->has_port() && policy == AddressPolicy::kPublicOnly && parsed->port() != "80" && parsed->port() != "443" && !parsed->port().empty())
    Refuse(written, "only ports 80 and 443 are allowed");
  if (parsed->host_type() == boost::urls::host_type::ipvfuture) Refuse(written, "no IP address");
  if (parsed->host_type() == boost::urls::host_type::ipv6) {
    // Boost keeps no zone: a URL with one does not parse.
    const auto bytes = parsed->host_ipv6_address().to_bytes();
    return CheckAddress(bytes, written, policy);
  }
  if (written.find('%') != std::string_view::npos) Refuse(written, "percent-encoding in a host name");
  std::string host(written);
  for (auto& c : host) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  if (host.ends_with('.')) host.pop_back();
  if (host.empty() || host.size() > 253 || host.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-._") != std::string::npos)
    Refuse(written, "no host name");
  if (host.front() == '.' || host.find("..") != std::string::npos) Refuse(written, "no host name");
  std::uint32_t address = 0;
  switch (ReadLiteral4(host, address)) {
    case Literal::kOdd:
      Refuse(written, "a number that is no address");
    case Literal::kAddress:
      if (const auto why = WhyNotPublic4(address); !why.empty()) Refuse(written, "its address is " + std::string(why) + ", not public");
      return;
    case Literal::kNone:
      break;
  }
  if (host.find('.') == std::string::npos) Refuse(written, "a name without a dot is one of this machine or its network");
  for (const std::string_view local : {".localhost", ".local", ".localdomain", ".internal", ".intranet", ".lan", ".home", ".corp", ".private", ".home.arpa",
                                       ".in-addr.arpa", ".ip6.arpa", ".onion", ".test", ".invalid"})
    if (host.ends_with(local)) Refuse(written, "a name of a local network");
}

void CheckAddress(std::span<const std::uint8_t> address, std::string_view host, AddressPolicy policy) {
  if (policy == AddressPolicy::kAny) return;
  if (const auto why = WhyNotPublic(address); !why.empty()) {
    char text[INET6_ADDRSTRLEN] = "?";
    ::inet_ntop(address.size() == 4 ? AF_INET : AF_INET6, address.data(), text, sizeof text);
    Refuse(host, "its address " + std::string(text) + " is " + std::string(why) + ", not public");
  }
}

}  // namespace tenfold
