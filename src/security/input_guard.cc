#include "security/input_guard.h"

#include <re2/re2.h>
#include <re2/set.h>

#include <map>

#include "base/crypto.h"
#include "base/json.h"
#include "retrieval/chunker.h"

namespace tenfold::security {
namespace {

struct Rule {
  const char* name;
  const char* pattern;
};

// Lower-case text, look-alikes folded, runs of spaces one space. English, German, French and Spanish.
constexpr Rule kRules[] = {
    {"override", R"(\b(ignore|disregard|forget|override|bypass)\b.{0,30}\b(previous|prior|above|earlier|preceding|all|any|your|the|system|these)\b.{0,30}\b(instruction|instructions|prompt|prompts|rules|guidelines|directions|directives|context|training)\b)"},
    {"override", R"(\b(ignorier|ignoriere|vergiss|missachte)\w*\b.{0,40}\b(anweisung|anweisungen|regeln|vorgaben|instruktionen)\b)"},
    {"override", R"(\b(ignore[zr]?|oublie[zr]?)\b.{0,40}\b(instructions|consignes|regles|règles)\b)"},
    {"override", R"(\b(ignora|olvida)\w*\b.{0,40}\b(instrucciones|reglas|indicaciones)\b)"},
    {"override", R"(\b(new|updated|real) (system )?(instructions|directives|rules)\s*:)"},
    {"role play", R"(\byou are (now|no longer)\b.{0,60}\b(dan|assistant|ai|bot|model|developer|admin|administrator|unrestricted|jailbroken|free|bound|system)\b)"},
    {"role play", R"(\b(pretend|act|behave|respond)\b.{0,20}\b(as if you|as though you|as an? unrestricted|as dan|to be an? (admin|administrator|developer|unrestricted))\b)"},
    {"role play", R"(\b(developer|god|admin|debug|maintenance|jailbreak|dan|sudo) mode\b.{0,40}\b(on|enabled?|activated?|enter|switch|now)\b|\b(enter|enable|activate|switch to)\b.{0,20}\b(developer|god|admin|debug|jailbreak|dan|sudo) mode\b)"},
    {"prompt extraction", R"(\b(reveal|show|print|repeat|output|display|tell|give|leak|dump|recite|write)\b.{0,40}\b(your|the|this|hidden|initial|original|entire|full)\b.{0,20}\b(system prompt|system message|system instructions|hidden instructions|initial instructions|original instructions|prompt verbatim|instructions verbatim|prompt above)\b)"},
    {"prompt extraction", R"(\bwhat (is|are|were)\b.{0,15}\byour\b.{0,15}\b(system prompt|system instructions|hidden instructions|initial instructions|original instructions)\b)"},
    {"prompt extraction", R"(\brepeat (everything|all|the text|the words) (above|before)\b)"},
    {"role marker", R"(<\|?(im_start|im_end|system|endoftext|assistant|user|begin_of_text|eot_id|start_header_id)\|?>)"},
    {"role marker", R"((^|\n)\s*(#{2,}\s*)?(system|assistant|developer)\s*(prompt|message)?\s*:)"},
    {"role marker", R"(\[/?inst\]|<<sys>>|\[system\])"},
    {"data theft", R"(\b(list|show|dump|export|print|give me|send|reveal|email)\b.{0,30}\b(all|every|other|another|everyone'?s?)\b.{0,30}\b(customers?|users?|accounts?|orders?|emails?|addresses|passwords?|api keys?|credentials|credit cards?)\b.{0,40}\b(data|database|table|details|records|list|information|passwords?|emails?|addresses|credentials)\b)"},
    {"data theft", R"(!\[[^\]]*\]\(\s*https?://[^)]*[?&=])"},
};

/// For documents: the same, and what only a model would be told.
constexpr Rule kDocumentRules[] = {
    {"order to a model", R"(\b(ai|llm|chatbot|language model|assistant|assistants|bot|gpt)\b.{0,40}\b(must|should|shall|please|need to|have to|are instructed|is instructed|now)\b.{0,60}\b(reveal|ignore|tell|say|open|create|send|grant|approve|issue|output|reply|respond|answer|refund|disclose|include|recommend|give)\b)"},
    {"order to a model", R"(\b(attention|note|notice|message|instruction|instructions|important)\b.{0,20}\b(to|for)\b.{0,20}\b(ai|llm|chatbot|language model|assistant|assistants|bot|gpt)\b)"},
    {"order to a model", R"(\b(when|if)\b.{0,40}\b(summari[sz]e|read|process|answer|retriev)\w*\b.{0,60}\b(you must|always (say|reply|answer|respond)|do not mention|tell the user)\b)"},
};

class RuleSet {
 public:
  RuleSet(std::span<const Rule> first, std::span<const Rule> second) {
    RE2::Options options;
    options.set_case_sensitive(true);
    options.set_dot_nl(true);
    options.set_log_errors(false);
    for (const auto part : {first, second})
      for (const auto& rule : part) {
        names_.push_back(rule.name);
        patterns_.push_back(std::make_unique<RE2>(rule.pattern, options));
        TENFOLD_CHECK(patterns_.back()->ok());
        if (!set_) set_ = std::make_unique<RE2::Set>(options, RE2::UNANCHORED);
        TENFOLD_CHECK(set_->Add(rule.pattern, nullptr) >= 0);
      }
    TENFOLD_CHECK(set_->Compile());
  }
  void Find(std::string_view text, std::vector<GuardFinding>& findings) const {
    std::vector<int> matching;
    if (!set_->Match(re2::StringPiece(text.data(), text.size()), &matching)) return;
    for (const int i : matching) {
      re2::StringPiece whole;
      const auto& pattern = *patterns_[static_cast<std::size_t>(i)];
      if (!pattern.Match(re2::StringPiece(text.data(), text.size()), 0, text.size(), RE2::UNANCHORED, &whole, 1)) continue;
      findings.push_back({names_[static_cast<std::size_t>(i)], whole.data() - text.data(), whole.data() - text.data() + static_cast<std::int64_t>(whole.size())});
    }
  }

