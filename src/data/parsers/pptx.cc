// PresentationML: a slide is a page, in the order of the presentation; its shapes from top to bottom with their boxes, then its notes.
#include "data/parsers/office.h"
#include "data/parsers/parsers.h"
#include "data/parsers/text.h"

namespace tenfold::data::parsers {
namespace {

constexpr int kMaxDepth = 32;
constexpr std::size_t kMaxSlides = 5000;
constexpr std::size_t kMaxColumns = 256;

struct Shape {
  double left = 0, top = 0, right = 0, bottom = 0;
  std::string text;
  bool is_title = false;
  std::size_t order = 0;  ///< in the file
};

std::string ParagraphText(const pugi::xml_node& paragraph) {
  std::string text;
  for (const auto& run : paragraph.children()) {
    const auto name = LocalName(run);
    if (name == "r" || name == "fld") text += ChildNamed(run, "t").text().get();
    else if (name == "br") text += ' ';
  }
  return std::string(Trim(CollapseSpaces(text)));
}

/// Bullets are what a body placeholder has unless it says otherwise.
std::string BodyText(const pugi::xml_node& body, bool bullets) {
  std::string out;
  for (const auto& paragraph : body.children()) {
    if (LocalName(paragraph) != "p") continue;
    const auto text = ParagraphText(paragraph);
    if (text.empty()) continue;
    const auto properties = ChildNamed(paragraph, "pPr");
    const auto level = std::clamp(static_cast<int>(NumberOf(AttributeNamed(properties, "lvl"))), 0, 8);
    const bool item = ChildNamed(properties, "buChar") || ChildNamed(properties, "buAutoNum") || (bullets && !ChildNamed(properties, "buNone")) || level > 0;
    if (item) out.append(2 * static_cast<std::size_t>(level), ' ').append("- ");
    out.append(text).append(item ? "\n" : "\n\n");
  }
  return out;
}

std::string TableText(const pugi::xml_node& table) {
  std::string out;
  std::vector<std::string> above;
  for (const auto& row : table.children()) {
    if (LocalName(row) != "tr") continue;
    std::vector<std::string> cells;
    for (const auto& cell : row.children()) {
      if (LocalName(cell) != "tc" || cells.size() >= kMaxColumns) continue;
      std::string text;
      for (const auto& paragraph : ChildNamed(cell, "txBody").children())
        if (LocalName(paragraph) == "p") text += ParagraphText(paragraph) + " ";
      text = Cell(text);
      if (AttributeNamed(cell, "vMerge") == "1" && text.empty() && cells.size() < above.size()) text = above[cells.size()];
      cells.push_back(std::move(text));
    }
    AppendRow(out, cells);
    above = std::move(cells);
  }
  return out;
}

/// `shift`, `scale`: from a group's own coordinates to the slide's.
struct Frame {
  double x = 0, y = 0, scale_x = 1, scale_y = 1;
};

void ReadShapes(const pugi::xml_node& tree, const Frame& frame, int depth, std::vector<Shape>& out) {
  if (depth > kMaxDepth) return;
  for (const auto& one : tree.children()) {
    const auto name = LocalName(one);
    if (name == "AlternateContent") {
      ReadShapes(ChildNamed(one, "Choice") ? ChildNamed(one, "Choice") : ChildNamed(one, "Fallback"), frame, depth + 1, out);
      continue;
    }
    if (name != "sp" && name != "graphicFrame" && name != "grpSp" && name != "cxnSp") continue;
    const auto transform = name == "graphicFrame" ? ChildNamed(one, "xfrm") : ChildNamed(ChildNamed(one, name == "grpSp" ? "grpSpPr" : "spPr"), "xfrm");
    const auto number = [&](const char* child, const char* attribute) { return NumberOf(AttributeNamed(ChildNamed(transform, child), attribute)) / kEmuPerPoint; };
    const double x = number("off", "x"), y = number("off", "y"), width = number("ext", "cx"), height = number("ext", "cy");
    if (name == "grpSp") {
      Frame inner = frame;
      if (const double w = number("chExt", "cx"), h = number("chExt", "cy"); transform && w > 0 && h > 0) {
        inner.scale_x = frame.scale_x * width / w;
        inner.scale_y = frame.scale_y * height / h;
        inner.x = frame.x + x * frame.scale_x - number("chOff", "x") * inner.scale_x;
        inner.y = frame.y + y * frame.scale_y - number("chOff", "y") * inner.scale_y;
      }
      ReadShapes(one, inner, depth + 1, out);
      continue;
    }
    Shape shape;
    if (transform) {
      shape.left = frame.x + x * frame.scale_x;
      shape.top = frame.y + y * frame.scale_y;
      shape.right = shape.left + width * frame.scale_x;
      shape.bottom = shape.top + height * frame.scale_y;
    }
    if (name == "graphicFrame") {
      const auto table = FindBelow(one, "tbl");
      if (!table) continue;
      shape.text = TableText(table);
    } else {
      const auto place = FindBelow(ChildNamed(one, "nvSpPr"), "ph");
      const auto type = AttributeNamed(place, "type");
      if (type == "sldNum" || type == "dt" || type == "ftr" || type == "hdr") continue;
      shape.is_title = type == "title" || type == "ctrTitle";
      shape.text = BodyText(ChildNamed(one, "txBody"), place && (type.empty() || type == "body" || type == "obj"));
      if (shape.is_title) shape.text = Trim(CollapseSpaces(shape.text));
    }
    shape.order = out.size();
    if (!Trim(shape.text).empty()) out.push_back(std::move(shape));
  }
}

/// Placeholders without a place of their own have their layout's; they stay where they stand in the file, before what is placed.
void SortShapes(std::vector<Shape>& shapes) {
  std::sort(shapes.begin(), shapes.end(), [](const Shape& a, const Shape& b) {
    const auto place = [](const Shape& one) { return std::tuple(!one.is_title, static_cast<long>(std::clamp(one.top, -1e6, 1e6) / 12), std::clamp(one.left, -1e6, 1e6), one.order); };
    return place(a) < place(b);
  });
}

}  // namespace

ParsedDocument ParsePptx(std::string_view bytes) {
  const ZipFile zip(bytes, [](std::string_view name) {
    return (name.starts_with("ppt/") && (name.ends_with(".xml") || name.ends_with(".rels")) && !name.starts_with("ppt/theme") && !name.starts_with("ppt/slideLayouts") && !name.starts_with("ppt/slideMasters")) || name == "docProps/core.xml";
  });
  pugi::xml_document presentation;
  LoadPart(presentation, zip, "ppt/presentation.xml");
  const auto relations = ReadRelations(zip, "ppt/presentation.xml");
  const auto size = ChildNamed(presentation.document_element(), "sldSz");
  const PageSize page_size{NumberOf(AttributeNamed(size, "cx"), 9'144'000) / kEmuPerPoint, NumberOf(AttributeNamed(size, "cy"), 6'858'000) / kEmuPerPoint};
  ParsedDocument out;
  auto& text = out.text;
  const auto end_block = [&] {
    while (text.ends_with('\n')) text.pop_back();
    if (!text.empty()) text += "\n\n";
    CheckTextSize(text.size());
  };
  for (const auto& entry : ChildNamed(presentation.document_element(), "sldIdLst").children()) {
    std::string id;
    for (const auto& attribute : entry.attributes())  // "id" is a number; "r:id" is the relation
      if (std::string_view(attribute.name()).ends_with(":id")) id = attribute.value();
    const auto relation = relations.find(id);
    if (relation == relations.end() || !zip.Find(relation->second.target)) continue;
    if (out.pages.size() == kMaxSlides) throw Error(Code::kResourceExhausted, "the presentation has more than " + std::to_string(kMaxSlides) + " slides");
    out.pages.push_back(page_size);
    const auto page = static_cast<std::int64_t>(out.pages.size());
    pugi::xml_document slide;
    LoadPart(slide, zip, relation->second.target);
    std::vector<Shape> shapes;
    ReadShapes(ChildNamed(ChildNamed(slide.document_element(), "cSld"), "spTree"), {}, 0, shapes);
    SortShapes(shapes);
    for (const auto& shape : shapes) {
      if (shape.is_title) text += page == 1 ? "# " : "## ";
      auto begin = text.size();
      text += Trim(shape.text).size() < shape.text.size() && shape.text.starts_with(' ') ? shape.text : std::string(Trim(shape.text));
      while (text.ends_with('\n')) text.pop_back();
      out.layout.push_back({static_cast<std::int64_t>(begin), static_cast<std::int64_t>(text.size()), page, shape.left, shape.top, shape.right, shape.bottom});
      end_block();
    }
    for (const auto& [_, to] : ReadRelations(zip, relation->second.target)) {
      if (to.type != "notesSlide" || !zip.Find(to.target)) continue;
      pugi::xml_document notes;
      LoadPart(notes, zip, to.target);
      std::string said;
      for (const auto& shape : ChildNamed(ChildNamed(notes.document_element(), "cSld"), "spTree").children())
        if (LocalName(shape) == "sp" && AttributeNamed(FindBelow(ChildNamed(shape, "nvSpPr"), "ph"), "type") == "body") said += BodyText(ChildNamed(shape, "txBody"), false);
      if (Trim(said).empty()) continue;
      const auto begin = text.size();
      text.append("Notes: ").append(Trim(said));
      out.layout.push_back({static_cast<std::int64_t>(begin), static_cast<std::int64_t>(text.size()), page});
      end_block();
    }
  }
  while (text.ends_with("\n\n")) text.pop_back();
  CheckTextSize(text.size());
  if (!IsUtf8(text)) throw Error(Code::kInvalidArgument, "the presentation's text is not UTF-8");
  ReadCoreProperties(zip, out.metadata, out.title);
  if (text.starts_with('#') || out.title.empty() || Lower(out.title) == "powerpoint presentation") out.title = FirstHeading(text);
  out.media_type = kPptx;
  return out;
}

}  // namespace tenfold::data::parsers
