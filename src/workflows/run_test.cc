#include "workflows/run.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/files.h"

namespace tenfold::workflows {
namespace {

using namespace std::chrono_literals;

struct Effect {
  std::string id;
};
TENFOLD_DESCRIBE(Effect, (id))
TENFOLD_TABLE(Effect, "effects", id)

class RunsTest : public testing::Test {
 protected:
  RunsTest() {
    auto tables = Runs::Tables();
    tables.push_back(data::TableOf<Effect>());
    store_ = data::OpenSqliteStore((folder_.path() / "store.db").string(), tables);
  }
  ~RunsTest() override {
    runs_.reset();
    store_.reset();
  }
  void Begin(RunFunction function) {
    runs_.reset();
    runs_ = std::make_unique<Runs>(*store_, SystemClock(), Runs::Options{});
    runs_->Register("test", std::move(function));
    runs_->Resume();
  }
  TemporaryFolder folder_;
  std::unique_ptr<data::Store> store_;
  std::unique_ptr<Runs> runs_;
  Context ctx_ = Context::System("test");
};

TEST_F(RunsTest, RecordsStepsOutputAndEvents) {
  Begin([](RunContext& run) {
    const auto doubled = run.Step("double", {}, [&](const Context&) { return Json(run.input().as_int64() * 2); });
    run.Emit("token", JsonObject{{"text", "a"}});
    run.Emit("finished", nullptr);
    return doubled;
  });
  const auto id = runs_->Start(ctx_, {"test", 21, ""});
  const auto run = runs_->Await(ctx_, id);
  EXPECT_EQ(run.state, RunState::kFinished);
  EXPECT_EQ(run.output, Json(42));
  const auto events = runs_->Events(ctx_, id, 0, 0ms).events;
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].number, 2);
  EXPECT_EQ(runs_->Events(ctx_, id, 1, 0ms).events.size(), 1u);
  EXPECT_EQ(runs_->Steps(ctx_, id).at(0).name, "double");
}

TEST_F(RunsTest, StartsOncePerIdempotencyKey) {
  std::atomic<int> calls{0};
  Begin([&](RunContext&) {
    ++calls;
    return Json(nullptr);
  });
  const auto first = runs_->Start(ctx_, {"test", nullptr, "k"});
  EXPECT_EQ(runs_->Start(ctx_, {"test", nullptr, "k"}), first);
  runs_->Await(ctx_, first);
  EXPECT_EQ(calls, 1);
}

TEST_F(RunsTest, RetriesWhatMayPassAndNothingElse) {
  std::atomic<int> calls{0};
  Begin([&](RunContext& run) {
    return run.Step("flaky", {.max_attempts = 3, .first_delay = 1ms}, [&](const Context&) -> Json {
      if (++calls < 3) throw Error(Code::kUnavailable, "not yet");
      return "done";
    });
  });
  EXPECT_EQ(runs_->Await(ctx_, runs_->Start(ctx_, {"test", nullptr, ""})).output, Json("done"));
  EXPECT_EQ(calls, 3);
  Begin([&](RunContext& run) {
    return run.Step("wrong", {.max_attempts = 3, .first_delay = 1ms}, [&](const Context&) -> Json {
      ++calls;
      throw Error(Code::kInvalidArgument, "never");
    });
  });
  const auto failed = runs_->Await(ctx_, runs_->Start(ctx_, {"test", nullptr, ""}));
  EXPECT_EQ(failed.state, RunState::kFailed);
  EXPECT_EQ(failed.error_code, "invalid_argument");
  EXPECT_EQ(calls, 4);
}

TEST_F(RunsTest, WaitsWithoutAThreadAndContinuesOnASignal) {
  std::atomic<int> before{0};
  const RunFunction function = [&](RunContext& run) {
    run.Step("ask", {}, [&](const Context&) {
      ++before;
      return Json(nullptr);
    });
    run.Emit("approval_asked", nullptr);
    const auto answer = run.WaitFor("approval", run.ctx().clock().Now() + 1h);
    run.Emit("finished", answer);
    return answer;
  };
  Begin(function);
  const auto id = runs_->Start(ctx_, {"test", nullptr, ""});
  EXPECT_EQ(runs_->Await(ctx_, id).state, RunState::kWaiting);
  Begin(function);  // a new process would see the same
  runs_->Signal(ctx_, id, "approval", "yes");
  EXPECT_THROW(runs_->Signal(ctx_, id, "approval", "no"), Error);
  for (int i = 0; i < 500 && runs_->Get(ctx_, id)->state != RunState::kFinished; ++i) std::this_thread::sleep_for(2ms);
  EXPECT_EQ(runs_->Get(ctx_, id)->output, Json("yes"));
  EXPECT_EQ(before, 1);
  EXPECT_EQ(runs_->Events(ctx_, id, 0, 0ms).events.size(), 2u);
}

