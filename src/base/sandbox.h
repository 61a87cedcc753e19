#pragma once
/// \file Confines the calling process before it touches bytes from outside. A child calls it first thing; there is no way back.
#include <cstdint>
#include <filesystem>
#include <vector>

namespace tenfold {

struct SandboxLimits {
  std::uint64_t memory_bytes = 1u << 30;  ///< address space
  std::uint64_t cpu_seconds = 20;
  std::uint64_t file_bytes = 64u << 20;   ///< largest file it may write
  std::uint64_t open_files = 64;
  std::vector<std::filesystem::path> readable;  ///< folders it may read and execute from; nothing else exists for it
};

/// rlimits, no new privileges, no core dumps, Landlock (files) and seccomp (no sockets, no new process groups, no ptrace, no mounts, no namespaces, no keyrings,
/// no io_uring, no bpf). Fails closed. Errors: kUnavailable naming the part the kernel refused.
/// A kernel without Landlock is refused unless `allow_without_landlock`; the other parts are always needed.
void EnterSandbox(const SandboxLimits& limits, bool allow_without_landlock);
/// Moves the soft CPU limit to `seconds` from what this process has used so far: for one that serves many requests under one hard limit.
void LimitCpuFromNow(std::uint64_t seconds);
/// True if this kernel has Landlock switched on.
bool HasLandlock();

}  // namespace tenfold
