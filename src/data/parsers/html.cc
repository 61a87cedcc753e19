// A page's main text. What a page says of its own structure comes first (<main>, <article>, roles); where it says nothing, blocks that are mostly links
// and call themselves a menu are left out. If that leaves almost nothing, the page is such a list itself and is taken whole.
#include "base/utf8.h"
#include "data/parsers/html.h"

#include <gumbo.h>

#include <array>

#include "data/parsers/parsers.h"
#include "data/parsers/text.h"

namespace tenfold::data::parsers {
namespace {

constexpr int kMaxDepth = 400;
// Gumbo frees its tree by recursion: some 100 bytes of stack a level, of 8 MB.
constexpr std::size_t kMaxOpen = 5000;
constexpr std::size_t kMaxColumns = 256;
constexpr std::size_t kLongestTag = 4096;
constexpr std::size_t kMaxSpan = 100;

std::string_view Attribute(const GumboElement& element, const char* name) {
  const auto* found = gumbo_get_attribute(&element.attributes, name);
  return found ? std::string_view(found->value) : std::string_view();
}

bool IsNamed(std::string_view name, std::initializer_list<std::string_view> names) { return std::find(names.begin(), names.end(), name) != names.end(); }

template <class F>
void EachChild(const GumboElement& element, F&& take) {
  for (unsigned i = 0; i < element.children.length; ++i) take(static_cast<const GumboNode*>(element.children.data[i]));
}

bool IsNeverText(GumboTag tag) {
  switch (tag) {
    case GUMBO_TAG_SCRIPT:
    case GUMBO_TAG_STYLE:
    case GUMBO_TAG_TEMPLATE:
    case GUMBO_TAG_NOSCRIPT:
    case GUMBO_TAG_IFRAME:
    case GUMBO_TAG_OBJECT:
    case GUMBO_TAG_SVG:
    case GUMBO_TAG_CANVAS:
    case GUMBO_TAG_AUDIO:
    case GUMBO_TAG_VIDEO:
    case GUMBO_TAG_SELECT:
    case GUMBO_TAG_TEXTAREA:
    case GUMBO_TAG_BUTTON: return true;
    default: return false;
  }
}

bool IsHidden(const GumboElement& element) {
  if (gumbo_get_attribute(&element.attributes, "hidden") || Attribute(element, "aria-hidden") == "true") return true;
  std::string style = Lower(Attribute(element, "style"));
  std::erase(style, ' ');
  return style.find("display:none") != std::string::npos || style.find("visibility:hidden") != std::string::npos;
}

struct Weight {
  std::size_t text = 0, linked = 0, links = 0;
};
using Weights = std::unordered_map<const GumboNode*, Weight>;

/// How much text each element holds, and how much of it leads elsewhere.
Weight Weigh(const GumboNode* node, int depth, Weights& weights) {
  if (depth > kMaxDepth) return {};
  if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_CDATA) return {Trim(node->v.text.text).size(), 0, 0};
  if (node->type != GUMBO_NODE_ELEMENT || IsNeverText(node->v.element.tag)) return {};
  Weight sum;
  EachChild(node->v.element, [&](const GumboNode* child) {
    const auto one = Weigh(child, depth + 1, weights);
    sum.text += one.text;
    sum.linked += one.linked;
    sum.links += one.links;
  });
  if (node->v.element.tag == GUMBO_TAG_A && gumbo_get_attribute(&node->v.element.attributes, "href")) {
    sum.linked = sum.text;
    ++sum.links;
  }
  weights[node] = sum;
  return sum;
}

/// Whether one of the words of `class` or `id` says what kind of block this is.
bool CallsItself(const GumboElement& element, std::initializer_list<std::string_view> names) {
  for (const char* attribute : {"class", "id"}) {
    const auto value = Lower(Attribute(element, attribute));
    for (std::size_t at = 0; at < value.size();) {
      const auto end = std::min(value.find_first_of(" -_\t\n", at), value.size());
      if (IsNamed(std::string_view(value).substr(at, end - at), names)) return true;
      at = end + 1;
    }
  }
  return false;
}

class Writer {
 public:
  Writer(const Weights* weights, const GumboNode* root) : weights_(weights), whole_(root && weights ? weights->at(root).text : 0) {}