TEST_F(RunsTest, AWaitEndsWhenItsMomentHasPassed) {
  Begin([&](RunContext& run) { return run.WaitFor("never", run.ctx().clock().Now() + 20ms); });
  const auto id = runs_->Start(ctx_, {"test", nullptr, ""});
  for (int i = 0; i < 1000 && runs_->Get(ctx_, id)->state != RunState::kFinished; ++i) std::this_thread::sleep_for(2ms);
  EXPECT_EQ(runs_->Get(ctx_, id)->state, RunState::kFinished);
  EXPECT_TRUE(runs_->Get(ctx_, id)->output.is_null());
}

TEST_F(RunsTest, StopsWhenCancelled) {
  Begin([&](RunContext& run) {
    for (;;) {
      run.ctx().Check();
      std::this_thread::sleep_for(1ms);
    }
    return Json(nullptr);
  });
  const auto id = runs_->Start(ctx_, {"test", nullptr, ""});
  runs_->Cancel(ctx_, id);
  EXPECT_EQ(runs_->Await(ctx_, id).state, RunState::kCancelled);
}

TEST_F(RunsTest, AnotherUsersRunDoesNotExist) {
  Begin([&](RunContext&) { return Json(nullptr); });
  const auto id = runs_->Start(ctx_, {"test", nullptr, ""});
  Principal mara;
  mara.user = "mara";
  mara.role = Role::kCustomer;
  const auto other = ctx_.As(mara);
  EXPECT_FALSE(runs_->Get(other, id));
  EXPECT_THROW(runs_->Signal(other, id, "approval", true), Error);
}

TEST_F(RunsTest, DoesAnEffectOnceHoweverOftenItIsKilled) {
  store_.reset();
  auto tables = Runs::Tables();
  tables.push_back(data::TableOf<Effect>());
  const auto path = (folder_.path() / "store.db").string();
  const RunFunction function = [](RunContext& run) {
    for (int i = 0; i < 200; ++i)
      run.StepInStore("effect" + std::to_string(i), nullptr, [&](data::WriteTx& tx) {
        tx.Add(Effect{run.id() + "/" + std::to_string(i)});
        return Json(i);
      });
    return Json("all");
  };
  std::string id;
  for (int round = 0; round < 12; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      auto store = data::OpenSqliteStore(path, tables);
      Runs runs(*store, SystemClock(), {});
      runs.Register("test", function);
      runs.Resume();
      runs.Start(Context::System("test"), {"test", nullptr, "once"});
      for (;;) pause();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5 + 7 * round));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  store_ = data::OpenSqliteStore(path, tables);
  Begin(function);
  id = runs_->Start(ctx_, {"test", nullptr, "once"});
  for (int i = 0; i < 2000 && runs_->Get(ctx_, id)->state != RunState::kFinished; ++i) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(runs_->Get(ctx_, id)->output, Json("all"));
  EXPECT_EQ(store_->Read(ctx_, [](data::ReadTx& tx) { return tx.Count<Effect>(); }), 200);
  EXPECT_EQ(store_->Read(ctx_, [](data::ReadTx& tx) { return tx.Count<workflows::Run>(); }), 1);
}

TEST_F(RunsTest, ASignalThatCameJustBeforeADeathIsHeardAfterTheStart) {
  const auto function = [](RunContext& run) { return run.WaitFor("go", run.ctx().clock().Now() + 1h); };
  Begin(function);
  const auto id = runs_->Start(ctx_, {"test", nullptr, ""});
  while (runs_->Get(ctx_, id)->state != RunState::kWaiting) std::this_thread::sleep_for(1ms);
  // The process dies between the signal's commit and the run's next call: what is left is what the commit wrote.
  runs_.reset();
  store_->Write(ctx_, [&](data::WriteTx& tx) {
    tx.Add(RunStep{id + "/signal:go", id, "signal:go", nullptr, "yes", 1, 1, 1, 0});
    auto run = *tx.Get<workflows::Run>(id);
    run.state = RunState::kQueued;
    tx.Put(run);
  });
  Begin(function);
  EXPECT_EQ(runs_->Await(ctx_, id).output, "yes");
}

TEST_F(RunsTest, ASignalMakesAWaitingRunQueuedInItsOwnCommit) {
  std::atomic<bool> hold{true};
  std::atomic<int> calls{0};
  Begin([&](RunContext& run) {
    if (++calls == 2)
      while (hold) std::this_thread::sleep_for(1ms);
    return run.WaitFor("go", run.ctx().clock().Now() + 1h);
  });
  const auto id = runs_->Start(ctx_, {"test", nullptr, ""});
  while (runs_->Get(ctx_, id)->state != RunState::kWaiting) std::this_thread::sleep_for(1ms);
  runs_->Signal(ctx_, id, "go", "yes");
  EXPECT_EQ(runs_->Get(ctx_, id)->state, RunState::kQueued);
  hold = false;
  EXPECT_EQ(runs_->Await(ctx_, id).output, "yes");
}

}  // namespace
}  // namespace tenfold::workflows
