#include "workflows/run.h"

#include <algorithm>

#include "base/log.h"
#include "monitoring/trace_store.h"
#include "workflows/cron.h"

namespace tenfold::workflows {
namespace {

/// Leaves the run's function at a wait. Not an Error: nothing failed.
struct Suspended {
  std::int64_t wake_us;
};

std::string EventId(std::string_view run, std::int64_t number) {
  auto digits = std::to_string(number);
  return std::string(run) + "/" + std::string(8 - std::min<std::size_t>(8, digits.size()), '0') + digits;
}

bool MayRetry(Code code) {
  return code == Code::kUnavailable || code == Code::kAborted || code == Code::kDeadlineExceeded || code == Code::kResourceExhausted;
}

bool Ended(RunState state) { return state == RunState::kFinished || state == RunState::kFailed || state == RunState::kCancelled; }

constexpr std::string_view kScheduled = "schedule:";

Json StoredPrincipalOf(const Principal& principal) { return ToJson(StoredPrincipal{principal.user, principal.tenant, std::string(RoleName(principal.role)), principal.customer, principal.labels}); }

Context ContextOf(const Json& stored_principal, const Clock& clock, std::shared_ptr<Cancellation> cancellation, std::shared_ptr<Span> span, std::chrono::milliseconds timeout) {
  const auto stored = FromJson<StoredPrincipal>(stored_principal, Unknown::kIgnore);
  Principal principal;
  principal.user = stored.user;
  principal.tenant = stored.tenant;
  principal.role = stored.role == RoleName(Role::kNobody) ? Role::kNobody : ParseRole(stored.role);
  principal.customer = stored.customer;
  principal.labels = stored.labels;
  Context::Parts parts;
  parts.principal = std::make_shared<const Principal>(std::move(principal));
  parts.clock = &clock;
  parts.deadline = clock.Now() + timeout;
  parts.cancellation = std::move(cancellation);
  parts.span = std::move(span);
  return Context(std::move(parts));
}

}  // namespace

RunContext::RunContext(Runs& runs, Run run, std::map<std::string, RunStep, std::less<>> steps, Context ctx, std::int64_t emitted)
    : runs_(runs), run_(std::move(run)), steps_(std::move(steps)), ctx_(std::move(ctx)), emitted_(emitted), replaying_(emitted > 0) {}

const RunStep* RunContext::FindDone(std::string_view name) {
  const auto done = steps_.find(name);
  if (done == steps_.end()) return nullptr;
  next_event_ = std::max(next_event_, done->second.events);
  return &done->second;
}

Json RunContext::Step(std::string_view name, const StepOptions& options, const std::function<Json(const Context&)>& work) {
  if (const auto* done = FindDone(name)) return done->output;
  if (!options.only_reads) runs_.AwaitBegun(run_.id);
  RunStep step{run_.id + "/" + std::string(name), run_.id, std::string(name), options.input, nullptr, 0, ToMicros(runs_.clock_.Now()), 0, 0};
  for (auto delay = options.first_delay;; delay *= 2) {
    ++step.attempts;
    try {
      ctx_.Check();
      step.output = work(ctx_.Child(name).WithTimeout(options.timeout));
      break;
    } catch (const Error& e) {
      if (step.attempts >= options.max_attempts || !MayRetry(e.code()) || ctx_.done()) throw;
      const auto pause = std::chrono::milliseconds(runs_.options_.random->Next() % (static_cast<std::uint64_t>(delay.count()) + 1));
      std::unique_lock lock(runs_.mutex_);
      runs_.changed_.wait_for(lock, pause, [&] { return runs_.stopping_ || ctx_.cancellation().cancelled(); });
    }
  }
  step.finished_us = ToMicros(runs_.clock_.Now());
  step.events = next_event_;
  if (options.only_reads) runs_.Defer(run_.id, step);
  else runs_.Record(run_.id, [&](data::WriteTx& tx) { tx.Add(step); });
  return steps_.emplace(name, std::move(step)).first->second.output;
}

Json RunContext::StepInStore(std::string_view name, const Json& input, const std::function<Json(data::WriteTx&)>& work) {
  if (const auto* done = FindDone(name)) return done->output;
  runs_.AwaitBegun(run_.id);
  ctx_.Check();
  RunStep step{run_.id + "/" + std::string(name), run_.id, std::string(name), input, nullptr, 1, ToMicros(runs_.clock_.Now()), 0, next_event_};
  const auto inner = ctx_.Child(name);
  runs_.Record(run_.id, [&](data::WriteTx& tx) {
    step.output = work(tx);
    step.finished_us = ToMicros(runs_.clock_.Now());
    tx.Add(step);
  });
  return steps_.emplace(name, std::move(step)).first->second.output;
}

Json RunContext::WaitFor(std::string_view signal, TimePoint until) {
  const auto name = "signal:" + std::string(signal);
  if (const auto come = steps_.find(name); come != steps_.end()) return come->second.output;
  // The moment the wait began is recorded, so that a repeated call waits for the same moment.
  const auto due = Step("until:" + std::string(signal), {}, [&](const Context&) { return Json(ToMicros(until)); }).to_number<std::int64_t>();
  if (ToMicros(runs_.clock_.Now()) >= due) return nullptr;
  throw Suspended{due};
}

void RunContext::SleepUntil(TimePoint at) {
  const auto due = Step("sleep:" + std::to_string(steps_.size()), {}, [&](const Context&) { return Json(ToMicros(at)); }).to_number<std::int64_t>();
  if (ToMicros(runs_.clock_.Now()) < due) throw Suspended{due};
}

void RunContext::Emit(std::string_view type, Json data) {
  if (next_event_++ < emitted_) return;
  replaying_ = false;
  runs_.Append(run_.id, type, std::move(data));
}

Runs::Runs(data::Store& store, const Clock& clock, Options options) : store_(store), clock_(clock), options_(options) {
  pool_ = std::make_unique<ThreadPool>("runs", options_.threads, options_.queue);
}

Runs::~Runs() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (auto& [id, live] : live_) live->cancellation->Cancel();
  }
  changed_.notify_all();
  if (waker_.joinable()) waker_.join();
  pool_.reset();
}

