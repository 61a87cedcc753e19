// The contract of SearchIndex, the same for every back end, against real servers. What a back end adds is one line of the list at the end and a fixture.
#include "retrieval/search_index_contract.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <thread>

#include "base/testing.h"

namespace tenfold::retrieval {
namespace {

using namespace std::chrono_literals;
using Kind = IndexChange::Kind;

struct Backend {
  const char* name;
  std::unique_ptr<IndexFixture> (*make)(std::string& why_not);
};

Context Reader(std::vector<std::string> labels, std::string user = {}) {
  Principal principal;
  principal.user = std::move(user);
  principal.labels = std::move(labels);
  Context::Parts parts;
  parts.principal = std::make_shared<const Principal>(std::move(principal));
  return Context(std::move(parts)).WithTimeout(60s);
}
Context Everyone() { return Context::System("test").WithTimeout(60s); }

IndexRecord Record(std::string id, std::vector<float> vector, std::string text = "words", std::string access = "public", JsonObject metadata = {}, std::string group = {}) {
  return {.id = std::move(id), .group = std::move(group), .access = std::move(access), .title = {}, .heading = {}, .text = std::move(text), .vector = std::move(vector), .metadata = std::move(metadata)};
}

std::vector<std::string> Ids(const IndexResult& result) {
  std::vector<std::string> out;
  for (const auto& hit : result.hits) out.push_back(hit.id);
  return out;
}
using Texts = std::vector<std::string>;

double ScoreOf(Metric metric, std::span<const float> a, std::span<const float> b) {
  double dot = 0, aa = 0, bb = 0, apart = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    dot += x * y, aa += x * x, bb += y * y, apart += (x - y) * (x - y);
  }
  return metric == Metric::kCosine ? dot / std::sqrt(aa * bb) : metric == Metric::kDot ? dot : -apart;
}

std::vector<float> RandomVector(std::mt19937& random, std::size_t dim) {
  std::vector<float> out(dim);
  for (auto& x : out) x = static_cast<float>(std::uniform_int_distribution<int>(-1000, 1000)(random)) / 1000;
  out[0] += 0.0005f;  // never all zero
  return out;
}

class SearchIndexContract : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    std::string why_not;
    fixture_ = GetParam().make(why_not);
    if (!fixture_) GTEST_SKIP() << why_not;
    traits_ = fixture_->traits();
  }
  std::shared_ptr<SearchIndex> Open(std::size_t dim = 3, Metric metric = Metric::kCosine) { return fixture_->Open(dim, metric); }
  static void Put(SearchIndex& index, const std::vector<IndexRecord>& records, std::string_view name_space = "n") {
    std::vector<IndexChange> changes;
    for (const auto& record : records) changes.push_back({Kind::kPut, record});
    index.Write(Everyone(), name_space, changes);
  }
  static void Change(SearchIndex& index, Kind kind, IndexRecord record, std::string_view name_space = "n") {
    const IndexChange change{kind, std::move(record)};
    index.Write(Everyone(), name_space, {&change, 1});
  }
  std::unique_ptr<IndexFixture> fixture_;
  IndexTraits traits_;
};

TEST_P(SearchIndexContract, HoldsWhatWasPutAlsoAfterReopening) {
  auto index = Open();
  auto whole = Record("a", {1, 0.25, 0}, "the text \"quoted\" \\ and\nlines, ünïcode 漢字", "group:hr,public", {{"genre", "x"}, {"year", 2020}, {"price", 1.5}, {"open", true}, {"tags", JsonArray{"p", "q"}}}, "document");
  whole.title = "A title";
  whole.heading = "A > heading";
  if (traits_.places) whole.metadata["place"] = JsonObject{{"lat", 48.5}, {"lon", 9.25}};
  Put(*index, {whole, Record("b", {0, 1, 0})});
  for (int round = 0; round < 2; ++round) {
    const auto found = index->Fetch(Everyone(), "n", Texts{"b", "missing", "a"});
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0].id, "b");
    EXPECT_EQ(found[1].id, "a");
    EXPECT_EQ(found[1].group, whole.group);
    EXPECT_EQ(found[1].title, whole.title);
    EXPECT_EQ(found[1].heading, whole.heading);
    EXPECT_EQ(found[1].text, whole.text);
    ASSERT_EQ(found[1].vector.size(), 3u);
    // A cosine index may keep directions alone.
    EXPECT_NEAR(ScoreOf(Metric::kCosine, found[1].vector, whole.vector), 1, 1e-5);
    EXPECT_TRUE(Filter{}.Matches(found[1].metadata));
    EXPECT_EQ(found[1].metadata.size(), whole.metadata.size());
    for (const auto& [key, value] : whole.metadata) {
      ASSERT_TRUE(found[1].metadata.contains(key)) << key;
      const auto& kept = found[1].metadata.at(key);
      if (value.is_number()) EXPECT_DOUBLE_EQ(kept.to_number<double>(), value.to_number<double>()) << key;
      else EXPECT_EQ(ToText(kept), ToText(value)) << key;
    }
    EXPECT_TRUE(Reader({"public"}).principal().MayRead(found[1].access));
    EXPECT_TRUE(Reader({"group:hr"}).principal().MayRead(found[1].access));
    EXPECT_FALSE(Reader({"group"}).principal().MayRead(found[1].access));
    index = Open();
  }
}

