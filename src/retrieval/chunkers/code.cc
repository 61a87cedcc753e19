// Program text by its syntax tree. A definition that fits is one chunk, with the comments above it; one that does not is cut at its parts, below its name.
// Source: tree-sitter (Brunsfeld), https://tree-sitter.github.io; cutting as in the cAST paper (Zhang et al. 2025): split what is too large, merge small
// neighbours.
#include <algorithm>
#include <memory>

#include "retrieval/chunkers/chunkers.h"
#ifdef TENFOLD_WITH_GRAMMARS
#include <tree_sitter/api.h>

extern "C" {
const TSLanguage* tree_sitter_c();
const TSLanguage* tree_sitter_cpp();
const TSLanguage* tree_sitter_go();
const TSLanguage* tree_sitter_java();
const TSLanguage* tree_sitter_javascript();
const TSLanguage* tree_sitter_python();
const TSLanguage* tree_sitter_rust();
const TSLanguage* tree_sitter_tsx();
const TSLanguage* tree_sitter_typescript();
}
#endif

namespace tenfold::retrieval::chunkers {
namespace {

struct Ending {
  std::string_view ending, language;
};
constexpr Ending kEndings[] = {
    {".c", "c"},     {".h", "cpp"},         {".cc", "cpp"},         {".cpp", "cpp"},        {".cxx", "cpp"},        {".hpp", "cpp"},        {".hh", "cpp"},
    {".go", "go"},   {".java", "java"},     {".js", "javascript"},  {".jsx", "javascript"}, {".mjs", "javascript"}, {".cjs", "javascript"}, {".py", "python"},
    {".rs", "rust"}, {".ts", "typescript"}, {".mts", "typescript"}, {".tsx", "tsx"}};

std::vector<ChunkSpan> CutByLines(std::string_view text, std::uint32_t max, const CountTokens& count) {
  std::vector<Piece> pieces;
  CutToFit(text, 0, text.size(), max, count, pieces);
  std::vector<ChunkSpan> out;
  for (const auto& piece : pieces) out.push_back({piece.begin, piece.end, ""});
  return out;
}

#ifdef TENFOLD_WITH_GRAMMARS
constexpr std::uint64_t kParseMicros = 2'000'000;
constexpr int kMaxDepth = 64;
constexpr std::size_t kMaxNameBytes = 80;

const TSLanguage* Grammar(std::string_view language) {
  if (language == "c") return tree_sitter_c();
  if (language == "cpp") return tree_sitter_cpp();
  if (language == "go") return tree_sitter_go();
  if (language == "java") return tree_sitter_java();
  if (language == "javascript") return tree_sitter_javascript();
  if (language == "python") return tree_sitter_python();
  if (language == "rust") return tree_sitter_rust();
  if (language == "tsx") return tree_sitter_tsx();
  if (language == "typescript") return tree_sitter_typescript();
  return nullptr;
}

class CodeCutter {
 public:
  CodeCutter(std::string_view text, std::uint32_t max, const CountTokens& count) : text_(text), max_(max), count_(count) {}

