#include "data/sources/web_links.h"

#include <gumbo.h>

#include <set>

#include "base/json.h"
#include "data/sources/http_source.h"

namespace tenfold::data {
namespace {

constexpr std::size_t kMaxLinks = 5'000;

std::string Lower(std::string_view text) {
  std::string out(text);
  for (auto& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string_view Attribute(const GumboNode* node, const char* name) {
  const auto* found = gumbo_get_attribute(&node->v.element.attributes, name);
  return found ? std::string_view(found->value) : std::string_view();
}

/// Whether a list of words with spaces or commas between has `word`.
bool HasWord(std::string_view list, std::string_view word) {
  const auto text = Lower(list);
  for (std::size_t at = 0; at < text.size();) {
    const auto begin = text.find_first_not_of(" ,\t\r\n\f", at);
    if (begin == std::string::npos) return false;
    const auto end = std::min(text.find_first_of(" ,\t\r\n\f", begin), text.size());
    if (std::string_view(text).substr(begin, end - begin) == word) return true;
    at = end;
  }
  return false;
}

}  // namespace

PageLinks ReadPageLinks(std::string_view html, std::string_view url, std::string_view agent) {
  struct Tree {
    GumboOptions options = kGumboDefaultOptions;
    GumboOutput* output;
    explicit Tree(std::string_view text) {
      options.max_errors = 0;
      output = gumbo_parse_with_options(&options, text.data(), text.size());
    }
    ~Tree() { gumbo_destroy_output(&options, output); }
  } const tree(html);
  PageLinks out;
  std::string base(url);
  bool has_base = false;
  std::vector<std::pair<std::string_view, bool>> references;  // href, is canonical
  // A stack of its own: pages nest as deep as they like.
  std::vector<const GumboNode*> stack{tree.output->root};
  while (!stack.empty()) {
    const auto* node = stack.back();
    stack.pop_back();
    if (node->type != GUMBO_NODE_ELEMENT && node->type != GUMBO_NODE_TEMPLATE) continue;
    const auto& element = node->v.element;
    switch (element.tag) {
      case GUMBO_TAG_BASE:
        if (const auto href = Attribute(node, "href"); !has_base && !href.empty()) {
          if (auto resolved = NormaliseUrl(href, url); !resolved.empty()) base = std::move(resolved);
          has_base = true;
        }
        break;
      case GUMBO_TAG_META:
        if (const auto name = Lower(Attribute(node, "name")); name == "robots" || name == agent) {
          const auto content = Attribute(node, "content");
          out.noindex |= HasWord(content, "noindex") || HasWord(content, "none");
          out.nofollow |= HasWord(content, "nofollow") || HasWord(content, "none");
        }
        break;
      case GUMBO_TAG_LINK:
        if (HasWord(Attribute(node, "rel"), "canonical")) references.emplace_back(Attribute(node, "href"), true);
        break;
      case GUMBO_TAG_TITLE:
        if (out.title.empty() && element.children.length > 0 && static_cast<const GumboNode*>(element.children.data[0])->type == GUMBO_NODE_TEXT) {
          std::string_view text = static_cast<const GumboNode*>(element.children.data[0])->v.text.text;
          for (const char c : text.substr(0, 4096))
            if (static_cast<unsigned char>(c) > ' ') out.title += c;
            else if (!out.title.empty() && out.title.back() != ' ') out.title += ' ';
          while (out.title.ends_with(' ')) out.title.pop_back();
          if (out.title.size() > 200) out.title.resize(200);
          while (!out.title.empty() && !IsUtf8(out.title)) out.title.pop_back();
        }
        break;
      case GUMBO_TAG_A:
      case GUMBO_TAG_AREA:
        if (const auto href = Attribute(node, "href"); !href.empty() && !HasWord(Attribute(node, "rel"), "nofollow") && references.size() < 4 * kMaxLinks)
          references.emplace_back(href, false);
        break;
      default:
        break;
    }
    for (unsigned i = element.children.length; i > 0; --i) stack.push_back(static_cast<const GumboNode*>(element.children.data[i - 1]));
  }
  std::set<std::string> seen;
  for (const auto& [reference, canonical] : references) {
    auto target = NormaliseUrl(reference, base);
    if (target.empty()) continue;
    if (canonical) {
      if (out.canonical.empty()) out.canonical = std::move(target);
    } else if (!out.nofollow && out.links.size() < kMaxLinks && seen.insert(target).second) {
      out.links.push_back(std::move(target));
    }
  }
  return out;
}

}  // namespace tenfold::data
