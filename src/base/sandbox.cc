#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace tenfold {
namespace {

[[noreturn]] void Refuse(const std::string& part, int error) { throw Error(Code::kUnavailable, "sandbox: " + part + ": " + std::strerror(error)); }

void Limit(int which, std::uint64_t value, const char* name) {
  const rlimit limit{value, value};
  if (::setrlimit(static_cast<__rlimit_resource_t>(which), &limit) != 0) Refuse(name, errno);
}

int LandlockAbi() { return static_cast<int>(::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION)); }

void RestrictFiles(const SandboxLimits& limits) {
  // Everything ABI 1 knows is handled, so what is not allowed below is refused.
  landlock_ruleset_attr handled{};
  handled.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
  const int ruleset = static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0));
  if (ruleset < 0) Refuse("landlock", errno);
  for (const auto& path : limits.readable) {
    const int fd = ::open(path.c_str(), O_PATH | O_CLOEXEC);
    if (fd < 0) continue;  // a folder that is not there needs no permission
    landlock_path_beneath_attr rule{};
    rule.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE;
    if (!std::filesystem::is_directory(path)) rule.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE;
    rule.parent_fd = fd;
    const auto rc = ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    const int error = errno;
    ::close(fd);
    if (rc != 0) Refuse("landlock rule for '" + path.string() + "'", error);
  }
  if (::syscall(SYS_landlock_restrict_self, ruleset, 0) != 0) Refuse("landlock", errno);
  ::close(ruleset);
}

void RestrictCalls() {
  static constexpr const char* kRefused[] = {
      "socket",         "socketpair",   "connect",          "bind",           "listen",        "accept",       "accept4",      "ptrace",        "process_vm_readv",
      "process_vm_writev", "mount",     "umount2",          "pivot_root",     "chroot",        "unshare",      "setns",        "bpf",           "perf_event_open",
      "keyctl",         "add_key",      "request_key",      "io_uring_setup", "io_uring_enter", "userfaultfd", "kexec_load",   "init_module",   "finit_module",
      "delete_module",  "reboot",       "swapon",           "swapoff",        "setuid",        "setgid",       "setresuid",    "setresgid",     "pidfd_open",
      "pidfd_getfd",    "open_by_handle_at", "name_to_handle_at", "quotactl", "acct",          "settimeofday", "clock_settime", "personality",  "kill",
      "setpgid",        "setsid",  // what it starts dies with its process group
  };
  const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (!filter) Refuse("seccomp", ENOMEM);
  int rc = 0;
  for (const char* name : kRefused) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) continue;  // unknown to this libseccomp, so unknown to its kernel headers too
    if (rc == 0) rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
  }
  if (rc == 0) rc = seccomp_load(filter);
  seccomp_release(filter);
  if (rc != 0) Refuse("seccomp", -rc);
}

}  // namespace

bool HasLandlock() { return LandlockAbi() >= 1; }

void EnterSandbox(const SandboxLimits& limits, bool allow_without_landlock) {
#if !(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
  Limit(RLIMIT_AS, limits.memory_bytes, "memory limit");  // a sanitizer's shadow memory is terabytes of addresses
#endif
  Limit(RLIMIT_CPU, limits.cpu_seconds, "cpu limit");
  Limit(RLIMIT_FSIZE, limits.file_bytes, "file size limit");
  Limit(RLIMIT_NOFILE, limits.open_files, "open files limit");
  Limit(RLIMIT_CORE, 0, "core limit");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) Refuse("no_new_privs", errno);
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) Refuse("dumpable", errno);
  if (HasLandlock()) RestrictFiles(limits);
  else if (!allow_without_landlock) throw Error(Code::kUnavailable, "sandbox: this kernel has no Landlock; set data.sandbox to 'without_landlock' to parse documents with seccomp and limits alone");
  RestrictCalls();
}

void LimitCpuFromNow(std::uint64_t seconds) {
  rusage used{};
  rlimit limit{};
  ::getrusage(RUSAGE_SELF, &used);
  ::getrlimit(RLIMIT_CPU, &limit);
  limit.rlim_cur = std::min<rlim_t>(static_cast<rlim_t>(used.ru_utime.tv_sec + used.ru_stime.tv_sec + 1) + seconds, limit.rlim_max);
  if (::setrlimit(RLIMIT_CPU, &limit) != 0) Refuse("cpu limit", errno);
}

}  // namespace tenfold
