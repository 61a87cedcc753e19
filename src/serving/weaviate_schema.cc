#include "serving/weaviate_schema.h"

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "base/describe.h"
#include "base/error.h"
#include "retrieval/backends/weaviate.h"

namespace tenfold::serving {
namespace {

using boost::json::string;
using Type = WeaviateType;

constexpr std::size_t kMaxProperties = 1000, kMaxPropertyName = 231, kMaxClassName = 60;
constexpr std::pair<std::string_view, Type> kTypes[] = {{"text", Type::kText},     {"text[]", Type::kTexts},       {"int", Type::kInt},     {"int[]", Type::kInts},   {"number", Type::kNumber}, {"number[]", Type::kNumbers},
                                                        {"boolean", Type::kBoolean}, {"boolean[]", Type::kBooleans}, {"date", Type::kDate},   {"date[]", Type::kDates}, {"uuid", Type::kUuid},     {"uuid[]", Type::kUuids},
                                                        {"geoCoordinates", Type::kPlace}, {"blob", Type::kBlob},       {"object", Type::kObject}, {"object[]", Type::kObjects},
                                                        {"string", Type::kText},   {"string[]", Type::kTexts}};  // the last two: texts of long ago

[[noreturn]] void Refuse(const std::string& path, const std::string& why) { throw Error(Code::kUnimplemented, path + ": " + why, path); }
[[noreturn]] void Fail(const std::string& path, const std::string& why) { throw Error(Code::kInvalidArgument, path + ": " + why, path); }

const Json* Find(const JsonObject& in, std::string_view name) {
  const auto* found = in.if_contains(name);
  return found && !found->is_null() ? found : nullptr;
}
const JsonObject* ObjectIn(const JsonObject& in, std::string_view name) {
  const auto* found = Find(in, name);
  if (!found) return nullptr;
  if (!found->is_object()) Fail(std::string(name), "must be an object");
  return &found->get_object();
}
std::string TextIn(const JsonObject& in, std::string_view name, std::string_view otherwise = {}) {
  const auto* found = Find(in, name);
  if (!found) return std::string(otherwise);
  if (!found->is_string()) Fail(std::string(name), "must be a text");
  return std::string(AsView(found->get_string()));
}
bool FlagIn(const JsonObject& in, std::string_view name, bool otherwise) {
  const auto* found = Find(in, name);
  if (!found) return otherwise;
  if (!found->is_bool()) Fail(std::string(name), "must be true or false");
  return found->get_bool();
}

bool IsName(std::string_view name) {
  return !name.empty() && (std::isalpha(static_cast<unsigned char>(name[0])) || name[0] == '_') && std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '_'; });
}
bool IsTextual(Type type) { return type == Type::kText || type == Type::kTexts; }

Type TypeOfName(const std::string& name, const std::string& path) {
  for (const auto& [known, type] : kTypes)
    if (known == name) return type;
  if (!name.empty() && std::isupper(static_cast<unsigned char>(name[0]))) Refuse(path, "'" + name + "' would be a reference to another class; references are not kept");
  if (name == "phoneNumber") Refuse(path, "phone numbers are not parsed; keep it as text");
  Fail(path, "'" + name + "' is no data type");
}
std::string TypeIn(const JsonObject& property, const std::string& path) {
  const auto* type = Find(property, "dataType");
  if (!type || !type->is_array() || type->get_array().empty() || !type->get_array()[0].is_string()) Fail(path + ".dataType", "must be a list with one name, such as [\"text\"]");
  if (type->get_array().size() > 1) Refuse(path + ".dataType", "a property has one type; references are not kept");
  return std::string(AsView(type->get_array()[0].get_string()));
}

