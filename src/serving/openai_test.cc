#include "serving/openai_testing.h"

#include <gtest/gtest.h>

#include "base/files.h"

namespace tenfold::serving {
namespace {

TEST(OpenAi, WhatIsNoCallOfAToolIsText) {
  const TemporaryFolder folder;
  auto tables = workflows::Runs::Tables();
  for (auto& table : agents::Assistant::Tables()) tables.push_back(std::move(table));
  const auto store = data::OpenSqliteStore((folder.path() / "store.db").string(), tables);
  workflows::Runs runs(*store, SystemClock(), {.threads = 1});
  const retrieval::Retriever retriever(*store, [] { return retrieval::OpenIndex(); });
  const agents::Router router({}, nullptr);
  const NoGuards guards;
  Metrics metrics;
  const auto generator = [](std::string_view) { return std::make_shared<EchoGenerator>(); };
  agents::Assistant assistant({*store, runs, retriever, router, {}, guards, metrics, [](std::string_view) { return agents::AssistantVersion{"v", {}}; }, generator});
  const auto rows = MakeOpenAiEndpoints(std::make_shared<const OpenAiParts>(OpenAiParts{assistant, runs, [] { return std::vector<ServedModel>(); }, generator, nullptr, "", metrics}));
  const auto message_for = [&](const std::string& text) {
    HttpRequest http;
    http.body = ToText(JsonObject{{"model", "echo"}, {"messages", JsonArray{JsonObject{{"role", "user"}, {"content", text}}}}, {"tools", JsonArray{JsonObject{{"type", "function"}, {"function", JsonObject{{"name", "f"}}}}}}});
    for (const auto& row : rows)
      if (row.path == "/v1/chat/completions") return ParseJson(row.handler(Context::System("test"), http).body).at("choices").at(0).at("message");
    return Json();
  };
  for (const char* text : {"7", "[1, 2]", "\"a text\"", "null", "true", "{\"name\": \"f\"}", "not JSON"}) {
    const auto message = message_for(text);
    EXPECT_EQ(message.at("content"), text);
    EXPECT_FALSE(message.as_object().contains("tool_calls")) << text;
  }
  EXPECT_EQ(message_for(R"({"name": "f", "arguments": {"x": 1}})").at("tool_calls").at(0).at("function").at("arguments"), R"({"x":1})");
  EXPECT_EQ(message_for(R"({"answer": "hello"})").at("content"), "hello");
}

}  // namespace
}  // namespace tenfold::serving
