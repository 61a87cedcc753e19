#include "serving/weaviate.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"
#include "base/testing.h"
#include "serving/weaviate_messages.h"

namespace tenfold::serving {
namespace {

namespace pb = weaviate::v1;
using Type = WeaviateType;

WeaviateClass ReadClass(const char* text) { return ReadWeaviateClass(ParseJson(text).as_object()); }

TEST(WeaviateSchema, ReadsBackWhatItMadeOfAClass) {
  for (const auto* text : {R"({"class": "films"})", R"({"class": "Films", "vectorizer": "none", "vectorIndexConfig": {"distance": "dot", "ef": 64}, "properties": [{"name": "Title", "dataType": ["text"]}]})",
                           R"({"class": "Films", "vectorConfig": {"mine": {"vectorizer": {"none": {}}, "vectorIndexType": "flat", "vectorIndexConfig": {"distance": "l2-squared"}}}, "MultiTenancyConfig": {"enabled": true, "autoTenantCreation": true}})",
                           R"({"class": "Films", "properties": [{"name": "o", "dataType": ["object"], "nestedProperties": [{"name": "x", "dataType": ["text[]"], "tokenization": "field"}]}, {"name": "n", "dataType": ["int"], "indexRangeFilters": true}]})"}) {
    const auto once = ReadClass(text);
    const auto again = ReadWeaviateClass(once.json);
    EXPECT_EQ(once.name, "Films");
    EXPECT_EQ(ToText(once.json), ToText(again.json));
    EXPECT_EQ(once.properties.size(), again.properties.size());
    EXPECT_EQ(once.metric, again.metric);
    EXPECT_EQ(once.vector_name, again.vector_name);
    EXPECT_EQ(once.has_tenants, again.has_tenants);
  }
  const auto named = ReadClass(R"({"class": "Films", "vectorConfig": {"mine": {"vectorizer": {"none": {}}, "vectorIndexConfig": {"distance": "l2-squared"}}}, "MultiTenancyConfig": {"enabled": true, "autoTenantCreation": true}})");
  EXPECT_EQ(named.vector_name, "mine");
  EXPECT_EQ(named.metric, retrieval::Metric::kEuclidean);
  EXPECT_TRUE(named.has_tenants && named.makes_tenants);
}

TEST(WeaviateSchema, RefusesWhatIsNotDoneHereAndWhatIsWrong) {
  for (const auto* text : {R"({"class": "A", "vectorizer": "text2vec-openai"})", R"({"class": "A", "moduleConfig": {"generative-cohere": {}}})", R"({"class": "A", "vectorIndexConfig": {"distance": "hamming"}})",
                           R"({"class": "A", "vectorConfig": {"a": {"vectorizer": {"none": {}}}, "b": {"vectorizer": {"none": {}}}}})", R"({"class": "A", "properties": [{"name": "p", "dataType": ["B"]}]})",
                           R"({"class": "A", "replicationConfig": {"factor": 3}})", R"({"class": "A", "invertedIndexConfig": {"bm25": {"k1": 2, "b": 0.75}}})", R"({"class": "A", "vectorIndexConfig": {"multivector": {"enabled": true}}})"})
    EXPECT_EQ(CodeOf([&] { ReadClass(text); }), Code::kUnimplemented) << text;
  for (const auto* text : {R"({})", R"({"class": ""})", R"({"class": "1a"})", R"({"class": "a b"})", R"({"class": "A_"})", R"({"class": 5})", R"({"class": "A", "properties": [{"name": "id", "dataType": ["text"]}]})",
                           R"({"class": "A", "properties": [{"name": "p", "dataType": ["texts"]}]})", R"({"class": "A", "properties": {}})", R"({"class": "A", "vectorConfig": 5})"})
    EXPECT_EQ(CodeOf([&] { ReadClass(text); }), Code::kInvalidArgument) << text;
  EXPECT_EQ(CodeOf([&] { ReadClass(R"({"class": "A", "properties": [{"name": "p", "dataType": ["text"]}, {"name": "P", "dataType": ["int"]}]})"); }), Code::kAlreadyExists);
  EXPECT_EQ(CodeOf([&] { ReadWeaviateClass({{"class", std::string(61, 'A')}}); }), Code::kInvalidArgument);
}

TEST(WeaviateSchema, NamesCollectionsOfClassesApart) {
  EXPECT_EQ(CollectionOfClass("Article_2"), "wv-article_2");
  EXPECT_EQ(CollectionOfClass("AB"), "wv-a-b");
  EXPECT_NE(CollectionOfClass("MyClass"), CollectionOfClass("Myclass"));
  EXPECT_EQ(CollectionOfClass("LangChain_0123456789abcdef0123456789abcdef"), "wv-lang-chain_0123456789abcdef0123456789abcdef");
}

TEST(WeaviateSchema, OrdersTimesAsTheyPassed) {
  EXPECT_EQ(NormalTime("1999-03-31T12:30:00+02:00"), "1999-03-31T10:30:00.000000000Z");
  EXPECT_EQ(NormalTime("1999-12-31T23:59:59.5-00:30"), "2000-01-01T00:29:59.500000000Z");
  EXPECT_EQ(NormalTime("2024-02-29T00:00:00Z"), "2024-02-29T00:00:00.000000000Z");
  for (const auto* text : {"", "2024", "2023-02-29T00:00:00Z", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00Zx", "2024-01-01T00:00:00+2:00", "2024-01-01T00:00:00.1234567891Z", "0000-01-01T00:00:00+23:59"})
    EXPECT_FALSE(NormalTime(text)) << text;
}

TEST(WeaviateSchema, ShowsValuesAsTheyWere) {
  for (const auto& [type, text] : std::initializer_list<std::pair<Type, const char*>>{{Type::kText, R"("a")"}, {Type::kTexts, R"(["a","b"])"}, {Type::kInt, "5"}, {Type::kInts, "[1,-2]"}, {Type::kNumbers, "[1.5E0,2E0]"}, {Type::kBooleans, "[true,false]"},
                                                                                       {Type::kDate, R"("2024-01-01T10:00:00.5Z")"}, {Type::kDates, R"(["2024-01-01T10:00:00Z"])"}, {Type::kUuid, R"("00000000-0000-0000-0000-00000000000a")"},
                                                                                       {Type::kPlace, R"({"latitude":4.8E1,"longitude":1.1E1})"}, {Type::kObject, R"({"a":[1,{"b":null}]})"}, {Type::kObjects, R"([{"a":1},{}])"}, {Type::kTexts, "[]"}}) {
    const auto value = ParseJson(text);
    const auto kept = KeepWeaviateValue(type, value, "p");
    ASSERT_TRUE(kept) << text;
    const retrieval::IndexChange change{retrieval::IndexChange::Kind::kPut, {.id = "x", .metadata = {{"p", *kept}}}};
    EXPECT_NO_THROW(retrieval::CheckChanges({&change, 1}, 0, retrieval::Metric::kCosine)) << text;
    EXPECT_EQ(ToText(ShowWeaviateValue(type, *kept)), ToText(value)) << text;
  }
  EXPECT_EQ(ToText(*KeepWeaviateValue(Type::kInt, 5.0, "p")), "5");
  EXPECT_FALSE(KeepWeaviateValue(Type::kInt, nullptr, "p"));
  for (const auto& [type, text] : std::initializer_list<std::pair<Type, const char*>>{{Type::kInt, "5.5"}, {Type::kInt, "1e300"}, {Type::kText, "5"}, {Type::kTexts, R"("a")"}, {Type::kDate, R"("soon")"}, {Type::kUuid, R"("x")"}, {Type::kBoolean, "1"}, {Type::kPlace, "{}"}})
    EXPECT_EQ(CodeOf([&] { KeepWeaviateValue(type, ParseJson(text), "p"); }), Code::kInvalidArgument) << text;
}

/// A store in a folder of its own.
class WeaviateObjectsTest : public testing::Test {
 protected:
  WeaviateObjectsTest() : store_(data::OpenSqliteStore((folder_.path() / "store").string(), retrieval::Collections::Tables())), collections_(std::make_unique<retrieval::Collections>(*store_)), objects_(*collections_, nullptr, "") { store_->Follow(*collections_); }
  ~WeaviateObjectsTest() override { store_.reset(); }

  static Context As(std::string user) {
    Principal principal;
    principal.user = std::move(user);
    principal.role = Role::kAgent;
    Context::Parts parts;
    parts.principal = std::make_shared<const Principal>(std::move(principal));
    return Context(std::move(parts));
  }
  static std::string Id(int n) { return "00000000-0000-0000-0000-0000000000" + std::to_string(10 + n); }

  TemporaryFolder folder_;
  std::unique_ptr<data::Store> store_;
  std::unique_ptr<retrieval::Collections> collections_;
  WeaviateObjects objects_;
  const Context ana_ = As("ana@example.com"), bob_ = As("bob@example.com");
};

TEST_F(WeaviateObjectsTest, PutsWhatCanBePutAndSaysWhyNot) {
  objects_.Create(ana_, {{"class", "Films"}});
  EXPECT_EQ(CodeOf([&] { objects_.PutOne(ana_, "Films", "", {.id = Id(0), .vector = {0, 0, 0, 0}}, WeaviateObjects::Put::kAny); }), Code::kInvalidArgument);  // and decides no length
  std::vector<WeaviateObject> all{{.id = Id(0), .properties = {{"title", "a"}}, .vector = {1, 0}}, {.id = "none"}, {.id = Id(1), .vector = {1, 0, 0}}, {.id = Id(2), .properties = {{"title", 5}}}, {.id = Id(3), .properties = {{"b c", "x"}}},
                                  {.id = Id(4), .properties = {{"empty", nullptr}}}, {.id = Id(5), .vector = {0, 0}}, {.id = Id(6), .properties = {{"list", JsonArray{}}}}, {.id = Id(7), .vector = {1, 0}, .vector_name = "other"}};
  const auto errors = objects_.PutAll(ana_, "Films", "", all);
  std::string good;
  for (const auto& error : errors) good += error.empty() ? '+' : '-';
  EXPECT_EQ(good, "+----+---");
  EXPECT_EQ(objects_.Find(ana_, "Films").properties.size(), 1u);
  const auto from = objects_.Open(ana_, "Films", "");
  EXPECT_EQ(from.row.dim, 2);
  EXPECT_EQ(from.index->List(ana_, "", "", "", 100), (std::vector<std::string>{Id(0), Id(4)}));
  EXPECT_EQ(CodeOf([&] { objects_.PutOne(ana_, "Films", "", {.id = Id(0)}, WeaviateObjects::Put::kNew); }), Code::kAlreadyExists);
  EXPECT_EQ(CodeOf([&] { objects_.PutOne(ana_, "Films", "", {.id = Id(9)}, WeaviateObjects::Put::kThere); }), Code::kNotFound);
}

TEST_F(WeaviateObjectsTest, KeepsLongTextsAndTheOrderOfTheirProperties) {
  objects_.Create(ana_, {{"class", "Films"}});
  const std::string one(5000, 'x'), two = std::string(2000, 'y') + " needle", odd = std::string(3000, 'z') + '\x1e' + "tail";
  objects_.PutOne(ana_, "Films", "", {.id = Id(0), .properties = {{"b", one}, {"a", two}, {"c", "short"}, {"d", odd}}}, WeaviateObjects::Put::kNew);
  const auto from = objects_.Open(ana_, "Films", "");
  const auto id = Id(0);
  const auto got = WeaviateObjects::Fetch(ana_, from, {&id, 1}).at(0).properties;
  EXPECT_EQ(got.at("b"), Json(one));
  EXPECT_EQ(got.at("a"), Json(two));
  EXPECT_EQ(got.at("c"), "short");
  EXPECT_EQ(got.at("d"), Json(odd));
  EXPECT_EQ(from.index->Search(ana_, "", {.text = "needle"}).hits.size(), 1u);
  EXPECT_EQ(from.index->Search(ana_, "", {.text = "short"}).hits.size(), 1u);
  objects_.Merge(ana_, "Films", "", {.id = Id(0), .properties = {{"a", nullptr}, {"c", "shorter"}}});
  const auto merged = WeaviateObjects::Fetch(ana_, from, {&id, 1}).at(0).properties;
  EXPECT_FALSE(merged.contains("a"));
  EXPECT_EQ(merged.at("b"), Json(one));
  EXPECT_EQ(from.index->Search(ana_, "", {.text = "needle"}).hits.size(), 0u);
}

TEST_F(WeaviateObjectsTest, ShowsNobodyWhatIsNotTheirs) {
  objects_.Create(ana_, {{"class", "Films"}, {"multiTenancyConfig", JsonObject{{"enabled", true}}}});
  const std::vector<std::string> names{"a", "b"};
  objects_.AddTenants(ana_, "Films", names);
  EXPECT_EQ(objects_.Tenants(ana_, "Films"), names);
  EXPECT_TRUE(objects_.List(bob_).empty());
  for (const auto& work : std::initializer_list<std::function<void()>>{[&] { objects_.Find(bob_, "Films"); }, [&] { objects_.Open(bob_, "Films", "a"); }, [&] { objects_.Tenants(bob_, "Films"); }, [&] { objects_.AddTenants(bob_, "Films", names); },
                                                                       [&] { objects_.DeleteTenants(bob_, "Films", names); }, [&] { objects_.PutOne(bob_, "Films", "a", {.id = Id(0)}, WeaviateObjects::Put::kAny); },
                                                                       [&] { objects_.AddProperty(bob_, "Films", {{"name", "p"}, {"dataType", JsonArray{"text"}}}); }})
    EXPECT_EQ(CodeOf(work), Code::kNotFound);
  objects_.Delete(bob_, "Films");  // which is not there, to him
  EXPECT_EQ(objects_.List(ana_).size(), 1u);
  EXPECT_EQ(CodeOf([&] { objects_.Open(ana_, "Films", "c"); }), Code::kNotFound);
  auto changed = objects_.Find(ana_, "Films").json;
  changed["tenfoldReaders"] = "user:bob@example.com";
  EXPECT_EQ(CodeOf([&] { objects_.Change(bob_, "Films", changed); }), Code::kNotFound);
  objects_.Change(ana_, "Films", changed);
  EXPECT_EQ(objects_.Open(bob_, "Films", "a").name_space, "a");
  EXPECT_EQ(CodeOf([&] { objects_.PutOne(bob_, "Films", "a", {.id = Id(0)}, WeaviateObjects::Put::kAny); }), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf([&] { objects_.Delete(bob_, "Films"); }), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf([&] { objects_.Open(ana_, "Films", "$tenants"); }), Code::kNotFound);
  EXPECT_EQ(CodeOf([&] { objects_.PutOne(ana_, "Films", "$tenants", {.id = Id(0)}, WeaviateObjects::Put::kAny); }), Code::kInvalidArgument);
}

TEST_F(WeaviateObjectsTest, FiltersAreTranslatedOrRefused) {
  const auto schema = ReadClass(R"({"class": "Films", "properties": [{"name": "words", "dataType": ["text"]}, {"name": "field", "dataType": ["text"], "tokenization": "field"}, {"name": "ns", "dataType": ["number[]"]}, {"name": "n", "dataType": ["int"]}, {"name": "o", "dataType": ["object"]}]})");
  const auto filter = [&](const char* property, pb::Filters::Operator op, const std::function<void(pb::Filters&)>& set) {
    pb::Filters out;
    out.set_operator_(op);
    out.mutable_target()->set_property(property);
    set(out);
    return ReadWeaviateFilter(schema, out);
  };
  const auto text = [](const char* value) { return [value](pb::Filters& out) { out.set_value_text(value); }; };
  const auto number = [](double value) { return [value](pb::Filters& out) { out.set_value_number(value); }; };
  EXPECT_TRUE(filter("words", pb::Filters::OPERATOR_EQUAL, text("FOX quick")).Matches({{"words", "The quick brown fox"}}));
  EXPECT_FALSE(filter("words", pb::Filters::OPERATOR_EQUAL, text("quick cat")).Matches({{"words", "The quick brown fox"}}));
  EXPECT_FALSE(filter("words", pb::Filters::OPERATOR_EQUAL, text("--")).Matches({{"words", "The quick brown fox"}}));
  EXPECT_TRUE(filter("words", pb::Filters::OPERATOR_LIKE, text("qu* BRO?N")).Matches({{"words", "The quick brown fox"}}));
  EXPECT_TRUE(filter("words", pb::Filters::OPERATOR_NOT_EQUAL, text("fox")).Matches({}));
  EXPECT_FALSE(filter("field", pb::Filters::OPERATOR_EQUAL, text("quick")).Matches({{"field", "The quick"}}));
  EXPECT_TRUE(filter("ns", pb::Filters::OPERATOR_EQUAL, number(2)).Matches({{"ns", *KeepWeaviateValue(Type::kNumbers, ParseJson("[1.5, 2]"), "ns")}}));
  EXPECT_TRUE(filter("n", pb::Filters::OPERATOR_GREATER_THAN, number(1.5)).Matches({{"n", 2}}));
  EXPECT_TRUE(filter("_creationTimeUnix", pb::Filters::OPERATOR_EQUAL, text("1970-01-02T00:00:00.25Z")).Matches({{"$created", 86'400'250}}));
  EXPECT_EQ(CodeOf([&] { filter("ns", pb::Filters::OPERATOR_LESS_THAN, number(2)); }), Code::kUnimplemented);
  EXPECT_EQ(CodeOf([&] { filter("o", pb::Filters::OPERATOR_EQUAL, text("x")); }), Code::kUnimplemented);
  EXPECT_EQ(CodeOf([&] { filter("len(words)", pb::Filters::OPERATOR_EQUAL, number(2)); }), Code::kUnimplemented);
  EXPECT_EQ(CodeOf([&] { filter("other", pb::Filters::OPERATOR_EQUAL, text("x")); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { filter("n", pb::Filters::OPERATOR_EQUAL, text("x")); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { filter("_id", pb::Filters::OPERATOR_EQUAL, text("x")); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { filter("n", pb::Filters::OPERATOR_EQUAL, [](pb::Filters&) {}); }), Code::kInvalidArgument);
  pb::Filters deep;
  auto* at = &deep;
  for (int i = 0; i < 20; ++i) {
    at->set_operator_(pb::Filters::OPERATOR_NOT);
    at = at->add_filters();
  }
  EXPECT_EQ(CodeOf([&] { ReadWeaviateFilter(schema, deep); }), Code::kInvalidArgument);
}

}  // namespace
}  // namespace tenfold::serving