/// A property with everything Weaviate would say of it, at any depth.
JsonObject FullProperty(const JsonObject& sent, const std::string& path, std::size_t depth) {
  if (depth > 8) Fail(path, "is nested more than 8 levels deep");
  auto out = sent;
  const auto name = WeaviatePropertyName(TextIn(sent, "name"));
  if (!IsName(name) || name.size() > kMaxPropertyName || (depth == 0 && (name == "id" || name == "_id" || name == "_additional" || name == "vector")))
    Fail(path + ".name", "'" + name.substr(0, 64) + "' is not 1 to 231 letters, digits and '_', or is reserved (id, vector)");
  out["name"] = name;
  const auto type = TypeOfName(TypeIn(sent, path), path + ".dataType");
  const auto kept = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto& one) { return one.second == type; });
  out["dataType"] = JsonArray{string(kept->first)};
  for (const char* ours : {"skip_vectorization", "vectorize_property_name"}) out.erase(ours);  // of the Python client's, and never on Weaviate's wire
  const bool inverted = FlagIn(sent, "indexInverted", true);
  out.erase("indexInverted");
  out["indexFilterable"] = FlagIn(sent, "indexFilterable", inverted && type != Type::kBlob);
  out["indexSearchable"] = IsTextual(type) && FlagIn(sent, "indexSearchable", inverted);
  out["indexRangeFilters"] = FlagIn(sent, "indexRangeFilters", false);
  if (IsTextual(type)) {
    const auto tokenization = TextIn(sent, "tokenization", "word");
    if (tokenization != "word" && tokenization != "field") Refuse(path + ".tokenization", "'" + tokenization + "' is not done here; there are word and field");
    out["tokenization"] = tokenization;
  } else {
    out.erase("tokenization");
  }
  if (Find(sent, "textAnalyzer")) Refuse(path + ".textAnalyzer", "texts are analysed by their language; there is nothing to choose");
  if (const auto* nested = Find(sent, "nestedProperties")) {
    if (!nested->is_array()) Fail(path + ".nestedProperties", "must be a list");
    JsonArray full;
    for (const auto& one : nested->get_array()) {
      if (!one.is_object()) Fail(path + ".nestedProperties", "must be objects");
      full.push_back(FullProperty(one.get_object(), path + "." + name, depth + 1));
    }
    out["nestedProperties"] = std::move(full);
  }
  return out;
}

