// Any bytes are an index or refused; of an index there is a vector for each id.
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "retrieval/faiss_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tenfold;
  try {
    const auto index = retrieval::ReadFaissFile({reinterpret_cast<const char*>(data), size}, 1u << 22);
    if (index.vectors.size() != index.ids.size() * index.dim) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
