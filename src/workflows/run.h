#pragma once
/// \file The one durable run: a function whose finished steps are remembered. After a crash, or when what it waits for has come, it is
/// called again from the top; Step() returns what is recorded and the function arrives where it was. A waiting run holds no thread.
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/context.h"
#include "base/executor.h"
#include "base/json.h"
#include "base/telemetry.h"
#include "data/store.h"

namespace tenfold::workflows {

enum class RunState : std::uint8_t { kQueued, kRunning, kWaiting, kFinished, kFailed, kCancelled };
BOOST_DESCRIBE_ENUM(RunState, kQueued, kRunning, kWaiting, kFinished, kFailed, kCancelled)

/// A run as stored.
struct Run {
  std::string id;
  std::string kind;
  std::string owner;            ///< user it acts for
  std::string idempotency_key;  ///< "" or unique per kind
  Json principal;               ///< who it acts for, as described by StoredPrincipal
  Json input;
  Json output;
  RunState state = RunState::kQueued;
  std::string error_code;
  std::string error;
  std::int64_t created_us = 0;
  std::int64_t finished_us = 0;
  std::int64_t wake_us = 0;  ///< when a waiting run continues by itself; 0 never
};
TENFOLD_DESCRIBE(Run, (id), (kind), (owner), (idempotency_key), (principal), (input), (output), (state), (error_code), (error), (created_us), (finished_us), (wake_us))
TENFOLD_TABLE(Run, "runs", id, {"state", "idempotency_key", "owner", "created_us"})

/// A finished step, or a signal that has come.
struct RunStep {
  std::string id;  ///< run + "/" + name
  std::string run;
  std::string name;
  Json input;
  Json output;
  std::int64_t attempts = 0;
  std::int64_t started_us = 0;
  std::int64_t finished_us = 0;
  std::int64_t events = 0;  ///< events of the run when the step was done: a replay that skips the step skips what it emitted
};
TENFOLD_DESCRIBE(RunStep, (id), (run), (name), (input), (output), (attempts), (started_us), (finished_us), (events))
TENFOLD_TABLE(RunStep, "run_steps", id, {"run"}, {{"runs", "run"}})

/// One entry of a run's event log. Streams, pages and `tenfold ask` are cursors over it.
/// Types: started, stage, source, support, tool_call, tool_result, tool_denied, approval_asked, token, verdict, usage, finished, failed.
struct RunEvent {
  std::string id;  ///< run + "/" + number, zero padded
  std::string run;
  std::int64_t number = 0;  ///< from 1, without gaps
  std::string type;
  std::int64_t at_us = 0;
  Json data;
};
TENFOLD_DESCRIBE(RunEvent, (id), (run), (number), (type), (at_us), (data))
TENFOLD_TABLE(RunEvent, "run_events", id, {"run"}, {{"runs", "run"}})

/// A run that is started again and again. A time at which the last one is still going is left out; of the times missed while no process ran, one is made up for.
struct Schedule {
  std::string id;    ///< its name
  std::string kind;  ///< of run
  Json input;
  std::string cron;  ///< see workflows/cron.h
  Json principal;    ///< who its runs act for
  bool paused = false;
  std::int64_t next_us = 0;
  std::string last_run;
  std::int64_t created_us = 0;
};
TENFOLD_DESCRIBE(Schedule, (id), (kind), (input), (cron), (principal), (paused), (next_us), (last_run), (created_us))
TENFOLD_TABLE(Schedule, "schedules", id)

struct StoredPrincipal {
  std::string user;
  std::string tenant;
  std::string role;
  std::string customer;
  std::vector<std::string> labels;
};
TENFOLD_DESCRIBE(StoredPrincipal, (user), (tenant), (role), (customer), (labels))

/// How often and how fast a step is tried again. Back-off doubles from `first_delay`, with full jitter (Brooker, AWS 2015).
struct StepOptions {
  int max_attempts = 1;
  std::chrono::milliseconds first_delay{100};
  std::chrono::milliseconds timeout{60'000};
  Json input = nullptr;  ///< recorded for the reader of the history
  /// Becomes durable with what comes after it instead of by itself: for work that only reads, and may be done again if the process dies in between.
  bool only_reads = false;
};

class Runs;

/// What a run's function acts through. Used by one thread at a time.
class RunContext {
 public:
  const std::string& id() const { return run_.id; }
  const Json& input() const { return run_.input; }
  /// RunSpec::memo while the process that started the run lives; null once it was resumed by another.
  const Json& memo() const { return memo_; }
  const Context& ctx() const { return ctx_; }
  /// Does `work` at most once to completion; its output is durable before it is returned. Retries codes kUnavailable, kAborted,
  /// kDeadlineExceeded and kResourceExhausted as `options` say. Names must be unique within a run.
  Json Step(std::string_view name, const StepOptions& options, const std::function<Json(const Context&)>& work);
  /// A step whose effect is a write: the effect and the record of the step are one commit, so it happens exactly once.
  Json StepInStore(std::string_view name, const Json& input, const std::function<Json(data::WriteTx&)>& work);
  /// What is written in the commit that finishes the run: it happens exactly once, and only if the function returns.
  void AtEnd(std::function<void(data::WriteTx&)> work) { at_end_ = std::move(work); }
  /// What was signalled under `signal`, or null once `until` has passed. If neither, the run leaves its thread and is called again later.
  Json WaitFor(std::string_view signal, TimePoint until);
  void SleepUntil(TimePoint at);
  /// Appends to the run's event log. Readers see it at once; it becomes durable with the next step, in groups of 64, or at the run's end.
  void Emit(std::string_view type, Json data);
  /// True if this call repeats steps of an earlier one: events before that point are already in the log.
  bool replaying() const { return replaying_; }