/// What Weaviate says of a vector index. But for `distance` nothing of it means anything here: there is one index, exact in its last step.
JsonObject FullVectorIndex(const std::string& type, const JsonObject* sent, const std::string& path, retrieval::Metric& metric) {
  if (type != "hnsw" && type != "flat") Refuse(path + ".vectorIndexType", "'" + type + "' is not here; hnsw and flat are taken, and both are this server's own index");
  JsonObject out{{"distance", "cosine"}, {"vectorCacheMaxObjects", 1'000'000'000'000}};
  if (type == "hnsw")
    for (const auto& [name, value] : std::initializer_list<std::pair<const char*, Json>>{{"cleanupIntervalSeconds", 300}, {"dynamicEfMin", 100}, {"dynamicEfMax", 500}, {"dynamicEfFactor", 8}, {"ef", -1}, {"efConstruction", 128},
                                                                                         {"filterStrategy", "sweeping"}, {"flatSearchCutoff", 40'000}, {"maxConnections", 32}, {"skip", false}})
      out[name] = value;
  if (sent)
    for (const auto& [name, value] : *sent)
      if (!value.is_null()) out[name] = value;
  if (FlagIn(out, "skip", false)) Refuse(path + ".vectorIndexConfig.skip", "every vector is searched");
  if (const auto* several = Find(out, "multivector"); several && several->is_object() && FlagIn(several->get_object(), "enabled", false)) Refuse(path + ".vectorIndexConfig.multivector", "an object has one vector");
  const auto distance = TextIn(out, "distance");
  const auto found = retrieval::MetricOfWeaviateDistance(distance);
  if (!found) Refuse(path + ".vectorIndexConfig.distance", "'" + distance + "' is not measured here; there are cosine, dot and l2-squared");
  metric = *found;
  return out;
}

bool EmbedsWith(const std::string& vectorizer, const std::string& path) {
  if (vectorizer == "none") return false;
  if (vectorizer == kWeaviateModule || vectorizer == "text2vec-transformers") return true;
  Refuse(path, "the module '" + vectorizer + "' is not here; there are none, for vectors of your own, and " + std::string(kWeaviateModule) + ", which embeds texts with this server's model");
}

void ReadVectors(const JsonObject& sent, WeaviateClass& out) {
  const auto* named = ObjectIn(sent, "vectorConfig");
  if (!named || named->empty()) {
    const auto vectorizer = TextIn(sent, "vectorizer", "none");
    out.embeds = EmbedsWith(vectorizer, "vectorizer");
    out.json.erase("vectorConfig");
    out.json["vectorizer"] = vectorizer;
    const auto type = TextIn(sent, "vectorIndexType", "hnsw");
    out.json["vectorIndexType"] = type;
    out.json["vectorIndexConfig"] = FullVectorIndex(type, ObjectIn(sent, "vectorIndexConfig"), "class", out.metric);
    return;
  }
  if (named->size() > 1) Refuse("vectorConfig", "an object has one vector; make a class for each");
  const auto& [name, value] = *named->begin();
  out.vector_name = std::string(name);
  const auto path = "vectorConfig." + out.vector_name;
  if (!IsName(out.vector_name)) Fail(path, "a vector's name has letters, digits and '_'");
  if (!value.is_object()) Fail(path, "must be an object");
  auto full = value.get_object();
  const auto* vectorizer = ObjectIn(full, "vectorizer");
  if (!vectorizer || vectorizer->size() != 1) Fail(path + ".vectorizer", "must be an object of one module, such as {\"none\": {}}");
  out.embeds = EmbedsWith(std::string(vectorizer->begin()->key()), path + ".vectorizer");
  if (const auto* options = vectorizer->begin()->value().if_object(); options && Find(*options, "properties")) Refuse(path + ".vectorizer.properties", "all texts that are searched are embedded; set indexSearchable of the others to false");
  const auto type = TextIn(full, "vectorIndexType", "hnsw");
  full["vectorIndexType"] = type;
  full["vectorIndexConfig"] = FullVectorIndex(type, ObjectIn(full, "vectorIndexConfig"), path, out.metric);
  out.json["vectorConfig"] = JsonObject{{out.vector_name, std::move(full)}};
  for (const char* of_one : {"vectorizer", "vectorIndexType", "vectorIndexConfig"}) out.json.erase(of_one);
}

void ReadWords(const JsonObject& sent, WeaviateClass& out) {
  JsonObject full{{"cleanupIntervalSeconds", 60}};
  const auto* given = ObjectIn(sent, "invertedIndexConfig");
  if (given) {
    for (const auto& [name, value] : *given)
      if (!value.is_null()) full[name] = value;
    if (const auto* bm25 = ObjectIn(*given, "bm25"))
      for (const auto& [name, ours] : {std::pair{"k1", 1.2}, std::pair{"b", 0.75}})
        if (const auto* value = Find(*bm25, name); value && (!value->is_number() || std::abs(value->to_number<double>() - ours) > 1e-6))
          Refuse("invertedIndexConfig.bm25", "words are scored with k1 1.2 and b 0.75");
    if (const auto* words = ObjectIn(*given, "stopwords"))
      for (const char* list : {"additions", "removals"})
        if (const auto* value = Find(*words, list); value && !(value->is_array() && value->get_array().empty())) Refuse("invertedIndexConfig.stopwords", "there are no lists of stop words of one's own");
  }
  full["bm25"] = JsonObject{{"k1", 1.2}, {"b", 0.75}};
  full["stopwords"] = JsonObject{{"preset", "none"}, {"additions", nullptr}, {"removals", nullptr}};
  out.json["invertedIndexConfig"] = std::move(full);
}

void ReadTenancy(const JsonObject& sent, WeaviateClass& out) {
  // LangChain spells it with a capital letter, which Weaviate's reader of JSON takes for the same.
  const auto* given = ObjectIn(sent, "multiTenancyConfig");
  if (!given) given = ObjectIn(sent, "MultiTenancyConfig");
  if (given) {
    out.has_tenants = FlagIn(*given, "enabled", false);
    out.makes_tenants = FlagIn(*given, "autoTenantCreation", false);
  }
  const bool wakes = given && FlagIn(*given, "autoTenantActivation", false);
  out.json.erase("MultiTenancyConfig");
  out.json["multiTenancyConfig"] = JsonObject{{"enabled", out.has_tenants}, {"autoTenantCreation", out.makes_tenants}, {"autoTenantActivation", wakes}};
}

std::optional<int> Digits(std::string_view text, std::size_t at, std::size_t count) {
  int out = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (at + i >= text.size() || text[at + i] < '0' || text[at + i] > '9') return std::nullopt;
    out = out * 10 + (text[at + i] - '0');
  }
  return out;
}

[[noreturn]] void FailValue(std::string_view name, const char* expected) { Fail(std::string(name), std::string("must be ") + expected); }

Json KeepOne(Type type, const Json& value, std::string_view name) {
  const auto text = [&](const char* expected) {
    if (!value.is_string()) FailValue(name, expected);
    return std::string_view(AsView(value.get_string()));
  };
  switch (type) {
    case Type::kText: return string(text("a text"));
    case Type::kBlob: return string(text("a text of base64"));
    case Type::kInt: {
      if (value.is_int64()) return value;
      const auto number = value.is_number() ? value.to_number<double>() : 0.5;
      if (number != static_cast<double>(static_cast<std::int64_t>(std::clamp(number, -9e18, 9e18)))) FailValue(name, "a whole number");
      return static_cast<std::int64_t>(number);
    }
    case Type::kNumber:
      if (!value.is_number()) FailValue(name, "a number");
      return value.to_number<double>();
    case Type::kBoolean:
      if (!value.is_bool()) FailValue(name, "true or false");
      return value;
    case Type::kDate: {
      const auto time = NormalTime(text("a time"));
      if (!time) FailValue(name, "a time of RFC 3339, such as 2026-11-24T10:15:30Z");
      return string(*time);
    }
    case Type::kUuid: {
      const auto uuid = NormalUuid(text("a UUID"));
      if (!uuid) FailValue(name, "a UUID");
      return string(*uuid);
    }
    case Type::kPlace: {
      const auto* place = value.if_object();
      const auto* latitude = place ? Find(*place, "latitude") : nullptr;
      const auto* longitude = place ? Find(*place, "longitude") : nullptr;
      if (!latitude || !longitude || !latitude->is_number() || !longitude->is_number()) FailValue(name, "{latitude, longitude}");
      return JsonObject{{"lat", latitude->to_number<double>()}, {"lon", longitude->to_number<double>()}};
    }
    case Type::kObject:
      if (!value.is_object()) FailValue(name, "an object");
      return string(ToText(value));
    default: break;
  }
  FailValue(name, "of another type");
}

/// Of an element of a list of `type`; `type` itself if it is none.
Type ElementOf(Type type) {
  switch (type) {
    case Type::kTexts: return Type::kText;
    case Type::kInts: return Type::kInt;
    case Type::kNumbers: return Type::kNumber;
    case Type::kBooleans: return Type::kBoolean;
    case Type::kDates: return Type::kDate;
    case Type::kUuids: return Type::kUuid;
    case Type::kObjects: return Type::kObject;
    default: return type;
  }
}

Json ShowOne(Type type, const Json& kept) {
  if (type == Type::kPlace && kept.is_object()) return JsonObject{{"latitude", kept.at("lat")}, {"longitude", kept.at("lon")}};
  if (!kept.is_string()) return type == Type::kNumber && kept.is_number() ? Json(kept.to_number<double>()) : kept;
  const auto text = AsView(kept.get_string());
  if (type == Type::kObject || type == Type::kInt || type == Type::kBoolean) return ParseJson(text);
  if (type == Type::kNumber) return ParseJson(text).to_number<double>();
  if (type != Type::kDate) return kept;
  // The digits of a second that say nothing are left out.
  auto time = std::string(text);
  time.pop_back();
  while (time.ends_with('0')) time.pop_back();
  if (time.ends_with('.')) time.pop_back();
  return string(time + "Z");
}

}  // namespace

std::string WeaviatePropertyName(std::string_view name) {
  std::string out(name);
  if (!out.empty()) out[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(out[0])));
  return out;
}

