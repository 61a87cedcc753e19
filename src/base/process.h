#pragma once
/// \file Child processes: argv without a shell, bytes in, bytes out, a deadline, a limit on what it may say.
#include <cstdint>
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
};

struct ProcessResult {
  int exit_status = 0;  ///< -signal if a signal ended it
  std::string output;
  std::string errors;   ///< at most 64 KiB
};

/// Runs to the end. The child's process group is killed at the context's deadline or cancellation, and with the parent.
/// Errors: kNotFound (no such program), kDeadlineExceeded, kCancelled, kResourceExhausted (output limit).
ProcessResult RunProcess(const Context& ctx, const ProcessSpec& spec);

}  // namespace tenfold
