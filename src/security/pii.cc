#include "security/pii.h"

#include <re2/re2.h>

#include <algorithm>

namespace tenfold::security {
namespace {

constexpr std::size_t kMaxPlaceholder = 24;

std::string Digits(std::string_view text) {
  std::string out;
  for (const char c : text)
    if (c >= '0' && c <= '9') out += c;
  return out;
}

/// Source: ISO/IEC 7812-1, annex B.
bool IsCard(std::string_view text) {
  const auto digits = Digits(text);
  if (digits.size() < 13 || digits.size() > 19 || digits.find_first_not_of(digits[0]) == std::string::npos) return false;
  int sum = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    int d = digits[digits.size() - 1 - i] - '0';
    if (i % 2 == 1) d = d * 2 > 9 ? d * 2 - 9 : d * 2;
    sum += d;
  }
  return sum % 10 == 0;
}

/// Source: ISO 13616, mod 97.
bool IsIban(std::string_view text) {
  std::string compact;
  for (const char c : text)
    if (c != ' ') compact += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (compact.size() < 15 || compact.size() > 34) return false;
  const auto turned = compact.substr(4) + compact.substr(0, 4);
  int rest = 0;
  for (const char c : turned) {
    if (c >= '0' && c <= '9') rest = (rest * 10 + (c - '0')) % 97;
    else if (c >= 'A' && c <= 'Z') rest = (rest * 100 + (c - 'A' + 10)) % 97;
    else return false;
  }
  return rest == 1;
}

bool IsPhone(std::string_view text) {
  const auto digits = Digits(text);
  if (digits.size() < 8 || digits.size() > 15) return false;
  // A date, 2026-11-24 or 24.11.2026, is no number to call.
  static const RE2 date(R"(\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{4})");
  return !RE2::FullMatch(re2::StringPiece(text.data(), text.size()), date);
}

bool IsIp(std::string_view text) {
  int part = 0, dots = 0;
  for (const char c : text) {
    if (c == '.') {
      ++dots;
      part = 0;
    } else if ((part = part * 10 + (c - '0')) > 255) {
      return false;
    }
  }
  return dots == 3;
}

struct Pattern {
  PiiKind kind;
  const char* name;
  RE2 expression;
  bool (*check)(std::string_view);
};

const std::vector<Pattern*>& Patterns() {
  // In order of precedence: a card's digits must not be taken for a phone number.
  static const auto& patterns = *new std::vector<Pattern*>{
      new Pattern{PiiKind::kEmail, "EMAIL", RE2(R"(([A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}))"), nullptr},
      // In groups: in capitals, or with no more small letters than a country and a bank. Else ordinary words would be groups, and an answer's stream is cut between those (OutputGuard).
      new Pattern{PiiKind::kIban, "IBAN", RE2(R"(\b([A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?|[a-z]{2}\d{2}(?: [a-z]{4})?(?: \d{4}){2,7}(?: \d{1,3})?|[A-Za-z]{2}\d{2}[A-Za-z0-9]{11,30})\b)"), IsIban},
      new Pattern{PiiKind::kCard, "CARD", RE2(R"(\b(\d(?:[ -]?\d){12,18})\b)"), IsCard},
      new Pattern{PiiKind::kSsn, "SSN", RE2(R"(\b(\d{3}-\d{2}-\d{4})\b)"), nullptr},
      new Pattern{PiiKind::kIpAddress, "IP", RE2(R"(\b(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})\b)"), IsIp},
      new Pattern{PiiKind::kPhone, "PHONE", RE2(R"((?:^|[\s(:,;])((?:\+|00)\d{1,3}[ ./-]?(?:\(0?\d{1,5}\)[ ./-]?)?\d(?:[ ./-]?\d){5,12}|\(?0\d{2,5}\)?[ ./-]?\d(?:[ ./-]?\d){4,9}|\(\d{3}\) ?\d{3}-\d{4}|\d{3}-\d{3}-\d{4})\b)"), IsPhone},
  };
  return patterns;
}

const char* NameOf(PiiKind kind) {
  for (const auto* pattern : Patterns())
    if (pattern->kind == kind) return pattern->name;
  return "DATA";
}

}  // namespace

std::vector<PiiMatch> FindPii(std::string_view text) {
  std::vector<PiiMatch> out;
  for (const auto* pattern : Patterns()) {
    const re2::StringPiece whole(text.data(), text.size());
    re2::StringPiece groups[2];
    for (std::size_t at = 0; at < text.size() && pattern->expression.Match(whole, at, text.size(), RE2::UNANCHORED, groups, 2);) {
      const auto begin = static_cast<std::size_t>(groups[1].data() - text.data()), end = begin + groups[1].size();
      at = std::max(end, at + 1);
      if (pattern->check && !pattern->check(text.substr(begin, end - begin))) {
        at = begin + 1;
        continue;
      }
      if (std::any_of(out.begin(), out.end(), [&](const PiiMatch& other) { return begin < other.end && other.begin < end; })) continue;
      out.push_back({pattern->kind, begin, end});
    }
  }
  std::sort(out.begin(), out.end(), [](const PiiMatch& a, const PiiMatch& b) { return a.begin < b.begin; });
  return out;
}

std::string PiiMask::Mask(std::string_view text) {
  std::string out;
  std::size_t at = 0;
  for (const auto& match : FindPii(text)) {
    out += text.substr(at, match.begin - at);
    const auto value = text.substr(match.begin, match.end - match.begin);
    auto known = placeholder_of_.find(value);
    if (known == placeholder_of_.end()) {
      std::string placeholder;
      // A number that the text itself already uses is skipped: what someone typed must not become someone's data.
      do placeholder = "[" + std::string(NameOf(match.kind)) + "_" + std::to_string(++count_[match.kind]) + "]";
      while (text.find(placeholder) != std::string_view::npos);
      value_of_[placeholder] = value;
      known = placeholder_of_.emplace(value, std::move(placeholder)).first;
    }
    out += known->second;
    at = match.end;
  }
  return out + std::string(text.substr(at));
}

const std::string* PiiMask::Find(std::string_view placeholder) const {
  const auto found = value_of_.find(placeholder);
  return found == value_of_.end() ? nullptr : &found->second;
}

std::string PiiMask::Restore(std::string_view text) const {
  PiiRestorer restorer(*this);
  auto out = restorer.Push(text);
  return out + restorer.Finish();
}

std::string PiiRestorer::Push(std::string_view piece) {
  pending_ += piece;
  std::string out;
  std::size_t at = 0;
  while (at < pending_.size()) {
    const auto open = pending_.find('[', at);
    if (open == std::string::npos) {
      out += pending_.substr(at);
      at = pending_.size();
      break;
    }
    out += pending_.substr(at, open - at);
    at = open;
    const auto close = pending_.find(']', open);
    if (close == std::string::npos) {
      if (pending_.size() - open <= kMaxPlaceholder) break;  // may still become one
      out += '[';
      at = open + 1;
      continue;
    }
    const auto candidate = std::string_view(pending_).substr(open, close + 1 - open);
    const auto* value = candidate.size() <= kMaxPlaceholder ? mask_.Find(candidate) : nullptr;
    if (value) {
      out += *value;
      at = close + 1;
    } else {
      out += '[';
      at = open + 1;
    }
  }
  pending_.erase(0, at);
  return out;
}

std::string PiiRestorer::Finish() { return std::move(pending_); }

}  // namespace tenfold::security