void AddWeaviateProperty(WeaviateClass& to, const JsonObject& sent) {
  auto full = FullProperty(sent, "properties", 0);
  const std::string name(AsView(full.at("name").get_string()));
  const auto type = TypeOfName(TypeIn(full, name), name);
  if (to.properties.size() >= kMaxProperties) throw Error(Code::kResourceExhausted, "class '" + to.name + "' has " + std::to_string(kMaxProperties) + " properties, the limit", "properties");
  if (!to.properties.try_emplace(name, WeaviateProperty{type, full.at("indexSearchable").get_bool(), IsTextual(type) && full.at("tokenization") == "word"}).second)
    throw Error(Code::kAlreadyExists, "class '" + to.name + "' has a property '" + name + "' already", "name");
  to.json["properties"].as_array().push_back(std::move(full));
}

WeaviateClass ReadWeaviateClass(const JsonObject& sent) {
  WeaviateClass out;
  out.json = sent;
  out.name = TextIn(sent, "class");
  if (!out.name.empty()) out.name[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(out.name[0])));
  CollectionOfClass(out.name);
  out.json["class"] = out.name;
  if (const auto* modules = ObjectIn(sent, "moduleConfig"))
    for (const auto& [module, options] : *modules) EmbedsWith(std::string(module), "moduleConfig");
  if (const auto* ttl = ObjectIn(sent, "objectTtlConfig"); ttl && FlagIn(*ttl, "enabled", true)) Refuse("objectTtlConfig", "objects do not expire");
  out.readers = TextIn(sent, "tenfoldReaders");
  ReadVectors(sent, out);
  ReadWords(sent, out);
  ReadTenancy(sent, out);
  if (const auto* replicas = ObjectIn(sent, "replicationConfig"); replicas && Find(*replicas, "factor") && *Find(*replicas, "factor") != 1) Refuse("replicationConfig.factor", "there is one copy, in the data folder");
  out.json["replicationConfig"] = JsonObject{{"factor", 1}, {"asyncEnabled", false}, {"deletionStrategy", "NoAutomatedResolution"}};
  out.json["shardingConfig"] = JsonObject{{"virtualPerPhysical", 128}, {"desiredCount", 1}, {"actualCount", 1}, {"desiredVirtualCount", 128}, {"actualVirtualCount", 128}, {"key", "_id"}, {"strategy", "hash"}, {"function", "murmur3"}};
  out.json["properties"] = JsonArray{};
  if (const auto* properties = Find(sent, "properties")) {
    if (!properties->is_array()) Fail("properties", "must be a list");
    for (const auto& property : properties->get_array()) {
      if (!property.is_object()) Fail("properties", "must be objects");
      AddWeaviateProperty(out, property.get_object());
    }
  }
  return out;
}