TEST_P(SearchIndexContract, ReplacesAndDeletesAtOnce) {
  const auto index = Open();
  const IndexQuery near{.vector = {1, 0, 0}, .k = 10};
  Put(*index, {Record("a", {1, 0, 0}), Record("b", {0, 1, 0})});
  EXPECT_EQ(Ids(index->Search(Everyone(), "n", near)), (Texts{"a", "b"}));
  Put(*index, {Record("a", {0, 0, 1}, "other", "public", {{"new", 1}}), Record("c", {0.9f, 0.1f, 0})});
  EXPECT_EQ(Ids(index->Search(Everyone(), "n", {.vector = {0, 0, 1}, .k = 1})), Texts{"a"});
  EXPECT_EQ(Ids(index->Search(Everyone(), "n", near)).front(), "c");
  EXPECT_EQ(index->Fetch(Everyone(), "n", Texts{"a"}).at(0).text, "other");
  Change(*index, Kind::kDelete, {.id = "c"});
  Change(*index, Kind::kDelete, {.id = "never was"});
  EXPECT_EQ(Ids(index->Search(Everyone(), "n", {.k = 10})), (Texts{"a", "b"}));
  EXPECT_TRUE(index->Fetch(Everyone(), "n", Texts{"c"}).empty());
  EXPECT_EQ(index->List(Everyone(), "n", "", "", 10), (Texts{"a", "b"}));
}

TEST_P(SearchIndexContract, MergesAPartIntoARecordThatIsThere) {
  const auto index = Open();
  Put(*index, {Record("a", {1, 0, 0}, "kept", "public", {{"year", 2020}, {"genre", "x"}})});
  Change(*index, Kind::kMerge, {.id = "a", .metadata = {{"year", 2021}, {"new", true}}});
  Change(*index, Kind::kMerge, {.id = "never was", .vector = {1, 0, 0}, .metadata = {{"year", 1}}});
  auto found = index->Fetch(Everyone(), "n", Texts{"a"}).at(0);
  EXPECT_EQ(found.text, "kept");
  EXPECT_EQ(found.metadata.at("year").to_number<double>(), 2021);
  EXPECT_EQ(found.metadata.at("genre"), "x");
  EXPECT_EQ(found.metadata.at("new"), true);
  EXPECT_NEAR(ScoreOf(Metric::kCosine, found.vector, std::vector<float>{1, 0, 0}), 1, 1e-6);
  Change(*index, Kind::kMerge, {.id = "a", .vector = {0, 1, 0}});
  found = index->Fetch(Everyone(), "n", Texts{"a"}).at(0);
  EXPECT_NEAR(ScoreOf(Metric::kCosine, found.vector, std::vector<float>{0, 1, 0}), 1, 1e-6);
  EXPECT_EQ(found.metadata.size(), 3u);
  EXPECT_EQ(index->List(Everyone(), "n", "", "", 10), Texts{"a"});
}

TEST_P(SearchIndexContract, AppliesABatchInItsOrder) {
  const auto index = Open();
  const std::vector<IndexChange> changes{{Kind::kPut, Record("a", {1, 0, 0}, "first")}, {Kind::kDelete, {.id = "a"}}, {Kind::kPut, Record("a", {0, 1, 0}, "second", "public", {{"v", 1}})}, {Kind::kPut, Record("b", {0, 0, 1})},
                                         {Kind::kSetMetadata, {.id = "a", .metadata = {{"v", 2}}}}, {Kind::kSetAccess, {.id = "a", .access = "group:it"}}, {Kind::kDelete, {.id = "b"}}};
  index->Write(Everyone(), "n", changes);
  EXPECT_EQ(index->List(Everyone(), "n", "", "", 10), Texts{"a"});
  const auto a = index->Fetch(Everyone(), "n", Texts{"a"}).at(0);
  EXPECT_EQ(a.text, "second");
  EXPECT_EQ(a.metadata.at("v").to_number<int>(), 2);
  EXPECT_EQ(a.access, "group:it");
  index->Write(Everyone(), "n", {});
}

TEST_P(SearchIndexContract, TakesLargeBatchesAndTheLastOfTwoPuts) {
  const auto index = Open();
  std::vector<IndexRecord> records;
  for (int i = 0; i < 1200; ++i) records.push_back(Record("r" + std::to_string(1000 + i), {1, static_cast<float>(i), 0}, i % 2 ? "" : "a \"quoted\" {text}, \\ NULL"));
  records.insert(records.begin() + 700, Record("r1000", {1, 0, 1}, "the last one wins"));
  records.insert(records.begin() + 701, Record("r1000", {1, 0, 1}, "NULL"));
  Put(*index, records);
  EXPECT_EQ(index->List(Everyone(), "n", "", "", 10'000).size(), 1200u);
  const auto found = index->Fetch(Everyone(), "n", Texts{"r1000", "r1001", "r1002"});
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].text, "NULL");
  EXPECT_EQ(found[1].text, "");
  EXPECT_EQ(found[2].text, "a \"quoted\" {text}, \\ NULL");
}

