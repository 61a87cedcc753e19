#include "workflows/run.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/files.h"
#include "base/testing.h"

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
  void Begin(RunFunction function, const Clock& clock = SystemClock()) {
    runs_.reset();
    runs_ = std::make_unique<Runs>(*store_, clock, Runs::Options{});
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

TEST_F(RunsTest, ARunWhoseStartIsRefusedDoesNothingAndLeavesNothing) {
  std::atomic<int> effects{0};
  Begin([&](RunContext& run) {
    // Reading may begin while the start is written down; what is done may not.
    run.Step("read", {.only_reads = true}, [](const Context&) { return Json(1); });
    run.Emit("token", JsonObject{{"text", "a"}});
    run.Step("act", {}, [&](const Context&) { return Json(++effects); });
    return run.StepInStore("write", nullptr, [](data::WriteTx& tx) {
      tx.Put(Effect{"e"});
      return Json(nullptr);
    });
  });
  for (int i = 0; i < 50; ++i) {
    RunSpec spec{"test", nullptr, ""};
    spec.also = [](data::WriteTx&, const std::string&) { throw Error(Code::kResourceExhausted, "the disk is full"); };
    EXPECT_EQ(CodeOf([&] { runs_->Start(ctx_, spec); }), Code::kResourceExhausted);
  }
  runs_->Await(ctx_, runs_->Start(ctx_, {"test", nullptr, ""}));  // the pool has been through all of them
  runs_.reset();
  store_->Read(ctx_, [&](data::ReadTx& tx) {
    EXPECT_EQ(tx.Count<workflows::Run>(), 1);
    EXPECT_EQ(tx.Count<RunStep>(), 3);
    EXPECT_EQ(tx.Count<RunEvent>(), 1);
  });
  EXPECT_EQ(effects, 1);
}

TEST_F(RunsTest, ThePauseBeforeAnotherAttemptIsAShareOfTheDelayThatChanceDecides) {
  struct Fixed : Random {
    explicit Fixed(std::uint64_t v) : value(v) {}
    std::uint64_t Next() const override { return value; }
    const std::uint64_t value;
  };
  const auto time = [&](std::uint64_t chance) {
    const Fixed random(chance);
    Runs runs(*store_, SystemClock(), {.random = &random});
    runs.Register("test", [](RunContext& run) {
      return run.Step("often", {.max_attempts = 3, .first_delay = 50ms}, [](const Context&) -> Json { throw Error(Code::kUnavailable, "not yet"); });
    });
    runs.Resume();
    const auto begun = std::chrono::steady_clock::now();
    EXPECT_EQ(runs.Await(ctx_, runs.Start(ctx_, {"test", nullptr, ""})).state, RunState::kFailed);
    return std::chrono::steady_clock::now() - begun;
  };
  EXPECT_LT(time(0), 45ms);
  EXPECT_GE(time(101), 50ms);  // of 0 to 50 ms the whole, then of 0 to 100 ms nothing
}

TEST_F(RunsTest, ASchedulesRunsAreStartedOnceEachAndOneOfThoseMissedIsMadeUpFor) {
  ManualClock clock(TimePoint(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)));
  const auto system = Context::System("test", clock);
  std::atomic<int> started{0};
  std::atomic<bool> hold{false};
  const auto count = [&](RunContext&) {
    ++started;
    while (hold) std::this_thread::sleep_for(1ms);
    return Json(nullptr);
  };
  const auto ended = [&](int number) {
    for (int i = 0; i < 3000; ++i) {
      const auto runs = store_->Read(system, [](data::ReadTx& tx) { return tx.Find<workflows::Run>(data::Where("state", "finished")); });
      if (std::ssize(runs) >= number) return std::ssize(runs) == number;
      std::this_thread::sleep_for(1ms);
    }
    return false;
  };
  const auto next = [&] { return FormatTime(FromMicros(runs_->ListSchedules(system).at(0).next_us)).substr(11, 5); };
  const auto next_is = [&](std::string_view time) {
    for (int i = 0; i < 3000 && next() != time; ++i) std::this_thread::sleep_for(1ms);
    return next() == time;
  };
  Begin(count, clock);
  EXPECT_EQ(CodeOf([&] { runs_->PutSchedule(system, "hourly", "61 * * * *", {"test", nullptr, ""}); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { runs_->PutSchedule(system, "hourly", "0 * * * *", {"unknown", nullptr, ""}); }), Code::kInvalidArgument);
  runs_->PutSchedule(system, "hourly", "0 * * * *", {"test", 7, ""});
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(started, 0);
  clock.Advance(1h);
  EXPECT_TRUE(ended(1));
  EXPECT_TRUE(next_is("02:00"));
  hold = true;
  clock.Advance(1h);
  EXPECT_TRUE(next_is("03:00"));
  clock.Advance(1h);  // the one of two o'clock is still going
  EXPECT_TRUE(next_is("04:00"));
  hold = false;
  EXPECT_TRUE(ended(2));
  runs_.reset();
  clock.Advance(5h);
  Begin(count, clock);
  EXPECT_TRUE(ended(3));
  EXPECT_TRUE(next_is("09:00"));
  runs_->PauseSchedule(system, "hourly", true);
  clock.Advance(3h);
  std::this_thread::sleep_for(1200ms);  // longer than the loop ever sleeps
  EXPECT_EQ(started, 3);
  runs_->PauseSchedule(system, "hourly", false);
  EXPECT_TRUE(next_is("12:00"));
  runs_->RemoveSchedule(system, "hourly");
  EXPECT_EQ(CodeOf([&] { runs_->RemoveSchedule(system, "hourly"); }), Code::kNotFound);
  const auto runs = store_->Read(system, [](data::ReadTx& tx) { return tx.Find<workflows::Run>(data::Query{}); });
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_EQ(runs[0].input, Json(7));
  EXPECT_EQ(runs[0].owner, "system:test");
}

}  // namespace
}  // namespace tenfold::workflows
