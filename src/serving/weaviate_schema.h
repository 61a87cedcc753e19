#pragma once
/// \file A class of Weaviate as a collection of ours: its schema, its properties' types, and how a property's value is kept as metadata. Source: Weaviate's REST schema API
/// of version 1.34, as the Python client 4.24 reads and writes it.
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "retrieval/collections.h"

namespace tenfold::serving {

/// The module that embeds texts with the server's own model. "text2vec-transformers", Weaviate's own local one, is taken for it.
inline constexpr std::string_view kWeaviateModule = "text2vec-tenfold";

enum class WeaviateType : std::uint8_t { kText, kTexts, kInt, kInts, kNumber, kNumbers, kBoolean, kBooleans, kDate, kDates, kUuid, kUuids, kPlace, kBlob, kObject, kObjects };

struct WeaviateProperty {
  WeaviateType type = WeaviateType::kText;
  bool is_searchable = false;  ///< its words are found by bm25 and hybrid
  bool by_words = false;       ///< tokenization "word": equal and like look at single words; false: "field", at the whole text
};

struct WeaviateClass {
  std::string name = {};         ///< "Article"
  std::string vector_name = {};  ///< of vectorConfig; empty: the one vector has no name
  bool embeds = false;           ///< the server makes its vectors of texts
  retrieval::Metric metric = retrieval::Metric::kCosine;
  bool has_tenants = false;
  bool makes_tenants = false;    ///< a tenant is there from its first object on
  std::string readers = {};      ///< "tenfoldReaders", which is ours: labels that may search it beside its owner
  std::map<std::string, WeaviateProperty, std::less<>> properties = {};
  JsonObject json = {};          ///< whole, as GET /v1/schema/{class} gives it
};

/// Checks what a client sent and fills in what Weaviate would. Reading `json` of the result gives the same again.
/// Errors: kInvalidArgument, kUnimplemented with the path of what this server does not do.
WeaviateClass ReadWeaviateClass(const JsonObject& sent);
/// Adds one, as a client sent it. Errors: as above; kAlreadyExists.
void AddWeaviateProperty(WeaviateClass& to, const JsonObject& sent);
/// The property that Weaviate would make of a value it meets first: a text is a date or a UUID if it reads as one, every number is a number. Errors: kInvalidArgument, kUnimplemented.
JsonObject GuessWeaviateProperty(std::string_view name, const Json& value);

/// The collection of a class: "Article_2" is "wv-article_2", since names of collections have no capitals. Errors: kInvalidArgument (of more than 60 characters, or none of a class).
std::string CollectionOfClass(std::string_view class_name);
/// The class that a collection keeps. Nothing if another protocol made it.
std::optional<WeaviateClass> ClassOfCollection(const retrieval::Collection& row);

/// As Weaviate spells a property's first letter: small.
std::string WeaviatePropertyName(std::string_view name);
/// A value as metadata keeps it: times in UTC with nine digits of a second, numbers of a list and objects as texts. Nothing for null. Errors: kInvalidArgument.
std::optional<Json> KeepWeaviateValue(WeaviateType type, const Json& value, std::string_view name);
/// The other way round.
Json ShowWeaviateValue(WeaviateType type, const Json& kept);
/// "2024-05-01T12:00:00+02:00" as "2024-05-01T10:00:00.000000000Z", in whose order texts are moments. Nothing if it is no time of RFC 3339.
std::optional<std::string> NormalTime(std::string_view text);
/// Lower case, with hyphens. Nothing if it is none.
std::optional<std::string> NormalUuid(std::string_view text);

}  // namespace tenfold::serving