TEST_P(SearchIndexContract, ChangesReadersAndMetadataAlone) {
  const auto index = Open();
  Put(*index, {Record("a", {1, 0, 0}, "text", "public", {{"x", 1}, {"gone", "soon"}}, "g"), Record("b", {0, 1, 0})});
  Change(*index, Kind::kSetAccess, {.id = "a", .access = "group:hr"});
  const IndexQuery near{.vector = {1, 0, 0}, .k = 10};
  EXPECT_EQ(Ids(index->Search(Reader({"public"}), "n", near)), Texts{"b"});
  EXPECT_EQ(Ids(index->Search(Reader({"group:hr"}), "n", near)), Texts{"a"});
  Change(*index, Kind::kSetMetadata, {.id = "a", .metadata = {{"x", 2}}});
  const auto a = index->Fetch(Everyone(), "n", Texts{"a"}).at(0);
  EXPECT_EQ(a.text, "text");
  EXPECT_EQ(a.group, "g");
  EXPECT_EQ(a.access, "group:hr");
  EXPECT_EQ(a.vector.size(), 3u);
  EXPECT_FALSE(a.metadata.contains("gone"));
  auto with = near;
  with.filter = ParseFilter(ParseJson(R"({"x": 2})"));
  EXPECT_EQ(Ids(index->Search(Everyone(), "n", with)), Texts{"a"});
  with.filter = ParseFilter(ParseJson(R"({"gone": {"$exists": true}})"));
  EXPECT_TRUE(index->Search(Everyone(), "n", with).hits.empty());
  Change(*index, Kind::kSetAccess, {.id = "absent", .access = "public"});
  Change(*index, Kind::kSetMetadata, {.id = "absent", .metadata = {{"x", 2}}});
  EXPECT_EQ(index->List(Everyone(), "n", "", "", 10), (Texts{"a", "b"}));
}

TEST_P(SearchIndexContract, FindsTheNearestByEachMetric) {
  constexpr std::size_t kDim = 8, kRecords = 60;
  for (const auto metric : {Metric::kCosine, Metric::kDot, Metric::kEuclidean}) {
    const auto index = Open(kDim, metric);
    EXPECT_EQ(index->dim(), kDim);
    EXPECT_EQ(index->metric(), metric);
    std::mt19937 random(11);
    std::vector<IndexRecord> records;
    for (std::size_t i = 0; i < kRecords; ++i) records.push_back(Record("r" + std::to_string(i), RandomVector(random, kDim)));
    Put(*index, records);
    for (int asked = 0; asked < 8; ++asked) {
      const auto query = RandomVector(random, kDim);
      std::vector<std::pair<double, std::string>> wanted;
      for (const auto& record : records) wanted.emplace_back(-ScoreOf(metric, query, record.vector), record.id);
      std::sort(wanted.begin(), wanted.end());
      const auto found = index->Search(Everyone(), "n", {.vector = query, .k = 12}).hits;
      ASSERT_EQ(found.size(), 12u);
      for (std::size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].id, wanted[i].second);
        EXPECT_NEAR(found[i].score, -wanted[i].first, 1e-4);
        EXPECT_EQ(found[i].vector_score, found[i].score);
      }
      EXPECT_EQ(index->Search(Everyone(), "n", {.vector = query, .k = 1000}).hits.size(), kRecords);
    }
  }
}

TEST_P(SearchIndexContract, FindsByWordsOrRefuses) {
  const auto index = Open();
  EXPECT_EQ(index->has_words(), traits_.words);
  auto titled = Record("titled", {1, 1, 0}, "nothing here");
  titled.title = "Battery";
  Put(*index, {Record("one", {1, 0, 0}, "A battery charges quickly."), Record("two", {0, 1, 0}, "The battery of the lamp: a battery, batteries."), Record("three", {0, 0, 1}, "A lamp stands on the table."), titled});
  if (!traits_.words) {
    EXPECT_EQ(CodeOf([&] { index->Search(Everyone(), "n", {.text = "battery"}); }), Code::kUnimplemented);
    return;
  }
  auto found = Ids(index->Search(Everyone(), "n", {.text = "batteries"}));
  EXPECT_EQ(std::set<std::string>(found.begin(), found.end()), (std::set<std::string>{"one", "two", "titled"}));
  const auto both = index->Search(Everyone(), "n", {.text = "lamp battery", .k = 2});
  ASSERT_EQ(both.hits.size(), 2u);
  EXPECT_EQ(both.hits[0].id, "two");
  EXPECT_GT(both.hits[0].bm25, 0);
  EXPECT_GE(both.hits[0].score, both.hits[1].score);
  EXPECT_TRUE(index->Search(Everyone(), "n", {.text = "giraffe"}).hits.empty());
  // Nothing in a query is an operator of somebody's query language.
  for (const char* hostile : {"'", "\"", "\\", "lamp' | !(", "lamp & <-> :*", "{lamp}", "lamp\\", "a:b:c", "((", "* ? % _", "lamp\" OR 1=1 --", "\xff\xfe lamp"}) {
    SCOPED_TRACE(hostile);
    EXPECT_LE(index->Search(Everyone(), "n", {.text = hostile}).hits.size(), 2u);
  }
}