 private:
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<RE2>> patterns_;
  std::unique_ptr<RE2::Set> set_;
};

const RuleSet& MessageRules() {
  static const RuleSet rules(kRules, {});
  return rules;
}
const RuleSet& DocumentRules() {
  static const RuleSet rules(kRules, kDocumentRules);
  return rules;
}

/// Calls `visit(code point, bytes)` for each character; a malformed byte is the replacement character.
template <class Visit>
void ForEachCharacter(std::string_view text, Visit&& visit) {
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    std::size_t length = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC2 ? 2 : 0;
    char32_t code = c < 0x80 ? c : length == 4 ? c & 0x07u : length == 3 ? c & 0x0Fu : c & 0x1Fu;
    // Overlong forms, surrogates and what lies beyond Unicode are malformed too.
    if (length == 0 || i + length > text.size() || (length > 1 && !IsUtf8(text.substr(i, length)))) {
      visit(U'\uFFFD', std::string_view("\xEF\xBF\xBD"));
      ++i;
      continue;
    }
    for (std::size_t j = 1; j < length; ++j) code = (code << 6) | (static_cast<unsigned char>(text[i + j]) & 0x3Fu);
    visit(code, text.substr(i, length));
    i += length;
  }
}

/// Characters nobody sees: they carry orders past a reader, or cut a word so that no pattern finds it.
const char* HiddenKind(char32_t c) {
  if (c >= 0xE0000 && c <= 0xE007F) return "tag characters";
  if ((c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069)) return "bidirectional controls";
  if (c == 0x200B || c == 0x2060 || c == 0xFEFF || c == 0x00AD || c == 0x180E || (c >= 0x2061 && c <= 0x2064)) return "zero-width characters";
  if (c >= 0xE0100 && c <= 0xE01EF) return "variation selectors";
  if ((c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7F || (c >= 0x80 && c < 0xA0)) return "control characters";
  return nullptr;
}

/// Latin look-alikes from Cyrillic, Greek, full-width and accented letters; lower case; runs of spaces and dots between letters stay.
std::string Fold(std::string_view text) {
  static const std::map<char32_t, char> kLookAlikes{{U'а', 'a'}, {U'е', 'e'}, {U'о', 'o'}, {U'р', 'p'}, {U'с', 'c'}, {U'у', 'y'}, {U'х', 'x'}, {U'і', 'i'}, {U'ѕ', 's'}, {U'ј', 'j'}, {U'ԁ', 'd'}, {U'ɡ', 'g'}, {U'һ', 'h'},
                                                    {U'к', 'k'}, {U'м', 'm'}, {U'т', 't'}, {U'в', 'b'}, {U'н', 'h'}, {U'А', 'a'}, {U'В', 'b'}, {U'Е', 'e'}, {U'К', 'k'}, {U'М', 'm'}, {U'Н', 'h'}, {U'О', 'o'}, {U'Р', 'p'},
                                                    {U'С', 'c'}, {U'Т', 't'}, {U'У', 'y'}, {U'Х', 'x'}, {U'І', 'i'}, {U'α', 'a'}, {U'ε', 'e'}, {U'ι', 'i'}, {U'ο', 'o'}, {U'ρ', 'p'}, {U'υ', 'u'}, {U'ν', 'v'}, {U'τ', 't'},
                                                    {U'κ', 'k'}, {U'é', 'e'}, {U'è', 'e'}, {U'à', 'a'}, {U'á', 'a'}, {U'ó', 'o'}, {U'í', 'i'}, {U'ú', 'u'}, {U'ñ', 'n'}, {U'’', '\''}};
  std::string out;
  out.reserve(text.size());
  ForEachCharacter(text, [&](char32_t c, std::string_view bytes) {
    if (c < 0x80) {
      const char lower = static_cast<char>(std::tolower(static_cast<int>(c)));
      if (lower == ' ' && out.ends_with(' ')) return;
      out += lower;
    } else if (c >= 0xFF01 && c <= 0xFF5E) {
      out += static_cast<char>(std::tolower(static_cast<int>(c - 0xFEE0)));
    } else if (const auto found = kLookAlikes.find(c); found != kLookAlikes.end()) {
      out += found->second;
    } else {
      out += bytes;
    }
  });
  return out;
}

std::string RemoveHidden(std::string_view text, std::vector<GuardFinding>& findings) {
  std::string out;
  out.reserve(text.size());
  std::map<std::string_view, std::int64_t> seen;
  ForEachCharacter(text, [&](char32_t c, std::string_view bytes) {
    if (const char* kind = HiddenKind(c)) {
      if (!seen.contains(kind)) seen[kind] = static_cast<std::int64_t>(out.size());
    } else {
      out += bytes;
    }
  });
  for (const auto& [kind, at] : seen) findings.push_back({std::string(kind), at, at});
  return out;
}

/// What is written in base64 inside the text, if it is readable.
std::string DecodeHidden(std::string_view text) {
  static const RE2 pattern(R"(([A-Za-z0-9+/_-]{24,}={0,2}))");
  std::string out;
  re2::StringPiece rest(text.data(), text.size());
  re2::StringPiece found;
  while (RE2::FindAndConsume(&rest, pattern, &found)) {
    std::string candidate(found.data(), found.size());
    while (candidate.ends_with('=')) candidate.pop_back();
    for (auto& c : candidate) c = c == '+' ? '-' : c == '/' ? '_' : c;
    try {
      const auto decoded = Base64UrlDecode(candidate);
      if (IsUtf8(decoded) && decoded.find(' ') != std::string::npos) out += decoded + "\n";
    } catch (const Error&) {
      // An ordinary long word.
    }
  }
  return out;
}

}  // namespace

InputVerdict CheckInput(std::string_view text) {
  InputVerdict verdict;
  verdict.text = RemoveHidden(text, verdict.findings);
  const auto hidden = verdict.findings.size();
  MessageRules().Find(Fold(verdict.text), verdict.findings);
  if (const auto decoded = DecodeHidden(verdict.text); !decoded.empty()) MessageRules().Find(Fold(decoded), verdict.findings);
  // Hidden characters alone are cleaned, not refused: copies from web pages hold them. A rule refuses.
  if (verdict.findings.size() > hidden) {
    verdict.refused = true;
    verdict.reason = verdict.findings[hidden].rule;
  }
  return verdict;
}

InputVerdict CleanUntrusted(std::string_view text) {
  InputVerdict verdict;
  const auto clean = RemoveHidden(text, verdict.findings);
  std::vector<GuardFinding> orders;
  DocumentRules().Find(Fold(clean), orders);
  if (orders.empty()) {
    verdict.text = clean;
    return verdict;
  }
  for (const auto& sentence : retrieval::SplitSentences(clean)) {
    const auto piece = std::string_view(clean).substr(sentence.begin, sentence.end - sentence.begin);
    std::vector<GuardFinding> found;
    DocumentRules().Find(Fold(piece), found);
    if (found.empty()) verdict.text += (verdict.text.empty() ? "" : "\n") + std::string(piece);
    else verdict.findings.push_back({found.front().rule, static_cast<std::int64_t>(sentence.begin), static_cast<std::int64_t>(sentence.end)});
  }
  return verdict;
}

}  // namespace tenfold::security