  /// Chunks of [begin, end), which `node` and the comments before it fill.
  void Cut(TSNode node, std::size_t begin, std::size_t end, const std::string& path, int depth) {
    Trim(text_, begin, end);
    if (begin == end) return;
    if (Fits(begin, end)) {
      const auto name = depth == 0 ? std::string() : NameOf(node, 0);
      out.push_back({begin, end, Below(path, name)});
      return;
    }
    const auto children = depth < kMaxDepth ? ChildrenOf(node) : std::vector<TSNode>();
    if (children.empty()) {
      CutPlain(begin, end, path);
      return;
    }
    const auto inner = depth == 0 || IsWrapper(ts_node_type(node)) ? path : Below(path, NameOf(node, 0));
    // Each part begins where the one before it ends, so that nothing between two nodes is lost; comments and attributes belong to what follows them.
    std::vector<Part> parts;
    bool glued = false;
    for (const auto& child : children) {
      const auto starts = std::max(begin, LineStart(ts_node_start_byte(child), begin));
      if (starts >= end) break;
      const bool leads = IsLead(child);
      if (parts.empty()) parts.push_back({child, begin, !leads && IsDefinition(child, 0)});
      else if (!glued && starts > parts.back().begin) parts.push_back({child, starts, IsDefinition(child, 0)});
      else if (glued || !leads) {
        parts.back().node = child;
        parts.back().definition |= IsDefinition(child, 0);
      }
      glued = leads;
    }
    for (std::size_t i = 0; i < parts.size();) {
      const auto part_end = [&](std::size_t at) { return at + 1 < parts.size() ? parts[at + 1].begin : end; };
      auto until = i + 1;
      if (!parts[i].definition)
        while (until < parts.size() && !parts[until].definition && Fits(parts[i].begin, part_end(until))) ++until;
      // Definitions of a line or two stand together.
      else if (Small(parts[i].begin, part_end(i)))
        while (until < parts.size() && Small(parts[until].begin, part_end(until)) && Fits(parts[i].begin, part_end(until))) ++until;
      // What opens a class is little by itself.
      if (depth > 0 && !parts[i].definition && until < parts.size() && Small(parts[i].begin, part_end(until - 1)) && Fits(parts[i].begin, part_end(until))) {
        Cut(parts[until].node, parts[i].begin, part_end(until), inner, depth + 1);
        ++until;
      } else if (until > i + 1) {
        auto from = parts[i].begin, to = part_end(until - 1);
        Trim(text_, from, to);
        if (from < to) out.push_back({from, to, inner});
      } else {
        Cut(parts[i].node, parts[i].begin, part_end(i), inner, depth + 1);
      }
      i = until;
    }
  }

  std::vector<ChunkSpan> out;

 private:
  struct Part {
    TSNode node;
    std::size_t begin;
    bool definition;
  };

  /// Named children; those of its body instead of the body, so that a head stands with what it opens.
  std::vector<TSNode> ChildrenOf(TSNode node) const {
    std::vector<TSNode> found;
    const auto body = Field(node, "body");
    for (std::uint32_t i = 0; i < ts_node_named_child_count(node); ++i) {
      const auto child = ts_node_named_child(node, i);
      if (!ts_node_is_null(body) && ts_node_eq(child, body))
        for (std::uint32_t j = 0; j < ts_node_named_child_count(child); ++j) found.push_back(ts_node_named_child(child, j));
      else found.push_back(child);
    }
    return found;
  }
  bool Fits(std::size_t begin, std::size_t end) const {
    Trim(text_, begin, end);
    return count_(text_.substr(begin, end - begin)) <= max_;
  }
  bool Small(std::size_t begin, std::size_t end) const {
    Trim(text_, begin, end);
    return count_(text_.substr(begin, end - begin)) * 8 <= max_;
  }
  void CutPlain(std::size_t begin, std::size_t end, const std::string& path) {
    std::vector<Piece> pieces;
    CutToFit(text_, begin, end, max_, count_, pieces);
    for (const auto& piece : pieces) out.push_back({piece.begin, piece.end, path});
  }
  /// The white space a line begins with belongs to what follows it.
  std::size_t LineStart(std::size_t at, std::size_t from) const {
    auto start = at;
    while (start > from && (text_[start - 1] == ' ' || text_[start - 1] == '\t')) --start;
    return start <= from || text_[start - 1] == '\n' ? start : at;
  }
  static std::string Below(const std::string& path, const std::string& name) { return name.empty() ? path : path.empty() ? name : path + " > " + name; }
  static bool IsLead(TSNode node) {
    const std::string_view type = ts_node_type(node);
    return type.find("comment") != std::string_view::npos || type == "decorator" || type == "attribute_item" || type == "attribute" ||
           type == "marker_annotation" || type == "annotation";
  }
  static bool IsWrapper(std::string_view type) {
    return type == "export_statement" || type == "decorated_definition" || type == "template_declaration" || type == "type_declaration";
  }
  static bool IsDefinition(TSNode node, int depth) {
    const std::string_view type = ts_node_type(node);
    if (depth < 4 && IsWrapper(type)) {
      for (std::uint32_t i = 0; i < ts_node_named_child_count(node); ++i)
        if (IsDefinition(ts_node_named_child(node, i), depth + 1)) return true;
      return false;
    }
    static constexpr std::string_view kEnds[] = {"_definition", "_declaration", "_item", "_spec", "_specifier"};
    static constexpr std::string_view kKinds[] = {"function", "method", "class",     "struct",      "enum",   "interface", "impl",     "trait",
                                                  "mod_",     "module", "namespace", "constructor", "record", "union",     "type_spec"};
    return std::any_of(std::begin(kEnds), std::end(kEnds), [&](auto ending) { return type.ends_with(ending); }) &&
           std::any_of(std::begin(kKinds), std::end(kKinds), [&](auto kind) { return type.find(kind) != std::string_view::npos; });
  }
  TSNode Field(TSNode node, std::string_view name) const { return ts_node_child_by_field_name(node, name.data(), static_cast<std::uint32_t>(name.size())); }
  std::string TextOf(TSNode node) const {
    const std::size_t begin = ts_node_start_byte(node), end = std::min<std::size_t>(ts_node_end_byte(node), text_.size());
    if (begin >= end) return {};
    auto name = std::string(text_.substr(begin, AlignForward(text_, std::min(end, begin + kMaxNameBytes)) - begin));
    for (auto& c : name)
      if (IsSpace(c)) c = ' ';
    return name;
  }
  /// What a definition is called; empty if the node is none.
  std::string NameOf(TSNode node, int depth) const {
    const std::string_view type = ts_node_type(node);
    if (depth > 4) return {};
    if (IsWrapper(type)) {
      for (std::uint32_t i = 0; i < ts_node_named_child_count(node); ++i)
        if (const auto child = ts_node_named_child(node, i); IsDefinition(child, depth + 1)) return NameOf(child, depth + 1);
      return {};
    }
    if (!IsDefinition(node, depth)) return {};
    if (const auto name = Field(node, "name"); !ts_node_is_null(name)) return TextOf(name);
    if (type == "impl_item")
      if (const auto name = Field(node, "type"); !ts_node_is_null(name)) return TextOf(name);
    // C and C++ wrap the name in declarators: of a pointer, of a function, with its scope.
    auto inside = Field(node, "declarator");
    for (int i = 0; i < 8 && !ts_node_is_null(inside); ++i) {
      const auto deeper = Field(inside, "declarator");
      if (ts_node_is_null(deeper)) return TextOf(inside);
      inside = deeper;
    }
    return {};
  }

