#include "security/output_guard.h"

#include <re2/re2.h>

#include <algorithm>

#include "security/pii.h"

namespace tenfold::security {
namespace {

struct Secret {
  const char* rule;
  RE2 expression;
};

const std::vector<Secret*>& Secrets() {
  static const auto& secrets = *new std::vector<Secret*>{
      new Secret{"private key", RE2(R"((-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|$)))")},
      new Secret{"api key", RE2(R"(\b(tf_[A-Za-z0-9_-]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30,}))")},
      new Secret{"token", RE2(R"(\b(eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}))")},
      new Secret{"order number", RE2(R"(\b([A-Z]{2}-\d{5})\b)")},
  };
  return secrets;
}

const char* RuleOf(PiiKind kind) {
  switch (kind) {
    case PiiKind::kEmail: return "e-mail address";
    case PiiKind::kPhone: return "phone number";
    case PiiKind::kIban: return "iban";
    case PiiKind::kCard: return "payment card";
    case PiiKind::kIpAddress: return "ip address";
    case PiiKind::kSsn: return "social security number";
  }
  return "personal data";
}

struct Span {
  std::size_t begin, end;
  const char* rule;
};

std::vector<Span> FindAll(std::string_view text) {
  std::vector<Span> out;
  for (const auto* secret : Secrets()) {
    re2::StringPiece groups[2];
    for (std::size_t at = 0; at < text.size() && secret->expression.Match(re2::StringPiece(text.data(), text.size()), at, text.size(), RE2::UNANCHORED, groups, 2);) {
      const auto begin = static_cast<std::size_t>(groups[1].data() - text.data());
      out.push_back({begin, begin + groups[1].size(), secret->rule});
      at = begin + std::max<std::size_t>(1, groups[1].size());
    }
  }
  for (const auto& match : FindPii(text)) out.push_back({match.begin, match.end, RuleOf(match.kind)});
  std::sort(out.begin(), out.end(), [](const Span& a, const Span& b) { return a.begin != b.begin ? a.begin < b.begin : a.end > b.end; });
  return out;
}

}  // namespace

std::string OutputGuard::Release(std::size_t until) {
  const auto text = std::string_view(pending_).substr(0, until);
  std::string out;
  std::size_t at = 0;
  for (const auto& found : FindAll(text)) {
    if (found.begin < at) continue;
    const auto value = text.substr(found.begin, found.end - found.begin);
    if (std::any_of(options_.allowed.begin(), options_.allowed.end(), [&](const std::string& allowed) { return allowed.find(value) != std::string::npos; })) continue;
    out += std::string(text.substr(at, found.begin - at)) + "[withheld]";
    findings_.push_back({found.rule, given_ + static_cast<std::int64_t>(found.begin), given_ + static_cast<std::int64_t>(found.end)});
    at = found.end;
  }
  out += text.substr(at);
  given_ += static_cast<std::int64_t>(until);
  pending_.erase(0, until);
  return out;
}

std::string OutputGuard::Push(std::string_view piece) {
  pending_ += piece;
  // Findings hold spaces only between digits or letters of one line (cards, IBANs, phone numbers) and inside a key block: a line end outside a block, or a
  // space with plain words on both sides, closes everything before it.
  static const RE2 safe(R"((?s)^(.*[a-z]{2,}[.,;:!?]? )[a-z]{2,}[ .,;:!?\n])");
  re2::StringPiece until;
  std::size_t end = 0;
  if (RE2::PartialMatch(re2::StringPiece(pending_.data(), pending_.size()), safe, &until)) end = until.size();
  if (const auto line = pending_.rfind('\n'); line != std::string::npos) end = std::max(end, line + 1);
  // A key block goes out in one piece or not at all.
  static const RE2 block_end("(-----END [A-Z ]*-----)");
  if (const auto block = pending_.rfind("-----BEGIN"); block != std::string::npos && block < end) {
    re2::StringPiece tail;
    const bool whole = RE2::PartialMatch(re2::StringPiece(pending_.data() + block, pending_.size() - block), block_end, &tail);
    const auto closed = whole ? static_cast<std::size_t>(tail.data() + tail.size() - pending_.data()) : pending_.size() + 1;
    const auto line = pending_.rfind('\n', block);
    if (closed > end) end = std::min(end, line == std::string::npos ? 0 : line + 1);
  }
  return end ? Release(end) : std::string();
}

std::string OutputGuard::Finish() { return Release(pending_.size()); }

}  // namespace tenfold::security