TEST_P(SearchIndexContract, FusesWordsAndVectors) {
  if (!traits_.words) {
    const auto index = Open();
    Put(*index, {Record("a", {1, 0, 0}, "battery"), Record("b", {0, 1, 0}, "lamp")});
    EXPECT_EQ(Ids(index->Search(Everyone(), "n", {.text = "lamp", .vector = {1, 0.1f, 0}})), (Texts{"a", "b"}));  // by vectors alone
    return;
  }
  const auto index = Open();
  Put(*index, {Record("words", {0, 0, 1}, "a long text that says battery once among many other words of a lamp, a table and a chair"), Record("both", {0.9f, 0.1f, 0}, "a battery"), Record("vector", {1, 0, 0}, "something else"), Record("neither", {0, 1, -1}, "a lamp")});
  for (const auto fusion : {Fusion::kReciprocalRank, Fusion::kWeightedSum}) {
    IndexQuery query{.text = "battery", .vector = {1, 0, 0}, .k = 10, .fusion = fusion, .explain = true};
    const auto found = index->Search(Everyone(), "n", query);
    ASSERT_EQ(found.hits.size(), 4u);  // with a vector everything that is allowed is in some place
    EXPECT_EQ(found.hits[0].id, "both");
    EXPECT_FALSE(found.explanations.empty());
    query.vector_weight = 1;
    EXPECT_EQ(index->Search(Everyone(), "n", query).hits[0].id, "vector");
  }
}

TEST_P(SearchIndexContract, SelectsJustWhatAFilterMatches) {
  const auto index = Open();
  std::mt19937 random(5);
  const auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  const Json scalars[] = {Json("a"), Json("b"), Json("bb"), Json("5"), Json("B"), Json(5), Json(5.5), Json(-1), Json(0), Json(true), Json(false)};
  const auto key = [&] { return std::string(1, static_cast<char>('p' + below(3))); };
  std::vector<IndexRecord> records;
  for (int i = 0; i < 60; ++i) {
    auto record = Record("r" + std::to_string(100 + i), RandomVector(random, 3));
    for (auto n = below(4); n > 0; --n) {
      auto& value = record.metadata[key()];
      if (below(4) == 0) value = below(3) ? JsonArray{below(2) ? "a" : "c", "bb"} : JsonArray{"b"};
      else if (traits_.places && below(6) == 0) value = JsonObject{{"lat", static_cast<double>(below(5)) * 40 - 80}, {"lon", static_cast<double>(below(5)) * 80 - 160}};
      else value = scalars[below(std::size(scalars))];
    }
    records.push_back(std::move(record));
  }
  Put(*index, records);
  using Op = Filter::Op;
  const auto condition = [&](Op op) {
    Filter out{.op = op, .field = below(12) ? key() : "unknown"};
    if (op == Op::kExists) out.values = {Json(below(2) == 0)};
    else if (op == Op::kWithin) out.values = {Json(static_cast<double>(below(100)) - 50), Json(static_cast<double>(below(300)) - 150), Json(static_cast<double>(below(9'000'000)))};
    else
      for (auto n = op == Op::kIn || op == Op::kNotIn ? 1 + below(3) : 1; n > 0; --n) out.values.push_back(scalars[below(std::size(scalars))]);
    return out;
  };
  const Op ops[] = {Op::kEqual, Op::kNotEqual, Op::kLess, Op::kLessOrEqual, Op::kGreater, Op::kGreaterOrEqual, Op::kIn, Op::kNotIn, Op::kExists, Op::kWithin};
  const std::function<Filter(int)> tree = [&](int depth) {
    if (depth == 0 || below(3) == 0) return condition(ops[below(std::size(ops))]);
    Filter out{.op = std::array{Op::kAnd, Op::kOr, Op::kNot}[below(3)]};
    for (auto n = out.op == Op::kNot ? 1 : 1 + below(3); n > 0; --n) out.parts.push_back(tree(depth - 1));
    return out;
  };
  std::vector<Filter> filters;
  for (const auto op : ops)
    for (int i = 0; i < 12; ++i) {
      filters.push_back(condition(op));
      filters.push_back({.op = Op::kNot, .parts = {condition(op)}});
    }
  for (int i = 0; i < 80; ++i) filters.push_back(tree(3));
  std::set<Op> answered;
  std::size_t refused = 0, selected = 0;
  for (const auto& filter : filters) {
    SCOPED_TRACE(ToText(FilterJson(filter)));
    std::set<std::string> wanted;
    for (const auto& record : records)
      if (filter.Matches(record.metadata)) wanted.insert(record.id);
    try {
      const auto found = Ids(index->Search(Everyone(), "n", {.vector = {1, 0, 0}, .k = 100, .filter = filter}));
      EXPECT_EQ(found.size(), wanted.size());
      EXPECT_EQ(std::set<std::string>(found.begin(), found.end()), wanted);
      selected += wanted.size();
      answered.insert(filter.op);
    } catch (const Error& e) {
      if (e.code() != Code::kUnimplemented || traits_.every_filter) throw;
      ++refused;
    }
  }
  EXPECT_GT(selected, 1000u);
  EXPECT_LT(refused, filters.size() * 2 / 3);
  for (const auto op : ops)
    if (op != Op::kWithin || traits_.places) EXPECT_TRUE(answered.contains(op)) << static_cast<int>(op);
}

