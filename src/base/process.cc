#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace tenfold {
namespace {

struct Pipe {
  int ends[2] = {-1, -1};
  Pipe() {
    if (::pipe2(ends, O_CLOEXEC) != 0) throw Error(Code::kResourceExhausted, std::string("run a process: ") + std::strerror(errno));
  }
  ~Pipe() {
    Close(0);
    Close(1);
  }
  void Close(int end) {
    if (ends[end] >= 0) ::close(ends[end]);
    ends[end] = -1;
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
};

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const auto& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

/// Kills and reaps the group unless told that it has ended.
struct Child {
  pid_t pid;
  bool own_group;
  bool ended = false;
  ~Child() {
    if (ended) return;
    // In a sandbox nothing may be killed; whoever confined us kills the group.
    if (::kill(own_group ? -pid : pid, SIGKILL) != 0 && errno == EPERM) return;
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
};

/// A child that ends without reading its input must not end us: SIGPIPE is held back on this thread and taken away again.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoSigpipe() {
    if (sigismember(&before_, SIGPIPE)) return;
    const timespec now{};
    while (sigtimedwait(&pipe_, nullptr, &now) == SIGPIPE) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sigset_t pipe_, before_;
};
/// The three pipes become the child's; the calling side's ends stay open here.
pid_t Spawn(const ProcessSpec& spec, int in, int out, int err) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, in, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, err, 2);
  // Descriptors opened elsewhere without O_CLOEXEC must not reach a child that reads hostile bytes.
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, static_cast<short>((spec.own_group ? POSIX_SPAWN_SETPGROUP : 0) | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
  pid_t pid = -1;
  const int rc = ::posix_spawn(&pid, spec.argv.at(0).c_str(), &actions, &attributes, Pointers(spec.argv).data(), Pointers(spec.environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (rc != 0) throw Error(rc == ENOENT ? Code::kNotFound : Code::kUnavailable, "run '" + spec.argv[0] + "': " + std::strerror(rc));
  return pid;
}

int StatusOf(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status); }
}  // namespace

ProcessResult RunProcess(const Context& ctx, const ProcessSpec& spec) {
  const NoSigpipe no_sigpipe;
  ctx.Check();
  Pipe in, out, err;
  const pid_t pid = Spawn(spec, in.ends[0], out.ends[1], err.ends[1]);
  Child child{pid, spec.own_group};
  in.Close(0);
  out.Close(1);
  err.Close(1);
  ::fcntl(in.ends[1], F_SETFL, O_NONBLOCK);

  ProcessResult result;
  std::string_view rest = spec.input;
  if (rest.empty()) in.Close(1);
  while (out.ends[0] >= 0 || err.ends[0] >= 0) {
    ctx.Check();
    pollfd waits[3] = {{out.ends[0], POLLIN, 0}, {err.ends[0], POLLIN, 0}, {in.ends[1], POLLOUT, 0}};
    ::poll(waits, 3, 20);
    char buffer[65536];
    if (waits[0].revents) {
      const auto n = ::read(out.ends[0], buffer, sizeof buffer);
      if (n <= 0) out.Close(0);
      else result.output.append(buffer, static_cast<std::size_t>(n));
      if (result.output.size() > spec.output_limit_bytes) throw Error(Code::kResourceExhausted, "'" + spec.argv[0] + "' wrote more than " + std::to_string(spec.output_limit_bytes) + " bytes");
    }
    if (waits[1].revents) {
      const auto n = ::read(err.ends[0], buffer, sizeof buffer);
      if (n <= 0) err.Close(0);
      else if (result.errors.size() < (64u << 10)) result.errors.append(buffer, static_cast<std::size_t>(n));
    }
    if (waits[2].revents && in.ends[1] >= 0) {
      // SIGPIPE is ignored by the program (app/main.cc); a child that reads no more closes its end.
      const auto n = ::write(in.ends[1], rest.data(), std::min<std::size_t>(rest.size(), 65536));
      if (n > 0) rest.remove_prefix(static_cast<std::size_t>(n));
      if (rest.empty() || (n < 0 && errno != EAGAIN)) in.Close(1);
    }
  }
  for (;;) {
    int status = 0;
    const pid_t done = ::waitpid(pid, &status, WNOHANG);
    if (done == pid) {
      child.ended = true;
      result.exit_status = StatusOf(status);
      return result;
    }
    ctx.Check();
    ::usleep(500);
  }
}

RunningProcess::RunningProcess(const ProcessSpec& spec) {
  Pipe in, out;
  const int nothing = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nothing < 0) throw Error(Code::kResourceExhausted, std::string("run a process: ") + std::strerror(errno));
  try {
    pid_ = Spawn(spec, in.ends[0], out.ends[1], nothing);
  } catch (...) {
    ::close(nothing);
    throw;
  }
  ::close(nothing);
  in_ = std::exchange(in.ends[1], -1);
  out_ = std::exchange(out.ends[0], -1);
  ::fcntl(in_, F_SETFL, O_NONBLOCK);
  ::fcntl(out_, F_SETFL, O_NONBLOCK);
}

RunningProcess::~RunningProcess() {
  ::close(in_);
  ::close(out_);
  // What it started is in its group, also when it has ended itself; a group without members costs nothing.
  ::kill(-pid_, SIGKILL);
  if (!status_)
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

void RunningProcess::Write(const Context& ctx, std::string_view bytes) {
  const NoSigpipe no_sigpipe;
  while (!bytes.empty()) {
    const auto n = ::write(in_, bytes.data(), bytes.size());
    if (n > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
      continue;
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR) throw Error(Code::kUnavailable, std::string("write to a process: ") + std::strerror(errno));
    ctx.Check();
    pollfd wait{in_, POLLOUT, 0};
    ::poll(&wait, 1, 20);
  }
}

void RunningProcess::Read(const Context& ctx, char* out, std::size_t size) {
  while (size > 0) {
    if (taken_ < buffer_.size()) {
      const auto n = std::min(size, buffer_.size() - taken_);
      std::memcpy(out, buffer_.data() + taken_, n);
      taken_ += n;
      out += n;
      size -= n;
      continue;
    }
    taken_ = 0;
    buffer_.resize(65536);
    const auto n = ::read(out_, buffer_.data(), buffer_.size());
    buffer_.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    if (n > 0) continue;
    if (n == 0) throw Error(Code::kUnavailable, "read from a process: it has ended");
    if (errno != EAGAIN && errno != EINTR) throw Error(Code::kUnavailable, std::string("read from a process: ") + std::strerror(errno));
    ctx.Check();
    pollfd wait{out_, POLLIN, 0};
    ::poll(&wait, 1, 20);
  }
}

std::optional<int> RunningProcess::ExitStatus(std::chrono::milliseconds wait) {
  const auto until = std::chrono::steady_clock::now() + wait;
  while (!status_) {
    int status = 0;
    const pid_t done = ::waitpid(pid_, &status, WNOHANG);
    if (done == pid_) status_ = StatusOf(status);
    else if (std::chrono::steady_clock::now() >= until) break;
    else ::usleep(500);
  }
  return status_;
}

}  // namespace tenfold