JsonObject GuessWeaviateProperty(std::string_view name, const Json& value) {
  const auto* list = value.if_array();
  if (list && list->empty()) Fail(std::string(name), "is an empty list, of which no type can be told; add the property to the class first");
  const auto& one = list ? list->front() : value;
  std::string type = "object";
  if (one.is_string()) {
    const auto text = AsView(one.get_string());
    type = NormalTime(text) ? "date" : NormalUuid(text) ? "uuid" : "text";
  } else if (one.is_number()) {
    type = "number";
  } else if (one.is_bool()) {
    type = "boolean";
  } else if (const auto* object = one.if_object()) {
    if (!list && object->size() == 2 && object->contains("latitude") && object->contains("longitude")) type = "geoCoordinates";
  } else {
    Fail(std::string(name), "is a list of lists, which no property holds");
  }
  return {{"name", string(name)}, {"dataType", JsonArray{string(list ? type + "[]" : type)}}};
}

std::string CollectionOfClass(std::string_view class_name) {
  if (!IsName(class_name) || !std::isupper(static_cast<unsigned char>(class_name[0])) || class_name.back() == '_') Fail("class", "'" + std::string(class_name.substr(0, 64)) + "' is not letters, digits and '_', from a letter to a letter or digit");
  // A capital is a hyphen and its small letter: no class has hyphens.
  std::string out = "wv";
  for (const unsigned char c : class_name) {
    if (std::isupper(c)) out += '-';
    out += static_cast<char>(std::tolower(c));
  }
  if (out.size() > kMaxClassName + 4) Fail("class", "'" + std::string(class_name) + "' is too long: characters and capitals together are at most 62");
  return out;
}