std::vector<data::Table> Runs::Tables() { return {data::TableOf<Run>(), data::TableOf<RunStep>(), data::TableOf<RunEvent>(), data::TableOf<Schedule>(), data::TableOf<monitoring::StoredTrace>()}; }

void Runs::Register(std::string kind, RunFunction function) { TENFOLD_CHECK(functions_.emplace(std::move(kind), std::move(function)).second); }

void Runs::Resume() {
  std::vector<Run> unfinished;
  store_.Read(Context::System("runs"), [&](data::ReadTx& tx) {
    for (const char* state : {"queued", "running", "waiting"})
      for (auto& run : tx.Find<Run>(data::Where("state", state))) unfinished.push_back(std::move(run));
  });
  for (const auto& run : unfinished) {
    if (run.state == RunState::kWaiting) {
      const std::lock_guard lock(mutex_);
      if (run.wake_us) wakes_.emplace(run.wake_us, run.id);
    } else {
      Enqueue(run.id);
    }
  }
  for (const auto& schedule : ListSchedules(Context::System("runs")))
    if (!schedule.paused) WakeAt(schedule.next_us, std::string(kScheduled) + schedule.id);
  waker_ = std::thread([this] { WakeLoop(); });
}

void Runs::WakeLoop() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto now = ToMicros(clock_.Now());
    while (!wakes_.empty() && wakes_.begin()->first <= now) {
      const auto id = wakes_.begin()->second;
      wakes_.erase(wakes_.begin());
      lock.unlock();
      try {
        if (id.starts_with(kScheduled)) StartScheduled(id.substr(kScheduled.size()));
        else Enqueue(id);
        lock.lock();
      } catch (const Error& e) {
        if (e.code() != Code::kResourceExhausted) Log(LogLevel::kError, "could not be woken", {{"what", id}, {"error", e.message()}});
        lock.lock();
        wakes_.emplace(now + 1'000'000, id);  // the queue is full, or so is the disk: a second later
      }
    }
    const auto next = wakes_.empty() ? std::chrono::microseconds(1'000'000) : std::chrono::microseconds(wakes_.begin()->first - now);
    changed_.wait_for(lock, std::min<std::chrono::microseconds>(next, std::chrono::seconds(1)));
  }
}

