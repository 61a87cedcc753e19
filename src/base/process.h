#pragma once
/// \file Child processes: argv without a shell, bytes in, bytes out, a deadline, a limit on what it may say.
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"

namespace tenfold {

struct ProcessSpec {
  std::vector<std::string> argv;  ///< argv[0] is a path; no shell, no PATH search
  std::vector<std::string> environment = {"LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"};
  std::string_view input = {};    ///< becomes standard input
  std::uint64_t output_limit_bytes = 16u << 20;
  bool own_group = true;          ///< false inside a sandbox: who kills the caller's group then kills this one with it
};

struct ProcessResult {
  int exit_status = 0;  ///< -signal if a signal ended it
  std::string output;
  std::string errors;   ///< at most 64 KiB
};

/// Runs to the end. The child's process group is killed at the context's deadline or cancellation, and with the parent.
/// Errors: kNotFound (no such program), kDeadlineExceeded, kCancelled, kResourceExhausted (output limit).
ProcessResult RunProcess(const Context& ctx, const ProcessSpec& spec);

/// A child that stays and is talked to over its standard input and output; what it says on standard error is dropped. When this object
/// goes, the child's whole process group is killed and the child is reaped. A child is expected to end when its standard input does.
/// Threads: one at a time. `input` and `output_limit_bytes` of the spec are not used.
class RunningProcess {
 public:
  /// Errors: kNotFound (no such program), kUnavailable, kResourceExhausted (no more descriptors).
  explicit RunningProcess(const ProcessSpec& spec);
  ~RunningProcess();
  RunningProcess(const RunningProcess&) = delete;
  RunningProcess& operator=(const RunningProcess&) = delete;

  /// All of it. Errors: kUnavailable (it reads no more), kDeadlineExceeded, kCancelled.
  void Write(const Context& ctx, std::string_view bytes);
  /// Exactly `size` bytes. Errors: kUnavailable (it ended before), kDeadlineExceeded, kCancelled.
  void Read(const Context& ctx, char* out, std::size_t size);
  /// Its exit status, -signal if a signal ended it; waits a moment for a child that has closed its pipes. Nothing while it runs.
  std::optional<int> ExitStatus(std::chrono::milliseconds wait = {});
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int in_ = -1, out_ = -1;
  std::optional<int> status_;
  std::string buffer_;  ///< read, not yet asked for
  std::size_t taken_ = 0;
};

}  // namespace tenfold
