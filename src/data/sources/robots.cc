#include "data/sources/robots.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <pugixml.hpp>

#include "base/error.h"
#include "data/sources/http_source.h"

namespace tenfold::data {
namespace {

constexpr std::size_t kMaxRobotsBytes = 500u << 10;
constexpr std::size_t kMaxRules = 10'000;
constexpr std::size_t kMaxSitemapBytes = 50u << 20;
constexpr std::size_t kMaxPagesOfSitemap = 50'000;

std::string_view Trim(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
  return text;
}

std::string Lower(std::string_view text) {
  std::string out(text);
  for (auto& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

/// Escapes of unreserved characters are undone, others in upper case, so that both sides compare byte by byte.
std::string Comparable(std::string_view target) {
  std::string out;
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (target[i] == '%' && i + 2 < target.size()) {
      const auto one = PercentDecode(target.substr(i, 3));
      if (one.size() == 1) {
        out += PercentEncode(one);
        i += 2;
        continue;
      }
    }
    out += static_cast<unsigned char>(target[i]) >= 0x80 ? PercentEncode(target.substr(i, 1)) : std::string(1, target[i]);
  }
  return out;
}

/// '*' stands for any characters, '$' at the end for the end. Greedy with one point of return: O(pattern × text), no recursion.
bool Matches(std::string_view pattern, std::string_view text) {
  const bool anchored = pattern.ends_with('$');
  if (anchored) pattern.remove_suffix(1);
  std::size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (true) {
    if (p == pattern.size() && (!anchored || t == text.size())) return true;
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() && t < text.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos && mark < text.size()) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
}

std::string Gunzip(std::string_view bytes) {
  struct Closer {
    void operator()(archive* a) const { archive_read_free(a); }
  };
  const std::unique_ptr<archive, Closer> reader(archive_read_new());
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_format_raw(reader.get());
  archive_entry* entry = nullptr;
  if (archive_read_open_memory(reader.get(), bytes.data(), bytes.size()) != ARCHIVE_OK || archive_read_next_header(reader.get(), &entry) != ARCHIVE_OK)
    throw Error(Code::kInvalidArgument, "the sitemap is no gzip file");
  std::string out;
  char buffer[65536];
  while (true) {
    const auto n = archive_read_data(reader.get(), buffer, sizeof buffer);
    if (n < 0) throw Error(Code::kInvalidArgument, "the sitemap is a broken gzip file");
    if (n == 0) return out;
    out.append(buffer, static_cast<std::size_t>(n));
    if (out.size() > kMaxSitemapBytes) throw Error(Code::kResourceExhausted, "the sitemap is larger than " + std::to_string(kMaxSitemapBytes) + " bytes");
  }
}

std::string_view LocalName(const pugi::xml_node& node) {
  const std::string_view name = node.name();
  const auto colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

}  // namespace

RobotsRules::RobotsRules(std::string_view text, std::string_view agent) {
  text = text.substr(0, kMaxRobotsBytes);
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  struct Group {
    std::vector<Rule> rules;
    double delay = 0;
    bool found = false;
  } ours, all;
  bool for_us = false, for_all = false, agents_end = true;
  while (!text.empty()) {
    const auto end = std::min(text.find_first_of("\r\n"), text.size());
    auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = Trim(line.substr(0, line.find('#')));
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const auto key = Lower(Trim(line.substr(0, colon)));
    const auto value = Trim(line.substr(colon + 1));
    if (key == "user-agent") {
      if (agents_end) for_us = for_all = false;
      agents_end = false;
      if (value == "*") for_all = all.found = true;
      // The product token alone counts: "Tenfold/2.0 (…)" is meant for us too.
      else if (const auto name = Lower(value); name.substr(0, name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_-")) == agent) for_us = ours.found = true;
    } else if (key == "allow" || key == "disallow") {
      agents_end = true;
      if (value.empty()) continue;
      const Rule rule{Comparable(value), key == "allow"};
      for (auto* group : {for_us ? &ours : nullptr, for_all ? &all : nullptr})
        if (group && group->rules.size() < kMaxRules) group->rules.push_back(rule);
    } else if (key == "crawl-delay") {
      agents_end = true;
      const double seconds = std::strtod(std::string(value).c_str(), nullptr);
      for (auto* group : {for_us ? &ours : nullptr, for_all ? &all : nullptr})
        if (group && seconds > 0) group->delay = std::min(seconds, 3600.0);
    } else if (key == "sitemap") {
      if (!value.empty() && sitemaps_.size() < 100) sitemaps_.emplace_back(value);
    }
  }
  auto& group = ours.found ? ours : all;
  rules_ = std::move(group.rules);
  crawl_delay_ = std::chrono::milliseconds(static_cast<std::int64_t>(group.delay * 1000));
}

bool RobotsRules::Allows(std::string_view target) const {
  const auto text = Comparable(target);
  if (text == "/robots.txt") return true;
  std::size_t longest = 0;
  bool allowed = true;
  for (const auto& rule : rules_)
    if ((rule.pattern.size() > longest || (rule.pattern.size() == longest && rule.allow)) && Matches(rule.pattern, text)) {
      longest = rule.pattern.size();
      allowed = rule.allow;
    }
  return allowed;
}

Sitemap ReadSitemap(std::string_view bytes) {
  std::string unpacked;
  if (bytes.starts_with("\x1f\x8b")) {
    unpacked = Gunzip(bytes);
    bytes = unpacked;
  }
  if (bytes.size() > kMaxSitemapBytes) throw Error(Code::kResourceExhausted, "the sitemap is larger than " + std::to_string(kMaxSitemapBytes) + " bytes");
  Sitemap out;
  const auto begin = Trim(bytes.substr(0, 4096));
  if (begin.starts_with("http://") || begin.starts_with("https://")) {
    for (auto rest = bytes; !rest.empty() && out.pages.size() < kMaxPagesOfSitemap;) {
      const auto end = std::min(rest.find('\n'), rest.size());
      if (const auto line = Trim(rest.substr(0, end)); !line.empty()) out.pages.emplace_back(line);
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return out;
  }
  pugi::xml_document document;
  // pugixml expands no entities but the five of XML itself, so no document grows while it is read.
  if (const auto result = document.load_buffer(bytes.data(), bytes.size(), pugi::parse_default, pugi::encoding_auto); !result)
    throw Error(Code::kInvalidArgument, "the sitemap is no XML: " + std::string(result.description()));
  const auto root = document.document_element();
  const auto kind = LocalName(root);
  if (kind != "urlset" && kind != "sitemapindex") throw Error(Code::kInvalidArgument, "'" + std::string(kind.substr(0, 64)) + "' is no sitemap");
  auto& list = kind == "urlset" ? out.pages : out.sitemaps;
  for (const auto& entry : root)
    for (const auto& field : entry)
      if (LocalName(field) == "loc" && list.size() < kMaxPagesOfSitemap)
        if (const auto loc = Trim(field.child_value()); !loc.empty()) list.emplace_back(loc);
  return out;
}

}  // namespace tenfold::data
