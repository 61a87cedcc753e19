#pragma once
/// \file Which network addresses a request may reach (server-side request forgery). The rule is about addresses, not their spellings: http_client.cc asks
/// after the name was resolved and connects to the very address that was asked about, again for each redirect.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tenfold {

enum class AddressPolicy : std::uint8_t {
  kAny,                ///< for URLs that an operator has set
  kPublicOnly,         ///< public addresses, ports 80 and 443: for URLs that come from a document, a model or a user
  kPublicOnlyAnyPort,  ///< the same with the port an operator has chosen
};

/// Why an address (4 or 16 bytes, as on the wire) is not one of the public Internet: "loopback", "private", ...; empty if it is.
/// What is unassigned or embeds another address (IPv4-mapped, 6to4, Teredo, ISATAP) counts as not public; NAT64 (64:ff9b::/96) is as public as what it embeds.
/// Source: IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890, 8190), and the metadata services of the large clouds.
std::string_view WhyNotPublic(std::span<const std::uint8_t> address);

/// What can be said of an http: or https: URL before its name is resolved: no user information, an allowed port, a host that is written in ASCII, no literal
/// address that is not public in any spelling that some resolver takes (decimal, octal, hexadecimal, one to four parts), no name of this machine or of a local
/// network. Nothing under kAny. Errors: kInvalidArgument (no such URL), kPermissionDenied.
void CheckUrl(std::string_view url, AddressPolicy policy);

/// Errors: kPermissionDenied if `policy` does not allow `address`, which is what `host` resolved to.
void CheckAddress(std::span<const std::uint8_t> address, std::string_view host, AddressPolicy policy);

}  // namespace tenfold
