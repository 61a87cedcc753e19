#pragma once
/// \file How two vectors are compared.
#include <cstdint>

#include "base/describe.h"

namespace tenfold::retrieval {

enum class Metric : std::uint8_t { kCosine, kDot, kEuclidean };
BOOST_DESCRIBE_ENUM(Metric, kCosine, kDot, kEuclidean)

}  // namespace tenfold::retrieval