  void Visit(const GumboNode* node, int depth) {
    if (depth > kMaxDepth) return;
    switch (node->type) {
      case GUMBO_NODE_TEXT:
      case GUMBO_NODE_CDATA: return Text(node->v.text.text);
      case GUMBO_NODE_WHITESPACE:
        if (verbatim_) out += node->v.text.text;
        else if (!out.empty() && out.back() != '\n' && out.back() != ' ') out += ' ';
        return;
      case GUMBO_NODE_ELEMENT: return Element(node, depth);
      case GUMBO_NODE_DOCUMENT:
      case GUMBO_NODE_COMMENT:
      case GUMBO_NODE_TEMPLATE: return;
    }
  }
  std::string out;

 private:
  void Text(std::string_view raw) {
    if (verbatim_) {
      out += raw;
      return;
    }
    const auto text = CollapseSpaces(raw);
    // At the start of a block, or after a blank, a leading blank says nothing.
    const bool at_start = out.empty() || out.back() == '\n' || out.back() == ' ';
    out += at_start && text.starts_with(' ') ? text.substr(1) : text;
  }

  void Element(const GumboNode* node, int depth) {
    const auto& element = node->v.element;
    if (IsNeverText(element.tag) || IsHidden(element) || IsBoilerplate(node)) return;
    switch (element.tag) {
      case GUMBO_TAG_TITLE: return;  // read apart
      case GUMBO_TAG_H1:
      case GUMBO_TAG_H2:
      case GUMBO_TAG_H3:
      case GUMBO_TAG_H4:
      case GUMBO_TAG_H5:
      case GUMBO_TAG_H6:
        Break(2);
        if (!flat_) out += std::string(static_cast<std::size_t>(element.tag - GUMBO_TAG_H1) + 1, '#') + " ";
        return Block(element, depth, 2);
      case GUMBO_TAG_UL:
      case GUMBO_TAG_OL:
        Break(lists_ > 0 ? 1 : 2);
        ++lists_;
        Block(element, depth, 0);
        --lists_;
        return Break(lists_ > 0 ? 1 : 2);
      case GUMBO_TAG_LI:
        Break(1);
        if (!flat_) out += std::string(2 * static_cast<std::size_t>(std::clamp(lists_ - 1, 0, 8)), ' ') + "- ";
        return Block(element, depth, 1);
      case GUMBO_TAG_DD:
        Break(1);
        if (!flat_) out += "- ";
        return Block(element, depth, 1);
      case GUMBO_TAG_DT: Break(1); return Block(element, depth, 1);
      case GUMBO_TAG_BR: return Break(1);
      case GUMBO_TAG_ARTICLE:
      case GUMBO_TAG_MAIN:
        Break(2);
        ++articles_;
        Block(element, depth, 2);
        --articles_;
        return;
      case GUMBO_TAG_PRE: return Verbatim(element, depth);
      case GUMBO_TAG_TABLE: return Table(element, depth);
      case GUMBO_TAG_CAPTION:
      case GUMBO_TAG_FIGCAPTION:
      case GUMBO_TAG_TR:
      case GUMBO_TAG_ADDRESS: Break(1); return Block(element, depth, 1);
      case GUMBO_TAG_TD:
      case GUMBO_TAG_TH:
      case GUMBO_TAG_P:
      case GUMBO_TAG_DIV:
      case GUMBO_TAG_SECTION:
      case GUMBO_TAG_HEADER:
      case GUMBO_TAG_FOOTER:
      case GUMBO_TAG_ASIDE:
      case GUMBO_TAG_FIGURE:
      case GUMBO_TAG_FORM:
      case GUMBO_TAG_FIELDSET:
      case GUMBO_TAG_DL:
      case GUMBO_TAG_HR:
      case GUMBO_TAG_BLOCKQUOTE: Break(2); return Block(element, depth, 2);
      default: Block(element, depth, 0);
    }
  }

  void Block(const GumboElement& element, int depth, int lines_after) {
    EachChild(element, [&](const GumboNode* child) { Visit(child, depth + 1); });
    if (lines_after > 0) Break(lines_after);
  }

  void Verbatim(const GumboElement& element, int depth) {
    if (flat_ || verbatim_) return Block(element, depth, 1);
    Break(2);
    const auto begin = out.size();
    verbatim_ = true;
    Block(element, depth, 0);
    verbatim_ = false;
    std::string code = out.substr(begin);
    out.resize(begin);
    if (Trim(code).empty()) return;
    while (code.ends_with('\n')) code.pop_back();
    // A fence that stands in the code does not end it.
    std::string fence = "```";
    while (code.find(fence) != std::string::npos && fence.size() < 16) fence += '`';
    out.append(fence).append("\n").append(code).append("\n").append(fence);
    Break(2);
  }

