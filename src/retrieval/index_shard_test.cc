#include "retrieval/index_shard.h"

#include <gtest/gtest.h>

#include <random>

#include "retrieval/metadata_columns.h"

namespace tenfold::retrieval {
namespace {

Principal ReaderOf(std::vector<std::string> labels) {
  Principal reader;
  reader.labels = std::move(labels);
  return reader;
}

/// Metadata and filters over few keys and values, so that they meet.
class Inventor {
 public:
  explicit Inventor(unsigned seed) : random_(seed) {}
  std::size_t Below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }
  Json Value() {
    static const Json kValues[] = {Json("a"), Json("b"), Json("bb"), Json("5"), Json(""), Json("b*"), Json("?"), Json(5), Json(5.5), Json(-1), Json(0), Json(true), Json(false)};
    return kValues[Below(std::size(kValues))];
  }
  std::string Key() { return std::string(1, static_cast<char>('p' + Below(4))); }
  Json Metadata() {
    switch (Below(6)) {
      case 0: {
        JsonArray list;
        for (auto n = Below(4); n > 0; --n) list.emplace_back(boost::json::string(Below(2) ? "a" : "bb"));
        return list;
      }
      case 1: return JsonObject{{"lat", static_cast<double>(Below(5)) * 40 - 80}, {"lon", static_cast<double>(Below(5)) * 80 - 160}};
      default: return Value();
    }
  }
  JsonObject Record() {
    JsonObject out;
    for (auto n = Below(5); n > 0; --n) out[Key()] = Metadata();
    return out;
  }
  Filter Condition(int depth = 3) {
    using Op = Filter::Op;
    if (depth > 0 && Below(2)) {
      Filter out{.op = std::array{Op::kAnd, Op::kOr, Op::kNot}[Below(3)]};
      for (auto n = out.op == Op::kNot ? 1 : Below(4); n > 0; --n) out.parts.push_back(Condition(depth - 1));
      return out;
    }
    Filter out{.op = std::array{Op::kEqual, Op::kNotEqual, Op::kLess, Op::kLessOrEqual, Op::kGreater, Op::kGreaterOrEqual, Op::kIn, Op::kNotIn, Op::kExists, Op::kWithin, Op::kLike, Op::kLikeWord}[Below(12)], .field = Key()};
    if (out.op == Op::kExists) out.values = {Json(Below(2) == 0)};
    else if (out.op == Op::kWithin) out.values = {Json(static_cast<double>(Below(100)) - 50), Json(static_cast<double>(Below(300)) - 150), Json(static_cast<double>(Below(9'000'000)))};
    else
      for (auto n = out.op == Op::kIn || out.op == Op::kNotIn ? Below(4) : 1; n > 0; --n) out.values.push_back(Value());
    return out;
  }