std::string Runs::Start(const Context& ctx, const RunSpec& spec) {
  ctx.Check();
  if (!functions_.contains(spec.kind)) throw Error(Code::kInvalidArgument, "run kind '" + spec.kind + "' is unknown", "kind");
  // Before anything is written: who is refused here has left nothing behind.
  if (pool_->queued() >= options_.queue) throw Error(Code::kResourceExhausted, std::to_string(options_.queue) + " runs wait already; try again later");
  const auto& principal = ctx.principal();
  Run run;
  run.id = NewId("run", clock_);
  run.kind = spec.kind;
  run.owner = principal.user;
  run.idempotency_key = spec.idempotency_key.empty() ? "" : spec.kind + ":" + spec.idempotency_key;
  run.principal = StoredPrincipalOf(principal);
  run.input = spec.input;
  run.created_us = ToMicros(clock_.Now());
  const auto live = std::make_shared<Live>();
  live->memo = spec.memo;
  {
    // Visible to Events() before it is durable, never the other way round.
    const std::lock_guard lock(mutex_);
    live_[run.id] = live;
  }
  std::string existing;
  bool enqueued = false;
  const auto write = [&](data::WriteTx& tx) {
    existing.clear();
    if (!run.idempotency_key.empty())
      for (const auto& same : tx.Find<Run>(data::Where("idempotency_key", run.idempotency_key))) existing = same.id;
    if (!existing.empty()) return;
    tx.Add(run);
    if (spec.also) spec.also(tx, run.id);
  };
  try {
    if (run.idempotency_key.empty()) {
      // The run begins to read and think while the disk writes down that it was started. Its own writes come behind this one; what it does to the world waits.
      live->fresh = run;
      live->begun = false;
      const auto begun = store_.BeginWrite(ctx, write);
      enqueued = true;
      EnqueueOrWake(run.id);
      begun->Wait();
      {
        const std::lock_guard lock(mutex_);
        live->begun = true;
      }
      changed_.notify_all();
      return run.id;
    }
    store_.Write(ctx, write);
  } catch (...) {
    {
      const std::lock_guard lock(mutex_);
      live->cancellation->Cancel();  // what has begun ends at its next Check and finds that there is nothing to write to
      if (!enqueued) live_.erase(run.id);
    }
    changed_.notify_all();
    throw;
  }
  if (!existing.empty()) {
    const std::lock_guard lock(mutex_);
    live_.erase(run.id);
    return existing;
  }
  EnqueueOrWake(run.id);
  return run.id;
}

void Runs::EnqueueOrWake(const std::string& id) {
  try {
    Enqueue(id);
  } catch (const Error&) {
    WakeAt(ToMicros(clock_.Now()) + 1'000'000, id);  // others were faster to the queue
  }
}

void Runs::WakeAt(std::int64_t at_us, std::string id) {
  {
    const std::lock_guard lock(mutex_);
    wakes_.emplace(at_us, std::move(id));
  }
  changed_.notify_all();
}