std::optional<WeaviateClass> ClassOfCollection(const retrieval::Collection& row) {
  const auto* protocol = row.attributes.if_contains("protocol");
  const auto* kept = row.attributes.if_contains("class");
  if (!protocol || *protocol != "weaviate" || !kept || !kept->is_object()) return std::nullopt;
  return ReadWeaviateClass(kept->get_object());
}

std::optional<Json> KeepWeaviateValue(WeaviateType type, const Json& value, std::string_view name) {
  if (value.is_null()) return std::nullopt;
  const auto element = ElementOf(type);
  if (element == type) return KeepOne(type, value, name);
  const auto* list = value.if_array();
  if (!list) FailValue(name, "a list");
  JsonArray out;
  for (const auto& one : *list) {
    auto kept = KeepOne(element, one, name);
    out.push_back(kept.is_string() ? std::move(kept) : Json(string(ToText(kept))));
  }
  return out;
}

Json ShowWeaviateValue(WeaviateType type, const Json& kept) {
  const auto element = ElementOf(type);
  if (element == type) return ShowOne(type, kept);
  JsonArray out;
  if (kept.is_array())
    for (const auto& one : kept.get_array()) out.push_back(ShowOne(element, one));
  return out;
}

std::optional<std::string> NormalTime(std::string_view text) {
  const auto year = Digits(text, 0, 4), month = Digits(text, 5, 2), day = Digits(text, 8, 2), hour = Digits(text, 11, 2), minute = Digits(text, 14, 2), second = Digits(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') || text[13] != ':' || text[16] != ':') return std::nullopt;
  std::size_t at = 19;
  std::string fraction;
  if (at < text.size() && text[at] == '.')
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) fraction += text[at];
  if (fraction.size() > 9) return std::nullopt;
  fraction.resize(9, '0');
  int offset = 0;
  if (at < text.size() && (text[at] == 'Z' || text[at] == 'z')) {
    ++at;
  } else {
    const auto hours = Digits(text, at + 1, 2), minutes = Digits(text, at + 4, 2);
    if (at >= text.size() || (text[at] != '+' && text[at] != '-') || !hours || !minutes || text[at + 3] != ':') return std::nullopt;
    offset = (text[at] == '-' ? -1 : 1) * (*hours * 60 + *minutes);
    at += 6;
  }
  using namespace std::chrono;
  const year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)), std::chrono::day(static_cast<unsigned>(*day))};
  if (at != text.size() || !date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const auto moment = sys_days(date) + hours(*hour) + minutes(*minute - offset) + seconds(*second);
  const auto midnight = floor<days>(moment);
  const year_month_day utc(midnight);
  if (static_cast<int>(utc.year()) < 0) return std::nullopt;
  const hh_mm_ss clock(moment - midnight);
  char out[40];
  std::snprintf(out, sizeof out, "%04d-%02u-%02uT%02d:%02d:%02d.%sZ", static_cast<int>(utc.year()), static_cast<unsigned>(utc.month()), static_cast<unsigned>(utc.day()), static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()), fraction.c_str());
  return out;
}

std::optional<std::string> NormalUuid(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
    if (hyphen ? text[i] != '-' : !std::isxdigit(static_cast<unsigned char>(text[i]))) return std::nullopt;
    out += static_cast<char>(std::tolower(static_cast<unsigned char>(text[i])));
  }
  return out;
}

}  // namespace tenfold::serving