TEST_P(SearchIndexContract, ShowsNobodyWhatTheyMayNotRead) {
  const auto index = Open();
  const std::vector<std::string> accesses{"public", "internal", "group:hr,group:it", "user:ana@example.com", "user:ana@example.com,user:bob@example.com", "", "public,internal", "group:h", "group:hr2", "user:", "*"};
  std::vector<IndexRecord> records;
  std::mt19937 random(3);
  for (std::size_t i = 0; i < 40; ++i) records.push_back(Record("r" + std::to_string(100 + i), RandomVector(random, 3), "battery", accesses[i % accesses.size()], {{"even", i % 2 == 0}}));
  Put(*index, records);
  std::vector<std::string> all;
  for (const auto& record : records) all.push_back(record.id);
  for (const auto& reader : {Reader({}), Reader({"public"}), Reader({"internal", "public"}), Reader({"group:hr"}), Reader({"group:hr2"}), Reader({}, "ana@example.com"), Reader({"public"}, "bob@example.com"), Reader({}, ""), Reader({"group:%", "group:h_", "p'ublic"}),
                             Everyone()}) {
    std::vector<std::string> wanted, even;
    for (const auto& record : records)
      if (reader.principal().MayRead(record.access)) {
        wanted.push_back(record.id);
        if (record.metadata.at("even").as_bool()) even.push_back(record.id);
      }
    const auto sorted = [&](const IndexQuery& query) {
      auto out = Ids(index->Search(reader, "n", query));
      std::sort(out.begin(), out.end());
      return out;
    };
    SCOPED_TRACE(reader.principal().user + " " + std::to_string(wanted.size()));
    EXPECT_EQ(sorted({.vector = {1, 0, 0}, .k = 100}), wanted);
    EXPECT_EQ(sorted({.k = 100}), wanted);
    EXPECT_EQ(sorted({.vector = {1, 0, 0}, .k = 100, .filter = ParseFilter(ParseJson(R"({"even": true})"))}), even);
    // Neither a disjunction nor a negation opens another way.
    EXPECT_EQ(sorted({.vector = {1, 0, 0}, .k = 100, .filter = ParseFilter(ParseJson(R"({"$or": [{"even": true}, {"even": false}]})"))}), wanted);
    EXPECT_EQ(sorted({.vector = {1, 0, 0}, .k = 100, .filter = ParseFilter(ParseJson(R"({"$not": {"even": "x"}})"))}), wanted);
    if (traits_.words) {
      EXPECT_EQ(sorted({.text = "battery", .k = 100}), wanted);
      EXPECT_EQ(sorted({.text = "battery", .vector = {1, 0, 0}, .k = 100}), wanted);
    }
    if (traits_.facets) {
      std::int64_t counted = 0;
      auto found = index->Search(reader, "n", {.k = 1, .facets = {"even"}});
      for (const auto& count : found.facets["even"]) counted += count.count;
      EXPECT_EQ(counted, static_cast<std::int64_t>(wanted.size()));
    }
    std::vector<std::string> fetched;
    for (const auto& record : index->Fetch(reader, "n", all)) fetched.push_back(record.id);
    EXPECT_EQ(fetched, wanted);
    EXPECT_EQ(index->List(reader, "n", "", "", 100), wanted);
  }
}

TEST_P(SearchIndexContract, GivesKWheneverKAreAllowed) {
  const auto index = Open(8);
  std::mt19937 random(9);
  std::vector<IndexRecord> records;
  for (int i = 0; i < 300; ++i) records.push_back(Record("r" + std::to_string(i), RandomVector(random, 8), "word", i % 60 ? "internal" : "public", {{"i", i}}));
  Put(*index, records);
  EXPECT_EQ(index->Search(Reader({"public"}), "n", {.vector = RandomVector(random, 8), .k = 5}).hits.size(), 5u);
  EXPECT_EQ(index->Search(Reader({"public"}), "n", {.vector = RandomVector(random, 8), .k = 10}).hits.size(), 5u);
  EXPECT_EQ(index->Search(Everyone(), "n", {.vector = RandomVector(random, 8), .k = 4, .filter = ParseFilter(ParseJson(R"({"i": {"$in": [7, 77, 177, 277]}})"))}).hits.size(), 4u);
}

TEST_P(SearchIndexContract, NarrowsToGroupsAndLimitsEach) {
  const auto index = Open();
  std::vector<IndexRecord> records;
  // Seventy of one group before all others: a limit per group must look behind them.
  for (int i = 0; i < 70; ++i) records.push_back(Record("big" + std::to_string(100 + i), {1, static_cast<float>(i) / 1000, 0}, "battery", "public", {}, "big"));
  for (int i = 0; i < 3; ++i) records.push_back(Record("small" + std::to_string(i), {0, 1, static_cast<float>(i)}, "battery", "public", {}, "small"));
  records.push_back(Record("alone", {0, 0, -1}));
  Put(*index, records);
  const std::vector<float> near{1, 0, 0};
  EXPECT_EQ(Ids(index->Search(Everyone(), "n", {.vector = near, .groups = {{"small"}}})).size(), 3u);
  EXPECT_EQ(Ids(index->Search(Everyone(), "n", {.vector = near, .k = 100, .groups = {{"small", "big", "no such"}}})).size(), 73u);
  EXPECT_TRUE(index->Search(Everyone(), "n", {.vector = near, .groups = {{"sma", "%", "no such"}}}).hits.empty());
  EXPECT_TRUE(index->Search(Everyone(), "n", {.vector = near, .groups = std::vector<std::string>{}}).hits.empty());
  const auto limited = index->Search(Everyone(), "n", {.vector = near, .k = 5, .per_group = 2}).hits;
  ASSERT_EQ(limited.size(), 5u);
  EXPECT_EQ(limited[0].id, "big100");
  EXPECT_EQ(limited[1].id, "big101");
  EXPECT_EQ(std::count_if(limited.begin(), limited.end(), [](const IndexHit& hit) { return hit.group == "small"; }), 2);
  EXPECT_EQ(std::count_if(limited.begin(), limited.end(), [](const IndexHit& hit) { return hit.group.empty(); }), 1);
  if (traits_.vectorless) EXPECT_EQ(Ids(index->Search(Everyone(), "n", {.k = 10, .per_group = 1})), (Texts{"alone", "big100", "small0"}));
}