Schedule Runs::PutSchedule(const Context& ctx, std::string_view name, std::string_view cron, const RunSpec& spec) {
  if (!functions_.contains(spec.kind)) throw Error(Code::kInvalidArgument, "run kind '" + spec.kind + "' is unknown", "kind");
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'; };
  if (name.empty() || name.size() > 64 || !std::all_of(name.begin(), name.end(), fits)) throw Error(Code::kInvalidArgument, "name: is 1 to 64 letters, digits, '.', '_' or '-'", "name");
  const auto now = clock_.Now();
  Schedule schedule;
  schedule.id = name;
  schedule.kind = spec.kind;
  schedule.input = spec.input;
  schedule.cron = cron;
  schedule.principal = StoredPrincipalOf(ctx.principal());
  schedule.next_us = ToMicros(Cron(cron).Next(now));
  schedule.created_us = ToMicros(now);
  store_.Write(ctx, [&](data::WriteTx& tx) { tx.Put(schedule); });
  WakeAt(schedule.next_us, std::string(kScheduled) + schedule.id);
  return schedule;
}

std::vector<Schedule> Runs::ListSchedules(const Context& ctx) {
  return store_.Read(ctx, [&](data::ReadTx& tx) { return tx.Find<Schedule>(data::Query{}); });
}

void Runs::PauseSchedule(const Context& ctx, std::string_view name, bool paused) {
  std::int64_t next = 0;
  store_.Write(ctx, [&](data::WriteTx& tx) {
    auto schedule = tx.Get<Schedule>(name);
    if (!schedule) throw Error(Code::kNotFound, "there is no schedule '" + std::string(name) + "'; see 'tenfold schedules list'");
    schedule->paused = paused;
    next = schedule->next_us = ToMicros(Cron(schedule->cron).Next(clock_.Now()));
    tx.Put(*schedule);
  });
  if (!paused) WakeAt(next, std::string(kScheduled) + std::string(name));
}

void Runs::RemoveSchedule(const Context& ctx, std::string_view name) {
  store_.Write(ctx, [&](data::WriteTx& tx) {
    if (!tx.Delete<Schedule>(name)) throw Error(Code::kNotFound, "there is no schedule '" + std::string(name) + "'; see 'tenfold schedules list'");
  });
}

void Runs::StartScheduled(const std::string& name) {
  const auto system = Context::System("runs");
  const auto now = clock_.Now();
  std::optional<Schedule> schedule;
  bool busy = false;
  store_.Read(system, [&](data::ReadTx& tx) {
    schedule = tx.Get<Schedule>(name);
    const auto last = schedule ? tx.Get<Run>(schedule->last_run) : std::nullopt;
    busy = last && !Ended(last->state);
  });
  // A wake that a later change has overtaken: the change has set its own.
  if (!schedule || schedule->paused || schedule->next_us > ToMicros(now)) return;
  const auto due = schedule->next_us;
  schedule->next_us = ToMicros(Cron(schedule->cron).Next(now));
  const auto advance = [&](data::WriteTx& tx, const std::string& run) {
    auto stored = tx.Get<Schedule>(name);
    if (!stored || stored->next_us != due) return;
    stored->next_us = schedule->next_us;
    if (!run.empty()) stored->last_run = run;
    tx.Put(*stored);
  };
  if (busy) {
    Log(LogLevel::kWarning, "a scheduled run is left out: the last one is still going", {{"schedule", name}, {"run", schedule->last_run}});
    store_.Write(system, [&](data::WriteTx& tx) { advance(tx, ""); });
  } else {
    const auto ctx = ContextOf(schedule->principal, clock_, nullptr, nullptr, options_.run_timeout);
    Start(ctx, {schedule->kind, schedule->input, "schedule/" + name + "/" + std::to_string(due), advance});
  }
  WakeAt(schedule->next_us, std::string(kScheduled) + name);
}

void Runs::Enqueue(const std::string& id) {
  {
    const std::lock_guard lock(mutex_);
    auto& live = live_[id];
    if (!live) live = std::make_shared<Live>();
    live->state = RunState::kQueued;
  }
  pool_->Submit([this, id] { Execute(id); });
}

