#include "base/process.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sandbox.h"
#include "base/testing.h"

namespace tenfold {
namespace {

using namespace std::chrono_literals;

TEST(Process, PassesBytesInAndOut) {
  const auto ctx = Context::System("test").WithTimeout(10s);
  const std::string big(1 << 20, 'x');
  ProcessSpec cat{{"/bin/cat"}};
  cat.input = big;
  EXPECT_EQ(RunProcess(ctx, cat).output, big);
  EXPECT_EQ(RunProcess(ctx, {{"/bin/sh", "-c", "echo bad >&2; exit 3"}}).exit_status, 3);
  EXPECT_EQ(CodeOf([&] { RunProcess(ctx, {{"/no/such/program"}}); }), Code::kNotFound);
}

TEST(Process, IsKilledAtItsDeadlineAndItsOutputLimit) {
  EXPECT_EQ(CodeOf([&] { RunProcess(Context::System("test").WithTimeout(100ms), {{"/bin/sleep", "60"}}); }), Code::kDeadlineExceeded);
  ProcessSpec yes{{"/usr/bin/yes"}};
  yes.output_limit_bytes = 1 << 20;
  EXPECT_EQ(CodeOf([&] { RunProcess(Context::System("test").WithTimeout(10s), yes); }), Code::kResourceExhausted);
}

/// What a confined child could do, as its exit status.
int InSandbox(const std::function<int()>& work, std::uint64_t cpu_seconds = 20) {
  const pid_t child = fork();
  if (child == 0) {
    try {
      SandboxLimits limits;
      limits.readable = {"/usr"};
      limits.cpu_seconds = cpu_seconds;
      limits.memory_bytes = 256u << 20;
      EnterSandbox(limits, !HasLandlock());
      _exit(work());
    } catch (const std::bad_alloc&) {
      _exit(77);
    } catch (...) {
      _exit(99);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(Sandbox, HasNoNetworkAndNoFilesButThoseNamed) {
  EXPECT_EQ(InSandbox([] { return ::socket(AF_INET, SOCK_STREAM, 0) < 0 ? 1 : 0; }), 1);
  EXPECT_EQ(InSandbox([] { return ::access("/usr/bin", R_OK) == 0 ? 1 : 0; }), 1);
  if (HasLandlock()) EXPECT_EQ(InSandbox([] { return ::fopen("/etc/passwd", "r") ? 0 : 1; }), 1);
}

TEST(Sandbox, EndsWhatSpinsOrHoards) {
  EXPECT_LT(InSandbox([] {
              for (volatile std::uint64_t i = 0;; i = i + 1) {
              }
              return 0;
            }, 1),
            0);
#if !(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
  EXPECT_EQ(InSandbox([] {
              std::vector<std::string> hoard;
              for (;;) hoard.emplace_back(64u << 20, 'x');
              return 0;
            }),
            77);
#endif
}

}  // namespace
}  // namespace tenfold