 private:
  friend class Runs;
  const RunStep* FindDone(std::string_view name);
  RunContext(Runs& runs, Run run, std::map<std::string, RunStep, std::less<>> steps, Context ctx, std::int64_t emitted);
  Runs& runs_;
  Run run_;
  std::map<std::string, RunStep, std::less<>> steps_;
  Context ctx_;
  std::int64_t emitted_;      // events of earlier calls; this many Emits are repetitions
  std::int64_t next_event_ = 0;
  bool replaying_ = false;
  Json memo_ = nullptr;
  std::function<void(data::WriteTx&)> at_end_;
};

/// A kind of run. Returns the run's output. Must be deterministic outside Step, but for reading what cannot change.
using RunFunction = std::function<Json(RunContext&)>;

struct RunSpec {
  std::string kind;
  Json input;
  std::string idempotency_key;
  /// What must be written together with the run's start; gets its id. Not called if the idempotency key names a run that is there already.
  std::function<void(data::WriteTx&, const std::string& run)> also = {};
  /// What the first call of the function would otherwise read back from the store. Never stored.
  Json memo = nullptr;
};

/// All runs of one store. Threads: every method is safe from any thread.
class Runs {
 public:
  struct Options {
    std::size_t threads = 4;
    std::size_t queue = 1024;
    std::chrono::milliseconds run_timeout{600'000};
    const Random* random = &SystemRandom();  ///< of the pauses between attempts; must outlive the runs
    std::size_t max_traces = 20'000;  ///< spans of the newest runs that are kept
  };
  Runs(data::Store& store, const Clock& clock, Options options);
  /// Cancels what runs, politely; unfinished runs resume at the next start.
  ~Runs();
  static std::vector<data::Table> Tables();

  /// Before Resume(). One kind, one function.
  void Register(std::string kind, RunFunction function);
  /// Starts again what was queued or running when the last process ended, and wakes waits whose moment has come from now on.
  void Resume();

  /// Durable when it returns. The same idempotency key gives the same run. Errors: kInvalidArgument (unknown kind), kResourceExhausted.
  std::string Start(const Context& ctx, const RunSpec& spec);
  /// First signal of a name wins; a second is refused. Errors: kNotFound, kAlreadyExists.
  void Signal(const Context& ctx, std::string_view run, std::string_view name, const Json& value);
  void Cancel(const Context& ctx, std::string_view run);

  /// Starts `spec` at the times of `cron`, as the caller; replaces a schedule of that name. Each start is one commit with the record of it, so none is
  /// made twice. Errors: kInvalidArgument (cron, kind).
  Schedule PutSchedule(const Context& ctx, std::string_view name, std::string_view cron, const RunSpec& spec);
  std::vector<Schedule> ListSchedules(const Context& ctx);
  /// A paused schedule goes on with its next time, not with those it missed. Errors: kNotFound.
  void PauseSchedule(const Context& ctx, std::string_view name, bool paused);
  void RemoveSchedule(const Context& ctx, std::string_view name);
  std::optional<Run> Get(const Context& ctx, std::string_view run);
  std::vector<RunStep> Steps(const Context& ctx, std::string_view run);
  /// Events after number `after`. Waits until there is one, the run has ended or `wait` is over. `ended` says that none will follow
  /// until someone signals (a waiting run counts as ended for a stream).
  struct Batch {
    std::vector<RunEvent> events;
    RunState state = RunState::kQueued;
  };
  Batch Events(const Context& ctx, std::string_view run, std::int64_t after, std::chrono::milliseconds wait);
  /// Waits until the run has finished, failed, been cancelled or waits for a signal.
  Run Await(const Context& ctx, std::string_view run);

 private:
  friend class RunContext;
  struct Live {
    std::shared_ptr<Cancellation> cancellation = std::make_shared<Cancellation>();
    std::vector<RunEvent> events;        // all of this run's, durable or not
    std::size_t durable = 0;             // how many of `events` are in the store
    std::vector<RunStep> deferred;       // done, and durable with the next commit
    std::optional<Run> fresh;            // just started: there is nothing to read back
    Json memo = nullptr;
    bool begun = true;                   // its start is durable
    RunState state = RunState::kQueued;
    bool signalled = false;              // came while it ran: call it again at once
  };
  void Enqueue(const std::string& id);
  /// A second later, if the queue is full now.
  void EnqueueOrWake(const std::string& id);
  void Execute(const std::string& id);
  void Append(const std::string& id, std::string_view type, Json data);
  void Defer(const std::string& id, const RunStep& step);
  /// Waits until the run's start is durable: nothing may happen for a run that could turn out never to have been. Errors: kCancelled if it was refused.
  void AwaitBegun(const std::string& id);
  /// Writes what `also` does, the events before it and the deferred steps in one commit.
  void Record(const std::string& id, const std::function<void(data::WriteTx&)>& also);
  /// `signals`: how many signals the call knew of. One that came since makes a waiting run queued, in the same commit.
  void Finish(Run run, RunState state, std::size_t signals, std::vector<SpanRecord> spans, const std::function<void(data::WriteTx&)>& also);
  void WakeLoop();
  /// Starts what a schedule asks for now, if it still does.
  void StartScheduled(const std::string& name);
  void WakeAt(std::int64_t at_us, std::string id);

  data::Store& store_;
  const Clock& clock_;
  const Options options_;
  std::map<std::string, RunFunction> functions_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::shared_ptr<Live>, std::less<>> live_;
  std::multimap<std::int64_t, std::string> wakes_;  ///< a run, or kScheduled and a schedule's name
  bool stopping_ = false;
  std::thread waker_;
  std::unique_ptr<ThreadPool> pool_;
};

}  // namespace tenfold::workflows
