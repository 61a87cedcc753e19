#include "base/sse.h"

#include <gtest/gtest.h>

#include <vector>

namespace tenfold {
namespace {

TEST(SseParser, GivesTheSameEventsHoweverTheBytesArrive) {
  const std::string text = ": hello\n\ndata: one\n\ndata:two\r\ndata:  three\r\n\r\nevent: x\nid: 1\ndata: four\r\rdata: never ends";
  const std::vector<std::string> wanted{"one", "two\n three", "four"};
  for (std::size_t step = 1; step <= text.size(); ++step) {
    std::vector<std::string> got;
    SseParser parser([&](std::string_view data) { got.emplace_back(data); });
    for (std::size_t at = 0; at < text.size(); at += step) parser.Push(std::string_view(text).substr(at, step));
    ASSERT_EQ(got, wanted) << step;
  }
}

TEST(SseParser, RefusesAnEventWithoutEnd) {
  SseParser parser([](std::string_view) {});
  EXPECT_THROW(
      for (int i = 0; i < 6; ++i) parser.Push("data: " + std::string(1u << 20, 'x')), Error);
}

}  // namespace
}  // namespace tenfold
