// The hand-over from one durable step of a run to the next, and from Start to the first step. Usage: run_bench
#include <algorithm>
#include <cstdio>

#include "base/files.h"
#include "workflows/run.h"

using namespace tenfold;
using Steady = std::chrono::steady_clock;

namespace {
void Print(const char* what, std::vector<double>& ms) {
  std::sort(ms.begin(), ms.end());
  std::printf("%s: p50 %.3f ms, p99 %.3f ms\n", what, ms[ms.size() / 2], ms[ms.size() * 99 / 100]);
}
double MsSince(Steady::time_point begun) { return std::chrono::duration<double, std::milli>(Steady::now() - begun).count(); }
}  // namespace

int main() {
  const TemporaryFolder folder;
  const auto store = data::OpenSqliteStore((folder.path() / "store.db").string(), workflows::Runs::Tables());
  workflows::Runs runs(*store, SystemClock(), {});
  std::vector<double> steps, starts;
  Steady::time_point started;
  runs.Register("steps", [&](workflows::RunContext& run) {
    auto before = Steady::now();
    for (int i = 0; i < 1000; ++i) {
      run.Step("step " + std::to_string(i), {}, [&](const Context&) {
        if (i > 0) steps.push_back(MsSince(before));
        before = Steady::now();
        return Json(i);
      });
    }
    return Json(nullptr);
  });
  runs.Register("start", [&](workflows::RunContext& run) {
    return run.Step("first", {}, [&](const Context&) {
      starts.push_back(MsSince(started));
      return Json(nullptr);
    });
  });
  runs.Resume();
  const auto ctx = Context::System("bench");
  runs.Await(ctx, runs.Start(ctx, {"steps", nullptr, "", {}, nullptr}));
  for (int i = 0; i < 500; ++i) {
    started = Steady::now();
    runs.Await(ctx, runs.Start(ctx, {"start", nullptr, "", {}, nullptr}));
  }
  Print("from one durable step to the next", steps);
  Print("from Start to the first step", starts);
}