void Runs::Execute(const std::string& id) {
  const auto system = Context::System("runs");
  std::shared_ptr<Live> live;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;  // stays queued; the next start resumes it
    live = live_[id];
    if (live->state == RunState::kRunning) {
      live->signalled = true;
      return;
    }
    live->state = RunState::kRunning;
    live->signalled = false;
  }
  changed_.notify_all();
  std::optional<Run> run;
  Json memo;
  {
    const std::lock_guard lock(mutex_);
    run = std::exchange(live->fresh, std::nullopt);
    memo = std::exchange(live->memo, nullptr);
  }
  std::map<std::string, RunStep, std::less<>> steps;
  std::vector<RunEvent> events;
  if (!run) store_.Read(system, [&](data::ReadTx& tx) {
    run = tx.Get<Run>(id);
    for (auto& step : tx.Find<RunStep>(data::Where("run", id))) steps.emplace(step.name, step);
    events = tx.Find<RunEvent>(data::Where("run", id));
  });
  if (!run || Ended(run->state)) {
    const std::lock_guard lock(mutex_);
    live->state = run ? run->state : RunState::kFailed;
    live_.erase(id);
    changed_.notify_all();
    return;
  }
  std::int64_t emitted = 0;
  std::vector<std::string> lost;
  {
    const std::lock_guard lock(mutex_);
    if (events.size() > live->events.size()) {
      // From an earlier process. What an unfinished step had emitted goes: the step is done again and may say it differently.
      std::int64_t kept = 0;
      for (const auto& [name, step] : steps) kept = std::max(kept, step.events);
      for (auto i = static_cast<std::size_t>(kept); i < events.size(); ++i) lost.push_back(events[i].id);
      events.resize(std::min(events.size(), static_cast<std::size_t>(kept)));
      live->events = std::move(events);
      live->durable = live->events.size();
    }
    emitted = static_cast<std::int64_t>(live->events.size());
  }
  if (!lost.empty())
    store_.Write(system, [&](data::WriteTx& tx) {
      for (const auto& event : lost) tx.Delete<RunEvent>(event);
    });
  const auto trace = std::make_shared<Trace>();
  const auto span = Span::StartRoot("run " + run->kind, trace, clock_);
  const auto signals = static_cast<std::size_t>(std::count_if(steps.begin(), steps.end(), [](const auto& step) { return step.first.starts_with("signal:"); }));
  std::function<void(data::WriteTx&)> at_end;
  const auto finish = [&](RunState state) {
    span->Set("state", ToJson(state));
    span->End();
    Finish(std::move(*run), state, signals, trace->Take(), at_end);
  };
  RunContext run_context(*this, *run, std::move(steps), ContextOf(run->principal, clock_, live->cancellation, span, options_.run_timeout), emitted);
  run_context.memo_ = std::move(memo);
  try {
    run->output = functions_.at(run->kind)(run_context);
    at_end = std::move(run_context.at_end_);
    finish(RunState::kFinished);
  } catch (const Suspended& suspended) {
    run->wake_us = suspended.wake_us;
    finish(RunState::kWaiting);
  } catch (const Error& e) {
    bool stopping;
    {
      const std::lock_guard lock(mutex_);
      stopping = stopping_;
    }
    if (stopping && e.code() == Code::kCancelled) return;  // not the run's failure: it resumes at the next start
    run->error_code = CodeName(e.code());
    run->error = e.message();
    if (e.code() != Code::kCancelled) Append(id, "failed", JsonObject{{"code", run->error_code}, {"message", run->error}});
    finish(e.code() == Code::kCancelled ? RunState::kCancelled : RunState::kFailed);
  } catch (const std::exception& e) {
    Log(LogLevel::kError, "run failed", {{"run", id}, {"kind", run->kind}, {"error", e.what()}});
    run->error_code = CodeName(Code::kInternal);
    run->error = "internal error; the server's log says more";
    Append(id, "failed", JsonObject{{"code", run->error_code}, {"message", run->error}});
    finish(RunState::kFailed);
  }
}

