#pragma once
/// \file Members of a zip archive that came from outside.
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tenfold::data::parsers {

/// Names of the members, from the archive's directory; the first `kMaxZipEntries`. Empty if there is none that can be read.
std::vector<std::string> ListZip(std::string_view zip);

/// The members that `wanted` says yes to, inflated, by name.
/// Limits: kMaxZipEntries entries, kMaxZipBytes inflated in all, kMaxZipRatio times what they take in the archive.
/// Errors: kInvalidArgument (no zip, damaged, encrypted), kResourceExhausted (a limit, named).
class ZipFile {
 public:
  ZipFile(std::string_view zip, bool (*wanted)(std::string_view name));
  /// nullptr if there is no such member.
  const std::string* Find(std::string_view name) const;
  /// Errors: also kInvalidArgument if there is no such member.
  const std::string& Get(std::string_view name) const;

 private:
  std::map<std::string, std::string, std::less<>> members_;
};

inline constexpr std::size_t kMaxZipEntries = 10'000;
inline constexpr std::size_t kMaxZipBytes = 96u << 20;
inline constexpr std::size_t kMaxZipRatio = 250;

}  // namespace tenfold::data::parsers
