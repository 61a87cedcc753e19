#pragma once
/// \file For tests only: what an operation fails with.
#include <functional>

#include "base/error.h"

namespace tenfold {

/// The code of the Error that leaves `work`; kInternal if none does.
inline Code CodeOf(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& e) {
    return e.code();
  }
  return Code::kInternal;
}

}  // namespace tenfold
