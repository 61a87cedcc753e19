#include "retrieval/backends/remote.h"

#include <gtest/gtest.h>

#include "base/answers_testing.h"
#include "base/testing.h"
#include "retrieval/backends/pinecone.h"
#include "retrieval/backends/weaviate.h"

namespace tenfold::retrieval {
namespace {

using namespace std::chrono_literals;

const RemoteIndexOptions kOptions{.dim = 2, .metric = Metric::kCosine, .api_key = "key"};
Context Soon() { return Context::System("test").WithTimeout(20s); }

TEST(RemoteIndexes, WhatIsNoAnswerOfPineconeIsUnavailable) {
  AnsweringServer server;
  for (const char* first : {"no JSON", "[]", "{\"dimension\": -1}", "{\"dimension\": 1e30}"}) {
    server.AnswerWithBodies(first, '\n');
    EXPECT_EQ(CodeOf([&] { OpenPineconeIndex(Soon(), server.url(), kOptions); }), Code::kUnavailable) << first;
  }
  server.AnswerWithBodies(R"({"dimension": 2})", '\n');
  const auto index = OpenPineconeIndex(Soon(), server.url(), kOptions);
  const std::string ids[] = {"a"};
  const IndexChange changes[] = {{IndexChange::Kind::kSetAccess, {.id = "a", .access = "public"}}};
  for (const char* answer : {"{}", R"({"matches": {}, "vectors": 1, "namespaces": {"a": 1}})", R"({"matches": [{"id": "a"}], "vectors": [1], "namespaces": {"a": {"vectorCount": "x"}}})",
                             R"({"matches": [{"id": "a", "score": "x"}], "vectors": {"a": {"values": ["x"]}}, "namespaces": {"a": {"vectorCount": 0.5}}})"}) {
    server.AnswerWithBodies(answer, '\n');
    EXPECT_EQ(CodeOf([&] { index->Search(Soon(), "", {.vector = {1, 0}, .k = 3}); }), Code::kUnavailable) << answer;
    EXPECT_EQ(CodeOf([&] { index->Fetch(Soon(), "", ids); }), Code::kUnavailable) << answer;
    EXPECT_EQ(CodeOf([&] { index->Write(Soon(), "", changes); }), Code::kUnavailable) << answer;
    if (answer != std::string_view("{}")) EXPECT_EQ(CodeOf([&] { index->Namespaces(Soon()); }), Code::kUnavailable) << answer;
  }
  server.AnswerWithBodies(R"({"vectors": [], "pagination": {"next": "a"}})", '\n');
  EXPECT_EQ(CodeOf([&] { index->List(Soon(), "", "", "", 10); }), Code::kUnavailable) << "the same page for ever";
}

TEST(RemoteIndexes, WhatIsNoAnswerOfWeaviateIsUnavailable) {
  AnsweringServer server;
  for (const char* first : {"no JSON", "[]", "7", "\"a text\"", "{}", "{\"properties\": 1}", "{\"properties\": [1]}"}) {
    server.AnswerWithBodies(first, '\n');
    EXPECT_EQ(CodeOf([&] { OpenWeaviateIndex(Soon(), server.url() + "/Things", kOptions); }), Code::kUnavailable) << first;
  }
  server.AnswerWithBodies(R"({"properties": [{"name": "tf_id"}, {"name": "tf_keys"}]})", '\n');
  const auto index = OpenWeaviateIndex(Soon(), server.url() + "/Things", kOptions);
  const std::string ids[] = {"a"};
  const IndexChange changes[] = {{IndexChange::Kind::kSetAccess, {.id = "a", .access = "public"}}};
  for (const char* answer : {"7", "[]", "{}", R"({"data": 1, "properties": 1})", R"({"errors": [1], "properties": {"tf_access": [1]}})", R"({"data": {"Get": {"Things": [1]}}, "properties": {"tf_meta": "[]"}})"}) {
    server.AnswerWithBodies(answer, '\n');
    EXPECT_EQ(CodeOf([&] { index->Search(Soon(), "", {.vector = {1, 0}, .k = 3}); }), Code::kUnavailable) << answer;
    EXPECT_EQ(CodeOf([&] { index->Fetch(Soon(), "", ids); }), Code::kUnavailable) << answer;
    EXPECT_EQ(CodeOf([&] { index->Write(Soon(), "", changes); }), Code::kUnavailable) << answer;
  }
}

}  // namespace
}  // namespace tenfold::retrieval