 private:
  std::mt19937 random_;
};

TEST(MetadataColumns, SelectsJustWhatTheFilterMatches) {
  Inventor invent(7);
  MetadataColumns columns;
  std::map<std::uint32_t, JsonObject> model;
  Bitmap present;
  std::size_t selected = 0, passed_over = 0;
  for (int step = 0; step < 3000; ++step) {
    const auto row = static_cast<std::uint32_t>(invent.Below(300));
    if (invent.Below(3) == 0) {
      columns.Remove(row);
      present.Clear(row);
      model.erase(row);
    } else {
      model[row] = invent.Record();
      columns.Put(row, model[row]);
      present.Set(row);
    }
    if (step % 10) continue;
    const auto filter = invent.Condition();
    const auto rows = columns.Select(filter, present);
    for (const auto& [one, metadata] : model) {
      ASSERT_EQ(rows.Test(one), filter.Matches(metadata)) << ToText(FilterJson(filter)) << " of " << ToText(metadata);
      ++(rows.Test(one) ? selected : passed_over);
    }
    rows.ForEach([&](std::uint32_t one) { ASSERT_TRUE(model.contains(one)); });
  }
  EXPECT_GT(selected, 1000u);
  EXPECT_GT(passed_over, 1000u);
}

TEST(IndexShard, SaysWhichFieldsNothingThatMayBeReadHas) {
  IndexShard shard(0, Metric::kCosine);
  shard.Put({.id = "a", .access = "public", .text = "tent", .metadata = {{"colour", "red"}}});
  shard.Put({.id = "b", .access = "staff", .text = "tent", .metadata = {{"margin", 3}}});
  const auto ask = [&](std::vector<std::string> labels, std::string_view filter, std::vector<std::string> facets = {}) {
    IndexQuery query{.text = "tent", .filter = ParseFilter(ParseJson(filter))};
    query.facets = std::move(facets);
    return shard.Search(ReaderOf(std::move(labels)), query).notice;
  };
  EXPECT_EQ(ask({"public"}, R"({"colour": "red"})"), "");
  EXPECT_EQ(ask({"public"}, R"({"colour": "blue"})"), "");
  EXPECT_EQ(ask({"public"}, R"({"$or": [{"colour": "red"}, {"color": "red"}]})"), "nothing that may be read here has a field 'color' (filter)");
  EXPECT_EQ(ask({"public"}, R"({"color": {"$exists": false}})"), "");
  EXPECT_EQ(ask({"public"}, "{}", {"colour", "size"}), "nothing that may be read here has a field 'size' (facet)");
  // What others may read is as if it were not there.
  EXPECT_EQ(ask({"public"}, R"({"margin": 3})"), "nothing that may be read here has a field 'margin' (filter)");
  EXPECT_EQ(ask({"staff"}, R"({"margin": 3})"), "");
}

TEST(MetadataColumns, CountsValuesOfWhatIsAllowed) {
  MetadataColumns columns;
  Bitmap allowed;
  for (std::uint32_t row = 0; row < 10; ++row) {
    columns.Put(row, {{"colour", row < 6 ? "red" : "blue"}, {"tags", JsonArray{"x", "y", "x"}}});
    if (row > 2) allowed.Set(row);
  }
  const auto colours = columns.Count("colour", allowed, 10);
  ASSERT_EQ(colours.size(), 2u);
  EXPECT_EQ(colours[0].value, "blue");
  EXPECT_EQ(colours[0].count, 4);
  EXPECT_EQ(colours[1].count, 3);
  EXPECT_EQ(columns.Count("tags", allowed, 1).size(), 1u);
  EXPECT_EQ(columns.Count("tags", allowed, 9)[0].count, 7);
  EXPECT_TRUE(columns.Count("unknown", allowed, 9).empty());
  for (std::uint32_t row = 0; row < 10; ++row) columns.Remove(row);
  EXPECT_TRUE(columns.Count("colour", allowed, 10).empty());
}

TEST(RowSet, HoldsTheSameRowsAsAListAndAsABitmap) {
  std::mt19937 random(3);
  RowSet set;
  std::set<std::uint32_t> model;
  for (int step = 0; step < 20'000; ++step) {
    const auto row = static_cast<std::uint32_t>(random() % 1000);
    if (random() % 4) EXPECT_EQ(set.Add(row), model.insert(row).second);
    else set.Remove(row), model.erase(row);
    if (step % 500) continue;
    std::vector<std::uint32_t> rows;
    set.ForEach([&](std::uint32_t one) { rows.push_back(one); });
    ASSERT_EQ(rows, std::vector<std::uint32_t>(model.begin(), model.end()));
    ASSERT_EQ(set.size(), model.size());
    Bitmap all;
    set.AddTo(all);
    EXPECT_EQ(all.count(), model.size());
    EXPECT_EQ(set.CountIn(all), model.size());
  }
}

TEST(IndexShard, GivesAsManyAsAreAllowedAtAnySelectivity) {
  IndexShard shard(8, Metric::kCosine);
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  const auto vector = [&] {
    std::vector<float> out(8);
    for (auto& x : out) x = normal(random);
    return out;
  };
  for (int i = 0; i < 2000; ++i) {
    IndexRecord record{.id = "r" + std::to_string(i), .group = "g" + std::to_string(i / 4), .access = i % 100 == 0 ? "few" : i % 10 == 0 ? "some,more" : "public", .text = "tent number " + std::to_string(i), .vector = vector()};
    record.metadata = {{"number", i}};
    shard.Put(record);
  }
  for (const auto& [labels, allowed] : std::vector<std::pair<std::vector<std::string>, std::size_t>>{{{"few"}, 20}, {{"more"}, 180}, {{"public"}, 1800}, {{"*"}, 2000}, {{"nothing"}, 0}, {{}, 0}}) {
    for (const std::size_t k : {std::size_t{1}, std::size_t{10}, std::size_t{500}}) {
      const auto expected = std::min(k, allowed);
      EXPECT_EQ(shard.Search(ReaderOf(labels), {.text = "tent", .k = k}).hits.size(), expected);
      EXPECT_EQ(shard.Search(ReaderOf(labels), {.vector = vector(), .k = k}).hits.size(), expected);
      EXPECT_EQ(shard.Search(ReaderOf(labels), {.text = "tent", .vector = vector(), .k = k}).hits.size(), expected);
      EXPECT_EQ(shard.Search(ReaderOf(labels), {.k = k}).hits.size(), expected);
    }
  }
  IndexQuery query{.vector = vector(), .k = 10};
  query.filter = Filter{.op = Filter::Op::kLess, .field = "number", .values = {Json(7)}};
  EXPECT_EQ(shard.Search(ReaderOf({"*"}), query).hits.size(), 7u);
  query.groups = {"g1", "g77", "unknown"};
  EXPECT_EQ(shard.Search(ReaderOf({"*"}), query).hits.size(), 3u);
  query.filter = {};
  EXPECT_EQ(shard.Search(ReaderOf({"*"}), query).hits.size(), 8u);
  query.groups.reset();
  query.per_group = 1;
  query.k = 500;
  const auto spread = shard.Search(ReaderOf({"*"}), query);
  std::set<std::string> groups;
  for (const auto& hit : spread.hits) groups.insert(hit.group);
  EXPECT_EQ(spread.hits.size(), 500u);  // of 500 groups each once, however deep the lists must go for it
  EXPECT_EQ(groups.size(), 500u);
}

TEST(IndexShard, PutsEqualScoresInOrderOfId) {
  IndexShard shard(2, Metric::kCosine);
  for (const int i : {5, 3, 9, 1, 7, 0, 2, 8, 6, 4}) shard.Put({.id = std::to_string(i), .access = "public", .text = "same words", .vector = {1, 1}});
  for (const auto& query : {IndexQuery{.text = "words", .k = 3}, IndexQuery{.vector = {1, 0}, .k = 3}, IndexQuery{.text = "words", .vector = {1, 0}, .k = 3}, IndexQuery{.k = 3}}) {
    const auto hits = shard.Search(ReaderOf({"public"}), query).hits;
    ASSERT_EQ(hits.size(), 3u);
    EXPECT_EQ(hits[0].id + hits[1].id + hits[2].id, "012");
  }
  EXPECT_EQ(shard.Search(ReaderOf({"public"}), {.vector = {1, 0}, .k = 3, .offset = 4}).hits.at(0).id, "4");
}

TEST(IndexShard, ForgetsWhatIsRemovedAndFollowsReaders) {
  IndexShard shard(2, Metric::kCosine);
  shard.Put({.id = "a", .group = "d", .access = "public", .text = "stove", .vector = {1, 0}, .metadata = {{"kind", "x"}}});
  shard.Put({.id = "b", .group = "d", .access = "public", .text = "stove"});
  EXPECT_EQ(shard.records_without_vector(), 1u);
  shard.SetGroupAccess("d", "internal");
  EXPECT_TRUE(shard.Search(ReaderOf({"public"}), {.text = "stove"}).hits.empty());
  EXPECT_EQ(shard.Search(ReaderOf({"internal"}), {.text = "stove"}).hits.size(), 2u);
  EXPECT_TRUE(shard.SetAccess("a", "public"));
  EXPECT_EQ(shard.Search(ReaderOf({"public"}), {.text = "stove"}).hits.size(), 1u);
  IndexQuery of_y{.filter = {.op = Filter::Op::kEqual, .field = "kind", .values = {Json("y")}}};
  EXPECT_TRUE(shard.Search(ReaderOf({"*"}), of_y).hits.empty());
  shard.SetGroupMetadata("d", {{"kind", "y"}});
  EXPECT_EQ(shard.Search(ReaderOf({"*"}), of_y).hits.size(), 2u);
  EXPECT_TRUE(shard.Remove("a"));
  EXPECT_FALSE(shard.Remove("a"));
  EXPECT_FALSE(shard.SetAccess("a", "public"));
  EXPECT_TRUE(shard.Search(ReaderOf({"*"}), {.vector = {1, 0}}).hits.empty());
  shard.Put({.id = "b", .access = "public", .text = "lamp"});  // replaced, and in no group now
  EXPECT_TRUE(shard.Search(ReaderOf({"*"}), {.text = "stove"}).hits.empty());
  shard.SetGroupAccess("d", "");
  EXPECT_EQ(shard.Search(ReaderOf({"public"}), {.text = "lamp"}).hits.size(), 1u);
  EXPECT_EQ(shard.records(), 1u);
}

}  // namespace
}  // namespace tenfold::retrieval