void Runs::Finish(Run run, RunState state, std::size_t signals, std::vector<SpanRecord> spans, const std::function<void(data::WriteTx&)>& also) {
  run.state = state;
  if (Ended(state)) {
    run.finished_us = ToMicros(clock_.Now());
    run.wake_us = 0;
  }
  std::vector<RunEvent> pending;
  std::vector<RunStep> steps;
  std::shared_ptr<Live> live;
  {
    const std::lock_guard lock(mutex_);
    live = live_[run.id];
    pending.assign(live->events.begin() + static_cast<std::ptrdiff_t>(live->durable), live->events.end());
    steps.swap(live->deferred);
  }
  bool come = false;
  store_.Write(Context::System("runs"), [&](data::WriteTx& tx) {
    const auto stored = tx.Get<Run>(run.id);
    if (!stored) return;  // erased while it ran, or its start was refused
    for (const auto& event : pending) tx.Put(event);
    for (const auto& step : steps) tx.Put(step);
    if (state == RunState::kWaiting) {
      const auto recorded = tx.Find<RunStep>(data::Where("run", run.id));
      const auto known = std::count_if(recorded.begin(), recorded.end(), [](const RunStep& step) { return step.name.starts_with("signal:"); });
      run.state = static_cast<std::size_t>(known) > signals ? RunState::kQueued : RunState::kWaiting;
    }
    if (also) also(tx);
    tx.Put(run);
    monitoring::PutTrace(tx, run.id, spans, options_.max_traces);
  });
  {
    const std::lock_guard lock(mutex_);
    live->durable += pending.size();
    live->state = state;
    come = state == RunState::kWaiting && (live->signalled || run.state == RunState::kQueued);
    if (state == RunState::kWaiting && run.wake_us) wakes_.emplace(run.wake_us, run.id);
    // The log of what has ended is read from the store; keep memory flat.
    if (Ended(state)) live_.erase(run.id);
  }
  changed_.notify_all();
  if (come) Enqueue(run.id);
}

void Runs::Append(const std::string& id, std::string_view type, Json data) {
  static constexpr std::size_t kGroup = 64;
  bool full;
  {
    const std::lock_guard lock(mutex_);
    auto& live = *live_[id];
    const auto number = static_cast<std::int64_t>(live.events.size()) + 1;
    live.events.push_back({EventId(id, number), id, number, std::string(type), ToMicros(clock_.Now()), std::move(data)});
    full = live.begun && live.events.size() - live.durable >= kGroup;
  }
  changed_.notify_all();
  if (full) Record(id, [](data::WriteTx&) {});
}

void Runs::AwaitBegun(const std::string& id) {
  std::unique_lock lock(mutex_);
  const auto live = live_[id];
  changed_.wait(lock, [&] { return live->begun || live->cancellation->cancelled(); });
  if (!live->begun) throw Error(Code::kCancelled, "the run was not started");
}

void Runs::Defer(const std::string& id, const RunStep& step) {
  const std::lock_guard lock(mutex_);
  live_[id]->deferred.push_back(step);
}

void Runs::Record(const std::string& id, const std::function<void(data::WriteTx&)>& also) {
  std::vector<RunEvent> pending;
  std::vector<RunStep> steps;
  std::shared_ptr<Live> live;
  {
    const std::lock_guard lock(mutex_);
    live = live_[id];
    pending.assign(live->events.begin() + static_cast<std::ptrdiff_t>(live->durable), live->events.end());
    steps.swap(live->deferred);
  }
  store_.Write(Context::System("runs"), [&](data::WriteTx& tx) {
    for (const auto& event : pending) tx.Put(event);
    for (const auto& step : steps) tx.Put(step);
    also(tx);
  });
  const std::lock_guard lock(mutex_);
  live->durable += pending.size();
}

