#pragma once
/// \file What the XML formats of office programs share. Source: ECMA-376, 5th edition, parts 1 (markup) and 2 (packages).
#include <map>
#include <pugixml.hpp>
#include <string>
#include <string_view>

#include "data/parse.h"
#include "data/parsers/zip.h"

namespace tenfold::data::parsers {

/// English Metric Units a point.
inline constexpr double kEmuPerPoint = 12'700;

/// Errors: kInvalidArgument naming the part.
void LoadXml(pugi::xml_document& out, std::string_view xml, std::string_view name);
/// The part as XML. Errors: kInvalidArgument (no such part, or no XML).
void LoadPart(pugi::xml_document& out, const ZipFile& zip, std::string_view part);

/// Where a part's relationships lead, by id, as names of parts; those that lead outside are left out.
struct Relation {
  std::string type;  ///< the last word of it: "slide", "notesSlide", "hyperlink"
  std::string target;
};
std::map<std::string, Relation> ReadRelations(const ZipFile& zip, std::string_view part);
/// "../slides/a.xml" seen from "ppt/notes/b.xml": "ppt/slides/a.xml".
std::string ResolvePart(std::string_view from, std::string_view target);

/// author, created, modified, subject, keywords of docProps/core.xml; its title, if it has one, in `title`.
void ReadCoreProperties(const ZipFile& zip, JsonObject& metadata, std::string& title);

/// The name without its prefix: "w:p" as "p", for producers choose prefixes.
std::string_view LocalName(const pugi::xml_node& node);
pugi::xml_node ChildNamed(const pugi::xml_node& node, std::string_view local);
/// The first below it of that name, at most 64 levels deep.
pugi::xml_node FindBelow(const pugi::xml_node& node, std::string_view local);
/// By local name.
std::string_view AttributeNamed(const pugi::xml_node& node, std::string_view local);
double NumberOf(std::string_view text, double otherwise = 0);

}  // namespace tenfold::data::parsers
