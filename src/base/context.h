#pragma once
/// \file Why and for whom a call runs: principal, deadline, cancellation, budget and span. First parameter of every operation.
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace tenfold {

class Span;

enum class Role : std::uint8_t { kNobody, kCustomer, kAgent, kAdmin };
std::string_view RoleName(Role role);
/// Errors: kInvalidArgument naming the roles there are.
Role ParseRole(std::string_view name);

/// Who acts. `labels` are the access labels the principal may read, "*" all of them; nothing else exists for them.
struct Principal {
  std::string user;      ///< e-mail, or "system:<what>"
  std::string tenant = "default";
  Role role = Role::kNobody;
  std::string customer;  ///< the customer record this user is, empty for staff
  std::vector<std::string> labels;

  /// `access` lists the labels that may read, with commas between ("public" or "group:hr,user:ana@example.com"): one of them is enough.
  /// Everyone may read what lists "user:" and their own `user`. An empty list is read by nobody without "*".
  bool MayRead(std::string_view access) const;
};
/// The label that only `user` (and who reads everything) has.
inline std::string LabelOfUser(std::string_view user) { return "user:" + std::string(user); }

/// What one run may still spend. Shared by everything below it. Threads: safe from any thread.
class Budget {
 public:
  struct Limits {
    std::int64_t steps = 12;
    std::int64_t tokens = 16'384;
    std::int64_t micro_usd = 50'000;  ///< millionths of a US dollar
  };
  explicit Budget(Limits limits) : steps_(limits.steps), tokens_(limits.tokens), micro_usd_(limits.micro_usd) {}
  Budget() : Budget(Limits{}) {}
  /// Errors: kResourceExhausted once spent.
  void SpendStep();
  /// What was used is always subtracted, also what goes beyond the limit: ask Affords() before.
  void Spend(std::int64_t tokens, std::int64_t micro_usd);
  bool Affords(std::int64_t tokens, std::int64_t micro_usd) const { return tokens <= tokens_.load() && micro_usd <= micro_usd_.load(); }

 private:
  std::atomic<std::int64_t> steps_;
  std::atomic<std::int64_t> tokens_;
  std::atomic<std::int64_t> micro_usd_;
};

/// Set once, from any thread; seen by every Context made from it.
class Cancellation {
 public:
  void Cancel() { cancelled_.store(true, std::memory_order_release); }
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

 private:
  std::atomic<bool> cancelled_{false};
};

/// Immutable; copying costs a few reference counts.
class Context {
 public:
  struct Parts {
    std::shared_ptr<const Principal> principal;
    const Clock* clock = &SystemClock();
    TimePoint deadline = TimePoint::max();
    std::shared_ptr<Cancellation> cancellation;
    std::shared_ptr<Budget> budget;
    std::shared_ptr<Span> span;
  };
  explicit Context(Parts parts);
  /// System work, named: "system:ingest". Reads every label.
  static Context System(std::string_view what, const Clock& clock = SystemClock());

  const Principal& principal() const { return *parts_.principal; }
  const Clock& clock() const { return *parts_.clock; }
  TimePoint deadline() const { return parts_.deadline; }
  Budget& budget() const { return *parts_.budget; }
  Cancellation& cancellation() const { return *parts_.cancellation; }
  /// Where timings of this call belong; never null.
  Span& span() const { return *parts_.span; }
  bool is_system() const { return principal().user.starts_with("system:"); }

  /// Errors: kCancelled or kDeadlineExceeded.
  void Check() const;
  bool done() const { return cancellation().cancelled() || clock().Now() >= deadline(); }
  /// Only ever earlier.
  Context WithDeadline(TimePoint at) const;
  Context WithTimeout(std::chrono::microseconds timeout) const { return WithDeadline(clock().Now() + timeout); }
  Context WithCancellation(std::shared_ptr<Cancellation> cancellation) const;
  Context WithBudget(std::shared_ptr<Budget> budget) const;
  /// A child span; ends when the last Context that carries it is gone.
  Context Child(std::string_view span_name) const;
  Context WithSpan(std::shared_ptr<Span> span) const;
  /// The same call for another principal. Errors: kPermissionDenied if that would add a role or a label.
  Context As(Principal principal) const;

 private:
  Parts parts_;
};

}  // namespace tenfold
