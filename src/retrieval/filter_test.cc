#include "retrieval/filter.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace tenfold::retrieval {
namespace {

bool Holds(std::string_view filter, std::string_view metadata) { return ParseFilter(ParseJson(filter)).Matches(ParseJson(metadata).as_object()); }

std::string FieldOfError(std::string_view filter) {
  try {
    ParseFilter(ParseJson(filter));
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kInvalidArgument);
    return e.param();
  }
  return "nothing was thrown";
}

TEST(Filter, ComparesValuesOfOneKindOnly) {
  EXPECT_TRUE(Holds(R"({"year": 2020})", R"({"year": 2020})"));
  EXPECT_TRUE(Holds(R"({"year": 2020})", R"({"year": 2020.0})"));
  EXPECT_FALSE(Holds(R"({"year": 2020})", R"({"year": "2020"})"));
  EXPECT_FALSE(Holds(R"({"year": {"$gt": 5}})", R"({"year": "9"})"));
  EXPECT_TRUE(Holds(R"({"at": {"$gte": "2026-01-01", "$lt": "2027"}})", R"({"at": "2026-11-26T00:00:00Z"})"));
  EXPECT_FALSE(Holds(R"({"at": {"$gte": "2026-01-01", "$lt": "2026-11"}})", R"({"at": "2026-11-26T00:00:00Z"})"));
  EXPECT_TRUE(Holds(R"({"is": true})", R"({"is": true})"));
  EXPECT_FALSE(Holds(R"({"is": 1})", R"({"is": true})"));
}

TEST(Filter, HoldsForAListIfItHoldsForOneElement) {
  EXPECT_TRUE(Holds(R"({"tags": "a"})", R"({"tags": ["b", "a"]})"));
  EXPECT_FALSE(Holds(R"({"tags": {"$ne": "a"}})", R"({"tags": ["b", "a"]})"));
  EXPECT_TRUE(Holds(R"({"tags": {"$nin": ["c", "d"]}})", R"({"tags": ["b", "a"]})"));
  EXPECT_TRUE(Holds(R"({"tags": {"$in": ["c", "a"]}})", R"({"tags": ["b", "a"]})"));
  EXPECT_FALSE(Holds(R"({"tags": {"$in": []}})", R"({"tags": ["b", "a"]})"));
}

TEST(Filter, TreatsAbsentAndNullAlike) {
  for (const auto* metadata : {"{}", R"({"x": null})"}) {
    EXPECT_FALSE(Holds(R"({"x": 1})", metadata));
    EXPECT_TRUE(Holds(R"({"x": {"$ne": 1}})", metadata));
    EXPECT_TRUE(Holds(R"({"x": {"$nin": [1]}})", metadata));
    EXPECT_TRUE(Holds(R"({"x": {"$exists": false}})", metadata));
    EXPECT_FALSE(Holds(R"({"x": {"$exists": true}})", metadata));
    EXPECT_FALSE(Holds(R"({"x": {"$lt": 1}})", metadata));
    EXPECT_TRUE(Holds(R"({"$not": {"x": {"$lt": 1}}})", metadata));
  }
  EXPECT_TRUE(Holds("{}", "{}"));
}

TEST(Filter, JoinsConditions) {
  constexpr auto kFilter = R"({"genre": "x", "$or": [{"year": {"$gte": 2020}}, {"$and": [{"kept": true}, {"$not": {"tags": "old"}}]}]})";
  EXPECT_TRUE(Holds(kFilter, R"({"genre": "x", "year": 2021})"));
  EXPECT_TRUE(Holds(kFilter, R"({"genre": "x", "year": 1, "kept": true})"));
  EXPECT_FALSE(Holds(kFilter, R"({"genre": "x", "year": 1, "kept": true, "tags": ["old"]})"));
  EXPECT_FALSE(Holds(kFilter, R"({"genre": "y", "year": 2021})"));
  EXPECT_TRUE(Holds(R"({"year": {"$not": {"$gt": 3}}})", R"({"year": 3})"));
}

TEST(Filter, MeasuresDistanceOverTheEarth) {
  // Berlin to Potsdam is 27 km, to Hamburg 255 km.
  constexpr auto kNear = R"({"place": {"$within": {"lat": 52.52, "lon": 13.405, "metres": 50000}}})";
  EXPECT_TRUE(Holds(kNear, R"({"place": {"lat": 52.39, "lon": 13.06}})"));
  EXPECT_FALSE(Holds(kNear, R"({"place": {"lat": 53.55, "lon": 9.99}})"));
  EXPECT_FALSE(Holds(kNear, R"({"place": "Potsdam"})"));
  EXPECT_TRUE(Holds(R"({"p": {"$within": {"lat": 0, "lon": 179.9, "metres": 30000}}})", R"({"p": {"lat": 0, "lon": -179.9}})"));
}

