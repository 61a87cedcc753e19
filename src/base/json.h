#pragma once
/// \file JSON values and text. Boost.JSON is the library; limits on untrusted text are ours.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

namespace tenfold {

using Json = boost::json::value;
using JsonObject = boost::json::object;
using JsonArray = boost::json::array;

/// Parses UTF-8 JSON text. Depth is limited to 32 levels. A number of more digits than a double holds may be off by one unit in its last place.
/// Errors: kInvalidArgument with the byte offset for bad syntax, bad UTF-8 or too deep nesting.
Json ParseJson(std::string_view text);
std::string ToText(const Json& value);
/// Two-space indented, for people.
std::string ToPrettyText(const Json& value);
inline std::string_view AsView(const boost::json::string& text) { return {text.data(), text.size()}; }
/// True if every byte belongs to a well-formed UTF-8 sequence (no overlong forms, no surrogates).
bool IsUtf8(std::string_view text);

}  // namespace tenfold