  const std::string_view text_;
  const std::uint32_t max_;
  const CountTokens& count_;
};
#endif

}  // namespace

std::vector<ChunkSpan> CutByCode(std::string_view text, [[maybe_unused]] std::string_view path, std::uint32_t max, const CountTokens& count) {
#ifdef TENFOLD_WITH_GRAMMARS
  const auto* grammar = Grammar(LanguageOf(path));
  if (!grammar || text.size() > UINT32_MAX / 2) return CutByLines(text, max, count);
  const std::unique_ptr<TSParser, decltype(&ts_parser_delete)> parser(ts_parser_new(), ts_parser_delete);
  if (!ts_parser_set_language(parser.get(), grammar)) return CutByLines(text, max, count);
  ts_parser_set_timeout_micros(parser.get(), kParseMicros);
  const std::unique_ptr<TSTree, decltype(&ts_tree_delete)> tree(
      ts_parser_parse_string(parser.get(), nullptr, text.data(), static_cast<std::uint32_t>(text.size())), ts_tree_delete);
  if (!tree) return CutByLines(text, max, count);
  CodeCutter cutter(text, max, count);
  cutter.Cut(ts_tree_root_node(tree.get()), 0, text.size(), "", 0);
  return std::move(cutter.out);
#else
  return CutByLines(text, max, count);
#endif
}

}  // namespace tenfold::retrieval::chunkers

namespace tenfold::retrieval {

std::string_view LanguageOf(std::string_view path) {
  const auto dot = path.rfind('.');
  if (dot == std::string_view::npos) return {};
  for (const auto& [ending, language] : chunkers::kEndings)
    if (path.substr(dot) == ending) return language;
  return {};
}

}  // namespace tenfold::retrieval