  void Break(int lines) {
    if (verbatim_) {
      if (!out.empty() && out.back() != '\n') out += '\n';
      return;
    }
    if (flat_) {
      if (!out.empty() && out.back() != ' ') out += ' ';
      return;
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    int present = 0;
    while (present < lines && out.size() > static_cast<std::size_t>(present) && out[out.size() - 1 - static_cast<std::size_t>(present)] == '\n') ++present;
    if (!out.empty()) out.append(static_cast<std::size_t>(lines - present), '\n');
  }

  std::string Flat(const GumboElement& element, int depth) {
    auto kept = std::move(out);
    out.clear();
    const bool before = std::exchange(flat_, true);
    Block(element, depth, 0);
    flat_ = before;
    auto text = std::move(out);
    out = std::move(kept);
    return Cell(text);
  }

  struct Row {
    std::vector<const GumboElement*> cells;
  };
  static void FindRows(const GumboElement& element, int depth, std::vector<Row>& rows, std::vector<const GumboElement*>& captions, bool& nested) {
    EachChild(element, [&](const GumboNode* child) {
      if (child->type != GUMBO_NODE_ELEMENT || depth > kMaxDepth) return;
      const auto& inner = child->v.element;
      if (inner.tag == GUMBO_TAG_CAPTION) captions.push_back(&inner);
      else if (inner.tag == GUMBO_TAG_TR) rows.emplace_back();
      else if (inner.tag == GUMBO_TAG_TABLE) nested = true;
      const bool is_cell = inner.tag == GUMBO_TAG_TD || inner.tag == GUMBO_TAG_TH;
      if (is_cell && !rows.empty()) rows.back().cells.push_back(&inner);
      if (inner.tag != GUMBO_TAG_TABLE) FindRows(inner, depth + 1, rows, captions, nested);
    });
  }

  static std::size_t SpanOf(const GumboElement& cell, const char* name) {
    const auto text = Attribute(cell, name);
    std::size_t out = 0;
    for (const char c : text.substr(0, 4)) {
      if (c < '0' || c > '9') break;
      out = out * 10 + static_cast<std::size_t>(c - '0');
    }
    return std::clamp<std::size_t>(out, 1, kMaxSpan);
  }

  /// A table with tables inside, or of one column, only places things on a page.
  void Table(const GumboElement& element, int depth) {
    std::vector<Row> rows;
    std::vector<const GumboElement*> captions;
    bool nested = false;
    FindRows(element, depth, rows, captions, nested);
    std::size_t widest = 0;
    for (const auto& row : rows) widest = std::max(widest, row.cells.size());
    Break(2);
    if (nested || widest < 2) return Block(element, depth, 2);
    for (const auto* caption : captions) {
      out += Flat(*caption, depth);
      Break(1);
    }
    if (flat_) {
      for (const auto& row : rows)
        for (const auto* cell : row.cells) out += Flat(*cell, depth) + " ";
      return;
    }
    struct Spanning {
      std::size_t rows = 0;
      std::string text;
    };
    std::vector<Spanning> above;  // by column: what reaches down from a row before; said again in each row, for a row is found alone
    for (const auto& row : rows) {
      std::vector<std::string> cells;
      const auto from_above = [&] {
        while (cells.size() < above.size() && above[cells.size()].rows > 0 && cells.size() < kMaxColumns) {
          --above[cells.size()].rows;
          cells.push_back(above[cells.size()].text);
        }
      };
      for (const auto* cell : row.cells) {
        from_above();
        if (cells.size() >= kMaxColumns) break;
        const auto text = Flat(*cell, depth + 1);
        const auto down = SpanOf(*cell, "rowspan");
        const auto right = SpanOf(*cell, "colspan");
        for (std::size_t i = 0; i < right && cells.size() < kMaxColumns; ++i) {
          if (down > 1) {
            above.resize(std::max(above.size(), cells.size() + 1));
            above[cells.size()] = {down - 1, i == 0 ? text : ""};
          }
          cells.push_back(i == 0 ? text : "");
        }
      }
      from_above();
      if (std::any_of(cells.begin(), cells.end(), [](const auto& cell) { return !cell.empty(); })) AppendRow(out, cells);
      CheckTextSize(out.size());
    }
    Break(2);
  }

  static bool HoldsHeading(const GumboElement& element, int depth) {
    bool found = false;
    if (depth < kMaxDepth)
      EachChild(element, [&](const GumboNode* child) { found = found || (child->type == GUMBO_NODE_ELEMENT && (child->v.element.tag == GUMBO_TAG_H1 || HoldsHeading(child->v.element, depth + 1))); });
    return found;
  }

  bool IsBoilerplate(const GumboNode* node) const {
    const auto& element = node->v.element;
    if (element.tag == GUMBO_TAG_NAV) return true;
    if (!weights_) return false;
    const auto role = Attribute(element, "role");
    if (IsNamed(role, {"navigation", "banner", "contentinfo", "search", "dialog", "alertdialog", "menu", "menubar"})) return true;
    if (element.tag == GUMBO_TAG_BODY || element.tag == GUMBO_TAG_HTML || element.tag == GUMBO_TAG_HEAD) return false;
    const auto found = weights_->find(node);
    if (found == weights_->end()) return false;
    const auto& weight = found->second;
    // Whatever it is called, what holds much of the page is the page.
    if (weight.text * 5 > whole_ * 2) return false;
    // A page's own header and footer, not an article's; but the header that holds the page's heading stays.
    if (articles_ == 0 && (element.tag == GUMBO_TAG_FOOTER || (element.tag == GUMBO_TAG_HEADER && !HoldsHeading(element, 0)))) return true;
    if (element.tag == GUMBO_TAG_ASIDE && weight.links >= 3 && weight.linked * 2 >= weight.text) return true;
    if (CallsItself(element, {"cookie", "cookies", "consent", "advert", "advertisement", "ads", "sponsored", "newsletter"})) return true;
    return weight.links > 0 && weight.linked * 4 >= weight.text &&
           CallsItself(element, {"nav", "navbar", "navigation", "menu", "sidebar", "breadcrumb", "breadcrumbs", "footer", "social", "pagination", "pager", "banner", "masthead", "sitemap"});
  }

  const Weights* weights_;
  std::size_t whole_;
  bool flat_ = false, verbatim_ = false;
  int lists_ = 0, articles_ = 0;
};

struct Landmarks {
  const GumboNode* body = nullptr;
  std::vector<const GumboNode*> mains, articles;  // outermost ones
  std::string title, language;
};

void FindLandmarks(const GumboNode* node, int depth, Landmarks& out) {
  if (depth > kMaxDepth || node->type != GUMBO_NODE_ELEMENT) return;
  const auto& element = node->v.element;
  if (IsNeverText(element.tag)) return;
  const auto role = Attribute(element, "role");
  switch (element.tag) {
    case GUMBO_TAG_HTML: out.language = CutUtf8(Attribute(element, "lang"), 35); break;
    case GUMBO_TAG_BODY: out.body = node; break;
    case GUMBO_TAG_TITLE:
      if (out.title.empty())
        EachChild(element, [&](const GumboNode* child) {
          if (child->type == GUMBO_NODE_TEXT) out.title += child->v.text.text;
        });
      return;
    case GUMBO_TAG_ARTICLE: out.articles.push_back(node); return;
    default: break;
  }
  if (element.tag == GUMBO_TAG_MAIN || role == "main") {
    out.mains.push_back(node);
    return;
  }
  EachChild(element, [&](const GumboNode* child) { FindLandmarks(child, depth + 1, out); });
}

/// Refuses what would take the stack when the tree is freed. Elements that close themselves are not counted.
void CheckNesting(std::string_view html) {
  static constexpr std::array<std::string_view, 33> kFree = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr", "p", "li", "td",
                                                             "tr", "th", "dd", "dt", "option", "thead", "tbody", "tfoot", "colgroup", "rt", "rp", "html", "head", "body", "a", "optgroup"};
  std::size_t open = 0;
  for (std::size_t at = html.find('<'); at != std::string_view::npos; at = html.find('<', at + 1)) {
    const bool closes = at + 1 < html.size() && html[at + 1] == '/';
    const auto begin = at + (closes ? 2 : 1);
    auto end = begin;
    while (end < html.size() && end < begin + 12 && ((html[end] | 0x20) >= 'a' && (html[end] | 0x20) <= 'z')) ++end;
    if (end == begin) continue;
    const auto name = Lower(html.substr(begin, end - begin));
    if (std::find(kFree.begin(), kFree.end(), name) != kFree.end()) continue;
    if (closes) open -= open > 0 ? 1 : 0;
    else if (++open > kMaxOpen) throw Error(Code::kResourceExhausted, "the HTML opens more than " + std::to_string(kMaxOpen) + " elements inside each other");
  }
}

/// "charset=" in the first bytes, as <meta> says it.
std::string_view MetaCharset(std::string_view bytes) {
  const auto head = bytes.substr(0, 2048);
  const auto lower = Lower(head);
  auto at = lower.find("charset");
  if (at == std::string::npos) return {};
  at += 7;
  while (at < head.size() && (head[at] == ' ' || head[at] == '=' || head[at] == '"' || head[at] == '\'')) ++at;
  auto end = at;
  while (end < head.size() && end < at + 40 && (std::isalnum(static_cast<unsigned char>(head[end])) || head[end] == '-' || head[end] == '_' || head[end] == ':' || head[end] == '.')) ++end;
  return head.substr(at, end - at);
}

}  // namespace