void Runs::Signal(const Context& ctx, std::string_view run, std::string_view name, const Json& value) {
  const auto now = ToMicros(clock_.Now());
  store_.Write(ctx, [&](data::WriteTx& tx) {
    const auto stored = tx.Get<Run>(run);
    if (!stored || (stored->owner != ctx.principal().user && ctx.principal().role != Role::kAdmin)) throw Error(Code::kNotFound, "there is no such run");
    if (Ended(stored->state)) throw Error(Code::kFailedPrecondition, "the run has ended");
    const auto step = "signal:" + std::string(name);
    tx.Add(RunStep{std::string(run) + "/" + step, std::string(run), step, nullptr, value, 1, now, now, 0});
    // In the same commit: a server that dies here finds the run queued when it starts again.
    if (stored->state == RunState::kWaiting) {
      auto queued = *stored;
      queued.state = RunState::kQueued;
      tx.Put(queued);
    }
  });
  bool enqueue = true;
  {
    const std::lock_guard lock(mutex_);
    if (const auto live = live_.find(run); live != live_.end() && live->second->state != RunState::kWaiting) {
      live->second->signalled = true;
      enqueue = false;
    }
  }
  if (enqueue) Enqueue(std::string(run));
}

void Runs::Cancel(const Context& ctx, std::string_view run) {
  const auto stored = Get(ctx, run);
  if (!stored) throw Error(Code::kNotFound, "there is no such run");
  if (Ended(stored->state)) return;
  bool running = false;
  {
    const std::lock_guard lock(mutex_);
    if (const auto live = live_.find(run); live != live_.end()) {
      live->second->cancellation->Cancel();
      running = live->second->state != RunState::kWaiting;
    }
  }
  changed_.notify_all();
  if (!running) Enqueue(std::string(run));  // it finds itself cancelled at its next Check
}

std::optional<Run> Runs::Get(const Context& ctx, std::string_view run) {
  auto stored = store_.Read(ctx, [&](data::ReadTx& tx) { return tx.Get<Run>(run); });
  if (stored && stored->owner != ctx.principal().user && ctx.principal().role != Role::kAdmin) return std::nullopt;
  return stored;
}

std::vector<RunStep> Runs::Steps(const Context& ctx, std::string_view run) {
  return store_.Read(ctx, [&](data::ReadTx& tx) { return tx.Find<RunStep>(data::Where("run", std::string(run))); });
}

Runs::Batch Runs::Events(const Context& ctx, std::string_view run, std::int64_t after, std::chrono::milliseconds wait) {
  const auto until = std::chrono::steady_clock::now() + wait;
  {
    std::unique_lock lock(mutex_);
    auto live = live_.find(run);
    while (live != live_.end()) {
      const auto& events = live->second->events;
      const auto state = live->second->state;
      // A run resumed in this process has no events in memory before Execute has read them.
      if (static_cast<std::int64_t>(events.size()) > after)
        return {{events.begin() + static_cast<std::ptrdiff_t>(after), events.end()}, state};
      if (state == RunState::kWaiting || stopping_ || ctx.done() || std::chrono::steady_clock::now() >= until) return {{}, state};
      changed_.wait_until(lock, std::min(until, std::chrono::steady_clock::now() + std::chrono::milliseconds(100)));
      live = live_.find(run);
    }
  }
  Batch batch;
  store_.Read(ctx, [&](data::ReadTx& tx) {
    const auto stored = tx.Get<Run>(run);
    if (!stored) throw Error(Code::kNotFound, "there is no such run");
    batch.state = stored->state;
    data::Query query = data::Where("run", std::string(run));
    query.where.push_back({"id", data::Compare::kGreater, EventId(run, after)});
    batch.events = tx.Find<RunEvent>(query);
  });
  return batch;
}

Run Runs::Await(const Context& ctx, std::string_view run) {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      const auto live = live_.find(run);
      if (live != live_.end() && live->second->state != RunState::kWaiting) {
        changed_.wait_for(lock, std::chrono::milliseconds(100));
        lock.unlock();
        ctx.Check();
        continue;
      }
    }
    const auto stored = Get(ctx, run);
    if (!stored) throw Error(Code::kNotFound, "there is no such run");
    return *stored;
  }
}

}  // namespace tenfold::workflows