TEST(Filter, MatchesPatternsOfTextsAndOfTheirWords) {
  const auto matches = [](const char* filter, const char* text) { return ParseFilter(ParseJson(filter)).Matches({{"a", text}}); };
  EXPECT_TRUE(matches(R"({"a": {"$like": "Ten*"}})", "Tent poles"));
  EXPECT_FALSE(matches(R"({"a": {"$like": "Ten"}})", "Tent poles"));
  EXPECT_FALSE(matches(R"({"a": {"$like": "ten*"}})", "Tent poles"));
  EXPECT_TRUE(matches(R"({"a": {"$like": "*p?les"}})", "Tent poles"));
  EXPECT_TRUE(matches(R"({"a": {"$like": "*a*b*c"}})", "xaaybbzcc"));
  EXPECT_FALSE(matches(R"({"a": {"$like": "*a*b*c"}})", "xaaybbzccd"));
  EXPECT_TRUE(matches(R"({"a": {"$like": "z?lt"}})", "zélt"));  // '?' is a character, not a byte
  EXPECT_FALSE(matches(R"({"a": {"$like": "*é"}})", "z"));
  EXPECT_TRUE(matches(R"({"a": {"$like_word": "pol?s"}})", "Tent-Poles, two"));
  EXPECT_TRUE(matches(R"({"a": {"$like_word": "ten*"}})", "Tent-Poles, two"));
  EXPECT_FALSE(matches(R"({"a": {"$like_word": "tent poles"}})", "Tent poles"));
  EXPECT_TRUE(ParseFilter(ParseJson(R"({"a": {"$like": "b*"}})")).Matches({{"a", JsonArray{"a", "bb"}}}));
  EXPECT_FALSE(ParseFilter(ParseJson(R"({"a": {"$like": "*"}})")).Matches({{"a", 5}}));
  EXPECT_THROW(ParseFilter(ParseJson(R"({"a": {"$like": 5}})")), Error);
  EXPECT_THROW(ParseFilter(JsonObject{{"a", JsonObject{{"$like", std::string(257, 'x')}}}}), Error);
}

TEST(Filter, SaysWhereItIsWrong) {
  EXPECT_EQ(FieldOfError("[]"), "filter");
  EXPECT_EQ(FieldOfError(R"({"a": [1]})"), "filter.a");
  EXPECT_EQ(FieldOfError(R"({"$or": [{"a": 1}, {"year": {"$gte": true}}]})"), "filter.$or[1].year.$gte");
  EXPECT_EQ(FieldOfError(R"({"$or": []})"), "filter.$or");
  EXPECT_EQ(FieldOfError(R"({"a": {"$in": [[1]]}})"), "filter.a.$in[0]");
  EXPECT_EQ(FieldOfError(R"({"a": {}})"), "filter.a");
  EXPECT_EQ(FieldOfError(R"({"$gt": 3})"), "filter.$gt");
  EXPECT_EQ(FieldOfError(R"({"a": {"$within": {"lat": 91, "lon": 0, "metres": 1}}})"), "filter.a.$within");
  try {
    ParseFilter(ParseJson(R"({"a": {"$exits": true}})"));
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(e.message().find("$exists'"), std::string::npos) << e.message();
  }
}

TEST(Filter, LimitsDepthConditionsAndLists) {
  std::string deep = R"({"a": 1})";
  for (int i = 0; i < 14; ++i) deep = R"({"$not": )" + deep + "}";
  EXPECT_NO_THROW(ParseFilter(ParseJson(deep)));
  EXPECT_THROW(ParseFilter(ParseJson(R"({"$not": {"$not": )" + deep + "}}")), Error);
  JsonArray many;
  for (int i = 0; i < 999; ++i) many.push_back(JsonObject{{"a", i}});
  EXPECT_NO_THROW(ParseFilter(JsonObject{{"$or", many}}));
  many.push_back(JsonObject{{"a", 1}});
  EXPECT_THROW(ParseFilter(JsonObject{{"$or", many}}), Error);
  EXPECT_THROW(ParseFilter(JsonObject{{"a", JsonObject{{"$in", JsonArray(10'001, Json(1))}}}}), Error);
}

TEST(Filter, ReadsBackWhatItWrites) {
  for (const auto* text : {"{}", R"({"a": 1})", R"({"a": {"$in": [1, "x", true]}, "b": {"$exists": false}})", R"({"$or": [{"a": {"$gt": 1, "$lte": 5}}, {"$not": {"b": "x"}}]})",
                           R"({"p": {"$within": {"lat": 1, "lon": 2, "metres": 3}}})", R"({"a": {"$like": "x*"}, "b": {"$like_word": "?"}})"}) {
    const auto once = FilterJson(ParseFilter(ParseJson(text)));
    EXPECT_EQ(once, FilterJson(ParseFilter(once))) << text;
  }
  EXPECT_FALSE(ParseFilter(FilterJson(Filter{.op = Filter::Op::kOr})).Matches({}));
}

}  // namespace
}  // namespace tenfold::retrieval
