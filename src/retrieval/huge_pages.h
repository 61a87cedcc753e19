#pragma once
/// \file Memory in huge pages, for what is large and read here and there: 4 kB pages of it are more than a processor's table of them holds.
#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

namespace tenfold::retrieval {

inline constexpr std::size_t kHugePage = 2 << 20;

/// Given back by std::free. What is not written yet takes no memory. Threads: any. Errors: bad_alloc.
inline void* AllocateHuge(std::size_t bytes) {
  const auto aligned = bytes >= kHugePage ? kHugePage : 64, rounded = (bytes + aligned - 1) / aligned * aligned;
  void* memory = std::aligned_alloc(aligned, rounded);
  if (!memory) throw std::bad_alloc();
  if (aligned == kHugePage) ::madvise(memory, rounded, MADV_HUGEPAGE);  // or not: then it is slower
  return memory;
}

template <class T>
struct HugeAllocator {
  using value_type = T;
  HugeAllocator() = default;
  template <class U>
  HugeAllocator(const HugeAllocator<U>&) {}
  T* allocate(std::size_t count) { return static_cast<T*>(AllocateHuge(count * sizeof(T))); }
  void deallocate(T* at, std::size_t) { std::free(at); }
  bool operator==(const HugeAllocator&) const = default;
};
template <class T>
using HugeVector = std::vector<T, HugeAllocator<T>>;

}  // namespace tenfold::retrieval