HtmlText ReadHtml(std::string_view html, HtmlKind kind) {
  CheckNesting(html);
  GumboOptions options = kGumboDefaultOptions;
  struct Tree {
    const GumboOptions& options;
    GumboOutput* output;
    ~Tree() { gumbo_destroy_output(&options, output); }
  } const tree{options, gumbo_parse_with_options(&options, html.data(), html.size())};
  Landmarks marks;
  FindLandmarks(tree.output->root, 0, marks);
  const auto* body = marks.body ? marks.body : tree.output->root;
  HtmlText out{std::string(Trim(CollapseSpaces(marks.title))), {}, marks.language};
  Weights weights;
  const auto all = Weigh(tree.output->root, 0, weights).text;
  const auto weight = [&](const GumboNode* node) { return weights.contains(node) ? weights.at(node).text : 0; };
  const auto write = [&](const GumboNode* from, const Weights* by) {
    Writer writer(by, by ? from : nullptr);
    writer.Visit(from, 0);
    return std::move(writer.out);
  };
  if (kind == HtmlKind::kPage) {
    const GumboNode* root = body;
    if (!marks.mains.empty() && weight(marks.mains[0]) * 10 >= all) root = marks.mains[0];
    else if (marks.articles.size() == 1 && weight(marks.articles[0]) * 10 >= all * 3) root = marks.articles[0];
    if (weights.contains(root)) out.text = write(root, &weights);
    if (Trim(out.text).size() * 5 >= weight(body)) return out;
  }
  // Nearly nothing but links and menus: that is what the page is.
  out.text = write(body, nullptr);
  return out;
}

