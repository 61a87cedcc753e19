#pragma once
/// \file Conditions on metadata, typed: what narrows a search before anything is scored.
#include <string>
#include <vector>

#include "base/json.h"

namespace tenfold::retrieval {

/// A tree of conditions. The empty conjunction, which is the default, holds for everything.
struct Filter {
  enum class Op : std::uint8_t {
    kAnd, kOr, kNot,                                        // of `parts`; kNot has one
    kEqual, kNotEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual,  // of `field` and values[0]
    kIn, kNotIn,                                            // of `field` and `values`
    kExists,                                                // of `field` and values[0], true or false
    kWithin,                                                // of `field`, a point [latitude, longitude] or {lat, lon}, and values: latitude, longitude, metres
    kLike,                                                  // of `field`, a text, and values[0], a pattern: '*' is any run of characters and '?' one
    kLikeWord,                                              // the same of one of the text's words, as FoldedWords gives them, lower case and without accents
  };
  Op op = Op::kAnd;
  std::vector<Filter> parts = {};
  std::string field = {};  ///< a metadata key
  JsonArray values = {};

  bool is_all() const { return op == Op::kAnd && parts.empty(); }
  /// A list holds what one of its elements holds; kNotEqual and kNotIn hold where the field is absent. Values of other types are never equal and never in
  /// order: 5 is not "5". Texts in order by bytes, so RFC 3339 times compare as moments of one zone.
  bool Matches(const JsonObject& metadata) const;
};

/// The language of MongoDB queries that Pinecone took over: {"genre": "x", "year": {"$gte": 2020}, "$or": [...], "place": {"$within": {"lat", "lon", "metres"}}};
/// $eq $ne $gt $gte $lt $lte $in $nin $exists $like $like_word $and $or $not. A pattern has at most 256 bytes. Depth at most 16, conditions at most 1,000, lists at most 10,000.
/// Errors: kInvalidArgument with the path ("filter.$or[1].year.$gte"), unknown operators with the nearest one.
Filter ParseFilter(const Json& json, std::string_view path = "filter");
/// What ParseFilter reads back to the same.
Json FilterJson(const Filter& filter);
/// The fields whose values it asks for, each once, by name. What kExists asks for may be a field that nothing has.
std::vector<std::string> FieldsOf(const Filter& filter);
/// Whether the whole text is as a pattern of kLike says. Cost: at most the product of both lengths.
bool MatchesPattern(std::string_view pattern, std::string_view text);
/// Whether one of its words is, as kLikeWord.
bool HasWordLike(std::string_view pattern, std::string_view text);

}  // namespace tenfold::retrieval
