#include "base/multipart.h"

#include <gtest/gtest.h>

#include "base/testing.h"

namespace tenfold {
namespace {

constexpr const char* kType = "multipart/form-data; boundary=\"x y\"";

TEST(Multipart, ReadsFieldsAndFilesAsTheyWereSent) {
  const std::string body = "preamble\r\n--x y\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n--x y \r\ncontent-type: text/markdown\r\n"
                           "content-disposition: form-data; name=file; filename=\"a \\\"b\\\".md\"\r\n\r\n# A\r\n--x\r\n\r\n--x y--\r\n";
  const auto parts = ParseMultipart(kType, body);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].name, "purpose");
  EXPECT_EQ(parts[0].body, "assistants");
  EXPECT_EQ(parts[1].filename, "a \"b\".md");
  EXPECT_EQ(parts[1].content_type, "text/markdown");
  EXPECT_EQ(parts[1].body, "# A\r\n--x\r\n");
}

TEST(Multipart, RefusesWhatIsNotWhole) {
  const auto refused = [](const char* type, const char* body) { return CodeOf([&] { ParseMultipart(type, body); }) == Code::kInvalidArgument; };
  EXPECT_TRUE(refused("application/json", "{}"));
  EXPECT_TRUE(refused("multipart/form-data", "--x\r\n"));
  EXPECT_TRUE(refused(kType, "nothing of it"));
  EXPECT_TRUE(refused(kType, "--x y\r\nContent-Disposition: form-data; name=a\r\n\r\ncut off"));
  EXPECT_TRUE(refused(kType, "--x y\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--x y--"));
  EXPECT_TRUE(refused(kType, "--x y"));
  EXPECT_TRUE(ParseMultipart(kType, "--x y--").empty());
}

}  // namespace
}  // namespace tenfold