TEST_P(SearchIndexContract, PagesWithoutAGapOrARepeat) {
  const auto index = Open(8);
  std::mt19937 random(21);
  std::vector<IndexRecord> records;
  for (int i = 0; i < 45; ++i) records.push_back(Record("r" + std::to_string(100 + i), RandomVector(random, 8), i % 3 ? "battery" : "lamp battery"));
  for (int i = 0; i < 5; ++i) records.push_back(Record("same" + std::to_string(i), {1, 1, 1, 1, 1, 1, 1, 1}, "battery"));
  Put(*index, records);
  std::vector<IndexQuery> queries{{.vector = RandomVector(random, 8)}, {}};
  if (traits_.words) queries.push_back({.text = "lamp battery"});
  for (auto query : queries) {
    query.k = 100;
    const auto whole = Ids(index->Search(Everyone(), "n", query));
    EXPECT_EQ(whole.size(), 50u);
    std::vector<std::string> paged;
    query.k = 7;
    for (query.offset = 0;; query.offset += 7) {
      const auto page = Ids(index->Search(Everyone(), "n", query));
      paged.insert(paged.end(), page.begin(), page.end());
      if (page.size() < 7) break;
    }
    EXPECT_EQ(paged, whole);
  }
}

TEST_P(SearchIndexContract, DiversifiesWhenAsked) {
  const auto index = Open();
  Put(*index, {Record("a", {1, 0, 0}), Record("a again", {0.999f, 0.01f, 0}), Record("b", {0.6f, 0.8f, 0})});
  EXPECT_EQ(Ids(index->Search(Everyone(), "n", {.vector = {1, 0.05f, 0}, .k = 2})), (Texts{"a again", "a"}));
  const auto found = Ids(index->Search(Everyone(), "n", {.vector = {1, 0.05f, 0}, .k = 2, .diversity = 0.9f}));
  EXPECT_EQ(found, (Texts{"a again", "b"}));
}

TEST_P(SearchIndexContract, CountsFacetsOrRefuses) {
  const auto index = Open();
  Put(*index, {Record("a", {1, 0, 0}, "t", "public", {{"kind", "x"}, {"n", 5}}), Record("b", {0, 1, 0}, "t", "public", {{"kind", "x"}, {"tags", JsonArray{"p", "q"}}}), Record("c", {0, 0, 1}, "t", "public", {{"kind", "y"}, {"tags", JsonArray{"q"}}, {"n", 5}}),
               Record("d", {1, 1, 1}, "t", "secret", {{"kind", "z"}})});
  const IndexQuery query{.vector = {1, 0, 0}, .k = 1, .facets = {"kind", "tags", "n", "unknown"}};
  if (!traits_.facets) {
    EXPECT_EQ(CodeOf([&] { index->Search(Everyone(), "n", query); }), Code::kUnimplemented);
    return;
  }
  auto facets = index->Search(Reader({"public"}), "n", query).facets;
  const auto text = [&](const std::string& key) {
    std::string out;
    for (const auto& count : facets[key]) out += ToText(count.value) + "=" + std::to_string(count.count) + " ";
    return out;
  };
  EXPECT_EQ(text("kind"), "\"x\"=2 \"y\"=1 ");
  EXPECT_EQ(text("tags"), "\"q\"=2 \"p\"=1 ");
  ASSERT_EQ(facets["n"].size(), 1u);
  EXPECT_EQ(facets["n"][0].value.to_number<double>(), 5);
  EXPECT_EQ(facets["n"][0].count, 2);
  EXPECT_EQ(text("unknown"), "");
}

