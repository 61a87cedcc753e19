#pragma once
/// \file The one error type. Thrown where the world fails; mapped to HTTP, exit status and stream events in one switch each.
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

namespace tenfold {

/// Why an operation failed. A code exists only because some caller branches on it. Named as in gRPC.
enum class Code : std::uint8_t {
  kCancelled,          ///< the caller went away or asked to stop
  kInvalidArgument,    ///< the request is wrong whatever the state; says field, limit and fix
  kDeadlineExceeded,   ///< the moment by which it had to be done has passed
  kNotFound,           ///< absent, or not visible to this principal
  kAlreadyExists,      ///< `Add` on a present key
  kPermissionDenied,   ///< known caller, not allowed
  kUnauthenticated,    ///< no valid credentials
  kResourceExhausted,  ///< queue, budget, rate or disk is full; retry later may help
  kFailedPrecondition, ///< the state forbids it; retry without a change will not help
  kAborted,            ///< lost a race; retry will help
  kUnavailable,        ///< not ready or peer is down; retry later
  kDataLoss,           ///< stored bytes do not match their checksum
  kUnimplemented,      ///< this build or back end cannot do it
  kInternal,           ///< our defect
};

/// The code's name as in gRPC, lower snake case: "not_found".
std::string_view CodeName(Code code);

/// What was tried, on which thing, and the limit: "open model 'bert@3': manifest is 9 MB, limit 4 MB". Never a secret or a prompt.
class Error : public std::exception {
 public:
  /// Both texts become UTF-8: they may quote, and cut, what somebody sent.
  Error(Code code, std::string message, std::string param = {});
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  /// The field path the message is about ("filter.and[2].field"), empty if none.
  const std::string& param() const { return param_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  Code code_;
  std::string message_;
  std::string param_;
};

/// Runs `work`; an Error that leaves it is rethrown with "`doing`: " in front.
template <class F>
decltype(auto) Within(std::string_view doing, F&& work) {
  try {
    return work();
  } catch (const Error& e) {
    throw Error(e.code(), std::string(doing) + ": " + e.message(), e.param());
  }
}

namespace internal {
[[noreturn]] void CheckFailed(const char* expression, const char* file, int line);
}

/// Aborts when a broken invariant would corrupt data. Always on. Never used on input from outside.
#define TENFOLD_CHECK(expression) \
  (static_cast<bool>(expression) ? void() : ::tenfold::internal::CheckFailed(#expression, __FILE__, __LINE__))

}  // namespace tenfold
