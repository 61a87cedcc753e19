// What the guards cost on a message of 60 and of 500 bytes.
#include <benchmark/benchmark.h>

#include "security/input_guard.h"
#include "security/output_guard.h"
#include "security/pii.h"

namespace tenfold::security {
namespace {

std::string Message(std::int64_t bytes) {
  std::string text;
  while (text.size() < static_cast<std::size_t>(bytes)) text += "How long do I have to return the boots from my last order? ";
  return text.substr(0, static_cast<std::size_t>(bytes));
}

void InputGuard(benchmark::State& state) {
  const auto text = Message(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(CheckInput(text));
}
BENCHMARK(InputGuard)->Arg(60)->Arg(500)->Unit(benchmark::kMicrosecond);

void CleanDocument(benchmark::State& state) {
  const auto text = Message(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(CleanUntrusted(text));
}
BENCHMARK(CleanDocument)->Arg(60)->Arg(500)->Unit(benchmark::kMicrosecond);

void MaskPersonalData(benchmark::State& state) {
  const auto text = Message(state.range(0));
  for (auto _ : state) {
    PiiMask mask;
    benchmark::DoNotOptimize(mask.Mask(text));
  }
}
BENCHMARK(MaskPersonalData)->Arg(60)->Arg(500)->Unit(benchmark::kMicrosecond);

void OutputGuarded(benchmark::State& state) {
  const auto text = Message(state.range(0));
  for (auto _ : state) {
    OutputGuard guard({});
    for (std::size_t at = 0; at < text.size(); at += 5) benchmark::DoNotOptimize(guard.Push(text.substr(at, 5)));
    benchmark::DoNotOptimize(guard.Finish());
  }
}
BENCHMARK(OutputGuarded)->Arg(60)->Arg(500)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace tenfold::security
BENCHMARK_MAIN();
