#include "agents/assistant.h"

#include <gtest/gtest.h>

#include "base/files.h"

namespace tenfold::agents {
namespace {

/// The turn ends before it reads or says anything.
class NoTurns : public Guards {
  std::unique_ptr<TurnGuards> BeginTurn(const GuardConfig&) const override { throw Error(Code::kUnavailable, "no turn is begun in this test"); }
};

TEST(Assistant, WhatItKeepsOfALongMessageIsWhole) {
  const TemporaryFolder folder;
  auto tables = workflows::Runs::Tables();
  for (auto& table : Assistant::Tables()) tables.push_back(std::move(table));
  const auto store = data::OpenSqliteStore((folder.path() / "store.db").string(), tables);
  workflows::Runs runs(*store, SystemClock(), {.threads = 1});
  const retrieval::Retriever retriever(*store, [] { return retrieval::OpenIndex(); });
  const Router router({}, nullptr);
  const NoTurns guards;
  Metrics metrics;
  Assistant assistant({*store, runs, retriever, router, {}, guards, metrics, [](std::string_view) { return AssistantVersion{"v", {}}; }, [](std::string_view) { return nullptr; }});
  const auto ctx = Context::System("test");
  Question question{.text = std::string(56, 'a') + "\xc3\xa9" + std::string(60, 'b'), .chat = "c", .history = {{"user", std::string(1999, 'a') + "\xc3\xa9" + "b"}}};
  const auto id = assistant.Ask(ctx, question);
  // As another process reads it.
  const auto run = store->Read(ctx, [&](data::ReadTx& tx) { return tx.Get<workflows::Run>(id); });
  ASSERT_TRUE(run);
  EXPECT_EQ(run->input.at("history").at(0).at("content").as_string().size(), 1999u);
  const auto chats = assistant.ListChats(ctx);
  ASSERT_EQ(chats.size(), 1u);
  EXPECT_EQ(chats[0].title, std::string(56, 'a') + "\xe2\x80\xa6");
}

}  // namespace
}  // namespace tenfold::agents