std::string ExpandSelfClosing(std::string_view xhtml) {
  std::string out;
  out.reserve(xhtml.size() + 64);
  std::size_t from = 0;
  for (std::size_t at = xhtml.find("/>"); at != std::string_view::npos; at = xhtml.find("/>", at + 2)) {
    const auto low = std::max(from, at > kLongestTag ? at - kLongestTag : 0);
    const auto back = xhtml.substr(low, at - low).rfind('<');
    if (back == std::string_view::npos) continue;
    const auto open = low + back;
    auto end = open + 1;
    while (end < at && (std::isalnum(static_cast<unsigned char>(xhtml[end])) || xhtml[end] == ':')) ++end;
    const auto name = Lower(xhtml.substr(open + 1, end - open - 1));
    if (name.empty() || IsNamed(name, {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"})) continue;
    out.append(xhtml.substr(from, at - from)).append("></").append(name).append(">");
    from = at + 2;
  }
  out.append(xhtml.substr(from));
  return out;
}

ParsedDocument ParseHtml(std::string_view bytes, std::string_view charset) {
  const auto read = ReadHtml(DecodeText(bytes, charset.empty() ? MetaCharset(bytes) : charset), HtmlKind::kPage);
  auto text = Tidy(read.text);
  ParsedDocument out{read.title.empty() ? FirstHeading(text) : std::string(CutUtf8(read.title, 200)), std::move(text), std::string(kHtml)};
  if (!read.language.empty()) out.metadata["language"] = read.language;
  return out;
}

}  // namespace tenfold::data::parsers
