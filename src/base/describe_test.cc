#include "base/describe.h"

#include <gtest/gtest.h>

namespace tenfold {
namespace {

struct Leaf {
  std::string price;
  std::vector<int> sizes;
};
TENFOLD_DESCRIBE(Leaf, (price, Length{0, 8}), (sizes, Length{0, 3}))

struct Request {
  std::string query;
  std::uint32_t k = 10;
  std::optional<Leaf> filter;
  std::map<std::string, double> weights;
};
TENFOLD_DESCRIBE(Request, (query, Required{}, Length{1, 16}, Doc{"what to look for"}), (k, Range{1, 1000}), (filter), (weights))

std::string ParamOf(std::string_view text) {
  try {
    FromJson<Request>(ParseJson(text));
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kInvalidArgument);
    return e.param() + "|" + e.message();
  }
  return "accepted";
}

TEST(Describe, ReadsBackWhatItWrote) {
  Request request{"tents", 7, Leaf{"12", {1, 2}}, {{"bm25", 0.5}}};
  const auto again = FromJson<Request>(ToJson(request));
  EXPECT_EQ(again.query, "tents");
  EXPECT_EQ(again.k, 7u);
  EXPECT_EQ(again.filter->sizes, (std::vector<int>{1, 2}));
  EXPECT_EQ(again.weights.at("bm25"), 0.5);
}

TEST(Describe, NamesTheFieldPathOfWhatIsWrong) {
  EXPECT_EQ(ParamOf(R"({"query":"a","filter":{"pricee":"1"}})"), "filter.pricee|filter.pricee: unknown field 'pricee', did you mean 'price'");
  EXPECT_TRUE(ParamOf(R"({"query":"a","filter":{"sizes":[1,"x"]}})").starts_with("filter.sizes[1]|"));
  EXPECT_TRUE(ParamOf(R"({"k":3})").starts_with("query|query: is required"));
  EXPECT_TRUE(ParamOf(R"({"query":"a","k":0})").starts_with("k|k: is 0, must be 1 to 1000"));
  EXPECT_TRUE(ParamOf(R"({"query":""})").starts_with("query|"));
  EXPECT_TRUE(ParamOf(R"({"query":"a","k":4294967296})").starts_with("k|"));
  EXPECT_TRUE(ParamOf(R"({"query":"a","k":-1})").starts_with("k|"));
  EXPECT_TRUE(ParamOf(R"([])").starts_with("|the body"));
}

TEST(Describe, MakesASchema) {
  const auto text = ToText(SchemaOf<Request>());
  EXPECT_NE(text.find(R"("query":{"type":"string","minLength":1,"maxLength":16,"description":"what to look for"})"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("required":["query"])"), std::string::npos);
}

TEST(Json, RefusesDeepNestingAndBadText) {
  EXPECT_THROW(ParseJson(std::string(5000, '[')), Error);
  EXPECT_THROW(ParseJson("{\"a\":\"\xff\"}"), Error);
  EXPECT_THROW(ParseJson("{} x"), Error);
  EXPECT_THROW(ParseJson(""), Error);
  EXPECT_FALSE(IsUtf8("\xed\xa0\x80"));
  EXPECT_FALSE(IsUtf8("\xc0\x80"));
  EXPECT_TRUE(IsUtf8("Zürich \xf0\x9f\x8f\x95"));
}

}  // namespace
}  // namespace tenfold