TEST_P(SearchIndexContract, KeepsNamespacesApart) {
  const auto index = Open();
  const std::vector<std::string> names{"tenant-a", "tenant-b", "Ten ant/ü'\";--", "*"};
  for (const auto& name : names) Put(*index, {Record("same", {1, 0, 0}, "of " + name), Record("own " + name, {0, 1, 0})}, name);
  Put(*index, {Record("third", {0, 0, 1})}, names[1]);
  for (const auto& name : names) {
    EXPECT_EQ(index->Search(Everyone(), name, {.vector = {1, 0, 0}, .k = 10}).hits.size(), name == names[1] ? 3u : 2u) << name;
    EXPECT_EQ(index->Fetch(Everyone(), name, Texts{"same"}).at(0).text, "of " + name);
  }
  std::map<std::string, std::int64_t> counts;
  for (const auto& one : index->Namespaces(Everyone())) counts[one.name] = one.records;
  EXPECT_EQ(counts, (std::map<std::string, std::int64_t>{{names[0], 2}, {names[1], 3}, {names[2], 2}, {names[3], 2}}));
  index->DeleteNamespace(Everyone(), names[0]);
  index->DeleteNamespace(Everyone(), "never was");
  EXPECT_TRUE(index->Search(Everyone(), names[0], {.vector = {1, 0, 0}, .k = 10}).hits.empty());
  EXPECT_TRUE(index->List(Everyone(), names[0], "", "", 10).empty());
  EXPECT_TRUE(index->Fetch(Everyone(), names[0], Texts{"same"}).empty());
  EXPECT_EQ(index->List(Everyone(), names[1], "", "", 10), (Texts{"own tenant-b", "same", "third"}));
  EXPECT_TRUE(index->Search(Everyone(), "never was", {.vector = {1, 0, 0}}).hits.empty());
  Put(*index, {Record("again", {1, 0, 0})}, names[0]);
  EXPECT_EQ(index->List(Everyone(), names[0], "", "", 10), Texts{"again"});
}

TEST_P(SearchIndexContract, ListsIdsInOrderFromAPlace) {
  const auto index = Open();
  const std::vector<std::string> ids{"A", "a", "a%b", "a*b", "a/1", "a/2", "a/2/x", "a_b", "b'\"\\", "zü", "Ä"};
  std::vector<IndexRecord> records;
  for (const auto& id : ids) records.push_back(Record(id, {1, 0, 0}));
  Put(*index, records);
  auto sorted = ids;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(index->List(Everyone(), "n", "", "", 100), sorted);
  EXPECT_EQ(index->List(Everyone(), "n", "a/", "", 100), (Texts{"a/1", "a/2", "a/2/x"}));
  EXPECT_EQ(index->List(Everyone(), "n", "a/", "a/1", 1), Texts{"a/2"});
  EXPECT_EQ(index->List(Everyone(), "n", "a_", "", 100), Texts{"a_b"});
  EXPECT_EQ(index->List(Everyone(), "n", "a*", "", 100), Texts{"a*b"});
  Texts paged;
  for (std::string after;;) {
    const auto page = index->List(Everyone(), "n", "", after, 3);
    paged.insert(paged.end(), page.begin(), page.end());
    if (page.size() < 3) break;
    after = page.back();
  }
  EXPECT_EQ(paged, sorted);
  for (const auto& id : ids) EXPECT_EQ(index->Fetch(Everyone(), "n", Texts{id}).size(), 1u) << id;
}

TEST_P(SearchIndexContract, KeepsRecordsWithoutAVectorOrRefuses) {
  const auto index = Open();
  if (!traits_.vectorless) {
    EXPECT_EQ(CodeOf([&] { Put(*index, {Record("a", {})}); }), Code::kInvalidArgument);
    return;
  }
  Put(*index, {Record("bare", {}, "battery"), Record("a", {1, 0, 0}, "battery")});
  EXPECT_EQ(Ids(index->Search(Everyone(), "n", {.vector = {1, 0, 0}})), Texts{"a"});
  EXPECT_EQ(index->Search(Everyone(), "n", {.text = "battery"}).hits.size(), 2u);
  EXPECT_EQ(index->Search(Everyone(), "n", {.text = "battery", .vector = {1, 0, 0}}).hits.size(), 2u);
  EXPECT_TRUE(index->Fetch(Everyone(), "n", Texts{"bare"}).at(0).vector.empty());
  // A put is of the whole: a vector that is left out is gone.
  Put(*index, {Record("a", {}, "battery")});
  EXPECT_TRUE(index->Search(Everyone(), "n", {.vector = {1, 0, 0}}).hits.empty());
}

