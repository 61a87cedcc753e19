#pragma once
/// \file What fuzzers found, and the seeds they start from, run through them as ordinary tests: each floor's test holds its fuzzers (cmake/layer.cmake). Fuzzing itself is `make fuzz`.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "base/files.h"

namespace tenfold {

using FuzzerFunction = int(const std::uint8_t* data, std::size_t size);

/// Every file of tests/corpus/NAME and the empty input; a fuzzer says no by ending the process. Fails if there is none.
inline void ReplayCorpus(const char* name, FuzzerFunction& fuzzer) {
  std::vector<std::filesystem::path> files;
  const auto folder = std::filesystem::path(TENFOLD_SOURCE_DIR) / "tests/corpus" / name;
  if (std::filesystem::exists(folder))
    for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  EXPECT_FALSE(files.empty()) << "put a seed into " << folder;
  const std::uint8_t nothing = 0;
  fuzzer(&nothing, 0);
  for (const auto& file : files) {
    std::fprintf(stderr, "%s\n", file.c_str());  // the last one named is the one that ended the process
    const auto bytes = ReadFile(file, 16u << 20);
    fuzzer(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  }
}

}  // namespace tenfold

/// `NAME_fuzzer.cc` is compiled with its entry point renamed.
#define TENFOLD_REPLAY(name)                                                       \
  extern "C" int Fuzz_##name(const std::uint8_t* data, std::size_t size);          \
  TEST(Corpus, name) { tenfold::ReplayCorpus(#name, Fuzz_##name); }