TEST_P(SearchIndexContract, RefusesBadInputAndWritesNothing) {
  const auto index = Open();
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinite = std::numeric_limits<float>::infinity();
  const auto bad = [&](IndexRecord record) {
    return CodeOf([&] { Put(*index, {Record("good", {1, 0, 0}), std::move(record)}); });
  };
  EXPECT_EQ(bad(Record("a", {1, 0})), Code::kInvalidArgument);
  EXPECT_EQ(bad(Record("a", {1, nan, 0})), Code::kInvalidArgument);
  EXPECT_EQ(bad(Record("a", {1, infinite, 0})), Code::kInvalidArgument);
  EXPECT_EQ(bad(Record("a", {0, 0, 0})), Code::kInvalidArgument);
  EXPECT_EQ(bad(Record("", {1, 0, 0})), Code::kInvalidArgument);
  EXPECT_EQ(bad(Record(std::string(513, 'x'), {1, 0, 0})), Code::kInvalidArgument);
  EXPECT_EQ(bad(Record("a", {1, 0, 0}, "t", "public", {{"big", std::string(41 << 10, 'x')}})), Code::kInvalidArgument);
  EXPECT_EQ(bad(Record("a", {1, 0, 0}, "t", "public", {{"deep", JsonObject{{"a", JsonObject{}}}}})), Code::kInvalidArgument);
  EXPECT_EQ(bad(Record("a", {1, 0, 0}, "t", "public", {{"numbers", JsonArray{1, 2}}})), Code::kInvalidArgument);
  EXPECT_TRUE(index->List(Everyone(), "n", "", "", 10).empty());
  Put(*index, {Record(std::string(512, 'x'), {1, 0, 0}, "t", "public", {{"big", std::string(39 << 10, 'x')}})});
  EXPECT_EQ(index->Search(Everyone(), "n", {.vector = {1, 0, 0}}).hits.size(), 1u);
  const auto refused = [&](const IndexQuery& query) { return CodeOf([&] { index->Search(Everyone(), "n", query); }); };
  EXPECT_EQ(refused({.vector = {1, 0}}), Code::kInvalidArgument);
  EXPECT_EQ(refused({.vector = {1, 0, nan}}), Code::kInvalidArgument);
  EXPECT_EQ(refused({.vector = {1, 0, 0}, .k = 0}), Code::kInvalidArgument);
  EXPECT_EQ(refused({.vector = {1, 0, 0}, .k = 10'001}), Code::kInvalidArgument);
  EXPECT_EQ(refused({.vector = {1, 0, 0}, .k = 10, .offset = 9'995}), Code::kInvalidArgument);
  EXPECT_TRUE(index->Search(Everyone(), "n", {.vector = {1, 0, 0}, .filter = ParseFilter(ParseJson(R"({"nowhere": 1})"))}).hits.empty());
  EXPECT_EQ(index->Search(Everyone(), "n", {.vector = {1, 0, 0}, .filter = ParseFilter(ParseJson(R"({"nowhere": {"$ne": 1}})"))}).hits.size(), 1u);
}

TEST_P(SearchIndexContract, SaysThatItsServerIsDownAndGoesOnAfterwards) {
  const auto index = Open();
  Put(*index, {Record("a", {1, 0, 0})});
  if (!fixture_->Break()) GTEST_SKIP() << "has no server of its own here";
  const auto ctx = Everyone();
  EXPECT_EQ(CodeOf([&] { index->Search(ctx, "n", {.vector = {1, 0, 0}}); }), Code::kUnavailable);
  EXPECT_EQ(CodeOf([&] { index->Search(ctx, "n", {.text = "words"}); }), Code::kUnavailable);
  EXPECT_EQ(CodeOf([&] { Put(*index, {Record("b", {1, 0, 0})}); }), Code::kUnavailable);
  EXPECT_EQ(CodeOf([&] { index->Fetch(ctx, "n", Texts{"a"}); }), Code::kUnavailable);
  EXPECT_EQ(CodeOf([&] { index->List(ctx, "n", "", "", 10); }), Code::kUnavailable);
  EXPECT_EQ(CodeOf([&] { index->Namespaces(ctx); }), Code::kUnavailable);
  EXPECT_EQ(CodeOf([&] { index->DeleteNamespace(ctx, "n"); }), Code::kUnavailable);
  EXPECT_EQ(CodeOf([&] { Open(); }), Code::kUnavailable);
  fixture_->Mend();
  EXPECT_EQ(Ids(index->Search(ctx, "n", {.vector = {1, 0, 0}})), Texts{"a"});
}

TEST_P(SearchIndexContract, EndsWhenTheCallerDoes) {
  const auto index = Open();
  Put(*index, {Record("a", {1, 0, 0})});
  EXPECT_EQ(CodeOf([&] { index->Search(Context::System("test").WithTimeout(-1s), "n", {.vector = {1, 0, 0}}); }), Code::kDeadlineExceeded);
  const auto cancelled = std::make_shared<Cancellation>();
  cancelled->Cancel();
  EXPECT_EQ(CodeOf([&] { index->Search(Everyone().WithCancellation(cancelled), "n", {.vector = {1, 0, 0}}); }), Code::kCancelled);
  EXPECT_EQ(index->Search(Everyone(), "n", {.vector = {1, 0, 0}}).hits.size(), 1u);
}

TEST_P(SearchIndexContract, ServesManyThreads) {
  const auto index = Open();
  Put(*index, {Record("fixed", {1, 0, 0}, "battery", "public")});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t)
    threads.emplace_back([&, t] {
      try {
        for (int i = 0; i < 8; ++i) {
          const auto id = "t" + std::to_string(t) + "-" + std::to_string(i);
          Put(*index, {Record(id, {0, 1, static_cast<float>(t)}, "lamp", "group:" + std::to_string(t))});
          const auto mine = Ids(index->Search(Reader({"group:" + std::to_string(t)}), "n", {.vector = {0, 1, 0}, .k = 100}));
          wrong += static_cast<int>(mine.size()) != i + 1;
          wrong += Ids(index->Search(Reader({"public"}), "n", {.vector = {0, 1, 0}, .k = 100})) != Texts{"fixed"};
        }
      } catch (const Error& e) {
        ADD_FAILURE() << e.message();
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(index->List(Everyone(), "n", "t", "", 100).size(), 48u);
}

INSTANTIATE_TEST_SUITE_P(Backends, SearchIndexContract,
                         testing::Values(Backend{"embedded", MakeEmbeddedFixture},      //
                                         Backend{"postgresql", MakePostgresqlFixture},  //
                                         Backend{"weaviate", MakeWeaviateFixture},      //
                                         Backend{"pinecone", MakePineconeFixture}),
                         [](const auto& backend) { return std::string(backend.param.name); });

}  // namespace
}  // namespace tenfold::retrieval
